"""The cost of one call: what its op's rule says of the work, and its bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import UncountedError
from fxcount.ops.core.common import facts_in, facts_of_result
from fxcount.ops.core.fact import Alias, CopyOrView, Holding, TensorFact, Work
from fxcount.ops.core.registry import Op, Unknown, Zero
from fxcount.ops.core.tree import leaves
from fxcount.symbolic import Expr, Size, combination, sum_

__all__ = ["CallCost", "call_cost", "least_cost", "uncounted_cost"]


@dataclass(frozen=True, slots=True)
class CallCost:
    """Work of one call, with its memory traffic in bytes spelled out."""

    macs: Size = 0
    flops: Size = 0
    transcendentals: Size = 0
    read_bytes: Size = 0
    write_bytes: Size = 0

    def scaled(self, times: Size) -> CallCost:
        """The cost of ``times`` such calls."""
        if times == 1:
            return self
        return CallCost(
            self.macs * times, self.flops * times, self.transcendentals * times, self.read_bytes * times,
            self.write_bytes * times,
        )  # fmt: skip

    @staticmethod
    def total(parts: Iterable[CallCost]) -> CallCost:
        """The sum over several calls."""
        return CallCost.weighted([(part, 1) for part in parts])

    @staticmethod
    def weighted(parts: Iterable[tuple[CallCost, int]]) -> CallCost:
        """The sum over several calls, each made so many times."""
        found = list(parts)
        return CallCost(
            combination([(p.macs, n) for p, n in found]), combination([(p.flops, n) for p, n in found]),
            combination([(p.transcendentals, n) for p, n in found]), combination([(p.read_bytes, n) for p, n in found]),
            combination([(p.write_bytes, n) for p, n in found]),
        )  # fmt: skip


def call_cost(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> CallCost:
    """Cost of one call of ``op`` on these facts: its rule, and the general rule for bytes where it states none.

    Raises :class:`~fxcount.errors.UncountedError` if the op has no cost rule, or none for these arguments.
    """
    if isinstance(op.cost, Zero):
        view = isinstance(result, Alias) and not isinstance(result, CopyOrView)
        if not op.cost.moves or (view and not op.inplace):
            return CallCost()
        work = Work()
    elif isinstance(op.cost, Unknown):
        raise UncountedError(f"{op.name} has no cost rule", hint=op.cost.hint)
    else:
        facts = result if type(result) is TensorFact else facts_of_result(result)
        work = op.cost(facts, *args, **kwargs)
    return _traffic(op, args, kwargs, result, work)


def uncounted_cost(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> CallCost:
    """The bytes of a call whose work nobody knows."""
    return _traffic(op, args, kwargs, result, Work())


def least_cost(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> CallCost:
    """The cost of a call, or its bytes alone where no rule says what it works."""
    try:
        return call_cost(op, args, kwargs, result)
    except UncountedError:
        return uncounted_cost(op, args, kwargs, result)


def _traffic(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, work: Work) -> CallCost:
    """The work with its bytes: each operand and each result once, unless the rule says otherwise."""
    if isinstance(result, CopyOrView) and not op.inplace:
        copied = _traffic(op, args, kwargs, result.fact, work)
        times = result.copied
        return dataclasses.replace(copied, read_bytes=times * copied.read_bytes, write_bytes=times * copied.write_bytes)
    read, write = work.read_bytes, work.write_bytes
    if read is None:
        read = sum_([f.nbytes for f in _operands(args, kwargs)])
    if write is None:
        write = result.nbytes if type(result) is TensorFact else _written(result, op.inplace)
    return CallCost(work.macs, work.flops, work.transcendentals, read, write)


def _operands(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[TensorFact]:
    """All tensors among the arguments, which are mostly plain tensors and numbers."""
    if kwargs or not _FLAT.issuperset(map(type, args)):
        return facts_in((args, kwargs))
    return [a for a in args if type(a) is TensorFact]


_FLAT = frozenset({TensorFact, Expr, int, float, bool, str, type(None)})


def _written(result: object, inplace: bool) -> Size:
    return sum_([f.nbytes for f, alias in _results(result) if not alias or inplace])


def _results(result: object) -> Iterator[tuple[TensorFact, bool]]:
    for leaf in leaves(result):
        if isinstance(leaf, (Alias, Holding)):
            yield leaf.fact, True
        elif isinstance(leaf, TensorFact):
            yield leaf, False
