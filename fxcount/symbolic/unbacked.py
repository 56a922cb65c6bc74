"""Sizes that the data decide: how many elements a mask keeps, how many boxes survive, how long a sequence is.

No shape of an input determines them ("backs" them), so each is a symbol of its own: with a name, a place in the model, an
upper bound where there is one, and a default. Decisions are taken at the default, or at the user's hint; formulas keep
the symbol. Like every size it is at least 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.symbolic.assumption import Assumption
from fxcount.symbolic.expr import Expr, Size, sum_, symbol
from fxcount.symbolic.values import evaluate, free_symbols, name_of

__all__ = ["BRANCH", "Unbacked", "UnbackedSizes", "is_data_dependent"]

KINDS = ("nonzero", "rows", "kept", "unique", "bins", "classes", "repeated", "item", "size", "nnz", "steps")
"""Stems of names, by what is counted; a hint for the stem alone is one for all of the kind."""

_NOT_GUESSED = frozenset({"nonzero", "nnz", "rows", "kept"})
"""Kinds whose default means something: all elements of a mask or a tensor, an equal share of the rows, all boxes."""

BRANCH = "branch"
"""The hint (0 or 1) for decisions on the data themselves, ``if x.sum() > 0``, which no size stands for."""

_PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)


class Sizes(Protocol):
    """What is asked of the scope that these sizes are part of."""

    where: Callable[[], str] | None

    def hint(self, size: Size) -> int: ...
    def declare(self, name: str, hint: int) -> Expr: ...
    def rehint(self, name: str, value: int) -> None: ...
    def learn_equal(self, a: Size, b: Size, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Unbacked:
    """A size that data decide: ``what`` it counts and ``where``, at ``most`` how many (``None``: unknown), and the
    ``default`` in terms of other sizes. ``guess``: nothing speaks for the default (a small prime), it only let the trace
    go on: what depends on it is no answer until somebody gives the value."""

    name: str
    what: str
    where: str
    most: Size | None
    default: Size
    guess: bool = False

    def __str__(self) -> str:
        limit = f", at most {self.most}" if self.most is not None else ""
        return f"{self.name}: {self.what} at {self.where}{limit}"


def is_data_dependent(name: str) -> bool:
    """Whether a data-dependent size could have this name.

    >>> is_data_dependent("nonzero_2"), is_data_dependent("kept"), is_data_dependent("H")
    (True, True, False)
    """
    stem, _, number = name.rpartition("_")
    return name in KINDS or name == BRANCH or (stem in KINDS and number.isdecimal())


class UnbackedSizes:
    """The data-dependent sizes of one scope. ``given`` are the user's hints for them, by name.

    >>> from fxcount.symbolic.scope import Scope
    >>> scope = Scope({"S": 128})
    >>> sizes = UnbackedSizes(scope, {})
    >>> kept = sizes.new("kept", "boxes kept", most=scope.symbols["S"] * 3, default=scope.symbols["S"])
    >>> kept, scope.hint(kept), sizes.completed({"S": 5})
    (kept_1, 128, {'S': 5, 'kept_1': 5})
    """

    def __init__(self, scope: Sizes, given: Mapping[str, int]) -> None:
        self.scope = scope
        self.given = dict(given)
        self.by_name: dict[str, Unbacked] = {}
        self._numbers: dict[str, int] = {}

    def new(self, kind: str, what: str, most: Size | None = None, default: Size | None = None) -> Expr:
        """A new symbol ``kind_1``, ``kind_2``, ...; the default is its hint unless the user gave one."""
        scope = self.scope
        guess = default is None or (kind not in _NOT_GUESSED and default != most)
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        name = f"{kind}_{number}"
        if default is None:
            default = _PRIMES[len(self.by_name) % len(_PRIMES)]
        hint = self.given.get(name) or self.given.get(kind) or max(1, scope.hint(default))
        where = scope.where() if scope.where is not None else ""
        self.by_name[name] = Unbacked(name, what, where, most, default, guess)
        return scope.declare(name, hint)

    def found_in(self, sizes: Iterable[Size]) -> list[Unbacked]:
        """What is known of the symbols that occur in these sizes."""
        return [self.by_name[name] for size in sizes for name in sorted(free_symbols(size)) if name in self.by_name]

    def balance(self, sizes: Sequence[Size], total: Size, reason: str) -> None:
        """Declare that these symbols add up to ``total``, unless the user has said what one of them is.

        Their hints become equal shares: the sizes of groups (rows of each expert, words of each line) that data decide.
        Shares of a known total are not guessed.
        """
        names = [name for name in map(name_of, sizes) if name is not None and self._is_open(name)]
        if not names or len(set(names)) != len(sizes):
            return
        share = total // len(sizes)
        for name in names:
            self._redefine(name, total - sum_(sizes[:-1]) if name == names[-1] else share, most=total)
        self.scope.learn_equal(sum_(sizes), total, reason)

    def settle(self, size: Size, value: Size, reason: str) -> None:
        """Declare that a size that was taken at its default is ``value``: the model could not run otherwise."""
        name = name_of(size) if self.by_name else None
        if name is None or not self._is_open(name) or self.concern(value):
            return
        if self.scope.hint(size) != self.scope.hint(value):
            self._redefine(name, value, most=self.by_name[name].most)
            self.scope.learn_equal(size, value, reason)

    def _is_open(self, name: str) -> bool:
        """Whether it is one of these symbols, and the user has not said what it is."""
        return name in self.by_name and self.given.keys().isdisjoint({name, name.rpartition("_")[0]})

    def _redefine(self, name: str, default: Size, most: Size | None) -> None:
        self.by_name[name] = replace(self.by_name[name], default=default, most=most, guess=False)
        self.scope.rehint(name, max(1, self.scope.hint(default)))

    def concern(self, size: Size) -> bool:
        """Whether any of these symbols occurs in the size."""
        return bool(self.by_name) and type(size) is Expr and not self.by_name.keys().isdisjoint(free_symbols(size))

    def is_guess(self, size: Size) -> bool:
        """Whether the size rests on a default for which nothing speaks."""
        names = free_symbols(size) if self.concern(size) else frozenset()
        return any([n in self.by_name and self.by_name[n].guess and self._is_open(n) for n in names])

    def check(self, values: Mapping[str, int]) -> Assumption | None:
        """The first bound that these numbers break, or None."""
        for found in self.by_name.values():
            room = found.most - symbol(found.name) if found.most is not None else 0
            if isinstance(room, Expr):
                bound = Assumption(">=", room, 0, "declared", found.what, found.where)
                if not bound.holds(values):
                    return bound
        return None

    def check_given(self) -> None:
        """Complain about hints for numbers the model never asked for."""
        idle = sorted(self.given.keys() - self.by_name.keys() - {*KINDS, BRANCH})
        if idle:
            raise InputError(
                f"hints given for {', '.join(idle)}, but the model has {', '.join(self.by_name) or 'no data-dependent sizes'}",
                hint="report.unbacked lists these sizes with their places",
            )

    def completed(self, values: Mapping[str, int]) -> dict[str, int]:
        """The values, and for every symbol here that has none its default, in the order of the model."""
        full = dict(values)
        for name, found in self.by_name.items():
            if name not in full:
                full[name] = max(1, evaluate(found.default, full))
        return full
