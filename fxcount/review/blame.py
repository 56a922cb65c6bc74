"""Which modules a number is owed to most, with the line of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.report.data.report import ReportData
from fxcount.report.data.rows import COUNTS
from fxcount.report.data.training import TrainingData
from fxcount.symbolic import Size, evaluate

__all__ = ["Share", "to_blame"]


@dataclass(frozen=True, slots=True)
class Share:
    """A module, what of a number is its own (not its submodules'), and the line of its costliest op."""

    module: str
    number: int
    of: int
    where: str = ""

    def __str__(self) -> str:
        part = f" ({100 * self.number / self.of:.1f}%)" if self.of else ""
        return f"{self.module or 'the model itself'} {self.number:,}{part}" + (f" at {self.where}" if self.where else "")


def to_blame(report: ReportData, quantity: str, values: Mapping[str, int], most: int = 3) -> list[Share]:
    """The modules with most of a quantity at these sizes, most first."""
    if isinstance(report, TrainingData):
        found = _of_step(report, quantity, values)
    elif quantity in ("params", "trainable", "param_bytes"):
        found = _of_parameters(report, quantity)
    elif quantity in COUNTS:
        found = _of_work(report, quantity, values)
    else:
        found = _alive(report, values)
    total = sum(number for number, _ in found.values())
    ranked = sorted(found.items(), key=lambda item: -item[1][0])
    return [Share(path, number, total, where) for path, (number, where) in ranked[:most] if number]


Shares = dict[str, tuple[int, str]]


def _of_parameters(report: ReportData, quantity: str) -> Shares:
    found: Shares = {}
    for row in report.params.rows("trainable" if quantity == "trainable" else None):
        path = row.name.rpartition(".")[0]
        number = row.nbytes if quantity == "param_bytes" else row.unique
        found[path] = (found.get(path, (0, ""))[0] + number, "")
    return found


def _of_work(report: ReportData, quantity: str, values: Mapping[str, int]) -> Shares:
    numbers: dict[int, int] = {}
    found: dict[str, tuple[int, int, str]] = {}  # own work, the costliest op's, its line
    trace = report.trace
    for call in trace.calls:
        key = id(call.signature)
        if key not in numbers:
            numbers[key] = _number(getattr(report.costs.of(call), quantity), values)
        path = trace.modules[call.module].path if call.module >= 0 else ""
        total, largest, where = found.get(path, (0, -1, ""))
        if numbers[key] > largest:
            largest, where = numbers[key], str(call.source or "")
        found[path] = (total + numbers[key], largest, where)
    return {path: (total, where) for path, (total, _, where) in found.items()}


def _alive(report: ReportData, values: Mapping[str, int]) -> Shares:
    """What is alive at the peak, by the module that made it."""
    trace = report.trace
    _, peak = report.peaks.peak_at(values)
    alive: dict[int, None] = {}
    there: list[int] = []
    for event in trace.events:
        if event.birth:
            alive[event.storage] = None
        else:
            alive.pop(event.storage, None)
        if event.call == peak and event.birth:
            there = list(alive)
    found: Shares = {}
    for i in there:
        storage = trace.storages[i]
        if storage.origin not in ("input", "op"):
            continue
        born = trace.calls[storage.born] if storage.born >= 0 else None
        path = "the inputs" if born is None else trace.modules[born.module].path if born.module >= 0 else ""
        where = found.get(path, (0, str(born.source or "") if born else ""))[1]
        found[path] = (found.get(path, (0, ""))[0] + _number(storage.nbytes, values), where)
    return found


def _of_step(report: TrainingData, quantity: str, values: Mapping[str, int]) -> Shares:
    at: Any = report if report.values is not None else report.at(guess=True, **{**report.trace.scope.hints, **values})
    found: Shares = {}
    for row in at.by_module():
        number = row.forward_flops + row.backward_flops if quantity == "train_flops" else row.saved_bytes
        found[row.path] = (found.get(row.path, (0, ""))[0] + int(number), "")
    return found


def _number(size: Size, values: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else int(evaluate(size, values))
