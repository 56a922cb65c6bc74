"""Measured time of each module call: the model runs, with clocks in hooks.

Everything else in fxcount is worked out without running anything; this is the one place that runs the model, on the device its
weights are on, and only when asked to.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.ops.sparse.real import random_sparse
from fxcount.symbolic import evaluate
from fxcount.torch_private import pytree
from fxcount.trace.inputs.census import Census
from fxcount.trace.inputs.specs import InputSpec, Plain, default_hints, parse_inputs
from fxcount.trace.torch_patch.preserve import preserved

__all__ = ["Measurement", "TimedCall", "measure"]


@dataclass(frozen=True, slots=True)
class TimedCall:
    """One call of a module: the ``number``-th of this very module, its seconds, and those without its submodules'.

    ``share`` is ``own_seconds`` as a part of the model's seconds; the shares of all calls add up to 1."""

    module_id: int
    path: str
    class_name: str
    depth: int
    number: int
    seconds: float
    own_seconds: float
    share: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """Seconds of the model and of each module call: medians over ``runs`` runs on ``device``."""

    model_name: str
    device: str
    runs: int
    seconds: float
    rows: tuple[TimedCall, ...]

    def table(self, depth: int | None = 2) -> str:
        """The rows down to ``depth`` as text, in milliseconds."""
        lines = [f"{self.model_name} on {self.device}: {1e3 * self.seconds:.3f} ms, median of {self.runs} runs"]
        for row in self.rows:
            if depth is None or row.depth <= depth:
                name = "  " * row.depth + (row.path.rpartition(".")[2] or self.model_name) + f": {row.class_name}"
                again = f" (call {row.number})" if row.number > 1 else ""
                share = row.seconds / self.seconds if self.seconds else 0.0
                lines.append(f"{name + again:50} {1e3 * row.seconds:10.3f} ms {share:7.1%}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()


@dataclass(slots=True)
class _Span:
    """A call that runs: when it began, when it ended, and the call around it."""

    module: nn.Module
    parent: int
    begin: Any
    end: Any = None


def measure(
    model: nn.Module,
    /,
    *inputs: Any,
    repeat: int = 5,
    warmup: int = 1,
    hints: Mapping[str, int] | None = None,
    **named_inputs: Any,
) -> Measurement:
    """Run ``model`` and measure every module call, without gradients and in the mode the model is in.

    Inputs are written as for :func:`fxcount.analyze`; symbols take their hints, and the data of inputs given by shape are
    random (floats) or zero (integers, booleans). Tensors are used as they are. Seconds are medians over ``repeat`` runs after
    ``warmup`` runs; on CUDA they are those of the device, from events. Clocks cost a few microseconds a call, and hooks
    keep ``nn.TransformerEncoderLayer`` off its fused fast path. Hooks, buffers, gradients and random states are as before
    when this returns, also after an error.

    Raises:
        InputError: the model is on ``meta``, or ``repeat`` is not positive.

    >>> timed = measure(nn.Sequential(nn.Linear(3, 5), nn.ReLU()), "B,3", repeat=2)
    >>> [(row.path, row.class_name) for row in timed.rows]
    [('', 'Sequential'), ('0', 'Linear'), ('1', 'ReLU')]
    >>> abs(sum(row.share for row in timed.rows) - 1) < 1e-9
    True
    """
    if repeat < 1 or warmup < 0:
        raise InputError(f"measure(repeat={repeat}, warmup={warmup})", hint="repeat at least once")
    held = [*model.parameters(), *model.buffers()]
    device = held[0].device if held else torch.get_default_device()
    if any([t.is_meta for t in held]):
        raise InputError(
            f"{type(model).__name__} is on meta: it holds no weights to run with",
            hint="build it on a device, or let fxcount.summary(..., col_names=['time_percent']) estimate its time",
        )
    dtype = next((p.dtype for p in held if p.dtype.is_floating_point), torch.get_default_dtype())
    args, kwargs = _tensors((inputs, named_inputs), dict(hints or {}), device, dtype)
    names = {id(m): path for path, m in reversed(list(model.named_modules(remove_duplicate=False)))}
    clock = _Events(device) if device.type == "cuda" else _Clock()
    runs = []
    with _kept(model), torch.no_grad():
        for _ in range(warmup):
            model(*args, **kwargs)
        for _ in range(repeat):
            with _hooked(model, clock.now) as spans:
                model(*args, **kwargs)
            runs.append((spans, clock.seconds(spans)))
    return _collected(type(model).__name__, str(device), runs, names)


class _Clock:
    """Wall-clock time, for devices that run what they are told at once."""

    now = staticmethod(time.perf_counter)

    def seconds(self, spans: Sequence[_Span]) -> list[float]:
        return [s.end - s.begin for s in spans]


class _Events:
    """Events in the stream of a CUDA device, read after it has caught up."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def now(self) -> Any:
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event

    def seconds(self, spans: Sequence[_Span]) -> list[float]:
        torch.cuda.synchronize(self.device)
        return [1e-3 * float(s.begin.elapsed_time(s.end)) for s in spans]


@contextmanager
def _hooked(model: nn.Module, now: Callable[[], Any]) -> Iterator[list[_Span]]:
    """Spans of all module calls that finish inside the block, in the order they began."""
    spans: list[_Span] = []
    running: list[int] = []

    def before(module: nn.Module, _: Any) -> None:
        spans.append(_Span(module, running[-1] if running else -1, None))
        running.append(len(spans) - 1)
        spans[-1].begin = now()

    def after(module: nn.Module, _: Any, result: Any) -> None:
        spans[running.pop()].end = now()

    handles: list[Any] = []
    try:
        for module in dict.fromkeys(model.modules()):
            handles.append(module.register_forward_pre_hook(before))
            handles.append(module.register_forward_hook(after))
        yield spans
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _kept(model: nn.Module) -> Iterator[None]:
    """Buffers (running statistics, counters), attributes and random states survive the block."""
    before = [(b, b.detach().clone()) for b in model.buffers()]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with preserved(Census.of(model)), torch.random.fork_rng():
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        with torch.no_grad():
            for buffer, data in before:
                buffer.copy_(data)


def _tensors(
    given: tuple[tuple[Any, ...], dict[str, Any]], hints: dict[str, int], device: torch.device, dtype: torch.dtype
) -> Any:
    """The arguments with a tensor for each input given by shape."""

    def is_leaf(x: Any) -> bool:
        return isinstance(x, (InputSpec, Plain, torch.Tensor))

    raw, tree = pytree.tree_flatten(_keep_tensors(given), is_leaf=is_leaf)
    specs = [leaf for leaf in raw if isinstance(leaf, InputSpec)]
    values = default_hints(specs, hints)
    made = [
        _given(leaf, values, device, dtype) if isinstance(leaf, InputSpec) else leaf.value if isinstance(leaf, Plain) else leaf
        for leaf in raw
    ]
    return pytree.tree_unflatten(made, tree)


def _keep_tensors(given: Any) -> Any:
    """Specifications for everything that describes an input, but real tensors as they are."""
    if isinstance(given, torch.Tensor):
        return given
    if isinstance(given, dict):
        return {k: _keep_tensors(v) for k, v in given.items()}
    if type(given) in (list, tuple) and not isinstance(parse_inputs(given), InputSpec):
        return type(given)(_keep_tensors(g) for g in given)
    return parse_inputs(given)


def _given(spec: InputSpec, values: Mapping[str, int], device: torch.device, dtype: torch.dtype) -> Any:
    made = _tensor(spec, values, device, dtype)
    return made.cpu().numpy() if spec.array else made


def _tensor(spec: InputSpec, values: Mapping[str, int], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    shape = [evaluate(s, values) for s in spec.shape]
    kind = spec.dtype or dtype
    place = spec.device or device
    if spec.data is not None:
        return spec.data.to(place)
    if spec.layout is not torch.strided:
        entries = math.prod(shape) if spec.form is None else evaluate(spec.form.stored, values)
        return random_sparse(shape, entries, spec.layout, kind).to(place)
    if kind.is_floating_point or kind.is_complex:
        return torch.randn(shape, dtype=kind, device=place)
    return torch.zeros(shape, dtype=kind, device=place)


def _collected(
    model_name: str, device: str, runs: Sequence[tuple[list[_Span], list[float]]], names: Mapping[int, str]
) -> Measurement:
    """Medians call by call; a run that called other modules than the first is left out."""
    spans = runs[0][0]
    order = [id(s.module) for s in spans]
    alike = [seconds for found, seconds in runs if [id(s.module) for s in found] == order]
    medians = [statistics.median(each) for each in zip(*alike)]
    own = list(medians)
    depths: list[int] = []
    for span, seconds in zip(spans, medians):
        depths.append(depths[span.parent] + 1 if span.parent >= 0 else 0)
        if span.parent >= 0:
            own[span.parent] -= seconds
    own = [max(0.0, seconds) for seconds in own]
    total = sum(own)
    numbers: dict[int, int] = {}
    rows = []
    for i, span in enumerate(spans):
        key = id(span.module)
        numbers[key] = numbers.get(key, 0) + 1
        rows.append(
            TimedCall(
                key, names.get(key, ""), type(span.module).__name__, depths[i], numbers[key], medians[i], own[i],
                own[i] / total if total else 0.0,
            )
        )  # fmt: skip
    return Measurement(model_name, device, len(alike), medians[0], tuple(rows))
