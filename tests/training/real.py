"""What a training step really holds: runs of eager torch on the CPU, watched in three ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from tests.oracles import StorageTracker

__all__ = ["Truth", "allocated_at_most", "optimizer_peaks", "plain_peak", "run", "sum_of", "tracked"]

Loss = Callable[[Any], torch.Tensor]


def sum_of(result: Any) -> torch.Tensor:
    """The sum of all outputs that have a gradient, added up as they come."""
    total = None
    for tensor in _tensors(result):
        if tensor.requires_grad:
            one = tensor.sum()
            total = one if total is None else total + one
    assert total is not None
    return total


def _tensors(x: Any) -> list[torch.Tensor]:
    if isinstance(x, torch.Tensor):
        return [x]
    if hasattr(x, "to_tuple"):
        x = x.to_tuple()
    if isinstance(x, Mapping):
        x = list(x.values())
    return [t for part in x for t in _tensors(part)] if isinstance(x, (tuple, list)) else []


@dataclass(frozen=True)
class Truth:
    """Bytes and FLOPs of one real step, as a tracker of dispatched ops and torch's counter see them."""

    saved: int
    forward_peak: int
    peak: int
    gradients: int
    forward_flops: int
    backward_flops: int


def _held(model: nn.Module) -> set[int]:
    return {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())}


def run(model: nn.Module, *args: Any, loss: Loss = sum_of, kwargs: Mapping[str, Any] | None = None) -> Truth:
    """Three steps of the model, each watched in one way."""
    named = dict(kwargs or {})
    inputs = [t for t in tree_leaves((args, named)) if isinstance(t, torch.Tensor)]
    apart = _held(model) | {t.untyped_storage()._cdata for t in inputs}
    kept: dict[int, Any] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        storage = t.untyped_storage()
        if storage._cdata not in apart:
            kept[storage._cdata] = storage
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss(model(*args, **named))
    saved = sum(s.nbytes() for s in kept.values())
    kept.clear()
    forward_peak, peak, gradients = tracked(model, *args, loss=loss, kwargs=named)
    with FlopCounterMode(display=False) as counter:
        found = loss(model(*args, **named))
        forward = counter.get_total_flops()
        found.backward()
        total = counter.get_total_flops()
    _forget(model)
    return Truth(saved, forward_peak, peak, gradients, forward, total - forward)


def tracked(
    model: nn.Module, *args: Any, loss: Loss = sum_of, kwargs: Mapping[str, Any] | None = None
) -> tuple[int, int, int]:
    """Peaks of the forward and of all, and bytes of the gradients, as a tracker of dispatched ops sees them."""
    named = dict(kwargs or {})
    with StorageTracker(_held(model)) as tracker:
        for t in tree_leaves((args, named)):
            if isinstance(t, torch.Tensor):
                tracker.watch(t)
        tracker.peak = tracker.now
        result = model(*args, **named)
        found = loss(result)
        del result
        forward_peak = tracker.peak
        found.backward()
        peak = tracker.peak
    gradients = {p.grad.untyped_storage()._cdata: p.grad.untyped_storage().nbytes() for p in _graded(model)}
    _forget(model)
    return forward_peak, peak, sum(gradients.values())


def _graded(model: nn.Module) -> list[Any]:
    return [p for p in model.parameters() if p.grad is not None]


def _forget(model: nn.Module) -> None:
    for p in model.parameters():
        p.grad = None


def plain_peak(model: nn.Module, *args: Any, loss: Loss = sum_of, kwargs: Mapping[str, Any] | None = None) -> int:
    """Bytes alive at the end of a top-level op of an unwatched step, at most, the inputs included."""
    named = dict(kwargs or {})

    def step() -> Any:
        result = model(*args, **named)
        total = loss(result)
        del result
        total.backward()
        return total

    allocated = allocated_at_most(step, lambda: _forget(model))
    return allocated + sum(t.nbytes for t in tree_leaves((args, named)) if isinstance(t, torch.Tensor))


def allocated_at_most(step: Callable[[], Any], after: Callable[[], Any], warm: int = 1) -> int:
    """Bytes a step allocates that are alive at the end of a top-level op, at most: torch's profiler notes what is allocated.

    Inside an op, kernels hold workspaces that no tensor of the step is; the end of an op is past them. Steps before the one
    that counts allocate what torch keeps for later ones; ``after`` each of them things are put back.
    """
    for _ in range(warm + 1):
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as found:
            kept = step()
        after()
        del kept
    events = [(e.start_ns(), e.name() == "[memory]", i, e) for i, e in enumerate(found.profiler.kineto_results.events())]
    events.sort(key=lambda event: event[:3])
    ends: list[int] = []
    for start, is_memory, _, e in events:
        if not is_memory and e.name().startswith("aten::"):
            end = start + e.duration_ns()
            if not ends or start >= ends[-1]:
                ends.append(end)
            else:
                ends[-1] = max(ends[-1], end)
    allocated = [(start, e.nbytes()) for start, is_memory, _, e in events if is_memory]
    now = most = at = 0
    for end in ends:
        while at < len(allocated) and allocated[at][0] <= end:
            now += allocated[at][1]
            at += 1
        most = max(most, now)
    return most


def optimizer_peaks(model: nn.Module, make: Callable[[Any], Any], graded: list[Any] | None = None) -> tuple[int, int, int]:
    """Bytes of gradients, states and temporaries of a first and a second step, at most; bytes of the states.

    ``graded``: the parameters that a backward reaches, if not all that are trained."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    for p in parameters if graded is None else graded:
        p.grad = torch.zeros_like(p)
    optimizer = make(parameters)
    peaks = []
    with StorageTracker(_held(model)) as tracker:
        for p in _graded(model):
            tracker.watch(p.grad)
        gradients = tracker.now
        for state in tree_leaves([list(s.values()) for s in optimizer.state.values()]):
            if isinstance(state, torch.Tensor):
                tracker.watch(state)
        for _ in range(2):
            tracker.peak = tracker.now
            optimizer.step()
            peaks.append(tracker.peak)
        states = tracker.now - gradients
    _forget(model)
    return peaks[0], peaks[1], states
