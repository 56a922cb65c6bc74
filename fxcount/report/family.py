"""The pieces over a range as a user holds them: a table, and every total as a sympy Piecewise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fxcount.report.data.pieces import Found, RefusedSizes, peak_of
from fxcount.report.data.regions import condition, text
from fxcount.report.formats import Format
from fxcount.symbolic import Assumption, Size, to_sympy

if TYPE_CHECKING:
    from fxcount.report.data.regions import Side

__all__ = ["PieceRow", "Pieces", "RefusedRow"]


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
    def condition(self) -> Any:
        return condition(self._found.domain)

    @property
    def hints(self) -> dict[str, int]:
        return dict(self._found.hints)

    @property
    def assumptions(self) -> list[Assumption]:
        return list(self._found.assumptions)

    def size(self, quantity: str) -> Size:
        """A total as the project's own formula, which prints without sympy."""
        sizes = self._found.sizes[quantity]
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


class Pieces:
    """All pieces of a report over a range, from :meth:`fxcount.Report.pieces`; ``rows``, and ``refused`` regions.

    >>> import torch, fxcount
    >>> class Net(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x @ x.mT if x.shape[1] > 8 else x + 1
    >>> model = Net()
    >>> pieces = fxcount.analyze(model, "B,S,5").pieces(B=(1, 64), S=(1, 512))
    >>> [(row.domain, row.macs) for row in pieces]
    [('1 <= B <= 64, 1 <= S <= 8', 0), ('1 <= B <= 64, 9 <= S <= 512', 5*B*S**2)]
    >>> pieces.macs
    Piecewise((0, (B <= 64) & (S <= 8)), (5*B*S**2, (S >= 9) & (B <= 64) & (S <= 512)))
    """

    to_markdown = Format[str]("fxcount.report.views.pieces:to_markdown", ".md", "pieces", "a table in Markdown")

    def __init__(self, model_name: str, over: str, found: Sequence[Found], refused: Sequence[RefusedSizes]) -> None:
        self.model_name = model_name
        self.over = over
        self._found = tuple(found)
        self.rows = tuple([PieceRow(f) for f in found])
        self.refused = tuple([RefusedRow(text(r.domain), r.said, r.where, r.domain) for r in refused])

    def piecewise(self, quantity: str) -> Any:
        """A total as ``sympy.Piecewise``, exact on the range and undefined outside; pieces of the same formula are one."""
        import sympy

        merged: dict[Any, list[Any]] = {}
        for row in self.rows:
            merged.setdefault(sympy.sympify(row.formula(quantity)), []).append(row.condition)
        return sympy.Piecewise(*[(f, sympy.Or(*found)) for f, found in merged.items()], evaluate=False)

    @cached_property
    def macs(self) -> Any:
        return self.piecewise("macs")

    @cached_property
    def flops(self) -> Any:
        return self.piecewise("flops")

    @cached_property
    def read_bytes(self) -> Any:
        return self.piecewise("read_bytes")

    @cached_property
    def write_bytes(self) -> Any:
        return self.piecewise("write_bytes")

    @cached_property
    def peak_bytes(self) -> Any:
        return self.piecewise("peak_bytes")

    @cached_property
    def params(self) -> Any:
        return self.piecewise("params")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PieceRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        no = f", {len(self.refused)} regions refused" if self.refused else ""
        return f"<fxcount.Pieces of {self.model_name} over {self.over}: {len(self)}{no}>"

    def __str__(self) -> str:
        return f"{self!r}\n{self.to_markdown()}".rstrip("\n")
