"""Pictures are well-formed SVG that says what the report says; notebooks show what passes a sanitiser; errors are short."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import fxcount
from fxcount.demo import INPUT, Demo
from fxcount.errors import InputError
from fxcount.report.views.html.show import Shown, show
from fxcount.report.views.pictures.layout import layered
from fxcount.report.views.pictures.timeline import alive
from fxcount.report.views.units import count_text
from tests.html.test_browser import Tied
from tests.html.test_page import Named

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [t.text or "" for t in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_layouts_have_no_overlaps_and_go_down() -> None:
    generator = torch.Generator().manual_seed(3)
    for n in (1, 7, 40):
        edges = [(a, b) for a in range(n) for b in range(a + 1, n) if torch.rand(1, generator=generator).item() < 3 / n]
        sizes = [(40 + 10 * (i % 5), 20 + 6 * (i % 3)) for i in range(n)]
        drawn = layered(sizes, edges)
        boxes = [(x - w / 2, y, x + w / 2, y + h) for (x, y), (w, h) in zip(drawn.places, sizes, strict=True)]
        for i, a in enumerate(boxes):
            assert 0 <= a[0] <= a[2] <= drawn.width + 1
            assert a[3] <= drawn.height
            for b in boxes[:i]:
                assert a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] or b[3] <= a[1]
        for a, b in edges:
            assert boxes[a][3] < boxes[b][1]
        assert sorted([(a, b) for a, b, _ in drawn.routes] + list(drawn.stubs)) == sorted(set(edges))
        for _, _, points in drawn.routes:
            assert all(p[1] < q[1] for p, q in pairwise(points))


def test_a_wide_fan_is_near_linear() -> None:
    """What feeds every layer is no line to each: it would have a bend in every rank between."""
    drawn = layered([(40, 20)] * 2000, [(i, i + 1) for i in range(1, 1999)] + [(0, i) for i in range(2, 2000)])
    assert len(drawn.stubs) > 1900
    assert sum(len(points) for *_, points in drawn.routes) < 5000


def test_the_picture_says_what_the_report_says() -> None:
    report = fxcount.analyze(Demo(), INPUT).at(B=3, H=96, W=64)
    said = texts(report.to_svg(1))
    rows = {r.path: r for r in report.by_module(1) if r.number == 1}
    assert any(t.startswith(count_text(rows["stem"].macs)) for t in said)
    assert any(t.startswith(count_text(2 * rows["block"].macs)) for t in said)  # two equal calls are one box
    assert "block (calls 1 .. 2): Block x2" in said
    assert {"unused", "never called, 4,160 dead", "dead", "A"} <= set(said)
    assert len(texts(report.to_svg(0))) < len(said) < len(texts(report.to_svg(3)))


def test_shared_and_dead_parameters_are_drawn() -> None:
    said = texts(fxcount.analyze(Tied(), "i64[B,S]").to_svg(1))
    assert said.count("A") == 2
    assert "never called, 104 dead" in said


def test_names_that_are_markup_are_text() -> None:
    report = fxcount.analyze(Named(), "B,3")
    assert "</script>" in texts(report.to_svg(2))
    assert "<img src=x" not in report._repr_html_()


def test_what_a_picture_cannot_show() -> None:
    report = fxcount.analyze(nn.ReLU(), "B,3")
    assert any("flops" in t for t in texts(report.to_svg()))  # there are no macs
    with pytest.raises(InputError, match="a picture has no 'speed'"):
        report.to_svg(1, metric="speed")
    with pytest.raises(InputError, match="below 0"):
        report.to_svg(-1)


def test_the_timeline_has_the_peak(tmp_path: Path) -> None:
    for model, given, sizes in (
        (Demo(), INPUT, {"B": 3, "H": 97, "W": 61}), (nn.MultiheadAttention(8, 2, batch_first=True), None, {"B": 3, "S": 17}),
    ):  # fmt: skip
        inputs = [given] if given else ["B,S,8"] * 3
        at = fxcount.analyze(model, *inputs).at(**sizes)
        assert max(alive(at).nbytes) == at.memory.peak
    picture = at.to_timeline(tmp_path / "time.svg")
    assert (tmp_path / "time.svg").read_text("utf-8") == picture
    assert any(t.startswith("peak ") for t in texts(picture))
    step = fxcount.training_step(nn.Linear(3, 5), "B,3", optimizer="adamw").at(B=7)
    assert {"forward", "backward", "optimizer"} <= set(texts(step.to_timeline()))
    assert alive(step).nbytes == [i.nbytes for i in step.timeline]


class _Sanitised(HTMLParser):
    """Only what Jupyter's sanitiser leaves: images of data, and tables; no style, script or handler."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("img", "table", "thead", "tbody", "tr", "th", "td", "p")
        if tag == "img":
            found = dict(attrs)
            assert set(found) == {"src", "alt", "width"}
            kind, _, data = (found["src"] or "").partition(",")
            assert kind == "data:image/svg+xml;base64"
            self.images.append(base64.b64decode(data).decode())
        else:
            assert not attrs


def test_what_a_notebook_shows_passes_a_sanitiser() -> None:
    model = Demo()
    report = fxcount.analyze(model, INPUT)
    curve = report.curve(B=2, H=range(32, 129, 32), W="H")
    step = fxcount.training_step(nn.Linear(3, 5), "B,3", optimizer="adamw")
    for shown, words in (
        (report, ["5,789,107,456", "74,346"]), (report.at(B=1, H=64, W=64), [f"{report.at(B=1, H=64, W=64).macs:,}"]),
        (report.params, ["4,160", "module unused is never called"]), (curve, [f"{curve.rows[-1].macs:,}"]),
        (step, [f"{step.at(B=step.symbols['B']).total_peak:,}"]),
    ):  # fmt: skip
        html = shown._repr_html_()
        parser = _Sanitised()
        parser.feed(html)
        assert len(parser.images) == 1
        ElementTree.fromstring(parser.images[0])
        for word in words:
            assert f">{word}" in html
    assert report.params is report.at(B=1, H=64, W=64).params


class Decides(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x.mT if x.shape[1] > 8 else x + 1


DECIDES = Decides()


def test_what_has_no_picture_is_a_table_that_passes() -> None:
    pieces = fxcount.analyze(DECIDES, "B,S,5").pieces(B=(1, 8), S=(1, 64))
    compared = fxcount.compare(nn.Sequential(nn.Linear(3, 5)), nn.Sequential(nn.Linear(3, 7)), "B,3")
    for shown, words in ((pieces, ["5*B*S**2", "9 &lt;= S &lt;= 64"]), (compared, ["20", "28", "+8"])):
        found = shown._repr_html_()
        _Sanitised().feed(found)
        for word in words:
            assert word in found
    alone = fxcount.analyze(nn.Bilinear(3, 4, 5))._repr_html_()
    _Sanitised().feed(alone)
    assert ">65<" in alone
    assert "no inputs were given, so nothing was traced" in alone
    assert "MACs" not in alone


def test_a_long_model_is_short_in_a_cell() -> None:
    report = fxcount.analyze(nn.Sequential(*[nn.Linear(5, 5) for _ in range(200)]), "B,5")
    assert len(report._repr_html_()) < 20_000


def test_show_outside_of_a_notebook_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    path = fxcount.analyze(nn.Linear(3, 5), "B,3").show()
    assert opened == [path.as_uri()]
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")
    path.unlink()


def test_show_in_a_notebook_is_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fxcount.report.views.html.show.in_notebook", lambda: True)
    shown = show(fxcount.analyze(nn.Linear(3, 5), "B,3"), 300)
    assert isinstance(shown, Shown)
    frame = shown._repr_html_()
    assert re.match(r'<iframe srcdoc="[^"]*" width="100%" height="300"', frame)


def test_an_error_in_a_cell_is_a_few_lines() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,3")
    with pytest.raises(fxcount.SizeError) as caught:
        report.at(Q=3)
    lines = caught.value._render_traceback_()
    assert len(lines) <= 6
    assert lines[0].startswith("SizeError: at() got 'Q'")
    assert lines[-1].endswith("report.at(Q=3)")
    assert "test_pictures.py" in lines[-1]
