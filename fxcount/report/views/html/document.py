"""The page: data, script and style in one file that asks for nothing else.

Its policy is ``default-src 'none'``: only this script and this style, by their digests, and pictures it makes itself. Names of
a model stand in the data alone, where ``<`` is escaped, and reach the page as text.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fxcount.errors import InputError
from fxcount.report.data.curve import QUANTITIES, CurveData
from fxcount.report.data.pieces import found_over
from fxcount.report.data.report import ReportData
from fxcount.report.data.steps import is_of_step
from fxcount.report.views.html.piece import piece_data
from fxcount.report.views.tables import kept
from fxcount.symbolic import evaluate
from fxcount.symbolic.scope import Scope
from fxcount.trace.torch_patch.active import no_collection
from fxcount.wording import dtype_word, visible

__all__ = ["curve_to_html", "page", "to_html", "with_pieces"]

_HERE = Path(__file__).parent
_SCRIPTS = ("evaluate", "data", "dom", "state", "controls", "tree", "charts", "graph", "panels", "sheets", "main")
_LARGEST = 1 << 20
"""Of the sizes that a slider reaches."""


def to_html(
    report: ReportData, path: str | os.PathLike[str] | None = None, *, compare: ReportData | None = None,
    over: Mapping[str, Any] | None = None, variants: Sequence[ReportData] = (),
) -> str:  # fmt: skip
    """The report, or training step, as one HTML page that works offline; also written to ``path``.

    All numbers in it are worked out again, from the formulas, as sizes are changed. ``over`` are ranges of sizes as for
    :meth:`fxcount.Report.pieces`: what the model decides differently there is in the page as well; without it those pieces are
    that the report has met so far. ``compare`` is another report, or another step, to stand beside it. ``variants`` are other
    reports and steps of the same model, among which the page switches: the other mode, another dtype, a training step.

    Raises :class:`~fxcount.errors.InputError` for a comparison of a report with a step, and for a path that cannot be written
    to.

    >>> import torch, fxcount
    >>> page = fxcount.analyze(torch.nn.Linear(3, 5), "B,3").to_html()
    >>> page[:15], "default-src 'none'" in page
    ('<!DOCTYPE html>', True)
    """
    if compare is not None and variants:
        raise InputError("a page switches among variants, or compares with one report", hint="give compare= or variants=")
    reports = [report, *variants] if compare is None else [report, compare]
    if compare is not None and len({is_of_step(r) for r in reports}) > 1:
        raise InputError("a report and a training step have different totals", hint="compare two reports, or two steps")
    if over is not None:
        with_pieces(report, over)
    labels = _labels(reports)
    with no_collection():
        data = {
            "kind": "step" if is_of_step(report) else "report", "compare": compare is not None,
            "models": [{**_model(r), "label": label} for r, label in zip(reports, labels, strict=True)],
        }  # fmt: skip
        text = page(report.trace.model_name, data, _said(report))
    return kept(text, path)


def with_pieces(report: ReportData, over: Mapping[str, Any]) -> None:
    """Have a report meet what its model decides differently over ranges of sizes."""
    fixed = {n: v for n, v in report.sizes.items() if n not in over and n in report.piece.asked}
    found_over(report.family, report.piece, dict(over), fixed=fixed, extend=True, guess=True, progress=None)


def _labels(reports: Sequence[ReportData]) -> list[str]:
    """What tells them apart: names of models that differ, else what is done and in which dtype."""
    names = [visible(r.trace.model_name) for r in reports]
    if len(set(names)) > 1:
        return names
    found = [f"{_mode(r)}, {_dtype(r)}" for r in reports]
    if len(set(found)) < len(found):  # two models of one class
        found = [f"{name}, {r.params.total:,} parameters" for name, r in zip(names, reports, strict=True)]
    return [label if found.count(label) == 1 else f"{label} ({found[: i + 1].count(label)})" for i, label in enumerate(found)]


def _mode(report: ReportData) -> str:
    if is_of_step(report):
        return "a training step"
    return {True: "training mode", False: "eval mode", None: "as the graph is"}[report.trace.training]


def _dtype(report: ReportData) -> str:
    """That of most bytes of the parameters, or of the inputs."""
    held = report.params.bytes_by_dtype
    if held:
        return dtype_word(max(held, key=lambda dtype: held[dtype]))
    return dtype_word(report.trace.inputs[0].fact.dtype) if report.trace.inputs else "without parameters"


def curve_to_html(curve: CurveData, path: str | os.PathLike[str] | None = None) -> str:
    """The curve as one HTML page that works offline: a chart of every quantity, and the table; also written to ``path``."""
    data = {
        "kind": "curve", "name": visible(curve.model_name), "free": list(curve.free),
        "sizes": {n: [str(v) for v in values] for n, values in curve.sizes.items()},
        "columns": {q: [None if v is None else str(v) for v in curve.columns[q]] for q in QUANTITIES},
        "piece": curve.piece, "refused": [visible(r) for r in curve.refused],
        "pieces": [
            {"hints": p.hints, "because": visible(p.because), "assumptions": [visible(str(a)) for a in p.assumptions]}
            for p in curve.pieces
        ],
    }  # fmt: skip
    return kept(page(curve.model_name, data), path)


def _said(report: ReportData) -> str:
    """The totals in a line."""
    calls = f"{len(report.trace.calls):,} ops"
    params = f"{report.params.total:,} parameters"
    at = ", ".join([f"{n}={v}" for n, v in report.sizes.items()])
    flops = report.formulas()["flops"] if is_of_step(report) else report.costs.total.flops
    return f"{calls}, {params}, {evaluate(flops, report.sizes):,} FLOPs" + (f" at {at}" if at else "")


def _model(report: ReportData) -> dict[str, Any]:
    others = [p for p in report.family.pieces if p is not report.piece]
    pieces = [report, *[report.in_piece(p) for p in others]]
    return {
        "kind": "step" if is_of_step(report) else "report",
        "name": visible(report.trace.model_name), "mode": report.trace.training, "frontend": report.frontend,
        "sizes": {n: str(v) for n, v in report.sizes.items()}, "symbols": _symbols(report.trace.scope, report),
        "pieces": [piece_data(p) for p in pieces],
    }  # fmt: skip


def _symbols(scope: Scope, report: ReportData) -> list[dict[str, Any]]:
    """Each symbol of the inputs with the range of its slider, which its bounds and the sizes met so far tell."""
    found = []
    for name in report.piece.asked:
        low, high = scope.bounds.get(name, (1, None))
        met = max([p.hints.get(name, 1) for p in report.family.pieces] + [report.sizes.get(name, 1)])
        most = min(max(64 * met, 256), _LARGEST) if high is None else high
        found.append({"name": name, "low": low or 1, "high": max(most, met), "bounded": high is not None})
    return found


def page(title: str, data: Mapping[str, Any], said: str = "") -> str:
    """The file: everything inline, and a policy that lets nothing else in. ``said`` is what it shows before the script has run,
    and where none may.

    >>> "</script><b>" in page("</script><b>", {"name": "</script><b>"})
    False
    """
    style, script, policy = _fixed()
    body = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}; base-uri \'none\'; form-action \'none\'">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(visible(title))} - fxcount</title>\n<style>{style}</style></head>\n"
        f'<body><div id="app"><header><h1>{html.escape(visible(title))}</h1></header>'
        f"<p>{html.escape(visible(said))}</p></div>\n"
        "<noscript>This page works out its numbers with a script, which is off.</noscript>\n"
        f'<script type="application/json" id="data">{body}</script>\n<script>{script}</script>\n</body></html>\n'
    )


@functools.cache
def _fixed() -> tuple[str, str, str]:
    """Style, script and policy, which are those of every page."""
    style = (_HERE / "page.css").read_text("utf-8")
    scripts = "\n".join([(_HERE / f"{name}.js").read_text("utf-8") for name in _SCRIPTS])
    script = f'(() => {{\n"use strict";\n{scripts}\n}})();'
    policy = f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data: blob:"
    return style, script, policy


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
