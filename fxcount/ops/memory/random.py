"""Random numbers.

Shapes:  the size asked for, or the operand's; default dtype float32 (randint, randperm, multinomial: int64)
Counts:  0: generators work on integers, and their number of steps depends on the distribution and the data
Raises:  ShapeError: an operand of the wrong rank

>>> rand(Scope({}), (2, 3), dtype=torch.float16).dtype
torch.float16
"""

from __future__ import annotations

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Device, Dtype, Sizes
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import broadcast
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.symbolic import Scope, Size

__all__ = ["OPS", "rand", "randint", "randint_like"]

_RANDOM = Zero("random number generation counted 0", moves=True)


def _fresh(size: Sizes, dtype: torch.dtype | None, device: Device, fallback: torch.dtype) -> TensorFact:
    shape = tuple(size) if isinstance(size, (list, tuple)) else (size,)
    return TensorFact(shape, dtype or fallback, torch.device(device) if device is not None else torch.device("cpu"))


def rand(scope: Scope, size: Sizes, *, dtype: Dtype = None, device: Device = None, **_: object) -> TensorFact:
    """A tensor of that size on the CPU unless told otherwise."""
    return _fresh(size, dtype, device, torch.get_default_dtype())


def randint(
    scope: Scope, *, size: Sizes, dtype: torch.dtype | None = None, device: Device = None, low: Size = 0,
    high: Size | None = None, **_: object,
) -> TensorFact:  # fmt: skip
    """``randint(high, size)`` or ``randint(low, high, size)``."""
    if high is not None and not scope.decide("<", low, high, "randint: from below to"):
        raise ShapeError(f"randint: low {low} must be below high {high}")
    return _fresh(size, dtype, device, torch.int64)


def randperm(scope: Scope, n: Size, *, dtype: Dtype = None, device: Device = None, **_: object) -> TensorFact:
    """The integers below n in random order."""
    if not scope.decide(">=", n, 0, "randperm: of so many"):
        raise ShapeError(f"randperm: n must be 0 or more, got {n}")
    return _fresh((n,), dtype, device, torch.int64)


def _like(scope: Scope, x: TensorFact, *, dtype: Dtype = None, device: Device = None, **_: object) -> TensorFact:
    y = dense_like(x, dtype)
    return y if device is None else TensorFact(y.shape, y.dtype, torch.device(device), y.strides)


def randint_like(
    scope: Scope, x: TensorFact, *_: object, dtype: torch.dtype | None = None, device: Device = None, **__: object
) -> TensorFact:
    """``randint_like(x, high)`` or ``randint_like(x, low, high)``."""
    return _like(scope, x, dtype=dtype, device=device)


def drawn(scope: Scope, x: TensorFact, *_: object, **__: object) -> TensorFact:
    """One draw for each element of the operand, row-major."""
    return x.new(x.shape)


def filled(scope: Scope, x: TensorFact, *_: object, **__: object) -> TensorFact:
    """In place: the operand itself."""
    return x


def normal(
    scope: Scope, *, mean: TensorFact | float = 0.0, std: TensorFact | float = 1.0, size: Sizes | None = None,
    dtype: torch.dtype | None = None, device: Device = None, written: TensorFact | None = None, **_: object,
) -> TensorFact:  # fmt: skip
    """``normal(mean, std)`` with a tensor among them, ``normal(mean, std, size)``, and ``x.normal_(mean, std)``."""
    if written is not None:
        return written
    if size is not None:
        return rand(scope, size, dtype=dtype, device=device)
    tensors = [operand for operand in (mean, std) if isinstance(operand, TensorFact)]
    if not tensors:
        raise ShapeError("normal: neither a tensor nor a size is given", hint="give size=(...)")
    return tensors[0].new(broadcast(scope, "normal", *(t.shape for t in tensors)))


def multinomial(scope: Scope, x: TensorFact, num_samples: Size, replacement: bool = False, **_: object) -> TensorFact:
    """Indices drawn from each row of weights."""
    if x.ndim not in (1, 2):
        raise ShapeError(f"multinomial: weights must have 1 or 2 dimensions, got {x.ndim}")
    return x.new((*x.shape[:-1], num_samples), torch.int64)


def binomial(scope: Scope, count: TensorFact, prob: TensorFact, **_: object) -> TensorFact:
    """Successes among ``count`` trials of probability ``prob``."""
    return count.new(broadcast(scope, "binomial", count.shape, prob.shape))


_IN_PLACE = ("uniform", "exponential", "cauchy", "log_normal", "geometric", "random")

OPS: tuple[Op, ...] = (
    *(op(name, shape=rand, cost=_RANDOM, random=True, sizes_at=0, differentiable=False) for name in ("rand", "randn")),
    op("randint", shape=randint, cost=_RANDOM, random=True, differentiable=False, overloads=Overloads(operand=False)),
    op("randperm", shape=randperm, cost=_RANDOM, random=True, differentiable=False),
    *(
        op(name, shape=_like, cost=_RANDOM, random=True, differentiable=False, shape_only=(0,))
        for name in ("rand_like", "randn_like")
    ),
    op("randint_like", shape=randint_like, cost=_RANDOM, random=True, differentiable=False, shape_only=(0,)),
    *(
        op(name, shape=drawn, cost=_RANDOM, random=True)
        for name in ("bernoulli", "poisson", "_standard_gamma", "_sample_dirichlet")
    ),
    op("normal", shape=normal, cost=_RANDOM, random=True, overloads=Overloads(renamed=(("self", "written"),), operand=False)),
    op("multinomial", shape=multinomial, cost=_RANDOM, random=True, differentiable=False),
    op("binomial", shape=binomial, cost=_RANDOM, random=True, differentiable=False),
    *(op(name, shape=filled, cost=_RANDOM, random=True, differentiable=False) for name in _IN_PLACE),
)
