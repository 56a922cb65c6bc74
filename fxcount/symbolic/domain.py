"""Where the formulas of one analysis hold, for many sizes at once.

`holds_at` is ``scope.check(...) is None`` at every point, and `completed_at` what ``scope.unbacked.completed`` does there.

>>> from fxcount.symbolic.expr import symbol
>>> scope = Scope({"H": 224})
>>> scope.divisible(symbol("H"), 32), scope.decide(">", symbol("H"), 99)
(True, True)
>>> holds_at(scope, {"H": [96, 128, 130, 160]})
array([False,  True, False,  True])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

from fxcount.symbolic.assumption import Assumption
from fxcount.symbolic.expr import Size, symbol
from fxcount.symbolic.floats import LARGEST, Claim
from fxcount.symbolic.scope import Scope
from fxcount.symbolic.values import free_symbols
from fxcount.symbolic.vector import as_points, evaluate_defined, evaluate_many

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["completed_at", "holds_at"]


def completed_at(scope: Scope, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as integers and integer arrays, and for every data-dependent size that has none its default.

    Raises :class:`~fxcount.errors.SizeError` for values that are no integers.

    >>> scope = Scope({"S": 128})
    >>> kept = scope.unbacked.new("kept", "boxes kept", default=scope.symbols["S"] // 2)
    >>> completed_at(scope, {"S": [1, 2, 9]})
    {'S': array([1, 2, 9]), 'kept_1': array([1, 1, 4])}
    """
    import numpy as np

    full, _ = as_points(values)
    for name, found in scope.unbacked.by_name.items():
        if name not in full:
            needed = {n: full[n] for n in free_symbols(found.default)}
            full[name] = np.maximum(evaluate_many([found.default], needed)[0], 1)
    return full


def holds_at(scope: Scope, values: Mapping[str, Any]) -> Array:
    """At which of the points every assumption of the scope holds, in the broadcast shape of the values.

    Raises :class:`~fxcount.errors.SizeError` when a symbol has no value, or one that is no integer.
    """
    import numpy as np

    full = completed_at(scope, values)
    shape = as_points(full)[1]
    masks = [np.asarray(full[name] >= 1, dtype=bool) for name in scope.symbols if name in full]
    masks += _hold(scope.assumptions, full)
    masks += _below(scope.limits, full)
    masks += _within(scope, full)
    everywhere = np.ones(shape, dtype=bool)
    return reduce(lambda a, b: a & b, masks, everywhere)


def _hold(assumptions: Sequence[Assumption], values: Mapping[str, Any]) -> list[Array]:
    plain = [a for a in assumptions if a.claim is None]
    found = [_claimed(a.claim, values) for a in assumptions if a.claim is not None]
    numbers, defined = evaluate_defined([a.expr for a in plain], values)
    for assumption, number, mask in zip(plain, numbers, defined):
        truth = _true(assumption, number)
        found.append(truth if mask is None else truth & mask)
    return found


def _true(assumption: Assumption, number: Array) -> Array:
    if assumption.relation == "%":
        return _bools(number % assumption.modulus == 0)
    return _bools(number == 0 if assumption.relation == "==" else number != 0 if assumption.relation == "!=" else number >= 0)


def _bools(truth: Any) -> Array:
    import numpy as np

    return np.asarray(truth, dtype=bool)


def _below(limits: Iterable[Size], values: Mapping[str, Any]) -> list[Array]:
    """Where the sizes that floats must hold exactly are small enough for them."""
    numbers, defined = evaluate_defined(list(limits), values)
    masks = [_bools((number > -LARGEST) & (number < LARGEST)) for number in numbers]
    return [mask if exists is None else mask & exists for mask, exists in zip(masks, defined)]


def _within(scope: Scope, values: Mapping[str, Any]) -> list[Array]:
    """Where data-dependent sizes are at most what they can be."""
    rooms: list[Size] = [u.most - symbol(u.name) for u in scope.unbacked.by_name.values() if u.most is not None]
    numbers, defined = evaluate_defined(rooms, values)
    return [_bools(n >= 0) if mask is None else _bools(n >= 0) & mask for n, mask in zip(numbers, defined)]


def _claimed(claim: Claim, values: Mapping[str, Any]) -> Array:
    """Where a claim about floats holds: computed as Python does, once for each combination of the sizes that take part."""
    import numpy as np

    names = sorted(frozenset().union(*map(free_symbols, claim.sizes)))
    points, shape = as_points({name: values[name] for name in names})
    columns = [np.broadcast_to(points[name], shape).ravel().tolist() for name in names]
    known: dict[tuple[int, ...], bool] = {}
    found = []
    for point in zip(*columns):
        truth = known.get(point)
        if truth is None:
            truth = known[point] = claim.holds(dict(zip(names, point)))
        found.append(truth)
    return np.array(found, dtype=bool).reshape(shape)
