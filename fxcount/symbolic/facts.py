"""What is known about the symbols of one analysis, used to prove further statements.

Facts are kept as rewriting rules where possible: ``S == 128`` replaces ``S``, ``H % 7 == 0`` replaces ``H`` by
``7*_H_7`` with a new symbol of at least 1. What cannot be solved for a symbol is kept as it is and only recognised
again. Sizes at which all facts are true are kept beside them, since what is false there need not be tried to prove.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

from fxcount.symbolic.bounds import Interval, is_nonnegative, lower_bound
from fxcount.symbolic.calc import rewrite
from fxcount.symbolic.expr import Atom, Expr, Size, atoms_of, make, monomial_order, symbol
from fxcount.symbolic.values import free_symbols
from fxcount.symbolic.witness import Statement, Witness
from fxcount.symbolic.zero import is_zero

__all__ = ["Facts"]


class Facts:
    """Rules, bounds and unsolved facts.

    >>> facts = Facts({})
    >>> H = symbol("H")
    >>> facts.learn_divisible(H, 7)
    >>> facts.proves_zero(7 * (H // 7) - H), facts.proves_zero(H - 7)
    (True, False)
    """

    def __init__(self, bounds: dict[str, Interval]) -> None:
        self.bounds = bounds
        self.rules: dict[str, Size] = {}
        self.zero: list[Expr] = []
        self.nonzero: list[Expr] = []
        self.nonnegative: list[Expr] = []
        self._stated: list[Statement] = []  # all that was learned, as it was said
        self._witnesses: list[Witness] = []  # sizes at which all of it is true

    def try_at(self, values: Mapping[str, int]) -> None:
        """Sizes at which all facts may be true; those known before are forgotten."""
        witness = Witness(values)
        self._witnesses = [witness] if witness.agrees(self._stated) else []

    def copy(self) -> Facts:
        """A copy to try out what would follow from one more fact."""
        other = Facts(dict(self.bounds))
        other.rules = dict(self.rules)
        other.zero, other.nonzero, other.nonnegative = list(self.zero), list(self.nonzero), list(self.nonnegative)
        other._stated, other._witnesses = list(self._stated), list(self._witnesses)
        return other

    def reduce(self, size: Size) -> Size:
        """The size with all rules applied."""
        if not self.rules or isinstance(size, int):
            return size
        for _ in range(4):  # a rule for an atom may apply only after one for a symbol
            new = rewrite(size, self.rules)
            if new == size:
                break
            size = new
        return size

    def _examples(self, size: Size) -> list[int]:
        """Values that the size can have."""
        return [value for value in [witness.at(size) for witness in self._witnesses] if value is not None]

    def _state(self, statement: Statement) -> None:
        """Note what is learned; sizes at which it is false are no witnesses any more."""
        self._stated.append(statement)
        agreeing = [witness for witness in self._witnesses if witness.agrees([statement])]
        if self._witnesses and not agreeing:
            found = self._witnesses[0].near(statement, self._stated)
            agreeing = [] if found is None else [found]
        self._witnesses = agreeing

    def _can_be_zero(self, size: Size) -> bool:
        """Whether there are sizes at which it is 0, as far as they are easily found."""
        found = self._witnesses[0].near(Statement("==", size), self._stated) if self._witnesses else None
        if found is not None:
            self._witnesses = [found, *self._witnesses[:2]]
        return found is not None

    def proves_zero(self, size: Size) -> bool:
        if any(self._examples(size)):
            return False
        e = self.reduce(size)
        if isinstance(e, int):
            return e == 0
        return any(self.reduce(z) in (e, -e) for z in self.zero) or is_zero(e)

    def proves_nonnegative(self, size: Size) -> bool:
        if min(self._examples(size), default=0) < 0:
            return False
        e = self.reduce(size)
        # without any bounds the answer is remembered from one analysis to the next, and mostly enough
        if is_nonnegative(e) or (self.bounds and is_nonnegative(e, self.bounds)):
            return True
        return any(is_nonnegative(e - self.reduce(f), self.bounds) for f in self.nonnegative)

    def proves_nonzero(self, size: Size) -> bool:
        examples = self._examples(size)
        if 0 in examples:
            return False
        e = self.reduce(size)
        if isinstance(e, int):
            return e != 0
        sides = [side for side, of in ((e, 1), (-e, -1)) if all(of * x > 0 for x in examples)]  # which may be above 0
        if len(e.terms) - (() in e.terms) > 1 and self._can_be_zero(size):
            return False
        if any((lower_bound(s, self.bounds) or 0) > 0 for s in sides):
            return True
        content = gcd(*(c for m, c in e.terms.items() if m))
        if e.terms.get((), 0) % content:  # 2*H == 7 has no solution
            return True
        if any(self.reduce(z) in (e, -e) for z in self.nonzero):
            return True
        return any(is_nonnegative(s - 1 - self.reduce(f), self.bounds) for f in self.nonnegative for s in sides)

    def learn_zero(self, size: Size) -> None:
        self._state(Statement("==", size))
        e = self.reduce(size)
        if isinstance(e, int):
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

    def learn_divisible(self, size: Size, modulus: int) -> None:
        self._state(Statement("%", size, modulus))
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

    def learn_nonnegative(self, size: Size) -> None:
        self._state(Statement(">=", size))
        self._bound(size)

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
        self.nonnegative.append(e)

    def learn_nonzero(self, size: Size) -> None:
        self._state(Statement("!=", size))
        e = self.reduce(size)
        if isinstance(e, Expr):
            self.nonzero.append(e)


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


def _mentions(size: Size, factor: str) -> bool:
    if not isinstance(factor, Atom):
        return factor in free_symbols(size)
    return factor in atoms_of(size)
