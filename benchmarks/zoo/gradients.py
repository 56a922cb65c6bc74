"""The proof of dead parameters: those the report names are those that autograd gives no gradient, on a real run."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree

import fxcount
from benchmarks.zoo.build import on_cpu
from benchmarks.zoo.counter import as_traced
from benchmarks.zoo.entry import Entry, Inputs, tensors
from benchmarks.zoo.proof import points

__all__ = ["compare_dead"]


def compare_dead(entry: Entry, report: fxcount.Report, inputs: Inputs, other: dict[str, int]) -> dict[str, Any]:
    """``status`` is ``equal``, ``differs`` or ``skipped``; ``number`` of parameters without a gradient, and where they differ
    ``only_ours`` and ``only_autograd``.

    The model is in eval mode, as in the report; the loss is the sum of all its outputs.
    """
    sizes = list(points(report, other))
    if not sizes:
        return {"status": "skipped", "reason": "more work than is run"}
    try:
        model = on_cpu(entry, trainable=True)
        with torch.enable_grad():
            found = fxcount.analyze(model, *inputs.args, hints=inputs.hints, **inputs.kwargs)
            ours = {row.name for row in found.params.rows("dead")}
            theirs = _without_gradient(model, inputs, sizes[0])
        if theirs is None:
            return {"status": "skipped", "reason": "no output asks for a gradient"}
    except Exception as error:
        return {"status": "skipped", "reason": f"{type(error).__name__}: {str(error).strip()[:300]}"}
    differs = {"only_ours": sorted(ours - theirs)[:5], "only_autograd": sorted(theirs - ours)[:5]}
    return {"status": "equal", "number": len(theirs)} if ours == theirs else {"status": "differs", **differs}


def _without_gradient(model: torch.nn.Module, inputs: Inputs, values: dict[str, int]) -> set[str] | None:
    args, kwargs = tensors((inputs.args, dict(inputs.kwargs)), {**inputs.hints, **values}, "cpu", inputs.below)
    with as_traced():
        outputs = [t for t in pytree.tree_leaves(model(*args, **kwargs)) if isinstance(t, torch.Tensor) and t.requires_grad]
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not outputs:
        return None
    # not autograd.grad, which says nothing of those that a custom function's backward reaches by itself
    torch.stack([t.sum().abs() for t in outputs]).sum().backward()
    return {name for name, p in named.items() if p.grad is None}
