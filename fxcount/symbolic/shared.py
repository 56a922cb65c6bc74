"""Many sizes as text, with one table of what long ones have in common.

A formula that stands by itself names what it repeats behind it (``... where h1 = ...``). Of a thousand formulas of a deep model
each would name the same twenty atoms anew, and spell out the same sums, times another number each; here they are named once for
all, each in terms of those before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from math import gcd
from typing import TypeVar

from fxcount.errors import SizeError
from fxcount.symbolic.expr import Atom, Expr, Monomial, Size, atoms_of, make, prod, terms_of
from fxcount.symbolic.parse import parse
from fxcount.symbolic.poly import common_factors, without
from fxcount.symbolic.text import LONG, WORTH, atom_text, body_text, inner_first, new_name, to_text
from fxcount.symbolic.values import free_symbols
from fxcount.wording import RESERVED

__all__ = ["SharedTexts", "named_sizes", "with_shared"]

SPELLED = 80
"""Characters of the longest floor, and of the longest sum in a product, that are spelled out where anything is named."""
ALONE = LONG
"""Characters of the longest text that stands by itself."""
MOST_TERMS = 1 << 18
"""Terms of all that a table may name: a stranger's table must not fill the memory."""

T = TypeVar("T")


class SharedTexts:
    """Texts of sizes in terms of ``rows``, names and what they stand for; no name is one of ``taken``.

    >>> from fxcount.symbolic.parse import parse
    >>> deep = parse("H*H")
    >>> for _ in range(8): deep = deep * deep // 9
    >>> texts = SharedTexts()
    >>> texts.text(parse("H//2")), texts.text(deep), texts.text(3 * deep + 1)
    ('floor(H/2)', 'h8', '3*h8 + 1')
    >>> texts.rows[:2]
    [('h1', 'floor(H**4/9)'), ('h2', 'floor(h1**2/9)')]
    """

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self.rows: list[tuple[str, str]] = []
        self.symbols: set[str] = set()  # of all sizes that were written
        self._taken = {name.lower() for name in taken}
        self._counts: Counter[str] = Counter()
        self._texts: dict[str, str] = {}  # of atoms, by name where they have one
        self._spelled: dict[str, str] = {}  # of atoms, without any name
        self._deep: set[str] = set()  # atoms that are too long for that
        self._known: dict[Size, str] = {}
        self._sums: dict[Size, str] = {}

    def text(self, size: Size) -> str:
        """The size as text; one that is neither deep nor very long stands by itself."""
        found = self._known.get(size)
        if found is None:
            found = self._known[size] = str(int(size)) if isinstance(size, int) else self._written(size)
        return found

    def _written(self, size: Expr) -> str:
        self.symbols |= free_symbols(size)
        for atom in atoms_of(size, known=self._spelled):
            self._spell(atom)
        if not self._deep or self._deep.isdisjoint([f for m in size.terms for f in m]):
            alone = to_text(size)
            if len(alone) <= ALONE:
                return alone
        for atom in sorted(atoms_of(size, known=self._texts), key=inner_first):
            text = atom_text(atom, self._texts)
            self._texts[atom] = self._named(text, atom.names) if len(text) > WORTH else text
        return self._in_names(size)

    def _spell(self, atom: Atom) -> None:
        inside = [f for a in atom.args for m in terms_of(a) for f in m]
        text = "" if not self._deep.isdisjoint(inside) else atom_text(atom, self._spelled)
        if not text or (atom.kind == "floor" and len(text) > SPELLED):
            self._deep.add(atom)
        self._spelled[atom] = text

    def _in_names(self, size: Expr) -> str:
        """As a product of sums, each of which has a name if it is long, and a constant."""
        if len(size.terms) <= SPELLED // 4:  # each term is a character or more, and " + "
            plain = body_text(size, self._texts)
            if len(plain) <= SPELLED:
                return plain
        constant = size.terms.get((), 0)
        factors = _factors(size - constant)
        if not factors or prod(factors) + constant != size:
            return body_text(size, self._texts)
        text = "*".join([self._factor(factor) for factor in factors])
        return text if not constant else f"{text} {'-' if constant < 0 else '+'} {abs(constant)}"

    def _factor(self, size: Size) -> str:
        """A factor as text; one name for all sums that are the same."""
        if len(terms_of(size)) == 1:
            return body_text(size, self._texts)
        text = self._sums.get(size)
        if text is None:
            text = body_text(size, self._texts)
            text = self._named(text, free_symbols(size)) if len(text) > SPELLED else f"({text})"
            self._sums[size] = text
        return text

    def _named(self, text: str, names: frozenset[str]) -> str:
        letter, number = new_name(names, self._counts, self._taken)
        self.rows.append((f"{letter}{number}", text))
        return f"{letter}{number}"


def _factors(size: Size) -> list[Size]:
    """Sizes of which this one is the product: what all of its terms have in common, and one sum for each group of symbols, if
    it comes apart so. Nothing, if read back it would come out in another form.

    >>> from fxcount.symbolic.parse import parse
    >>> _factors(parse("6*B*H*W + 12*B*H + 9*B*W + 18*B")), _factors(parse("H*W + H + 1"))
    ([3*B, 2*H + 3, W + 2], [H*W + H + 1])
    """
    terms = terms_of(size)
    content, shared = gcd(*terms.values()), common_factors(list(terms))
    rest = {left: c // content for m, c in terms.items() if (left := without(m, shared)) is not None}
    parts = _apart(rest)
    found = [make(dict(part)) for part in parts]
    if [terms_of(part) for part in found] != parts:
        return []
    return found if content == 1 and not shared else [make({shared: content}), *found]


def _apart(terms: dict[Monomial, int]) -> list[dict[Monomial, int]]:
    """Sums whose product these terms are, each in symbols of its own."""
    groups = _groups(terms)
    for group in groups[:-1]:
        rows: dict[Monomial, dict[Monomial, int]] = {}
        for m, c in terms.items():
            inside = tuple([f for f in m if f in group])
            rows.setdefault(inside, {})[tuple([f for f in m if f not in group])] = c
        first = next(iter(rows.values()))
        base = gcd(*first.values())
        other = {m: c // base for m, c in first.items()}
        lead = next(iter(other))
        times = {m: row.get(lead, 0) // other[lead] for m, row in rows.items()}
        if all(row == {m: times[inside] * c for m, c in other.items()} for inside, row in rows.items()):
            return [times, *_apart(other)]
    return [terms]


def _groups(terms: dict[Monomial, int]) -> list[set[str]]:
    """The factors in these terms, those that share symbols together."""
    groups: list[tuple[set[str], set[str]]] = []
    for factor in dict.fromkeys([f for m in terms for f in m]):
        names = set(factor.names) if type(factor) is Atom else {factor}
        members = {factor}
        for group in [g for g in groups if g[0] & names]:
            groups.remove(group)
            names |= group[0]
            members |= group[1]
        groups.append((names, members))
    return [members for _, members in sorted(groups, key=lambda group: min(group[0]))]


def with_shared(write: Callable[[SharedTexts], T]) -> tuple[T, SharedTexts]:
    """What ``write`` makes with the texts it is given, and these: written once more if a name in them is that of a symbol.

    >>> from fxcount.symbolic.parse import parse
    >>> deep = parse("H*H*h1")
    >>> for _ in range(8): deep = deep * deep // 9
    >>> with_shared(lambda texts: texts.text(deep))[1].rows[0]
    ('c1', 'floor(H**4*h1**2/9)')
    >>> deep = parse("H*H*c1")
    >>> for _ in range(8): deep = deep * deep // 9
    >>> with_shared(lambda texts: texts.text(deep))[1].rows[0]
    ('c2', 'floor(H**4*c1**2/9)')
    """
    taken: frozenset[str] = frozenset()
    while True:
        texts = SharedTexts(taken)
        found = write(texts)
        if not texts.symbols.intersection([name for name, _ in texts.rows]):
            return found, texts
        taken = frozenset(texts.symbols)


def named_sizes(rows: Iterable[tuple[str, str]]) -> dict[str, Size]:
    """What the names in a table stand for. Raises :class:`~fxcount.errors.SizeError` for what `SharedTexts` does not write.

    >>> named_sizes([("h1", "floor(H/2)"), ("h2", "floor(h1**2/9)")])["h2"]
    floor(floor(H/2)**2/9)
    """
    found: dict[str, Size] = {}
    terms = 0
    for name, text in rows:
        if not name.isidentifier() or name in RESERVED or name in found:
            raise SizeError(f"{name[:40]!a} is no name for a formula, or stands for two")
        size = parse(text, found)
        if not isinstance(size, Expr):
            raise SizeError(f"{name[:40]} stands for {text[:80]!a}, which is no formula")
        terms += len(size.terms) + sum([len(terms_of(a)) for m in size.terms for f in m if type(f) is Atom for a in f.args])
        if terms > MOST_TERMS:
            raise SizeError(f"{len(found) + 1} names stand for formulas of more than {MOST_TERMS:,} terms")
        found[name] = size
    return found
