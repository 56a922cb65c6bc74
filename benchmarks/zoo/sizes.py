"""Which sizes a report holds for: how far each symbol can leave its hint, and what forbids it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import fxcount
from benchmarks.zoo.entry import Inputs

__all__ = ["Freedom", "elsewhere", "freedom", "given_symbols", "smaller", "with_partners"]


_OF_IMAGES = ("D", "H", "W")


@dataclass(frozen=True, slots=True)
class Freedom:
    """``other``: sizes other than the hint at which the report holds; ``pinned``: the assumption that keeps each symbol
    that could not be moved."""

    other: dict[str, int]
    pinned: dict[str, str]


def freedom(report: fxcount.Report, inputs: Inputs) -> Freedom:
    """Move every symbol of the inputs off its hint by the first step that the assumptions allow.

    Symbols that can only move together (``H == W``) are moved together.
    """
    hints = given_symbols(report)
    asked = [name for name in inputs.asked if name in hints]
    other = dict(hints)

    def moved(names: list[str]) -> bool:
        for step in inputs.steps_of(names[0]):
            trial = {**other, **{n: hints[n] + step for n in names}}
            if min(trial.values()) >= 1 and report.trace.scope.check(trial) is None:
                other.update(trial)
                return True
        return False

    left = [name for name in asked if not moved([name])]
    if len(left) > 1 and moved(left):
        left = []
    return Freedom(other, {name: _obstacle(report, inputs, other, name) for name in left})


def given_symbols(report: fxcount.Report) -> dict[str, int]:
    """The sample values of the inputs' own symbols; sizes that data decide follow them by their defaults."""
    data_dependent = {found.name for found in report.unbacked}
    return {name: value for name, value in report.symbols.items() if name not in data_dependent}


def _obstacle(report: fxcount.Report, inputs: Inputs, values: dict[str, int], name: str) -> str:
    """What forbids every step: an equality rather than a divisibility that some step would meet."""
    trials = ({**values, name: values[name] + step} for step in inputs.steps_of(name) if values[name] + step >= 1)
    failed = [found for found in map(report.trace.scope.check, trials) if found is not None]
    if not failed:
        return ""
    first = next((a for a in failed if a.relation == "=="), failed[0])
    text = str(first)
    reason = f" ({first.reason})" if first.reason and first.reason not in text else ""
    return f"{text}{reason}{f' at {first.where}' if first.where and first.where not in text else ''}"


def elsewhere(inputs: Inputs, names: Iterable[str]) -> Iterator[dict[str, int]]:
    """Sizes at which these symbols are all off their hints: height and width by the same step, each other one by its own."""
    symbols = list(names)
    images = [name for name in symbols if name in _OF_IMAGES]
    steps = {name: inputs.steps_of(images[0] if name in images else name) for name in symbols}
    tried = []
    for k in range(max(map(len, steps.values()), default=0)):
        values = {**inputs.hints, **{name: inputs.hints[name] + own[k % len(own)] for name, own in steps.items()}}
        if min(values.values()) >= 1 and values not in tried:
            tried.append(values)
            yield values


def with_partners(inputs: Inputs, names: Iterable[str]) -> list[str]:
    """The symbols, and of an image both sides: whether it is padded is one decision, of whichever of them that concerns."""
    symbols = list(names)
    image = any(name in _OF_IMAGES for name in symbols)
    return symbols + [name for name in inputs.asked if image and name in _OF_IMAGES and name not in symbols]


def smaller(report: fxcount.Report) -> Iterator[dict[str, int]]:
    """Sizes at which the report holds, from the hint down: a batch of one, then smaller images and shorter sequences."""
    hints = given_symbols(report)
    seen = []
    for part in (1.0, 0.75, 0.5, 0.25):
        for batch in (hints.get("B", 1), 1):
            values = {n: h if n in ("B", "N", "E") else max(1, round(h * part)) for n, h in hints.items()}
            if "B" in values:
                values["B"] = batch
            if values not in seen and report.trace.scope.check(values) is None:
                seen.append(values)
                yield values
