"""The pieces over a range as rows: domain, formulas, and what decides them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fxcount.dataclass import dataclass
from fxcount.report.data.pieces import Found, RefusedSizes, peak_of
from fxcount.report.data.regions import condition, text
from fxcount.symbolic import Assumption, Size, to_sympy

if TYPE_CHECKING:
    from fxcount.report.data.regions import Side

__all__ = ["PieceRow", "PiecesData", "RefusedRow"]


class PieceRow:
    """One piece: its ``domain`` in words and as a sympy ``condition``, and its totals there as formulas.

    ``assumptions`` are those that decide it, each with its line in the model; ``hints`` the sizes it was analysed at.
    """

    def __init__(self, found: Found) -> None:
        self._found = found

    @property
    def domain(self) -> str:
        return text(self._found.domain)

    @property
    def sides(self) -> tuple[tuple[Side, ...], ...]:
        """The domain as data: alternatives, each of what is said of groups of symbols."""
        return self._found.domain

    @property
    def condition(self) -> Any:
        return condition(self._found.domain)

    @property
    def hints(self) -> dict[str, int]:
        return dict(self._found.hints)

    @property
    def assumptions(self) -> list[Assumption]:
        return list(self._found.assumptions)

    def sizes(self, quantity: str) -> tuple[Size, ...]:
        """The formulas of which a total is the largest: several for a peak, for all others one."""
        return self._found.sizes[quantity]

    def size(self, quantity: str) -> Size:
        """A total as the project's own formula, which prints without sympy."""
        sizes = self.sizes(quantity)
        return sizes[0] if len(sizes) == 1 else peak_of(sizes)

    def formula(self, quantity: str) -> Any:
        """A total by name: an ``int``, or ``sympy.Expr`` in the symbols that run."""
        size = self.size(quantity)
        return size if isinstance(size, int) else to_sympy(size)

    @property
    def macs(self) -> Any:
        return self.formula("macs")

    @property
    def flops(self) -> Any:
        return self.formula("flops")

    def __eq__(self, other: object) -> bool:
        return self._found == other._found if isinstance(other, PieceRow) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.domain)

    def __repr__(self) -> str:
        return f"<PieceRow {self.domain}>"


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """Sizes the model refuses: the ``domain`` in words and as a condition, what it said, and its line."""

    domain: str
    said: str
    where: str
    sides: tuple[tuple[Side, ...], ...]

    @property
    def condition(self) -> Any:
        return condition(self.sides)


class PiecesData:
    """``rows``: the pieces; ``refused``: regions without an answer; ``over``: the range in words."""

    def __init__(self, model_name: str, over: str, found: Sequence[Found], refused: Sequence[RefusedSizes]) -> None:
        self.model_name = model_name
        self.over = over
        self.rows = tuple([PieceRow(f) for f in found])
        self.refused = tuple([RefusedRow(text(r.domain), r.said, r.where, r.domain) for r in refused])

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        return self._all() == other._all() if isinstance(other, PiecesData) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model_name, self.over, len(self.rows), len(self.refused)))

    def _all(self) -> tuple[Any, ...]:
        return self.model_name, self.over, self.rows, self.refused

    def __iter__(self) -> Iterator[PieceRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        no = f", {len(self.refused)} regions refused" if self.refused else ""
        return f"<fxcount.{type(self).__name__} of {self.model_name} over {self.over}: {len(self)}{no}>"
