"""The symbols of one analysis, their sample values, and everything that was assumed about them.

A decision about sizes is first tried by algebra and known bounds. Only if that fails the sample values ("hints")
decide, and the side they took is recorded as an `Assumption`.

>>> scope = Scope({})
>>> H = scope.declare("H", 224)
>>> scope.decide(">", 3 * H, 2), scope.decide(">", H, 32), scope.same(7 * (H // 7), H)
(True, True, True)
>>> [str(a) for a in scope.assumptions]
['H >= 33', 'H % 7 == 0']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from types import FrameType
from typing import Any, TypeAlias, TypeVar

from fxcount.errors import SizeError
from fxcount.symbolic.assumption import Assumption, Kind, Relation, modular_form, primitive, simple_claims
from fxcount.symbolic.bounds import NO_BOUNDS, Bounds, is_nonnegative
from fxcount.symbolic.calc import substitute
from fxcount.symbolic.expr import Atom, Expr, Size, symbol
from fxcount.symbolic.facts import Facts, nothing_known
from fxcount.symbolic.floats import LARGEST, Claim, Comparison
from fxcount.symbolic.floor import floordiv
from fxcount.symbolic.text import to_text
from fxcount.symbolic.unbacked import UnbackedSizes
from fxcount.symbolic.values import Factors, evaluate, free_symbols
from fxcount.symbolic.witness import Witness, witness_at

__all__ = ["ASKED", "Assumption", "Comparison", "Scope"]

T = TypeVar("T")
Answer: TypeAlias = Callable[[Comparison, Size, Size], "bool | None"]

ASKED = "the model compares sizes"
"""The reason of a decision that answers a comparison of the model's own: with its sizes in words, if it has to be assumed."""

_LONGEST_QUESTION = 120


def _nothing(frame: FrameType) -> None:
    """Nobody wants to know."""


class Scope:
    """One per analysis. ``where`` says which line of the model runs; it is asked only when something is recorded."""

    def __init__(self, hints: Mapping[str, int], bounds: Bounds = NO_BOUNDS, where: Callable[[], str] | None = None) -> None:
        self.symbols: dict[str, Expr] = {}
        self.hints: dict[str, int] = {}
        self.bounds: dict[str, tuple[int | None, int | None]] = {}
        self.assumptions: list[Assumption] = []
        self.where = where
        self.unbacked = UnbackedSizes(self, {})
        self.facts: Facts = nothing_known()  # what is declared and was decided
        self._sample: Witness = witness_at(())  # the sample values
        self._decided: dict[tuple[str, Size], bool] = {}
        self.node: Callable[[Any], Any] | None = None  # of a symbolic number, for torch's C++
        self.taken: Callable[[FrameType], None] = _nothing  # told of code that takes the plain number of a size
        self.question: tuple[str, Size, Size] | None = None  # of the model's own, the last one that it asked
        self._answer: Answer | None = None  # what answers comparisons before they are decided
        self.closed = False  # whether the model has run: sizes it kept are numbers from then on
        self.limits: dict[Expr, None] = {}  # sizes that floats come to exactly only below 2**43
        self._claims: set[Claim] = set()
        self._spelled: list[Expr] = []
        self._not_negative: set[Expr] = set()  # what follows, in lowest terms, from decisions taken
        for name, hint in hints.items():
            lower, upper = bounds.get(name, (1, None))
            self.declare(name, hint, 1 if lower is None else lower, upper)

    def declare(self, name: str, hint: int, lower: int = 1, upper: int | None = None) -> Expr:
        """The symbol of this name, with a sample value and bounds.

        Raises:
            SizeError: the sample value is out of bounds, or differs from an earlier one.

        >>> Scope({}).declare("B", 2, upper=64)
        B
        """
        if lower < 1:
            raise SizeError(f"the lower bound of {name} is {lower}: sizes are at least 1")
        if hint < lower or (upper is not None and hint > upper):
            raise SizeError(f"the sample value {hint} of {name} is not within [{lower}, {upper or 'infinity'}]")
        if self.hints.get(name, hint) != hint:
            raise SizeError(f"{name} has the sample value {self.hints[name]} already, not {hint}")
        size = symbol(name)
        if name not in self.symbols:
            self.symbols[name], self.hints[name] = size, int(hint)
            self._sampled()
        if (lower, upper) != (1, None):
            for claim in (size - lower, *(() if upper is None else (upper - size,))):
                self._declare(">=", claim, "declared with the inputs")
        self.bounds[name] = (lower, upper)
        return size

    def declare_all(self, hints: Mapping[str, int]) -> None:
        """Symbols without bounds, all at once.

        >>> scope = Scope({})
        >>> scope.declare_all({"B": 2, "H": 224})
        >>> scope.hint(scope.symbols["H"] * 3)
        672
        """
        for name, hint in hints.items():
            if hint < 1:
                raise SizeError(f"the sample value {hint} of {name} is not within [1, infinity]")
            self.symbols[name], self.hints[name], self.bounds[name] = symbol(name), int(hint), (1, None)
        self._sampled()

    def learn_equal(self, a: Size, b: Size, reason: str) -> None:
        """Declare ``a == b``, something about the data that no algebra can know."""
        self._declare("==", a - b, reason)

    def _declare(self, relation: Relation, claim: Size, reason: str) -> None:
        proves = self.facts.proves_zero if relation == "==" else self.facts.proves_nonnegative
        if isinstance(claim, Expr) and not proves(claim):
            self._record(relation, claim, 0, "declared", reason)

    def rehint(self, name: str, value: int) -> None:
        """Another sample value for a symbol on which nothing was decided yet."""
        self.hints[name] = value
        self._sampled()

    def _sampled(self) -> None:
        self._sample = witness_at(tuple(self.hints.items()))
        self.facts = self.facts.at(self.hints)

    def hint(self, size: Size) -> int:
        """The value of the size at the sample values.

        >>> scope = Scope({"H": 224})
        >>> scope.hint(symbol("H") // 7)
        32
        """
        value = self._sample.at(size) if type(size) is Expr else None
        return evaluate(size, self.hints) if value is None else value

    @contextmanager
    def answering(self, answer: Answer) -> Iterator[None]:
        """A block in which comparisons are answered so, without assuming anything; what gets no answer is decided as ever.

        >>> scope = Scope({"H": 224})
        >>> with scope.answering(lambda relation, a, b: False):
        ...     scope.decide("<", symbol("H"), 300), scope.assumptions
        (False, [])
        """
        before, self._answer = self._answer, answer
        try:
            yield
        finally:
            self._answer = before

    @contextmanager
    def counting(self, least: int, most: Size | None = None) -> Iterator[tuple[Expr, Callable[[], bool]]]:
        """A symbol for a number from ``least`` to ``most`` that only the block knows, and whether it assumed anything of it.

        >>> scope = Scope({"H": 224})
        >>> with scope.counting(2, symbol("H")) as (step, assumed):
        ...     scope.decide("<", step, symbol("H") + 1), assumed(), scope.decide("<", step, 7), assumed()
        (True, False, True, True)
        >>> scope.assumptions, list(scope.symbols)
        ([], ['H'])
        """
        name = next(n for n in map("_step_{}".format, count(1)) if n not in self.symbols)
        before, declared = self.facts, len(self.assumptions)
        step = self.declare(name, least, least)
        if most is not None:
            self._declare(">=", most - step, "the steps of a loop")
        known = set(self.assumptions[declared:])

        def mentioned(sizes: Iterable[Size]) -> bool:
            return any([name in free_symbols(size) for size in sizes])

        try:
            yield step, lambda: any([mentioned(a.sizes) for a in self.assumptions if a not in known])
        finally:
            self.assumptions = [a for a in self.assumptions if not mentioned(a.sizes)]
            learned = self.assumptions[declared:]
            self._decided = {k: v for k, v in self._decided.items() if not mentioned((k[1],))}
            self._claims = {c for c in self._claims if not mentioned(c.sizes)}
            self._spelled = [size for size in self._spelled if not mentioned((size,))]
            self.limits = {size: None for size in self.limits if not mentioned((size,))}
            for of in (self.symbols, self.hints, self.bounds):
                of.pop(name)
            self.facts = before
            self._sampled()
            for a in learned:
                if a.claim is None:
                    self.facts = self.facts.learned(a.relation, a.expr, a.modulus)

    def outside(self, question: Callable[[], T]) -> T:
        """The answer to a question that is not about sizes: settings of the process, on which a rule rests as well.

        >>> Scope({}).outside(lambda: 7)
        7
        """
        return question()

    def equal(self, a: Size, b: Size) -> bool:
        """Whether the two are provably equal; never assumes anything.

        >>> scope = Scope({"n": 10})
        >>> n = symbol("n")
        >>> scope.equal(n // 2 + (n + 1) // 2, n), scope.equal(n, 10)
        (True, False)
        """
        if a is b or a == b:
            return True
        d = a - b
        if isinstance(d, int):
            return d == 0
        return not self.hint(d) and self.facts.proves_zero(d)

    def same(self, a: Size, b: Size, reason: str = "") -> bool:
        """Whether two sizes are equal: by algebra, else by the sample values, which is then assumed.

        >>> scope = Scope({"H": 14, "W": 21, "B": 2})
        >>> B, H, W = symbol("B"), symbol("H"), symbol("W")
        >>> scope.same(49 * B * (H // 7) * (W // 7), B * H * W, "view")
        True
        >>> [str(a) for a in scope.assumptions]
        ['H % 7 == 0', 'W % 7 == 0']
        """
        return a is b or a == b or self.decide("==", a, b, reason)

    def decide(self, relation: Comparison, a: Size, b: Size, reason: str = "") -> bool:
        """The truth of ``a relation b``: by algebra and bounds, else by the sample values, which is then assumed.

        >>> scope = Scope({"H": 224})
        >>> scope.decide("<", symbol("H"), 300), str(scope.assumptions[0])
        (True, 'H <= 299')
        """
        if self._answer is not None:
            answer = self._answer(relation, a, b)
            if answer is not None:
                return answer
        if relation == "==":
            return self._is_zero(a - b, reason)
        if relation == "!=":
            return not self._is_zero(a - b, reason)
        if relation == ">=":
            return self._is_nonnegative(a - b, reason)
        if relation == ">":
            return self._is_nonnegative(a - b - 1, reason)
        if relation == "<=":
            return self._is_nonnegative(b - a, reason)
        if relation == "<":
            return self._is_nonnegative(b - a - 1, reason)
        raise SizeError(f"unknown relation {relation!r} of two sizes")

    def steps(self, room: Size, step: Size) -> Size:
        """How many windows fit that start in a room that was decided to be at least 0: ``floor(room/step) + 1``.

        That this is at least 1 is remembered, as it can be hard to see in a sum of many floors.

        >>> Scope({"H": 7}).steps(symbol("H") - 1, 2)
        ceil(H/2)
        """
        begun = floordiv(room, step)
        if isinstance(begun, Expr) and len(begun.terms) > 2:
            self._not_negative.add(primitive(">=", begun))
        return begun + 1

    def pin(self, size: Size, reason: str = "") -> int:
        """The size as a number: its sample value, which is then assumed.

        >>> scope = Scope({"S": 128}, where=lambda: "net.py:12")
        >>> scope.pin(symbol("S"), "range"), str(scope.assumptions[0])
        (128, 'S == 128 (pinned at net.py:12)')
        """
        value = self.hint(size)
        if isinstance(size, Expr):
            d = size - value
            if isinstance(d, Expr) and not self.equal(size, value):
                self._record("==", primitive("==", d), 0, "pin", reason)
        return value

    def spelled(self, size: Expr) -> Expr:
        """The formula that stands for a size in a text: one is the same text as another's if they are equal, which is assumed,
        or the contrary, as it is at the sample values."""
        for known in self._spelled:
            if self.same(known, size, "both are in keys of a table of the model's"):
                return known
        self._spelled.append(size)
        return size

    def claim(self, claim: Claim, reason: str = "") -> None:
        """Assume that Python's floats come out like this, as they do at the sample values."""
        size = next(iter(claim.sizes), None)
        if size is not None and claim not in self._claims:
            self._claims.add(claim)
            where = self.where() if self.where is not None else ""
            self.assumptions.append(Assumption("float", size, 0, "guard", reason, where, claim))

    def limit(self, *sizes: Size) -> None:
        """Note that conclusions from floats need these sizes to be below 2**43, in absolute value."""
        for size in sizes:
            if type(size) is Expr:
                self.limits[size] = None

    def close(self) -> None:
        """The model has run: nothing is pinned by what is done to the sizes it kept."""
        self.where = None
        self.taken = _nothing
        self.closed = True

    def divisible(self, a: Size, m: int, reason: str = "") -> bool:
        """Whether ``m`` divides the size: by algebra, else by the sample value, which is then assumed.

        >>> scope = Scope({"H": 224})
        >>> H = symbol("H")
        >>> scope.divisible(64 * H, 32), scope.divisible(H, 32), [str(a) for a in scope.assumptions]
        (True, True, ['H % 32 == 0'])
        """
        return self._is_zero(a % m, reason)

    def check(self, values: Mapping[str, int]) -> Assumption | None:
        """The first assumption these numbers break, or None.

        >>> scope = Scope({"H": 224})
        >>> scope.divisible(symbol("H"), 32)
        True
        >>> str(scope.check({"H": 225})), scope.check({"H": 256})
        ('H % 32 == 0', None)
        """
        if self.unbacked.by_name:
            values = self.unbacked.completed(values)
        for name, size in self.symbols.items():
            if values.get(name, 1) < 1:
                positive = size - 1
                assert isinstance(positive, Expr)
                return Assumption(">=", positive, 0, "declared", "sizes are at least 1", "")
        broken = next((a for a in self.assumptions if not a.holds(values)), None)
        return broken or self._beyond_floats(values) or self.unbacked.check(values)

    def _beyond_floats(self, values: Mapping[str, int]) -> Assumption | None:
        known = Factors(values)
        for size in self.limits:
            if abs(evaluate(size, known)) >= LARGEST:
                room = LARGEST - 1 - size
                assert isinstance(room, Expr)
                return Assumption(">=", room, 0, "declared", "the model computes a float of it, which is not exact beyond", "")
        return None

    def _is_zero(self, d: Size, reason: str) -> bool:
        if isinstance(d, int):
            return d == 0
        key = ("==", d)
        known = self._decided.get(key)
        if known is None:
            known = self._decided[key] = self._decide_zero(d, reason)
        return known

    def _decide_zero(self, d: Expr, reason: str) -> bool:
        facts = self.facts
        if self.hint(d) == 0:
            if not facts.proves_zero(d):
                self._assume_zero(d, reason)
            return True
        if not facts.proves_nonzero(d):
            for side in (d, -d):
                if facts.proves_nonnegative(side):  # then != 0 means >= 1
                    below = side - 1
                    if isinstance(below, Expr) and modular_form(d) is None:
                        self._assume_nonnegative(below, reason)
                        return False
            self._record("!=", primitive("!=", d), 0, "guard", reason)
        return False

    def _assume_zero(self, d: Expr, reason: str) -> None:
        """Record why ``d == 0``: because floors in it are exact, if that is enough, else the equation itself."""
        exact = [(p, q) for p, q in dict.fromkeys(_floors(d)) if not self.facts.proves_zero(p % q)]
        exact = [(p, q) for p, q in exact if self.hint(p) % q == 0]
        if exact and self._implied(d, exact):
            for fact in list(exact):  # as few as will do
                fewer = [f for f in exact if f != fact]
                if self._implied(d, fewer):
                    exact = fewer
            for p, q in exact:
                if isinstance(p, Expr) and not self.facts.proves_zero(p % q):
                    self._record("%", p, q, "guard", reason)
            return
        self._record("==", primitive("==", d), 0, "guard", reason)

    def _implied(self, d: Expr, exact: list[tuple[Size, int]]) -> bool:
        facts = self.facts
        for p, q in exact:
            facts = facts.learned("%", p, q)
        return facts.proves_zero(d)

    def _is_nonnegative(self, d: Size, reason: str) -> bool:
        if isinstance(d, int):
            return d >= 0
        key = (">=", d)
        known = self._decided.get(key)
        if known is None:
            known = self._decided[key] = self.hint(d) >= 0
            claim = d if known else -1 - d
            if isinstance(claim, Expr) and self.unbacked.concern(claim):  # can be hundreds; nothing follows
                if not is_nonnegative(claim):
                    self._record(">=", claim, 0, "guard", reason)
            elif isinstance(claim, Expr) and not self._follows(claim) and not self.facts.proves_nonnegative(claim):
                self._assume_nonnegative(claim, reason)
        return known

    def _follows(self, claim: Expr) -> bool:
        return bool(self._not_negative) and len(claim.terms) > 2 and primitive(">=", claim) in self._not_negative

    def _assume_nonnegative(self, claim: Expr, reason: str) -> None:
        for simple in simple_claims(claim):
            if not self.facts.proves_nonnegative(simple):
                self._record(">=", simple, 0, "guard", reason)

    def _record(self, relation: Relation, expr: Expr, modulus: int, kind: Kind, reason: str) -> None:
        where = self.where() if self.where is not None else ""
        if reason is ASKED and self.question is not None:
            reason = _in_words(*self.question)
        new = Assumption(relation, expr, modulus, kind, reason, where)
        if relation == ">=" and self.unbacked.concern(expr):
            self.assumptions.append(new)
            return
        self.assumptions = [a for a in self.assumptions if a.kind != "guard" or not _implies(new, a)]
        self.assumptions.append(new)
        self.facts = self.facts.learned(relation, expr, modulus)


def _in_words(relation: str, a: Size, b: Size) -> str:
    """A comparison that the model makes, with its sizes where they are short."""
    sizes = f"{to_text(a)} {relation} {to_text(b)}"
    return f"the model asks whether {sizes}" if len(sizes) <= _LONGEST_QUESTION else f"the model compares sizes by {relation}"


def _floors(size: Size, seen: set[str] | None = None) -> Iterator[tuple[Size, int]]:
    """``(e, q)`` of each floor in the size, inner ones first: it is exact when ``q`` divides ``e``."""
    if isinstance(size, int):
        return
    seen = set() if seen is None else seen
    for atom in sorted({f for m in size.terms for f in m} - seen):
        if isinstance(atom, Atom) and atom not in seen:
            seen.add(atom)
            for a in atom.args:
                yield from _floors(a, seen)
            p, q = atom.args[0], atom.args[-1]
            if atom.kind == "floor" and isinstance(q, int):
                yield p, q
                yield p + 1, q  # of a ceil: ceil(H/7) is floor((H + 6)/7), exact if 7 divides H
                offset = p.terms.get((), 0) if isinstance(p, Expr) else 0
                if 0 < offset < q - 1:
                    yield p - offset, q  # floor((H + 4)/8) is exact half of floor(H/4) if 8 divides H


def _implies(new: Assumption, old: Assumption) -> bool:
    """Whether the old assumption may be dropped for the new one."""
    if new.relation == old.relation == ">=":
        return is_nonnegative(old.expr - new.expr)
    if new.relation == old.relation == "%":
        return new.expr == old.expr and new.modulus % old.modulus == 0
    if new.relation == "==" and len(new.expr.terms) == 2:
        names = [m[0] for m in new.expr.terms if len(m) == 1 and not isinstance(m[0], Atom)]
        if len(names) == 1 and abs(new.expr.terms[(names[0],)]) == 1 and () in new.expr.terms:
            value = -new.expr.terms[()] * new.expr.terms[(names[0],)]
            left = substitute(old.expr, {names[0]: value})
            return isinstance(left, int) and old.holds({names[0]: value})
    return False
