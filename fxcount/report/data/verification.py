"""Checks of a report by other means: the model analysed afresh with numbers in place of symbols, and the graph run.

A fresh analysis shares nothing with the formulas: it asks the model again, at sizes drawn from those the report admits, with
every memo table emptied. Where a size was looked at in a way that tracing cannot see (``type(n) is int``, ``n is m``), the two
differ, and the first op that does so is named.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from math import gcd
from typing import TYPE_CHECKING, Any

from fxcount.dataclass import dataclass
from fxcount.errors import AssumptionError
from fxcount.report.data.execution import executed, small_enough
from fxcount.report.data.family import listed, words_of
from fxcount.report.data.recipe import Recipe, empty_memos
from fxcount.symbolic import Expr, Size, evaluate, free_symbols, is_data_dependent
from fxcount.torch_private import pytree
from fxcount.trace.inputs.specs import InputSpec
from fxcount.wording import visible

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["Difference", "Refusal", "Verification", "admitted_sizes", "verify"]

Values = Mapping[str, int]
_QUANTITIES = ("macs", "flops", "transcendentals", "read_bytes", "write_bytes")
_PRIMES = (3, 5, 7, 11, 13, 17, 23, 31, 41, 61, 97, 131, 211, 331, 509, 1031)
FAR = 10_007
MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """At ``sizes`` the report and the fresh analysis (or the run) do not agree: what, both numbers, and the first op."""

    sizes: dict[str, int]
    what: str
    reported: Any
    found: Any
    op: str = ""

    def __str__(self) -> str:
        place = f", first at {self.op}" if self.op else ""
        return f"{_listed(self.sizes)}: {self.what} reported {self.reported}, found {self.found}{place}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Sizes the report admits and the model itself does not take, with its words."""

    sizes: dict[str, int]
    said: str

    def __str__(self) -> str:
        return f"{_listed(self.sizes)}: refused by the model: {self.said}"


@dataclass(frozen=True, slots=True)
class Verification:
    """``checked``: the sizes compared; ``executed``: those at which the graph was run against the model; ``differences`` and
    ``refused``. It is true if there is no difference."""

    model_name: str
    checked: tuple[dict[str, int], ...]
    differences: tuple[Difference, ...] = ()
    refused: tuple[Refusal, ...] = ()
    executed: tuple[dict[str, int], ...] = ()
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        agreed = len(self.checked) - len({_listed(d.sizes) for d in self.differences})
        lines = [f"{self.model_name}: {agreed} of {len(self.checked)} sizes agree with a fresh analysis"]
        if self.executed:
            lines[0] += f"; the graph was run against the model at {len(self.executed)}"
        lines += [f"  checked   {_listed(sizes)}" for sizes in self.checked]
        lines += [f"  DIFFERS   {d}" for d in self.differences]
        lines += [f"  refused   {r}" for r in self.refused]
        lines += [f"  note      {note}" for note in self.notes]
        return "\n".join(map(visible, lines))


def verify(report: ReportData, recipe: Recipe | None, n: int, execute: bool, seed: int) -> Verification:
    """What :meth:`fxcount.Report.verify` does."""
    if recipe is None:
        raise AssumptionError(
            "this report cannot be verified: it was read from a file, or made by something else than analyze()",
            hint="analyse the model itself, and verify that report while the model is there",
        )
    recipe.present()
    points = [dict(report.values)] if report.values is not None else list(admitted_sizes(report, n, seed))
    checked, differences, refused, ran, notes = [], [], [], [], []
    for values in points:
        checked.append(values)
        try:
            fresh = _fresh(recipe, values)
        except AssumptionError:
            raise
        except Exception as error:
            refused.append(Refusal(values, words_of(error)))
            continue
        difference = _first_difference(_with_sizes(report, values), fresh, values)
        if difference is not None:
            differences.append(difference)
        elif execute and small_enough(fresh):
            said, found = executed(report, recipe, values)
            ran.append(values)
            if said:
                notes.append(f"{_listed(values)}: {said}")
            if found:
                differences.append(Difference(values, "outputs of the run", "the graph", "the model", found))
    if execute and not ran and not differences:
        notes.append("nothing was run: no size drawn is small enough to run on the CPU")
    return Verification(
        report.trace.model_name, tuple(checked), tuple(differences), tuple(refused), tuple(ran), tuple(notes)
    )


def _fresh(recipe: Recipe, values: Values) -> ReportData:
    """An analysis with numbers alone: hints are left for sizes that data decide."""
    empty_memos()
    hints = {name: n for name, n in {**recipe.hints, **values}.items() if is_data_dependent(name)}
    wanted = {name: n for name, n in hints.items() if name in recipe.hints}
    found: ReportData = recipe.again(wanted, lambda spec: with_numbers(spec, values))
    kept = {name: values.get(name, hint) for name, hint in found.symbols.items()}
    return _with_sizes(found, kept)


def _with_sizes(report: ReportData, values: Values) -> ReportData:
    """The report at these sizes, which it is known to admit; sizes that data decide have their defaults."""
    return report if report.values is not None else report.with_values(_completed(report, values))


def _completed(report: ReportData, values: Values) -> dict[str, int]:
    return report.trace.scope.unbacked.completed({**report.fixed, **values})


def _admits(report: ReportData, values: Values) -> bool:
    return report.trace.scope.check(_completed(report, values)) is None


def with_numbers(spec: Any, values: Values) -> Any:
    """Nested input specifications with numbers for symbols."""

    def size(s: Size) -> Size:
        return evaluate(s, values) if isinstance(s, Expr) else s

    def number(leaf: Any) -> Any:
        if not isinstance(leaf, InputSpec):
            return leaf
        return leaf.mapped(size)

    return pytree.tree_map(number, spec, is_leaf=lambda x: isinstance(x, InputSpec))


# -- comparing --------------------------------------------------------------------------------------------------------
def _first_difference(at: ReportData, fresh: ReportData, values: Values) -> Difference | None:
    for what, reported, found in _totals(at, fresh):
        if reported != found:
            return Difference(dict(values), what, reported, found, _first_op(at, fresh))
    return None


def _totals(at: ReportData, fresh: ReportData) -> Iterator[tuple[str, Any, Any]]:
    """What has to agree, the most telling first: ``(name, reported, found)``."""
    yield "output shapes", _shapes(at), _shapes(fresh)
    for name in _QUANTITIES:
        yield name, getattr(at, name), getattr(fresh, name)
    for name in ("total", "trainable", "bytes"):
        yield f"params.{name}", getattr(at.params, name), getattr(fresh.params, name)
    mine, theirs = at.memory, fresh.memory
    for name in ("inputs", "outputs", "activations", "peak"):
        yield f"memory.{name}", getattr(mine, name), getattr(theirs, name)


def _shapes(report: ReportData) -> list[tuple[int, ...]]:
    return [tuple([int(report.size(s)) for s in v.fact.shape]) for v in report.trace.values_out()]


def _first_op(at: ReportData, fresh: ReportData) -> str:
    """The first op by which the two runs of the model differ, with its place."""
    mine, theirs = at.trace.calls, fresh.trace.calls
    for a, b in zip(mine, theirs):
        if _shown(a) != _shown(b) or _costs(at, a) != _costs(fresh, b):
            here = a.source if a.source is not None else "an unknown line"
            return f"op {a.index} ({a.op.name}{'' if _shown(a) == _shown(b) else ', afresh ' + _shown(b)}) at {here}"
    if len(mine) != len(theirs):
        calls = max(mine, theirs, key=len)
        extra = calls[min(len(mine), len(theirs))]
        return f"op {extra.index} ({extra.op.name}), which only one of the two has, at {extra.source}"
    return ""


def _shown(call: Any) -> str:
    """The op's name, for people; an op without a rule is another object in each analysis."""
    return str(call.op.name)


def _costs(report: ReportData, call: Any) -> list[Any]:
    cost = report.costs.by_signature[id(call.signature)]
    sizes = [getattr(cost, name) for name in _QUANTITIES] + [s for v in call.outputs for s in v.fact.shape]
    return [report.size(s) for s in sizes]


# -- sizes ------------------------------------------------------------------------------------------------------------
def admitted_sizes(report: ReportData, n: int, seed: int = 0) -> Iterator[dict[str, int]]:
    """At most ``n`` different sizes at which the report says it holds: corners of the domain, 1, odd, prime, far, the hint."""
    hints, unbacked = report.trace.scope.hints, report.trace.scope.unbacked.by_name
    names = [name for name in report.symbols if name not in unbacked]
    draw = random.Random(seed)
    given: list[dict[str, int]] = []
    steps = {name: _step(report, name) for name in names}
    low = {name: _corner(report, hints, name, steps[name], -1) for name in names}
    high = {name: _corner(report, hints, name, steps[name], 1) for name in names}
    kinds = {name: _candidates(hints[name], low[name], high[name], steps[name]) for name in names}
    wanted = [low, high, dict.fromkeys(names, 1), *({**hints, name: low[name]} for name in names)]
    wanted += [{name: draw.choice(kinds[name]) for name in names} for _ in range(60 * max(1, n))]
    for values in [*wanted, hints]:
        point = {name: values[name] for name in names}
        if len(given) < n and point not in given and _admits(report, point):
            given.append(point)
            yield {name: size for name, size in _completed(report, point).items() if name in hints}


def _candidates(hint: int, low: int, high: int, step: int) -> list[int]:
    near = [hint + step, hint + 2 * step, max(low, hint - step), 2 * hint, 3 * hint + 2 * step]
    found = [*near, *(p * step for p in _PRIMES), *(p for p in _PRIMES if step == 1), low + step, 1, 2]
    return sorted({v for v in found if low <= v <= high}) or [hint]


def _step(report: ReportData, name: str) -> int:
    """What a symbol has to be a multiple of, beside an offset, by the assumptions on it."""
    step = 1
    for a in report.trace.scope.assumptions:
        if a.relation == "%" and free_symbols(a.expr) == {name} and a.modulus < 1 << 12:
            step = step * a.modulus // gcd(step, a.modulus)
    return step if step < 1 << 12 else 1


def _corner(report: ReportData, hints: Values, name: str, step: int, way: int) -> int:
    """The last admitted size from the hint downwards (every one is tried) or upwards (at strides that double)."""
    best = size = hints[name]
    stride = step
    for _ in range(MAX_STEPS):
        size = size - step if way < 0 else min(size + stride, FAR * step + hints[name] % step)
        stride *= 2
        if size < 1 or size == best or not _admits(report, {**hints, name: size}):
            break
        best = size
    small = hints[name] % step or step
    while way < 0 and small < best:  # the domain may begin far below the hint
        if _admits(report, {**hints, name: small}):
            return small
        small += max(step, (best - small) // 20 // step * step)
    return best


def _listed(values: Values) -> str:
    return listed(values) or "no symbols"
