"""What one analysis finds, in the form in which analyses are interpolated: totals, the cache it returns, assumptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping

from fxcount.interpolation.points import QUANTITIES, Found, Moment
from fxcount.passes.memory import moments_of
from fxcount.report.data.piece import TOTALS, Piece, with_fixed
from fxcount.symbolic import Assumption, Size, covers, largest, substitute, sum_, symbol
from fxcount.trace.tape import Instruction, Trace, values_in
from fxcount.trace.tracer.outputs import named_parts

__all__ = ["found_in"]

_CACHES = ("past_key_values", "past_key_value", "presents", "cache_params", "kv_cache", "cache")
"""Names under which models return what they keep for the next token."""


def found_in(piece: Piece, fixed: Mapping[str, int] | None = None, guess: bool = False) -> Found:
    """The formulas of an analysis and what it assumes, as they are interpolated; with ``fixed``, at these sizes; with
    ``guess``, at the defaults of all sizes that data decide."""
    trace, numbers = piece.trace, dict[str, Size](fixed or {})
    sizes = piece.totals(*[name for name in QUANTITIES if name in TOTALS])
    cache = _cache_bytes(trace)
    if cache is not None:
        sizes["kv_bytes"] = (cache,)
    shares = _defaults(trace) if guess else _shares(trace)
    totals = _Totals(trace, "each at its default" if guess else "")

    def settled(size: Size) -> Size:
        return totals.of(substitute(substitute(size, shares), numbers))

    symbols = tuple([n for n in trace.scope.hints if n not in trace.scope.unbacked.by_name and n not in numbers])
    return Found(
        {name: tuple(largest([settled(size) for size in found])) for name, found in sizes.items()},
        _distinct(trace, fixed or {}), trace.model_name, totals.meanings, symbols, _moments(trace, settled),
    )


def _moments(trace: Trace, settled: Callable[[Size], Size]) -> dict[Moment, Size]:
    """The bytes alive at the first and at the last moment at each place of the model, equal modules being one place; nothing,
    if at some place another moment may be larger than these. Of such moments every build has the same."""
    places: dict[Hashable, list[Size]] = {}
    for peak in moments_of(trace):
        places.setdefault(_place(trace, peak.call), []).append(settled(peak.nbytes))
    found: dict[Moment, Size] = {}
    for place, sizes in places.items():
        first, last = sizes[0], sizes[-1]
        if not all([covers(first - size) or covers(last - size) for size in dict.fromkeys(sizes)]):
            return {}
        found[place, 0], found[place, 1] = first, last
    return found


def _place(trace: Trace, number: int) -> Hashable:
    """Where a call is, in terms that other builds have too."""
    if number < 0:
        return "", "", "", 0, 0
    call = trace.calls[number]
    path = re.sub(r"(?<![^.])\d+(?![^.])", "*", trace.modules[call.module].path) if call.module >= 0 else ""
    source = call.source
    if isinstance(source, Instruction):
        return path, call.op.name, source.code.co_filename, source.code.co_firstlineno, source.lasti
    return path, call.op.name, source.file if source else "", source.line if source else 0, 0


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


def _defaults(trace: Trace) -> dict[str, Size]:
    """The default of each size that data decide, in terms of the inputs' sizes."""
    found: dict[str, Size] = {}
    for name, u in trace.scope.unbacked.by_name.items():
        found[name] = substitute(u.default, found)
    return found


class _Totals:
    """Sizes that data decide, by kind: how many there are depends on the build, one for each expert of each layer. Where all
    of a kind count alike, only their sum matters: ``64*nonzero_1 + 64*nonzero_2`` is ``64*nonzero``."""

    def __init__(self, trace: Trace, settled: str) -> None:
        self.kinds: dict[str, list[str]] = {}
        self.meanings: dict[str, str] = {}
        for name, found in trace.scope.unbacked.by_name.items():
            kind = name.rpartition("_")[0]
            self.kinds.setdefault(kind, []).append(name)
            self.meanings[kind] = f"{found.what}, {settled or f'all {kind}_1, {kind}_2, ... of the model added up'}"

    def of(self, size: Size) -> Size:
        for kind, names in self.kinds.items():
            only_first: dict[str, Size] = {name: symbol(kind) if name == names[0] else 0 for name in names}
            pooled = substitute(size, only_first)
            if substitute(pooled, {kind: sum_(map(symbol, names))}) == size:
                size = pooled
        return size


def _distinct(trace: Trace, fixed: Mapping[str, int]) -> dict[tuple[Hashable, ...], Assumption]:
    found: dict[tuple[Hashable, ...], Assumption] = {}
    for assumption in [left for a in trace.scope.assumptions if (left := with_fixed(a, fixed)) is not None]:
        if trace.scope.unbacked.concern(assumption.expr):
            continue  # about the data, which no hyper-parameter decides
        # "150 rows" are 160 in another build, and sizes that are compared other formulas
        a, reason = assumption, re.sub(r"asks whether.*|\d+", "#", assumption.reason, flags=re.DOTALL)
        alike = sum(key[:-1] == (a.relation, a.modulus, reason, a.where, a.claim) for key in found)
        found[a.relation, a.modulus, reason, a.where, a.claim, alike] = a
    return found
