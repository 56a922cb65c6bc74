"""Element-wise arithmetic of two operands and more; functions of one operand are in ``functions.py``.

Shapes:  operands broadcast; the dtype is promoted (true division and functions leave the integers); layout of
         TensorIterator
Counts:  per element of the result, the scalar formula in the tables below (conventions in ``scalars.py``); integer
         and boolean results 0
Raises:  ShapeError: operands do not broadcast, or a dtype has no such operation
Source:  the definitions in the torch documentation, e.g. remainder(a, b) = a - floor(a/b)*b: 4

>>> x = TensorFact((2, 3), torch.float32)
>>> y = add(Scope({}), x, TensorFact((3,), torch.float16), alpha=2)
>>> y.shape, y.dtype, _add_cost(y, x, x, alpha=2).flops
((2, 3), torch.float32, 12)
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Given, Operand, Results, Scalar
from fxcount.ops.core.common import float_result, promote
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import elementwise
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, op
from fxcount.ops.core.scalars import Scalars, is_arithmetic
from fxcount.ops.elementwise import functions
from fxcount.ops.elementwise.functions import FN, ONE, per_element, table
from fxcount.symbolic import Scope, Size
from fxcount.torch_private import VERSION

__all__ = ["OPS", "add", "clamp", "div", "pow_scalars"]

BINARY = {
    "maximum fmax": ONE,
    "minimum fmin": ONE,
    "fmod": Scalars(add=2, mul=1, div=1),  # a - trunc(a/b)*b
    "heaviside": Scalars(add=2),
    "nextafter": ONE,
    "gcd": Scalars(),
    "lcm": Scalars(),
}
BINARY_FLOAT = {
    "atan2 arctan2": FN,
    "copysign": ONE,
    "hypot": Scalars(add=1, mul=2, root=1),
    "logaddexp": Scalars(add=5, fn=2),  # max(a, b) + log1p(exp(-|a - b|))
    "logaddexp2": Scalars(add=5, fn=2),
    "xlogy special.xlogy": Scalars(mul=1, fn=1),
    "special.xlog1py": Scalars(mul=1, fn=1),
    "igamma special.gammainc": FN,
    "igammac special.gammaincc": FN,
    "special.zeta": FN,
    "special.chebyshev_polynomial_t special.chebyshev_polynomial_u special.chebyshev_polynomial_v "
    "special.chebyshev_polynomial_w special.hermite_polynomial_h special.hermite_polynomial_he "
    "special.laguerre_polynomial_l special.legendre_polynomial_p special.shifted_chebyshev_polynomial_t "
    "special.shifted_chebyshev_polynomial_u special.shifted_chebyshev_polynomial_v "
    "special.shifted_chebyshev_polynomial_w": FN,
}


def _binary(name: str, floating: bool = False) -> ShapeRule:
    def binary(scope: Scope, x: Any, other: Operand) -> TensorFact:
        dtype = promote(x, other)
        return elementwise(scope, name, float_result(dtype) if floating else dtype, x, other)

    return binary


def add(scope: Scope, x: Any, other: Operand, alpha: Scalar = 1) -> TensorFact:
    """``x + alpha * other``: 1 flop, 2 with an alpha other than 1."""
    return elementwise(scope, "add", None, x, other)


def sub(scope: Scope, x: Any, other: Operand, alpha: Scalar = 1) -> TensorFact:
    """``x - alpha * other``; torch refuses booleans here."""
    if all(o.dtype is torch.bool if isinstance(o, TensorFact) else isinstance(o, bool) for o in (x, other)):
        raise ShapeError("sub: two boolean operands cannot be subtracted", hint="use ^ or logical_xor for masks")
    return elementwise(scope, "sub", None, x, other)


def _add_cost(y: TensorFact, x: Any, other: Operand, alpha: Scalar = 1) -> Work:
    return Scalars(add=1, mul=0 if alpha == 1 else 1).work(y.numel, y.dtype)


def mul(scope: Scope, x: Any, other: Operand) -> TensorFact:
    """``x * other``: 1 flop."""
    return elementwise(scope, "mul", None, x, other)


def div(scope: Scope, x: Any, other: Operand, rounding_mode: str | None = None) -> TensorFact:
    """``x / other``: 1 flop, 2 with a rounding mode."""
    dtype = promote(x, other)
    return elementwise(scope, "div", dtype if rounding_mode else float_result(dtype), x, other)


def _div_cost(y: TensorFact, x: Any, other: Operand, rounding_mode: str | None = None) -> Work:
    return Scalars(div=1, add=1 if rounding_mode else 0).work(y.numel, y.dtype)


def _reflected_div_cost(y: TensorFact, x: Any, other: Operand, rounding_mode: str | None = None) -> Work:
    """``other / x`` is computed as ``reciprocal(x) * other``: 2 flops."""
    return Scalars(div=1, mul=1, add=1 if rounding_mode else 0).work(y.numel, y.dtype)


def _held_reciprocal(y: TensorFact, *_: object, **__: object) -> Size:
    return y.nbytes


def pow_scalars(exponent: Operand) -> Scalars:
    """Operations of ``x ** exponent``; torch computes the exponents 2, 3, 1/2 and their inverses without pow."""
    if not isinstance(exponent, (int, float)):
        return FN
    inverse = Scalars(div=1 if exponent < 0 else 0)
    plain = {
        0: Scalars(),
        1: Scalars(),
        2: Scalars(mul=1),
        3: Scalars(mul=2),
        0.5: Scalars(root=1),
    }.get(abs(exponent))
    return FN if plain is None or exponent == -3 else plain + inverse


def pow_(scope: Scope, x: Any, exponent: Operand) -> TensorFact:
    """``x ** exponent``: one pow; 1 multiplication for 2, 2 for 3, sqrt for 0.5, division for -1."""
    negative = isinstance(exponent, (int, float)) and exponent < 0
    y = elementwise(scope, "pow", None, x, exponent)
    if negative and not is_arithmetic(y.dtype):
        raise ShapeError("pow: integers to negative integer powers are not allowed", hint="convert to float first")
    return y


def _pow_cost(y: TensorFact, x: Any, exponent: Operand) -> Work:
    return pow_scalars(exponent).work(y.numel, y.dtype)


def float_power(scope: Scope, x: Any, exponent: Operand) -> TensorFact:
    """``x ** exponent`` in double precision: one pow."""
    dtype = torch.complex128 if promote(x, exponent).is_complex else torch.float64
    return elementwise(scope, "float_power", dtype, x, exponent)


def _widened(y: TensorFact, x: Any, exponent: Operand) -> Size:
    """Operands that are converted to double first."""
    tensors = (o for o in (x, exponent) if isinstance(o, TensorFact) and o.dtype is not y.dtype)
    return sum((o.numel * y.itemsize for o in tensors), start=0)


def _swapped(rule: ShapeRule) -> ShapeRule:
    def reflected(scope: Scope, x: Any, other: Operand, *rest: Any, **kwargs: Any) -> Any:
        return rule(scope, other, x, *rest, **kwargs)

    return reflected


def _swapped_cost(rule: CostRule) -> CostRule:
    def reflected(y: Results, x: Any, other: Operand, *rest: Any, **kwargs: Any) -> Work:
        return rule(y, other, x, *rest, **kwargs)

    return reflected


def clamp(scope: Scope, x: TensorFact, min: Scalar | None = None, max: Scalar | None = None) -> TensorFact:
    """``min(max(x, low), high)``: 1 comparison for each bound given."""
    if min is None and max is None:
        raise ShapeError("clamp: neither min nor max is given", hint="give at least one bound")
    return elementwise(scope, "clamp", None, x, *(b for b in (min, max) if b is not None))


def _clamp_cost(y: TensorFact, x: TensorFact, min: Scalar | None = None, max: Scalar | None = None) -> Work:
    return Scalars(add=sum(b is not None for b in (min, max))).work(y.numel, y.dtype)


def clamp_min(scope: Scope, x: TensorFact, min: Scalar) -> TensorFact:
    return elementwise(scope, "clamp_min", None, x, min)


def clamp_max(scope: Scope, x: TensorFact, max: Scalar) -> TensorFact:
    return elementwise(scope, "clamp_max", None, x, max)


def lerp(scope: Scope, x: TensorFact, end: TensorFact, weight: Given) -> TensorFact:
    """``x + weight * (end - x)``: 3 flops."""
    if x.dtype is not end.dtype:
        raise ShapeError(f"lerp: expected end of {x.dtype}, got {end.dtype}")
    return elementwise(scope, "lerp", x.dtype, *(t for t in (x, end, weight) if isinstance(t, TensorFact)))


def addc(scope: Scope, x: TensorFact, tensor1: TensorFact, tensor2: TensorFact, value: Scalar = 1) -> TensorFact:
    """``x + value * tensor1 * tensor2`` (or ``/``): 2 flops, 3 with a value other than 1."""
    return elementwise(scope, "addcmul", promote(x, tensor1, tensor2), x, tensor1, tensor2)


def addcdiv(scope: Scope, x: TensorFact, tensor1: TensorFact, tensor2: TensorFact, value: Scalar = 1) -> TensorFact:
    dtype = promote(tensor1, tensor2)
    if not is_arithmetic(dtype):
        raise ShapeError("addcdiv: integer division is not supported", hint="convert an operand to float")
    return addc(scope, x, tensor1, tensor2, value)


def _addc_cost(y: TensorFact, x: Any, tensor1: Any, tensor2: Any, value: Scalar = 1) -> Work:
    return Scalars(add=1, mul=1 if value == 1 else 2).work(y.numel, y.dtype)


def _addcdiv_cost(y: TensorFact, x: Any, tensor1: Any, tensor2: Any, value: Scalar = 1) -> Work:
    return Scalars(add=1, div=1, mul=0 if value == 1 else 1).work(y.numel, y.dtype)


def _ldexp_held(y: TensorFact, x: TensorFact, other: TensorFact) -> Size:
    """Before 2.11 the power of two was a tensor of its own."""
    return 0 if VERSION >= (2, 11) else other.numel * float_result(other.dtype).itemsize


_T = torch.Tensor
_FLOOR = per_element(Scalars(div=1, add=1))
_REMAINDER = per_element(Scalars(add=2, mul=1, div=1))  # a - floor(a/b)*b

_mapped = partial(op, takes_values=True, follows="mapped")

OPS: tuple[Op, ...] = (
    *functions.OPS,
    *table(BINARY, _binary, takes_values=True),
    *table(BINARY_FLOAT, lambda name: _binary(name, floating=True), takes_values=True),
    op(
        "ldexp", shape=_binary("ldexp", floating=True), cost=per_element(Scalars(mul=1, fn=1)),  # x * 2**other
        temporaries=_ldexp_held, takes_values=True, follows="mapped",
    ),
    _mapped("add", shape=add, cost=_add_cost, of_numbers=True),
    _mapped("sub", "subtract", shape=sub, cost=_add_cost, of_numbers=True),
    _mapped("rsub", shape=_swapped(sub), cost=_add_cost, extra=(_T.__rsub__,)),
    _mapped("mul", "multiply", shape=mul, cost=per_element(Scalars(mul=1)), of_numbers=True),
    _mapped("div", "divide", "true_divide", shape=div, cost=_div_cost, of_numbers=True),
    _mapped(
        "Tensor.__rdiv__",
        shape=_swapped(div),
        cost=_reflected_div_cost,
        extra=(_T.__rtruediv__,),
        temporaries=_held_reciprocal,
    ),
    _mapped("floor_divide", shape=_binary("floor_divide"), cost=_FLOOR, extra=(_T.__floordiv__,), of_numbers=True),
    _mapped("Tensor.__rfloordiv__", shape=_swapped(_binary("floor_divide")), cost=_FLOOR),
    _mapped("remainder", shape=_binary("remainder"), cost=_REMAINDER, of_numbers=True),
    _mapped("Tensor.__rmod__", shape=_swapped(_binary("remainder")), cost=_REMAINDER),
    _mapped("pow", shape=pow_, cost=_pow_cost, of_numbers=True),
    _mapped("Tensor.__rpow__", shape=_swapped(pow_), cost=_swapped_cost(_pow_cost)),
    _mapped("float_power", shape=float_power, cost=per_element(FN), temporaries=_widened),
    _mapped("clamp", "clip", shape=clamp, cost=_clamp_cost),
    _mapped("clamp_min", shape=clamp_min, cost=per_element(ONE)),
    _mapped("clamp_max", shape=clamp_max, cost=per_element(ONE)),
    _mapped("lerp", shape=lerp, cost=per_element(Scalars(add=2, mul=1))),
    _mapped("addcmul", shape=addc, cost=_addc_cost),
    _mapped("addcdiv", shape=addcdiv, cost=_addcdiv_cost),
)
