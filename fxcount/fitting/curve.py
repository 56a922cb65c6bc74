"""A curve over models that are built for one size each: the front door ``curve(build, inputs, H=range(...))``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fxcount.api import analyze
from fxcount.dataclass import dataclass
from fxcount.errors import InputError, first_line
from fxcount.report.curves import Curve
from fxcount.report.data.curve import QUANTITIES, CurvePiece, grid
from fxcount.symbolic import free_symbols, parse, substitute, to_text
from fxcount.trace.inputs.building import built, filled, names_in, without_placeholders
from fxcount.trace.inputs.specs import symbols_of

__all__ = ["curve"]


def curve(
    build: Callable[..., Any],
    /,
    *inputs: Any,
    hints: Mapping[str, int] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    guess: bool = False,
    progress: Callable[[int], None] | None = None,
    options: Mapping[str, Any] | None = None,
    **values: Any,
) -> Curve:
    """Exact totals at every point of a range of models: ``build`` is called for each value of what it takes.

    For a model that takes any size, analyse it once and ask :meth:`fxcount.Report.curve`. This is for those that are built for
    one: ``{H}`` in an input is the number the model was built for. Of ``values``, those that stand for symbols of the
    inputs (``B`` in ``"B,3,{H},{H}"``) run within one analysis; the others are handed to ``build``, unless only the inputs name
    them. Each is a number, a range or sequence of them, or a tie to others as text.

    ``build`` is called under ``torch.device("meta")``, and the model analysed as it is. A value for which it raises an error is
    a row without counts that says why. ``options`` are further keyword arguments of :func:`fxcount.analyze`; ``progress`` is
    told how many builds are left.

    Raises:
        InputError: a name is neither, or all builds fail.
        SizeError: what is given for a name is no size.

    >>> import torch
    >>> class Fixed(torch.nn.Module):
    ...     def __init__(self, H):
    ...         super().__init__()
    ...         self.flat = torch.nn.Linear(3 * H * H, 5)
    ...     def forward(self, x):
    ...         return self.flat(x.flatten(1))
    >>> found = curve(Fixed, "B,3,{H},{H}", H=range(8, 25, 8), B=[1, 2])
    >>> [(row.sizes["H"], row.sizes["B"], row.macs) for row in found.rows]
    [(8, 1, 960), (8, 2, 1920), (16, 1, 3840), (16, 2, 7680), (24, 1, 8640), (24, 2, 17280)]
    """
    named = dict(kwargs or {})
    symbols = [name for name in values if name in symbols_of(*without_placeholders(list(inputs)), without_placeholders(named))]
    hyper = [name for name in values if name not in symbols]
    follows = [n for n in hyper if isinstance(values[n], str) and free_symbols(parse(values[n])) & set(symbols)]
    if follows:
        raise InputError(
            f"{follows[0]}={values[follows[0]]!r} follows a symbol of the inputs, but the model is built before it has any",
            hint="tie the symbol to what the model is built for",
        )
    given = {name: values[name] for name in [*hyper, *symbols]}
    free, points = grid(given, list(given), "curve")
    count = len(next(iter(points.values()))) if points else 1
    places = list(zip(*[points[name].tolist() for name in hyper])) or [()] * count
    found = _Columns(list(given))
    groups = list(dict.fromkeys(places))
    elsewhere = names_in([list(inputs), named])
    first: Exception | None = None
    for left, place in zip(range(len(groups), 0, -1), groups):
        if progress is not None:
            progress(left)
        sizes = dict(zip(hyper, place))
        rest = {name: _at(values[name], sizes) for name in symbols}
        try:
            model = built(build, sizes, elsewhere)
            given_inputs = filled(list(inputs), sizes)
            report = analyze(model, *given_inputs, hints=hints, kwargs=filled(named, sizes), **(options or {}))
        except Exception as error:  # whatever a constructor raises for a size it does not take
            first = first or error
            found.refuse(f"{type(error).__name__}: {first_line(error)}", places.count(place))
        else:
            found.add(sizes, report.curve(guess=guess, **rest))
    if first is not None and all(found.refused):
        raise first
    model_name = found.model_name
    return Curve(
        model_name=model_name, free=free, sizes={n: v.tolist() for n, v in points.items()}, columns=found.columns,
        piece=found.piece, refused=found.refused, pieces=found.pieces,
    )  # fmt: skip


@dataclass
class _Columns:
    """The parts of a curve, put together from one for each build."""

    names: list[str]

    def __post_init__(self) -> None:
        self.model_name = ""
        self.columns: dict[str, list[int | None]] = {quantity: [] for quantity in QUANTITIES}
        self.piece: list[int | None] = []
        self.refused: list[str] = []
        self.pieces: list[CurvePiece] = []

    def refuse(self, said: str, count: int) -> None:
        for column in (*self.columns.values(), self.piece):
            column += [None] * count
        self.refused += [said] * count

    def add(self, sizes: Mapping[str, int], part: Curve) -> None:
        self.model_name = self.model_name or part.model_name
        for quantity, column in self.columns.items():
            column += part.columns[quantity]
        self.piece += [None if number is None else number + len(self.pieces) for number in part.piece]
        self.refused += part.refused
        self.pieces += [piece._replace(hints={**sizes, **piece.hints}) for piece in part.pieces]


def _at(value: Any, sizes: Mapping[str, int]) -> Any:
    """What is given for a symbol once the model is built: in a tie, the numbers it was built for."""
    if not isinstance(value, str):
        return value
    size = substitute(parse(value), sizes)
    return size if isinstance(size, int) else to_text(size)
