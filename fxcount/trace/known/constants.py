"""Tensors whose data are known without inputs or parameters: index tables, masks, ``torch.tensor([...])``.

Ops on them are recorded like any other and also run for real, on small data, so that a model may look at the values
(``.tolist()``, ``int(x)``, ``if x.any()``). A model's own buffers are read but never written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch

from fxcount.ops.core.fact import Alias, Holding, SparseFact, TensorFact, contiguous_strides
from fxcount.ops.core.registry import Op
from fxcount.ops.core.tree import leaves, mapped
from fxcount.ops.sparse.real import LAYOUTS, form_of
from fxcount.symbolic import Expr, SymRatio, SymSize
from fxcount.trace.tape import Call, Value
from fxcount.trace.tracer.standin import StandIn

__all__ = [
    "compute",
    "fact_of",
    "facts_of",
    "known_data",
    "named_result",
    "update",
    "with_data",
]

MAX_KNOWN_NUMEL = 1 << 16
"""Data of more elements than this are not kept: they would cost more than the analysis."""


def fact_of(tensor: torch.Tensor) -> TensorFact:
    """Shape, dtype, device and layout of a real tensor."""
    shape = tuple(int(s) for s in tensor.shape)
    form = form_of(tensor)
    if form is not None:
        return SparseFact(shape, tensor.dtype, tensor.device, form=form)
    strides = None
    if tensor.layout is torch.strided and not tensor.is_contiguous():
        strides = tuple(int(s) for s in tensor.stride())
        if strides == contiguous_strides(shape):
            strides = None
    return TensorFact(shape, tensor.dtype, tensor.device, strides)


def facts_of(known: Any) -> Any:
    """Facts in the place of real tensors."""
    return mapped(lambda leaf: fact_of(leaf) if isinstance(leaf, torch.Tensor) else leaf, known)


def with_data(args: Any, data: Mapping[Value, torch.Tensor], real: bool) -> Any:
    """The arguments with what is known of the data of values: ``real`` tensors in their place if the rule reads them.

    A boolean mask in an index becomes the index tensors it stands for, so that its number of elements is known.
    """
    if isinstance(args, (tuple, list)):
        parts: list[Any] = []
        for a in args:
            known = data.get(a) if type(a) is Value else None
            if known is not None and known.dtype is torch.bool:
                parts.extend(fact_of(i) for i in known.nonzero(as_tuple=True))
            else:
                parts.append(with_data(a, data, real))
        return tuple(parts) if isinstance(args, tuple) else parts
    return data.get(args, args) if real and type(args) is Value else args


def known_data(tensor: torch.Tensor) -> torch.Tensor | None:
    """The tensor itself if it is small and has data."""
    form = form_of(tensor)
    return None if (tensor.numel() if form is None else form.stored) > MAX_KNOWN_NUMEL else real_data(tensor)


def real_data(tensor: torch.Tensor) -> torch.Tensor | None:
    """The tensor itself, without its history, if it has data."""
    if tensor.device.type == "meta" or tensor.layout not in LAYOUTS or type(tensor) not in _REAL:
        return None
    return tensor.detach()


_CPU = torch.device("cpu")
_DEVICE = re.compile(r"(cpu|meta|cuda|mps|xpu)(:\d+)?")
_REAL = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


def compute(
    entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None, result: Any
) -> Any:
    """Run ``func`` on known data; ``None`` if something it needs is not known or the result would be large."""
    if entry.random or not _is_small(result):
        return None
    try:
        if entry.shape_only == (1,) and len(args) > 1 and type(args[-1]) is StandIn:
            args = (*args[:-1], _looks_like(args[-1]._value.fact))
        real_args, real_kwargs = mapped(_real, args), mapped(_real, kwargs or {})
    except _Unknown:
        return None
    if "device" in real_kwargs:
        real_kwargs["device"] = _CPU
    elif torch.get_default_device().type == "meta" and not any(isinstance(a, torch.Tensor) for a in real_args):
        return None
    try:
        return func(*real_args, **real_kwargs)
    except (RuntimeError, TypeError, NotImplementedError, ValueError, IndexError):
        return None  # the data stay unknown; the shape rule has already judged the call


def _looks_like(fact: TensorFact) -> torch.Tensor:
    """A tensor for an op that asks an operand for its dtype and shape alone; without a shape where that is symbolic."""
    numbers = all([type(s) is int for s in fact.shape])
    return torch.empty(fact.shape if numbers and fact.numel <= MAX_KNOWN_NUMEL else (), dtype=fact.dtype)  # type: ignore[arg-type]


def update(call: Call, target: StandIn, operands: list[StandIn]) -> bool:
    """Apply an in-place call to known data; whether the data are still known afterwards."""
    owned = target._value.origin == "op" and target._known is not None
    if not owned or call.op.random or not all(o._storage.constant for o in operands):
        return False
    known = iter([o._known for o in operands])
    try:
        real = partial(_real_recorded, known=known)
        call.func(*mapped(real, call.args), **mapped(real, call.kwargs))
    except (_Unknown, RuntimeError, TypeError, NotImplementedError, ValueError, IndexError):
        return False
    return True


class _Unknown(Exception):
    """Something in the arguments has no data."""


def _is_small(result: Any) -> bool:
    return all([_holds_little(leaf) for leaf in leaves(result)])


def _holds_little(leaf: Any) -> bool:
    """Whether there are few elements to hold."""
    fact = leaf.fact if isinstance(leaf, (Alias, Holding)) else leaf
    numel = fact.form.stored if isinstance(fact, SparseFact) else fact.numel if isinstance(fact, TensorFact) else 0
    return type(numel) is int and numel <= MAX_KNOWN_NUMEL


def _real(a: Any) -> Any:
    kind = type(a)
    if kind is StandIn:
        if a._known is None:
            raise _Unknown
        return a._known
    if kind is SymSize or kind is SymRatio:
        raise _Unknown
    if kind is torch.device or (kind is str and _DEVICE.fullmatch(a)):
        return _CPU  # data are kept here, wherever the model means them to be: on meta there would be none
    if isinstance(a, torch.Tensor):
        data = known_data(a)
        if data is None:
            raise _Unknown
        return data
    return a


def _real_recorded(a: Any, known: Iterator[Any]) -> Any:
    if type(a) is Value:
        data = next(known)
        if data is None:
            raise _Unknown
        return data
    if isinstance(a, Expr):
        raise _Unknown
    return a


def named_result(entry: Op, result: tuple[Any, ...]) -> Any:
    """``torch.return_types.max`` and its like, where torch returns a named tuple."""
    return entry.returns(result) if len(result) == entry.returns.n_sequence_fields else result
