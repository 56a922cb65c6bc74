"""What a notebook shows of a report, of parameters, a curve, a training step: a picture and a table.

The picture is an image whose address holds it, and the table has no style of its own: both pass Jupyter's sanitiser, so that
they are there in notebooks nobody trusts, on GitHub and in exports.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fxcount.ops.core.common import shape_text
from fxcount.passes.parameters import Parameters
from fxcount.report.data.report import ReportData, place_of
from fxcount.report.data.steps import is_of_step
from fxcount.report.views.parameter_tables import group_text
from fxcount.report.views.pictures.charts import line_chart, parts_bar, timeline_chart
from fxcount.report.views.pictures.drawing import data_uri
from fxcount.report.views.pictures.hierarchy import to_svg
from fxcount.report.views.pictures.timeline import alive
from fxcount.report.views.tables import kept
from fxcount.report.views.units import bytes_text, count_text
from fxcount.symbolic import Size, evaluate, to_text
from fxcount.wording import shortened, visible

if TYPE_CHECKING:
    from fxcount.report.data.comparison import Comparison
    from fxcount.report.data.curve import CurveData
    from fxcount.report.data.generation import GenerationData
    from fxcount.report.data.piece_rows import PiecesData
    from fxcount.report.data.training import TrainingData
    from fxcount.trace.tape import Trace

__all__ = [
    "comparison_html", "curve_html", "generation_html", "parameters_html", "pieces_html", "report_html", "to_timeline",
    "training_html", "untraced_html",
]  # fmt: skip

_LONGEST = 160
_SHOWN = 6
_WIDEST = 900


def report_html(report: ReportData) -> str:
    """The model as a picture, one or two levels deep, and its totals: formulas, and numbers at the report's sizes."""
    values = report.sizes
    total, peaks, p = report.costs.total, report.peaks, report.params
    peak, call = peaks.peak_at(values)
    at = next((k.nbytes for k in peaks.peaks if k.call == call), 0)
    rows = [("parameters", f"{p.total:,}", bytes_text(p.bytes) + _states(p))]
    if report.trace.guessed_inputs:
        shapes = ", ".join([f"{v.name} {shape_text(v.fact.shape)}" for v in report.trace.inputs])
        rows.insert(0, ("inputs, a guess", visible(shapes), visible(f"from {report.trace.guessed_inputs}")))
    rows += [
        (name, f"{evaluate(size, values):,}", _formula(report, size))
        for name, size in (("MACs", total.macs), ("FLOPs", total.flops))
    ]
    rows.append(
        ("peak memory", f"{peak:,} bytes", f"{_formula(report, at)} ({visible(place_of(report.trace, call))})".lstrip())
    )
    if report.uncounted:
        rows.append(("not counted", f"{len(report.uncounted)} calls", "totals are lower bounds: these ops have no cost rule"))
    rows += [("assumes", visible(str(a)), visible(a.where)) for a in report.assumptions[:_SHOWN]]
    head = ("", "at " + ", ".join(f"{n}={v}" for n, v in values.items()) if values else "", "formula")
    depth = 2 if len(report.trace.modules) <= 40 else 1
    return _image(to_svg(report, depth), f"modules of {report.trace.model_name}") + _table(head, rows)


def _states(p: Parameters) -> str:
    parts = [f"{n:,} {what}" for n, what in ((p.frozen, "frozen"), (p.shared, "shared"), (p.dead, "dead")) if n]
    return f" ({', '.join(parts)})" if parts else ""


def _number(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _formula(report: ReportData, size: Size) -> str:
    return "" if isinstance(size, int) else visible(shortened(to_text(size), _LONGEST))


def parameters_html(params: Parameters) -> str:
    """The parameters by state as a bar, and tables of what is shared and what is dead, and why."""
    alive_ones = sum([r.unique for r in params.all_rows if r.requires_grad and not r.dead])
    frozen = sum([r.unique for r in params.all_rows if not r.requires_grad and not r.dead])
    shown = (("used, trainable", alive_ones), ("used, frozen", frozen), ("dead", params.dead))
    parts = [(name, n, f"{n:,}") for name, n in shown if n]
    rows = [("all", f"{params.total:,}", bytes_text(params.bytes))]
    rows += [(t.key, f"{t.numel:,}", bytes_text(t.nbytes)) for t in params.by_state() if t.numel]
    rows += [(f"dead: {visible(r.name)}", f"{r.unique:,}", visible(r.reason)) for r in params.rows("dead")[:_SHOWN]]
    rows += [("shared", "", visible(group_text(g))) for g in params.by_group()[:_SHOWN]]
    return _image(parts_bar("parameters by state", parts), "parameters by state") + _table(("parameters", "elements", ""), rows)


def untraced_html(params: Parameters, trace: Trace) -> str:
    """What a model holds that was not called, and why there is no more."""
    return parameters_html(params) + f"<p>{html.escape(visible(trace.ended))}</p>"


def comparison_html(comparison: Comparison) -> str:
    """The totals that there are, and the modules that differ most."""
    rows = [
        (name, f"{c.numbers[0]:,}", f"{c.numbers[1]:,}", "=" if c.same else f"{c.difference:+,}")
        for name, c in comparison.totals.items() if any(c.numbers)
    ]  # fmt: skip
    changed = comparison.changed()
    for m in changed[:_SHOWN]:
        before, after = m.changes["macs"].numbers
        rows.append((visible(f"{m.path or 'the model'}: {m.what}"), f"{before:,}", f"{after:,}", f"{after - before:+,} macs"))
    if len(changed) > _SHOWN:
        rows.append((f"{len(changed) - _SHOWN} more modules", "", "", ""))
    return _table(("", *map(visible, comparison.names), "difference"), rows)


def pieces_html(pieces: PiecesData) -> str:
    """Domains, formulas, and what decides; and what is refused."""
    rows = [
        (visible(p.domain), shortened(to_text(p.size("macs")), _LONGEST), "; ".join(map(visible, map(str, p.assumptions[:3]))))
        for p in pieces.rows[: 4 * _SHOWN]
    ]
    rows += [(visible(r.domain), "refused", visible(r.said)) for r in pieces.refused[:_SHOWN]]
    left = len(pieces.rows) - 4 * _SHOWN
    return _table(("sizes", "MACs", "decided by"), [*rows, *([(f"{left} more pieces", "", "")] if left > 0 else [])])


def generation_html(found: GenerationData) -> str:
    """The prompt, one step and all of it."""
    parts = {"prompt": found.prefill, f"a step, past {found.names.past}": found.step, "in all": found.total}
    rows = [
        (visible(name), *[_numbered(n) for n in (2 * part.macs, part.read_bytes, part.write_bytes, part.peak_bytes)])
        for name, part in parts.items()
    ]
    head = (visible(found.turns.trace.model_name), "FLOPs", "bytes read", "bytes written", "peak bytes")
    return _table(head, [*rows, ("bytes of the cache", "", "", "", _numbered(found.kv_bytes))])


def _numbered(number: object) -> str:
    return f"{number:,}" if isinstance(number, int) else shortened(str(number), _LONGEST)


def curve_html(curve: CurveData) -> str:
    """The multiply-accumulates (or FLOPs) over the first size that runs, and a few of the points."""
    quantity = "macs" if any(curve.columns["macs"]) else "flops"
    axis = max(curve.free or list(curve.sizes) or [""], key=lambda n: len(set(curve.sizes.get(n, ()))))
    others = [n for n in curve.free if n != axis]
    lines: dict[str, list[tuple[int, int | None, int | None]]] = {}
    xs = curve.sizes.get(axis, [1] * len(curve))
    for i, (x, y) in enumerate(zip(xs, curve.columns[quantity])):
        lines.setdefault(", ".join(f"{n}={curve.sizes[n][i]}" for n in others), []).append((x, y, curve.piece[i]))
    known = [v for v in curve.columns[quantity] if v is not None]
    low, high = (count_text(f(known)) for f in (min, max)) if known else ("", "")
    chart = line_chart(f"{quantity} of {curve.model_name}", axis, list(lines.items()), low, high)
    steps = min(_SHOWN, len(curve)) - 1
    chosen = sorted({round(k * (len(curve) - 1) / max(steps, 1)) for k in range(steps + 1)})
    columns = ("macs", "flops", "peak_bytes")
    every = curve.rows
    rows = [
        (*map(str, row.sizes.values()), *[_number(getattr(row, c)) for c in columns], visible(row.refused))
        for row in [every[i] for i in chosen]
    ]
    pieces = len(curve.pieces)
    said = f"<p>{len(curve):,} points, {pieces} piece{'s' * (pieces != 1)}</p>"
    return _image(chart, f"{quantity} over {axis}") + said + _table((*curve.sizes, *columns, "refused"), rows)


def training_html(report: TrainingData) -> str:
    """The bytes alive over a step, and its totals."""
    at = report if not report.symbols else report.at(guess=True, **report.trace.scope.hints)
    formulas = report.formulas()
    names = {
        "forward_flops": "forward FLOPs", "backward_flops": "backward FLOPs", "saved_bytes": "saved",
        "gradient_bytes": "gradients", "optimizer_bytes": "optimizer states", "peak": "peak", "total_peak": "total peak",
    }  # fmt: skip
    rows = [(said, f"{evaluate(formulas[name], at.sizes):,}", _formula(report, formulas[name])) for name, said in names.items()]
    rows.append(("at the total peak", "", visible(str(at.total_peak_place))))
    head = ("one training step", "at " + ", ".join(f"{n}={v}" for n, v in at.sizes.items()) if at.sizes else "", "formula")
    return _image(to_timeline(report), "bytes alive over a step") + _table(head, rows)


def to_timeline(report: ReportData, path: str | os.PathLike[str] | None = None) -> str:
    """The bytes alive while each op runs as an SVG picture, with the peak and, of a training step, its phases: at the report's
    sizes, or at its hints; also written to ``path``.

    >>> import torch, fxcount
    >>> picture = fxcount.analyze(torch.nn.Linear(3, 5), "B,3").to_timeline()
    >>> "peak 64 B: linear in Linear" in picture
    True
    """
    found = alive(report)
    most = max([*found.nbytes, 0])
    at = found.nbytes.index(most) if found.nbytes else -1
    marks = [bytes_text(n) for n in (0, most // 2, most)]
    place = visible(place_of(report.trace, at)) or "the inputs"
    if is_of_step(report):
        place = f"{report.trace.calls[at].op.name} in the {report.phase_of(at)}"
    title = f"bytes alive in {report.trace.model_name}"
    return kept(timeline_chart(title, found.nbytes, marks, f"peak {bytes_text(most)}: {place}", found.phases), path)


def _image(picture: str, alternative: str) -> str:
    said = html.escape(visible(alternative))
    return f'<img src="{data_uri(picture)}" alt="{said}" width="{_width(picture)}">'


def _width(picture: str) -> int:
    """That of the picture, as far as a cell is wide."""
    return min(int(picture.partition('width="')[2].partition('"')[0]), _WIDEST)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join([f"<{tag}>{html.escape(c)}</{tag}>" for c in cells]) + "</tr>"

    return "<table><thead>" + line(head, "th") + "</thead><tbody>" + "".join([line(r, "td") for r in rows]) + "</tbody></table>"
