"""Element-wise work on sparse tensors: on the stored values, where zero stays zero; sums with dense tensors; reductions.

Shapes:  x (*I) sparse -> the same indices; x + dense -> dense; x + y, x * y of sparse tensors -> as many entries as data say
Counts:  as for a dense tensor of the stored values. x + dense: one addition for each stored element; x + y: one for each
         index that both have, nnz(x) + nnz(y) - nnz(result); x * y: one for each entry of the result
         softmax: for each entry a comparison, a subtraction, an exp, an addition and a division: maxima start from -inf
         and sums from 0, as in torch's kernel, so that how many lines hold an entry does not matter
Raises:  DataDependentError: how many indices two tensors have in common, data say; the *counted* rules get a symbol for it
         log_softmax is uncounted: it takes a logarithm for each line that holds an entry, and data say how many
Source:  ATen/native/sparse/SparseTensorMath.cpp, SparseUnaryOps.cpp (which coalesce first), SoftMax.cpp
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Dims, Dtype, Operand, Results, Scalar
from fxcount.ops.core.common import promote, refused, same_shape, wrap_dims
from fxcount.ops.core.fact import SparseFact, SparseForm, TensorFact, Work
from fxcount.ops.core.registry import CostRule, Count, Op, Unknown, absent, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.elementwise import pointwise
from fxcount.ops.elementwise.activation import OPS as ACTIVATIONS
from fxcount.ops.reduction import reduction
from fxcount.ops.sparse.layouts import fewer, with_values
from fxcount.ops.sparse.products import sparse_like
from fxcount.symbolic import Scope, Size, min_, prod

__all__ = ["OPS", "SPARSE"]

_ZERO_STAYS = (
    "abs", "asin", "asinh", "atan", "atanh", "ceil", "deg2rad", "erf", "erfinv", "expm1", "floor", "frac", "log1p", "neg",
    "pow", "rad2deg", "relu", "round", "sgn", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc",
)  # fmt: skip
"""Functions that torch has for sparse tensors: they are 0 at 0."""

_KEEPS_TWICE = frozenset({"neg"})
"""Those that leave equal indices side by side: a sum of them is what it was."""

_HINT = "add the tensors before the model runs, or keep one of them dense"
_COMMON = refused("an operation on two sparse tensors", _HINT, "how many indices they have in common depends on the data")


def values_of(x: Any) -> Any:
    """The tensor of stored values where a tensor is sparse."""
    return x.values if isinstance(x, SparseFact) else x


def _dense_op(name: str) -> Op:
    return next(found for found in (*pointwise.OPS, *ACTIVATIONS) if name in found.names)


def _values_cost(rule: CostRule) -> CostRule:
    """The rule for dense tensors, of the values."""

    def cost(y: Results, *args: Any, **kwargs: Any) -> Work:
        return rule(values_of(y), *map(values_of, args), **{k: values_of(v) for k, v in kwargs.items()})

    return cost


def _mapped(entry: Op, name: str) -> Op:
    """The op that maps the stored values."""

    def shape(scope: Scope, x: SparseFact, *args: Any, **kwargs: Any) -> SparseFact:
        if x.layout is torch.sparse_coo and not x.form.coalesced and name not in _KEEPS_TWICE:
            refused(name, _HINT, "how many indices are different depends on the data")()
        return _with(scope, x, *args, **kwargs)

    def counted(scope: Scope, count: Count, x: SparseFact, *args: Any, **kwargs: Any) -> SparseFact:
        return _with(scope, fewer(count, x), *args, **kwargs)

    def _with(scope: Scope, x: SparseFact, *args: Any, **kwargs: Any) -> SparseFact:
        made = entry.shape(scope, x.values, *args, **kwargs)
        assert isinstance(made, TensorFact)
        return with_values(x, made.dtype)

    assert callable(entry.cost)
    return op(*entry.names, shape=shape, counted=counted, cost=_values_cost(entry.cost), extra=entry.extra)


# --- two operands -----------------------------------------------------------------------------------


def _sum(scope: Scope, x: Operand, other: Operand, alpha: Scalar = 1) -> TensorFact:
    """A dense operand makes a dense result."""
    if isinstance(x, SparseFact) and isinstance(other, SparseFact):
        _COMMON()
    if not isinstance(x, TensorFact) or not isinstance(other, TensorFact):
        raise ShapeError("add: a number cannot be added to a sparse tensor", hint="convert it with .to_dense()")
    whole, part = (other, x) if isinstance(x, SparseFact) else (x, other)
    if not same_shape(scope, whole.shape, part.shape, "add: a sparse term"):
        raise ShapeError(f"add: a sparse tensor {part.shape} does not broadcast to {whole.shape}")
    return TensorFact(whole.shape, promote(x, other), whole.device)


def _sparse_sum(scope: Scope, count: Count, x: SparseFact, other: SparseFact, alpha: Scalar = 1) -> SparseFact:
    most = x.form.values[0] + other.form.values[0]
    if x.layout is torch.sparse_coo and not (x.form.coalesced and other.form.coalesced):
        n: Size = most  # side by side
    else:
        n = count("nnz", "the indices of a sum of sparse tensors", most, most)
    whole = TensorFact(x.shape, promote(x, other), x.device)
    return sparse_like(whole, n, x, x.form.coalesced and other.form.coalesced)


def _sum_cost(y: TensorFact, x: Operand, other: Operand, alpha: Scalar = 1) -> Work:
    parts = [t for t in (x, other) if isinstance(t, SparseFact)]
    assert isinstance(other, TensorFact), "the shape rule refuses numbers"
    scale = Scalars() if alpha == 1 else Scalars(mul=other.form.stored if isinstance(other, SparseFact) else other.numel)
    if len(parts) == 2:
        assert isinstance(y, SparseFact)
        both = parts[0].form.stored + parts[1].form.stored - y.form.stored
        return (Scalars(add=both) + scale).work(1, y.dtype)
    return (Scalars(add=parts[0].form.stored) + scale).work(1, y.dtype)


def _product(scope: Scope, x: Operand, other: Operand) -> SparseFact:
    """With a number or a dense tensor: the entries of the sparse one."""
    if isinstance(x, SparseFact) and isinstance(other, SparseFact):
        _COMMON()
    part, by = (x, other) if isinstance(x, SparseFact) else (other, x)
    assert isinstance(part, SparseFact), "one of the two is, or this rule is not asked"
    made = pointwise.mul(scope, part.dense, by)
    if not same_shape(scope, made.shape, part.shape, "mul: a sparse factor"):
        raise ShapeError(f"mul: a sparse tensor {part.shape} is not broadcast to {made.shape}")
    return with_values(part, made.dtype)


def _sparse_product(scope: Scope, count: Count, x: SparseFact, other: SparseFact) -> SparseFact:
    most = min_(x.form.values[0], other.form.values[0])
    n = count("nnz", "the indices that two sparse tensors have in common", most, most)
    whole = TensorFact(x.shape, promote(x, other), x.device)
    return sparse_like(whole, n, x, x.form.coalesced and other.form.coalesced)


def _product_cost(y: SparseFact, x: Operand, other: Operand) -> Work:
    """One multiplication for each stored element of the result."""
    return Scalars(mul=1).work(y.form.stored, y.dtype)


def _quotient(scope: Scope, x: SparseFact, other: Operand, rounding_mode: str | None = None) -> SparseFact:
    if (isinstance(other, TensorFact) and other.shape) or not isinstance(x, SparseFact):
        raise ShapeError("div: a sparse tensor is divided by numbers only", hint="multiply by the reciprocal")
    made = pointwise.div(scope, x.values, other, rounding_mode)
    return with_values(x, made.dtype)


# --- reductions -------------------------------------------------------------------------------------


def _reduced(scope: Scope, x: SparseFact, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype = None) -> TensorFact:
    if dim is not None and dim != () and dim != []:
        refused("a sum over a dimension of a sparse tensor", "use x.to_dense().sum(dim), or x @ ones")()
    made = reduction.sum_(scope, x.values, dtype=dtype)
    assert isinstance(made, TensorFact)
    return made


def _reduced_counted(
    scope: Scope, count: Count, x: SparseFact, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype = None
) -> SparseFact:
    dims = wrap_dims(dim, len(x.shape))
    kept = tuple([1 if d in dims else n for d, n in enumerate(x.shape) if keepdim or d not in dims])
    most = min_(x.form.values[0], prod(kept))
    n = count("nnz", "the indices that are left of a sparse tensor", most, most)
    return SparseFact(kept, dtype or x.dtype, x.device, form=SparseForm.of(x.layout, kept, n))


def _reduced_cost(y: TensorFact, x: SparseFact, *_: object, **__: object) -> Work:
    """One addition less for each result than there are stored elements."""
    results = y.form.stored if isinstance(y, SparseFact) else 1
    return Scalars(add=x.form.stored - results).work(1, y.dtype)


def _normalised(name: str, cost: CostRule | Unknown) -> Op:
    public: Callable[..., torch.Tensor] = getattr(torch.sparse, name)

    def shape(scope: Scope, x: SparseFact, dim: int, dtype: Dtype = None) -> SparseFact:
        if not x.form.coalesced:
            refused(name, _HINT, "how many indices are different depends on the data")()
        return with_values(x, dtype)

    def counted(scope: Scope, count: Count, x: SparseFact, dim: int, dtype: Dtype = None) -> SparseFact:
        return with_values(fewer(count, x), dtype)

    return op(f"_sparse_{name}", shape=shape, counted=counted, cost=cost, extra=(public,))


def _softmax_cost(y: SparseFact, *_: object, **__: object) -> Work:
    return Scalars(add=3, fn=1, div=1).work(y.form.stored, y.dtype)


_T = torch.Tensor

SPARSE: tuple[Op, ...] = (
    *(_mapped(_dense_op(name), name) for name in _ZERO_STAYS),
    op("add", shape=_sum, counted=_sparse_sum, cost=_sum_cost),
    op("sub", "subtract", shape=_sum, counted=_sparse_sum, cost=_sum_cost),
    op("mul", "multiply", shape=_product, counted=_sparse_product, cost=_product_cost),
    op("div", "divide", "true_divide", shape=_quotient, cost=_values_cost(_dense_op("div").cost)),  # type: ignore[arg-type]
    op("sum", shape=_reduced, counted=_reduced_counted, cost=_reduced_cost),
    op("_sparse_sum", shape=_reduced, counted=_reduced_counted, cost=_reduced_cost),
    _normalised("softmax", _softmax_cost),
    _normalised("log_softmax", Unknown("how many lines hold an entry, which takes a logarithm, depends on the data")),
)
"""What these are where an operand is sparse."""

OPS: tuple[Op, ...] = tuple(absent(SPARSE, "_sparse_sum", "_sparse_softmax", "_sparse_log_softmax"))
