"""Builds of a model at points of its hyper-parameters, and what an analysis of each finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from fxcount.api import analyze
from fxcount.errors import first_line
from fxcount.report import Report
from fxcount.report.data.piece import TOTALS
from fxcount.symbolic import Assumption, Size, substitute, sum_, symbol
from fxcount.trace.inputs.building import built, filled, names_in
from fxcount.trace.tape import Trace, values_in
from fxcount.trace.tracer.outputs import named_parts

__all__ = ["QUANTITIES", "Builds", "Failure", "Found", "Point"]

Point = tuple[int, ...]

QUANTITIES: Mapping[str, str] = {
    "params": "parameters, each unique one once",
    "trainable": "those that ask for a gradient",
    "param_bytes": "bytes of parameters",
    "buffer_bytes": "bytes of buffers",
    "macs": "multiply-accumulates of contractions",
    "flops": "floating-point operations",
    "transcendentals": "those that are exp, log, tanh, ...",
    "kv_bytes": "bytes of the key-value cache the model returns",
    "read_bytes": "bytes read, each operand once for each op",
    "write_bytes": "bytes written, each result once for each op",
    "activation_bytes": "bytes of all results added up",
    "peak_bytes": "largest sum of bytes alive at one moment of inference, inputs included, parameters and buffers not",
}
"""What is fitted, and its meaning."""

_CACHES = ("past_key_values", "past_key_value", "presents", "cache_params", "kv_cache", "cache")
"""Names under which models return what they keep for the next token."""


@dataclass(frozen=True)
class Found:
    """The formulas of one build in the inputs' symbols, by quantity (the peak has several: it is the largest), and its
    assumptions, by what distinguishes them beside their formula."""

    sizes: Mapping[str, tuple[Size, ...]]
    assumptions: Mapping[tuple[Hashable, ...], Assumption]
    model_name: str
    totals: Mapping[str, str]  # symbols for sizes that data decide, added up, with their meaning
    symbols: tuple[str, ...]  # of the inputs


@dataclass(frozen=True)
class Failure:
    """The build or its analysis raised this error."""

    error: Exception

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {first_line(self.error)}"


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
                found = _found(self.report(point))
            except Exception as error:  # whatever a constructor raises for numbers that do not go together
                found = Failure(error)
            self.known[point] = found
        return found

    def report(self, point: Point) -> Report:
        """A fresh analysis of a fresh build."""
        values = self.complete(point)
        inputs, named = filled(self.inputs, values), filled(dict(self.named_inputs), values)
        return analyze(built(self.build, values, self.helpers), *inputs, hints=self.hints, kwargs=named, **self.options)


def _found(report: Report) -> Found:
    trace = report.trace
    sizes = report.piece.totals(*[name for name in QUANTITIES if name in TOTALS])
    cache = _cache_bytes(trace)
    if cache is not None:
        sizes["kv_bytes"] = (cache,)
    shares, totals = _shares(trace), _Totals(trace)
    settled = {name: tuple([totals.of(substitute(size, shares)) for size in found]) for name, found in sizes.items()}
    symbols = tuple([name for name in trace.scope.hints if name not in trace.scope.unbacked.by_name])
    return Found(settled, _distinct(trace), trace.model_name, totals.meanings, symbols)


def _cache_bytes(trace: Trace) -> Size | None:
    """Bytes of the tensors the model returns as its cache, each once; ``None`` if it returns none."""
    parts = named_parts(trace.outputs)
    values = {v.index: v for name in _CACHES if name in parts for v in values_in(parts[name])}
    return sum_([v.fact.nbytes for v in values.values()]) if values else None


def _shares(trace: Trace) -> dict[str, Size]:
    """Sizes that data decide and that add up to a total, one of them as what the others leave: in a sum over all of them, as of
    the rows that a router sends to each expert, every one of them then cancels."""
    unbacked = trace.scope.unbacked
    return {name: u.default for name, u in unbacked.by_name.items() if not u.guess and unbacked.concern(u.default)}


class _Totals:
    """Sizes that data decide, by kind: how many there are depends on the build, one for each expert of each layer. Where all
    of a kind count alike, only their sum matters: ``64*nonzero_1 + 64*nonzero_2`` is ``64*nonzero``."""

    def __init__(self, trace: Trace) -> None:
        self.kinds: dict[str, list[str]] = {}
        self.meanings: dict[str, str] = {}
        for name, found in trace.scope.unbacked.by_name.items():
            kind = name.rpartition("_")[0]
            self.kinds.setdefault(kind, []).append(name)
            self.meanings[kind] = f"{found.what}, all {kind}_1, {kind}_2, ... of the model added up"

    def of(self, size: Size) -> Size:
        for kind, names in self.kinds.items():
            only_first: dict[str, Size] = {name: symbol(kind) if name == names[0] else 0 for name in names}
            pooled = substitute(size, only_first)
            if substitute(pooled, {kind: sum_(map(symbol, names))}) == size:
                size = pooled
        return size


def _distinct(trace: Trace) -> dict[tuple[Hashable, ...], Assumption]:
    found: dict[tuple[Hashable, ...], Assumption] = {}
    for assumption in trace.scope.assumptions:
        if trace.scope.unbacked.concern(assumption.expr):
            continue  # about the data, which no hyper-parameter decides
        # "150 rows" are 160 in another build, and sizes that are compared other formulas
        a, reason = assumption, re.sub(r"asks whether.*|\d+", "#", assumption.reason, flags=re.DOTALL)
        alike = sum(key[:-1] == (a.relation, a.modulus, reason, a.where, a.claim) for key in found)
        found[a.relation, a.modulus, reason, a.where, a.claim, alike] = a
    return found


