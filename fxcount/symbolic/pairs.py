"""Floors that add up to a simpler size, and the one form in which a sum of them is written.

A floor ``F = floor(p/q)`` with an even divisor has up to two partners:

- the shifted one, ``floor(p/(2*m)) + floor((p + m)/(2*m)) == floor(p/m)``;
- its mirror image, ``floor((q/2*n + r)/q) + floor((q/2*n - r + q - 1)/q) == n``, for the terms ``n`` whose coefficient
  is half the divisor.

So ``n - floor(n/2)`` is ``ceil(n/2)`` and ``floor(H/4) - floor(H/8)`` is ``floor((H + 4)/8)``. A floor, its partners and
their partners are a family. `settle` first writes every floor of a sum by one member of its family, which leaves one
way to write the sum; then, family by family, it picks the member that leaves the least of the simpler floors. Only
floors that stand alone are looked at, not products with them.

>>> from fxcount.symbolic.expr import symbol
>>> H = symbol("H")
>>> H // 4 - H // 8, H // 8 + (H + 4) // 8
(floor((H + 4)/8), floor(H/4))
"""

from __future__ import annotations

from functools import lru_cache

from fxcount.symbolic.expr import MEMO, Atom, Expr, Hooks, Monomial, Size, make, monomial_order, terms_of, wrap
from fxcount.symbolic.poly import size_key

__all__ = ["floor_atom", "mirrored", "of_partners", "settle", "shifted", "to_one_form", "write_residues"]


class Family:
    """The members of a family, each as ``sign*first + offset`` of its first member."""

    __slots__ = ("first", "level", "members", "touched")
    level: int
    touched: frozenset[Monomial]

    def __init__(self, first: Atom, members: list[tuple[Atom, int, Size]]) -> None:
        self.first = first
        self.members = [(atom, sign, terms_of(offset), _one_form(offset)) for atom, sign, offset in members]
        self.level = 0
        touched: set[Monomial] = {(atom,) for atom, *_ in self.members}  # what a sum may be rewritten with
        for _, _, written, plain in self.members:
            for m in (*written, *plain):
                if len(m) == 1 and type(m[0]) is Atom and m[0].paired:
                    simpler = family(m[0])
                    self.level = max(self.level, simpler.level + 1)
                    touched |= simpler.touched
                elif m:
                    touched.add(m)
        self.touched = frozenset(touched)


@lru_cache(MEMO)
def floor_atom(p: Size, q: Size) -> Atom:
    """``floor(p/q)`` as it stands."""
    paired = type(q) is int and q % 2 == 0 and q > 0 and type(p) is Expr
    return Atom(f"floor(({size_key(p)})/({size_key(q)}))", "floor", (p, q), paired)


@lru_cache(MEMO)
def family(atom: Atom) -> Family:
    """The family of a floor with an even divisor."""
    members: list[tuple[Atom, int, Size]] = [(atom, 1, 0)]  # in terms of `atom`
    other = mirrored(atom)
    if other is not None:
        members.append((other[0], -1, other[1]))
    for start, sign, offset in list(members):
        partner, total = shifted(start)
        if isinstance(total, Expr) and all(partner != known for known, *_ in members):
            members.append((partner, -sign, total - offset))
    members.sort(key=lambda member: _plainness(member[0]))  # the same order whichever member was asked for
    first, by, off = members[0]  # first == by*atom + off, so atom == by*(first - off)
    return Family(first, [(a, sign * by, offset - sign * by * off) for a, sign, offset in members])


def _plainness(atom: Atom) -> tuple[bool, int, str]:
    terms = terms_of(atom.args[0])
    return terms[min(terms, key=monomial_order)] < 0, terms.get((), 0), atom


def shifted(atom: Atom) -> tuple[Atom, Size]:
    """The partner whose numerator differs by half the divisor, and their sum."""
    p, q = atom.args
    assert isinstance(p, Expr)
    assert isinstance(q, int)
    half = q // 2
    if p.terms.get((), 0) < half:
        return floor_atom(p + half, q), Hooks.floordiv_int(p, half)
    lower = p - half
    assert isinstance(lower, Expr)
    return floor_atom(lower, q), Hooks.floordiv_int(lower, half)


def mirrored(atom: Atom) -> tuple[Atom, Size] | None:
    """The mirror image, and the sum of the two; None if no coefficient is half the divisor."""
    p, q = atom.args
    assert isinstance(p, Expr)
    assert isinstance(q, int)
    whole = {m: 1 for m, c in p.terms.items() if 2 * c == q and m}
    if not whole:
        return None
    terms = {m: c if m in whole else -c for m, c in p.terms.items()}  # q*whole - p
    constant = q - 1 - p.terms.get((), 0)
    if constant:
        terms[()] = constant
    else:
        terms.pop((), None)
    return floor_atom(wrap(terms, p.halves), q), make(whole)


def of_partners(atom: Atom) -> list[tuple[Atom, Size]]:
    """The partners, each with the sum of the two."""
    other = mirrored(atom)
    return [shifted(atom)] if other is None else [other, shifted(atom)]


def settle(terms: dict[Monomial, int]) -> None:
    """Bring the floors of a sum to one form, in place."""
    if not _related(terms):
        return
    _write(terms, to_one_form(terms), 0)


def _related(terms: dict[Monomial, int]) -> bool:
    """Whether there may be something to rewrite: two terms that can be written with the same floors."""
    if len(terms) - (() in terms) < 2:
        return False
    floors = [m[0] for m in terms if len(m) == 1 and type(m[0]) is Atom and m[0].paired]
    if not floors:
        return False
    kin = [_kin(m) for m in terms if m]
    if None not in kin and len(set(kin)) == len(kin):  # nearly always: no family needs to be made
        return False
    seen: set[Monomial] = set()
    for atom in floors:
        touched = family(atom).touched
        if not seen.isdisjoint(touched):
            return True
        seen |= touched
    return any(m in seen and not (len(m) == 1 and type(m[0]) is Atom and m[0].paired) for m in terms)


def _kin(m: Monomial) -> tuple[Monomial, int, int] | None:
    """What terms that can be written with the same floors have in common; ``None`` where that is hard to tell.

    Of ``floor((x + r)/q)`` for a number ``r``: the last of the floors that it can be written with, that over the odd part of
    ``q``, as partners differ in ``r`` by half of ``q``, and their sum is the floor over that half: ``x`` for a power of 2.

    >>> from fxcount.symbolic.expr import symbol
    >>> H = symbol("H")
    >>> [_kin(m) for size in (H, H // 4, (H + 5) // 28, (H + 2 * H * H) // 7) for m in size.terms]
    [(('H',), 1, 0), (('H',), 1, 0), (('H',), 7, 5), None]
    """
    if len(m) != 1 or type(m[0]) is not Atom or m[0].kind != "floor":
        return m, 1, 0
    p, q = m[0].args
    if type(p) is not Expr or type(q) is not int or len(p.terms) - (() in p.terms) != 1:
        return None
    x = next(filter(None, p.terms))
    plain = p.terms[x] == 1 and not (len(x) == 1 and type(x[0]) is Atom and x[0].kind == "floor")
    odd = q // (q & -q)
    return (x, odd, p.terms.get((), 0) % odd) if plain else None


def _one_form(size: Size) -> dict[Monomial, int]:
    terms = dict(terms_of(size))
    to_one_form(terms)
    return terms


def to_one_form(terms: dict[Monomial, int]) -> list[Family]:
    """Write each floor by the first of its family, in place; returns the families that may now be in it."""
    found: dict[Atom, Family] = {}
    for m in [m for m in terms if len(m) == 1 and type(m[0]) is Atom and m[0].paired]:
        atom = m[0]
        assert isinstance(atom, Atom)
        group = family(atom)
        found[group.first] = group
        if atom != group.first:
            c = terms.pop(m, 0)
            for member, sign, _, plain in group.members:
                if member == atom:
                    _add(terms, {(group.first,): sign}, c)
                    _add(terms, plain, c)
    for (factor, *others), _ in [(m, c) for m, c in terms.items() if m]:
        if not others and type(factor) is Atom and factor.paired and factor not in found:
            found[factor] = family(factor)
    return sorted(found.values(), key=lambda group: (group.level, group.first))


def _add(terms: dict[Monomial, int], more: dict[Monomial, int], times: int) -> None:
    for m, c in more.items():
        value = terms.get(m, 0) + c * times
        if value:
            terms[m] = value
        else:
            terms.pop(m, None)


def write_residues(terms: dict[Monomial, int], families: list[Family], modulus: int) -> None:
    """Pick the members of a sum in its one form, whose coefficients only count up to multiples of ``modulus``."""
    _write(terms, families, modulus)


def _write(terms: dict[Monomial, int], families: list[Family], modulus: int) -> None:
    """For each family, simpler ones first, pick the member that leaves the least of the simpler terms."""
    for group in families:
        a = terms.get((group.first,), 0)
        if not a:
            continue
        best, least = None, 0
        for member, sign, written, _ in group.members:
            if member == group.first:
                continue
            change, times = 0, a * sign
            for m, c in written.items():
                if m:
                    now = terms.get(m, 0)
                    left = now - times * c
                    change += abs(_residue(left, modulus) if modulus else left) - abs(now)
            if change < least:
                best, least = (member, sign, written), change
        if best is not None:  # first == sign*(member - offset)
            member, sign, written = best
            del terms[(group.first,)]
            _add(terms, written, -a * sign)
            _add(terms, {(member,): 1}, a * sign)
            if modulus:
                for m in list(terms):
                    terms[m] = _residue(terms[m], modulus)
                    if not terms[m]:
                        del terms[m]


def _residue(c: int, modulus: int) -> int:
    """The residue in (-modulus/2, modulus/2]; the number itself for the modulus 0."""
    if not modulus:
        return c
    c %= modulus
    return c - modulus if 2 * c > modulus else c


Hooks.settle_halves = settle
