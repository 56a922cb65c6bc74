"""The page as text: one file, a closed policy, nothing of a model's names outside of the data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.cli.main import main
from fxcount.demo import INPUT, Demo
from fxcount.errors import InputError
from fxcount.report.views.html.pool import runs
from fxcount.symbolic import eval_rows


def data_of(page: str) -> dict[str, Any]:
    """What the page holds."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


class Named(nn.Module):
    """Names that would end a script, open a tag, or a comment."""

    def __init__(self) -> None:
        super().__init__()
        parts = {"</script>": nn.Linear(3, 5), "<!--": nn.Linear(5, 5), '"><img src=x onerror=alert(1)>': nn.ReLU()}
        self.parts = nn.ModuleDict(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in self.parts.values():
            x = part(x)
        return x


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_names_of_modules_are_data_and_nothing_else() -> None:
    page = fxcount.analyze(Named(), "B,3").to_html()
    tags = _Tags()
    tags.feed(page)
    assert [tag for tag, _ in tags.tags].count("script") == 2
    assert not [tag for tag, _ in tags.tags if tag in ("img", "iframe", "link", "object", "embed", "base", "form")]
    names = data_of(page)["models"][0]["pieces"][0]["names"]
    assert {f"parts.{name}" for name in Named().parts} <= set(names)


def test_the_policy_lets_only_this_script_and_style_in() -> None:
    page = fxcount.analyze(nn.Linear(3, 5), "B,3").to_html()
    tags = _Tags()
    tags.feed(page)
    policy = next(a["content"] for tag, a in tags.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(text) == 1
        digest = base64.b64encode(hashlib.sha256(text[0].encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)|@import|url\((?!#)", page)
    assert not re.search(r"innerHTML|document\.write|\beval\(|new Function", page)


def test_every_formula_of_the_page_is_that_of_the_report() -> None:
    report = fxcount.analyze(Demo(), INPUT)
    piece = data_of(report.to_html())["models"][0]["pieces"][0]
    at = report.at(B=3, H=97, W=61)
    sizes = at.values
    assert sizes is not None

    def value(row: int) -> int:
        return eval_rows(piece["rows"][: row + 1], sizes)

    totals = {name: max(map(value, rows)) for name, rows in piece["totals"].items()}
    assert totals["macs"] == at.macs
    assert totals["flops"] == at.flops
    assert totals["read_bytes"] == at.read_bytes
    assert totals["write_bytes"] == at.write_bytes
    assert totals["activation_bytes"] == at.memory.activations
    assert totals["peak_bytes"] == at.memory.peak
    assert totals["params"] == at.params.total


def test_a_step_says_what_its_report_says() -> None:
    step = fxcount.training_step(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 7)), "B,3", optimizer="adamw")
    piece = data_of(step.to_html())["models"][0]["pieces"][0]
    at = step.at(B=11)
    totals = {name: eval_rows(piece["rows"][: rows[0] + 1], {"B": 11}) for name, rows in piece["totals"].items()}
    assert totals == {
        "forward_flops": at.forward_flops, "backward_flops": at.backward_flops, "flops": at.flops, "macs": at.macs,
        "saved_bytes": at.saved_bytes, "gradient_bytes": at.gradient_bytes, "optimizer_bytes": at.optimizer_bytes,
        "input_bytes": at.input_bytes, "param_bytes": at.parameter_bytes, "buffer_bytes": at.buffer_bytes,
        "forward_peak": at.forward_peak, "peak": at.peak, "step_peak": at.step_peak.later, "total_peak": at.total_peak,
    }  # fmt: skip
    assert data_of(step.at(B=11).to_html())["models"][0]["sizes"] == {"B": "11"}


def test_dead_in_a_step_is_what_has_no_gradient_after_a_real_one() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle, self.cut = nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x) + self.cut(self.used(x)).detach()

    model = Cut()
    step = fxcount.training_step(model, "B,3", optimizer="adamw")
    model(torch.randn(2, 3)).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert [r.name for r in step.params.rows("dead")] == without == ["idle.weight", "idle.bias", "cut.weight", "cut.bias"]
    dead = data_of(step.to_html())["models"][0]["pieces"][0]["findings"]["dead"]
    assert sorted(name for d in dead for name in d["names"]) == sorted(without)


def test_pieces_of_a_range_are_in_the_page() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x.mT if x.shape[1] > 8 else x + 1

    model = Net()
    report = fxcount.analyze(model, "B,S,5", hints={"S": 16})
    assert len(data_of(report.to_html())["models"][0]["pieces"]) == 1
    assert len(data_of(report.to_html(over={"S": (1, 64)}))["models"][0]["pieces"]) == 2


def test_equal_layers_take_no_room() -> None:
    sizes = [len(fxcount.analyze(nn.Sequential(*[nn.Linear(7, 7) for _ in range(n)]), "B,7").to_html()) for n in (30, 60)]
    assert sizes[1] - sizes[0] < 30 * 100  # names and shapes of two parameters each
    assert len(runs([0] * 1000)) == 2


def test_a_report_and_a_step_are_not_compared() -> None:
    model = nn.Linear(3, 5)
    with pytest.raises(InputError, match="compare two reports, or two steps"):
        fxcount.analyze(model, "B,3").to_html(compare=fxcount.training_step(model, "B,3"))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "demo.html"
    assert main(["html", "demo", "-o", str(path), "--at", "B=2,H=64,W=64"]) == 0
    assert capsys.readouterr().out == f"{path.stat().st_size:,} bytes, 1 piece written to {path}\n"
    assert data_of(path.read_text("utf-8"))["models"][0]["sizes"] == {"B": "2", "H": "64", "W": "64"}
    assert main(["html", "demo", "-o", str(path), "--step", "--optimizer", "adamw", "--at", "B=2,H=64,W=64"]) == 0
    assert data_of(path.read_text("utf-8"))["kind"] == "step"
    assert main(["html", "demo", "-o", str(tmp_path / "no" / "demo.html")]) == 2
    assert main(["html", "demo", "-o", str(path), "--optimizer", "adamw"]) == 2


def test_modes_dtypes_and_comparisons_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "demo.html"
    words = ["html", "demo", "-o", str(path), "--at", "B=2,H=64,W=64"]
    assert main([*words, "--modes", "eval,train,step", "--dtypes", "f32,bf16", "--optimizer", "sgd"]) == 0
    labels = [m["label"] for m in data_of(path.read_text("utf-8"))["models"]]
    ways = ("eval mode", "training mode", "a training step")
    assert labels == [f"{mode}, {dtype}" for dtype in ("f32", "bf16") for mode in ways]
    assert main([*words, "--compare", "demo"]) == 0
    found = data_of(path.read_text("utf-8"))
    assert (len(found["models"]), found["compare"]) == (2, True)
    saved = tmp_path / "saved.json"
    assert main(["demo", "-o", str(saved)]) == 0
    assert main(["html", "demo", "-o", str(path), "--compare", str(saved)]) == 0
    capsys.readouterr()
    for wrong, said in (
        (["--modes", "evl"], "did you mean"), (["--dtypes", "f33"], "did you mean"),
        (["--step", "--modes", "eval"], "--modes eval,step"),
        (["--optimizer", "sgd"], "add --step"), (["--compare", "demo", "--modes", "eval"], "stands beside one page"),
    ):  # fmt: skip
        assert main([*words, *wrong]) == 2
        assert said in capsys.readouterr().err
