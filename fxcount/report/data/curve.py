"""Totals over a range of sizes: every point exact, from as few analyses as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fxcount.dataclass import dataclass
from fxcount.errors import SizeError
from fxcount.report.data.coverage import Answered, cover
from fxcount.report.data.family import listed
from fxcount.symbolic import Assumption, Expr, Size, free_symbols, parse, substitute
from fxcount.symbolic.vector import evaluate_many

if TYPE_CHECKING:
    import numpy.typing as npt

    from fxcount.report.data.family import Family
    from fxcount.report.data.piece import Piece

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["QUANTITIES", "CurveData", "CurvePiece", "CurveRow", "curve_of", "grid", "ranges_of", "tied"]

QUANTITIES = ("macs", "flops", "read_bytes", "write_bytes", "peak_bytes", "params")
"""What is counted at every point."""

MOST_POINTS = 10_000_000


class CurvePiece(NamedTuple):
    """One of the analyses behind a curve: the sizes of its decisions, its assumptions, and how many points it answered."""

    hints: dict[str, int]
    assumptions: tuple[Assumption, ...]
    because: str
    points: int


@dataclass(frozen=True, slots=True)
class CurveRow:
    """One point: its sizes and counts. ``piece`` is the number of the analysis that answered; where ``refused`` says why there
    is no answer, the counts and the piece are ``None``."""

    sizes: dict[str, int]
    macs: int | None
    flops: int | None
    read_bytes: int | None
    write_bytes: int | None
    peak_bytes: int | None
    params: int | None
    piece: int | None
    refused: str = ""


class CurveData:
    """Exact totals at every point of a range or a grid.

    ``sizes`` and ``columns`` have one list for each symbol and each of :data:`QUANTITIES`, of one length; ``free`` names the
    symbols that run; ``refused`` says of each point why it has no counts, and is empty where it has.
    """

    def __init__(
        self, model_name: str, free: Sequence[str], sizes: Mapping[str, Sequence[int]],
        columns: Mapping[str, Sequence[int | None]], piece: Sequence[int | None], refused: Sequence[str],
        pieces: Sequence[CurvePiece],
    ) -> None:  # fmt: skip
        self.model_name = model_name
        self.free = tuple(free)
        self.sizes = {name: list(values) for name, values in sizes.items()}
        self.columns = {name: list(values) for name, values in columns.items()}
        self.piece = list(piece)
        self.refused = list(refused)
        self.pieces = tuple(pieces)

    @property
    def rows(self) -> list[CurveRow]:
        """Every point in order, the last of the free symbols running fastest."""
        names = list(self.sizes)
        points = zip(*self.sizes.values()) if names else [()] * len(self)
        counts = zip(*[self.columns[q] for q in QUANTITIES])
        return [
            CurveRow(dict(zip(names, point)), macs, flops, read, write, peak, params, piece, said)
            for point, (macs, flops, read, write, peak, params), piece, said in zip(points, counts, self.piece, self.refused)
        ]

    def __len__(self) -> int:
        return len(self.refused)

    def __eq__(self, other: object) -> bool:
        return self._all() == other._all() if isinstance(other, CurveData) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model_name, self.free, len(self), len(self.pieces)))

    def _all(self) -> tuple[Any, ...]:
        return self.model_name, self.free, self.sizes, self.columns, self.piece, self.refused, self.pieces

    def __iter__(self) -> Iterator[CurveRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        no = sum(map(bool, self.refused))
        by = f"{len(self.pieces)} piece{'s' * (len(self.pieces) != 1)}" + (f", {no} refused" if no else "")
        return f"<fxcount.{type(self).__name__} of {self.model_name}: {len(self)} points, {by}>"


def curve_of(
    family: Family, own: Piece, model_name: str, given: Mapping[str, Any], *, fixed: Mapping[str, int], extend: bool,
    guess: bool, progress: Callable[[int], None] | None,
) -> dict[str, Any]:  # fmt: skip
    """The parts of a :class:`CurveData`: ``given`` are a number, a sequence of them or a tie (a text) for each symbol."""
    import numpy as np

    names = [name for name in own.trace.scope.hints if name in own.asked or name in given]
    free, points = grid({**fixed, **given}, names, "curve")
    count = len(next(iter(points.values()))) if points else 1
    points = points or {"": np.zeros(1, dtype=np.int64)}
    possible = np.all([np.asarray(v >= 1, dtype=bool) for v in points.values()], axis=0) if "" not in points else None
    chosen = np.arange(count) if possible is None else np.flatnonzero(possible)
    inside = {name: values[chosen] for name, values in points.items() if name}
    answered, refused = _covered(family, own, inside, extend, progress)
    columns: dict[str, list[int | None]] = {q: [None] * count for q in QUANTITIES}
    piece: list[int | None] = [None] * count
    said = [""] * count
    for i in range(count) if possible is None else np.flatnonzero(~possible).tolist():
        said[i] = "" if possible is None else "a size must be at least 1"
    for number, found in enumerate(answered):
        _check_guesses(found.piece, inside, guess)
        where = chosen[found.points].tolist()
        totals = _totals(found.piece, {n: v[found.points] for n, v in inside.items()}, family.first)
        for quantity, numbers in totals.items():
            column = columns[quantity]
            for i, n in zip(where, numbers):
                column[i] = n
        for i in where:
            piece[i] = number
    for refusal in refused:
        words = refusal.said + (f" at {refusal.where}" if refusal.where else "")
        there = "" if refusal.at is None else listed({name: int(values[refusal.at]) for name, values in inside.items()})
        for i, number in zip(chosen[refusal.points].tolist(), refusal.points.tolist()):
            said[i] = f"{words}, said at {there}" if there and number != refusal.at else words
    pieces = [CurvePiece(a.piece.hints, a.piece.assumptions, a.piece.because, len(a.points)) for a in answered]
    return {
        "model_name": model_name, "free": free, "sizes": {n: v.tolist() for n, v in points.items() if n}, "columns": columns,
        "piece": piece, "refused": said, "pieces": pieces,
    }  # fmt: skip


def _covered(family: Family, own: Piece, points: Mapping[str, Array], extend: bool, progress: Any) -> tuple[Any, Any]:
    import numpy as np

    if not points:  # no symbols: one point
        return [Answered(own, np.zeros(1, dtype=np.int64))], []
    return cover(family, own, points, extend=extend, progress=progress)


def _check_guesses(piece: Piece, points: Mapping[str, Array], guess: bool) -> None:
    unknown = [u for name, u in piece.guesses.items() if name not in points]
    if unknown and not guess:
        raise SizeError(
            f"curve() needs a value for {', '.join(f'{u.name} ({u.what})' for u in unknown)}: no shape tells it",
            where=unknown[0].where, hint="give it, or take the guess with curve(..., guess=True)",
        )  # fmt: skip


def _totals(piece: Piece, points: Mapping[str, Array], first: Piece) -> dict[str, list[int]]:
    """The quantities at points at which the piece holds."""
    totals = {**piece.totals(*[q for q in QUANTITIES if q != "params"]), **first.totals("params")}
    count = len(next(iter(points.values()))) if points else 1
    columns = iter(evaluate_many([size for sizes in totals.values() for size in sizes], piece.filled(points)))
    found = {q: [_column(next(columns), count) for _ in sizes] for q, sizes in totals.items()}
    return {q: parts[0] if len(parts) == 1 else list(map(max, zip(*parts))) for q, parts in found.items()}


def _column(values: Array, count: int) -> list[int]:
    return values.tolist() if values.ndim else [int(values)] * count


# -- points -----------------------------------------------------------------------------------------------------------
def ranges_of(given: Mapping[str, Any], method: str, example: tuple[int, int]) -> dict[str, Any]:
    """What is given for each symbol, bounds ``(low, high)`` as the range of all sizes between them.

    Raises :class:`~fxcount.errors.SizeError` for a range without sizes.

    >>> ranges_of({"H": (32, 64), "W": "H", "B": 1}, "pieces", (32, 2048))
    {'H': range(32, 65), 'W': 'H', 'B': 1}
    """
    spread = {n: range(v[0], v[1] + 1) if isinstance(v, tuple) and len(v) == 2 else v for n, v in given.items()}
    for name, value in spread.items():
        if isinstance(value, range) and not value:
            raise SizeError(f"{method}({name}={given[name]}) has no sizes", hint=f"e.g. {method}({name}={example})")
    return spread


def grid(given: Mapping[str, Any], names: Sequence[str], method: str) -> tuple[list[str], dict[str, Array]]:
    """The symbols that run, and every point as columns: all combinations of what is given for each, ties worked out.

    Raises :class:`~fxcount.errors.SizeError` for symbols without a value, unknown ones, and what is no size.

    >>> free, points = grid({"H": range(32, 97, 32), "W": "2*H", "B": 1}, ["B", "H", "W"], "curve")
    >>> free, points["W"].tolist(), points["B"].tolist()
    (['H'], [64, 128, 192], [1, 1, 1])
    """
    import numpy as np

    ways = ("range(32, 257, 32)", f'"{names[0]}"' if names else "", *["1"] * len(names))
    example = f"e.g. {method}({', '.join(f'{n}={way}' for n, way in zip(names, ways))})"
    unknown = [n for n in given if n not in names]
    missing = [n for n in names if n not in given]
    if unknown or missing:
        raise SizeError(
            f"{method}() got {', '.join(map(ascii, unknown))}; the symbols are {', '.join(names) or 'none'}" if unknown
            else f"{method}() needs a value, a range or a tie for {', '.join(missing)}", hint=example,
        )  # fmt: skip
    ties = {n: _tie(n, v, names, method) for n, v in given.items() if isinstance(v, str)}
    axes = {n: _axis(n, v, method, example) for n, v in given.items() if n not in ties}
    count = int(np.prod([len(a) for a in axes.values()], dtype=object)) if axes else 1
    if count > MOST_POINTS:
        raise SizeError(f"{method}() of {count:,} points", hint=f"ask for at most {MOST_POINTS:,}")
    meshes = dict(zip(axes, [m.ravel() for m in np.meshgrid(*axes.values(), indexing="ij")])) if axes else {}
    for name, size in _resolved(ties, method).items():
        values = evaluate_many([size], {n: meshes[n] for n in free_symbols(size)})[0]
        meshes[name] = np.broadcast_to(values, (count,)).copy()
    return [n for n, a in axes.items() if len(a) > 1], {n: meshes[n] for n in names}


def tied(given: Mapping[str, Any], names: Sequence[str], method: str) -> dict[str, Size]:
    """The symbols that do not run, in terms of those that do: numbers, ties, and ranges of one size.

    >>> tied({"H": range(32, 97, 32), "W": "2*H", "B": 1}, ["B", "H", "W"], "curve")
    {'W': 2*H, 'B': 1}
    """
    numbers: dict[str, Size] = {}
    for name, value in given.items():
        if not isinstance(value, str):
            axis = _axis(name, value, method, "")
            if len(axis) == 1:
                numbers[name] = int(axis[0])
    ties = _resolved({n: _tie(n, v, names, method) for n, v in given.items() if isinstance(v, str)}, method)
    return {**{n: substitute(size, numbers) for n, size in ties.items()}, **numbers}


def _tie(name: str, text: str, names: Sequence[str], method: str) -> Size:
    size = parse(text)
    strange = sorted(free_symbols(size) - set(names))
    if strange:
        raise SizeError(f"{method}({name}={text!r}) names {', '.join(strange)}; the symbols are {', '.join(names)}")
    return size


def _resolved(ties: Mapping[str, Size], method: str) -> dict[str, Size]:
    """Ties in terms of what is no tie."""
    found = dict(ties)
    for _ in ties:
        found = {n: substitute(size, found) if isinstance(size, Expr) else size for n, size in found.items()}
    circular = sorted(n for n, size in found.items() if free_symbols(size) & ties.keys())
    if circular:
        raise SizeError(f"{method}(): {', '.join(circular)} are tied to one another", hint="give a range for one of them")
    return found


def _axis(name: str, value: Any, method: str, example: str) -> Array:
    import numpy as np

    if isinstance(value, Integral) and not isinstance(value, bool):
        value = [int(value)]
    if isinstance(value, range) and (value.stop - value.start) // value.step > MOST_POINTS:
        raise SizeError(f"{method}({name}={value}): ask for at most {MOST_POINTS:,} sizes", hint=example)
    try:
        array = np.asarray(list(value), dtype=object)
    except TypeError:
        array = np.array([value], dtype=object)
    flat = list(array.ravel().tolist())
    good = all(isinstance(v, Integral) and not isinstance(v, bool) for v in flat)
    if not flat or not good or min(flat) < 1:
        shown = ascii(value)[:80]
        raise SizeError(f"{method}({name}={shown}): sizes are integers of at least 1", hint=example)
    numbers = [int(v) for v in flat]
    return np.array(numbers, dtype=np.int64 if max(numbers) < 2**63 else object)
