"""The executable proof: the traced graph, run on real inputs, gives the model's own outputs, at the hint and elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

import fxcount
from benchmarks.zoo.build import on_cpu
from benchmarks.zoo.counter import as_traced
from benchmarks.zoo.entry import Entry, Inputs, tensors
from benchmarks.zoo.sizes import Freedom, smaller

__all__ = ["MAX_MACS", "MAX_PARAMETER_BYTES", "points", "prove", "small_enough"]

MAX_PARAMETER_BYTES = 600 << 20
MAX_MACS = 20 * 10**9
"""Larger models are not run."""


def small_enough(report: fxcount.Report) -> bool:
    """Whether the model can be built and run here, at the hint."""
    return 4 * report.params.total <= MAX_PARAMETER_BYTES and report.at(guess=True, **report.symbols).macs <= MAX_MACS


def prove(entry: Entry, report: fxcount.Report, inputs: Inputs, free: Freedom) -> dict[str, Any]:
    """Run the model and its trace with the same random weights and inputs.

    ``status`` is ``passed`` (outputs agree at every size tried), ``failed``, or ``skipped`` with the reason;
    ``at`` are the sizes tried and ``error`` the first disagreement.
    """
    if 4 * report.params.total > MAX_PARAMETER_BYTES:
        return {"status": "skipped", "reason": "more weights than are run"}
    sizes = list(points(report, free.other))
    if not sizes:
        return {"status": "skipped", "reason": "more work than is run"}
    try:
        model = on_cpu(entry)
    except Exception as error:
        return {"status": "skipped", "reason": f"cannot be built on the CPU: {type(error).__name__}: {str(error)[:200]}"}
    done: list[dict[str, int]] = []
    try:
        real = fxcount.analyze(model, *inputs.args, hints=inputs.hints, **inputs.kwargs)
        as_built = copy.deepcopy(model.state_dict())  # some hold more than tensors
        for values in sizes:
            model.load_state_dict(as_built)  # one that keeps something of its first batch starts anew
            outcome = _compare(model, real, inputs, values)
            if outcome["status"] != "passed":
                return {**outcome, "at": [*done, values]}
            done.append(values)
    except Exception as error:
        return {"status": "failed", "at": done, "error": f"{type(error).__name__}: {str(error).strip()[:400]}"}
    return {"status": "passed", "at": done}


def points(report: fxcount.Report, other: dict[str, int]) -> Iterator[dict[str, int]]:
    """At most two sizes small enough to run: the hint and the other size, or smaller ones where these are too large."""
    found: list[dict[str, int]] = []
    for values in (dict(report.symbols), other, *smaller(report)):
        if len(found) < 2 and values not in found and report.at(guess=True, **values).macs <= MAX_MACS:
            found.append(values)
            yield values


def _compare(model: nn.Module, report: fxcount.Report, inputs: Inputs, values: dict[str, int]) -> dict[str, Any]:
    torch.manual_seed(11)
    args, kwargs = tensors((inputs.args, dict(inputs.kwargs)), {**inputs.hints, **values}, "cpu", inputs.below)
    given = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    try:
        torch.manual_seed(13)
        with torch.no_grad(), as_traced():
            expected = model(*args, **kwargs)
    except Exception as error:
        return {"status": "skipped", "reason": f"the model itself stops: {type(error).__name__}: {str(error).strip()[:300]}"}
    torch.manual_seed(13)  # a model that drops out in eval mode too draws the same
    with torch.no_grad():
        found = report.graph_module(*given)
    mine, theirs = _tensors(found, expected)
    if not theirs or len(mine) != len(theirs):
        return {"status": "failed", "error": f"{len(mine)} tensors come out of the graph, {len(theirs)} of the model"}
    if all(not bool(torch.isfinite(t).any()) for t in theirs if t.is_floating_point() and t.numel()):
        return {"status": "skipped", "reason": "with random weights the model gives no finite number"}
    for a, b in zip(mine, theirs):
        try:
            rtol, atol = _tolerance(b)
            torch.testing.assert_close(a, b, equal_nan=True, rtol=rtol, atol=atol)
        except AssertionError as error:
            return {"status": "failed", "error": " ".join(str(error).split())[:400]}
    return {"status": "passed"}


def _tolerance(t: torch.Tensor) -> tuple[float, float]:
    """Relative and absolute. Random weights make outputs of any size; rounding errors grow with the largest of them."""
    if not t.is_floating_point() or not t.numel():
        return 0.0, 0.0
    largest = float(t[torch.isfinite(t)].abs().max()) if bool(torch.isfinite(t).any()) else 1.0
    eps = float(torch.finfo(t.dtype).eps)
    return 1e-4 if eps < 1e-6 else 20 * eps, 200 * eps * max(largest, 1e-6)


def _tensors(found: Any, expected: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The tensors of both outputs in one order; entries of a class of their own (a cache) are left out."""
    if isinstance(expected, dict):
        expected = {k: v for k, v in expected.items() if isinstance(v, (torch.Tensor, tuple, list)) and k in found}
        found = {k: found[k] for k in expected}
    return _flat(found), _flat(expected)


def _flat(result: Any) -> list[torch.Tensor]:
    return [t for t in pytree.tree_leaves(result) if isinstance(t, torch.Tensor)]
