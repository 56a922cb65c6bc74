"""Generation as data: a prompt, then one token at a time, each step with one token more in the cache.

What is traced is the prompt of ``P`` tokens and the two steps after it, once and with symbolic sizes: the first step has ``P``
tokens in its cache, the second ``P + 1``. So the trace says what a step with any past costs. A generation of ``N`` tokens is
the prompt, which gives the first of them, and ``N - 1`` steps with ``P``, ``P + 1``, ... tokens in the cache: sums of a
polynomial, which Newton's formula gives in closed form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from fxcount.dataclass import dataclass
from fxcount.errors import SizeError
from fxcount.passes import Costs, peaks_of
from fxcount.report.data.family import Family
from fxcount.report.data.piece import Piece
from fxcount.report.data.report import ReportData
from fxcount.symbolic import (
    Size,
    evaluate,
    evaluate_many,
    free_symbols,
    is_nonnegative,
    is_zero,
    max_,
    substitute,
    sum_,
    symbol,
    to_sympy,
)
from fxcount.trace.tape import ModuleCall, Trace

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ROOM", "TURN", "GenerationData", "Names", "Part", "Turns"]

TURN = "turn"
"""The module whose three calls are the prompt and the two steps."""
ROOM = "M"
"""The tokens that a cache of a fixed size takes."""
QUANTITIES = ("macs", "flops", "read_bytes", "write_bytes")
_MOST_DEGREE = 6


@dataclass(frozen=True, slots=True)
class Names:
    """The symbols of the sequences in a batch, the tokens of a prompt, the new ones, and those in the cache of one step."""

    batch: str
    prompt: str
    new: str
    past: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a generation. ``macs`` are those of contractions, ``flops`` all floating-point arithmetic; ``peak_bytes`` the
    most bytes alive at one moment, cache included, parameters and buffers not."""

    macs: Any
    flops: Any
    read_bytes: Any
    write_bytes: Any
    peak_bytes: Any

    @classmethod
    def of(cls, work: Iterable[Any], peak: Any) -> Part:
        """That of the four counts and the peak."""
        macs, flops, read, written = work
        return cls(macs, flops, read, written, peak)


class TurnsPiece(Piece):
    """One analysis of a prompt and two steps, with what it says of each."""

    @cached_property
    def turns(self) -> tuple[ModuleCall, ...]:
        """The prompt and the two steps."""
        return tuple([m for m in self.trace.modules if m.path == TURN])

    @cached_property
    def work(self) -> tuple[Mapping[str, Size], ...]:
        """The counts of each turn."""
        calls = self.trace.calls
        totals = [self.costs.sum(calls[turn.start : turn.stop]) for turn in self.turns]
        return tuple([{name: getattr(total, name) for name in QUANTITIES} for total in totals])

    @cached_property
    def moments(self) -> tuple[tuple[Size, ...], ...]:
        """The bytes alive during each turn, at the moments of which one has the most."""
        room: Size = symbol(ROOM) if ROOM in self.trace.scope.hints else 0  # an input that only says how large the cache is
        found = [peaks_of(self.trace, range(turn.start, turn.stop)) for turn in self.turns]
        return tuple([tuple([p.nbytes - room for p in peaks]) for peaks in found])

    @cached_property
    def peaks(self) -> tuple[Size, ...]:
        """The most bytes alive during each turn."""
        return tuple([max_(*moments) for moments in self.moments])

    @cached_property
    def cached(self) -> tuple[Size, ...]:
        """The bytes of what is in the cache after each turn."""
        return tuple([sum_([f.nbytes for f in turn.outputs[1:]]) for turn in self.turns])


class Turns(ReportData):
    """The report of a prompt and two steps."""

    _found: TurnsPiece

    def __init__(self, trace: Trace, costs: Costs, values: Any = None, guessed: Any = None) -> None:
        super().__init__(trace, costs, values, guessed)
        self._found = TurnsPiece(trace, costs)
        self.family = Family(self._found)

    @property
    def piece(self) -> TurnsPiece:
        """The analysis that answers here."""
        return self._found


class GenerationData:
    """FLOPs and bytes of a generation: ``int``, or ``sympy.Expr`` while symbols remain.

    ``turns`` is the report of a prompt and two steps, ``values`` are the sizes that are known.
    """

    def __init__(self, turns: Turns, names: Names, values: Mapping[str, int] | None = None, extend: bool = True) -> None:
        self.turns = turns
        self.names = names
        self.values = dict(values or {})
        self.extend = extend
        known = self._inside(self._traced(self.values))
        self._report = turns.at(extend=extend, **known) if known else turns
        self._piece: TurnsPiece = self._report.piece

    def _traced(self, values: Mapping[str, int]) -> dict[str, int]:
        """The sizes that the trace has symbols for; the room of a cache of a fixed size is what prompt and new tokens take."""
        names, found = self.names, dict(values)
        if ROOM in self.turns.trace.scope.hints and ROOM not in found and {names.prompt, names.new} <= found.keys():
            found[ROOM] = found[names.prompt] + found[names.new] - 1
        return {name: value for name, value in found.items() if name not in (names.new, names.past)}

    # -- sizes --------------------------------------------------------------------------------------------------------
    @property
    def symbols(self) -> tuple[str, ...]:
        """The sizes without a value."""
        names = self.names
        wanted = (names.batch, names.prompt, names.new)
        return tuple([n for n in wanted if n not in self.values])

    def symbol(self, name: str) -> Any:
        """The sympy symbol of this name, as it stands in the formulas."""
        return to_sympy(symbol(name))

    def at(self, /, *, extend: bool = True, **values: int) -> Self:
        """The same generation at these sizes; of fewer than all, the rest stays symbolic. Where the model decides otherwise,
        as at a window that is full, it is analysed again, unless ``extend`` is false.

        Raises:
            SizeError: unknown names, or what is no size.
            AssumptionError: the model cannot be analysed at these sizes.
        """
        names = self.names
        unknown = values.keys() - {names.batch, names.prompt, names.new, names.past, ROOM}
        if unknown or not all([isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values.values()]):
            raise SizeError(
                f"at() got {', '.join([f'{n}={v!a}' for n, v in values.items()])[:200]}; the sizes are "
                + ", ".join([names.batch, names.prompt, names.new, f"{names.past} (the past of one step)"]),
                hint="give integers of at least 1 for these names",
            )
        return type(self)(self.turns, self.names, {**self.values, **values}, extend)

    def _public(self, size: Size) -> Any:
        if not isinstance(size, int):
            size = substitute(self._roomed(size), self.values)
        return size if isinstance(size, int) else to_sympy(size)

    def _roomed(self, size: Size) -> Size:
        if isinstance(size, int) or ROOM in self.values or ROOM not in free_symbols(size):
            return size
        return substitute(size, {ROOM: symbol(self.names.prompt) + symbol(self.names.new) - 1})

    def _of_past(self, size: Size, shift: int = 0) -> Size:
        """A formula in the prompt as one in the past, of which a turn with ``shift`` steps before it has so many more."""
        return substitute(size, {self.names.prompt: symbol(self.names.past) - shift}) if not isinstance(size, int) else size

    # -- parts --------------------------------------------------------------------------------------------------------
    @property
    def prefill(self) -> Part:
        """The prompt, at once; it gives the first new token."""
        return self._part(self._piece.work[0], self._piece.peaks[0])

    @property
    def step(self) -> Part:
        """One step, as formulas in the past: the tokens that are in the cache before it."""
        piece = self._at_past
        work = {name: self._of_past(size) for name, size in piece.work[1].items()}
        return self._part(work, self._of_past(piece.peaks[2], 1))

    @property
    def _at_past(self) -> TurnsPiece:
        """The piece for the past that is asked for, or for the prompt."""
        past = self.values.get(self.names.past)
        return self._piece if past is None else self._answering(past)

    def _part(self, work: Mapping[str, Size], peak: Size) -> Part:
        return Part.of([self._public(work[name]) for name in QUANTITIES], self._public(peak))

    @property
    def kv_bytes(self) -> Any:
        """Bytes of what the cache holds, keys and values and the states of recurrent layers, with so many tokens in it."""
        return self._public(self._of_past(self._at_past.cached[1], 1))

    @property
    def kv_bytes_per_token(self) -> Any:
        """Bytes by which the cache grows with each token of each sequence."""
        cached = self._of_past(self._at_past.cached[1], 1)
        past, batch = self.names.past, self.names.batch
        one = substitute(cached, {batch: 1}) if not isinstance(cached, int) else cached
        more = substitute(one, {past: symbol(past) + 1}) - one if not isinstance(one, int) else 0
        return self._public(more)

    # -- all of it ----------------------------------------------------------------------------------------------------
    @property
    def total(self) -> Part:
        """Prompt and all steps: a closed form in prompt and new tokens (of which there are at least 3), or numbers where all
        sizes are known.

        A closed form is of the piece that was analysed; numbers are summed over all pieces that the steps go through.

        Raises :class:`~fxcount.errors.SizeError` where there is no closed form.
        """
        return self._in_closed_form() if self.symbols else self._in_numbers()

    @property
    def macs(self) -> Any:
        """Multiply-accumulates of contractions, of prompt and all steps."""
        return self.total.macs

    @property
    def flops(self) -> Any:
        """All scalar floating-point operations of prompt and all steps."""
        return self.total.flops

    @property
    def peak_bytes(self) -> Any:
        """Most bytes alive at one moment, cache included, parameters and buffers not."""
        return self.total.peak_bytes

    def _in_closed_form(self) -> Part:
        piece, prompt, new = self._piece, symbol(self.names.prompt), symbol(self.names.new)
        later = piece.peaks[2]
        if not all([is_nonnegative(self._further(moment, prompt + 1) - moment) for moment in piece.moments[2]]):
            raise SizeError("the peak of a step does not grow with its past", hint="ask at() for numbers")
        work = [self._public(piece.work[0][name]) + self._steps(piece.work[1][name]) for name in QUANTITIES]
        most = max_(piece.peaks[0], piece.peaks[1], self._further(later, prompt + new - 3))
        return Part.of([w.expand() if hasattr(w, "expand") else w for w in work], self._public(most))

    def _further(self, size: Size, prompt: Size) -> Size:
        return size if isinstance(size, int) else substitute(size, {self.names.prompt: prompt})

    def _steps(self, size: Size) -> Any:
        """The sum of a step's count over all steps: with its differences D0, D1, ... at the prompt Newton's
        ``C(n, 1) D0 + C(n, 2) D1 + ...`` for ``n`` steps, which ends where the differences do. The sum is compared with the
        steps themselves at two numbers beyond those it was made of.

        Raises :class:`~fxcount.errors.SizeError` for a count that is no polynomial in the past."""
        differences, rest = list[Size](), size
        while not _is_zero(rest):
            if len(differences) > _MOST_DEGREE:
                raise SizeError("the cost of a step is no polynomial in its past", hint="ask at() for numbers")
            differences.append(rest)
            rest = self._further(rest, symbol(self.names.prompt) + 1) - rest
        for count in (len(differences) + 2, len(differences) + 7):
            added = sum_([self._further(size, symbol(self.names.prompt) + k) for k in range(count)])
            assert _is_zero(added - sum_([d * comb(count, j + 1) for j, d in enumerate(differences)]))
        import sympy

        steps = self._public(symbol(self.names.new) - 1)
        return sum([sympy.ff(steps, j + 1) / sympy.factorial(j + 1) * self._public(d) for j, d in enumerate(differences)])

    # -- numbers ------------------------------------------------------------------------------------------------------
    def _in_numbers(self) -> Part:
        prompt, new = self.values[self.names.prompt], self.values[self.names.new]
        piece = self._piece
        known = self._inside(self._traced(self.values))
        totals = [evaluate(piece.work[0][name], piece.completed(known)) for name in QUANTITIES]
        most = evaluate(piece.peaks[0], piece.completed(known))
        for found, pasts in self._runs(prompt, prompt + new - 1):
            values = found.filled({**known, self.names.prompt: pasts})
            *counts, first, later = evaluate_many(
                [*[found.work[1][name] for name in QUANTITIES], found.peaks[1], found.peaks[2]], values
            )
            totals = [total + sum(count.tolist()) for total, count in zip(totals, counts, strict=True)]
            most = max([most, *first[pasts == prompt].tolist(), *later[pasts < prompt + new - 2].tolist()])
        return Part.of(totals, most)

    def _runs(self, start: int, stop: int) -> Iterator[tuple[TurnsPiece, Any]]:
        """The numbers of tokens in the cache, with the piece that holds for them."""
        left = np.arange(start, stop)
        known = self._inside(self._traced(self.values))
        while left.size:
            piece = self._answering(int(left[0]))
            good = np.broadcast_to(piece.holds({**known, self.names.prompt: left}), left.shape)
            yield piece, left[good]
            left = left[~good]

    def _answering(self, past: int) -> TurnsPiece:
        """The piece in which a prompt of so many tokens is."""
        traced = {**self._inside(self._traced(self.values)), self.names.prompt: past}
        found = self.turns.family.answering(self._piece, traced, self.extend)
        assert isinstance(found, TurnsPiece)
        return found

    def _inside(self, values: Mapping[str, int]) -> dict[str, int]:
        """Those of the values that the trace has symbols for."""
        hints = self.turns.trace.scope.hints
        return {n: v for n, v in values.items() if n in hints}

    @property
    def assumptions(self) -> list[Any]:
        """The decisions on sizes that formulas rest on, with their lines."""
        return self._report.assumptions

    def __repr__(self) -> str:
        known = ", ".join(f"{n}={v}" for n, v in self.values.items())
        return f"<fxcount.{type(self).__name__} of {self.turns.trace.model_name}{f' at {known}' if known else ''}>"


def _is_zero(size: Size) -> bool:
    return size == 0 if isinstance(size, int) else is_zero(size)
