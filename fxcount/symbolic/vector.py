"""The values of many sizes at many points at once, exact.

The sizes become one straight-line program over arrays, in which equal parts of different sizes are computed once. Intervals
say beforehand how large each step can become: what fits 64 bits is computed by numpy's integers, what may not by Python's
(arrays of objects). Points are taken a block at a time, so that a step's operands are still in the processor's cache.

>>> from fxcount.symbolic.expr import symbol
>>> H = symbol("H")
>>> evaluate_many([H // 2, H**3], {"H": range(5, 8)})
[array([2, 3, 3]), array([125, 216, 343])]
>>> evaluate_many([H**3], {"H": [7, 10**9]})
[array([343, 1000000000000000000000000000], dtype=object)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

from fxcount.errors import SizeError
from fxcount.symbolic.expr import Size
from fxcount.symbolic.program import to_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["as_points", "evaluate_defined", "evaluate_many"]

BLOCK = 1 << 13  # points computed together: arrays of 64 KB
SMALLEST, LARGEST = -(2**63), 2**63 - 1

ONE = -1
Scaled: TypeAlias = tuple[int, int]
"""A number times a step, by its position in the program; times ``ONE`` for the number itself."""
Step: TypeAlias = tuple[str, Any, Any]
"""``("sym", name, None)``, ``("mul", step, step)``, or ``add``, ``floordiv``, ``max``, ``min`` of two `Scaled`."""
Interval: TypeAlias = tuple[int, int]


def evaluate_many(sizes: Sequence[Size], values: Mapping[str, Any]) -> list[Array]:
    """The exact value of each size at every point: `evaluate`, for arrays.

    ``values`` are integers or arrays (lists, ranges) of integers, which are broadcast against each other as numpy does: give
    ``H`` with shape (n, 1) and ``B`` with shape (m,) for a grid. Each result has the broadcast shape; its dtype is int64 where
    all its values fit, and else object, with Python integers.

    Raises:
        SizeError: a symbol has no value, or one that is no integer.
        ZeroDivisionError: a divisor is 0 at one of the points.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, H = symbol("B"), symbol("H")
    >>> evaluate_many([B * H, 7], {"B": [1, 2], "H": [[3], [5]]})
    [array([[ 3,  6],
           [ 5, 10]]), array([[7, 7],
           [7, 7]])]
    """
    results, defined = evaluate_defined(sizes, values)
    if not all(mask is None for mask in defined):
        raise ZeroDivisionError("a divisor of the formula is 0 at one of the points")
    return results


def evaluate_defined(sizes: Sequence[Size], values: Mapping[str, Any]) -> tuple[list[Array], list[Array | None]]:
    """`evaluate_many` with a mask for each size of the points at which no divisor is 0, ``None`` if that is all of them.

    What stands at the other points means nothing.

    >>> from fxcount.symbolic.expr import symbol
    >>> evaluate_defined([12 // (symbol("H") - 3)], {"H": [2, 3, 5]})[1]
    [array([ True, False,  True])]
    """
    import numpy as np

    points, shape = as_points(values)
    program = _Program({name: value for name, value in points.items() if isinstance(value, int)}, points)
    outputs = [program.size(size) for size in sizes]
    columns = {name: np.broadcast_to(value, shape).ravel() for name, value in points.items() if name in program.used}
    count = int(np.prod(shape, dtype=np.int64)) if columns else 1
    run = _Run(program, outputs, columns)
    blocks = [run.block(slice(start, start + BLOCK)) for start in range(0, count, BLOCK)]
    results, defined = [], []
    for i in range(len(outputs)):
        parts, masks = [b[i][0] for b in blocks], [b[i][1] for b in blocks]
        results.append(_shaped(_joined(parts), shape))
        undefined = any(mask is not None for mask in masks)
        whole = [np.ones(len(p), bool) if m is None else ~m for p, m in zip(parts, masks)]
        defined.append(_shaped(np.concatenate(whole), shape) if undefined else None)
    return results, defined


def as_points(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The values as plain integers and integer arrays (int64, or object where that is too small), and their common shape.

    Raises :class:`~fxcount.errors.SizeError` for anything but integers and for shapes that do not go together.

    >>> as_points({"B": 2, "H": range(3)})
    ({'B': 2, 'H': array([0, 1, 2])}, (3,))
    """
    import numpy as np

    found = {name: _integers(name, value) for name, value in values.items()}
    try:
        return found, np.broadcast_shapes(*[() if isinstance(v, int) else v.shape for v in found.values()])
    except ValueError:
        shapes = ", ".join(f"{n}: {v.shape}" for n, v in found.items() if not isinstance(v, int))
        raise SizeError(f"values of shapes that do not go together: {shapes}") from None


def _integers(name: str, value: Any) -> int | Array:
    import numpy as np

    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, range):
        value = np.arange(value.start, value.stop, value.step) if _fits(value.start) and _fits(value.stop) else list(value)
    if not isinstance(value, np.ndarray):
        value = np.array(value, dtype=object)  # numpy would make floats of [2**63, -1]
    if value.dtype.kind == "i" or (value.dtype.kind == "u" and value.itemsize < 8):
        found = value.astype(np.int64, copy=False)
    elif value.dtype.kind == "u":
        found = _small(value.astype(object))
    elif value.dtype == object and all(isinstance(v, Integral) and not isinstance(v, bool) for v in value.flat):
        plain = np.empty(value.size, dtype=object)
        plain[:] = [int(v) for v in value.flat]
        found = _small(plain.reshape(value.shape))
    else:
        raise SizeError(f"values of {name} that are no integers: {ascii(value)[:80]}", hint="give integers or arrays of them")
    return int(found) if found.ndim == 0 else found


def _fits(*numbers: int) -> bool:
    return all(SMALLEST <= n <= LARGEST for n in numbers)


def _small(array: Array) -> Array:
    """An array of Python integers as int64 if all of them fit."""
    import numpy as np

    return array.astype(np.int64) if array.dtype == object and _fits(*_ends(array)) else array


def _ends(array: Array) -> Interval:
    return (int(array.min()), int(array.max())) if array.size else (0, 0)


def _joined(parts: list[Array]) -> Array:
    import numpy as np

    return _small(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)


def _shaped(flat: Array, shape: tuple[int, ...]) -> Array:
    import numpy as np

    return np.array(np.broadcast_to(flat.reshape(()), shape)) if flat.size == 1 else flat.reshape(shape)


class _Program:
    """Steps that compute all sizes, each after its operands; numbers among the values are folded in."""

    def __init__(self, numbers: Mapping[str, int], given: Iterable[str]) -> None:
        self.steps: list[Step] = []
        self.used: set[str] = set()
        self._numbers = numbers
        self._given = list(given)
        self._index: dict[Step, int] = {}

    def size(self, size: Size) -> Scaled:
        done: list[Scaled] = []
        for op, a, b in to_rows(size):
            if op == "int":
                done.append((int(str(a)), ONE))
            elif op == "sym":
                done.append(self._symbol(str(a)))
            elif op == "pow":
                done.append(self._power(done[int(a or 0)], int(b or 0)))
            else:
                done.append(self._pair(str(op), done[int(a or 0)], done[int(b or 0)]))
        return done[-1]

    def _step(self, op: str, a: Any, b: Any = None) -> Scaled:
        key = (op, a, b)
        if key not in self._index:
            self._index[key] = len(self.steps)
            self.steps.append(key)
        return 1, self._index[key]

    def _symbol(self, name: str) -> Scaled:
        if name in self._numbers:
            return self._numbers[name], ONE
        if name not in self._given:
            given = ", ".join(sorted(self._given)) or "none"
            raise SizeError(f"no value for the symbol {name!r}", hint=f"give one for each symbol; given: {given}")
        self.used.add(name)
        return self._step("sym", name)

    def _power(self, base: Scaled, exponent: int) -> Scaled:
        result = base
        for bit in bin(exponent)[3:]:  # square and multiply
            result = self._product(result, result)
            if bit == "1":
                result = self._product(result, base)
        return result

    def _product(self, a: Scaled, b: Scaled) -> Scaled:
        """Numbers are kept in front, so that ``2*B*H`` and ``3*B*H`` share ``B*H``."""
        number = a[0] * b[0]
        if not number or ONE in (a[1], b[1]):
            return (number, max(a[1], b[1])) if number else (0, ONE)
        return number, self._step("mul", *sorted((a[1], b[1])))[1]

    def _pair(self, op: str, a: Scaled, b: Scaled) -> Scaled:
        if op == "mul":
            return self._product(a, b)
        if op == "add" and a[1] == b[1]:
            total = a[0] + b[0]
            return (total, a[1]) if total else (0, ONE)
        if op == "add" and 0 in (a[0], b[0]):
            return b if not a[0] else a
        if a[1] == b[1] == ONE and (op != "floordiv" or b[0]):
            return a[0] // b[0] if op == "floordiv" else max(a[0], b[0]) if op == "max" else min(a[0], b[0]), ONE
        return self._step(op, a, b)


class _Run:
    """One program at one set of points."""

    def __init__(self, program: _Program, outputs: list[Scaled], columns: Mapping[str, Array]) -> None:
        self.steps = program.steps
        self.outputs = outputs
        self.columns = columns
        self.dying = list(_dying(program.steps, outputs))
        self.intervals = self._intervals({name: _ends(column) for name, column in columns.items()})
        self.small = all(_fits(*ends) for ends in self.intervals) and self._scaled_fit(self.intervals)

    def block(self, points: slice) -> list[tuple[Array, Array | None]]:
        """Values of the outputs at some of the points, and where they are undefined."""
        import numpy as np

        columns = {name: column[points] for name, column in self.columns.items()}
        intervals = self.intervals if self.small else self._intervals({n: _ends(c) for n, c in columns.items()})
        steps = _Block(intervals, columns)
        for (op, a, b), dying in zip(self.steps, self.dying):
            steps.add(op, a, b)
            for i in dying:
                steps.values[i] = None
        count = max([len(c) for c in columns.values()], default=1)
        return [
            (np.broadcast_to(steps.array(s), (count,)), steps.undefined.get(s[1])) for s in self.outputs
        ]  # fmt: skip

    def _intervals(self, ends: Mapping[str, Interval]) -> list[Interval]:
        found: list[Interval] = []
        for op, a, b in self.steps:
            if op == "sym":
                found.append(ends[a])
            elif op == "mul":
                found.append(_corners(found[a], found[b]))
            else:
                found.append(_ENDS[op](_times(a, found), _times(b, found)))
        return found

    def _scaled_fit(self, intervals: list[Interval]) -> bool:
        operands = [s for op, *pair in self.steps if op not in ("sym", "mul") for s in pair]
        return all(_fits(*_times(s, intervals)) for s in [*operands, *self.outputs])


def _dying(steps: list[Step], outputs: list[Scaled]) -> Iterator[list[int]]:
    """For each step the earlier ones that nobody asks for after it."""
    last = {i: i for i in range(len(steps))}
    for i, (op, a, b) in enumerate(steps):
        if op != "sym":
            last.update({(x if op == "mul" else x[1]): i for x in (a, b)})
    last.update({i: len(steps) for _, i in outputs})
    at: dict[int, list[int]] = {}
    for i, user in last.items():
        if i != ONE:
            at.setdefault(user, []).append(i)
    for i in range(len(steps)):
        yield at.get(i, [])


def _times(scaled: Scaled, intervals: Sequence[Interval]) -> Interval:
    number, step = scaled
    if step == ONE:
        return number, number
    low, high = intervals[step]
    return (number * low, number * high) if number >= 0 else (number * high, number * low)


def _corners(a: Interval, b: Interval) -> Interval:
    ends = [x * y for x in a for y in b]
    return min(ends), max(ends)


def _quotient(a: Interval, b: Interval) -> Interval:
    if b[0] <= 0 <= b[1]:  # divisors of at least 1 in size: what is divided grows no larger
        most = max(abs(a[0]), abs(a[1]))
        return -most, most
    ends = [x // y for x in a for y in b]
    return min(ends), max(ends)


_ENDS: dict[str, Callable[[Interval, Interval], Interval]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]), "floordiv": _quotient,
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])), "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
}  # fmt: skip


class _Block:
    """The steps at one block of points: int64 where the intervals say that it fits, else Python's integers."""

    def __init__(self, intervals: list[Interval], columns: Mapping[str, Array]) -> None:
        self.intervals = intervals
        self.columns = columns
        self.values: list[Array | None] = []
        self.undefined: dict[int, Array] = {}

    def add(self, op: str, a: Any, b: Any) -> None:
        if op == "sym":
            self.values.append(self.columns[a])
            return
        operands: tuple[Scaled, Scaled] = ((1, a), (1, b)) if op == "mul" else (a, b)
        place = len(self.values)
        left, right = (self.operand(s) for s in operands)
        self._inherit(place, *[s[1] for s in operands])
        ends = self.intervals[place]
        if not _fits(*ends, *_times(operands[0], self.intervals), *_times(operands[1], self.intervals)):
            left, right = _as_objects(left), _as_objects(right)
        value = self._computed(op, left, right, place)
        self.values.append(value.astype("int64") if value.dtype == object and _fits(*ends) else value)

    def _computed(self, op: str, left: Any, right: Any, place: int) -> Any:
        import numpy as np

        if op == "mul":
            return left * right
        if op == "add":
            return left + right
        if op == "floordiv":
            return left // self._divisor(right, place)
        return np.maximum(left, right) if op == "max" else np.minimum(left, right)

    def _divisor(self, divisor: Any, place: int) -> Any:
        """The divisor with 1 for 0, which is noted."""
        import numpy as np

        zero = divisor == 0
        if not np.any(zero):
            return divisor
        count = max([len(c) for c in self.columns.values()], default=1)
        known = self.undefined.get(place)
        zeros = np.broadcast_to(np.asarray(zero, dtype=bool), (count,))
        self.undefined[place] = zeros if known is None else known | zeros
        return np.where(zero, 1, divisor)

    def _inherit(self, place: int, *operands: int) -> None:
        for mask in [self.undefined[i] for i in operands if i in self.undefined]:
            known = self.undefined.get(place)
            self.undefined[place] = mask if known is None else known | mask

    def operand(self, scaled: Scaled) -> Any:
        """A plain integer for a number: numpy divides by one several times faster than by an array."""
        number, step = scaled
        if step == ONE:
            return number
        value: Any = self.values[step]
        if number == 1:
            return value
        return number * (value if _fits(number, *_times(scaled, self.intervals)) else _as_objects(value))

    def array(self, scaled: Scaled) -> Array:
        import numpy as np

        value = self.operand(scaled)
        return np.array(value, dtype=np.int64 if _fits(value) else object) if isinstance(value, int) else value


def _as_objects(value: Any) -> Any:
    """Python's integers for numpy's."""
    return value if isinstance(value, int) else value.astype(object)
