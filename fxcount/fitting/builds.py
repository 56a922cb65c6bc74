"""Builds of a model at points of its hyper-parameters, and what an analysis of each finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from fxcount.api import analyze
from fxcount.interpolation.points import Failure, Found, Point
from fxcount.report import Report
from fxcount.report.data.found import found_in
from fxcount.trace.inputs.building import built, filled, names_in

__all__ = ["Builds"]


class Builds:
    """Each point is built and analysed once. ``names`` are the variables; ``complete`` gives all values, of which
    ``helpers`` and those that the inputs name need not be arguments of ``build``."""

    def __init__(
        self, build: Callable[..., Any], inputs: tuple[Any, ...], named_inputs: Mapping[str, Any], names: tuple[str, ...],
        complete: Callable[[Point], dict[str, int]], helpers: Set[str], hints: Mapping[str, int] | None,
        options: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.build = build
        self.inputs = inputs
        self.named_inputs = named_inputs
        self.names = names
        self.complete = complete
        self.helpers = helpers | names_in([inputs, dict(named_inputs)])
        self.hints = hints
        self.options = options
        self.known: dict[Point, Found | Failure] = {}

    def at(self, point: Point) -> Found | Failure:
        """What is found there. Errors of the user's model are findings too."""
        found = self.known.get(point)
        if found is None:
            try:
                found = found_in(self.report(point).piece)
            except Exception as error:  # whatever a constructor raises for numbers that do not go together
                found = Failure(error)
            self.known[point] = found
        return found

    def report(self, point: Point) -> Report:
        """A fresh analysis of a fresh build."""
        values = self.complete(point)
        inputs, named = filled(self.inputs, values), filled(dict(self.named_inputs), values)
        return analyze(built(self.build, values, self.helpers), *inputs, hints=self.hints, kwargs=named, **self.options)
