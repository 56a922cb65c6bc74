"""ptflops' ATen back end with the user's own rules: which kernels the calls of a trace become, as torch itself says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from fxcount import torch_private
from fxcount.compat.analysis import located
from fxcount.errors import InputError
from fxcount.ops.core.tree import mapped
from fxcount.report import Report
from fxcount.symbolic import Expr, Size, sum_
from fxcount.trace.tape import Call, Value

__all__ = ["kernel_counts"]

Handle = Callable[[Any, Any], Any]


def kernel_counts(report: Report, ignored: frozenset[Any], handles: Mapping[Any, Handle]) -> Any:
    """ptflops' count of kernels. Calls that reach an ignored kernel, or one with a handle, are asked kernel by kernel."""
    counts: dict[int, Size] = {found.start: found.counted for found in located(report, "ptflops-aten")}
    if ignored or handles:
        for call in report.trace.calls:
            asked = _asked(call, counts.get(call.index, 0) != 0, ignored, handles)
            if asked is not None:
                counts[call.index] = asked
    return sum_(list(counts.values()))


def _asked(call: Call, counted: bool, ignored: frozenset[Any], handles: Mapping[Any, Handle]) -> Any:
    """The count of a call some of whose kernels are ignored or have a handle; ``None`` if none of them is."""
    kernels = _kernels(call)
    if not any([packet in ignored or packet in handles for packet, _, _ in kernels]):
        return None
    total: Any = 0
    for packet, args, outputs in kernels:
        if packet in handles and packet not in ignored:
            total += handles[packet](args, outputs)
        elif counted and packet not in ignored and packet in _USUAL:
            total += _USUAL[packet](args, outputs)
    return total


def _kernels(call: Call) -> list[tuple[Any, tuple[Any, ...], tuple[Any, ...]]]:
    """The kernels a call runs on a CPU, with their arguments and results: tensors without data."""
    found: list[tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = []

    class Seen(torch_private.TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            found.append((func.overloadpacket, args, result if isinstance(result, tuple) else (result,)))
            return result

    with torch_private.FakeTensorMode(), torch.set_grad_enabled(call.grad_enabled):
        args, kwargs = mapped(_without_data, (call.args, call.kwargs))
        with Seen():
            call.func(*args, **kwargs)
    return found


def _without_data(leaf: Any) -> Any:
    if isinstance(leaf, Expr):
        raise InputError(f"kernels cannot be asked about the size {leaf}", hint="give inputs without symbols")
    if not isinstance(leaf, Value):
        return leaf
    fact = leaf.fact
    for size in fact.shape:
        _without_data(size)
    trained = leaf.origin == "parameter" and fact.dtype.is_floating_point  # how a product is cut depends on it
    return torch.empty_strided(fact.shape, fact.stride(), dtype=fact.dtype, requires_grad=trained)  # type: ignore[arg-type]


def _matmul(args: Any, outputs: Any) -> int:
    return int(args[0].numel() * args[1].shape[-1])


def _addmm(args: Any, outputs: Any) -> int:
    return int(args[1].numel() * args[2].shape[-1] + outputs[0].numel())


def _convolution(args: Any, outputs: Any) -> int:
    x, w, bias = args[:3]
    places = (x if args[6] else outputs[0]).shape[2:]
    return int(x.shape[0] * w.numel() * places.numel() + (outputs[0].numel() if bias is not None else 0))


_ATEN = torch.ops.aten
_USUAL: dict[Any, Handle] = {
    _ATEN.mm: _matmul, _ATEN.bmm: _matmul, _ATEN.matmul: _matmul, _ATEN.addmm: _addmm, _ATEN.convolution: _convolution,
    _ATEN._convolution: _convolution,
}  # fmt: skip
