"""All pieces of models that decide on their resolution, against torch's own counter at sizes drawn from the range.

    python -m benchmarks.pieces [ACCEPTED]

For each model: how long ``report.pieces(H=(32, 1024), W="H", B=(1, 64))`` takes, how many pieces and refused regions there are,
and at how many points ``pieces.macs`` is what ``FlopCounterMode`` counts afresh on meta, or undefined where the model raises.
Sides are drawn, each with a batch, until the model has accepted so many points (200); of a model that takes few sides (MaxViT
takes multiples of 224) every side of the range is tried, and those it takes again at further batches.
"""

from __future__ import annotations

import importlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import fxcount
import fxcount.adapters.torchvision_ops

MODELS: dict[str, Callable[[], Any]] = {
    "swin_t": lambda: importlib.import_module("torchvision").models.swin_t(weights=None),
    "swin_v2_t": lambda: importlib.import_module("torchvision").models.swin_v2_t(weights=None),
    "maxvit_tiny_tf_224": lambda: importlib.import_module("timm").create_model("maxvit_tiny_tf_224", pretrained=False),
}
SIDES = range(32, 1025)
BATCHES = range(1, 65)


def counted(model: torch.nn.Module, batch: int, side: int) -> int | None:
    """What torch counts, ``None`` if the model raises."""
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(batch, 3, side, side, device="meta"))
    except Exception:
        return None
    return counter.get_total_flops()


def claimed(formula: Any, batch: int, side: int) -> int | None:
    """The Piecewise at a size, ``None`` where it has no piece."""
    values = {s: {"B": batch, "H": side}[s.name] for s in formula.free_symbols}
    for expr, condition in formula.args:
        if condition.subs(values) == True:  # noqa: E712 - sympy's true
            return 2 * int(expr.subs(values))
    return None


def compared(model: torch.nn.Module, formula: Any, accepted: int) -> Iterator[tuple[int, int, int | None, int | None]]:
    """Batch, side, torch's count and the claim, at so many points that the model takes and those that it did not on the way."""
    chance = random.Random(7)
    takes = []
    for side in chance.sample(SIDES, len(SIDES)):
        batch = chance.choice(BATCHES)
        truth = counted(model, batch, side)
        takes += [(batch, side)] if truth is not None else []
        yield batch, side, truth, claimed(formula, batch, side)
        if len(takes) == accepted:
            return
    sides = sorted({side for _, side in takes})
    others = [(batch, side) for side in sides for batch in BATCHES if (batch, side) not in takes]
    for batch, side in chance.sample(others, min(accepted - len(takes), len(others))):
        yield batch, side, counted(model, batch, side), claimed(formula, batch, side)


def main(accepted: int) -> None:
    """Print one line for each model."""
    for name, build in MODELS.items():
        with torch.device("meta"):
            model = build().eval()
        report = fxcount.analyze(model, "B,3,H,W")
        start = time.process_time()
        pieces = report.pieces(H=(SIDES[0], SIDES[-1]), W="H", B=(BATCHES[0], BATCHES[-1]))
        seconds = time.process_time() - start
        found = list(compared(model, pieces.macs, accepted))
        wrong = [(batch, side) for batch, side, truth, claim in found if truth != claim]
        refused = sum(truth is None for _, _, truth, _ in found)
        print(
            f"{name}: {len(pieces)} pieces, {len(pieces.refused)} refused regions in {seconds:.2f} s CPU;",
            f"{len(found) - refused} sizes that the model takes and {refused} that it refuses,",
            f"{len(wrong)} of them wrong{':' * bool(wrong)}", *wrong, flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
