"""Budgets: limits on what a model costs, proved over the whole domain where sizes are left open.

A count has no noise, so there is no tolerance: a limit holds, or there are sizes at which it does not. A number at given sizes
is compared; a formula is proved by the algebra's bounds on every piece of the model, or refuted by a size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from fxcount.api import training_step
from fxcount.dataclass import dataclass
from fxcount.errors import FxcountError, InputError
from fxcount.report.data.comparison import compared
from fxcount.report.data.piece import Piece
from fxcount.report.data.report import ReportData
from fxcount.report.data.training import TrainingData
from fxcount.report.views.units import bytes_text
from fxcount.review import views
from fxcount.review.blame import to_blame
from fxcount.review.compare import as_report
from fxcount.review.findings import Finding, Findings, Place
from fxcount.review.limits import Limit, limit
from fxcount.review.places import made_at
from fxcount.review.quantities import STEP
from fxcount.symbolic import Size, evaluate, free_symbols, max_, parse, substitute, to_text
from fxcount.symbolic.prove import Verdict, never_exceeds
from fxcount.wording import shortened

__all__ = ["Budget", "BudgetError", "Finding", "Place", "assert_budget", "check"]

MOST_POINTS = 100_000
"""Sizes of a range that are all counted where no proof is found."""

MOST_BEYOND = 12
"""Sizes at which a model is analysed again to find its other pieces."""


class BudgetError(FxcountError, AssertionError):
    """A limit does not hold; ``budget`` says which."""

    budget: Budget


class Budget(Findings):
    __doc__ = Findings.__doc__

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return views.to_dict(self)

    def to_markdown(self, why: bool = False) -> str:
        """GitHub's Markdown, for the summary of a run; ``why``: with the lines that added cost since the saved report."""
        return views.to_markdown(self, why)

    def to_sarif(self) -> dict[str, Any]:
        """SARIF 2.1.0, which code scanning reads: broken limits, with file and line where there is one."""
        return views.to_sarif(self)

    def table(self, why: bool = False) -> str:
        """One line for each limit, and beneath those that are broken the modules most to blame."""
        return views.render(self, why)

    def __str__(self) -> str:
        return self.table()


def check(
    model: Any, /, *inputs: Any, max_params: Any = None, max_trainable: Any = None, max_param_bytes: Any = None,
    max_macs: Any = None, max_flops: Any = None, max_transcendentals: Any = None, max_read_bytes: Any = None,
    max_write_bytes: Any = None, max_activation_bytes: Any = None, max_peak: Any = None, max_memory: Any = None,
    max_train_flops: Any = None, max_train_peak: Any = None, max_train_memory: Any = None, no_dead: bool = False,
    no_shared: bool = False, no_uncounted: bool = False, against: Any = None, optimizer: Any = None,
    at: Mapping[str, int] | None = None, hints: Mapping[str, int] | None = None, kwargs: Mapping[str, Any] | None = None,
) -> Budget:  # fmt: skip
    """Whether a model keeps to its budget. ``model`` is one, with ``inputs`` as for :func:`fxcount.analyze`, or a report.

    A limit is a number or text: ``"25M"``, ``"2GB"``, with the sizes at which it is meant: ``"4.2G@B=1,H=224,W=224"``; a list
    has several. A formula, ``"6*B*S"``, is proved for all sizes of the symbols that are open, or for all in a range:
    ``"6*B*S@B=1:64"``; where it does not hold there is a size that shows it. ``"+5%"`` is by how much it may be more than in
    ``against``, a report (also a saved one, by its path) of before. ``at`` are sizes for limits without their own.

    ``no_dead``: every parameter affects the outputs; ``no_shared``: none has two names; ``no_uncounted``: every op has a
    cost rule, without which limits on work are never taken to hold. ``optimizer`` is that of the training step.

    Raises:
        InputError: a limit cannot be read, or a number is given for what has symbols left, without sizes.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU())
    >>> bool(check(net, "B,3", max_params=20, max_macs="15*B", max_flops=["120@B=3", "41*B@B=1:64"]))
    True
    >>> print(check(net, "B,S,3", max_macs="15*B*S", max_flops="41*B*S"))
    Sequential: all 2 limits hold
      ok    macs <= 15*B*S: 15*B*S, proved for all B, S >= 1
      ok    flops <= 41*B*S: 40*B*S, proved for all B, S >= 1
    >>> check(net, "B,S,3", max_macs="100*B + S").broken[0].sizes
    {'B': 1, 'S': 8}
    """
    given = {n.removeprefix("max_"): value for n, value in locals().items() if n.startswith("max_") and value is not None}
    limits = [limit(quantity, each) for quantity, value in given.items() for each in _several(value)]
    report = as_report(model, inputs, hints, kwargs)
    before = None if against is None else as_report(against)
    subject = _Subject(model, inputs, hints, kwargs, optimizer, report, before, dict(at or {}))
    findings = [_limited(subject, each) for each in limits]
    findings += _rules(subject, no_dead=no_dead, no_shared=no_shared, no_uncounted=no_uncounted)
    return Budget(report.trace.model_name, tuple(findings), None if before is None else compared(before, report))


def assert_budget(model: Any, /, *inputs: Any, **limits: Any) -> Budget:
    """:func:`check` for tests: an ``AssertionError`` that names what is broken, the size, and the modules most to blame.

    >>> import torch
    >>> bool(assert_budget(torch.nn.Linear(3, 5), "B,3", max_macs="15*B"))
    True
    >>> assert_budget(torch.nn.Linear(3, 5), "B,3", max_macs="14*B")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    fxcount.review.check.BudgetError: Linear: 1 of 1 limits is broken
      FAIL  macs <= 14*B: 15 > 14 at B=1
              the model itself 15 (100.0%) at ...linear.py:...
    """
    found = check(model, *inputs, **limits)
    if not found:
        error = BudgetError(str(found))
        error.budget = found
        raise error
    return found


def _several(given: Any) -> Sequence[Any]:
    return given if isinstance(given, (list, tuple)) else [given]


@dataclass
class _Subject:
    """What limits are about; the training step is analysed when a limit asks for it."""

    model: Any
    inputs: tuple[Any, ...]
    hints: Mapping[str, int] | None
    kwargs: Mapping[str, Any] | None
    optimizer: Any
    report: ReportData
    before: ReportData | None
    at: dict[str, int]
    _step: TrainingData | None = None

    def of(self, quantity: str) -> ReportData:
        """The report that knows a quantity."""
        if quantity not in STEP:
            return self.report
        if isinstance(self.model, TrainingData):
            return self.model
        if self._step is None:
            if isinstance(self.model, ReportData) or not hasattr(self.model, "parameters"):
                raise InputError(f"a limit on {quantity} needs the model, not its report", hint="give the model and its inputs")
            self._step = training_step(
                self.model, *self.inputs, optimizer=self.optimizer, hints=self.hints, kwargs=self.kwargs
            )  # fmt: skip
        return self._step


_OF_STEP = {"train_flops": "flops", "train_peak": "peak", "train_memory": "total_peak"}


def _sizes_of(report: ReportData, quantity: str) -> tuple[Size, ...]:
    """The quantity as formulas or numbers: the largest of them."""
    if quantity in _OF_STEP:
        value = getattr(report, _OF_STEP[quantity])
        return (value if isinstance(value, int) else parse(str(value)),)
    if quantity == "memory":
        held = report.params.bytes + report.params.buffer_bytes
        return tuple([report.size(size) + held for size in report.piece.totals("peak_bytes")["peak_bytes"]])
    name = "peak_bytes" if quantity == "peak" else quantity
    return tuple([report.size(size) for size in report.piece.totals(name)[name]])


def _limited(subject: _Subject, asked: Limit) -> Finding:
    report = subject.of(asked.quantity)
    known = {n: v for n, v in {**subject.at, **asked.sizes}.items() if n not in asked.ranges}
    unknown = [n for n in {**asked.sizes, **asked.ranges} if n not in report.symbols and n not in report.sizes]
    if unknown:
        raise InputError(
            f"the limit {asked.text!r} has the size {unknown[0]}, and the symbols are {', '.join(report.symbols) or 'none'}",
            hint="give sizes of the inputs' symbols",
        )
    known = {n: v for n, v in known.items() if n in report.symbols}
    there = report.at(**known) if known else report
    sizes = _sizes_of(there, asked.quantity)
    if asked.growth is not None:
        bound, scale = _grown(subject, asked, known)
    else:
        bound, scale = _at(asked.bound, known), 1
    sizes = tuple([scale * size for size in sizes])
    open_symbols = sorted(frozenset().union(*map(free_symbols, (*sizes, bound))))
    foreign = sorted(free_symbols(bound) - report.sizes.keys())
    if foreign:
        raise InputError(
            f"the limit {asked.text!r} has the size {foreign[0]}, and the symbols are {', '.join(report.symbols) or 'none'}",
            hint="write a number with a unit (25M, 2GB), or a formula in the symbols of the inputs",
        )
    finding = _of_numbers if not open_symbols else _over_ranges if asked.ranges else _everywhere
    if isinstance(bound, int) and set(open_symbols) - asked.ranges.keys() and asked.growth is None:
        example = ",".join(f"{n}={report.trace.scope.hints.get(n, 1)}" for n in open_symbols)
        raise InputError(
            f"{asked.quantity} depends on {', '.join(open_symbols)}: {asked.text} is a limit at no size in particular",
            hint=f'say at which sizes, e.g. "{asked.text}@{example}", over which range, or give a formula',
        )
    found = finding(_Question(there, asked, sizes, bound, scale, known))
    return _lower_bound(there, asked, found) if found.holds else found


class _Question(NamedTuple):
    """Sizes and bound are ``scale`` times what they are of, so that growth in percent stays whole."""

    report: ReportData
    limit: Limit
    sizes: tuple[Size, ...]
    bound: Size
    scale: int
    known: dict[str, int]


def _at(size: Size, known: Mapping[str, int]) -> Size:
    return substitute(size, dict(known))


def _grown(subject: _Subject, asked: Limit, known: Mapping[str, int]) -> tuple[Size, int]:
    """What the saved report allows, and the factor by which both sides are multiplied."""
    if subject.before is None:
        raise InputError(f"the limit {asked.text!r} is against a saved report: there is none", hint="give against=, --against")
    if asked.quantity in STEP:
        raise InputError(f"a saved report knows no {asked.quantity}", hint="give a number or a formula")
    before = subject.before
    known = {n: v for n, v in known.items() if n in before.symbols}
    sizes = _sizes_of(before.at(**known) if known else before, asked.quantity)
    factor = 1 + (asked.growth or Fraction(0))
    return factor.numerator * max_(*sizes), factor.denominator


def _of_numbers(q: _Question) -> Finding:
    value, bound = max(int(s) for s in q.sizes), int(q.bound)
    sizes = q.known or (dict(q.report.values) if q.report.values else {})
    return _compared(q, value, bound, sizes)


def _compared(q: _Question, value: int, bound: int, sizes: Mapping[str, int]) -> Finding:
    """What is said of two numbers."""
    name = q.limit.quantity
    shown, most = value // q.scale, bound // q.scale
    at = f" at {_listed(sizes)}" if sizes else ""
    if value <= bound:
        left = f", {100 * (bound - value) / bound:.1f}% left" if bound and value < bound else ""
        return Finding(name, q.limit.text, True, f"{_number(name, shown)}{at}{left}", shown, sizes)
    blame = tuple(to_blame(q.report, name, {**q.report.sizes, **sizes}))
    return Finding(name, q.limit.text, False, f"{_number(name, shown)} > {_number(name, most)}{at}", shown, sizes, blame)


def _everywhere(q: _Question) -> Finding:
    """For all sizes: proved on the piece at hand, and on those that are found where that one does not hold."""
    names = frozenset().union(*map(free_symbols, (*q.sizes, q.bound)))
    assumed = [a for a in q.report.assumptions if frozenset().union(*map(free_symbols, a.sizes)) & names]
    verdict = _on_piece(q, q.report.piece, q.sizes, q.report.sizes)
    if not verdict.proved:
        return _not_proved(q, verdict)
    pieces = [q.report.piece]
    for sizes in _beyond(q, sorted(names)) if assumed and q.limit.quantity not in STEP else ():
        if any(_admits(piece, sizes) for piece in pieces):
            continue
        try:
            there = q.report.at(**{n: v for n, v in sizes.items() if n in q.report.symbols})
        except FxcountError:
            continue  # the model refuses these sizes, or is gone
        pieces.append(there.piece)
        formulas = _piece_sizes(there.piece, q)
        verdict = _on_piece(q, there.piece, formulas, sizes)
        if not verdict.proved:
            return _not_proved(q._replace(report=there, sizes=formulas), verdict)
    found = f" on {len(pieces)} pieces" if len(pieces) > 1 else ""
    where = "".join(f", {a}" for a in assumed[:4]) + (f" and {len(assumed) - 4} more" if len(assumed) > 4 else "")
    domain = [f"{n}={low}..{high}" for n, (low, high) in q.limit.ranges.items()]
    rest = ", ".join(sorted(names - q.limit.ranges.keys()))
    domain = [f"all {rest} >= 1", *domain] if rest else domain
    said = f"{_formula(q)}, proved for {', '.join(domain)}{found}{'' if found else where}"
    return Finding(q.limit.quantity, q.limit.text, True, said)


def _on_piece(q: _Question, piece: Piece, sizes: Sequence[Size], tried: Mapping[str, int]) -> Verdict:
    """The verdict where one piece holds."""
    scope = piece.trace.scope
    multiples = {to_text(a.expr): a.modulus for a in scope.assumptions if a.relation == "%" and to_text(a.expr).isidentifier()}
    return never_exceeds(
        sizes, q.bound, {**scope.bounds, **q.limit.ranges}, multiples=multiples, tries=[scope.hints, tried],
        admits=lambda values: _admits(piece, {**q.known, **values}),
    )  # fmt: skip


def _admits(piece: Piece, values: Mapping[str, int]) -> bool:
    scope = piece.trace.scope
    return scope.check({**scope.hints, **values}) is None


def _piece_sizes(piece: Piece, q: _Question) -> tuple[Size, ...]:
    """The quantity on a piece, as :func:`_sizes_of` has it."""
    name = "peak_bytes" if q.limit.quantity in ("peak", "memory") else q.limit.quantity
    held = piece.parameters.bytes + piece.parameters.buffer_bytes if q.limit.quantity == "memory" else 0
    return tuple([q.scale * (substitute(size, q.known) + held) for size in piece.totals(name)[name]])


def _beyond(q: _Question, names: Sequence[str]) -> list[dict[str, int]]:
    """A few sizes outside of what the piece assumes: each symbol by itself, and all together, ever larger."""
    hints = {**q.report.trace.scope.hints, **q.known}
    open_names = [n for n in names if n in q.report.symbols]
    spans = {n: q.limit.ranges.get(n, (1, 1 << 13)) for n in open_names}
    steps = [2**k + d for k in range(13) for d in (0, 1)]
    points = [{**hints, n: v} for n in open_names for v in steps] + [{**hints, **dict.fromkeys(open_names, v)} for v in steps]
    inside = [p for p in points if all(spans[n][0] <= p[n] <= spans[n][1] for n in open_names)]
    found = [p for p in inside if not _admits(q.report.piece, p)]
    return found[:: max(1, len(found) // MOST_BEYOND)]


def _over_ranges(q: _Question) -> Finding:
    """For all sizes of a range: every piece there is proved, or all points are counted."""
    report, asked = q.report, q.limit
    ranges = {n: r for n, r in asked.ranges.items() if n in report.symbols}
    if frozenset().union(*map(free_symbols, (*q.sizes, q.bound))) - ranges.keys():
        return _everywhere(q)
    if asked.quantity not in STEP and _proved_on_pieces(q, ranges):
        return Finding(asked.quantity, asked.text, True, f"{_formula(q)}, proved for {_spelled(ranges)}")
    verdict = never_exceeds(
        q.sizes, q.bound, ranges, admits=lambda v: report.trace.scope.check({**report.sizes, **q.known, **v}) is None
    )
    if verdict.counterexample:
        return _not_proved(q, verdict)
    points = 1
    for low, high in ranges.values():
        points *= high - low + 1
    if points <= MOST_POINTS and asked.quantity not in STEP and asked.growth is None:
        return _counted(q, ranges)
    return _not_proved(q, verdict)


def _proved_on_pieces(q: _Question, ranges: Mapping[str, tuple[int, int]]) -> bool:
    try:
        pieces: Any = q.report.pieces(**ranges)  # type: ignore[attr-defined]
    except FxcountError:
        return False
    name = "peak_bytes" if q.limit.quantity in ("peak", "memory") else q.limit.quantity
    held = q.report.params.bytes + q.report.params.buffer_bytes if q.limit.quantity == "memory" else 0
    for row in pieces:
        for alternative in row.sides or ((),):
            bounds = {**ranges}
            for side in alternative:
                if len(side.names) == 1 and side.progressions:
                    found = side.progressions
                    bounds[side.names[0]] = (min(p.first for p in found), max(p.last for p in found))
            if not never_exceeds([q.scale * (row.size(name) + held)], q.bound, bounds).proved:
                return False
    return True


def _counted(q: _Question, ranges: Mapping[str, tuple[int, int]]) -> Finding:
    """Every point of a range, one by one."""
    name = "peak_bytes" if q.limit.quantity in ("peak", "memory") else q.limit.quantity
    held = q.report.params.bytes + q.report.params.buffer_bytes if q.limit.quantity == "memory" else 0
    curve: Any = q.report.curve(**{n: range(low, high + 1) for n, (low, high) in ranges.items()})  # type: ignore[attr-defined]
    if name not in curve.columns:
        return _not_proved(q, Verdict(False))
    for i, value in enumerate(curve.columns[name]):
        sizes = {n: column[i] for n, column in curve.sizes.items()}
        if value is not None and value + held > int(evaluate(q.bound, sizes)):
            return _compared(q, value + held, int(evaluate(q.bound, sizes)), {**q.known, **sizes})
    return Finding(q.limit.quantity, q.limit.text, True, f"counted at all {len(curve):,} sizes of {_spelled(ranges)}")


def _not_proved(q: _Question, verdict: Verdict) -> Finding:
    if verdict.counterexample is None:
        said = f"{_formula(q)}: neither a proof nor a size that breaks it was found; give a range, e.g. @B=1:64"
        return Finding(q.limit.quantity, q.limit.text, False, said)
    sizes = {**q.known, **verdict.counterexample}
    values = {**q.report.sizes, **sizes}
    value = max(int(evaluate(s, values)) for s in q.sizes)
    return _compared(q, value, int(evaluate(q.bound, values)), sizes)


def _lower_bound(report: ReportData, asked: Limit, found: Finding) -> Finding:
    """A limit on work does not hold where some of it is not counted."""
    if not report.uncounted or asked.quantity not in ("macs", "flops", "transcendentals", "train_flops"):
        return found
    ops = ", ".join(sorted({c.op.name for c in report.uncounted})[:3])
    said = f"{found.said}; but that is a lower bound: {ops} has no cost rule"
    return Finding(found.rule, found.limit, False, said, found.value, found.sizes)


def _rules(subject: _Subject, *, no_dead: bool, no_shared: bool, no_uncounted: bool) -> Iterator[Finding]:
    report = subject.report
    for state, asked in (("dead", no_dead), ("shared", no_shared)):
        if not asked:
            continue
        rows = report.params.rows(state)
        nbytes = bytes_text(sum(r.nbytes for r in rows))
        said = f"{len(rows)} {state} parameter{'s' * (len(rows) != 1)}, {nbytes}" if rows else f"no parameter is {state}"
        places = []
        for row in rows:
            at = None if isinstance(subject.model, ReportData) else made_at(subject.model, row.name)
            reason = row.reason if state == "dead" else f"is also {', '.join(row.names[1:]) or 'part of another'}"
            places.append(Place(row.name, *(at or ("", 0)), reason))
        yield Finding(state, f"no {state} parameters", not rows, said, sum(r.unique for r in rows), None, (), tuple(places))
    if no_uncounted:
        calls = report.uncounted
        said = ", ".join(sorted({c.op.name for c in calls})) + " has no cost rule" if calls else "every op has a cost rule"
        places = [Place(c.op.name, *_split(str(c.source or "")), "no cost rule") for c in calls]
        yield Finding("uncounted", "no uncounted ops", not calls, said, len(calls), None, (), tuple(places))


def _split(place: str) -> tuple[str, int]:
    file, colon, rest = place.partition(" (")[0].rpartition(":")
    return (file, int(rest)) if colon and rest.isdecimal() else ("", 0)


def _formula(q: _Question) -> str:
    name = q.limit.quantity
    sizes = _sizes_of(q.report, name)
    return shortened(to_text(sizes[0]), 80) if len(sizes) == 1 else f"the largest of {len(sizes)} moments"


def _number(quantity: str, n: int) -> str:
    """A count in full, bytes with their unit too."""
    of_bytes = quantity.endswith("bytes") or quantity in ("peak", "memory", "train_peak", "train_memory")
    return f"{bytes_text(n)} ({n:,} B)" if of_bytes and n >= 1000 else f"{n:,}" + " B" * of_bytes


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{n}={v}" for n, v in sizes.items())


def _spelled(ranges: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{n}={low}..{high}" for n, (low, high) in ranges.items())


