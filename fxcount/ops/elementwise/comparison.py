"""Comparisons, tests, logic and selection by a mask.

Shapes:  operands broadcast; the result is boolean (selections: the operands' dtype)
Counts:  per element, on floating operands: a comparison 1; isnan 1 (x != x); isinf 2 (|x| == inf); isfinite 2
         (x - x == 0); isclose 6 (|a - b| <= atol + rtol*|b|); logical ops compare each floating operand with 0;
         a selection 0
Raises:  ShapeError: operands do not broadcast, a mask is not boolean; DataDependentError: the result is a Python bool

>>> x = TensorFact((2, 3), torch.float32)
>>> y = _compare("lt")(Scope({}), x, 0.5)
>>> y.dtype, _comparing(1)(y, x, 0.5).flops
(torch.bool, 6)
"""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from typing import Any

import torch

from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops.core.arguments import Operand, Results, Scalar
from fxcount.ops.core.common import broadcast, promote, refused
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like, elementwise
from fxcount.ops.core.registry import CostRule, Count, Op, ShapeRule, Zero, op
from fxcount.ops.core.scalars import Scalars, is_arithmetic
from fxcount.ops.memory.dynamic import index_columns, true_elements
from fxcount.symbolic import Scope, Size, prod

__all__ = ["OPS", "masked_fill", "where"]


def _compare(name: str) -> ShapeRule:
    def compare(scope: Scope, x: Any, other: Operand) -> Any:
        if other is None and name in ("eq", "ne"):  # as Python compares with None
            return name == "ne"
        if name not in ("eq", "ne") and promote(x, other).is_complex:
            raise ShapeError(f"{name}: complex numbers have no order", hint="compare the moduli")
        return elementwise(scope, name, torch.bool, x, other)

    return compare


def _comparing(flops: int) -> CostRule:
    """``flops`` additions or comparisons per element, in the promoted dtype of the operands."""

    def cost(y: TensorFact | bool, *operands: Any, **_: object) -> Work:
        if isinstance(y, bool):
            return Work(read_bytes=0)
        return Scalars(add=flops).work(y.numel, promote(*operands[:2]))

    return cost


def _asking_cost(y: Results, x: TensorFact, other: Operand | None = None, *_: object, **__: object) -> Work:
    """A comparison per element for a question about all of them; with different shapes nothing is compared."""
    if not isinstance(other, TensorFact):
        return Scalars(add=1).work(x.numel, x.dtype)
    return Scalars(add=1).work(x.numel if x.shape == other.shape else 0, promote(x, other))


def _allclose_cost(y: Results, x: TensorFact, other: TensorFact, *_: object, **__: object) -> Work:
    """As many comparisons as ``isclose`` makes of the two."""
    pairs = zip_longest(reversed(x.shape), reversed(other.shape), fillvalue=1)
    return Scalars(add=6).work(prod(b if a == 1 else a for a, b in pairs), promote(x, other))


def _test(scope: Scope, x: TensorFact) -> TensorFact:
    return dense_like(x, torch.bool)


def _logical(name: str) -> ShapeRule:
    def logical(scope: Scope, x: TensorFact, other: TensorFact) -> TensorFact:
        return elementwise(scope, name, torch.bool, x, other)

    return logical


def _logical_cost(y: TensorFact, *operands: TensorFact) -> Work:
    real = [Scalars(add=1).work(y.numel, o.dtype).flops for o in operands]
    return Work(flops=sum(real[1:], start=real[0]))


def isclose(
    scope: Scope, x: TensorFact, other: TensorFact, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> TensorFact:
    if x.dtype is not other.dtype:
        raise ShapeError(f"isclose: {x.dtype} and {other.dtype} did not match", hint="convert one operand")
    return elementwise(scope, "isclose", torch.bool, x, other)


def where(scope: Scope, condition: TensorFact, x: Operand | None = None, other: Operand | None = None) -> TensorFact:
    """``x if condition else other``: a selection, 0 flops."""
    if x is None or other is None:
        raise DataDependentError(
            "where(condition): the number of true elements depends on the values of the tensor",
            hint="use the three-argument form",
        )
    if condition.dtype not in (torch.bool, torch.uint8):
        raise ShapeError(f"where: expected a boolean condition, got {condition.dtype}")
    return elementwise(scope, "where", promote(x, other), condition, x, other)


def where_true(scope: Scope, count: Count, condition: TensorFact) -> tuple[TensorFact, ...]:
    """``where(condition)``: the indices of the true elements."""
    return index_columns(condition, true_elements(count, condition, 0))


def _where_method(scope: Scope, x: TensorFact, condition: TensorFact, other: Operand) -> TensorFact:
    return where(scope, condition, x, other)


def masked_fill(scope: Scope, x: TensorFact, mask: TensorFact, value: Scalar) -> TensorFact:
    """``value where mask else x``: a selection, 0 flops; keeps the dtype of ``x``."""
    if mask.dtype is not torch.bool:
        raise ShapeError(f"masked_fill: expected a boolean mask, got {mask.dtype}", hint="mask.bool()")
    if isinstance(value, TensorFact) and value.shape:
        raise ShapeError(f"masked_fill: value must be 0-dimensional, got {value.ndim} dimensions")
    return x.new(broadcast(scope, "masked_fill", x.shape, mask.shape))


def equal(scope: Scope, x: TensorFact, other: TensorFact) -> Any:
    """Tensors of different shapes are not equal, whatever is in them."""
    if not (isinstance(x, TensorFact) and isinstance(other, TensorFact)):  # a number in a tensor's place
        raise DataDependentError(f"equal: {_IS_DATA}", hint=_VALUE)
    if x.ndim == other.ndim and all([scope.same(a, b, "equal: as long") for a, b in zip(x.shape, other.shape)]):
        raise DataDependentError(f"equal: {_IS_DATA}", hint=_VALUE)
    return False


def allclose(
    scope: Scope, x: TensorFact, other: TensorFact, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether tensors that broadcast to one shape are close, which only the data can say."""
    isclose(scope, x, other, rtol, atol, equal_nan)
    raise DataDependentError(f"allclose: {_IS_DATA}", hint=_VALUE)


def isin(
    scope: Scope, elements: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False
) -> TensorFact:
    """Whether each element is among the test elements."""
    return dense_like(elements, torch.bool) if isinstance(elements, TensorFact) else test_elements.new((), torch.bool)


def _isin_cost(y: TensorFact, elements: Any, test_elements: Any, *_: object, **__: object) -> Work:
    """Every element against every test element: one comparison each."""
    candidates = test_elements.numel if isinstance(test_elements, TensorFact) else 1
    return Scalars(add=candidates).work(y.numel, promote(elements, test_elements))


def _where_scalars(y: TensorFact, *operands: Any) -> Size:
    """Numbers among the choices become 0-d tensors."""
    numbers = [promote(o) for o in operands if not isinstance(o, TensorFact)]
    return sum(dtype.itemsize for dtype in numbers)


def _isclose_held(y: TensorFact, x: TensorFact, other: TensorFact, *_: object, **__: object) -> Size:
    """The allowed and the actual difference, its absolute value, and three masks."""
    return (3 * x.itemsize + 3) * y.numel


def _isfinite_held(y: TensorFact, x: TensorFact) -> Size:
    """The absolute values and two masks."""
    return (x.itemsize + 2) * y.numel if is_arithmetic(x.dtype) else 0


_T = torch.Tensor
_COMPARISONS = {
    "eq": (_T.__eq__,),
    "ne not_equal": (_T.__ne__,),
    "lt less": (_T.__lt__,),
    "le less_equal": (_T.__le__,),
    "gt greater": (_T.__gt__,),
    "ge greater_equal": (_T.__ge__,),
}
_TESTS = {"isnan": 1, "isinf": 2, "isposinf": 1, "isneginf": 1, "signbit": 1, "isreal": 1}
_VALUE = "the answer is a Python bool that only the data can give; keep the comparison in tensors (torch.eq)"
_IS_DATA = "the result depends on the values of the tensor"
_SELECT = Zero("selects values, computes none", moves=True)

_mapped = partial(op, takes_values=True, follows="mapped")

OPS: tuple[Op, ...] = (
    *(
        _mapped(*names.split(), shape=_compare(names.split()[0]), cost=_comparing(1), extra=extra, differentiable=False)
        for names, extra in _COMPARISONS.items()
    ),
    *(op(name, shape=_test, cost=_comparing(n), differentiable=False, follows="mapped") for name, n in _TESTS.items()),
    *(
        op(name, shape=_logical(name), cost=_logical_cost, differentiable=False, follows="mapped")
        for name in ("logical_and", "logical_or", "logical_xor")
    ),
    op("logical_not", shape=_test, cost=_logical_cost, differentiable=False, follows="mapped"),
    op("isfinite", shape=_test, cost=_comparing(2), differentiable=False, temporaries=_isfinite_held, follows="mapped"),
    op("isclose", shape=isclose, cost=_comparing(6), differentiable=False, temporaries=_isclose_held),
    op("isin", shape=isin, cost=_isin_cost, differentiable=False),
    op("equal", shape=equal, cost=_asking_cost, differentiable=False, asks=True),
    op("allclose", shape=allclose, cost=_allclose_cost, differentiable=False, asks=True),
    op("is_nonzero", shape=refused("is_nonzero", _VALUE, _IS_DATA), cost=_asking_cost, differentiable=False, asks=True),
    _mapped(
        "where", shape=where, counted=where_true, cost=_SELECT, temporaries=_where_scalars, without=(_T.where,),
    ),
    _mapped("Tensor.where", shape=_where_method, cost=_SELECT, temporaries=_where_scalars),
    _mapped("masked_fill", shape=masked_fill, cost=_SELECT),
)
