"""What a counting convention is: a tool's unit, its rules, what it leaves out and where it is known to be wrong.

A convention turns the op calls and module calls of one trace into :class:`Item`\\ s; the tool's number is their sum. It never
runs the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from fxcount.dataclass import dataclass
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Alike, Evaluate
from fxcount.symbolic import Size

__all__ = ["Convention", "Evaluate", "Item", "Mistake"]


@dataclass(frozen=True, slots=True)
class Item:
    """What a tool counts for each of the op calls, or module calls, that are ``alike``: a module call stands for all op calls
    inside it that no item before it stands for, of module calls within each other the outer one; ``None``: for nothing that
    is called.

    ``kind``: op name or module class; ``rule``: what was counted, in words. ``numeric`` replaces ``count`` once sizes are
    numbers, where the tool rounds.
    """

    kind: str
    alike: Alike[Any] | None
    count: Size
    rule: str
    numeric: Callable[[Evaluate], int] | None = None

    @property
    def calls(self) -> Sequence[int]:
        """Numbers of the op calls, or module calls."""
        return () if self.alike is None else self.alike.calls

    @property
    def times(self) -> int:
        """How often it is counted."""
        return 1 if self.alike is None else len(self.alike.calls)


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
