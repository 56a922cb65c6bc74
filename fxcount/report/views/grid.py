"""Columns of the text table: what can be shown, how wide it is, and what gives way where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from fxcount.columns import COLUMNS, COUNTS
from fxcount.dataclass import dataclass
from fxcount.report.views.tree import Shown, shapes
from fxcount.report.views.units import bytes_text, count_text
from fxcount.wording import visible

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["Grid", "counts_in", "grid"]

_BAR = 10
_SHORT_SHARE = "share"
_LEAST_OF_A_CLASS = 2
_NARROWEST = 14  # letters of a module that are kept when all else has given way
_UNITS = {"read_bytes": bytes_text, "write_bytes": bytes_text}


@dataclass(frozen=True, slots=True)
class Grid:
    """The lines of the rows, and how wide they are; the first ``stem`` letters of each draw the tree."""

    head: str
    rows: tuple[tuple[int, str], ...]
    width: int


def counts_in(columns: Sequence[str]) -> list[str]:
    """The counts that these columns show."""
    return [name for name in COUNTS if name in columns or (name == "macs" and "share" in columns)]


def grid(report: ReportData, shown: Sequence[Shown], columns: Sequence[str], width: int | None) -> Grid:
    """The rows as lines, no longer than ``width``: bars go first, then formulas of shapes, then the shapes and the long head of
    shares, then the end of classes, then the middle of names."""
    stems = _stems([s.level for s in shown])
    names = [(len(stem), stem + visible(s.label)) for stem, s in zip(stems, shown, strict=True)]
    total = shown[0].row.counts.get("macs", 0) if shown else 0
    for drawn in _attempts(report, columns, total):
        cells = [[visible(cell(s)) for cell in drawn.values()] for s in shown]
        widths = [max([len(head), *[len(line[i]) for line in cells]]) for i, head in enumerate(drawn)]
        beside = sum(widths) + 2 * len(widths)
        longest = max([len("module"), *[len(text) for _, text in names]])
        if width is None or longest + beside <= width:
            break
    if width is not None and longest + beside > width:
        longest = max(_NARROWEST, width - beside)
    left = [head in (COLUMNS["shape"], COLUMNS["share"], _SHORT_SHARE) for head in drawn]

    def line(name: str, texts: Sequence[str]) -> str:
        parts = [t.ljust(w) if is_left else t.rjust(w) for t, w, is_left in zip(texts, widths, left, strict=True)]
        return "  ".join([_fitted(name, longest).ljust(longest), *parts]).rstrip()

    rows = tuple([(stem, line(name, texts)) for (stem, name), texts in zip(names, cells, strict=True)])
    return Grid(line("module", list(drawn)), rows, longest + beside)


Cell = Callable[[Shown], str]


def _attempts(report: ReportData, columns: Sequence[str], total: int) -> Iterator[dict[str, Cell]]:
    """Columns by their heads, each time narrower."""
    for bars, numbers, without in ((True, False, ""), (False, False, ""), (False, True, ""), (False, True, "shape")):
        kept = [c for c in columns if c != without]
        heads = {**COLUMNS, "share": _SHORT_SHARE} if without else COLUMNS
        yield {heads[c]: _cell(report, c, total, bars, numbers) for c in kept}


def _cell(report: ReportData, column: str, total: int, bars: bool, numbers: bool) -> Cell:
    if column == "shape":
        return lambda s: shapes(report, s.row.module, True) if numbers and s.row.module is not None else s.row.shape
    if column == "params":
        return _params
    if column == "share":
        return lambda s: _share(s.row.counts["macs"] * s.calls, total, bars)
    text = _UNITS.get(column, count_text)
    return lambda s: text(s.row.counts[column] * s.calls) + "?" * s.row.guessed


def _params(s: Shown) -> str:
    if s.row.params is None:
        return ""
    return "shared" if s.row.again else f"{s.row.params * s.calls:,}" if s.row.params else "-"


def _share(part: int, total: int, bars: bool) -> str:
    if not total:
        return ""
    share = part / total
    return f"{100 * share:5.1f}% " + "█" * round(_BAR * share) * bars


def _fitted(name: str, width: int) -> str:
    """A row's name in so many letters: the end of its class goes before its own middle, and of how many rows it is stays.

    >>> _fitted("├─ features: Sequential", 17), _fitted("1 .. 3: Bottleneck x3", 14), _fitted("embeddings: Embeddings", 13)
    ('├─ features: Seq…', '1 .. 3: Bo… x3', 'embeddings…')
    >>> _fitted("LlamaForCausalLM", 14)
    'LlamaForC…alLM'
    """
    if len(name) <= width:
        return name
    own, colon, kind = name.partition(": ")
    times = kind.rpartition(" x")[2] if colon else ""
    end = f"… x{times}" if times.isdecimal() and " x" in kind else "…"
    room = width - len(own) - len(": ") - len(end)
    if colon and room >= _LEAST_OF_A_CLASS:
        return f"{own}: {kind[:room]}{end}"
    if colon and len(own) + len(end) <= width:
        return own + end
    return f"{name[: width - width // 3 - 1]}…{name[len(name) - width // 3 :]}"


def _stems(levels: Sequence[int]) -> list[str]:
    """The branches drawn before each row: one pass from the end, remembering which levels go on below."""
    open_levels: set[int] = set()
    stems: list[str] = []
    for d in reversed(levels):
        open_levels = {level for level in open_levels if level <= d}
        if d == 0:
            stems.append("")
        else:
            trunk = "".join("│  " if level in open_levels else "   " for level in range(1, d))
            stems.append(trunk + ("├─ " if d in open_levels else "└─ "))
            open_levels.add(d)
    return stems[::-1]
