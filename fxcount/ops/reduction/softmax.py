"""Softmax and its kin.

Letters: n = size of the dimension normalised, r = number of such rows = numel(x) / n.
Shapes:  as the input, dense row-major; logsumexp removes (or keeps as 1) the dimensions
Counts:  softmax      per row: n-1 comparisons for the maximum, n subtractions, n exp, n-1 additions, n divisions
                      = 5*numel - 2*r, of which numel exp
         log_softmax  per row: n-1 comparisons, n subtractions, n exp, n-1 additions, 1 log, n subtractions
                      = 5*numel - r, of which numel + r transcendentals
         logsumexp    per row: n-1 comparisons, n subtractions, n exp, n-1 additions, 1 log, 1 addition
                      = 4*numel, of which numel + r transcendentals
Raises:  ShapeError: integer input without dtype, dim out of range
Source:  the definitions, with the maximum subtracted first

>>> x = TensorFact((2, 5), torch.float32)
>>> y = softmax(Scope({}), x, -1)
>>> _softmax_cost(y, x, -1)
Work(macs=0, flops=46, transcendentals=10, read_bytes=None, write_bytes=None)
"""

from __future__ import annotations

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Dims
from fxcount.ops.core.common import float_result, wrap_dim, wrap_dims
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars, is_arithmetic, total
from fxcount.symbolic import Scope, Size, prod

__all__ = ["OPS", "log_softmax", "logsumexp", "reduced_shape", "rows", "softmax"]


def rows(x: TensorFact, dim: Dims) -> Size:
    """Number of rows along ``dim`` (one or several dimensions): elements of the reduced tensor."""
    gone = wrap_dims(dim, x.ndim)
    return prod(n for d, n in enumerate(x.shape) if d not in gone)


def reduced_shape(x: TensorFact, dim: Dims, keepdim: bool) -> tuple[Size, ...]:
    """Shape after reducing ``dim`` (an int, several, or ``None`` for all).

    >>> reduced_shape(TensorFact((2, 3, 5), torch.float32), (0, -1), True)
    (1, 3, 1)
    """
    gone = wrap_dims(dim, x.ndim)
    if keepdim:
        return tuple(1 if d in gone else n for d, n in enumerate(x.shape))
    return tuple(n for d, n in enumerate(x.shape) if d not in gone)


def softmax(scope: Scope, x: TensorFact, dim: int, dtype: torch.dtype | bool | None = None) -> TensorFact:
    """Also ATen's ``_softmax(x, dim, half_to_float)``, whose third argument is a bool."""
    return _normalised("softmax", x, dim, dtype)


def log_softmax(scope: Scope, x: TensorFact, dim: int, dtype: torch.dtype | bool | None = None) -> TensorFact:
    return _normalised("log_softmax", x, dim, dtype)


def _normalised(name: str, x: TensorFact, dim: int, dtype: torch.dtype | bool | None) -> TensorFact:
    if dim is None:
        raise ShapeError(f"{name}: dim is missing", hint="give the dimension to normalise over")
    wrap_dim(dim, x.ndim)
    out = dtype if isinstance(dtype, torch.dtype) else torch.float32 if dtype else x.dtype
    if not is_arithmetic(out) or out.is_complex:
        raise ShapeError(f"{name}: not defined for {out}", hint="give dtype=torch.float32")
    return x.new(x.shape, out)


def _softmax_cost(y: TensorFact, x: TensorFact, dim: int, *_: object, **__: object) -> Work:
    r = rows(x, dim)
    return total([(x.numel, Scalars(add=3, div=1, fn=1)), (r, Scalars(add=-2))], y.dtype)


def _log_softmax_cost(y: TensorFact, x: TensorFact, dim: int, *_: object, **__: object) -> Work:
    r = rows(x, dim)
    return total([(x.numel, Scalars(add=4, fn=1)), (r, Scalars(add=-2, fn=1))], y.dtype)


def logsumexp(scope: Scope, x: TensorFact, dim: Dims, keepdim: bool = False) -> TensorFact:
    return x.new(reduced_shape(x, dim, keepdim), float_result(x.dtype))


def _logsumexp_cost(y: TensorFact, x: TensorFact, dim: Dims, keepdim: bool = False) -> Work:
    return total([(x.numel, Scalars(add=3, fn=1)), (y.numel, Scalars(add=-1, fn=1))], y.dtype)


def _converted(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Size:
    """With ``dtype`` the input is converted first."""
    return 0 if x.dtype is y.dtype else x.numel * y.itemsize


def masked_softmax(
    scope: Scope, x: TensorFact, mask: TensorFact, dim: int | None = None, mask_type: int | None = None
) -> TensorFact:
    """Softmax over the unmasked elements; counted dense."""
    return dense_like(x)


def _masked_cost(y: TensorFact, x: TensorFact, mask: TensorFact, dim: int | None = None, *_: object, **__: object) -> Work:
    return _softmax_cost(y, x, -1 if dim is None else dim)


OPS: tuple[Op, ...] = (
    op(
        "softmax", "_softmax", "_safe_softmax", "special.softmax",
        shape=softmax, cost=_softmax_cost, temporaries=_converted,
    ),
    op(
        "log_softmax", "_log_softmax", "special.log_softmax",
        shape=log_softmax, cost=_log_softmax_cost, temporaries=_converted,
    ),
    op("logsumexp", "special.logsumexp", shape=logsumexp, cost=_logsumexp_cost),
    op("_masked_softmax", shape=masked_softmax, cost=_masked_cost),
)
