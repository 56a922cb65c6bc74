"""The report as data: totals and rows of one analysis, as formulas or, after ``at()``, as numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from fxcount.errors import SizeError
from fxcount.passes import Costs, Memory, Parameters, parameters
from fxcount.passes.memory import Peak
from fxcount.passes.precision import macs_by_dtype
from fxcount.report.data.family import Family, listed
from fxcount.report.data.piece import Piece, with_fixed
from fxcount.symbolic import (
    Expr,
    Factors,
    Size,
    Unbacked,
    evaluate,
    free_symbols,
    largest_to_sympy,
    substitute,
    symbol,
    to_sympy,
)
from fxcount.trace.tape import Call, Trace
from fxcount.wording import visible

if TYPE_CHECKING:
    from typing import Self

    from fxcount.report.data.peaks import PeakRegions
    from fxcount.report.data.recipe import Recipe
    from fxcount.report.data.rows import KindRow, ModuleRow, OpRow

__all__ = ["MemoryView", "ReportData"]


@dataclasses.dataclass(frozen=True)
class MemoryView:
    """Bytes: ``parameters`` and ``buffers`` (int), ``inputs``, ``outputs``, ``activations`` (all results added up) and
    ``peak`` (largest sum alive at one moment of inference, inputs included, parameters and buffers not); ``peak_op`` says
    where the peak is. Of a report each is worked out when asked for; :meth:`regions` says which moment is the peak where."""

    parameters: int
    buffers: int
    inputs: Any
    outputs: Any
    activations: Any
    peak: Any
    peak_op: str

    @classmethod
    def of(cls, report: ReportData) -> MemoryView:
        """That of a report."""
        self = object.__new__(cls)
        object.__setattr__(self, "_report", report)
        return self

    def __getattr__(self, name: str) -> Any:  # of what is not worked out yet
        report, find = self.__dict__.get("_report"), _FINDS.get(name)
        if report is None or find is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = find(report)
        object.__setattr__(self, name, value)
        return value

    def regions(self, /, *, extend: int = True, **sizes: Any) -> PeakRegions:
        """Which moment is the peak where: the formula, op and line of each that is the largest somewhere in a range of sizes.

        For each symbol give bounds ``(32, 1024)``, a range, a number, or a tie as text, as for :meth:`fxcount.Report.pieces`;
        symbols that the report has numbers for need none. Sizes outside of the piece are analysed there, unless
        ``extend=False``.

        Raises :class:`~fxcount.errors.SizeError` for symbols without a range and for what is no range.

        >>> import torch, fxcount
        >>> class Net(torch.nn.Module):
        ...     def forward(self, x):  # S*S scores, or 64 numbers for each token
        ...         return (x @ x.mT).sum(), x.repeat(1, 1, 8)
        >>> model = Net()
        >>> print(fxcount.analyze(model, "B,S,8").memory.regions(B=2, S=(1, 512)))
        64 <= S <= 512: 8*S**2 + 64*S + 4, sum in Net
        1 <= S <= 63: 576*S + 4, repeat in Net
        """
        from fxcount.report.data.peaks import regions_over

        report = self.__dict__.get("_report")
        if report is None:
            raise SizeError("these numbers are a copy without their report", hint="ask report.memory.regions(...)")
        return regions_over(
            report.family, report.piece, sizes, peak_place, fixed=report._settled, extend=bool(extend)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return MemoryView, dataclasses.astuple(self)


def _peak(report: ReportData) -> Any:
    found = report.peaks
    if report.values is not None:
        return found.peak_at(report.sizes)[0]
    return report.largest_of([p.nbytes for p in found.peaks])


_FINDS: Mapping[str, Callable[[ReportData], Any]] = {
    "parameters": lambda report: report.peaks.parameters,
    "buffers": lambda report: report.peaks.buffers,
    "inputs": lambda report: report.public(report.peaks.inputs),
    "outputs": lambda report: report.public(report.peaks.outputs),
    "activations": lambda report: report.public(report.peaks.activations),
    "peak": _peak,
    "peak_op": lambda report: report.memory_place(report.peaks.peak_at(report.sizes)[1]),
}


def peak_place(piece: Piece, peak: Peak) -> tuple[str, str]:
    """Where a moment of a run is: the op with its module, and the line of the model."""
    trace = piece.trace
    if not 0 <= peak.call < len(trace.calls):
        return "the inputs", ""
    call = trace.calls[peak.call]
    return place_of(trace, peak.call), str(call.source or "")


def place_of(trace: Trace, call: int) -> str:
    """The op of a call and the module it is in."""
    if not 0 <= call < len(trace.calls):
        return ""
    found = trace.calls[call]
    path = trace.modules[found.module].path if found.module >= 0 else ""
    return f"{found.op.name} in {path or trace.model_name}"


class ReportData:
    """Totals and rows of a trace with its costs. Totals are ``int``, or ``sympy.Expr`` while symbols remain.

    :class:`fxcount.Report` adds the views. ``values`` are the sizes, if all are known; ``guessed`` names those among them
    that nobody gave; ``fixed`` are sizes that are known while others are not.
    """

    def __init__(
        self, trace: Trace, costs: Costs, values: Mapping[str, int] | None = None, guessed: Iterable[str] | None = None
    ) -> None:
        self.trace = trace
        self.costs = costs
        self.values = dict(values) if values is not None else None
        self.fixed: dict[str, int] = {}  # some sizes, while others remain symbols
        self._known: dict[Expr, Size] = {}  # what size() has said
        self._factors = Factors(self.values or {})
        self._found = Piece(trace, costs)
        self.family = Family(self._found)  # analyze(), and nobody else, gives it a recipe
        self._asked = None if guessed is None else frozenset(guessed)

    # -- totals -----------------------------------------------------------------------------------------------------
    @property
    def macs(self) -> Any:
        """Multiply-accumulates of contractions (conv, matmul, attention), exact and dense."""
        return self.public(self.costs.total.macs)

    @property
    def macs_by_dtype(self) -> dict[str, Any]:
        """:attr:`macs` by the dtypes of the two factors, activations first: ``"f32 x f32"``, ``"bf16 x int4"``.

        >>> import torch, fxcount
        >>> fxcount.analyze(torch.nn.Linear(3, 5), "B,3").macs_by_dtype
        {'f32 x f32': 15*B}
        """
        return {pair: self.public(macs) for pair, macs in macs_by_dtype(self.trace, self.costs).items()}

    @property
    def flops(self) -> Any:
        """All scalar floating-point operations, two for each multiply-accumulate included."""
        return self.public(self.costs.total.flops)

    @property
    def transcendentals(self) -> Any:
        """Those of the flops that are exp, log, tanh, erf, sin and the like."""
        return self.public(self.costs.total.transcendentals)

    @property
    def read_bytes(self) -> Any:
        """Bytes read: each operand once for each op."""
        return self.public(self.costs.total.read_bytes)

    @property
    def write_bytes(self) -> Any:
        """Bytes written: each result once for each op."""
        return self.public(self.costs.total.write_bytes)

    @property
    def params(self) -> Parameters:
        """Parameters, each unique one counted once: ``total``, ``trainable``, ``frozen``, ``shared``, ``dead``, ``bytes``."""
        return self._found.parameters

    def params_for(self, outputs: str | Iterable[str]) -> Parameters:
        """:attr:`params` judged by some of the outputs: what is dead for a loss made of ``"logits"`` alone?

        ``outputs`` are keys of a dict the model returns or positions in a tuple; ``"aux.0"`` is what is inside. Raises
        :class:`~fxcount.errors.InputError` for an output the model has not.
        """
        return parameters(self.trace, outputs)

    @property
    def peaks(self) -> Memory:
        """The memory pass' own result, with every moment at which memory can be largest."""
        return self._found.memory

    @property
    def memory(self) -> MemoryView:
        """Bytes by what they hold, and the inference peak."""
        return MemoryView.of(self)

    def memory_place(self, call: int) -> str:
        """The op with this number and its module, in words: where :attr:`memory` has its peak."""
        return place_of(self.trace, call)

    @property
    def peak_line(self) -> str:
        """The line of the model at which its memory is largest, at the report's values or at the sample values."""
        call = self.peaks.peak_at(self.sizes)[1]
        return str(self.trace.calls[call].source or "") if 0 <= call < len(self.trace.calls) else ""

    # -- rows -------------------------------------------------------------------------------------------------------
    @property
    def ops(self) -> list[OpRow]:
        """One row for each op call, in execution order."""
        from fxcount.report.data.rows import op_rows, with_sizes

        return [with_sizes(r, self.public, self._guessed) for r in op_rows(self.trace, self.costs)]

    def by_op(self) -> list[KindRow]:
        """One row for each kind of op.

        >>> import torch, fxcount
        >>> [(row.op, row.macs) for row in fxcount.analyze(torch.nn.Linear(3, 5), "B,3").by_op()]
        [('linear', 15*B)]
        """
        from fxcount.report.data.rows import op_kinds, with_sizes

        return [with_sizes(r, self.public, self._guessed) for r in op_kinds(self.trace, self.costs)]

    def by_module(self, depth: int | None = None) -> list[ModuleRow]:
        """One row for each module call, down to ``depth`` levels below the model."""
        from fxcount.report.data.rows import module_rows, with_sizes

        return [with_sizes(r, self.public, self._guessed) for r in module_rows(self.trace, self.costs, depth)]

    # -- what it rests on -------------------------------------------------------------------------------------------
    @property
    def assumptions(self) -> list[Any]:
        """Decisions on sizes the formulas rest on, each with its place in the model."""
        found = self.trace.scope.assumptions
        return list(found) if not self.fixed else [left for a in found if (left := with_fixed(a, self.fixed)) is not None]

    @property
    def unbacked(self) -> list[Unbacked]:
        """Sizes that the data decide (``nonzero``, masks, boxes kept), each a symbol with its place, bound and default."""
        return [
            dataclasses.replace(u, most=None if u.most is None else self._open(u.most), default=self._open(u.default))
            for u in self.trace.scope.unbacked.by_name.values()
        ]

    @property
    def guesses(self) -> list[Unbacked]:
        """Those of :attr:`unbacked` on which numbers here rest though nothing is known of them: the value of a tensor.

        Their defaults let the analysis go on and are no answer: ``at()`` asks for values.
        """
        return [u for u in self.unbacked if u.name in self._guessed]

    def guesses_in(self, *sizes: Size) -> list[str]:
        """Names of the :attr:`guesses` that occur in these formulas."""
        if not self._guessed:
            return []
        return sorted(self._guessed.intersection(*[{name for size in sizes for name in free_symbols(size)}]))

    @property
    def _guessed(self) -> frozenset[str]:
        return frozenset(self._found.guesses) if self._asked is None else self._asked

    @property
    def uncounted(self) -> tuple[Call, ...]:
        """Calls of ops without a cost rule: if there are any, totals are lower bounds."""
        return self.costs.uncounted

    @property
    def frontend(self) -> str:
        """How the graph was obtained: ``"trace"``, ``"export"``, ``"graph"``."""
        return self.trace.frontend

    @property
    def symbols(self) -> dict[str, int]:
        """The symbols that remain, with the hints at which decisions were taken."""
        return {} if self.values is not None else {n: h for n, h in self.trace.scope.hints.items() if n not in self.fixed}

    def symbol(self, name: str) -> Any:
        """The sympy symbol of this name, as it stands in the formulas: a positive integer.

        Raises :class:`~fxcount.errors.SizeError` for a name that is none.

        >>> import torch, fxcount
        >>> r = fxcount.analyze(torch.nn.Linear(3, 5), "B,S,3")
        >>> r.macs.diff(r.symbol("B")), r.macs.subs({"B": 1}), r.macs.subs(r.symbol("B"), 1)
        (15*S, 15*B*S, 15*S)
        """
        if name not in self.symbols:
            raise SizeError(
                f"there is no symbol {name!a}: " + (f"it is {self.sizes[name]} here" if name in self.sizes else
                f"the symbols are {', '.join(self.symbols) or 'none: all is known'}"),
                hint="ask the report of analyze(), whose sizes are symbols" if name in self.sizes else "",
            )  # fmt: skip
        return to_sympy(symbol(name))

    @property
    def sizes(self) -> dict[str, int]:
        """A number for every symbol: the report's values, or the hints beside those that are fixed."""
        if self.values is not None:
            return dict(self.values)
        hints = self.trace.scope.hints
        if not self.fixed:
            return dict(hints)
        return self._found.completed({**{n: hints[n] for n in self._found.asked}, **self.fixed})

    @property
    def _settled(self) -> dict[str, int]:
        """The sizes of inputs that have a number, and no symbol any more."""
        return self.fixed if self.values is None else {n: v for n, v in self.values.items() if n in self._found.asked}

    @property
    def graph_module(self) -> Any:
        """An executable ``torch.fx.GraphModule`` that computes what the model computes, also at other sizes."""
        return self._found.graph_module

    def at(self, /, *, extend: int = True, guess: int = False, **values: int) -> Self:  # bools; ints, so that **sizes fits
        """The same report at these sizes, each at least 1. Where every symbol has a value it is numbers; of fewer, the rest
        stays symbolic. Data-dependent sizes have defaults, but where the default is a guess (:attr:`guesses`) there must be
        a value too, or ``guess=True``.

        At sizes outside the assumptions the model is analysed again, as it was then and never run on data, and
        :attr:`piece` of the result says so; the report and its copies remember that piece. ``extend=False`` refuses instead.

        Raises:
            SizeError: no values, unknown or impossible ones.
            RefusedError: the model itself does not take these sizes.
            AssumptionError: the formulas do not hold at these sizes, and ``extend`` is false, or the model cannot be analysed
                again: it is gone (a report keeps no model alive), has changed since, or the report was read from a file.

        >>> import torch, fxcount
        >>> class Net(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x @ x.mT if x.shape[1] > 8 else x + 1
        >>> model = Net()
        >>> report = fxcount.analyze(model, "B,S,5", hints={"S": 16})
        >>> report.at(B=2, S=11).macs, report.at(B=2, S=7).macs, report.at(S=7).flops
        (1210, 0, 35*B)
        >>> print(report.at(S=7).piece)  # doctest: +ELLIPSIS
        analysed again at B=2, S=7, since S >= 9 (...) does not hold there
        """
        own = self._found
        sizes = self._wanted(values)
        piece = self.family.answering(own, sizes, bool(extend))
        if not piece.asked_in(sizes):
            return self._of(piece, fixed=sizes)
        guessed = [found for name, found in piece.guesses.items() if name not in sizes]
        if guessed and not guess:
            raise self._unknown(guessed, sizes)
        return self._of(piece, piece.completed(sizes), [u.name for u in guessed])

    def other_pieces(self) -> list[Self]:
        """The other analyses of the family, each as it was made."""
        return [self.in_piece(piece) for piece in self.family.pieces if piece is not self._found]

    def in_piece(self, piece: Piece) -> Self:
        """What one of the family's pieces says, with all its symbols."""
        return self._of(piece)

    def adopt(self, others: Iterable[ReportData]) -> None:
        """Take the pieces of other reports of the same call into the family."""
        for other in others:
            self.family.keep(other.piece)

    def subs(self, /, values: Mapping[str, int] | None = None, **more: int) -> Self:
        """:meth:`at` by the name that sympy gives it: ``report.subs(B=1)`` or ``report.subs({"B": 1})``.

        >>> import torch, fxcount
        >>> fxcount.analyze(torch.nn.Linear(3, 5), "B,S,3").subs(B=1).macs
        15*S
        """
        return self.at(**{**(values or {}), **more})

    @property
    def piece(self) -> Piece:
        """The analysis that answers here, with the sizes at which its decisions were taken and what it assumes."""
        return self._found

    def _wanted(self, values: Mapping[str, int]) -> dict[str, int]:
        """The sizes asked for, with those fixed before; checked one by one."""
        symbols = self.trace.scope.hints
        asked = {n: symbols[n] for n in self._found.asked}
        example = f"e.g. at({', '.join(f'{n}={h}' for n, h in asked.items())})"
        unknown = [name for name in values if name not in symbols]
        if unknown:
            raise SizeError(
                f"at() got {', '.join(map(ascii, unknown))}; the symbols are {', '.join(symbols) or 'none: all is known'}",
                hint=f"give values for symbols and for nothing else, {example}",
            )
        if asked and not values and not self.fixed:
            raise SizeError(f"at() needs a value for one of {', '.join(asked)}", hint=example)
        return {**self._settled, **{name: _whole(name, value, example) for name, value in values.items()}}

    def with_values(self, values: Mapping[str, int], guessed: Iterable[str] | None = None) -> Self:
        """The report at these sizes, of which those named are guesses; they are not checked: :meth:`at` does that."""
        return self._of(self._found, values, guessed)

    def _of(
        self, piece: Piece, values: Mapping[str, int] | None = None, guessed: Iterable[str] | None = None,
        fixed: Mapping[str, int] | None = None,
    ) -> Self:  # fmt: skip
        """What another piece of the family, or this one, says at these values, or with these fixed."""
        found = type(self)(piece.trace, piece.costs, values, guessed)
        found._found, found.family, found.fixed = piece, self.family, dict(fixed or {})
        return found

    @property
    def recipe(self) -> Recipe | None:
        """How the report came about, if it is of :func:`fxcount.analyze`."""
        return self.family.recipe

    @recipe.setter
    def recipe(self, recipe: Recipe | None) -> None:
        self.family.recipe = recipe

    def _unknown(self, guessed: Sequence[Unbacked], values: Mapping[str, int]) -> SizeError:
        """The complaint that these have no value, with the line of the first."""
        rest = [f"{u.name} ({u.what}{f' at {u.where}' if u.where else ''})" for u in guessed[1:]]
        listed_ones = ", ".join([f"{guessed[0].name} ({guessed[0].what})", *rest])
        defaults = {u.name: self.trace.scope.hints.get(u.name, 1) for u in guessed}
        return SizeError(
            f"at() needs a value for {listed_ones}: no shape tells it, and what the analysis went on with is a guess",
            where=guessed[0].where,
            hint=f"give it, e.g. at({listed({**values, **defaults})}); or take the guess with at(..., guess=True)",
        )

    def __repr__(self) -> str:
        again = f", {self.piece}" if self.piece.because else ""
        return f"<fxcount.{type(self).__name__} of {visible(self.trace.model_name)}: {len(self.trace.calls)} ops{again}>"

    # -- internal ---------------------------------------------------------------------------------------------------
    def size(self, size: Size) -> Size:
        """``size`` at the report's values, with those symbols replaced that are fixed, or as it is."""
        if isinstance(size, int):
            return size
        if self.values is None and not self.fixed:
            return size
        found = self._known.get(size)
        if found is None:
            found = evaluate(size, self._factors) if self.values is not None else substitute(size, self.fixed)
            self._known[size] = found
        return found

    def largest_of(self, sizes: Sequence[Size]) -> Any:
        """The largest of sizes none of which is known to be largest, as users get it: they are not compared once more."""
        return largest_to_sympy([self.size(size) for size in sizes])

    def public(self, size: Size) -> Any:
        """``size`` as users get it: an ``int``, or a ``sympy.Expr``."""
        value = self.size(size)
        return self._formula(value) if isinstance(value, Expr) else value

    def _open(self, size: Size) -> Any:
        """``size`` with symbols also where the report has values."""
        return self._formula(size if self.values is not None else self.size(size))

    def _formula(self, size: Size) -> Any:
        """``size`` as sympy's, each formula turned once."""
        if not isinstance(size, Expr):
            return size
        found = self._found.formulas.get(size)
        if found is None:
            found = self._found.formulas[size] = to_sympy(size, self._found.factors)
        return found


LARGEST = 10**100
"""Far above any size of a tensor; products of larger ones would no longer print."""


def _whole(name: str, value: Any, example: str) -> int:
    """A size given to ``at()`` as a plain integer; NumPy's are taken."""
    if isinstance(value, Integral) and not isinstance(value, bool) and 1 <= int(value) <= LARGEST:
        return int(value)
    shown = "a number beyond 10**100" if isinstance(value, int) and abs(value) > LARGEST else ascii(value)[:80]
    raise SizeError(f"at({name}={shown}): a size must be an integer of at least 1", hint=example)
