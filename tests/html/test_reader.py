"""What a reader does with the page, on each kind of model: every metric, the selection, memory, graph, curve, other tools, and
how it reads to who does not see it (the tree that Chrome hands to a screen reader)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.adapters.load import load
from fxcount.report.views.units import bytes_text
from tests.html.conftest import Page
from tests.html.test_browser import llama, swin, totals

STEP = ("forward", "backward", "saved", "gradients", "states", "peak", "total", "params")
SIZES = {
    "ResNet-50": {"B": 3, "H": 191, "W": 160}, "Swin-T": {"B": 1, "H": 160, "W": 160}, "Llama, 2 layers": {"B": 2, "S": 300},
    "Llama, 80 layers": {"B": 2, "S": 70}, "a step": {"B": 5},
}  # fmt: skip


def step_totals(step: fxcount.TrainingReport) -> dict[str, int]:
    return {
        "forward": step.forward_flops, "backward": step.backward_flops, "saved": step.saved_bytes,
        "gradients": step.gradient_bytes, "states": step.optimizer_bytes, "peak": step.peak, "total": step.total_peak,
        "params": step.params.total,
    }  # fmt: skip


class Made:
    """Reports, made once, with their pages."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}
        self.known: dict[str, tuple[Any, str]] = {}

    def __call__(self, name: str) -> tuple[Any, str]:
        if name not in self.known:
            report = self.report(name)
            over = {"B": 1, "H": (96, 512), "W": "H"} if name == "Swin-T" else None
            self.known[name] = report, report.to_html(over=over)
        return self.known[name]

    def report(self, name: str) -> Any:
        if name == "ResNet-50":
            self.models[name] = load("torchvision:resnet50")[0]
            return fxcount.analyze(self.models[name], "B,3,H,W")
        if name == "Swin-T":
            return swin(self.models)
        if name == "a step":
            self.models[name] = load("torchvision:resnet18")[0].train()
            return fxcount.training_step(self.models[name], "B,3,64,64", optimizer="adamw", hints={"B": 2})
        return llama(self.models, int(name.split()[1]))


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture(params=list(SIZES))
def opened(request: Any, page: Page, made: Made) -> tuple[str, Any, Page]:
    """The page at sizes that it was not made at, and the report there."""
    name: str = request.param
    report, text = made(name)
    sizes = SIZES[name]
    page.open(text, fragment="#" + "&".join(f"{n}={v}" for n, v in sizes.items()))
    return name, report.at(**sizes), page


def test_every_metric_is_the_reports(opened: tuple[str, Any, Page]) -> None:
    """By the card, and by what is copied, to the digit; the ratio of two of them, too."""
    name, at, page = opened
    expected = step_totals(at) if name == "a step" else totals(at)
    page.run("document.execCommand = () => { window.copied = document.activeElement.value; return true; }")
    for metric, number in expected.items():
        assert int(page.exact(metric)) == number, metric
        page.click("#copy")
        assert page.run("return window.copied") == str(number), metric
        assert page.run("return document.querySelector('[role=radio][aria-checked=true]').id") == f"metric-{metric}"
        assert f"metric={metric}" in page.run("return location.hash")
    if name != "a step":
        page.click("#metric-intensity")
        assert float(page.text("#exact")) == pytest.approx(at.flops / (at.read_bytes + at.write_bytes), rel=1e-12)


def test_tree_icicle_and_graph_follow_one_selection(opened: tuple[str, Any, Page]) -> None:
    name, _, page = opened
    page.show("#costs")
    accent = page.run("return getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()")
    marked = (
        "[...document.querySelectorAll('#icicle .part')].filter(g => g.querySelector('rect').getAttribute('stroke') "
        f"=== '{accent}')"
    )
    assert len(page.run(f"return {marked}")) == 1  # the model itself
    key = "#tree .line[aria-level='2'][aria-expanded]"
    wanted = page.text(f"{key} .name")
    page.click(f"{key} .c-name")
    assert page.text("#tree .line[aria-selected=true] .name") == wanted
    label = wanted.partition(":")[0].partition(" ..")[0]
    shown = page.run(f"return {marked}.map(g => g.querySelector('title').textContent)")
    assert len(shown) <= 1  # too narrow a part is not drawn
    assert all(text.startswith(label) for text in shown), (wanted, shown)
    page.show("#graph-panel")
    assert label in page.text("#crumbs strong") or label in page.text("#detail"), wanted
    # and the other way: a part of the icicle selects its line
    page.show("#costs")
    page.run("document.querySelectorAll('#icicle .part')[1].dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    title = page.run(f"return {marked}.map(g => g.querySelector('title').textContent)")[0]
    assert title.startswith(page.text("#tree .line.selected .name").partition(" (call")[0]) or name.startswith("Llama")


def test_what_is_alive_adds_up_to_the_peak(opened: tuple[str, Any, Page]) -> None:
    name, at, page = opened
    page.show("#memory-panel")
    peak = at.total_peak - at.parameter_bytes - at.buffer_bytes if name == "a step" else at.memory.peak
    assert f"{bytes_text(peak)} alive" in page.text("#alive p")
    said = page.run("return document.getElementById('memory').getAttribute('aria-valuetext')")
    assert said.endswith(f"{bytes_text(peak)} alive")
    rows = page.texts("#alive tbody tr td:first-child")
    assert rows
    for metric, place in {"peak": at.peak_place, "total": at.total_peak_place}.items() if name == "a step" else ():
        page.click(f"#metric-{metric}")
        assert f"at {place.op} in {place.module}" in page.text("#formula")
    page.run("document.getElementById('memory').focus()")
    from selenium.webdriver.common.keys import Keys

    before = page.text("#alive p")
    page.keys(Keys.ARROW_LEFT)
    assert page.text("#alive p") != before
    page.keys(Keys.HOME)
    assert page.text("#alive p") == before


def test_other_tools_say_what_the_report_says_they_do(opened: tuple[str, Any, Page]) -> None:
    name, at, page = opened
    if name == "a step":
        assert page.run("return document.getElementById('conventions-panel')") is None
        return
    page.show("#conventions-panel")
    page.run("document.getElementById('conventions-panel').scrollIntoView()")
    cells = page.run(
        "return [...document.querySelectorAll('#conventions > tbody > tr')].map(r => "
        "[r.querySelector('summary').textContent, r.children[1].textContent])"
    )
    assert len(cells) > 10
    for convention, number in cells:
        assert int(number.replace(",", "")) == int(at.count(convention)), convention


def test_a_curve_over_every_symbol(opened: tuple[str, Any, Page]) -> None:
    name, _, page = opened
    page.show("#curve-panel")
    symbols = page.texts("#axis option")
    assert symbols == list(SIZES[name])
    for symbol in symbols:
        choose = "const s = document.getElementById('axis'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))"
        page.run(choose, symbol)
        assert f"over {symbol} from" in page.run("return document.getElementById('curve').getAttribute('aria-label')")
        assert page.run("return document.querySelectorAll('#curve path').length") >= 1
    if name == "Swin-T":
        assert any(text.startswith("piece ") for text in page.texts("#crossings li"))


def test_the_assumptions_are_there_with_their_lines(opened: tuple[str, Any, Page]) -> None:
    name, at, page = opened
    page.show("#findings")
    found = page.texts("#assumptions tbody tr td:first-child")
    said = [str(a) for a in at.assumptions]
    assert len(found) == len(said)
    assert all(any(text in s for s in said) for text in found)
    assert all(page.texts("#assumptions tbody tr td:nth-child(2)")), name


# -- as it is read aloud -------------------------------------------------------------------------------------------------
NAMED = {
    "button", "slider", "textbox", "searchbox", "combobox", "radio", "radiogroup", "treegrid", "columnheader", "img", "image",
    "region", "complementary", "navigation", "link", "heading",
}  # fmt: skip
"""Roles that mean nothing without a name."""


def read_aloud(page: Page) -> list[tuple[str, str, dict[str, Any]]]:
    """Role, name and properties of all that is not ignored."""
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [
        (
            node.get("role", {}).get("value", ""), node.get("name", {}).get("value", ""),
            {p["name"]: p["value"].get("value") for p in node.get("properties", [])},
        )
        for node in nodes if not node.get("ignored")
    ]  # fmt: skip


def names(found: list[tuple[str, str, dict[str, Any]]], role: str) -> list[str]:
    return [name for r, name, _ in found if r == role]


def test_everything_has_a_role_and_a_name(opened: tuple[str, Any, Page]) -> None:
    name, _, page = opened
    for part in ("#memory-panel", "#graph-panel", "#curve-panel", "#findings", "#totals"):
        page.show(part)  # a part is drawn when it is seen
    found = read_aloud(page)
    nameless = [(role, said) for role, said, _ in found if role in NAMED and not said.strip()]
    assert nameless == []
    for symbol in SIZES[name]:
        assert f"{symbol}, logarithmic" in names(found, "slider")
        assert f"size {symbol}" in names(found, "textbox")
    assert any(said.startswith("memory over ") for said in names(found, "slider"))
    assert names(found, "treegrid") == ["modules and ops"]
    assert {"modules and ops", "memory", "graph", "findings", "curve"} <= set(names(found, "region"))
    assert {"parts of the page", "modules around"} <= set(names(found, "navigation"))
    assert len(names(found, "radio")) == 8 if name == "a step" else 7
    assert [p["checked"] for r, _, p in found if r == "radio"].count("true") == 1
    assert "graph of one module" in names(found, "group")
    assert {r for r, _, _ in found} >= {"rowgroup", "gridcell", "banner", "main", "table", "cell"}
    rows = [p for r, _, p in found if r == "row" and "level" in p]
    assert len(rows) > 5
    assert all(p["level"] >= 1 for p in rows)
    assert any(p.get("expanded") is True for p in rows)
    assert [said for role, said, p in found if role == "heading" and p["level"] == 1]


def test_a_change_is_told(opened: tuple[str, Any, Page]) -> None:
    """Live regions: the number that was asked for, what is refused, how many lines a filter finds, what a node takes."""
    name, at, page = opened
    live = {role: p for role, _, p in read_aloud(page) if p.get("live") == "polite"}
    assert "status" in live
    regions = page.run("return [...document.querySelectorAll('[role=status], output')].map(e => e.id)")
    assert {"message", "lines", "flow", "exact"} <= set(regions)
    symbol = next(iter(SIZES[name]))
    before = page.text("#exact")
    page.type(symbol, SIZES[name][symbol] + (0 if name == "Swin-T" else 1))
    assert name == "Swin-T" or page.text("#exact") != before
    page.type(symbol, "none")
    assert page.text("#message").startswith("Refused")
    box = next(p for r, said, p in read_aloud(page) if r == "textbox" and said == f"size {symbol}")
    assert box["invalid"] == "true"
    page.run("const f = document.getElementById('filter'); f.value = 'linear'; f.dispatchEvent(new Event('input'))")
    page.driver.execute_async_script("setTimeout(arguments[0], 300)")
    assert page.text("#lines").endswith(" found")
    assert at is not None


# -- what colours alone do not say ---------------------------------------------------------------------------------------
def luminance(colour: str) -> float:
    def linear(c: float) -> float:
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    r, g, b = (linear(int(n) / 255) for n in colour.removeprefix("rgba(").removeprefix("rgb(").rstrip(")").split(",")[:3])
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    """Of two colours, as WCAG 2.2 defines it."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind(page: Page, made: Made, theme: str) -> None:
    """At least 4.5 to 1, in the page and on every colour of heat."""
    page.open(made("ResNet-50")[1])
    page.run("document.documentElement.dataset.theme = arguments[0]", theme)
    found = page.run(
        "const seen = []; for (const e of document.querySelectorAll('#app *')) { if (![...e.childNodes].some(n => "
        "n.nodeType === 3 && n.data.trim()) || e.closest('svg') || !e.getClientRects().length) continue; let at = e, back; "
        "while (at) { back = getComputedStyle(at).backgroundColor; if (!/, 0\\)$|transparent/.test(back)) break; "
        "at = at.parentElement; } seen.push([e.tagName + '.' + e.className, getComputedStyle(e).color, back]); } return seen;"
    )
    weak = {(what, ink, back) for what, ink, back in found if back.startswith("rgb") and contrast(ink, back) < 4.5}
    assert len(found) > 50
    assert weak == set()
    parts = page.run(
        "return [...document.querySelectorAll('#icicle .part')].filter(g => g.querySelector('text')).map(g => "
        "[getComputedStyle(g.querySelector('text')).fill, getComputedStyle(g.querySelector('rect')).fill])"
    )
    assert parts
    assert all(contrast(ink, back) >= 4.5 for ink, back in parts)


@pytest.fixture(params=["shared", "dead"])
def builds(request: Any) -> tuple[str, Callable[[], nn.Module]]:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(7, 7, bias=False), nn.Linear(7, 7, bias=False)
            self.three, self.four = nn.Linear(7, 7, bias=False), nn.Linear(7, 7, bias=False)
            if request.param == "shared":
                self.two.weight, self.four.weight = self.one.weight, self.three.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.four(self.three(self.two(self.one(x)))) if request.param == "shared" else self.one(x)

    return request.param, Two


def test_groups_have_letters_and_dead_ones_a_word(page: Page, builds: tuple[str, Callable[[], nn.Module]]) -> None:
    kind, build = builds
    page.open(fxcount.analyze(build(), "B,7").to_html())
    page.show("#graph-panel")
    if kind == "shared":
        assert page.texts(".line .badge") == ["A", "B"]  # of four equal modules, which are one line
        page.click("#expand")
        assert page.texts(".line .badge") == ["A", "B", "A", "A", "B", "B"]
        colours = page.run(
            "return [...document.querySelectorAll('.line .badge')].map(e => getComputedStyle(e).backgroundColor)"
        )
        assert len(set(colours)) == 2
        assert [t for t in page.texts("#graph .node text") if t in ("A", "B")] == ["A", "A", "B", "B"]
    else:
        page.show("#findings")
        assert sum(map(int, page.texts("#dead tbody td:nth-child(2)"))) == 3 * 49
        assert all("never called" in why for why in page.texts("#dead tbody td:nth-child(4)"))
