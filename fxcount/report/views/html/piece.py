"""One analysis as plain data for the page: every formula is a row of one program, every table is written once.

What is said of an op, its signature, operands, shapes and the births and deaths of memory, is a number in a table, and the
columns of these numbers are written as `runs`, so that equal layers take no room.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from fxcount.ops.core.common import facts_of_result
from fxcount.passes.memory import HELD
from fxcount.report.data.piece import TOTALS
from fxcount.report.data.report import ReportData
from fxcount.report.data.rows import module_parameters
from fxcount.report.data.steps import is_of_step
from fxcount.report.views.html.findings import findings
from fxcount.report.views.html.pool import Pool, runs
from fxcount.report.views.pictures.containers import Outline
from fxcount.report.views.pictures.layout import layered
from fxcount.symbolic import Assumption, Size, free_symbols, plain_claim, to_text
from fxcount.symbolic.program import Program
from fxcount.trace.tape import ModuleCall, Value, once_each
from fxcount.wording import visible

__all__ = ["in_json", "piece_data"]

_MOST_TEXT = 60_000
"""Characters of all formulas of modules together; further ones are left to the numbers."""
_LONGEST_TEXT = 400
_NODE_HEIGHT = 34
_STEP_OF_WIDTHS = 24
_FAR = 1 << 10
"""Calls, from the one that makes a tensor to one that takes it."""


def piece_data(report: ReportData) -> dict[str, Any]:
    """The analysis behind a report, without its values."""
    return _Writer(report).data()


class _Writer:
    def __init__(self, report: ReportData) -> None:
        self.report = report
        self.trace = report.trace
        self.step = report.step if is_of_step(report) else None
        forward = None if self.step is None else self.step.of("forward")
        shown = None if not forward else range(forward[0].calls.start, forward[-1].calls.stop)
        self.outline = Outline.of(report.trace, shown)
        self.program = Program()
        self.row = self.program.size
        self.names = Pool[str]()
        self.facts = Pool[tuple[Any, ...]]()
        self.shown: dict[int, Size] = {}  # what is also shown as a formula, by row
        self._known_facts: dict[int, int] = {}

    def data(self) -> dict[str, Any]:
        report = self.report
        signatures, of_call = self._signatures()
        events, birth_of = self._events()
        found: dict[str, Any] = {
            "because": report.piece.because,
            "hints": dict(self.trace.scope.hints),
            "holds": self._conditions(),
            "limits": [self._said(size) for size in self.trace.scope.limits],
            "inputs": [[self.names(visible(v.name)), self._fact(v.fact)] for v in self.trace.inputs],
            "unbacked": self._unbacked(),
            "signatures": signatures,
            "ops": {"signature": runs(of_call), **self._ops(), "events": runs(events[1])},
            "operands": self.operands.items,
            "events": [list(e) for e in events[0]],
            "temporaries": self._temporaries(),
            "modules": self._modules(),
            "layouts": self._layouts(),
            "totals": self._totals(),
            "step": self._phases(birth_of),
            "formulas": self._formulas(),
            "findings": findings(report, self.row),
        }  # fmt: skip
        # last, as only now the tables are complete
        found["facts"] = [list(f) for f in self.facts.items]
        found["names"] = self.names.items
        found["texts"] = self._texts()
        found["rows"] = self.program.rows
        return found

    # -- what the numbers rest on -------------------------------------------------------------------------------------
    def _conditions(self) -> list[dict[str, Any]]:
        return [self._condition(a) for a in self.trace.scope.assumptions]

    def _condition(self, a: Assumption) -> dict[str, Any]:
        said = {"text": visible(str(a)), "where": visible(a.where), "line": a.line, "why": visible(a.reason), "kind": a.kind}
        if a.claim is not None:
            return {**said, "is": "float", "claim": in_json(plain_claim(a.claim, lambda size: {"row": self.row(size)}))}
        return {**said, "is": a.relation, "row": self.row(a.expr), "of": a.modulus}

    def _unbacked(self) -> list[dict[str, Any]]:
        scope, given = self.trace.scope, self.report.piece.given()
        guesses = self.report.piece.guesses
        return [
            {
                "name": u.name, "what": visible(u.what), "where": visible(u.where),
                "default": self.row(given.get(u.name, u.default)), "most": None if u.most is None else self.row(u.most),
                "guess": u.name in guesses,
            }
            for u in scope.unbacked.by_name.values()
        ]  # fmt: skip

    # -- ops ----------------------------------------------------------------------------------------------------------
    def _signatures(self) -> tuple[list[list[Any]], list[int]]:
        """Name, whether it is counted, and rows of macs, flops, transcendentals, bytes read and written."""
        numbers: dict[int, int] = {}
        rows: list[list[Any]] = []
        uncounted = {id(c.signature) for c in self.report.costs.uncounted}
        of_call = []
        for call in self.trace.calls:
            key = id(call.signature)
            if key not in numbers:
                numbers[key] = len(rows)
                c = self.report.costs.of(call)
                counts = (c.macs, c.flops, c.transcendentals, c.read_bytes, c.write_bytes)
                rows.append([self.names(visible(call.op.name)), int(key not in uncounted), *map(self.row, counts)])
            of_call.append(numbers[key])
        return rows, of_call

    def _ops(self) -> dict[str, Any]:
        """Columns: module, line of the model, operands, results, bytes of results."""
        self.operands = Pool[tuple[int, ...]]()
        inputs = {id(v): i for i, v in enumerate(self.trace.inputs)}
        states = {d.names[0]: i for i, d in enumerate(self.trace.declared)}
        columns: dict[str, list[int]] = {"module": [], "source": [], "operands": [], "results": [], "made": []}
        made = self.made
        results = Pool[tuple[int, ...]]()
        home = state = 0  # of what came last: equal layers differ in these, and not in the way from one to the next
        line = once_each(lambda source: self.names(visible(str(source))))
        for call, inside in zip(self.trace.calls, self.outline.home):
            columns["module"].append(inside - home)
            home = inside
            source = line(call.source)
            columns["source"].append(self.names("") if source is None else source)
            codes = []
            for v in call.operands:
                if v.call >= 0:
                    distance = call.index - v.call
                    codes.append(4 * distance if distance < _FAR else 4 * v.call + 1)
                else:
                    code, state = _given(v, inputs, states, state)
                    codes.append(code)
            columns["operands"].append(self.operands(tuple(codes)))
            columns["results"].append(results(tuple([self._fact(v.fact) for v in call.outputs])))
        columns["made"] = made
        return {**{name: runs(column) for name, column in columns.items()}, "shapes": results.items}

    @cached_property
    def made(self) -> list[int]:
        """The row of the bytes that each call makes, once for each of its steps."""
        found: dict[int, Size] = {}
        for s in self.trace.storages:
            if s.origin == "op" and s.born >= 0:
                times = self.trace.calls[s.born].signature.times
                nbytes = s.nbytes if type(times) is int and times == 1 else s.nbytes * times
                found[s.born] = found[s.born] + nbytes if s.born in found else nbytes
        return [self.row(found.get(call.index, 0)) for call in self.trace.calls]

    def _fact(self, fact: Any) -> int:
        """Its number; equal calls have one and the same."""
        number = self._known_facts.get(id(fact))
        if number is None:
            dtype = str(fact.dtype).removeprefix("torch.")
            number = self._known_facts[id(fact)] = self.facts((self.names(dtype), *[self._said(s) for s in fact.shape]))
        return number

    def _said(self, size: Size) -> int:
        """The row of a size that is also shown as a formula."""
        row = self.row(size)
        self.shown[row] = size
        return row

    # -- memory -------------------------------------------------------------------------------------------------------
    def _events(self) -> tuple[tuple[list[tuple[int, ...]], list[int]], dict[int, int]]:
        """For what comes before the first call and for each call the births (rows) and deaths (``~age``, counted in births
        since), as numbers of a table; and of each storage the number of its birth."""
        pool = Pool[tuple[int, ...]]()
        by_call: list[list[int]] = [[] for _ in range(len(self.trace.calls) + 1)]
        births: dict[int, int] = {}
        storages = self.trace.storages
        for found, (_, entries) in zip(by_call, self.trace.events.by_call()):
            for entry in entries:
                if entry >= 0:
                    if storages[entry].origin not in HELD:
                        births[entry] = len(births)
                        found.append(self.row(storages[entry].nbytes))
                elif ~entry in births:
                    found.append(~(len(births) - births[~entry]))
        return (pool.items, [pool(tuple(found)) for found in by_call]), births

    def _temporaries(self) -> dict[int, int]:
        """Rows of the bytes an op holds besides its results while it runs, by signature."""
        found: dict[int, int] = {}
        numbers: dict[int, int] = {}
        for call in self.trace.calls:
            number = numbers.setdefault(id(call.signature), len(numbers))
            op, s = call.op, call.signature
            if op.temporaries is not None and number not in found and self.step is None:
                extra = op.temporaries(facts_of_result(s.result), *s.args, **s.kwargs)
                if extra != 0:
                    found[number] = self.row(extra)
        return found

    # -- modules ------------------------------------------------------------------------------------------------------
    def _modules(self) -> dict[str, Any]:
        modules = self.outline.modules
        held = self.held
        return {
            "name": runs([self.names(visible(_within(m, modules))) for m in modules]),
            "class": runs([self.names(self._class(m)) for m in modules]),
            "number": runs([m.number for m in modules]),
            "up": runs([m.index - m.parent for m in modules]),
            "start": runs([m.start - (modules[m.parent].start if m.parent >= 0 else 0) for m in modules]),
            "ops": runs([m.stop - m.start for m in modules]),
            "held": runs([held.get(m.path, 0) for m in modules]),
            "kind": runs(self.kinds),
            "result": runs([self._fact(m.outputs[0]) if m.outputs else -1 for m in modules]),
        }

    def _class(self, m: ModuleCall) -> str:
        made_up = m.index == 0 and len(self.outline.modules) > len(self.trace.modules) and self.trace.modules
        return "all of the step" if made_up and self.step is not None else visible(m.class_name)

    @cached_property
    def held(self) -> dict[str, int]:
        return module_parameters(self.trace)

    @cached_property
    def kinds(self) -> list[int]:
        return self.outline.kinds(self.trace, self.held, self.made)

    def _layouts(self) -> dict[str, Any]:
        """Coordinates by container, each different layout once."""
        pool = Pool[tuple[Any, ...]]()
        column = []
        modules = [_size(max(len(m.class_name), len(m.path.rpartition(".")[2]) + 2)) for m in self.outline.modules]
        ops = {id(s): _size(len(s.op.name)) for s in self.trace.signatures}
        calls = self.trace.calls
        for found in self.outline.containers:
            sizes = tuple([modules[m] if m >= 0 else ops[id(calls[call].signature)] for m, call in found.children])
            column.append(pool((sizes, found.edges)))
        return {"of": runs(column), "all": [_layout_data(sizes, edges) for sizes, edges in pool.items]}

    # -- totals -------------------------------------------------------------------------------------------------------
    def _totals(self) -> dict[str, list[int]]:
        report = self.report
        if is_of_step(report):
            return {name: [self._said(size)] for name, size in report.formulas().items()}
        found = {name: [self._said(size) for size in sizes] for name, sizes in report.piece.totals(*TOTALS).items()}
        peaks = report.peaks
        return {**found, "input_bytes": [self._said(peaks.inputs)], "output_bytes": [self._said(peaks.outputs)]}

    def _phases(self, birth_of: dict[int, int]) -> dict[str, Any] | None:
        """Of a training step: its phases, and which births are saved for the backward, gradients and states."""
        report = self.report
        if not is_of_step(report):
            return None
        memory = report.memory

        def births(storages: Sequence[int]) -> list[int]:
            return sorted([birth_of[i] for i in storages if i in birth_of])

        counted = report.step.counted
        return {
            "phases": [[p.name, p.calls.start, p.calls.stop, int(p.round == counted)] for p in report.step.phases],
            "saved": births(memory.saved), "gradients": births(report.step.gradients), "states": births(memory.states),
        }  # fmt: skip

    def _formulas(self) -> dict[str, Any]:
        """Texts of macs, flops and bytes of each kind of module, as numbers of names; -1 where they would be too long."""
        if self.step is not None:
            return {}
        room = _MOST_TEXT
        known: dict[int, tuple[int, ...]] = {}
        columns: list[tuple[int, ...]] = []
        for m in self.outline.modules:
            key = self.kinds[m.index]
            if key not in known and room > 0:
                cost = self.report.costs.sum(self.trace.calls[m.start : m.stop])
                texts = [to_text(s) for s in (cost.macs, cost.flops, cost.read_bytes + cost.write_bytes)]
                room -= sum([len(t) for t in texts if len(t) <= _LONGEST_TEXT])
                known[key] = tuple([self.names(t) if len(t) <= _LONGEST_TEXT else -1 for t in texts])
            columns.append(known.get(key, (-1, -1, -1)))
        return {name: runs([c[i] for c in columns]) for i, name in enumerate(("macs", "flops", "bytes"))}

    def _texts(self) -> dict[int, str]:
        """Formulas as text, by row: of shapes and totals."""
        texts = {row: to_text(size) for row, size in self.shown.items() if free_symbols(size)}
        return {row: text for row, text in texts.items() if len(text) <= 4 * _LONGEST_TEXT}


def in_json(claim: Any) -> Any:
    """A claim in which whole numbers and doubles are told apart, which JSON does not do."""
    if isinstance(claim, list):
        how, left, right = claim
        return [how, in_json(left), in_json(right)]
    return claim if isinstance(claim, dict) else {"float": repr(claim)} if isinstance(claim, float) else {"int": str(claim)}


def _within(m: ModuleCall, modules: Sequence[ModuleCall]) -> str:
    """The path from the module around it; after a slash if it is not inside of that one's path."""
    around = modules[m.parent].path if m.parent >= 0 else ""
    if not around:
        return m.path
    return m.path.removeprefix(f"{around}.") if m.path.startswith(f"{around}.") else f"/{m.path}"


def _size(longest: int) -> tuple[int, int]:
    """Width and height of the box in which a name and a class of so many letters stand, in steps, so that equal modules get
    equal boxes."""
    steps = min(max(7 * longest + 18, 3 * _STEP_OF_WIDTHS) // _STEP_OF_WIDTHS + 1, 8)
    return steps * _STEP_OF_WIDTHS, _NODE_HEIGHT


def _layout_data(sizes: Sequence[tuple[int, int]], edges: Sequence[tuple[int, int]]) -> dict[str, Any]:
    drawn = layered(sizes, edges)
    return {
        "size": [drawn.width, drawn.height], "widths": [w for w, _ in sizes],
        "at": [n for place in drawn.places for n in place],
        "routes": [[a, b, *[n for point in points for n in point]] for a, b, points in drawn.routes],
        "stubs": [n for stub in drawn.stubs for n in stub],
    }  # fmt: skip


def _given(value: Value, inputs: dict[int, int], states: dict[str, int], last: int) -> tuple[int, int]:
    """Where an operand comes from that no call has made, as one number, and the parameter that is the last one then.

    Of what a call has made it is four times the distance to that call, or the call's own number if that is far; of the rest
    the number of an input, or the way to a parameter from the ``last`` one (twice that, less one if it goes back). The rest by
    four says which."""
    if id(value) in inputs:
        return 4 * inputs[id(value)] + 2, last
    number = states.get(value.name, len(states))
    way = number - last
    return 4 * (2 * way if way >= 0 else -2 * way - 1) + 3, number
