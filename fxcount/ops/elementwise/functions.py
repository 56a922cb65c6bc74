"""Functions of one operand, element by element.

Shapes:  as the operand; functions leave the integers, roundings and signs keep them
Counts:  per element, the scalar formula in the tables below (conventions in ``scalars.py``); integer work 0
Raises:  ShapeError: a dtype has no such operation
Source:  the definitions in the torch documentation

>>> x = TensorFact((2, 3), torch.float32)
>>> per_element(FUNCTIONS["sqrt"])(x, x).flops
6
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Results
from fxcount.ops.core.common import float_result, promote
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, op
from fxcount.ops.core.scalars import Scalars, fact_of
from fxcount.symbolic import Scope, Size

__all__ = ["FN", "FUNCTIONS", "KEEPING", "ONE", "OPS", "per_element", "table"]

FN = Scalars(fn=1)
ONE = Scalars(add=1)

# name(s) -> scalar operations per element; the result is floating.
FUNCTIONS = {
    "exp expm1 log log2 log10 log1p sin cos tan sinh cosh tanh lgamma digamma erf erfc erfinv exp2 i0 sigmoid": FN,
    "asin arcsin": FN,
    "acos arccos": FN,
    "atan arctan": FN,
    "asinh arcsinh": FN,
    "acosh arccosh": FN,
    "atanh arctanh": FN,
    "special.exp2 special.expm1 special.log1p special.erf special.erfc special.erfinv special.erfcx special.expit "
    "special.gammaln special.digamma special.psi special.ndtri special.i0 special.i0e special.i1 special.i1e "
    "special.airy_ai special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1 "
    "special.modified_bessel_i0 special.modified_bessel_i1 special.modified_bessel_k0 special.modified_bessel_k1 "
    "special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1 special.spherical_bessel_j0": FN,
    "sqrt": Scalars(root=1),
    "rsqrt": Scalars(root=1, div=1),
    "reciprocal": Scalars(div=1),
    "deg2rad": Scalars(mul=1),
    "rad2deg": Scalars(mul=1),
    "sinc special.sinc": Scalars(mul=1, div=1, fn=1),  # sin(pi*x) / (pi*x)
    "special.entr": Scalars(add=1, mul=1, fn=1),  # -x * log(x)
    "special.log_ndtr": Scalars(add=1, mul=2, fn=2),
}
# These keep the dtype and do nothing to integers that counts.
KEEPING = {
    "neg negative": ONE,
    "sign": Scalars(add=2),  # (x > 0) - (x < 0) with the subtraction in booleans
    "floor": ONE,
    "ceil": ONE,
    "trunc fix": ONE,
    "frac": Scalars(add=2),  # x - trunc(x)
    "round special.round": ONE,
    "nan_to_num": Scalars(add=3),  # three tests
}


def per_element(scalars: Scalars) -> CostRule:
    """Cost rule: these scalar operations for every element of the result."""

    def cost(y: Results, *_: object, **__: object) -> Work:
        fact = fact_of(y)
        return scalars.work(fact.numel, fact.dtype)

    return cost


def function(scope: Scope, x: TensorFact, *_: object, **__: object) -> TensorFact:
    return dense_like(x, float_result(x.dtype))


def _keeping(name: str) -> ShapeRule:
    def keeping(scope: Scope, x: TensorFact, *_: object, **__: object) -> TensorFact:
        if x.dtype is torch.bool and name in ("neg", "negative", "round", "floor", "ceil", "trunc", "frac"):
            raise ShapeError(f"{name}: not defined for torch.bool", hint="convert the mask to a number first")
        if x.dtype.is_complex and name not in ("neg", "negative", "nan_to_num"):
            raise ShapeError(f"{name}: not defined for complex numbers")
        return dense_like(x)

    return keeping


def absolute(scope: Scope, x: TensorFact) -> TensorFact:
    """``|x|``: 1 flop; of a complex number sqrt(re*re + im*im): 4."""
    return dense_like(x, x.dtype.to_real() if x.dtype.is_complex else x.dtype)


def _abs_cost(y: TensorFact, x: TensorFact) -> Work:
    return Scalars(add=4 if x.dtype.is_complex else 1).work(y.numel, y.dtype)


def _sgn_cost(y: TensorFact, x: TensorFact) -> Work:
    """z / |z|: 4 for the modulus, 2 divisions; as sign for a real number: 2 comparisons."""
    real = x.dtype.to_real() if x.dtype.is_complex else x.dtype
    return Scalars(add=6 if x.dtype.is_complex else 2).work(y.numel, real)


def square(scope: Scope, x: TensorFact) -> TensorFact:
    """``x * x``: 1 flop."""
    return dense_like(x, promote(x, 2))


def logit(scope: Scope, x: TensorFact, eps: float | None = None) -> TensorFact:
    """``log(x / (1 - x))``: 3 flops, 2 comparisons more with ``eps``."""
    return dense_like(x, float_result(x.dtype))


def _logit_cost(y: TensorFact, x: TensorFact, eps: float | None = None) -> Work:
    return Scalars(add=1 if eps is None else 3, div=1, fn=1).work(y.numel, y.dtype)


def polygamma(scope: Scope, n: Any, x: Any) -> TensorFact:
    """One function; the order comes first, or second in the method."""
    fact: TensorFact = n if isinstance(n, TensorFact) else x
    return dense_like(fact, float_result(fact.dtype))


def _multigamma_cost(y: TensorFact, x: TensorFact, p: Size) -> Work:
    """sum of lgamma(x - j/2) for j < p, plus a constant: 3*p flops of which p lgamma."""
    return Scalars(add=2 * p, fn=p).work(y.numel, y.dtype)


def _ndtr_held(y: TensorFact, x: TensorFact) -> Size:
    """The three steps before the last of ``(1 + erf(x * c)) * 0.5``."""
    return 3 * y.nbytes


def frexp(scope: Scope, x: TensorFact) -> tuple[TensorFact, TensorFact]:
    """Mantissa and exponent: one function."""
    make: Any = torch.return_types.frexp
    result: tuple[TensorFact, TensorFact] = make((dense_like(x), dense_like(x, torch.int32)))
    return result


def table(formulas: dict[str, Scalars], rule: Callable[[str], ShapeRule], takes_values: bool = False) -> list[Op]:
    """An op for every name in the keys, with the shape rule made for it."""
    ops: list[Op] = []
    for names, scalars in formulas.items():
        cost = per_element(scalars)
        ops.extend(
            op(name, shape=rule(name), cost=cost, takes_values=takes_values, follows="mapped") for name in names.split()
        )
    return ops


OPS: tuple[Op, ...] = (
    op("abs", "absolute", shape=absolute, cost=_abs_cost, follows="mapped"),
    op("sgn", shape=lambda scope, x: dense_like(x), cost=_sgn_cost, follows="mapped"),
    op("square", shape=square, cost=per_element(Scalars(mul=1)), follows="mapped"),
    op("logit", "special.logit", shape=logit, cost=_logit_cost, follows="mapped"),
    op("polygamma", "special.polygamma", shape=polygamma, cost=per_element(FN), follows="mapped"),
    op("mvlgamma", "special.multigammaln", shape=function, cost=_multigamma_cost, follows="mapped"),
    op("special.ndtr", shape=function, cost=per_element(Scalars(add=1, mul=2, fn=1)), temporaries=_ndtr_held, follows="mapped"),
    op("frexp", shape=frexp, cost=per_element(ONE)),
    *table(FUNCTIONS, lambda name: function),
    *table(KEEPING, _keeping),
)
