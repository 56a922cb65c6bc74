"""Decisions a model takes on data that nobody knows: ``if x.max() > 1``, answered by the line that asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fxcount.errors import DataDependentError

__all__ = ["Decisions"]

MAX_ASKED = 1000
"""How often one line may ask: a loop that only data end would ask for ever."""


class Decisions:
    """``told`` are answers by line of code; a line that is not among them is told no. ``met`` are the answers given, in the
    order in which the lines first asked, ``where`` the place of that first time.

    Data that are made of sizes could be computed, which pins the sizes: with ``compute`` they are, else such a question is
    answered like any other, ``could_compute`` is set, and ``always`` has the answers that are the same at the sample values and
    at many other sizes: None for a line that has none."""

    def __init__(self, told: Mapping[str, bool], compute: bool) -> None:
        self.told = told
        self.compute = compute
        self.could_compute = False
        self.always: dict[str, bool | None] = {}
        self.met: dict[str, bool] = {}
        self.where: dict[str, str] = {}
        self._asked: dict[str, int] = {}

    def could_be_computed(self, line: str, always: bool | None) -> None:
        """A question at this line is made of sizes, and has this answer wherever it was tried."""
        self.could_compute = True
        self.always[line] = always if self.always.get(line, always) is always else None

    @property
    def as_always(self) -> bool:
        """Whether all such questions, and there are some, were answered as they are wherever they were tried."""
        found = self.always.items()
        return bool(found) and all(answer is not None and self.met.get(line) is answer for line, answer in found)

    def answer(self, line: str, where: Callable[[], str]) -> bool:
        """The answer for a line of code, the same whenever it asks."""
        if line not in self.met:
            self.met[line] = self.told.get(line, False)
            self.where[line] = where()
        asked = self._asked[line] = self._asked.get(line, 0) + 1
        if asked > MAX_ASKED:
            raise DataDependentError(
                f"the model asks for data {asked} times at one line, whose answer may be what ends a loop", where=where(),
                hint="write the loop over a number of steps that is known",
            )  # fmt: skip
        return self.met[line]
