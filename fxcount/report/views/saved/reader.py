"""Files of fxcount's JSON, read: each is checked against the schema and asked once for what it is asked for later.

A file comes from anywhere. Whatever is wrong with it is one kind of error, with its place, in bounded time and memory.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from fxcount.errors import FxcountError, InputError, SizeError, first_line
from fxcount.report.data.comparison import Comparison
from fxcount.report.data.generation import GenerationData, Names, Turns
from fxcount.report.data.piece_rows import PiecesData
from fxcount.report.data.report import ReportData
from fxcount.report.data.training import TrainingData
from fxcount.report.views.graphs.checked import Checks, check_rows
from fxcount.report.views.graphs.decode import decode
from fxcount.report.views.saved.comparison import comparison_from
from fxcount.report.views.saved.curves import curve_from
from fxcount.report.views.saved.header import KINDS, READABLE, schema
from fxcount.report.views.saved.regions import pieces_from
from fxcount.report.views.saved.sizes import Read, reader
from fxcount.report.views.saved.step import check_step
from fxcount.symbolic import Size, evaluate, free_symbols
from fxcount.trace.torch_patch.active import no_collection

__all__ = ["Saved", "read"]

_FROM_DAMAGE = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError, AssertionError
)  # fmt: skip
_HINT = "give a file written by `fxcount MODEL -o FILE.json` or report.to_json()"

_Body = Mapping[str, Any]


class Saved(NamedTuple):
    """What a file holds: its kind, and the parts that its class is made of."""

    kind: str
    parts: Any


def read(source: str | os.PathLike[str] | Mapping[str, Any]) -> Saved:
    """What is in a text, a file or a dict of fxcount's JSON; see :func:`fxcount.load`."""
    with no_collection():
        data = source if isinstance(source, Mapping) else _parsed(source)
    kind = _kind(data)
    with no_collection():
        return Saved(kind, _READERS[kind](data, _table(data)))


def _kind(data: Any) -> str:
    """Which of :data:`KINDS` it is. A file without a head is a report of an earlier version of fxcount."""
    data = data if isinstance(data, Mapping) else {}
    named, graph = data.get("fxcount"), data.get("graph")
    found = named.get("kind") if isinstance(named, Mapping) else "report"
    kind = found if isinstance(found, str) and found in KINDS else ""
    if not kind or not isinstance(data.get(KINDS[kind]), Mapping) or not (named or isinstance(graph, Mapping)):
        raise InputError("this is no JSON of fxcount: it holds no report, curve or comparison", hint=_HINT)
    versions = [named.get("schema")] if isinstance(named, Mapping) else []
    versions += [graph.get("fxcount_schema")] if isinstance(graph, Mapping) else []
    for version in versions:
        if type(version) is not int or version not in READABLE:
            raise InputError(
                f"this file has schema {ascii(version)[:80]}, and this fxcount reads {' and '.join(map(str, READABLE))}",
                hint="read it with the version of fxcount that wrote it, or analyse the model again",
            )
    return kind


def _table(data: _Body) -> Read:
    """What gives the sizes of the texts in this file, by its table of what they share."""
    where = data.get("where", [])
    rules = _rules()
    rules.check(where, rules.root["properties"]["where"], "where")
    try:
        return reader(where)
    except SizeError as error:
        raise InputError(f"the table of names in this file is damaged: {error.what[:400]}", hint=_HINT) from error


# -- one reader for each kind -----------------------------------------------------------------------------------------
def _report(data: _Body, read: Read) -> ReportData:
    found, *others = [_analysis(part, read) for part in _family(data)]
    if any(isinstance(report, TrainingData) for report in (found, *others)):
        raise InputError("this file says that it is a report, and holds a training step", hint=_HINT)
    found.adopt(others)
    return found


def _step(data: _Body, read: Read) -> TrainingData:
    found, *others = [_analysis(part, read) for part in _family(data)]
    if not isinstance(found, TrainingData) or not all([isinstance(report, TrainingData) for report in others]):
        raise InputError("this file says that it is a training step, and holds a report", hint=_HINT)
    found.adopt(others)
    return found


def _curve(data: _Body, read: Read) -> Any:
    return _checked("curve", data["curve"], lambda body: curve_from(body, read))


def _pieces(data: _Body, read: Read) -> Any:
    def made(body: _Body) -> Any:
        name, over, found, refused = pieces_from(body, read)
        _ = PiecesData(name, over, found, refused)
        for row in found:
            for sizes in row.sizes.values():
                if not sizes or not all([_is_count(size, row.hints) for size in sizes]):
                    raise ValueError("a total is no number")
        return name, over, found, refused

    return _checked("piecewise", data["piecewise"], made)


def _comparison(data: _Body, read: Read) -> Any:
    def made(body: _Body) -> Comparison:
        found: Comparison = comparison_from(body, read)
        parts = [found.totals, *[m.changes for m in found.modules], *[line.changes for line in found.lines]]
        for c in [change for part in parts for change in part.values()]:
            known = {n: found.sizes.get(n, 1) for n in free_symbols(c.before) | free_symbols(c.after)}
            if (evaluate(c.before, known), evaluate(c.after, known)) != c.numbers:
                raise ValueError(f"the numbers {c.numbers} are not those of the formulas")
        _ = found.same, found.changed(), found.added_lines()
        return found

    return _checked("comparison", data["comparison"], made)


def _generation(data: _Body, read: Read) -> Any:
    report = _report(data, read)

    def made(body: _Body) -> GenerationData:
        turns = Turns(report.trace, report.costs, report.values, None)
        turns.piece.because = report.piece.because
        for other in report.other_pieces():
            turns.adopt([Turns(other.trace, other.costs)])
        found = GenerationData(turns, Names(**body["names"]), body["values"], body["extend"])
        if len(turns.piece.turns) != 3:
            raise ValueError("it is not a prompt and two steps")
        _ = found.prefill, found.step, found.kv_bytes
        return found

    return _checked("generation", data["generation"], made)


_READERS: Mapping[str, Callable[[_Body, Read], Any]] = {
    "report": _report, "step": _step, "curve": _curve, "pieces": _pieces, "comparison": _comparison,
    "generation": _generation,
}  # fmt: skip


# -- what is read is checked ------------------------------------------------------------------------------------------
def _family(data: _Body) -> list[_Body]:
    others = data.get("pieces", [])
    if not isinstance(data.get("report"), Mapping):
        raise InputError("this file holds no report", hint=_HINT)
    if not isinstance(others, list) or not all(isinstance(other, Mapping) for other in others):
        raise InputError("the pieces in this file are no reports", hint=_HINT)
    return [data["report"], *others]


def _analysis(body: _Body, read: Read) -> ReportData:
    """One analysis: of a call, or of a training step."""

    def made(body: _Body) -> ReportData:
        found = decode(body, read)
        _try(found)
        return found

    return _checked("report", body, made)  # type: ignore[no-any-return]


@lru_cache(1)
def _rules() -> Checks:
    return Checks(schema())


def _checked(name: str, body: _Body, made: Callable[[_Body], Any]) -> Any:
    """What is made of a body that fits its schema. Raises :class:`~fxcount.errors.InputError` for any other."""
    rules = _rules()
    rules.check(body, rules.root["$defs"][name], name)
    if name == "report":
        check_rows(body)
        if "step" in body:
            check_step(body)
    try:
        return made(body)
    except FxcountError as error:
        raise InputError(f"the {name} in this file is damaged: {error.what[:400]}", hint=_HINT) from error
    except _FROM_DAMAGE as error:
        said = f"{type(error).__name__}: {first_line(error)[:200]}"
        raise InputError(f"the {name} in this file is damaged ({said})", hint=_HINT) from error


def _try(report: ReportData) -> None:
    """Ask once for what a report is asked for: a damaged one is to fail where it is read, and not anywhere later."""
    scope = report.trace.scope
    at = report if report.values is not None else report.with_values(scope.hints)
    if report.values is None:
        scope.check(scope.hints)
    if not all([_is_natural(n) for n in map(at.size, _sizes(report))]):
        raise InputError("a size or a cost is no number, or a negative one")
    if not all(map(_is_natural, (at.params.total, at.params.trainable, at.params.bytes))):
        raise InputError("a number of parameters is larger than any model's")
    if isinstance(at, TrainingData):
        _try_step(at)
    else:
        _ = at.peaks, at.params, at.ops, at.by_op(), at.by_module()


def _try_step(at: TrainingData) -> None:
    numbers = [
        at.flops, at.forward_flops, at.backward_flops, at.saved_bytes, at.gradient_bytes, at.optimizer_bytes, at.input_bytes,
        at.forward_peak, at.peak, at.total_peak, *at.step_peak, *at.held().values(), *[i.nbytes for i in at.timeline],
    ]  # fmt: skip
    if not all([_is_natural(n) for n in numbers]):
        raise InputError("a total of the step is no number, or a negative one")
    _ = at.params, at.ops, at.by_module(), at.peak_place, at.forward_peak_place, at.step_peak_place, at.total_peak_place


_MOST_BITS = 1 << 12
"""Of a number of a file: sums of such can be printed."""


def _is_natural(n: Any) -> bool:
    return type(n) is int and n >= 0 and n.bit_length() <= _MOST_BITS


def _is_count(size: Size, hints: Mapping[str, int]) -> bool:
    return _is_natural(evaluate(size, hints))


def _sizes(report: ReportData) -> Iterator[Size]:
    for cost in (report.costs.total, *report.costs.by_signature.values()):
        yield from dataclasses.astuple(cost)
    for storage in report.trace.storages:
        yield storage.nbytes
    for value in (*report.trace.inputs, *[v for call in report.trace.calls for v in (*call.operands, *call.outputs)]):
        yield from value.fact.shape


def _parsed(source: str | os.PathLike[str]) -> Any:
    if isinstance(source, str) and source.lstrip().startswith("{"):
        text = source
    else:
        try:
            text = Path(source).read_text("utf-8")
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"cannot read the report from {str(source)[:200]!r} ({first_line(error)})", hint=_HINT) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"this is not JSON: {first_line(error)}", hint=_HINT) from error
