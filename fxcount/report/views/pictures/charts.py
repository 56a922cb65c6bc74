"""Small charts as SVG: bytes alive over the calls, a curve over sizes, parts of a whole. They need no package."""

from __future__ import annotations

from collections.abc import Sequence

from fxcount.report.views.pictures.colours import GROUPS
from fxcount.report.views.pictures.drawing import document, element, text

__all__ = ["line_chart", "parts_bar", "timeline_chart"]

_WIDTH, _LEFT, _BOTTOM, _TOP = 760, 78, 26, 26
_DASHES = (None, "7 3", "2 3", "9 3 2 3")
_GREY, _INK, _BLUE = "#767676", "#1b1b1b", "#0072b2"


def timeline_chart(
    title: str,
    values: Sequence[int],
    shown: Sequence[str],
    peak: str,
    phases: Sequence[tuple[str, int]] = (),
    height: int = 210,
) -> str:
    """Bytes alive at each call, as a filled line with its peak; ``shown``: the marks of 0, half and the peak in words;
    ``phases``: names with the call at which each begins."""
    room, floor = _WIDTH - _LEFT - 10, height - _BOTTOM
    most = max([*values, 1])
    columns = min(len(values), room) or 1
    tops = [0] * columns
    for i, v in enumerate(values):
        tops[i * columns // len(values)] = max(tops[i * columns // len(values)], v)

    def down(v: float) -> float:
        return round(floor - (floor - _TOP) * v / most, 1)

    path = f"M{_LEFT} {floor}"
    for k, v in enumerate(tops):
        path += f"V{down(v)}H{round(_LEFT + (k + 1) * room / columns, 1)}"
    parts = [element("path", d=f"{path}V{floor}Z", fill="#56b4e9", fill_opacity=0.45, stroke=_BLUE, stroke_width=1.2)]
    for share, said in zip((0, 0.5, 1), shown):
        parts.append(element("line", x1=_LEFT, x2=_WIDTH - 10, y1=down(share * most), y2=down(share * most), stroke="#dddddd"))
        parts.append(text(_LEFT - 6, down(share * most) + 4, said, size=11, text_anchor="end", fill=_GREY))
    for name, start in phases:
        x = round(_LEFT + room * start / max(len(values), 1), 1)
        parts.append(element("line", x1=x, x2=x, y1=_TOP - 8, y2=floor, stroke=_GREY, stroke_dasharray="3 3"))
        parts.append(text(x + 3, floor + 14, name, size=11, fill=_GREY))
    if values:
        x = _LEFT + room * (list(values).index(max(values)) + 0.5) / len(values)
        parts.append(element("path", d=f"M{round(x, 1)} {_TOP}l-5 -9h10z", fill="#a33c00"))
        left = x > _WIDTH / 2
        parts.append(
            text(x - 9 if left else x + 9, _TOP - 6, peak, size=11, most=70, text_anchor="end" if left else None, fill=_INK)
        )
    return document(_WIDTH, height, title, parts)


def line_chart(
    title: str, axis: str, lines: Sequence[tuple[str, Sequence[tuple[int, int | None, int | None]]]], low: str, high: str,
    height: int = 260,
) -> str:  # fmt: skip
    """Lines of points ``(size, count, piece)``: gaps where there is no count, dashes where the piece changes. ``low`` and
    ``high``: the least and largest count in words."""
    points = [(x, y) for _, line in lines for x, y, _ in line if y is not None]
    if not points:
        return document(_WIDTH, 60, title, [text(20, 35, "no point has a count")])
    x0, x1 = min(x for x, _ in points), max(x for x, _ in points)
    y0, y1 = min(y for _, y in points), max(y for _, y in points)
    right, floor = _WIDTH - 120, height - _BOTTOM - 8

    def across(x: float) -> float:
        return round(_LEFT + (right - _LEFT) * ((x - x0) / (x1 - x0) if x1 > x0 else 0.5), 1)

    def down(y: float) -> float:
        return round(floor - (floor - _TOP) * ((y - y0) / (y1 - y0) if y1 > y0 else 0.5), 1)

    parts = [text(_LEFT - 6, down(y) + 4, said, size=11, text_anchor="end", fill=_GREY) for y, said in ((y0, low), (y1, high))]
    parts += [element("line", x1=_LEFT, x2=right, y1=down(y), y2=down(y), stroke="#dddddd") for y in (y0, y1)]
    parts += [
        text(across(x), floor + 16, str(x), size=11, text_anchor="middle", fill=_GREY) for x in sorted({x0, (x0 + x1) // 2, x1})
    ]
    parts.append(text((_LEFT + right) / 2, height - 4, axis, size=12, text_anchor="middle", fill=_INK))
    for i, (name, line) in enumerate(lines[:8]):
        colour = _BLUE if not i else GROUPS[(i - 1) % len(GROUPS)]
        path, pen = "", False
        before: tuple[int, int | None, int | None] | None = None
        for x, y, piece in line:
            if y is not None:
                path += f"{'L' if pen else 'M'}{across(x)} {down(y)}"
            if before is not None and before[1] is not None and y is not None and piece != before[2]:
                at = round((across(x) + across(before[0])) / 2, 1)
                parts.append(element("line", x1=at, x2=at, y1=_TOP, y2=floor, stroke=_GREY, stroke_dasharray="2 4"))
            pen, before = y is not None, (x, y, piece)
        parts.append(
            element("path", d=path, fill="none", stroke=colour, stroke_width=2, stroke_dasharray=_DASHES[i % len(_DASHES)])
        )
        last = next(((x, y) for x, y, _ in reversed(line) if y is not None), None)
        if last is not None and name:
            parts.append(text(across(last[0]) + 5, down(last[1]) + 4, name, size=11, most=17, fill=_INK))
    return document(_WIDTH, height, title, parts)


def parts_bar(title: str, parts: Sequence[tuple[str, int, str]], height: int = 64) -> str:
    """A bar of parts ``(name, amount, amount in words)`` side by side, each with its name below or in it."""
    whole = sum([n for _, n, _ in parts]) or 1
    shapes, x = [], 10.0
    for i, (name, n, said) in enumerate(parts):
        width = (_WIDTH - 20) * n / whole
        colour = GROUPS[i % len(GROUPS)]
        shapes.append(element("rect", x=round(x, 1), y=10, width=round(width, 1), height=24, fill=colour, stroke=_INK))
        shapes.append(element("rect", x=10 + 185 * i, y=44, width=11, height=11, fill=colour, stroke=_INK))
        shapes.append(text(26 + 185 * i, 54, f"{name}: {said}", size=12, most=26, fill=_INK))
        x += width
    return document(_WIDTH, height, title, shapes)
