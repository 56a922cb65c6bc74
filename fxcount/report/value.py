"""Reports as values: equal if all that is recorded is, and pickled as they are saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

    from fxcount.report.data.report import ReportData

__all__ = ["Value"]


class Value:
    """A report that is compared and copied by what it says."""

    def __eq__(self, other: object) -> bool:
        if self is other or type(other) is not type(self):
            return self is other
        from fxcount.report.views.graphs.encode import encode

        return encode(self) == encode(other)  # type: ignore[arg-type]

    def __hash__(self) -> int:
        report: ReportData = self  # type: ignore[assignment]
        values = None if report.values is None else frozenset(report.values.items())
        trace = report.trace
        return hash((trace.model_name, len(trace.calls), report.costs.total, values, frozenset(report.fixed.items())))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, Any], ...]]:
        """What :func:`fxcount.load` reads: everything but ``graph_module``, as that needs the model's tensors and code."""
        from fxcount.report.views.graphs.encode import encode

        report: ReportData = self  # type: ignore[assignment]
        return type(self)._decoded, tuple([encode(each) for each in (report, *report.other_pieces())])

    @classmethod
    def _decoded(cls, body: Mapping[str, Any], *others: Mapping[str, Any]) -> Self:
        from fxcount.report.views.graphs.decode import decode
        from fxcount.report.views.saved.text import plain

        found: Any = cls.of(decode(plain(body)))
        found.adopt([decode(plain(other)) for other in others])
        return found  # type: ignore[no-any-return]

    @classmethod
    def of(cls, data: ReportData) -> Self:
        """That of what was read from a file."""
        made: Any = cls
        found = made(*cls._parts(data), data.values, None if data.values is None else [u.name for u in data.guesses])
        found.fixed, found.piece.because = data.fixed, data.piece.because
        found.adopt(data.other_pieces())
        return found  # type: ignore[no-any-return]

    @staticmethod
    def _parts(data: Any) -> tuple[Any, ...]:
        """What it is made of."""
        return data.trace, data.costs

    def __copy__(self) -> Self:  # nothing in it changes
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
