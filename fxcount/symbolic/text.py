"""Sizes as text and LaTeX.

Terms come highest degree first, then by name and divisor. ``floor((p + q - 1)/q)`` is written ``ceil(p/q)``, and a
common factor is pulled out where that makes the text clearly shorter. A text of more than a few lines names the atoms that
are repeated in it, so that it is as long as there are distinct ones: ``4*h1**2 + h1 where h1 = floor((H - 1)/2)``.

>>> from fxcount.symbolic.expr import symbol
>>> B, H = symbol("B"), symbol("H")
>>> to_text(1 + 2 * B * ((H + 1) // 2) + B * H**2)
'B*H**2 + 2*B*ceil(H/2) + 1'
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from functools import lru_cache
from itertools import groupby
from math import gcd
from typing import TypeAlias

from fxcount.symbolic.expr import MEMO, Atom, Expr, Hooks, Monomial, Size, atoms_of, make, terms_of
from fxcount.symbolic.poly import common_factors, without
from fxcount.symbolic.values import free_symbols

__all__ = ["LONG", "WORTH", "as_ceil", "atom_text", "body_text", "inner_first", "new_name", "to_latex", "to_text"]

LONG = 400
"""Characters of the longest text in which nothing is named."""

WORTH = 12  # a repeated atom of fewer characters is not named


def to_text(size: Size) -> str:
    """The size as Python-like text, which `parse` reads back.

    >>> from fxcount.symbolic.expr import symbol
    >>> to_text(symbol("H") // 7 - 1), to_text(12)
    ('floor(H/7) - 1', '12')
    """
    return str(int(size)) if isinstance(size, int) else _text(size)


@lru_cache(MEMO // 4)
def _text(size: Expr) -> str:
    if not any([type(f) is Atom for m in size.terms for f in m]):
        return body_text(size, {})
    body, named = _written(size, body_text, atom_text, _name)
    return body if not named else f"{body} where {', '.join([f'{name} = {text}' for name, text in named])}"


Texts: TypeAlias = Mapping[str, str]  # of the atoms


def _written(
    size: Expr, body: Callable[[Expr, Texts], str], atom_as: Callable[[Atom, Texts], str], name: Callable[[str, int], str]
) -> tuple[str, list[tuple[str, str]]]:
    """The text, and the names in it with what they stand for; those inside of another come before it."""
    atoms = sorted(atoms_of(size), key=inner_first)  # so that equal sizes read alike
    texts: dict[str, str] = {}
    for atom in atoms:
        texts[atom] = atom_as(atom, texts)
        if len(texts[atom]) > LONG:
            break
    else:
        text = body(size, texts)
        if len(text) <= LONG:
            return text, []
    uses = Counter([f for m in size.terms for f in m if type(f) is Atom])
    for atom in atoms:
        uses.update([f for a in atom.args for m in terms_of(a) for f in dict.fromkeys(m) if type(f) is Atom])
    taken = {n.lower() for n in free_symbols(size)}
    named: list[tuple[str, str]] = []
    counts: Counter[str] = Counter()
    texts = {}
    for atom in atoms:
        text = atom_as(atom, texts)
        if (uses[atom] > 1 and len(text) > WORTH) or len(text) > LONG // 4:
            texts[atom] = name(*new_name(atom.names, counts, taken))
            named.append((texts[atom], text))
        else:
            texts[atom] = text
    return body(size, texts), named


def new_name(names: frozenset[str], counts: Counter[str], taken: Container[str]) -> tuple[str, int]:
    """Letter and number of a name for a size in these symbols, counted in ``counts``; none that is ``taken``, all of which are
    lower case."""
    letter = min(names, default="c")[0].lower() if len(names) == 1 else "c"
    counts[letter] += 1
    while f"{letter}{counts[letter]}" in taken:
        counts[letter] += 1
    return letter, counts[letter]


def inner_first(atom: Atom) -> tuple[int, tuple[bool, str, int, str]]:
    """Sort key of atoms: those inside of another before it, and the same in every process."""
    return atom.depth, _place(atom)


def _name(letter: str, number: int) -> str:
    return f"{letter}{number}"


def body_text(size: Size, texts: Texts) -> str:
    if isinstance(size, int):
        return str(int(size))
    plain = _sum(size.terms, texts)
    factored = _factored(size, texts)
    return factored if factored is not None and len(factored) * 8 <= len(plain) * 7 else plain


def _sum(terms: dict[Monomial, int], texts: Texts) -> str:
    text = ""
    for m, c in in_reading_order(terms):
        body = _product(abs(c), m, texts)
        text += (" - " if c < 0 else " + ") + body if text else ("-" if c < 0 else "") + body
    return text


def _factored(size: Expr, texts: Texts) -> str | None:
    """The size as a product of what its terms have in common and the rest, or None."""
    if len(size.terms) == 1:
        return None
    content, shared = gcd(*size.terms.values()), common_factors(list(size.terms))
    if content == 1 and not shared:
        return None
    rest = {left: c // content for m, c in size.terms.items() if (left := without(m, shared)) is not None}
    if terms_of(make(dict(rest))) != rest:
        return None  # read back, the rest would come out in another form
    return f"{_product(content, shared, texts)}*({_sum(rest, texts)})"


def in_reading_order(terms: dict[Monomial, int]) -> list[tuple[Monomial, int]]:
    """Highest degree first, then what is added before what is subtracted, then by name.

    >>> in_reading_order({(): 1, ("B",): -2, ("h",): 3, ("B", "h"): 1})
    [(('B', 'h'), 1), (('h',), 3), (('B',), -2), ((), 1)]
    """
    return sorted(terms.items(), key=lambda term: (-len(term[0]), term[1] < 0, [_place(f) for f in factors_of(term[0])]))


def factors_of(m: Monomial) -> list[str]:
    """Symbols before atoms; symbols by name, atoms by the names in them and then by divisor.

    >>> factors_of(("h", "B"))
    ['B', 'h']
    """
    return sorted(m, key=_place)


@lru_cache(MEMO)
def _place(factor: str) -> tuple[bool, str, int, str]:
    if not isinstance(factor, Atom):
        return False, factor, 0, ""
    names = ",".join(sorted(free_symbols(make({(factor,): 1}))))
    q = factor.args[-1]
    return True, names, q if isinstance(q, int) else 0, factor


def _product(c: int, m: Monomial, texts: Texts) -> str:
    parts = [str(c)] if c != 1 or not m else []
    for factor, group in groupby(factors_of(m)):
        power = len(list(group))
        text = texts[factor] if isinstance(factor, Atom) else factor
        parts.append(text if power == 1 else f"{text}**{power}")
    return "*".join(parts)


def atom_text(atom: Atom, texts: Texts) -> str:
    if atom.kind != "floor":
        return f"{atom.kind.capitalize()}({', '.join([body_text(a, texts) for a in atom.args])})"
    name, p, q = as_ceil(atom)
    return f"{name}({_operand(p, texts)}/{_operand(q, texts, divisor=True)})"


def as_ceil(atom: Atom) -> tuple[str, Size, Size]:
    """A floor as it is written: "ceil" or "floor", numerator and denominator."""
    p, q = atom.args
    if isinstance(p, Expr) and isinstance(q, int) and p.terms.get((), 0) == q - 1:
        return "ceil", p - (q - 1), q
    return "floor", p, q


def _operand(size: Size, texts: Texts, divisor: bool = False) -> str:
    text = body_text(size, texts)
    if isinstance(size, int) or (len(size.terms) == 1 and not (divisor and "*" in text)):
        return text
    return f"({text})"


def to_latex(size: Size) -> str:
    r"""The size as LaTeX.

    >>> from fxcount.symbolic.expr import symbol
    >>> print(to_latex(2 * symbol("B") * (symbol("H") // 2) + symbol("seq_len")))
    2 B \left\lfloor \frac{H}{2} \right\rfloor + \mathrm{seq\_len}
    """
    if isinstance(size, int):
        return str(int(size))
    body, named = _written(size, _latex_sum, _latex_atom, lambda letter, number: f"{letter}_{{{number}}}")
    if not named:
        return body
    listed = r",\ ".join([f"{name} = {text}" for name, text in named])
    return rf"{body} \quad \text{{where}}\ {listed}"


def _latex_sum(size: Size, texts: Texts) -> str:
    if isinstance(size, int):
        return str(int(size))
    text = ""
    for m, c in in_reading_order(size.terms):
        body = _latex_product(abs(c), m, texts)
        text += (" - " if c < 0 else " + ") + body if text else ("-" if c < 0 else "") + body
    return text


def _latex_product(c: int, m: Monomial, texts: Texts) -> str:
    parts = [str(c)] if c != 1 or not m else []
    for factor, group in groupby(factors_of(m)):
        power = len(list(group))
        text = texts[factor] if isinstance(factor, Atom) else _latex_name(factor)
        parts.append(text if power == 1 else f"{text}^{{{power}}}")
    return " ".join(parts)


def _latex_name(name: str) -> str:
    return name if len(name) == 1 else rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"


def _latex_atom(atom: Atom, texts: Texts) -> str:
    if atom.kind != "floor":
        return rf"\{atom.kind}\left({', '.join([_latex_sum(a, texts) for a in atom.args])}\right)"
    name, p, q = as_ceil(atom)
    return rf"\left\l{name} \frac{{{_latex_sum(p, texts)}}}{{{_latex_sum(q, texts)}}} \right\r{name}"


Hooks.text = to_text
