"""One thing a formula rests on, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from math import gcd
from typing import Literal, TypeAlias

from fxcount.dataclass import dataclass
from fxcount.symbolic.bounds import is_nonnegative
from fxcount.symbolic.expr import MEMO, Atom, Expr, Size, make, monomial_order
from fxcount.symbolic.extrema import common_part
from fxcount.symbolic.floats import Claim
from fxcount.symbolic.text import to_text
from fxcount.symbolic.values import evaluate
from fxcount.wording import quoted

__all__ = ["Assumption", "Kind", "Relation", "modular_form", "primitive", "simple_claims"]

Relation: TypeAlias = Literal["==", "!=", ">=", "%", "float"]
Kind: TypeAlias = Literal["guard", "pin", "declared"]


@dataclass(frozen=True, slots=True)
class Assumption:
    """``expr == 0``, ``expr != 0``, ``expr >= 0`` or, for the relation "%", ``expr % modulus == 0``; for the relation "float" a
    ``claim`` about Python's floats, with ``expr`` a size that takes part.

    ``kind`` says where it comes from: a "guard" was decided by the sample values, a "pin" was turned into a number by
    the model, a "declared" one was given with the inputs.

    >>> from fxcount.symbolic.expr import symbol
    >>> W = symbol("W")
    >>> print(Assumption(">=", W - 33, 0, "guard", "if w > 32", "net.py:7"))
    W >= 33
    >>> print(Assumption("%", W + 1, 2, "guard", "", ""))
    W % 2 == 1
    >>> Assumption(">=", W - 33, 0, "guard", "", "").holds({"W": 32})
    False
    """

    relation: Relation
    expr: Expr
    modulus: int
    kind: Kind
    reason: str
    where: str
    claim: Claim | None = None
    quote: tuple[str, str] | None = field(default=None, compare=False)  # of one that was read from a file: line and comment

    @property
    def line(self) -> str:
        """The line of the model that decides, as it is written; empty where it is not at hand."""
        return (quoted(self.where) if self.quote is None else self.quote)[0]

    @property
    def why(self) -> str:
        """Why it is assumed, in words: the line of the model that decides, with the comment above it, and what it comes to."""
        line, comment = quoted(self.where) if self.quote is None else self.quote
        said = f"`{line}` decides" if line and self.kind == "guard" else f"`{line}` needs the number" if line else ""
        said += f' ("{comment}")' if comment else ""
        return ": ".join([part for part in (said, self.reason) if part])

    @property
    def sizes(self) -> tuple[Expr, ...]:
        """The sizes it is about: several where it is a claim."""
        return (self.expr,) if self.claim is None else self.claim.sizes

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether it is true of these numbers; a division by zero in it means no."""
        if self.claim is not None:
            return self.claim.holds(values)
        try:
            value = evaluate(self.expr, values)
        except ZeroDivisionError:
            return False
        if self.relation == "%":
            return value % self.modulus == 0
        return value == 0 if self.relation == "==" else value != 0 if self.relation == "!=" else value >= 0

    def __str__(self) -> str:
        text = self._claim()
        if self.kind != "pin":
            return text
        return f"{text} (pinned at {self.where})" if self.where else f"{text} (pinned)"

    def _claim(self) -> str:
        if self.claim is not None:
            return str(self.claim)
        if self.relation == "%":
            return _modular(self.expr, self.modulus, "==")
        found = modular_form(self.expr)
        if found is not None and self.relation != ">=":
            return _modular(*found, self.relation)
        left = {m: c for m, c in self.expr.terms.items() if m and c > 0}
        right = {m: -c for m, c in self.expr.terms.items() if not m or c < 0}
        relation: str = self.relation
        if not left:  # 5 - W >= 0 reads W <= 5
            left = {m: c for m, c in right.items() if m}
            right = {m: -c for m, c in right.items() if not m}
            relation = "<=" if relation == ">=" else relation
        return f"{to_text(make(left))} {relation} {to_text(make(right))}"


def _modular(expr: Size, modulus: int, relation: str) -> str:
    constant = expr.terms.get((), 0) if isinstance(expr, Expr) else 0
    left = expr - constant
    text = to_text(left)
    if isinstance(left, Expr) and len(left.terms) > 1:
        text = f"({text})"
    return f"{text} % {modulus} {relation} {-constant % modulus}"


def modular_form(d: Expr) -> tuple[Size, int] | None:
    """``(e, q)`` when ``d == 0`` says just ``e % q == 0``, as ``d`` is a multiple of ``p - q*floor(p/q) - r``.

    >>> from fxcount.symbolic.expr import symbol
    >>> H = symbol("H")
    >>> modular_form(H % 7), modular_form(H % 7 - 3), modular_form((7 - H % 7) % 7)
    ((H, 7), (H - 3, 7), (H, 7))
    """
    for m in sorted(d.terms, key=monomial_order):
        atom = m[0] if len(m) == 1 else ""
        if not isinstance(atom, Atom) or atom.kind != "floor":
            continue
        p, q = atom.args
        c = d.terms[m]
        if not isinstance(q, int) or c % q:
            continue
        k = -c // q
        rest = {n: v for n, v in d.terms.items() if n != m}
        if any(v % k for v in rest.values()):
            continue
        left = make({n: v // k for n, v in rest.items()})  # d == k*(left - q*floor(p/q))
        r = p - left
        if isinstance(r, int) and 0 <= r < q:
            return left, q
    return None


@lru_cache(MEMO)
def primitive(relation: Relation, d: Expr) -> Expr:
    """The same claim without common positive factors: ``B*h >= B*w`` is ``h >= w``.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, h = symbol("B"), symbol("h")
    >>> primitive("==", 2 * B * h - 6 * B), primitive(">=", 4 * h - 7)
    (h - 3, h - 2)
    """
    _, (rest,) = common_part([d])
    if not isinstance(rest, Expr):  # a single product was pulled out altogether: it is positive, or its atoms may be 0
        return d
    if relation == ">=":
        content = gcd(*(c for m, c in rest.terms.items() if m))
        shrunk = make({m: c // content for m, c in rest.terms.items() if c // content})
        return shrunk if isinstance(shrunk, Expr) else d
    first = min(rest.terms, key=monomial_order)
    return -rest if rest.terms[first] < 0 else rest


def simple_claims(claim: Expr) -> list[Expr]:
    """Sizes that are all at least 0 exactly if this one is, with fewer floors and products where possible.

    >>> from fxcount.symbolic.expr import symbol
    >>> H, W = symbol("H"), symbol("W")
    >>> simple_claims((H + 3) // 16 - 2), simple_claims((H // 32) * (W // 32) - 1), simple_claims(1 - H // 8)
    ([H - 29], [H - 32, W - 32], [-H + 15])
    """
    claim = primitive(">=", claim)
    (m, *others) = [m for m in claim.terms if m]
    c, k = claim.terms[m], claim.terms.get((), 0)
    if others or c not in (1, -1):
        return [claim]
    if len(m) > 1:  # a product of sizes of at least 0 is at least 1 if each of them is
        factors = [make({(f,): 1}) for f in dict.fromkeys(m)]
        if c != 1 or k != -1 or not all(map(is_nonnegative, factors)):
            return [claim]
        return [s for f in factors if isinstance(f - 1, Expr) for s in simple_claims(f - 1)]  # type: ignore[arg-type]
    atom = m[0]
    if not isinstance(atom, Atom) or atom.kind != "floor" or not isinstance(atom.args[1], int):
        return [claim]
    p, q = atom.args[0], atom.args[1]
    inner = p + q * k if c == 1 else q * k + q - 1 - p  # floor(p/q) >= -k, or floor(p/q) <= k; q >= 2
    return simple_claims(inner) if isinstance(inner, Expr) else [claim]
