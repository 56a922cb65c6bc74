"""What a check found, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fxcount.dataclass import dataclass
from fxcount.report.data.comparison import Comparison
from fxcount.review.blame import Share

__all__ = ["Finding", "Findings", "Place"]


class Place(NamedTuple):
    """A parameter that a rule is about, the line of code that makes it (0 where it is not known), and the reason."""

    name: str
    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit or rule: whether it ``holds``, and in words why; ``sizes`` at which it was compared or is broken, the ``value``
    there, the modules to ``blame`` for it, and ``places`` in the code."""

    rule: str
    limit: str
    holds: bool
    said: str
    value: int | None = None
    sizes: Mapping[str, int] | None = None
    blame: tuple[Share, ...] = ()
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What :func:`fxcount.check` found: true if every limit holds. ``comparison`` is with the saved report, if one is given."""

    model_name: str
    findings: tuple[Finding, ...]
    comparison: Comparison | None = None

    @property
    def broken(self) -> list[Finding]:
        """The limits that do not hold, or are not known to."""
        return [f for f in self.findings if not f.holds]

    def __bool__(self) -> bool:
        return not self.broken
