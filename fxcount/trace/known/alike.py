"""Whether two values hold the same data, as far as that can be told without any: they were computed alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fxcount.ops.core.tree import leaves
from fxcount.trace.tape import Call, Value

__all__ = ["same_data"]

_DEEPEST = 64  # calls that are followed back


def same_data(args: Sequence[Any], calls: Sequence[Call]) -> bool:
    """Whether the first two arguments are one value, or results of the same calls on the same values.

    Nothing is claimed of values that someone has written to, or that are drawn.
    """
    if len(args) < 2 or not all(isinstance(a, Value) for a in args[:2]):
        return False
    pairs = [(args[0], args[1])]
    written = {storage for call in calls for storage in call.mutated}
    for _ in range(_DEEPEST):
        if not pairs:
            return True
        a, b = pairs.pop()
        if a is b:
            continue
        made = _alike(a, b, calls, written)
        if made is None:
            return False
        pairs += made
    return not pairs


def _alike(a: Value, b: Value, calls: Sequence[Call], written: set[int]) -> list[tuple[Value, Value]] | None:
    """The operands that have to be the same for two results to be; None if they were not computed alike."""
    if a.call < 0 or b.call < 0 or a.position != b.position or {a.storage, b.storage} & written:
        return None
    first, second = calls[a.call], calls[b.call]
    if first.op is not second.op or first.func is not second.func or first.op.random:
        return None
    mine, theirs = leaves((first.args, first.kwargs)), leaves((second.args, second.kwargs))
    if len(mine) != len(theirs):
        return None
    pairs = []
    for x, y in zip(mine, theirs):
        if isinstance(x, Value) and isinstance(y, Value):
            pairs.append((x, y))
        elif type(x) is not type(y) or x != y:
            return None
    return pairs
