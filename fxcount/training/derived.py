"""Functions whose derivative torch works out otherwise from the data of a tensor that nobody watches.

For a tensor subclass, or under a tracker, torch takes formulas that ask for no data. Plain eager looks: whether a factor is 0,
whether an extremum is NaN. Here none is.

Source: ``cumprod_backward``, ``prod_backward`` and ``evenly_distribute_backward`` of ATen's FunctionsManual.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch

__all__ = ["DERIVED"]


class _Cumprod(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tracer: Any, x: Any, dim: int) -> Any:
        y = torch.cumprod(x, dim)
        ctx.save_for_backward(x, y)
        ctx.tracer, ctx.dim = tracer, dim
        return y

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        tracer, (x, y) = ctx.tracer, ctx.saved_tensors
        start = len(tracer.ledger.log)
        found = _cumprod_backward(grad, x, y, ctx.dim)
        tracer.within.append((start, len(tracer.ledger.log)))  # an op of ATen's own
        return None, found, None


def _cumprod_backward(grad: Any, x: Any, y: Any, dim: int) -> Any:
    w = torch.mul(torch.conj(y), grad)
    is_zero = torch.eq(x, 0)
    torch.any(is_zero)
    summed = torch.cumsum(torch.flip(w, [dim]), dim)
    return torch.div(torch.flip(summed, [dim]), torch.conj(x))


class _Prod(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, dim: int | None, keepdim: bool) -> Any:
        y = torch.prod(x) if dim is None else torch.prod(x, dim, keepdim)
        ctx.save_for_backward(x, y)
        ctx.dim, ctx.keepdim = dim, keepdim
        return y

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, y = ctx.saved_tensors
        if ctx.dim is None:
            torch.sum(torch.eq(x, 0))
            return torch.mul(grad, torch.conj(torch.div(y, x))), None, None
        if not ctx.keepdim:
            grad, y = torch.unsqueeze(grad, ctx.dim), torch.unsqueeze(y, ctx.dim)
        is_zero = torch.eq(x, 0)  # which, with their numbers, are held to the end
        zeros = torch.sum(is_zero, ctx.dim, True)
        torch.sum(zeros)
        return torch.mul(grad, torch.conj(torch.div(y, x))), None, None


class _Extremum(torch.autograd.Function):
    """The gradient goes evenly to all that are equal to the one value."""

    @staticmethod
    def forward(ctx: Any, func: Callable[..., Any], x: Any) -> Any:
        y = func(x)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, y = ctx.saved_tensors
        torch.isnan(y)
        mask = torch.eq(x, y)
        out = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
        share = torch.div(grad, torch.sum(mask))
        return None, torch.Tensor.masked_fill_(out, mask, share)


class _MatrixExp(torch.autograd.Function):
    """The derivative is a corner of the exponential of a matrix of twice the size."""

    @staticmethod
    def forward(ctx: Any, func: Callable[..., Any], x: Any) -> Any:
        ctx.save_for_backward(x)
        return func(x)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        n = x.shape[-1]
        turned = torch.transpose(x, -2, -1)
        blocks = torch.zeros((*x.shape[:-2], 2 * n, 2 * n), dtype=x.dtype, device=x.device)
        for row, column, block in ((0, 0, turned), (1, 1, turned), (0, 1, grad)):
            torch.Tensor.copy_(torch.narrow(torch.narrow(blocks, -2, row * n, n), -1, column * n, n), block)
        whole = torch.matrix_exp(blocks)
        return None, torch.narrow(torch.narrow(whole, -2, 0, n), -1, n, n)


def _is_differentiated(tracer: Any, x: Any) -> bool:
    wanted = tracer.is_plain and isinstance(x, torch.Tensor) and x.requires_grad and torch.is_grad_enabled()
    return bool(wanted and x.dim() > 0)


def _cumprod(tracer: Any, x: Any, *rest: Any, **named: Any) -> Any:
    dims = [*rest, *named.values()]
    if len(dims) != 1 or set(named) - {"dim"} or not _is_differentiated(tracer, x):
        return torch.cumprod(x, *rest, **named)
    return _Cumprod.apply(tracer, x, *dims)  # type: ignore[no-untyped-call]


def _prod(tracer: Any, x: Any, *rest: Any, **named: Any) -> Any:
    if len(rest) > 2 or set(named) - {"dim", "keepdim"} or not _is_differentiated(tracer, x):
        return torch.prod(x, *rest, **named)
    given = {**dict(zip(("dim", "keepdim"), rest)), **named}
    return _Prod.apply(x, given.get("dim"), given.get("keepdim", False))  # type: ignore[no-untyped-call]


def _extremum(func: Callable[..., Any], tracer: Any, x: Any, *rest: Any, **named: Any) -> Any:
    if rest or named or not _is_differentiated(tracer, x):
        return func(x, *rest, **named)
    return _Extremum.apply(func, x)  # type: ignore[no-untyped-call]


def _matrix_exp(func: Callable[..., Any], tracer: Any, x: Any) -> Any:
    if not _is_differentiated(tracer, x) or x.is_complex():
        return func(x)
    return _MatrixExp.apply(func, x)  # type: ignore[no-untyped-call]


DERIVED: Mapping[Any, Callable[..., Any]] = MappingProxyType({
    torch.cumprod: _cumprod, torch.Tensor.cumprod: _cumprod, torch.prod: _prod, torch.Tensor.prod: _prod,
    **{func: partial(_matrix_exp, func) for func in (torch.matrix_exp, torch.linalg.matrix_exp, torch.Tensor.matrix_exp)},
    **{func: partial(_extremum, func) for func in (
        torch.max, torch.min, torch.median, torch.nanmedian,
        torch.Tensor.max, torch.Tensor.min, torch.Tensor.median, torch.Tensor.nanmedian,
    )},
})  # fmt: skip
"""For each such function its form: ``form(tracer, *args)``."""
