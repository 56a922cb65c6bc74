"""A report as numbers for the tools that keep a run's: TensorBoard, MLflow, Weights & Biases.

None of them is needed to import this; each is known by the methods of what is given.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fxcount.errors import InputError
from fxcount.report import Report
from fxcount.symbolic import Expr

__all__ = ["log_report", "metrics"]

_OF_A_STEP = {
    "train/flops": "flops", "train/forward_flops": "forward_flops", "train/backward_flops": "backward_flops",
    "train/saved_bytes": "saved_bytes", "train/gradient_bytes": "gradient_bytes", "train/optimizer_bytes": "optimizer_bytes",
    "train/peak_bytes": "total_peak",
}  # fmt: skip


def metrics(report: Any, prefix: str = "fxcount/") -> dict[str, int]:
    """A flat dict of a report's numbers: parameters, MACs, FLOPs and bytes of a forward, or FLOPs and bytes of a training step.

    The names are ``params``, ``trainable_params``, ``params_bytes``, ``macs``, ``flops``, ``read_bytes``, ``write_bytes``,
    ``peak_bytes``; of a :class:`~fxcount.TrainingReport` ``train/flops``, ``train/forward_flops``, ``train/backward_flops``,
    ``train/saved_bytes``, ``train/gradient_bytes``, ``train/optimizer_bytes``, ``train/peak_bytes`` (all that is held). Raises
    :class:`~fxcount.errors.InputError` for a report with symbols.

    >>> import fxcount, torch
    >>> found = metrics(fxcount.analyze(torch.nn.Linear(3, 5), "2,3"), "")
    >>> found["params"], found["macs"], found["flops"]
    (20, 30, 70)
    """
    if isinstance(report, Report):
        p = report.params
        numbers: dict[str, Any] = {
            "params": p.total, "trainable_params": p.trainable, "params_bytes": p.bytes, "macs": report.macs,
            "flops": report.flops, "read_bytes": report.read_bytes, "write_bytes": report.write_bytes,
            "peak_bytes": report.memory.peak,
        }  # fmt: skip
    else:
        numbers = {name: getattr(report, attribute) for name, attribute in _OF_A_STEP.items()}
    for name, n in numbers.items():
        if isinstance(n, Expr) or getattr(n, "free_symbols", None):
            raise InputError(f"{name} is a formula, {n}", hint="ask for numbers: metrics(report.at(B=8))")
    return {prefix + name: int(n) for name, n in numbers.items()}


def log_report(report: Any, run: Any, *, prefix: str = "fxcount/", step: int = 0) -> dict[str, int]:
    """Log a report's :func:`metrics` and its page to a run, and return the metrics.

    ``run`` is a ``SummaryWriter`` of TensorBoard (scalars, and the table as text), the module ``mlflow`` (metrics, and the HTML
    page as an artifact of the active run), or a run of Weights & Biases (numbers and the page). Raises
    :class:`~fxcount.errors.InputError` for anything else, and for a report with symbols.
    """
    found = metrics(report, prefix)
    if hasattr(run, "add_scalar") and hasattr(run, "add_text"):
        for name, n in found.items():
            run.add_scalar(name, n, step)
        run.add_text(f"{prefix}report", f"```\n{report}\n```", step)
    elif hasattr(run, "log_metrics") and hasattr(run, "log_artifact"):
        run.log_metrics(found, step=step)
        with tempfile.TemporaryDirectory() as folder:
            run.log_artifact(_page(report, Path(folder)))
    elif hasattr(run, "log") and hasattr(run, "summary"):
        import wandb

        with tempfile.TemporaryDirectory() as folder:
            run.log({**found, f"{prefix}report": wandb.Html(_page(report, Path(folder)))}, step=step)
    else:
        raise InputError(
            f"{type(run).__name__} is no run of TensorBoard, MLflow or Weights & Biases",
            hint="give a SummaryWriter, the module mlflow, or what wandb.init() returns; metrics(report) is a plain dict",
        )
    return found


def _page(report: Any, folder: Path) -> str:
    """The report as an HTML page in a folder, or as text where there is none."""
    to_html = getattr(report, "to_html", None)
    if to_html is None:
        path = folder / "fxcount.txt"
        path.write_text(str(report), encoding="utf-8")
    else:
        path = folder / "fxcount.html"
        to_html(str(path))
    return str(path)
