"""What shape rules and cost rules have said in this process: layers like one before, and a model analysed again, ask for less.

A shape rule computes with its arguments and with what the scope answers, and with nothing else. So what it has said holds for
the same arguments again, if the scope gives the same answers to the same questions in the same order. They are asked again,
each time: an answer may be an assumption, and belongs to the analysis at hand. A rule that looks at the scope in another way
than by these questions is not remembered, nor is one of the user's. Cost rules see no scope at all.

>>> from fxcount.ops import REGISTRY
>>> import torch
>>> x, relu = TensorFact((2, 3), torch.float32), REGISTRY[torch.relu]
>>> scope = Asked(Scope({}))
>>> remember(("an example", x), Told((x,), {}, relu.shape(scope, x), scope.questions()))
>>> recalled(("an example", x), Scope({})).result is x
True
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import torch

from fxcount.ops.core.callcost import CallCost, call_cost
from fxcount.ops.core.common import facts_of_result
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.registry import Op
from fxcount.symbolic import Comparison, Expr, Scope, Size, SymRatio
from fxcount.symbolic.facts import Facts
from fxcount.symbolic.floats import Claim

__all__ = ["Asked", "Told", "cost_told", "forget", "means_the_same", "recalled", "remember", "temporaries_told"]

_MOST = 1 << 13
"""Kinds of calls that are remembered: far more than one model has, a few MB when full."""

T = TypeVar("T")
Question = tuple[Callable[..., Any], tuple[Any, ...], Any]
"""What was asked of the scope, as a function of it and of further arguments, and the answer."""


class Told:
    """What a shape rule has said: the arguments as it takes them, its result, and the questions on which it rests."""

    __slots__ = ("args", "kwargs", "questions", "result")

    def __init__(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, questions: tuple[Question, ...]
    ) -> None:  # fmt: skip
        self.args = args
        self.kwargs = kwargs
        self.result = result
        self.questions = questions

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _elsewhere, ()


def _elsewhere() -> None:
    """Nothing is remembered of another process."""


class Asked:
    """A scope of which is noted what a rule asks, with the answers. Questions about plain numbers are none."""

    __slots__ = ("_noted", "_scope")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._noted: list[Question] | None = []

    def questions(self) -> tuple[Question, ...] | None:
        """What was asked; ``None`` if that is not all that the rule has seen of the scope."""
        if self._noted is None or self._scope.unbacked.by_name:
            return None
        return tuple(self._noted)

    def _ask(self, question: Callable[..., Any], *about: Any) -> Any:
        answer = question(self._scope, *about)
        if self._noted is not None:
            self._noted.append((question, about, answer))
        return answer

    def same(self, a: Size, b: Size, reason: str = "") -> bool:
        """:meth:`Scope.same`."""
        return a is b or a == b or self.decide("==", a, b, reason)

    def decide(self, relation: Comparison, a: Size, b: Size, reason: str = "") -> bool:
        """:meth:`Scope.decide`."""
        if type(a) is int and type(b) is int:
            return self._scope.decide(relation, a, b, reason)
        return bool(self._ask(Scope.decide, relation, a, b, reason))

    def equal(self, a: Size, b: Size) -> bool:
        """:meth:`Scope.equal`."""
        return a is b or a == b or bool(self._ask(Scope.equal, a, b))

    def hint(self, size: Size) -> int:
        """:meth:`Scope.hint`."""
        return size if type(size) is int else int(self._ask(Scope.hint, size))

    def divisible(self, a: Size, m: int, reason: str = "") -> bool:
        """:meth:`Scope.divisible`."""
        return a % m == 0 if type(a) is int else bool(self._ask(Scope.divisible, a, m, reason))

    def steps(self, room: Size, step: Size) -> Size:
        """:meth:`Scope.steps`."""
        found: Size = self._ask(Scope.steps, room, step)
        return found

    def pin(self, size: Size, reason: str = "") -> int:
        """:meth:`Scope.pin`."""
        return size if type(size) is int else int(self._ask(Scope.pin, size, reason))

    def claim(self, claim: Claim, reason: str = "") -> None:
        """:meth:`Scope.claim`."""
        self._ask(Scope.claim, claim, reason)

    def outside(self, question: Callable[[], T]) -> T:
        """:meth:`Scope.outside`."""
        found: T = self._ask(_outside, question)
        return found

    @property
    def facts(self) -> Facts:
        """What is known, which is one object wherever the same was learned."""
        found: Facts = self._ask(_facts)
        return found

    @property
    def hints(self) -> dict[str, int]:
        """The sample values."""
        self._ask(_hints)
        return self._scope.hints

    def __getattr__(self, name: str) -> Any:
        if name == "unbacked" and not self._scope.unbacked.by_name:  # then none of its methods has anything to say
            self._ask(_all_backed)
        else:
            self._noted = None
        return getattr(self._scope, name)


def _outside(scope: Scope, question: Callable[[], Any]) -> Any:
    return scope.outside(question)


def _facts(scope: Scope) -> Facts:
    return scope.facts


def _hints(scope: Scope) -> dict[str, int]:
    return dict(scope.hints)


def _all_backed(scope: Scope) -> bool:
    return not scope.unbacked.by_name


# -- shapes -------------------------------------------------------------------------------------------------------------
class _Slot:
    """Where it is kept what a rule has said for some arguments: nothing at first."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told: Told | None = None


@lru_cache(_MOST)
def _slot(default: torch.dtype, key: tuple[Any, ...]) -> _Slot:
    """The slot of a kind of call; rules look at torch's default dtype, too."""
    return _Slot()


def recalled(key: tuple[Any, ...], scope: Scope) -> Told | None:
    """What was said for the same arguments, if the scope says the same again."""
    told = _slot(torch.get_default_dtype(), key).told
    if told is not None:
        for question, about, answer in told.questions:
            if question(scope, *about) != answer:
                return None
    return told


def remember(key: tuple[Any, ...], told: Told) -> None:
    """Keep it for calls of the same ``key``, in which there must be nothing that means nothing to another analysis."""
    _slot(torch.get_default_dtype(), key).told = told


_LASTING = frozenset({
    Op, TensorFact, Expr, int, str, bool, float, complex, type(None), type(Ellipsis), torch.dtype, torch.device,
    torch.memory_format, torch.layout,
})  # fmt: skip
_MARKS = frozenset({bool, float, complex, slice, list, dict, SymRatio})


def means_the_same(key: tuple[Any, ...]) -> bool:
    """Whether a key has nothing but facts and plain values in it, and keeps no object of the user's: then it means the same to
    another analysis."""
    if _LASTING.issuperset(map(type, key)):
        return True
    return all([
        means_the_same(part) if type(part) is tuple else type(part) is type and part in _MARKS
        for part in key if type(part) not in _LASTING
    ])


# -- costs --------------------------------------------------------------------------------------------------------------
@lru_cache(_MOST)
def cost_told(op: Op, told: Told) -> CallCost:
    """The cost of a call, by its op and what was said of its shapes. Raises :class:`~fxcount.errors.UncountedError`."""
    return call_cost(op, told.args, told.kwargs, told.result)


@lru_cache(_MOST)
def temporaries_told(op: Op, told: Told) -> Size:
    """Bytes that the call holds besides its results while it runs."""
    assert op.temporaries is not None
    found: Size = op.temporaries(facts_of_result(told.result), *told.args, **told.kwargs)
    return found


def forget() -> None:
    """Forget it all."""
    _slot.cache_clear()
    cost_told.cache_clear()
    temporaries_told.cache_clear()
