"""What is known of the data of results: computed for real, elements that are sizes, one number everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fxcount.ops import Op
from fxcount.trace.known import constants, fills, tables
from fxcount.trace.tracer.standin import StandIn

if TYPE_CHECKING:
    from fxcount.trace.tracer.notes import Notes

__all__ = ["Following"]


class Following:
    """Follows data through the calls of one trace."""

    def __init__(self, notes: Notes) -> None:
        self.fills = False  # whether there are tensors of symbolic shape that are full of one number
        self.tables = False  # whether there are tensors whose elements are symbolic sizes
        self._notes = notes

    def compute(
        self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None,
        operands: list[StandIn], result: Any,
    ) -> Any:  # fmt: skip
        """The result's data, if those of all operands are known; or ``None``."""
        known = constants.compute(entry, func, args, kwargs, result)
        self.tables |= known is None and bool(operands)  # perhaps a symbolic size among known numbers
        return known

    def follow(
        self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None,
        operands: list[StandIn], result: Any, known: Any,
    ) -> None:  # fmt: skip
        """Note at the result what is known of its data without being computed."""
        if known is not None:
            self._notes.pass_on(result, operands)
        if self.tables:
            tables.follow(entry, args, kwargs, result)
        if entry.made_of is not None or (self.fills and entry.follows is not None):
            self.fills |= fills.follow(entry, func, args, kwargs, result)
