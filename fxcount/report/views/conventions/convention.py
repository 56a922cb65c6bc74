"""What a counting convention is: a tool's unit, its rules, what it leaves out and where it is known to be wrong.

A convention turns the op calls and module calls of one trace into :class:`Item`\\ s; the tool's number is their sum. It never
runs the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from fxcount.dataclass import dataclass
from fxcount.report.views.conventions.records import Records
from fxcount.symbolic import Size

__all__ = ["Convention", "Evaluate", "Item", "Mistake"]

Evaluate = Callable[[Size], int]


@dataclass(slots=True)  # not frozen, which takes three times as long: there are tens of thousands
class Item:
    """What a tool counts for one op call or one module call.

    ``calls``: the op calls it stands for, as a range of indices; ``kind``: op name or module class; ``rule``: what was
    counted, in words. ``numeric`` replaces ``count`` once sizes are numbers, where the tool rounds.
    """

    kind: str
    calls: range
    count: Size
    rule: str
    numeric: Callable[[Evaluate], int] | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """A known mistake of a tool. ``copied``: whether the convention reproduces it, so that the numbers agree."""

    name: str
    what: str
    copied: bool = True


@dataclass(frozen=True, slots=True)
class Convention:
    """One tool's way to count.

    ``per_mac``: how many of the tool's units one multiply-accumulate is (0: the quantity is no work, e.g. bytes);
    ``per``: whether the number is that of the whole batch or of one sample; ``versions``: the tool's version whose source
    the rules are taken from; ``source``: the function(s) that hold them.
    """

    name: str
    tool: str
    quantity: str
    per_mac: int
    per: Literal["batch", "sample"]
    versions: str
    source: str
    includes: str
    excludes: str
    items: Callable[[Records], Iterable[Item]]
    mistakes: tuple[Mistake, ...] = ()

    @property
    def unit(self) -> str:
        """The unit in words.

        >>> from fxcount.report.views.conventions import convention
        >>> convention("torch").unit, convention("fvcore").unit
        ('FLOP (1 MAC = 2), per batch', 'FLOP (1 MAC = 1), per batch')
        """
        scale = f" (1 MAC = {self.per_mac})" if self.per_mac else ""
        return f"{self.quantity}{scale}, per {self.per}"
