"""The report as data: totals and rows of one analysis, as formulas or, after ``at()``, as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

from fxcount.errors import AssumptionError, SizeError
from fxcount.passes import Costs, Memory, Parameters, memory, parameters
from fxcount.passes.cost import CallCost
from fxcount.report.data.rows import KindRow, ModuleRow, OpRow, module_rows, op_kinds, op_rows
from fxcount.symbolic import Expr, Size, Unbacked, evaluate, max_, to_sympy
from fxcount.trace.tape import Call, Trace

if TYPE_CHECKING:
    from typing_extensions import Self

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

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

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


class ReportData:
    """Totals and rows of a trace with its costs. Totals are ``int``, or ``sympy.Expr`` while symbols remain.

    :class:`fxcount.Report` adds the views. ``values`` are the sizes, if all are known.
    """

    def __init__(self, trace: Trace, costs: Costs, values: Mapping[str, int] | None = None) -> None:
        self.trace = trace
        self.costs = costs
        self.values = dict(values) if values is not None else None
        self._found = _Found(trace)

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
        return [
            OpRow(r.index, r.op, r.module, r.source, self._shapes(r.output_shapes), self._cost(r.cost))
            for r in op_rows(self.trace, self.costs)
        ]

    def by_op(self) -> list[KindRow]:
        """One row for each kind of op."""
        return [KindRow(r.op, r.calls, self._cost(r.cost)) for r in op_kinds(self.trace, self.costs)]

    def by_module(self, depth: int | None = None) -> list[ModuleRow]:
        """One row for each module call, down to ``depth`` levels below the model."""
        return [
            ModuleRow(
                r.path, r.class_name, r.depth, r.number, self._shapes(r.output_shapes), r.params, self._cost(r.cost)
            )
            for r in module_rows(self.trace, self.costs, depth)
        ]

    # -- what it rests on -------------------------------------------------------------------------------------------
    @property
    def assumptions(self) -> list[Any]:
        """Decisions on sizes the formulas rest on, each with its place in the model."""
        return list(self.trace.scope.assumptions)

    @property
    def unbacked(self) -> list[Unbacked]:
        """Sizes that the data decide (``nonzero``, masks, boxes kept), each a symbol with its place, bound and default."""
        return list(self.trace.scope.unbacked.by_name.values())

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

    def at(self, **values: int) -> Self:
        """The same report with numbers. Every symbol needs a value, of at least 1; data-dependent sizes have defaults.

        Raises :class:`~fxcount.errors.SizeError` for missing, unknown or impossible values and
        :class:`~fxcount.errors.AssumptionError` when the formulas do not hold at these sizes.
        """
        symbols, unbacked = self.trace.scope.hints, self.trace.scope.unbacked
        asked = {n: h for n, h in symbols.items() if n not in unbacked.by_name}
        example = f"e.g. at({', '.join(f'{n}={values.get(n, h)}' for n, h in asked.items())})"
        missing = [name for name in asked if name not in values]
        if missing:
            raise SizeError(f"at() needs a value for {', '.join(missing)}", hint=example)
        unknown = [name for name in values if name not in symbols]
        if unknown:
            raise SizeError(
                f"at() got {', '.join(unknown)}; the symbols are {', '.join(symbols) or 'none: all is known'}",
                hint="give a value for each symbol and for nothing else",
            )
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                raise SizeError(f"at({name}={value!r}): a size must be an integer of at least 1", hint=example)
        values = {name: int(value) for name, value in values.items()}  # numpy's integers end at 2**63
        values = unbacked.completed(values)
        failed = self.trace.scope.check(values)
        if failed is not None:
            raise AssumptionError(
                f"the formulas assume {failed}, which does not hold at {_listed(values)}"
                + (f" ({failed.reason})" if failed.reason else ""),
                where=failed.where,
                hint=f"analyse again with hints=dict({_listed(values)}), so that the model decides for these sizes",
            )
        found = type(self)(self.trace, self.costs, values)
        found._found = self._found
        return found

    def __repr__(self) -> str:
        return f"<fxcount.{type(self).__name__} of {self.trace.model_name}: {len(self.trace.calls)} ops>"

    # -- internal ---------------------------------------------------------------------------------------------------
    def size(self, size: Size) -> Size:
        """``size`` at the report's values, or as it is."""
        if self.values is None or isinstance(size, int):
            return size
        return evaluate(size, self.values)

    def public(self, size: Size) -> Any:
        value = self.size(size)
        return to_sympy(value) if isinstance(value, Expr) else value

    def _cost(self, c: CallCost) -> CallCost:
        if self.values is None:
            return c
        return CallCost(
            self.size(c.macs), self.size(c.flops), self.size(c.transcendentals), self.size(c.read_bytes),
            self.size(c.write_bytes),
        )  # fmt: skip

    def _shapes(self, shapes: tuple[tuple[Size, ...], ...]) -> tuple[tuple[Size, ...], ...]:
        if self.values is None:
            return shapes
        return tuple(tuple(self.size(s) for s in shape) for shape in shapes)


def _listed(values: Mapping[str, int]) -> str:
    return ", ".join(f"{n}={v}" for n, v in values.items())
