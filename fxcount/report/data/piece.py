"""One analysis and the sizes at which it holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from fxcount.passes import Costs, Memory, Parameters, memory, parameters
from fxcount.symbolic import Assumption, Expr, Size, Unbacked, free_symbols, substitute
from fxcount.symbolic.assumption import primitive
from fxcount.symbolic.domain import completed_at, holds_at
from fxcount.trace.tape import Trace

__all__ = ["TOTALS", "Piece", "with_fixed"]


class Piece:
    """A trace with its costs, and what the passes find in it, worked out when first asked for: the same at all sizes at which
    the assumptions of the trace hold.

    ``because`` says why it was made after the first one: which assumption does not hold there.
    """

    def __init__(self, trace: Trace, costs: Costs, because: str = "") -> None:
        self.trace = trace
        self.costs = costs
        self.because = because
        self.formulas: dict[Expr, Any] = {}  # as sympy's
        self.factors: dict[str, Any] = {}  # what they are made of, likewise

    @classmethod
    def of(cls, report: Any, because: str) -> Piece:
        """That of a report, made after the first ``because`` of something."""
        return cls(report.trace, report.costs, because)

    @property
    def hints(self) -> dict[str, int]:
        """The sizes at which the decisions were taken."""
        return dict(self.trace.scope.hints)

    def totals(self, *names: str) -> dict[str, tuple[Size, ...]]:
        """These of :data:`TOTALS`."""
        return {name: TOTALS[name](self) for name in names}

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """The decisions it rests on."""
        return tuple(self.trace.scope.assumptions)

    @property
    def asked(self) -> list[str]:
        """The symbols of the inputs: those that only data decide have defaults."""
        return [name for name in self.trace.scope.hints if name not in self.trace.scope.unbacked.by_name]

    def asked_in(self, values: Mapping[str, int]) -> bool:
        """Whether each of these symbols has a value."""
        return values.keys() >= set(self.asked)

    def completed(self, values: Mapping[str, int]) -> dict[str, int]:
        """The values, those the user has given for guesses, and the defaults of what else data decide."""
        return self.trace.scope.unbacked.completed({**self.given(), **values})

    def filled(self, points: Mapping[str, Any]) -> dict[str, Any]:
        """:meth:`completed` for arrays of values."""
        return completed_at(self.trace.scope, {**self.given(), **points})

    def holds(self, points: Mapping[str, Any]) -> Any:
        """At which of these points, given as arrays of values, every assumption holds."""
        return holds_at(self.trace.scope, self.filled(points))

    def broken(self, values: Mapping[str, int]) -> Assumption | None:
        """The first assumption that does not hold at these completed values, or ``None``."""
        return self.trace.scope.check(values)

    def given(self) -> dict[str, int]:
        """Hints that stand for what is not known are the user's own answer."""
        unbacked = self.trace.scope.unbacked
        stems = {name: name.rpartition("_")[0] for name, u in unbacked.by_name.items() if u.guess}
        given = unbacked.given
        return {n: given[n] if n in given else given[stem] for n, stem in stems.items() if n in given or stem in given}

    @cached_property
    def parameters(self) -> Parameters:
        return parameters(self.trace)

    @cached_property
    def memory(self) -> Memory:
        return memory(self.trace, self.__dict__.get("parameters"))

    @cached_property
    def graph_module(self) -> Any:
        from fxcount.trace.lower import lower

        return lower(self.trace)

    @cached_property
    def guesses(self) -> dict[str, Unbacked]:
        """Data-dependent sizes on which a number here rests, directly or by a decision, and for which nothing speaks."""
        unbacked = self.trace.scope.unbacked
        guesses = {
            name: u for name, u in unbacked.by_name.items()
            if u.guess and unbacked.given.keys().isdisjoint({name, name.rpartition("_")[0]})
        }  # fmt: skip
        if not guesses:
            return {}
        used = {s.nbytes for s in self.trace.storages}
        used.update([size for c in self.costs.by_signature.values() for size in dataclasses.astuple(c)])
        used.update([size for m in self.trace.modules for f in m.outputs for size in f.shape])
        used.update([size for v in self.trace.values_out() for size in v.fact.shape])
        used.update([a.expr for a in self.trace.scope.assumptions])
        names = frozenset().union(*map(free_symbols, used))
        return {name: u for name, u in guesses.items() if name in names}

    def __str__(self) -> str:
        at = ", ".join(f"{n}={v}" for n, v in self.trace.scope.hints.items()) or "the sizes given"
        return f"analysed again at {at}, since {self.because}" if self.because else f"analysed at {at}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.trace.model_name}, {self}>"


TOTALS: Mapping[str, Callable[[Piece], tuple[Size, ...]]] = {
    "params": lambda piece: (piece.parameters.total,),
    "trainable": lambda piece: (piece.parameters.trainable,),
    "param_bytes": lambda piece: (piece.parameters.bytes,),
    "buffer_bytes": lambda piece: (piece.parameters.buffer_bytes,),
    "macs": lambda piece: (piece.costs.total.macs,),
    "flops": lambda piece: (piece.costs.total.flops,),
    "transcendentals": lambda piece: (piece.costs.total.transcendentals,),
    "read_bytes": lambda piece: (piece.costs.total.read_bytes,),
    "write_bytes": lambda piece: (piece.costs.total.write_bytes,),
    "activation_bytes": lambda piece: (piece.memory.activations,),
    "peak_bytes": lambda piece: tuple([peak.nbytes for peak in piece.memory.peaks]) or (0,),
}
"""What an analysis says in total, by name; each is the largest of its sizes, of which the peak alone has several."""


def with_fixed(assumption: Assumption, values: Mapping[str, int]) -> Assumption | None:
    """What is left of an assumption when some symbols have these values, at which it can be met; ``None`` if nothing is.

    >>> from fxcount.symbolic import symbol
    >>> claim = Assumption(">=", symbol("B") * symbol("S") - 200, 0, "guard", "if b * s >= 200", "net.py:7")
    >>> print(with_fixed(claim, {"B": 8}), with_fixed(claim, {"B": 8, "S": 25}))
    S >= 25 None
    """
    if assumption.claim is not None:
        return assumption if sizes_left(assumption, values) else None
    left = substitute(assumption.expr, values)
    if isinstance(left, int):
        return None
    expr = left if assumption.relation == "%" else primitive(assumption.relation, left)
    return dataclasses.replace(assumption, expr=expr)


def sizes_left(assumption: Assumption, values: Mapping[str, int]) -> bool:
    """Whether an assumption depends on symbols without a value."""
    return any(free_symbols(size) - values.keys() for size in assumption.sizes)
