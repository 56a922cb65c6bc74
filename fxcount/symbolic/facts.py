"""What is known about the symbols of one analysis, used to prove further statements.

Facts are kept as rewriting rules where possible: ``S == 128`` replaces ``S``, ``H % 7 == 0`` replaces ``H`` by
``7*_H_7`` with a new symbol of at least 1. What cannot be solved for a symbol is kept as it is and only recognised
again. Sizes at which all facts are true are kept beside them, since what is false there need not be tried to prove.

Facts do not change: to learn is to go on to others. Whoever learns the same things in the same order comes to the same
object, which remembers what it was asked, so that layers alike, and an analysis like one before, prove nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from math import gcd

from fxcount.symbolic.assumption import Relation, primitive
from fxcount.symbolic.bounds import Interval, is_nonnegative
from fxcount.symbolic.calc import rewrite
from fxcount.symbolic.expr import MEMO, Atom, Expr, Monomial, Size, atoms_of, make, monomial_order, symbol
from fxcount.symbolic.values import free_symbols
from fxcount.symbolic.witness import Statement, Witness, witness_at
from fxcount.symbolic.zero import is_zero

__all__ = ["Facts", "nothing_known"]

_REPLACED = 32
"""How many products of one size are replaced, at most."""
STATES = 1 << 11  # of facts that are remembered: far more than one analysis goes through


class Facts:
    """Rules, bounds and unsolved facts.

    >>> H = symbol("H")
    >>> facts = nothing_known().learned("%", H, 7)
    >>> facts.proves_zero(7 * (H // 7) - H), facts.proves_zero(H - 7)
    (True, False)
    >>> nothing_known().learned("%", H, 7) is facts
    True
    """

    def __init__(self, known: Facts | None = None) -> None:
        self.bounds: dict[str, Interval] = {}
        self.rules: dict[str, Size] = {}
        self.zero: list[Expr] = []
        self.nonzero: list[Expr] = []
        self.nonnegative: list[Expr] = []
        self._stated: list[Statement] = []  # all that was learned, as it was said
        self._stated_zero: frozenset[Expr] = frozenset()  # in lowest terms
        self._witnesses: list[Witness] = []  # sizes at which all of it is true
        self._reduced: dict[Size, Size] = {}
        self._answers: dict[tuple[Callable[[Facts, Size], bool], Size], bool] = {}
        if known is not None:
            self.bounds, self.rules = dict(known.bounds), dict(known.rules)
            self.zero, self.nonzero, self.nonnegative = list(known.zero), list(known.nonzero), list(known.nonnegative)
            self._stated, self._witnesses = list(known._stated), list(known._witnesses)
            self._stated_zero = known._stated_zero

    def __reduce__(self) -> tuple[Callable[..., Facts], tuple[Mapping[str, int] | None, list[Statement]]]:
        return _relearned, (self._witnesses[0].values if self._witnesses else None, self._stated)

    def at(self, values: Mapping[str, int]) -> Facts:
        """The same with sizes at which all facts may be true; those known before are forgotten."""
        return _at(self, tuple(values.items()))

    def learned(self, relation: Relation, size: Size, modulus: int = 0) -> Facts:
        """These facts and one more: ``size == 0``, ``size != 0``, ``size >= 0`` or, for "%", ``size % modulus == 0``."""
        return _learned(self, Statement(relation, size, modulus))

    def reduce(self, size: Size) -> Size:
        """The size with all rules applied."""
        if not self.rules or isinstance(size, int):
            return size
        found = self._reduced.get(size)
        if found is None:
            found = self._reduced[size] = self._rewritten(size)
        return found

    def _rewritten(self, size: Size) -> Size:
        for _ in range(4):  # a rule for an atom may apply only after one for a symbol
            new = rewrite(size, self.rules)
            if new == size:
                break
            size = new
        return size

    def _examples(self, size: Size) -> list[int]:
        """Values that the size can have."""
        return [value for value in [witness.at(size) for witness in self._witnesses] if value is not None]

    def _learn(self, statement: Statement) -> None:
        """Only while it is made. Sizes at which what is learned is false are no witnesses any more."""
        self._stated.append(statement)
        agreeing = [witness for witness in self._witnesses if witness.agrees([statement])]
        if self._witnesses and not agreeing:
            found = self._witnesses[0].near(statement, self._stated)
            agreeing = [] if found is None else [found]
        self._witnesses = agreeing
        relation, size, modulus = statement
        if relation == "==":
            self._learn_zero(size)
        elif relation == "!=":
            self._learn_nonzero(size)
        elif relation == ">=":
            self._bound(size)
        else:
            self._learn_divisible(size, modulus)

    def _can_be_zero(self, size: Size) -> bool:
        """Whether there are sizes at which it is 0, as far as they are easily found."""
        found = self._witnesses[0].near(Statement("==", size), self._stated) if self._witnesses else None
        if found is not None:
            self._witnesses = [found, *self._witnesses[:2]]
        return found is not None

    def may_be_zero(self, size: Expr) -> bool:
        """Whether nothing known says that the size is 0, nor that it is not."""
        return not self.proves_zero(size) and not self.proves_nonzero(size)

    def supposing(self, zero: Iterable[Expr] = (), positive: Iterable[Expr] = ()) -> Facts | None:
        """What would be known if the first sizes were 0 and the others at least 1; ``None`` if they cannot be.

        >>> H = symbol("H")
        >>> facts = nothing_known().supposing(zero=[H - 1])
        >>> facts is not None and facts.proves_zero(H * H - 1)
        True
        """
        facts = self
        for size in positive:
            facts = facts.learned(">=", size - 1)
        for size in zero:
            if facts.proves_nonzero(size):
                return None
            facts = facts.learned("==", size)
        return facts

    def proves_zero(self, size: Size) -> bool:
        """Whether the size is 0 where all of this is known; ``False`` if there is no proof."""
        return self._asked(Facts._proves_zero, size)

    def proves_nonnegative(self, size: Size) -> bool:
        """Whether the size is at least 0 where all of this is known; ``False`` if there is no proof."""
        return self._asked(Facts._proves_nonnegative, size)

    def proves_nonzero(self, size: Size) -> bool:
        """Whether the size is not 0 where all of this is known; ``False`` if there is no proof."""
        return self._asked(Facts._proves_nonzero, size)

    def _asked(self, proof: Callable[[Facts, Size], bool], size: Size) -> bool:
        key = (proof, size)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= MEMO:
                self._answers.clear()
                self._reduced.clear()
            answer = self._answers[key] = proof(self, size)
        return answer

    def _proves_zero(self, size: Size) -> bool:
        if isinstance(size, int):
            return size == 0
        if any([witness.at(size) for witness in self._witnesses]):
            return False
        if primitive("==", size) in self._stated_zero:
            return True
        e = self.reduce(size)
        if isinstance(e, int):
            return e == 0
        return self._is_among(e, self.zero) or is_zero(e) or self._is_multiple(e)

    def _is_multiple(self, e: Expr) -> bool:
        """Whether it is a sum of multiples of what is known to be 0: ``3*B*h*w - 48*B``, where ``h*w == 16``.

        >>> H, W = symbol("H"), symbol("W")
        >>> facts = nothing_known().learned("==", H * W - 16)
        >>> facts.proves_zero(3 * H * W - 48), facts.proves_zero(H * H * W - 16 * H), facts.proves_zero(H * H * W - 48)
        (True, True, False)
        """
        left: Size = e
        for z in self.zero:
            left = _without(left, self.reduce(z))
        return left == 0

    def _is_among(self, e: Expr, known: list[Expr]) -> bool:
        """Whether it is one of these times something that is not 0."""
        return bool(known) and primitive("==", e) in [primitive("==", k) for k in map(self.reduce, known) if type(k) is Expr]

    def _proves_nonnegative(self, size: Size) -> bool:
        if min(self._examples(size), default=0) < 0:
            return False
        e = self.reduce(size)
        # without any bounds the answer is remembered from one analysis to the next, and mostly enough
        if is_nonnegative(e) or (self.bounds and is_nonnegative(e, self.bounds)):
            return True
        return any(is_nonnegative(e - self.reduce(f), self.bounds) for f in self.nonnegative)

    def _proves_nonzero(self, size: Size) -> bool:
        examples = self._examples(size)
        if 0 in examples:
            return False
        e = self.reduce(size)
        if isinstance(e, int):
            return e != 0
        sides = [side for side, of in ((e, 1), (-e, -1)) if all(of * x > 0 for x in examples)]  # which may be above 0
        if len(e.terms) - (() in e.terms) > 1 and self._can_be_zero(size):
            return False
        if any(is_nonnegative(s - 1, self.bounds) for s in sides):
            return True
        content = gcd(*(c for m, c in e.terms.items() if m))
        if e.terms.get((), 0) % content:  # 2*H == 7 has no solution
            return True
        if self._is_among(e, self.nonzero):
            return True
        return any(is_nonnegative(s - 1 - self.reduce(f), self.bounds) for f in self.nonnegative for s in sides)

    def _learn_zero(self, size: Size) -> None:
        if isinstance(size, Expr):
            self._stated_zero |= {primitive("==", size)}
        e = self.reduce(size)
        if isinstance(e, int):
            return
        ones = _factors_of_one(e)
        if ones:
            for one in ones:
                self._learn_zero(one - 1)
            return
        solution = _solution(e)
        if solution is None:
            self.zero.append(e)
            return
        factor, value = solution
        self._add_rule(factor, value)
        low, high = self.bounds.get(factor, (None, None) if isinstance(factor, Atom) else (1, None))
        if low is not None:
            self._bound(value - low)
        if high is not None:
            self._bound(high - value)

    def _add_rule(self, factor: str, value: Size) -> None:
        self.rules = {f: rewrite(v, {factor: value}) for f, v in self.rules.items()}
        self.rules[factor] = value
        self._reduced.clear()  # what was reduced without it
        self._answers.clear()

    def _learn_divisible(self, size: Size, modulus: int) -> None:
        e = self.reduce(size)
        if isinstance(e, int):
            return
        for m in sorted(e.terms, key=monomial_order):
            name = m[0] if len(m) == 1 else ""
            rest = e - make({m: e.terms[m]})
            if not name or isinstance(name, Atom) or not isinstance(rest, int):
                continue
            common = gcd(e.terms[m], modulus)
            if rest % common:
                continue
            q = modulus // common
            if q == 1:
                return
            r = (-(rest // common) * pow(e.terms[m] // common, -1, q)) % q or q
            fresh = f"_{name}_{q}"
            while fresh in self.bounds or fresh in self.rules:
                fresh += "_"
            low, high = self.bounds.get(name, (1, None))
            offset = r - q  # name == q*fresh + offset with fresh >= 1
            self.bounds[fresh] = (max(1, -((offset - (low or 1)) // q)), None if high is None else (high - offset) // q)
            self._add_rule(name, q * symbol(fresh) + offset)
            return
        rounded = e % modulus
        if isinstance(rounded, Expr):
            self.zero.append(rounded)

    def _bound(self, size: Size) -> None:
        e = self.reduce(size)
        if isinstance(e, int):
            return
        names = free_symbols(e)
        (name,) = names if len(names) == 1 else ("",)
        if e.terms.keys() <= {(name,), ()} and (name,) in e.terms:
            c, k = e.terms[(name,)], e.terms.get((), 0)
            low, high = self.bounds.get(name, (1, None))
            if c > 0:
                low = max(1 if low is None else low, -(k // c))
            else:
                bound = k // -c
                high = bound if high is None else min(high, bound)
            self.bounds[name] = (low, high)
            if low == high and low is not None:
                self._add_rule(name, low)
            return
        self.nonnegative += dict.fromkeys((primitive(">=", e), e))  # as it stands, too: a part of what is asked

    def _learn_nonzero(self, size: Size) -> None:
        e = self.reduce(size)
        if isinstance(e, Expr):
            self.nonzero.append(e)


@lru_cache(1)
def nothing_known() -> Facts:
    """No more than that each symbol is at least 1."""
    return Facts()


@lru_cache(STATES)
def _at(facts: Facts, values: tuple[tuple[str, int], ...]) -> Facts:
    witness = witness_at(values)
    made = Facts(facts)
    agreed = any([one.values.items() <= witness.values.items() for one in facts._witnesses])  # and a symbol has come since
    made._witnesses = [witness] if agreed or witness.agrees(made._stated) else []
    return made


@lru_cache(STATES)
def _learned(facts: Facts, statement: Statement) -> Facts:
    made = Facts(facts)
    made._learn(statement)
    return made


def _relearned(values: Mapping[str, int] | None, statements: list[Statement]) -> Facts:
    facts = nothing_known() if values is None else nothing_known().at(values)
    for statement in statements:
        facts = _learned(facts, statement)
    return facts


def _factors_of_one(e: Expr) -> list[Expr]:
    """The factors of a product that is 1 where ``e`` is 0: each of them is, if none is below 0.

    >>> H, W = symbol("H"), symbol("W")
    >>> _factors_of_one((H // 2) * W - 1), _factors_of_one(H * W - 2)
    ([W, floor(H/2)], [])
    """
    product = next((m for m in e.terms if len(m) > 1), ())
    if e.terms not in ({product: 1, (): -1}, {product: -1, (): 1}):
        return []
    factors = [make({(f,): 1}) for f in dict.fromkeys(product)]
    found = [f for f in factors if isinstance(f, Expr) and is_nonnegative(f)]
    return found if len(found) == len(factors) else []


def _solution(e: Expr) -> tuple[str, Size] | None:
    """``factor == value`` for the first factor the equation ``e == 0`` can be solved for, symbols before atoms."""
    for m in sorted((m for m in e.terms if len(m) == 1), key=lambda m: (isinstance(m[0], Atom), m)):
        c, factor = e.terms[m], m[0]
        rest = {n: k for n, k in e.terms.items() if n != m}
        if any(k % c for k in rest.values()):
            continue
        value = make({n: -k // c for n, k in rest.items()})
        if not _mentions(value, factor):
            return factor, value
    return None


def _without(e: Size, zero: Size) -> Size:
    """What is left of a size where another one is 0: products in it that have the longest one of ``zero`` are replaced."""
    if isinstance(zero, int):
        return e
    longest = max(zero.terms, key=lambda m: (len(m), m))
    c = zero.terms[longest]
    for _ in range(_REPLACED):
        if isinstance(e, int):
            break
        found = next((m for m, k in e.terms.items() if k % c == 0 and _divides(longest, m)), None)
        if found is None:
            break
        rest = tuple(sorted((Counter(found) - Counter(longest)).elements()))
        e = e - make({rest: e.terms[found] // c}) * zero
    return e


def _divides(product: Monomial, other: Monomial) -> bool:
    return len(product) <= len(other) and all([f in other for f in product]) and not Counter(product) - Counter(other)


def _mentions(size: Size, factor: str) -> bool:
    if not isinstance(factor, Atom):
        return factor in free_symbols(size)
    return factor in atoms_of(size)
