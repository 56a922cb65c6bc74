"""Is what fxcount predicts what a GPU holds? Inference and a training step with AdamW, against CUDA's own allocator.

    python -m benchmarks.gpu_memory [--models NAME ...] [--predict] [--write]

The prediction is made of a model on the meta device with ``device="cuda"``, once and with symbols: nothing runs, and no GPU is
asked. The model then runs on a GPU at three batch sizes. ``requested_bytes.all.peak`` is what tensors and libraries asked the
allocator for, ``max_memory_allocated`` the same after rounding to 512 bytes. Beside tensors both hold the workspaces of cuBLAS
and cuDNN: cuBLAS' are turned off here (``CUBLAS_WORKSPACE_CONFIG=:0:0``), cuDNN's cannot be. ``--write`` writes GPU_MEMORY.md
with the date, the device and torch. Without a GPU it says so and writes nothing; ``--predict`` predicts anew, beside what is
measured in the page.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":0:0")
os.environ.setdefault("CUBLASLT_WORKSPACE_SIZE", "0")

import torch

import fxcount
from benchmarks.tables import rows_of, table

__all__ = ["CASES", "PAGE", "Case", "Cell", "again", "main", "measured", "predictions"]

PAGE = Path(__file__).resolve().parent / "GPU_MEMORY.md"
_STEPS = 3  # the last of them is measured: the steady state


@dataclass(frozen=True)
class Case:
    """A model, its input with the batch named, the real input at a batch, and the batches."""

    name: str
    build: Callable[[], torch.nn.Module]
    given: dict[str, Any]
    real: Callable[[int], dict[str, torch.Tensor]]
    batches: tuple[int, int, int]
    classes: int
    labels: str = "i64[B]"


@dataclass(frozen=True)
class Cell:
    """Bytes predicted and measured of one model, in one mode, at one batch."""

    model: str
    mode: str
    batch: int
    predicted: int = 0
    requested: int = 0
    predicted_allocated: int = 0
    allocated: int = 0
    error: str = ""
    with_copies: int = 0


def _part(predicted: int, measured: int) -> str:
    """How much a prediction is above what was measured, as a part of it."""
    return "exact" if predicted == measured else f"{100 * (predicted / measured - 1):+.3f}%"


def _resnet() -> torch.nn.Module:
    import torchvision

    model: torch.nn.Module = torchvision.models.resnet50()
    return model


def _vit() -> torch.nn.Module:
    import torchvision

    model: torch.nn.Module = torchvision.models.vit_b_16()
    return model


def _llama() -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
        vocab_size=128256, tie_word_embeddings=True, use_cache=False,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(torch.bfloat16)


def _image(batch: int) -> dict[str, torch.Tensor]:
    return {"x": torch.randn(batch, 3, 224, 224, device="cuda")}


def _tokens(batch: int) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.randint(0, 128256, (batch, 512), device="cuda")}


def _loss(result: Any, labels: torch.Tensor) -> torch.Tensor:
    logits = getattr(result, "logits", result)
    return torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())


CASES = (
    Case("resnet50", _resnet, {"x": "B,3,224,224"}, _image, (3, 17, 64), 1000),
    Case("vit_b_16", _vit, {"x": "B,3,224,224"}, _image, (3, 17, 64), 1000),
    Case("llama_1b_bf16", _llama, {"input_ids": "i64[B,512]"}, _tokens, (1, 3, 7), 128256, "i64[B,512]"),
)


def _run(forward: Callable[[], object]) -> tuple[int, int]:
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    forward()
    torch.cuda.synchronize()
    stats = torch.cuda.memory_stats()
    return stats["requested_bytes.all.peak"], stats["allocated_bytes.all.peak"]


def predictions(case: Case) -> Iterator[Cell]:
    """What a GPU will hold, of a model on the meta device."""
    with torch.device("meta"):
        model = case.build()
    with torch.no_grad():
        forward = fxcount.analyze(model.eval(), **case.given, device="cuda")
        for batch in case.batches:
            yield _predicted(case, "inference", batch, forward.at(B=batch))
    step = fxcount.training_step(
        model.train(), loss=_loss, targets=case.labels, optimizer="adamw", kwargs=case.given, device="cuda"
    )
    for batch in case.batches:
        yield _predicted(case, "AdamW step", batch, step.at(B=batch))


def _predicted(case: Case, mode: str, batch: int, report: Any) -> Cell:
    found = report.allocator(multiprocessors=_MULTIPROCESSORS)
    bound = report.allocator(multiprocessors=_MULTIPROCESSORS, cudnn="copies").requested
    return Cell(case.name, mode, batch, found.requested, 0, found.allocated, 0, with_copies=bound)


def _inference(case: Case, model: torch.nn.Module) -> Iterator[tuple[int, int]]:
    model.eval()
    with torch.no_grad():
        for batch in case.batches:
            real = case.real(batch)
            for _ in range(_STEPS):
                held = _run(lambda real=real: model(**real))  # type: ignore[misc]
            yield held


def _training(case: Case, model: torch.nn.Module) -> Iterator[tuple[int, int]]:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters())
    for batch in case.batches:
        real = case.real(batch)
        labels = torch.randint(0, case.classes, _shape(case.labels, batch), device="cuda")

        def step(real: dict[str, torch.Tensor] = real, labels: torch.Tensor = labels) -> None:
            optimizer.zero_grad()
            loss = _loss(model(**real), labels)
            loss.backward()
            optimizer.step()

        for _ in range(_STEPS):
            optimizer.zero_grad()
            held = _run(step)
        yield held


def _shape(spec: str, batch: int) -> list[int]:
    """``i64[B,512]`` at a batch."""
    return [batch if n == "B" else int(n) for n in spec.partition("[")[2].rstrip("]").split(",")]


def measured(case: Case) -> Iterator[Cell]:
    """The rows of one model; what fails is a row, too."""
    foretold = list(predictions(case))
    for mode, run in (("inference", _inference), ("AdamW step", _training)):
        gc.collect()
        torch.cuda.empty_cache()
        rows = [cell for cell in foretold if cell.mode == mode]
        try:
            for cell, (requested, allocated) in zip(rows, run(case, case.build().cuda()), strict=True):
                yield replace(cell, requested=requested, allocated=allocated)
        except Exception as error:  # a row says what went wrong, and the others go on
            traceback.print_exc()
            yield Cell(case.name, mode, 0, error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def again(page: str) -> list[Cell]:
    """The rows of a page with new predictions."""
    rows = [row for row in rows_of(page) if len(row) > 6 and row[2].isdigit()]
    found = {tuple(row[:3]): tuple([int(row[i].replace(",", "")) for i in (4, 6)]) for row in rows}
    cells = [cell for case in CASES for cell in predictions(case)]
    return [
        replace(cell, requested=requested, allocated=allocated)
        for cell in cells for requested, allocated in [found[cell.model, cell.mode, str(cell.batch)]]
    ]  # fmt: skip


_MULTIPROCESSORS = 132
"""Of an H100 and an H200: reductions take scratch memory by their number."""

_HEAD = ["model", "mode", "batch", "predicted", "requested", "off", "allocated", "predicted of allocated", "with copies", "off"]
_MEASURED = "Measured: "


def _page(cells: Sequence[Cell], about: str) -> str:
    rows = [
        [c.model, c.mode, str(c.batch), f"{c.predicted:,}", f"{c.requested:,}", _part(c.predicted, c.requested),
         f"{c.allocated:,}", _part(c.predicted_allocated, c.allocated), f"{c.with_copies:,}", _part(c.with_copies, c.requested)]
        if not c.error else [c.model, c.mode, "-", c.error, *[""] * 6]
        for c in cells
    ]  # fmt: skip
    text = (
        "# Bytes predicted and bytes on a GPU\n\n"
        "Written by `python -m benchmarks.gpu_memory --write`. Predicted without a GPU,\n"
        f"on the meta device with `device=\"cuda\"`, by torch {torch.__version__}.\n\n{_MEASURED}{about}\n\n"
        "`predicted`: `report.allocator(multiprocessors=132).requested`, before anything ran; *predicted of allocated*: its\n"
        "`allocated`; `requested` and `allocated`: peaks of CUDA's allocator in the third run, before and after rounding to\n"
        "512 bytes. cuBLAS' workspaces are turned off. cuDNN's, of a convolution's weight gradient above all, are in the\n"
        "measured numbers, and are no tensors of the model. Rounding depends on what other batches left in the allocator.\n\n"
        "`with copies`: the same with the optional term `allocator(..., cudnn=\"copies\")`: each convolution, and each of\n"
        "its backwards, holds a copy of all that it reads and writes for a moment. NVIDIA documents no size of these\n"
        "workspaces: the term is what a kernel needs that works in another layout than its tensors, which is more than\n"
        "most take.\n"
        f"{_below(cells)}\n\n"
    )
    return text + table(_HEAD, rows) + "\n"


def _below(cells: Sequence[Cell]) -> str:
    """How many rows are below what a GPU was asked for, without the term and with it."""
    rows = [c for c in cells if not c.error]
    without, bound = (sum([n(c) < c.requested for c in rows]) for n in (lambda c: c.predicted, lambda c: c.with_copies))
    return f"Below `requested` are {without} of {len(rows)} rows without the term, and {bound} with it."


def _here() -> str:
    python = sys.version.split()[0]
    return f"{datetime.date.today()}, {torch.cuda.get_device_name()}, torch {torch.__version__}, Python {python}."


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and with ``--write`` keep the table; 0 also without a GPU, which is said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[c.name for c in CASES], choices=[c.name for c in CASES])
    parser.add_argument("--predict", action="store_true", help="predict anew, beside what is measured in the page")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--lines", type=Path, help="also put each row into this file, as a line of JSON")
    options = parser.parse_args(argv)
    if options.predict:
        page = PAGE.read_text()
        about = next(line.removeprefix(_MEASURED) for line in page.splitlines() if line.startswith(_MEASURED))
        page = _page(again(page), about)
        print(page)
        if options.write:
            PAGE.write_text(page)
        return 0
    if not torch.cuda.is_available():
        print("not measured: there is no GPU here")
        return 0
    cells = []
    for case in CASES:
        if case.name in options.models:
            for cell in measured(case):
                print(cell, flush=True)
                cells.append(cell)
                if options.lines:
                    with options.lines.open("a") as file:
                        file.write(json.dumps(asdict(cell)) + "\n")
    print(_page(cells, _here()))
    if options.write:
        PAGE.write_text(_page(cells, _here()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
