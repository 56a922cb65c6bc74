"""The page in a real browser, from disk: what it shows is what the report says, and everything can be reached by keyboard."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.adapters.load import load
from fxcount.demo import INPUT, Demo
from fxcount.report.views.units import bytes_text, count_text
from tests.html.conftest import Page
from tests.html.test_page import Named

BYTES = ("activations", "peak", "bytes")


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """Models that reports hold only weakly."""
    return {}


def swin(models: dict[str, Any]) -> fxcount.Report:
    model, *_ = models.setdefault("swin", load("torchvision:swin_t"))
    return fxcount.analyze(model, "B,3,H,W", hints={"B": 1, "H": 224, "W": 224})


def llama(models: dict[str, Any], layers: int) -> fxcount.Report:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        num_hidden_layers=layers, hidden_size=256, intermediate_size=688, num_attention_heads=8, num_key_value_heads=2,
        vocab_size=1009, tie_word_embeddings=layers == 2,
    )  # fmt: skip
    with torch.device("meta"):
        models[f"llama{layers}"] = model = transformers.LlamaForCausalLM(config).eval()
    return fxcount.analyze(model, "i64[B,S]", hints={"B": 1, "S": 512})


def totals(report: fxcount.Report) -> dict[str, int]:
    """What the cards of the page stand for, of a report at sizes."""
    return {
        "macs": report.macs, "flops": report.flops, "params": report.params.total, "activations": report.memory.activations,
        "peak": report.memory.peak, "bytes": report.read_bytes + report.write_bytes,
    }  # fmt: skip


def compare(page: Page, report: fxcount.Report) -> int:
    """Every total, short and to the digit, and the lines of the tree that are there; how many numbers that is."""
    expected = totals(report)
    assert {m: page.card(m) for m in expected} == {
        m: bytes_text(n) if m in BYTES else count_text(n) for m, n in expected.items()
    }
    assert {m: int(page.exact(m)) for m in expected} == expected
    rows = {(r.path, r.number): r for r in report.by_module()}
    lines = page.run(
        "return [...document.querySelectorAll('.line')].filter(l => l.dataset.key.startsWith('m')).map(l => "
        "[l.querySelector('.c-name').title, l.querySelector('.name').textContent, "
        "...['macs', 'flops', 'bytes'].map(m => l.querySelector(`[data-metric=${m}]`).textContent)])"
    )
    for path, name, macs, flops, moved in lines:
        row = rows[path, int(name.partition("(call ")[2].rstrip(")") or 1)]
        read = row.read_bytes + row.write_bytes
        assert [macs, flops, moved] == [count_text(row.macs), count_text(row.flops), bytes_text(read) if read else "-"], path
    return 2 * len(expected) + 3 * len(lines)


def test_a_slider_moves_every_number(page: Page) -> None:
    model = load("torchvision:resnet50")[0]
    report = fxcount.analyze(model, "B,3,H,W")
    page.open(report.to_html())
    sizes = {s: int(page.run("return document.getElementById(arguments[0]).value", f"size-{s}")) for s in "BHW"}
    assert sizes == report.sizes
    assert compare(page, report.at(**sizes)) >= 10
    for name, place in (("B", 300), ("H", 700), ("W", 655)):
        page.run(
            "const s = document.getElementById(arguments[0]); s.value = arguments[1]; "
            "for (const e of ['input', 'change']) s.dispatchEvent(new Event(e, {bubbles: true}))", f"slide-{name}", place,
        )  # fmt: skip
    moved = {s: int(page.run("return document.getElementById(arguments[0]).value", f"size-{s}")) for s in "BHW"}
    assert all(moved[s] != sizes[s] for s in "BHW")
    assert compare(page, report.at(**moved)) >= 10
    page.type("B", 10**15 + 7)  # beyond what doubles hold
    assert int(page.exact("flops")) == report.at(**{**moved, "B": 10**15 + 7}).flops > 2**53


def test_sizes_of_another_piece_switch_to_it(page: Page, models: dict[str, Any]) -> None:
    report = swin(models)
    page.open(report.to_html(over={"B": 1, "H": (96, 512), "W": "H"}))
    pieces = len(report.family.pieces)
    assert pieces == 3
    page.run("const t = document.getElementById('tie-W'); t.value = 'H'; t.dispatchEvent(new Event('change'))")
    shown = set()
    for height in (224, 160, 100, 400):
        page.type("H", height)
        shown.add(page.text("#message"))
        at = report.at(B=1, H=height, W=height)
        assert {m: int(page.exact(m)) for m in ("macs", "flops", "peak")} == {
            "macs": at.macs, "flops": at.flops, "peak": at.memory.peak,
        }  # fmt: skip
    assert shown == {f"piece {i} of 3" for i in (1, 2, 3)}
    before = page.exact("macs")
    page.type("H", 40)
    refused = page.text("#message")
    assert "Refused" in refused
    assert "does not hold at B=1, H=40, W=40" in refused
    assert page.exact("macs") == before
    page.type("H", "many")
    assert "an integer of at least 1" in page.text("#message")


def test_equal_layers_are_folded_and_opened(page: Page, models: dict[str, Any]) -> None:
    report = llama(models, 80)
    text = report.to_html()
    assert len(text) < 300_000
    page.open(text)
    names = page.texts(".line .name")
    folded = [n for n in names if "x80" in n]
    assert folded == ["0 .. 79: LlamaDecoderLayer x80"]
    whole = sum(r.macs for r in report.at(B=1, S=512).by_module() if r.class_name == "LlamaDecoderLayer")
    cell = f".line[data-i='{names.index(folded[0])}'] [data-metric=macs]"
    assert page.text(cell) == count_text(whole)
    page.click(f".line[data-i='{names.index(folded[0])}'] .toggle")
    assert sum("LlamaDecoderLayer" in n for n in page.texts(".line .name")) > 5
    page.click("#expand")
    assert int(page.text("#lines").split()[0]) > 80 * 20
    assert len(page.texts(".line")) < 60  # only those that can be seen
    page.run("const f = document.getElementById('filter'); f.value = 'layers.41.mlp'; f.dispatchEvent(new Event('input'))")
    page.driver.execute_async_script("setTimeout(arguments[0], 300)")
    assert "41: LlamaDecoderLayer" in page.texts(".line .name")
    assert "40: LlamaDecoderLayer" not in page.texts(".line .name")


def test_the_graph_goes_in_and_out(page: Page, models: dict[str, Any]) -> None:
    report = llama(models, 2)
    page.open(report.to_html())
    page.show("#graph-panel")
    page.run("document.querySelector('#graph .node').dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))")
    assert page.texts("#crumbs button, #crumbs strong") == ["LlamaForCausalLM", "model: LlamaModel"]
    layer = "[...document.querySelectorAll('#graph .node')].find(n => n.textContent.includes('LlamaDecoderLayer'))"
    page.run(f"{layer}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    assert "embed_tokens" in page.text("#producers")
    assert page.text("#consumers").startswith("feeds: 1")
    page.run(f"{layer}.dispatchEvent(new MouseEvent('dblclick', {{bubbles: true}}))")
    assert page.texts("#crumbs button, #crumbs strong") == ["LlamaForCausalLM", "model", "0: LlamaDecoderLayer"]
    page.run("document.querySelectorAll('#crumbs button')[1].click()")
    assert page.texts("#crumbs button, #crumbs strong") == ["LlamaForCausalLM", "model: LlamaModel"]
    assert "at=model" in page.run("return location.hash")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head, self.idle = nn.Embedding(101, 7), nn.Linear(7, 101, bias=False), nn.Linear(7, 13)
        self.head.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.table(ids))
        return logits


def test_findings_of_a_tied_and_a_dead_parameter(page: Page) -> None:
    page.open(fxcount.analyze(Tied(), "i64[B,S]").to_html())
    page.show("#findings")
    assert page.texts("#groups tbody td") == ["A", "same parameter", "table.weight, head.weight", "2", bytes_text(101 * 7 * 4)]
    assert page.texts("#dead tbody td") == [
        bytes_text(4 * 8 * 13), str(8 * 13), "idle.weight, idle.bias", "module idle is never called",
    ]  # fmt: skip
    assert page.texts(".line .badge") == ["A", "A"]
    page.show("#graph-panel")
    assert page.texts("#graph .node text").count("A") == 2


def test_keyboard_alone(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    report = fxcount.analyze(Demo(), INPUT)
    page.open(report.to_html())
    met = []
    for _ in range(60):
        page.keys(Keys.TAB)
        here = page.run("const e = document.activeElement; return [e.id, e.getAttribute('role') || '']")
        met.append(here[0])
        if here[1] == "row":
            break
    assert {"slide-B", "size-B", "metric-flops", "copy", "filter", "expand"} <= set(met)
    page.keys(Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    closed = page.run("const e = document.activeElement; return [e.querySelector('.name').textContent, e.ariaExpanded]")
    assert closed == ["stem: Sequential", "false"]
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.run("return document.activeElement.querySelector('.name').textContent") == "0: Conv2d"
    page.keys(Keys.ENTER)
    assert "at=stem.0" in page.run("return location.hash")
    page.keys(Keys.END)
    assert page.run("return document.activeElement.ariaLevel") == "3"
    page.run("document.getElementById('slide-B').focus()")
    page.keys(Keys.ARROW_RIGHT * 200)
    batch = int(page.run("return document.getElementById('size-B').value"))
    assert batch > 2
    assert int(page.exact("macs")) == report.at(B=batch, H=224, W=224).macs
    page.run("document.getElementById('metric-macs').focus()")
    page.keys(Keys.ARROW_RIGHT)
    assert page.run("return document.activeElement.id") == "metric-flops"


def test_a_training_step(page: Page) -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(7))
    model(torch.zeros(1, 3, 11, 11))
    step = fxcount.training_step(model, "B,3,11,11", optimizer="adamw")
    page.open(step.to_html())
    for batch in (2, 13):
        page.type("B", batch)
        at = step.at(B=batch)
        assert {m: int(page.exact(m)) for m in ("forward", "backward", "saved", "gradients", "states", "peak", "total")} == {
            "forward": at.forward_flops, "backward": at.backward_flops, "saved": at.saved_bytes,
            "gradients": at.gradient_bytes, "states": at.optimizer_bytes, "peak": at.peak, "total": at.total_peak,
        }  # fmt: skip
    page.show("#memory-panel")
    assert [t for t in page.texts("#memory text") if t in ("forward", "backward", "optimizer")] == [
        "forward", "backward", "optimizer",
    ]  # fmt: skip
    assert "saved for the backward" in page.texts("#alive td")


def test_two_reports_side_by_side(page: Page) -> None:
    one, two = (fxcount.analyze(Demo(width), INPUT) for width in (64, 96))
    page.open(one.to_html(compare=two))
    rows = page.texts("#compare tbody tr:first-child td")
    assert rows[1:3] == [f"{r.at(B=2, H=224, W=224).macs:,}" for r in (one, two)]
    assert "▼" in rows[3]
    page.type("B", 9)
    assert page.texts("#compare tbody tr:first-child td")[2] == f"{two.at(B=9, H=224, W=224).macs:,}"
    page.open(one.to_html())
    page.click("#pin")
    page.type("H", 448)
    assert "▲" in page.text("#metric-macs .delta")
    assert page.text("#compare tbody tr:first-child td:nth-child(3)") == f"{one.at(B=2, H=224, W=224).macs:,}"


def test_the_address_keeps_the_state(page: Page) -> None:
    report = fxcount.analyze(Demo(), INPUT)
    page.open(report.to_html(), fragment="#B=7&H=96&W=H&metric=macs&at=stem")
    assert page.text("#exact") == f"{report.at(B=7, H=96, W=96).macs:,}"
    assert page.text(".line.selected .name") == "stem: Sequential"
    page.type("H", 128)
    assert page.run("return location.hash") == "#B=7&H=128&W=H&metric=macs&at=stem"


def test_a_curve_and_its_crossings(page: Page) -> None:
    class Net(nn.Module):  # S*S*64 macs in scores against S*64*320 in the product
        def __init__(self) -> None:
            super().__init__()
            self.mlp, self.attention = nn.Linear(64, 320), Scores()

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.mlp(x), self.attention(x)

    class Scores(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x.mT

    report = fxcount.analyze(Net(), "B,S,64")
    page.open(report.to_html(), fragment="#metric=macs")
    page.show("#curve-panel")
    assert "attention exceeds mlp for S > 320" in page.texts("#crossings li")
    model = Net()
    curve = fxcount.analyze(model, "B,S,64").curve(B=2, S=range(8, 80, 8))
    page.open(curve.to_html())
    cells = page.texts("#points tbody tr:nth-child(3) td")
    assert cells[:3] == ["2", "24", f"{curve.rows[2].macs:,}"]


def test_names_that_are_markup_are_text(page: Page) -> None:
    page.open(fxcount.analyze(Named(), "B,3").to_html())
    assert "</script>: Linear" in page.texts(".line .name")
    assert '"><img src=x onerror=alert(1)>: ReLU' in page.texts(".line .name")
    page.show("#graph-panel")
    assert page.run("return document.querySelectorAll('img, iframe').length") == 0


def test_files_that_are_saved(page: Page, tmp_path: Path) -> None:
    """What the buttons would download, caught on its way."""
    report = fxcount.analyze(Demo(), INPUT)
    page.open(report.to_html())
    page.run(
        "window.saved = []; const make = URL.createObjectURL; URL.createObjectURL = blob => { blob.text().then(t => "
        "window.saved.push(t)); return make(blob); }; HTMLAnchorElement.prototype.click = () => {};"
    )
    for selector in ("#json", "#csv", "#costs button"):
        page.click(selector)
    page.driver.execute_async_script("setTimeout(arguments[0], 200)")
    saved = page.run("return window.saved")
    at = report.at(B=2, H=224, W=224)
    assert json.loads(next(t for t in saved if t.startswith("{")))["totals"]["macs"]["value"] == str(at.macs)
    table = next(t for t in saved if t.startswith("path,"))
    assert table.splitlines()[1].split(",")[-6] == str(at.macs)
    assert any(t.startswith("<svg") and 'xmlns="http://www.w3.org/2000/svg"' in t for t in saved)


def test_it_prints_and_has_a_dark_side(page: Page) -> None:
    page.open(fxcount.analyze(Demo(), INPUT).to_html())
    media = "Emulation.setEmulatedMedia"
    light = page.run("return getComputedStyle(document.body).backgroundColor")
    page.driver.execute_cdp_cmd(media, {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    dark = page.run("return getComputedStyle(document.body).backgroundColor")
    assert light == "rgb(255, 255, 255)"
    assert sum(map(int, dark.removeprefix("rgb(").rstrip(")").split(","))) < 120
    printed = base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    page.driver.execute_cdp_cmd(media, {"features": []})
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000


def test_modes_and_dtypes_are_switched(page: Page) -> None:
    """A model in eval mode, in bf16, in training mode and as a step, in one page: the numbers are those of each report,
    sizes stay as they are, and what two settings differ in is marked."""
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)
    )
    whole = fxcount.analyze(net.eval(), "B,3,H,W")
    training = fxcount.analyze(net.train(), "B,3,H,W")
    step = fxcount.training_step(net, "B,3,H,W", optimizer="adamw")
    half = fxcount.analyze(net.eval().to(torch.bfloat16), "B,3,H,W")
    page.open(whole.to_html(variants=[half, training, step]))
    assert page.texts("#model option") == ["eval mode, f32", "eval mode, bf16", "training mode, f32", "a training step, f32"]
    sizes = {"B": 3, "H": 33, "W": 41}
    for name, value in sizes.items():
        page.type(name, value)

    def choose(i: int) -> None:
        chosen = "const s = document.getElementById('model'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))"
        page.run(chosen, str(i))

    for i, report in enumerate((whole, half, training)):
        choose(i)
        at = report.at(**sizes)
        assert int(page.exact("flops")) == at.flops
        assert int(page.exact("peak")) == at.memory.peak
        assert page.texts("#model option")[i] in page.text("h1")
    page.click("#pin")
    choose(0)
    assert page.text("#compare").count("\u00d7") > 1  # two settings beside one another
    choose(3)
    at = step.at(**sizes)
    assert int(page.exact("backward")) == at.backward_flops
    assert int(page.exact("states")) == at.optimizer_bytes
    assert page.run("return location.hash").count("model=3") == 1
    choose(1)
    assert int(page.exact("activations")) == half.at(**sizes).memory.activations
    page.open(whole.to_html(variants=[half, training, step]), fragment="#model=3&B=2&H=33&W=33")
    assert int(page.exact("saved")) == step.at(B=2, H=33, W=33).saved_bytes
