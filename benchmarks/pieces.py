"""All pieces of models that decide on their resolution, against torch's own counter at sizes drawn from the range.

    python -m benchmarks.pieces [SIZES]

For each model: how long ``report.pieces(H=(32, 1024), W="H", B=1)`` takes, how many pieces and refused regions there are,
and at how many of the sizes drawn (200) ``pieces.macs`` is what ``FlopCounterMode`` counts afresh on meta, or is refused
where the model raises.
"""

from __future__ import annotations

import importlib
import random
import sys
import time
from collections.abc import Callable
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


def counted(model: torch.nn.Module, size: int) -> int | None:
    """What torch counts, ``None`` if the model raises."""
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, size, size, device="meta"))
    except Exception:
        return None
    return counter.get_total_flops()


def claimed(formula: Any, size: int) -> int | None:
    """The Piecewise at a size, ``None`` where it has no piece."""
    for expr, condition in formula.args:
        if condition.subs(dict.fromkeys(condition.free_symbols, size)) == True:  # noqa: E712 - sympy's true
            return 2 * int(expr.subs(dict.fromkeys(expr.free_symbols, size)))
    return None


def main(sizes: int) -> None:
    """Print one line for each model."""
    for name, build in MODELS.items():
        with torch.device("meta"):
            model = build().eval()
        report = fxcount.analyze(model, "B,3,H,W")
        start = time.process_time()
        pieces = report.pieces(H=(32, 1024), W="H", B=1)
        seconds = time.process_time() - start
        drawn = random.Random(7).sample(range(32, 1025), sizes)
        truth = {size: counted(model, size) for size in drawn}
        wrong = [size for size in drawn if claimed(pieces.macs, size) != truth[size]]
        refused = sum(n is None for n in truth.values())
        print(
            f"{name}: {len(pieces)} pieces, {len(pieces.refused)} refused regions in {seconds:.2f} s CPU;",
            f"{sizes - len(wrong)} of {sizes} sizes agree ({refused} refused by the model){'; not ' * bool(wrong)}",
            *sorted(wrong), flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
