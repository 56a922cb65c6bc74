"""What fxcount is held to: torch's own counter on meta tensors, and a tracker of storages on a real eager run."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.tables import rows_of

__all__ = ["StorageTracker", "as_traced", "counted_flops", "held_by_a_gpu", "tracked_peak", "unfused"]


def held_by_a_gpu(model: str, mode: str, batch: int) -> tuple[int, int]:
    """Bytes that CUDA's allocator was asked for and that it handed out, as they were measured on an H200."""
    page = Path(__file__).parent.parent / "benchmarks" / "GPU_MEMORY.md"
    (row,) = [row for row in rows_of(page.read_text(encoding="utf-8")) if row[:3] == [model, mode, str(batch)]]
    requested, allocated = (int(row[i].replace(",", "")) for i in (4, 6))
    return requested, allocated


@contextmanager
def unfused() -> Iterator[None]:
    """A plain run, but attention is not fused into torch's fast path for inference."""
    before = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def as_traced() -> Iterator[None]:
    """A run on meta tensors, which have no data: libraries take the paths they take where nobody knows any."""
    flags = [f for f in ("_is_compiling_flag", "_is_exporting_flag") if hasattr(torch.compiler, f)]  # the second since 2.7
    before = [getattr(torch.compiler, flag) for flag in flags]
    try:
        for flag in flags:
            setattr(torch.compiler, flag, True)
        with unfused():
            yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            setattr(torch.compiler, flag, value)


def counted_flops(model: nn.Module, *args: Any, **kwargs: Any) -> int:
    """Flops of contractions by torch's ``FlopCounterMode``: two for each multiply-accumulate.

    The model must be on meta. Gradients are off at the parameters, not by ``no_grad``, under which the counter's own
    module hooks fail on some models.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with as_traced(), FlopCounterMode(display=False) as counter:
        model(*args, **kwargs)
    return int(counter.get_total_flops())


class StorageTracker(TorchDispatchMode):
    """Bytes of all storages that ATen calls return, each from its first sight to its end; ``ignored`` ones apart."""

    def __init__(self, ignored: set[int]) -> None:
        super().__init__()
        self.ignored = ignored
        self.alive: dict[int, int] = {}
        self.now = self.peak = 0

    def watch(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.alive or key in self.ignored:
            return
        self.alive[key] = storage.nbytes()
        self.now += self.alive[key]
        weakref.finalize(storage, self._end, key)

    def _end(self, key: int) -> None:
        self.now -= self.alive.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.watch(leaf)
        self.peak = max(self.peak, self.now)
        return result


def tracked_peak(model: nn.Module, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> int:
    """Largest number of bytes alive during an eager inference, inputs included, parameters and buffers not."""
    ignored = {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())}
    with torch.no_grad(), StorageTracker(ignored) as tracker, unfused():
        for leaf in tree_leaves((args, dict(kwargs or {}))):
            if isinstance(leaf, torch.Tensor):
                tracker.watch(leaf)
        tracker.peak = tracker.now
        model(*args, **(kwargs or {}))
    return tracker.peak
