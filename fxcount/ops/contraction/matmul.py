"""Matrix products: mm, bmm, matmul, linear and what adds to them; dot, outer; the grouped, scaled and integer variants.

Shapes:  x (*B, N, K), other (*B', K, P) -> y (broadcast(B, B'), N, P); the result is always row-major
Counts:  macs = numel(y) * K;  flops = 2*macs, + numel(y) for an added term, + numel(y) for each factor that is not 1
         complex numbers: 4 macs and 8 flops for each product that is added, 2 flops per addition, 6 per multiplication
         integers: macs as for floats, flops 0
Raises:  ShapeError: inner sizes, ranks or dtypes do not match
Source:  definition of the matrix product; the copies are those of ``at::native::_matmul_impl`` and ``linear``

>>> from fxcount.symbolic import Scope
>>> x, w = TensorFact((3, 8), torch.float32), TensorFact((5, 8), torch.float32)
>>> y = linear_shape(Scope({}), x, w)
>>> y.shape, linear_cost(y, x, w).macs
((3, 5), 120)
"""

from __future__ import annotations

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Scalar, ShapeResult
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import broadcast, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, ShapeRule, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import parted, strayed
from fxcount.symbolic import Scope, Size, max_, prod

__all__ = [
    "OPS",
    "added",
    "contraction",
    "linear_cost",
    "linear_shape",
    "matmul_copies",
    "matmul_shape",
    "product_cost",
    "require",
    "require_dtype",
    "require_expands",
    "require_rank",
    "scaled_sum",
]

NOTHING = Scalars()


def contraction(dtype: torch.dtype, macs: Size, also: Scalars = NOTHING) -> Work:
    """Work of a contraction in ``dtype`` and of further scalar operations.

    >>> contraction(torch.float32, 10, Scalars(add=2)).flops, contraction(torch.complex64, 10, Scalars(add=2)).flops
    (22, 84)
    """
    rest = also.work(1, dtype)
    if dtype.is_complex:
        return Work(4 * macs, 8 * macs + rest.flops, rest.transcendentals)
    if dtype.is_floating_point:
        return Work(macs, 2 * macs + rest.flops, rest.transcendentals)
    return Work(macs)


def require(scope: Scope, a: Size, b: Size, what: str, *shapes: tuple[Size, ...]) -> None:
    """Raise unless two sizes are equal (assuming it if only the sample values say so)."""
    if not scope.same(a, b, what):
        raise ShapeError(f"{what}: {a} against {b} in shapes {' and '.join(map(shape_text, shapes))}")


def require_dtype(what: str, *tensors: TensorFact | None) -> torch.dtype:
    """The one dtype of all tensors; contractions do not promote."""
    dtypes = [t.dtype for t in tensors if t is not None]
    if any(d is not dtypes[0] for d in dtypes):
        names = " and ".join(str(d).removeprefix("torch.") for d in dtypes)
        raise ShapeError(f"{what}: operands must have one dtype, not {names}", hint="convert them with .to(dtype)")
    if dtypes[0] is torch.bool:
        raise ShapeError(f"{what}: not implemented for bool")
    return dtypes[0]


def require_rank(what: str, **tensors: tuple[TensorFact, int]) -> None:
    """Raise unless each tensor has its rank."""
    for name, (tensor, ndim) in tensors.items():
        if tensor.ndim != ndim:
            raise ShapeError(f"{what}: {name} must have {ndim} dimensions, not shape {shape_text(tensor.shape)}")


# --- matmul and linear ----------------------------------------------------------------------------


def matmul_shape(scope: Scope, x: TensorFact, other: TensorFact) -> TensorFact:
    """``torch.matmul``: vectors count as a row or a column, leading dimensions broadcast."""
    dtype = require_dtype("matmul", x, other)
    if not x.ndim or not other.ndim:
        raise ShapeError("matmul: both operands need at least one dimension, one is a scalar", hint="multiply with *")
    inner = other.shape[-2] if other.ndim > 1 else other.shape[0]
    require(scope, x.shape[-1], inner, "matmul: inner sizes must match", x.shape, other.shape)
    batch = broadcast(scope, "matmul", x.shape[:-2], other.shape[:-2])
    rows = x.shape[-2:-1] if x.ndim > 1 else ()
    columns = other.shape[-1:] if other.ndim > 1 else ()
    return x.new((*batch, *rows, *columns), dtype)


def matmul_copies(y: TensorFact, x: TensorFact, other: TensorFact) -> Size:
    """Bytes of the operand copies: bmm wants one batch dimension, and an operand whose (expanded) batch dimensions
    cannot be viewed as one is cloned. Where torch folds the batch into the rows instead, nothing is copied either."""
    if max(x.ndim, other.ndim) < 3:
        return 0
    matrix_dims = min(x.ndim, 2) + min(other.ndim, 2) - 2
    batch = y.shape[: y.ndim - matrix_dims]
    return _bmm_copy(x, batch) + _bmm_copy(other, batch)


def _bmm_copy(t: TensorFact, batch: tuple[Size, ...]) -> Size:
    own = max(t.ndim - 2, 0)
    missing = len(batch) - own
    expanded = [0] * missing + [0 if n == 1 else s for n, s in zip(t.shape[:own], t.stride()[:own], strict=True)]
    return parted(batch, expanded) * prod(batch) * prod(t.shape[-2:]) * t.itemsize


def linear_shape(scope: Scope, x: TensorFact, weight: TensorFact, bias: TensorFact | None = None) -> TensorFact:
    """``x @ weight.T + bias``."""
    dtype = require_dtype("linear", x, weight, bias)
    if not x.ndim or weight.ndim not in (1, 2):
        raise ShapeError(f"linear: x {shape_text(x.shape)} needs a dimension, weight {shape_text(weight.shape)} 1 or 2")
    if x.shape[-1] != weight.shape[-1] and not scope.same(x.shape[-1], weight.shape[-1], "linear: features"):
        raise ShapeError(
            f"linear: x {shape_text(x.shape)} has {x.shape[-1]} features, weight {shape_text(weight.shape)} wants "
            f"{weight.shape[-1]}",
            hint="check in_features, or which dimension comes last",
        )
    shape = (*x.shape[:-1], *weight.shape[:-1])
    require_expands(scope, "linear bias", bias, shape)
    return x.new(shape, dtype)


def require_expands(scope: Scope, what: str, term: TensorFact | None, shape: tuple[Size, ...]) -> None:
    # A term is added without widening the product.
    if term is None or term.shape == shape[len(shape) - term.ndim :]:
        return
    wide = broadcast(scope, what, shape, term.shape)
    if term.ndim > len(shape) or not all([scope.same(n, m, what) for n, m in zip(wide, shape, strict=True)]):
        raise ShapeError(f"{what} {shape_text(term.shape)} does not expand to {shape_text(shape)}")


def linear_cost(y: TensorFact, x: TensorFact, weight: TensorFact, bias: TensorFact | None = None) -> Work:
    """macs = numel(y) * K; flops = 2*macs + numel(y) with a bias."""
    return contraction(y.dtype, y.numel * x.shape[-1], added(y, bias))


def added(y: TensorFact, bias: TensorFact | None) -> Scalars:
    """One addition per element if there is a bias."""
    return NOTHING if bias is None else Scalars(add=y.numel)


def _linear_temporaries(y: TensorFact, x: TensorFact, weight: TensorFact, bias: TensorFact | None = None) -> Size:
    # With a bias, a contiguous x is viewed as a matrix for addmm. Otherwise torch.matmul runs first; the weight of a
    # module requires grad, so it folds x to a matrix, at the price of a copy. The bias is added out of place, as torch
    # does whenever a dispatch mode looks on.
    viewed = x.ndim == 2 or x.is_contiguous
    if bias is not None and viewed:
        return 0
    copy = 0 if x.ndim < 3 or x.is_contiguous else parted(x.shape[:-1], x.stride()[:-1]) * x.nbytes
    return copy if bias is None else strayed(x.shape, x.stride()) * max_(copy, y.nbytes)


# --- plain products of matrices and vectors -------------------------------------------------------


def _ranked(name: str, *ranks: int) -> ShapeRule:
    """Shape rule of a product of two operands of fixed ranks."""

    def shape(scope: Scope, x: TensorFact, *, mat2: TensorFact, out_dtype: torch.dtype | None = None) -> TensorFact:
        require_rank(name, **{"the first operand": (x, ranks[0]), "the second operand": (mat2, ranks[1])})
        if ranks[0] == 3:
            require(scope, x.shape[0], mat2.shape[0], f"{name}: batch sizes must match", x.shape, mat2.shape)
        y = matmul_shape(scope, x, mat2)
        return y.new(y.shape, out_dtype)

    return shape


def product_cost(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Work:
    return contraction(y.dtype, y.numel * x.shape[-1])


# what schemas call the operands of products
_SECOND = Overloads(renamed=(("vec", "mat2"), ("tensor", "mat2"), ("other", "mat2")))
_FACTORS = Overloads(
    renamed=(("mat1", "a"), ("mat2", "b"), ("batch1", "a"), ("batch2", "b"), ("mat", "a"), ("vec", "b"))
)


# --- a term plus a product ------------------------------------------------------------------------


def _added(name: str, *ranks: int, sums_batch: bool = False) -> Op:
    """``beta * x + alpha * (a @ b)``: addmm, addmv, baddbmm; addbmm also sums over the batch."""

    def shape(
        scope: Scope, x: TensorFact, *, a: TensorFact, b: TensorFact, beta: Scalar = 1, alpha: Scalar = 1,
        out_dtype: torch.dtype | None = None,
    ) -> TensorFact:  # fmt: skip
        require_rank(name, **{"the first factor": (a, ranks[0]), "the second factor": (b, ranks[1])})
        require_dtype(name, x, a, b)
        if ranks[0] == 3:
            require(scope, a.shape[0], b.shape[0], f"{name}: batch sizes must match", a.shape, b.shape)
        y = matmul_shape(scope, a, b)
        result = y.shape[1:] if sums_batch else y.shape
        require_expands(scope, f"{name}: the added term", x, result)
        return a.new(result, out_dtype)

    def cost(
        y: TensorFact, x: TensorFact, *, a: TensorFact, b: TensorFact, beta: Scalar = 1, alpha: Scalar = 1,
        out_dtype: torch.dtype | None = None,
    ) -> Work:  # fmt: skip
        terms = a.shape[0] * a.shape[-1] if sums_batch else a.shape[-1]
        return contraction(y.dtype, y.numel * terms, scaled_sum(beta, alpha) * y.numel)

    return op(name, shape=shape, cost=cost, kind="product", overloads=_FACTORS)


def scaled_sum(beta: Scalar, alpha: Scalar) -> Scalars:
    """Per element of ``beta * x + alpha * product``: a factor of 1 costs nothing, ``beta=0`` drops the sum."""
    return Scalars(add=int(beta != 0), mul=int(beta not in (0, 1)) + int(alpha != 1))


_ADDMM = _added("addmm", 2, 2)


def _addmm_activation_shape(
    scope: Scope,
    x: TensorFact,
    mat1: TensorFact,
    mat2: TensorFact,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    use_gelu: bool = False,
) -> ShapeResult:
    return _ADDMM.shape(scope, x, mat1, mat2)


def _addmm_activation_cost(
    y: TensorFact,
    x: TensorFact,
    mat1: TensorFact,
    mat2: TensorFact,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    use_gelu: bool = False,
) -> Work:
    """addmm, then relu (one comparison) or gelu (5, one of them erf)."""
    activation = Scalars(add=1, mul=3, fn=1) if use_gelu else Scalars(add=1)
    return contraction(y.dtype, y.numel * mat1.shape[1], (scaled_sum(beta, alpha) + activation) * y.numel)


OPS: tuple[Op, ...] = (
    op(
        "matmul", "linalg.matmul", "__matmul__", shape=matmul_shape, cost=product_cost, temporaries=matmul_copies,
        kind="product",
    ),
    op(
        "linear", shape=linear_shape, cost=linear_cost, temporaries=_linear_temporaries, kind="linear", activations=True,
    ),
    op("mm", shape=_ranked("mm", 2, 2), cost=product_cost, kind="product", overloads=_SECOND),
    op("bmm", shape=_ranked("bmm", 3, 3), cost=product_cost, kind="product", overloads=_SECOND),
    op("mv", shape=_ranked("mv", 2, 1), cost=product_cost, kind="product", overloads=_SECOND),
    op("dot", "vdot", shape=_ranked("dot", 1, 1), cost=product_cost, kind="product", overloads=_SECOND),
    _ADDMM,
    _added("addmv", 2, 1),
    _added("baddbmm", 3, 3),
    _added("addbmm", 3, 3, sums_batch=True),
    op("_addmm_activation", shape=_addmm_activation_shape, cost=_addmm_activation_cost, kind="product"),
)
