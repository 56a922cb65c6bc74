"""What :func:`fxcount.load` reads, as it is written: what others look for, and beside it all there is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fxcount.report.views.graphs.encode import family
from fxcount.report.views.saved.comparison import plain_comparison
from fxcount.report.views.saved.curves import plain_curve
from fxcount.report.views.saved.header import header
from fxcount.report.views.saved.regions import plain_pieces
from fxcount.report.views.saved.sizes import Write, shared
from fxcount.report.views.saved.text import to_text
from fxcount.report.views.tables import kept
from fxcount.trace.torch_patch.active import no_collection

if TYPE_CHECKING:
    from fxcount.report.data.comparison import Comparison
    from fxcount.report.data.curve import CurveData
    from fxcount.report.data.generation import GenerationData
    from fxcount.report.data.piece_rows import PiecesData
    from fxcount.report.data.training import TrainingData

__all__ = [
    "comparison_to_json", "curve_to_json", "generation_to_json", "pieces_to_json", "step_to_json", "written",
]  # fmt: skip

Where = str | os.PathLike[str] | int | None


def written(data: dict[str, Any], path: Where, indent: int | None) -> str:
    """The text of a file, which is kept under ``path`` if there is one; a number in its place is ``indent``."""
    if isinstance(path, int):
        path, indent = None, path
    with no_collection():
        return kept(to_text(data, indent), path)


def step_to_json(step: TrainingData, path: Where = None, indent: int | None = None) -> str:
    """The totals and modules of a step with all that :func:`fxcount.load` reads, as JSON text; also written to ``path``.

    >>> import json, torch, fxcount
    >>> step = fxcount.training_step(torch.nn.Linear(3, 5), "B,3", optimizer="adamw")
    >>> fxcount.load(step.to_json()) == step, json.loads(step.to_json())["totals"]["backward_flops"]
    (True, '30*B')
    """
    from fxcount.report.views.step import to_dict

    return written(shared(header("step"), lambda write: {**to_dict(step, write), **family(step, write)}), path, indent)


def curve_to_json(curve: CurveData, path: Where = None, indent: int | None = None) -> str:
    """Every point of a curve, and the pieces behind it: :func:`fxcount.load` reads it back.

    >>> import json, torch, fxcount
    >>> model = torch.nn.Linear(3, 5)
    >>> curve = fxcount.analyze(model, "B,3").curve(B=range(1, 4))
    >>> fxcount.load(curve.to_json()) == curve, json.loads(curve.to_json())["curve"]["columns"]["macs"]
    (True, [15, 30, 45])
    """
    return written(shared(header("curve"), lambda write: {"curve": plain_curve(curve, write)}), path, indent)


def pieces_to_json(pieces: PiecesData, path: Where = None, indent: int | None = None) -> str:
    """Every piece with its domain and its formulas: :func:`fxcount.load` reads it back."""
    return written(shared(header("pieces"), lambda write: {"piecewise": plain_pieces(pieces, write)}), path, indent)


def comparison_to_json(comparison: Comparison, path: Where = None, indent: int | None = None) -> str:
    """What is different, as :meth:`fxcount.Comparison.to_dict` has it, with all that :func:`fxcount.load` reads."""
    from fxcount.report.views.comparison import to_dict

    def made(write: Write) -> dict[str, Any]:
        return {**to_dict(comparison, write), "comparison": plain_comparison(comparison, write)}

    return written(shared(header("comparison"), made), path, indent)


def generation_to_json(found: GenerationData, path: Where = None, indent: int | None = None) -> str:
    """The parts of a generation, with the analysis of a prompt and two steps: :func:`fxcount.load` reads it back."""
    names = found.names
    plain = {
        "names": {"batch": names.batch, "prompt": names.prompt, "new": names.new, "past": names.past},
        "values": dict(found.values), "extend": found.extend,
    }  # fmt: skip
    made = shared(header("generation"), lambda write: {"generation": plain, **family(found.turns, write)})
    return written(made, path, indent)
