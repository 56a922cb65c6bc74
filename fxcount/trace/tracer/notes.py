"""What a reader of the counts must know besides the formulas: decisions on data, data that the user gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fxcount.ops.core.tree import leaves
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Notes"]


class Notes:
    """The notes of one trace, each once, in order."""

    def __init__(self, where: Callable[[], str]) -> None:
        self.where = where
        self.texts: list[str] = []
        self.given: list[str] = []  # names of inputs whose data the user gave

    def add(self, text: str) -> None:
        if text not in self.texts:
            self.texts.append(text)

    def pass_on(self, result: object, operands: Iterable[StandIn]) -> None:
        """What is computed from data the user gave depends on them."""
        if self.given and any([o._storage.from_input for o in operands]):
            for made in leaves(result):
                if type(made) is StandIn:
                    made._storage.from_input = True

    def data_read(self, read: Iterable[StandIn]) -> None:
        """Say where the model looks at data the user gave: the counts hold for these data."""
        if self.given and any([x._storage.from_input for x in read]):
            self.add(f"the values of {', '.join(self.given)} as given (read at {self.where()})")
