"""The model as one picture: modules inside modules down to a depth, data flowing down, costs as heat.

Equal modules that follow one another are one box (``x80``). Ops that a forward calls itself between two submodules are one
small box. Shared parameters have a letter, dead ones a dashed outline and the word; modules that are never called stand
beside the others if they hold dead parameters.
"""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from itertools import accumulate

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.passes.uses import upwards
from fxcount.report.data.report import ReportData
from fxcount.report.data.rows import COUNTS, module_parameters
from fxcount.report.views.pictures.colours import GROUPS, HEAT, heat, ink, letter
from fxcount.report.views.pictures.containers import Child, Outline
from fxcount.report.views.pictures.drawing import document, element, text
from fxcount.report.views.pictures.layout import layered
from fxcount.report.views.tables import kept
from fxcount.report.views.units import bytes_text, count_text
from fxcount.symbolic import evaluate
from fxcount.trace.tape import ModuleCall
from fxcount.wording import visible

__all__ = ["to_svg"]

_LEAF, _HEAD, _PAD, _LINE = 48, 30, 14, "#767676"
_WARN, _NOTHING = "#a33c00", "#e9ecef"


def to_svg(report: ReportData, depth: int = 2, path: str | os.PathLike[str] | None = None, *, metric: str = "") -> str:
    """The model as an SVG picture, down to ``depth`` levels below it; also written to ``path``.

    ``metric`` is what colours and numbers are of: ``macs`` (the default, or ``flops`` if there are none), ``flops``,
    ``transcendentals``, ``read_bytes``, ``write_bytes`` or ``params``; at the report's values, or at its hints.

    Raises :class:`~fxcount.errors.InputError` for another ``metric`` or a ``depth`` below 0.

    >>> import torch, fxcount
    >>> picture = fxcount.analyze(torch.nn.Sequential(*[torch.nn.Linear(5, 5) for _ in range(80)]), "B,5").to_svg(1)
    >>> picture[:4], "0 .. 79: Linear x80" in picture, picture.count("<rect") < 30
    ('<svg', True, True)
    """
    if metric not in ("", "params", *COUNTS):
        raise InputError(f"a picture has no {metric!r}", hint=f"use one of {', '.join((*COUNTS, 'params'))}")
    if depth < 0:
        raise InputError(f"the depth {depth} is below 0", hint="0 is the model as one box")
    return kept(_Picture(report, depth, metric or _chosen(report)).svg(), path)


def _chosen(report: ReportData) -> str:
    return "macs" if evaluate(report.costs.total.macs, report.sizes) else "flops"


@dataclass(slots=True)
class Box:
    """What is drawn as one: ``name`` and ``kind`` in words, how much of the metric, how many ``times`` (``weight`` of
    them counted); ``inside`` with their
    places and edges, and the size of all."""

    name: str
    kind: str
    value: int
    times: int = 1
    weight: int = 1
    op: bool = False
    dead: str = ""
    letters: tuple[int, ...] = ()
    inside: tuple[Box, ...] = ()
    places: tuple[tuple[int, int], ...] = ()
    routes: tuple[tuple[int, int, tuple[tuple[int, int], ...]], ...] = ()
    stubs: tuple[tuple[int, int], ...] = ()
    width: int = 0
    height: int = _LEAF
    inner: int = 0


class _Picture:
    def __init__(self, report: ReportData, depth: int, metric: str) -> None:
        self.report = report
        self.depth = depth
        self.metric = metric
        self.trace = report.trace
        self.outline = Outline.of(report.trace)
        self.held = module_parameters(self.trace)
        self.kinds = self.outline.kinds(self.trace, self.held)
        self.each = self._costs()
        self.sums = [0, *accumulate(self.each)]
        self.letters = self._letters()
        self.dead = self._dead()

    def _costs(self) -> list[int]:
        """The metric of each call."""
        if self.metric == "params":
            return [0] * len(self.trace.calls)
        known: dict[int, int] = {}
        for call in self.trace.calls:
            key = id(call.signature)
            if key not in known:
                known[key] = evaluate(getattr(self.report.costs.of(call), self.metric), self.report.sizes)
        return [known[id(call.signature)] for call in self.trace.calls]

    def _letters(self) -> dict[str, list[int]]:
        """The groups of shared parameters by the paths of the modules that hold them."""
        found: dict[str, list[int]] = {}
        for i, group in enumerate(self.report.params.by_group()):
            whole = group.kind.startswith("module")
            for path in dict.fromkeys([n if whole else n.rpartition(".")[0] for n in group.names]):
                found.setdefault(path, []).append(i)
        return found

    def _dead(self) -> dict[str, int]:
        """Dead elements by the paths of the modules that hold them, what is inside them included."""
        found: dict[str, int] = {}
        for row in self.report.params.rows("dead"):
            for path in upwards(row.name.rpartition(".")[0]):
                found[path] = found.get(path, 0) + row.unique
        return found

    # -- from modules to boxes ----------------------------------------------------------------------------------------
    def svg(self) -> str:
        root = self._module(self.outline.modules[0], 0)
        margin, legend = 16, 34
        parts = [_arrow(), *self._drawn(root, margin, margin + legend), *self._legend(margin)]
        width = max(root.width + 2 * margin + 8, 680)
        return document(width, root.height + 2 * margin + legend + 6, self._title(), parts)

    def _title(self) -> str:
        at = ", ".join([f"{n}={v}" for n, v in self.report.sizes.items()])
        return f"{self.trace.model_name}: {self.metric}" + (f" at {at}" if at else "")

    def _value(self, m: ModuleCall) -> int:
        return self.held.get(m.path, 0) if self.metric == "params" else self.sums[m.stop] - self.sums[m.start]

    def _module(self, m: ModuleCall, level: int) -> Box:
        name = m.path.rpartition(".")[2]
        again = f" (call {m.number})" if m.number > 1 else ""
        box = Box(name or m.class_name, m.class_name + again if name else again.strip(), self._value(m))
        box.letters = tuple(self.letters.get(m.path, ())) or self._letters_below(m, level)
        children = self.outline.containers[m.index].children
        if level < self.depth and any([c.module >= 0 for c in children]):
            self._fill(box, m, level)
        else:
            self._leaf(box, m)
        return box

    def _letters_below(self, m: ModuleCall, level: int) -> tuple[int, ...]:
        """Of a box that is not opened: also what is shared with something outside of it."""
        if level < self.depth:
            return ()
        inside = [i for path, found in self.letters.items() if path.startswith(f"{m.path}.") for i in found]
        return tuple(dict.fromkeys(inside))[:3]

    def _leaf(self, box: Box, m: ModuleCall) -> None:
        dead = self.dead.get(m.path, 0)
        box.dead = f"{dead:,} dead" if dead and m.path else ""
        box.width = _text_width(box, self._number(box))

    def _number(self, box: Box) -> str:
        return _shown(box.value * box.weight, self.metric)

    def _fill(self, box: Box, m: ModuleCall, level: int) -> None:
        """The boxes inside, each for a run of children, and how they are laid out."""
        found = self.outline.containers[m.index]
        runs = self._runs(found.children)
        of_child = [i for i, run in enumerate(runs) for _ in run]
        boxes = [self._run([found.children[k] for k in run], level) for run in runs]
        edges = {(of_child[a], of_child[b]) for a, b in found.edges} - {(i, i) for i in range(len(runs))}
        boxes += self._never_called(m)
        drawn = layered([(b.width, b.height) for b in boxes], edges)
        box.inside, box.places, box.routes, box.stubs = tuple(boxes), drawn.places, drawn.routes, drawn.stubs
        box.inner = drawn.width
        box.width = max(drawn.width, 7 * (len(box.name) + len(box.kind) + 16)) + 2 * _PAD
        box.height = drawn.height + _HEAD + 2 * _PAD

    def _runs(self, children: Sequence[Child]) -> list[list[int]]:
        """Equal modules that follow one another, and ops that do; what calls nothing is left out with the ops around it."""
        runs: list[list[int]] = []
        for i, child in enumerate(children):
            if runs and self._joins(children[runs[-1][0]], child):
                runs[-1].append(i)
            else:
                runs.append([i])
        return runs

    def _joins(self, first: Child, other: Child) -> bool:
        if (first.module < 0) != (other.module < 0):
            return False
        return first.module < 0 or self.kinds[first.module] == self.kinds[other.module]

    def _run(self, children: Sequence[Child], level: int) -> Box:
        first, last = children[0], children[-1]
        if first.module < 0:
            return self._ops([c.call for c in children])
        box = self._module(self.outline.modules[first.module], level + 1)
        if len(children) > 1:
            a, b = self.outline.modules[first.module], self.outline.modules[last.module]
            same = a.path == b.path
            names = f"{box.name} (calls {a.number} .. {b.number})" if same else f"{box.name} .. {b.path.rpartition('.')[2]}"
            box.name, box.kind, box.times = f"{names}: {a.class_name} x{len(children)}", "", len(children)
            box.weight = 1 if self.metric == "params" and same else len(children)
            number = self._number(box)
            box.width = max(box.width, _text_width(box, number), 7 * (len(box.name) + len(number) + 10) if box.inside else 0)
        return box

    def _ops(self, calls: Sequence[int]) -> Box:
        """Ops that a forward calls itself: the costliest by name."""
        most = max(calls, key=lambda i: (self.each[i], -i))
        more = len(calls) - 1
        name = self.trace.calls[most].op.name + (f" + {more} op{'s' * (more > 1)}" if more else "")
        box = Box(name, "", sum([self.each[i] for i in calls]), op=True)
        box.width, box.height = _text_width(box, self._number(box) if box.value else ""), 36 if box.value else 24
        return box

    def _never_called(self, m: ModuleCall) -> list[Box]:
        """Modules right inside this one that hold dead parameters and are never called."""
        called = {c.path for c in self.outline.modules}
        around = {a for path in called for a in upwards(path)}
        found = []
        for path, elements in self.dead.items():
            up = path.rpartition(".")[0]
            if path in around or not path or m.number > 1:
                continue
            nearest = next((a for a in upwards(up) if a in called), "")
            if nearest == m.path and (up == m.path or up in around):
                kind = self.trace.module_paths.get(path, "")
                box = Box(path.removeprefix(f"{m.path}."), kind, 0, dead=f"never called, {elements:,} dead")
                box.width = max(_text_width(box, ""), 7 * len(box.dead) + 20)
                found.append(box)
        return found

    # -- from boxes to SVG --------------------------------------------------------------------------------------------
    def _drawn(self, box: Box, x: int, y: int, outer: int = 1) -> list[str]:
        whole = self.held.get("", 0) if self.metric == "params" else self.sums[-1]
        value = box.value * box.weight * outer
        share = value / whole if whole else 0.0
        fill = heat(share) if value else _NOTHING
        parts = []
        for k in (2, 1) if box.times > 1 else ():
            parts.append(
                element(
                    "rect", x=x + 4 * k, y=y + 4 * k, width=box.width, height=box.height, rx=8, fill="#ffffff", stroke=_LINE
                )
            )
        frame = element(
            "rect", element("title", self._told(box, value, share)), x=x, y=y, width=box.width, height=box.height,
            rx=3 if box.op else 8,
            fill="#fafafa" if box.inside else fill, stroke=_WARN if box.dead else _LINE, stroke_width=2 if box.dead else 1,
            stroke_dasharray="5 3" if box.dead else None,
        )  # fmt: skip
        parts.append(frame)
        if box.inside:
            parts += self._opened(box, x, y, fill, value, share, outer)
        else:
            parts += self._closed(box, x, y, ink(fill), value, share)
        return parts + _badges(box, x, y)

    def _told(self, box: Box, value: int, share: float) -> str:
        return html.escape(visible(f"{box.name} {box.kind}: {_shown(value, self.metric)} {self.metric}, {share:.1%}"))

    def _opened(self, box: Box, x: int, y: int, fill: str, value: int, share: float, outer: int) -> list[str]:
        head = element(
            "path", d=f"M{x} {y + _HEAD}v-{_HEAD - 8}q0 -8 8 -8h{box.width - 16}q8 0 8 8v{_HEAD - 8}z", fill=fill, stroke=_LINE
        )
        number = f"{_shown(value, self.metric)}  {share:.1%}"
        room = (box.width - 7 * len(number) - 24) // 7
        label = f"{box.name}: {box.kind}" if box.kind and box.kind != box.name else box.name
        parts = [head, text(x + 10, y + 20, label, size=13, most=max(room, 4), font_weight=700, fill=ink(fill))]
        parts.append(text(x + box.width - 10, y + 20, number, size=12, text_anchor="end", fill=ink(fill)))
        left = x + (box.width - box.inner) // 2
        top = y + _HEAD + _PAD
        for _, _, points in box.routes:
            parts.append(
                element(
                    "path", d=_curve(points, left, top), fill="none", stroke=_LINE, stroke_width=1.2, marker_end="url(#arrow)"
                )
            )
        for b, (px, py) in zip(box.inside, box.places):
            parts += self._drawn(b, left + px - b.width // 2, top + py, outer * box.weight)
        for source, target in box.stubs:
            px, py = box.places[target]
            parts.append(
                text(
                    left + px,
                    top + py - 3,
                    f"← {box.inside[source].name}",
                    size=10,
                    most=30,
                    text_anchor="middle",
                    fill="#555555",
                )
            )
        return parts

    def _closed(self, box: Box, x: int, y: int, colour: str, value: int, share: float) -> list[str]:
        middle, most = x + box.width / 2, max(box.width // 7, 3)
        number = "" if not value and (box.op or box.dead) else f"{_shown(value, self.metric)}  {share:.1%}" if value else "-"
        lines = [
            (box.name, 12, 700 if not box.op else 400),
            (box.kind if box.kind != box.name else "", 11, 400),
            (number or box.dead, 11, 400),
        ]
        shown = [line for line in lines if line[0]]
        top = y + box.height / 2 - 7 * len(shown) + 10
        return [
            text(middle, top + 14 * i, said, size=size, most=most, text_anchor="middle", font_weight=weight, fill=colour)
            for i, (said, size, weight) in enumerate(shown)
        ]

    def _legend(self, margin: int) -> list[str]:
        parts = [text(margin, margin + 12, self._title(), size=14, most=48, font_weight=700, fill="#1b1b1b")]
        x = margin + max(330, 8 * min(len(self._title()), 48) + 16)
        for i, colour in enumerate(HEAT[::3]):
            share = 10.0 ** (-4 + 4 * 3 * i / (len(HEAT) - 1))
            parts.append(element("rect", x=x, y=margin, width=54, height=16, fill=colour, stroke=_LINE))
            parts.append(text(x + 27, margin + 12, f"{100 * share:.3g}%", size=10, text_anchor="middle", fill=ink(colour)))
            x += 54
        return parts


def _shown(value: int, metric: str) -> str:
    return bytes_text(value) if metric.endswith("bytes") else count_text(value)


def _text_width(box: Box, number: str) -> int:
    longest = max(len(box.name) + 1, len(box.kind), len(number) + 8 if number else 0, len(box.dead))
    return min(max(7 * longest + 16, 60), 330) + (26 * len(box.letters) if box.letters and not box.inside else 0)


def _curve(points: Sequence[tuple[int, int]], left: int, top: int) -> str:
    (x, y), *rest = [(px + left, py + top) for px, py in points]
    path = f"M{x} {y}"
    for i, (u, v) in enumerate(rest):
        end = v - 2 if i == len(rest) - 1 else v
        path += f"C{x} {(y + v) // 2} {u} {(y + v) // 2} {u} {end}"
        x, y = u, v
    return path


def _badges(box: Box, x: int, y: int) -> list[str]:
    """Letters of shared groups, and the word for what is dead."""
    parts = []
    for k, number in enumerate(box.letters[:3]):
        colour, at = GROUPS[number % len(GROUPS)], x + 6 + 22 * k
        parts.append(element("rect", x=at, y=y - 9, width=19, height=16, rx=3, fill=colour, stroke="#1b1b1b"))
        parts.append(text(at + 9.5, y + 3.5, letter(number), size=11, text_anchor="middle", font_weight=700, fill=ink(colour)))
    if box.dead:
        parts.append(element("rect", x=x + box.width - 38, y=y - 9, width=34, height=15, rx=3, fill="#ffffff", stroke=_WARN))
        parts.append(text(x + box.width - 21, y + 2.5, "dead", size=11, text_anchor="middle", font_weight=700, fill=_WARN))
    return parts


def _arrow() -> str:
    head = element("path", d="M0 0L8 4L0 8z", fill=_LINE)
    marker = element(
        "marker", head, id="arrow", viewBox="0 0 8 8", refX=7, refY=4, markerWidth=7, markerHeight=7, orient="auto"
    )
    return element("defs", marker)
