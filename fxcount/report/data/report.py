"""The report as data: totals and rows of one analysis, as formulas or, after ``at()``, as numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

from fxcount.errors import AssumptionError, SizeError
from fxcount.passes import Costs, Memory, Parameters, memory, parameters
from fxcount.report.data.rows import KindRow, ModuleRow, OpRow, module_rows, op_kinds, op_rows, with_sizes
from fxcount.symbolic import Expr, Size, Unbacked, evaluate, free_symbols, max_, to_sympy
from fxcount.trace.tape import Call, Trace

if TYPE_CHECKING:
    from typing_extensions import Self

    from fxcount.report.data.recipe import Recipe

__all__ = ["MemoryView", "ReportData"]


@dataclass(frozen=True, slots=True)
class MemoryView:
    """Bytes: ``parameters`` and ``buffers`` (int), ``inputs``, ``outputs``, ``activations`` (all results added up) and
    ``peak`` (largest sum alive at one moment of inference, inputs included, parameters and buffers not)."""

    parameters: int
    buffers: int
    inputs: Any
    outputs: Any
    activations: Any
    peak: Any
    peak_op: str


class _Found:
    """What the passes find in one trace, at all sizes alike: worked out when first asked for, shared by what ``at()`` gives."""

    def __init__(self, trace: Trace, costs: Costs) -> None:
        self.trace = trace
        self.costs = costs
        self.formulas: dict[Expr, Any] = {}  # as sympy's

    @cached_property
    def parameters(self) -> Parameters:
        return parameters(self.trace)

    @cached_property
    def memory(self) -> Memory:
        return memory(self.trace)

    @cached_property
    def graph_module(self) -> Any:
        from fxcount.trace.lower import lower

        return lower(self.trace)

    @cached_property
    def guesses(self) -> dict[str, Unbacked]:
        """Data-dependent sizes on which a number here rests, directly or by a decision, and for which nothing speaks."""
        unbacked = self.trace.scope.unbacked
        guesses = {
            name: u for name, u in unbacked.by_name.items()
            if u.guess and unbacked.given.keys().isdisjoint({name, name.rpartition("_")[0]})
        }  # fmt: skip
        if not guesses:
            return {}
        used = {s.nbytes for s in self.trace.storages}
        used.update([size for c in self.costs.by_signature.values() for size in dataclasses.astuple(c)])
        used.update([size for m in self.trace.modules for f in m.outputs for size in f.shape])
        used.update([size for v in self.trace.values_out() for size in v.fact.shape])
        used.update([a.expr for a in self.trace.scope.assumptions])
        names = frozenset().union(*map(free_symbols, used))
        return {name: u for name, u in guesses.items() if name in names}


class ReportData:
    """Totals and rows of a trace with its costs. Totals are ``int``, or ``sympy.Expr`` while symbols remain.

    :class:`fxcount.Report` adds the views. ``values`` are the sizes, if all are known; ``guessed`` names those among them
    that nobody gave.
    """

    def __init__(
        self, trace: Trace, costs: Costs, values: Mapping[str, int] | None = None, guessed: Iterable[str] | None = None
    ) -> None:
        self.trace = trace
        self.costs = costs
        self.values = dict(values) if values is not None else None
        self._found = _Found(trace, costs)
        self._asked = None if guessed is None else frozenset(guessed)
        self.recipe: Recipe | None = None  # of analyze(), and nobody else

    # -- totals -----------------------------------------------------------------------------------------------------
    @property
    def macs(self) -> Any:
        """Multiply-accumulates of contractions (conv, matmul, attention), exact and dense."""
        return self.public(self.costs.total.macs)

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
        found = self.peaks
        nbytes, call = found.peak_at(self.values or self.trace.scope.hints)
        peak: Size = nbytes if self.values is not None else max_(*[p.nbytes for p in found.peaks], 0)
        return MemoryView(
            found.parameters, found.buffers, self.public(found.inputs), self.public(found.outputs),
            self.public(found.activations), self.public(peak), self.memory_place(call),
        )  # fmt: skip

    def memory_place(self, call: int) -> str:
        if not 0 <= call < len(self.trace.calls):
            return ""
        found = self.trace.calls[call]
        path = self.trace.modules[found.module].path if found.module >= 0 else ""
        return f"{found.op.name} in {path or self.trace.model_name}"

    # -- rows -------------------------------------------------------------------------------------------------------
    @property
    def ops(self) -> list[OpRow]:
        """One row for each op call, in execution order."""
        return [with_sizes(r, self.public, self._guessed) for r in op_rows(self.trace, self.costs)]

    def by_op(self) -> list[KindRow]:
        """One row for each kind of op.

        >>> import torch, fxcount
        >>> [(row.op, row.macs) for row in fxcount.analyze(torch.nn.Linear(3, 5), "B,3").by_op()]
        [('linear', 15*B)]
        """
        return [with_sizes(r, self.public, self._guessed) for r in op_kinds(self.trace, self.costs)]

    def by_module(self, depth: int | None = None) -> list[ModuleRow]:
        """One row for each module call, down to ``depth`` levels below the model."""
        return [with_sizes(r, self.public, self._guessed) for r in module_rows(self.trace, self.costs, depth)]

    # -- what it rests on -------------------------------------------------------------------------------------------
    @property
    def assumptions(self) -> list[Any]:
        """Decisions on sizes the formulas rest on, each with its place in the model."""
        return list(self.trace.scope.assumptions)

    @property
    def unbacked(self) -> list[Unbacked]:
        """Sizes that the data decide (``nonzero``, masks, boxes kept), each a symbol with its place, bound and default."""
        return [
            dataclasses.replace(u, most=None if u.most is None else self._formula(u.most), default=self._formula(u.default))
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
        return {} if self.values is not None else dict(self.trace.scope.hints)

    @property
    def graph_module(self) -> Any:
        """An executable ``torch.fx.GraphModule`` that computes what the model computes, also at other sizes."""
        return self._found.graph_module

    def at(self, /, *, extend: int = True, guess: int = False, **values: int) -> Self:  # bools; ints, so that **sizes fits
        """The same report with numbers. Every symbol needs a value, of at least 1; data-dependent sizes have defaults,
        but where the default is a guess (:attr:`guesses`) there must be a value too, or ``guess=True``.

        ``extend``: whether sizes outside the assumptions may be answered by analysing again there. Today no report does,
        so that it refuses them either way.

        Raises :class:`~fxcount.errors.SizeError` for missing, unknown or impossible values and
        :class:`~fxcount.errors.AssumptionError` when the formulas do not hold at these sizes.
        """
        symbols, unbacked = self.trace.scope.hints, self.trace.scope.unbacked
        asked = {n: h for n, h in symbols.items() if n not in unbacked.by_name}
        example = f"e.g. at({', '.join(f'{n}={h}' for n, h in asked.items())})"
        missing = [name for name in asked if name not in values]
        if missing:
            raise SizeError(f"at() needs a value for {', '.join(missing)}", hint=example)
        unknown = [name for name in values if name not in symbols]
        if unknown:
            raise SizeError(
                f"at() got {', '.join(map(ascii, unknown))}; the symbols are {', '.join(symbols) or 'none: all is known'}",
                hint="give a value for each symbol and for nothing else",
            )
        values = {name: _whole(name, value, example) for name, value in values.items()}
        guessed = [found for name, found in self._found.guesses.items() if name not in values]
        if guessed and not guess:
            raise self._unknown(guessed, values)
        completed = unbacked.completed({**self._given_for_guesses(), **values})
        failed = self.trace.scope.check(completed)
        if failed is not None:
            raise AssumptionError(
                f"the formulas assume {failed}, which does not hold at {_listed(completed)}"
                + (f" ({failed.reason})" if failed.reason else ""),
                where=failed.where,
                hint=f"analyse again with hints=dict({_listed(completed)}), so that the model decides for these sizes",
            )
        return self.with_values(completed, [u.name for u in guessed])

    def with_values(self, values: Mapping[str, int], guessed: Iterable[str] | None = None) -> Self:
        """The report at these sizes, of which those named are guesses; they are not checked: :meth:`at` does that."""
        found = type(self)(self.trace, self.costs, values, guessed)
        found._found, found.recipe = self._found, self.recipe
        return found

    def _given_for_guesses(self) -> dict[str, int]:
        """Hints that stand for what is not known are the user's own answer."""
        unbacked = self.trace.scope.unbacked
        stems = {name: name.rpartition("_")[0] for name, u in unbacked.by_name.items() if u.guess}
        given = unbacked.given
        return {n: given[n] if n in given else given[stem] for n, stem in stems.items() if n in given or stem in given}

    def _unknown(self, guessed: Sequence[Unbacked], values: Mapping[str, int]) -> SizeError:
        """The complaint that these have no value, with the line of the first."""
        rest = [f"{u.name} ({u.what}{f' at {u.where}' if u.where else ''})" for u in guessed[1:]]
        listed = ", ".join([f"{guessed[0].name} ({guessed[0].what})", *rest])
        defaults = {u.name: self.trace.scope.hints[u.name] for u in guessed}
        return SizeError(
            f"at() needs a value for {listed}: no shape tells it, and what the analysis went on with is a guess",
            where=guessed[0].where,
            hint=f"give it, e.g. at({_listed({**values, **defaults})}); or take the guess with at(..., guess=True)",
        )

    def __repr__(self) -> str:
        return f"<fxcount.{type(self).__name__} of {self.trace.model_name}: {len(self.trace.calls)} ops>"

    # -- internal ---------------------------------------------------------------------------------------------------
    def size(self, size: Size) -> Size:
        """``size`` at the report's values, or as it is."""
        if self.values is None or isinstance(size, int):
            return size
        return evaluate(size, self.values)

    def public(self, size: Size) -> Any:
        """``size`` as users get it: an ``int``, or a ``sympy.Expr``."""
        value = self.size(size)
        return self._formula(value) if isinstance(value, Expr) else value

    def _formula(self, size: Size) -> Any:
        """``size`` as sympy's, each formula turned once."""
        if not isinstance(size, Expr):
            return size
        found = self._found.formulas.get(size)
        if found is None:
            found = self._found.formulas[size] = to_sympy(size)
        return found


LARGEST = 10**100
"""Far above any size of a tensor; products of larger ones would no longer print."""


def _whole(name: str, value: Any, example: str) -> int:
    """A size given to ``at()`` as a plain integer; NumPy's are taken."""
    if isinstance(value, Integral) and not isinstance(value, bool) and 1 <= int(value) <= LARGEST:
        return int(value)
    shown = "a number beyond 10**100" if isinstance(value, int) and abs(value) > LARGEST else ascii(value)[:80]
    raise SizeError(f"at({name}={shown}): a size must be an integer of at least 1", hint=example)


def _listed(values: Mapping[str, int]) -> str:
    return ", ".join(f"{n}={v}" for n, v in values.items())
