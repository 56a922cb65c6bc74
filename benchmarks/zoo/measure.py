"""One model of the zoo becomes one record: a flat dict that JSON can hold.

``status``     ``"traced"``, ``"failed"`` (no level traced), ``"unbuilt"``; the runner adds ``"timeout"`` and ``"crashed"``
               for a worker that was stopped before the formulas were there
``level``      what had to be given up: ``"all"`` symbols stayed, only the ``"batch"``, or all sizes are ``"fixed"``
``errors``     of the levels that failed: type, message, the line of the model, the line that raised
``symbols``    asked for, hints, those that can move, and for each pinned one the assumption that holds it
``macs``       at the hint and at ``other``; ``reference`` and ``proof`` compare there
``elsewhere``, ``refused``, ``fitted``  of pinned symbols: what a trace at other sizes, the model there, and a fit say
``dead``       parameters without a gradient: the report's against autograd's, on a real run; with ``proof``
``verify``     what ``report.verify`` found, at sizes it draws
"""

from __future__ import annotations

import logging
import re
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

import fxcount
from benchmarks.zoo.build import on_cpu, on_meta
from benchmarks.zoo.counter import Count, count, count_on_cpu, runs
from benchmarks.zoo.entry import Entry, Inputs
from benchmarks.zoo.gradients import compare_dead
from benchmarks.zoo.proof import prove, small_enough
from benchmarks.zoo.reasons import added_up, as_decided, reason
from benchmarks.zoo.registry import entries
from benchmarks.zoo.sizes import Freedom, elsewhere, freedom, given_symbols, with_partners
from benchmarks.zoo.verified import verified

__all__ = ["Options", "Record", "failure", "measure", "measure_named"]

Record = dict[str, Any]
_ROOT = Path(__file__).resolve().parents[2]
_PREFIX = re.compile(r"/[^\s:]*/(?:site-packages|python\d\.\d+)/")
_TRACES_ELSEWHERE = 3
_FRAMES_OF_TOOLS = ("/fxcount/", "/torch/", "/benchmarks/zoo/")


@dataclass(frozen=True, slots=True)
class Options:
    """What to do besides tracing: compare with torch's counter, run the graph against the model, have the report verified
    (and run if it has at most ``gmacs`` billions of macs)."""

    reference: bool = True
    proof: bool = False
    verify: bool = False
    gmacs: float = 20.0


def measure(entry: Entry, options: Options, emit: Callable[[Record], None]) -> None:
    """Measure one model. ``emit`` gets the record after each stage, so that what was found survives a killed worker."""
    record: Record = {"key": entry.key, "family": entry.family, "name": entry.name, "file": entry.file, "status": "unbuilt"}
    started = time.perf_counter()
    try:
        model = on_meta(entry)
        inputs = entry.inputs(model)
    except Exception as error:
        emit({**record, "errors": [failure(error)]})
        return
    record["class"] = type(model).__name__
    record["build_seconds"] = _since(started)
    record["asked"] = list(inputs.asked)
    emit({**record, "status": "built"})
    report = _trace(model, inputs, record)
    if left := _left_behind():
        record["left_behind"] = left
    if report is None:
        emit(record)
        if options.reference:  # whether plain PyTorch can run it at all
            record["reference"] = [_count_record(count(model, inputs, inputs.hints), dict(inputs.hints))]
            emit(record)
        return
    free = freedom(report, inputs)
    _describe(report, inputs, free, record)
    emit(record)
    if options.reference:
        record["reference"] = [_compared(report, model, inputs, values) for values in _points(report, free)]
        if all(r["flops"] is None for r in record["reference"]) and small_enough(report):
            record["reference"] = _compared_on_cpu(report, entry, inputs, free) or record["reference"]
        emit(record)
    if free.pinned:
        record.update(_elsewhere(entry, report, inputs, with_partners(inputs, free.pinned)))
        emit(record)
        lost = [n for n in free.pinned if "refused" not in record and n in record.get("elsewhere", {}).get("pinned", (n,))]
        if any(" == " in free.pinned[name] for name in lost):  # one size alone, or one number of steps
            record.update(_fitted(entry, inputs, lost))
            emit(record)
    if options.proof:
        given = inputs.with_free(tuple(record["kept"]))
        if "branch" in record:
            given = replace(given, hints={**given.hints, "branch": record["branch"]})
        record["proof"] = prove(entry, report, given, free)
        emit(record)
        record["dead"] = compare_dead(entry, report, given, free.other)
        emit(record)
    if options.verify:
        given = inputs.with_free(tuple(record["kept"]))
        hints = {**given.hints, **({"branch": record["branch"]} if "branch" in record else {})}
        record["verify"] = verified(entry, report, model, given, hints, options.gmacs)
        emit(record)


def measure_named(task: tuple[str, str], emit: Callable[[Record], None], options: Options) -> bool:
    """:func:`measure` for a family and a name: what a worker does for one task. Whether it left torch as it was."""
    warnings.simplefilter("ignore")  # of the libraries, about their own defaults
    logging.disable(logging.WARNING)
    family, name = task
    measure(_by_name(family)[name], options, emit)
    return not _left_behind()


def _left_behind() -> list[str]:
    """Modes that an error in the middle of a model left on torch's stacks: the next model would run under them."""
    found = {
        "functorch": torch._C._functorch.peek_interpreter_stack() is not None,
        "torch function mode": torch._C._len_torch_function_stack() > 0,
        "torch dispatch mode": torch._C._len_torch_dispatch_stack() > 0,
        "no grad": not torch.is_grad_enabled(),
    }
    return [name for name, there in found.items() if there]


@cache
def _by_name(family: str) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries(family)}


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)


def _levels(asked: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    found = [("all", asked)]
    if "B" in asked and len(asked) > 1:
        found.append(("batch", ("B",)))
    if asked:
        found.append(("fixed", ()))
    return found


def _trace(model: Any, inputs: Inputs, record: Record) -> fxcount.Report | None:
    """The report of the first level that traces; what the levels before it raised goes into the record."""
    record["errors"] = []
    for level, kept in _levels(inputs.asked):
        given = inputs.with_free(kept)
        started = time.perf_counter()
        try:
            report = _analyzed(model, given, record)
        except Exception as error:
            record["errors"].append({"level": level, **failure(error)})
            continue
        record.update(status="traced", level=level, trace_seconds=_since(started), kept=list(kept))
        return report
    record["status"] = "failed"
    return None


def _analyzed(model: Any, given: Inputs, record: Record) -> fxcount.Report:
    """The report; a model that decides on its data (``if mask.any()``) is told that every such question is false."""
    try:
        return fxcount.analyze(model, *given.args, hints=given.hints, **given.kwargs)
    except fxcount.DataDependentError as error:
        if "'branch'" not in error.hint:
            raise
        record["branch"] = 0
        return fxcount.analyze(model, *given.args, hints={**given.hints, "branch": 0}, **given.kwargs)


def _describe(report: fxcount.Report, inputs: Inputs, free: Freedom, record: Record) -> None:
    trace, symbols = report.trace, dict(report.symbols)
    started = time.perf_counter()
    at_hint = report.at(guess=True, **symbols).macs
    formula = str(report.macs)
    record.update(
        frontend=report.frontend,
        calls=len(trace.calls),
        params=report.params.total,
        hints=symbols,
        unbacked=[name for name in symbols if name not in inputs.asked],
        symbolic=[name for name in inputs.asked if name in symbols and name not in free.pinned],
        pinned={name: shortened(text) for name, text in free.pinned.items()},
        other=free.other,
        assumptions=len(report.assumptions),
        uncounted=sorted({call.op.name for call in report.uncounted}),
        slow_ops=sorted({s.op.name for s in trace.signatures if s.op.shape.__module__ == "fxcount.trace.tracer.fallback"}),
        macs=int(at_hint),
        macs_formula=formula if len(formula) <= 200 else "",
        macs_length=len(formula),
        formula_seconds=_since(started),
    )


def _points(report: fxcount.Report, free: Freedom) -> list[dict[str, int]]:
    hints = given_symbols(report)
    return [hints] if free.other == hints else [hints, free.other]


def _compared(report: fxcount.Report, model: Any, inputs: Inputs, values: dict[str, int], on_real: bool = False) -> Record:
    """fxcount's macs and torch's flops at one size; where they differ, by how much and why."""
    started = time.perf_counter()
    at = report.at(guess=True, **values)
    found = (count_on_cpu if on_real else count)(model, inputs, {**inputs.hints, **values})
    decided = as_decided(report, found)
    if decided:
        at = report.at(guess=True, **values, **decided)
    flops = 2 * int(at.macs)
    equal = found.flops == flops and not report.uncounted
    record = {**_count_record(found, {**values, **decided}), "twice_macs": flops, "equal": equal}
    if not record["equal"]:
        record["reason"] = reason(at, found)
    return {**record, "seconds": _since(started)}


def _compared_on_cpu(report: fxcount.Report, entry: Entry, inputs: Inputs, free: Freedom) -> list[Record]:
    """The comparison on real tensors, for a model whose sizes depend on data; empty if it cannot be built."""
    try:
        model = on_cpu(entry)
    except Exception:
        return []
    return [_compared(report, model, inputs, values, on_real=True) for values in _points(report, free)]


def _elsewhere(entry: Entry, report: fxcount.Report, inputs: Inputs, names: list[str]) -> Record:
    """Whether it is the model that takes no other size, or a branch taken at the hint that rules the others out.

    ``refused``: what the model says at other sizes of the pinned symbols, if it runs at none of them: on meta, or on the CPU
    where meta tensors do not do. ``elsewhere``: else the symbols that can move in a trace that has one of these sizes for its
    hints; the first trace, of a few, in which all of them can.
    """
    device, model = "meta", on_meta(entry)  # anew: a plain run may have left tables of its sizes in a model
    said = runs(model, inputs, inputs.hints)
    if said and small_enough(report):
        device, model = "cpu", on_cpu(entry)
        said = runs(model, inputs, inputs.hints, device)
    if said:  # not even at the hint
        return {}
    refusals, found = [], []
    for values in elsewhere(inputs, names):
        said = runs(model, inputs, values, device)
        if said:
            refusals.append(said)
        elif len(found) < _TRACES_ELSEWHERE:
            found.append(_traced_at(on_meta(entry), replace(inputs, hints=values)))
            if found[-1].get("pinned") == {}:
                break
    if not found:
        return {"refused": refusals[0]} if refusals else {}
    return {"elsewhere": min(found, key=lambda trace: len(trace.get("pinned", names)))}


def _traced_at(model: Any, inputs: Inputs) -> Record:
    """A trace that has these sizes for its hints: which symbols it pins, and what torch's counter says."""
    try:
        given = inputs.with_free(inputs.asked)
        report = fxcount.analyze(model, *given.args, hints=given.hints, **given.kwargs)
    except Exception as error:
        return {"hints": dict(inputs.hints), "error": failure(error)}
    free = freedom(report, inputs)
    compared = [_compared(report, model, inputs, at) for at in _points(report, free)]
    pinned = {name: shortened(text) for name, text in free.pinned.items()}
    return {"hints": dict(inputs.hints), "pinned": pinned, "reference": compared}


def _fitted(entry: Entry, inputs: Inputs, names: list[str]) -> Record:
    """``fitted``: the symbols that are in a closed form by ``report.fit()``, with its evidence, compared with torch's counter
    at sizes other than those of the analysis: on meta, or on the CPU where meta tensors do not do."""
    given, model = inputs.with_free(inputs.asked), on_meta(entry)
    try:
        report = fxcount.analyze(model, *given.args, hints=given.hints, **given.kwargs)
        found = report.fit(checks=2)
        formula = str(found.macs)
        kept = [name for name in names if name in found.domain]
        device = "cpu" if runs(on_meta(entry), inputs, inputs.hints) and small_enough(report) else "meta"
        build = on_cpu if device == "cpu" else on_meta
        values = next(values for values in elsewhere(inputs, kept) if not runs(build(entry), inputs, values, device))
        counted = (count_on_cpu if device == "cpu" else count)(build(entry), inputs, values)
        flops = 2 * int(found.at(**values, **added_up(found.totals, counted)).macs)
        record = {**_count_record(counted, values), "twice_macs": flops, "equal": counted.flops == flops}
        if not record["equal"]:
            record["reason"] = _reason_there(build(entry), inputs, values, counted, flops)
    except (fxcount.FxcountError, StopIteration, TypeError):  # a TypeError: a size that data decide, and the run did not tell
        return {}
    return {"fitted": {"names": kept, "formula": formula[:200], "evidence": found.evidence, "reference": record}}


def _reason_there(model: Any, inputs: Inputs, values: dict[str, int], counted: Count, flops: int) -> str:
    """Why a fit and the counter differ at sizes, if an analysis that has these for its hints gives what the fit gives."""
    given = replace(inputs, hints=values).with_free(inputs.asked)
    report = fxcount.analyze(model, *given.args, hints=given.hints, **given.kwargs)
    at = report.at(guess=True, **given_symbols(report))
    return reason(at, counted) if 2 * int(at.macs) == flops else ""


def _count_record(found: Count, values: dict[str, int]) -> Record:
    return {"at": values, "flops": found.flops, "how": found.how, "error": found.error}


def failure(error: BaseException) -> Record:
    """Type and message of an error, the line of the model it arose at, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not any(part in f.filename for part in _FRAMES_OF_TOOLS)]
    where = getattr(error, "where", "") or (f"{own[-1].filename}:{own[-1].lineno}" if own else "")
    return {
        "type": type(error).__name__,
        "message": shortened((getattr(error, "what", None) or str(error)).strip()[:600]),
        "where": shortened(str(where)),
        "raised": shortened(f"{frames[-1].filename}:{frames[-1].lineno}") if frames else "",
    }


def shortened(text: str) -> str:
    """Paths from their package on: the same on every machine."""
    return _PREFIX.sub("", text).replace(f"{_ROOT}/", "")
