"""What torch's shape environment has assumed of sizes, as assumptions of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import FxcountError, InputError
from fxcount.symbolic import Expr, Scope, Size, from_sympy, substitute

__all__ = ["Guard", "adopt", "guards_of", "renamed"]


@dataclass(frozen=True, slots=True)
class Guard:
    """Two ``sizes`` and the ``relation`` between them; without one, the sizes of a condition that the algebra cannot say."""

    relation: str
    sizes: tuple[Size, ...]

    def on(self, became: Mapping[str, Size]) -> Guard:
        """The guard with other sizes for symbols."""
        return Guard(self.relation, tuple([substitute(n, became) if isinstance(n, Expr) else n for n in self.sizes]))


def guards_of(relations: Iterable[Any]) -> list[Guard]:
    """Sympy's relations between sizes, under the names of their symbols.

    >>> import sympy
    >>> h = sympy.Symbol("H", positive=True, integer=True)
    >>> [(g.relation, *map(str, g.sizes)) for g in guards_of([sympy.Ge(h, 3), sympy.Or(h < 3, h > 5)])]
    [('>=', 'H', '3'), ('', 'H')]
    """
    import sympy

    names = {sympy.Eq: "==", sympy.Ne: "!=", sympy.Ge: ">=", sympy.Gt: ">", sympy.Le: "<=", sympy.Lt: "<"}
    found = []
    for guard in relations:
        relation = names.get(type(guard), "")
        try:
            sizes = [from_sympy(side) for side in (guard.lhs, guard.rhs)] if relation else []
        except (FxcountError, TypeError, ValueError):
            relation = ""
        if not relation:
            sizes = [from_sympy(s) for s in sorted(guard.free_symbols, key=str)]
        found.append(Guard(relation, tuple(sizes)))
    return found


def adopt(guards: Iterable[Guard], scope: Scope, reason: str) -> None:
    """Assume these guards.

    Raises :class:`~fxcount.errors.InputError` where one does not hold at the sample sizes.

    >>> scope = Scope({"H": 7})
    >>> adopt([Guard(">=", (scope.symbols["H"], 3))], scope, "torch.export")
    >>> [str(a) for a in scope.assumptions]
    ['H >= 3']
    """
    for guard in guards:
        if not guard.relation:  # a decision the algebra has no words for holds at the sample sizes
            for size in guard.sizes:
                scope.pin(size, reason)
            continue
        left, right = guard.sizes
        if not scope.decide(guard.relation, left, right, reason):  # type: ignore[arg-type]
            raise InputError(
                f"the graph was made for sizes with {left} {guard.relation} {right}, which these are not: {reason}",
                hint="give hints for which it holds, or make the graph again at these sizes",
            )


def renamed(expr: Any, names: Mapping[Any, str]) -> Any:
    """torch's expression in the names of the model's sizes, with sympy's own functions for torch's of floats."""
    import sympy

    named = expr.subs({s: sympy.Symbol(n, positive=True, integer=True) for s, n in names.items()})
    return named.replace(
        lambda e: type(e).__name__ in ("ToFloat", "FloatTrueDiv", "IntTrueDiv", "FloorToInt", "CeilToInt", "TruncToInt"),
        lambda e: _plain(e),
    )


def _plain(e: Any) -> Any:
    import sympy

    name = type(e).__name__
    if name == "ToFloat":
        return e.args[0]
    if name in ("FloatTrueDiv", "IntTrueDiv"):
        return e.args[0] / e.args[1]
    return (sympy.ceiling if name == "CeilToInt" else sympy.floor)(e.args[0])
