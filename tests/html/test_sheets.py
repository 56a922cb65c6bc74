"""Pages of what was saved: comparisons, whose numbers follow the sizes, pieces; reports, steps and curves by the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.cli.main import main
from fxcount.errors import InputError
from fxcount.symbolic import eval_rows, evaluate
from tests.html.conftest import Page
from tests.html.test_page import data_of


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, width), nn.Linear(width, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.two(self.one(x).relu())
        return y


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x.mT if x.shape[1] > 8 else x + 1


@pytest.fixture
def compared() -> fxcount.Comparison:
    return fxcount.compare(Net(5), Net(11), "B,S,3")


def test_a_comparison_holds_its_formulas(compared: fxcount.Comparison) -> None:
    data = data_of(compared.to_html())
    assert set(data["sizes"]) == {"B", "S"}
    rows = {row[0]: row[1:] for section in data["sections"] if section["id"] == "totals" for row in section["rows"]}
    sizes = {"B": 13, "S": 17}
    for name, change in compared.totals.items():
        if name not in rows:
            assert change.numbers == (0, 0)
            continue
        before, after, both, _ = rows[name]
        numbers = [eval_rows(data["rows"][: cell["row"] + 1], sizes) for cell in (before, after)]
        assert numbers == [evaluate(change.before, sizes), evaluate(change.after, sizes)]
        assert both["rows"] == [before["row"], after["row"]]
    assert numbers


def test_a_comparison_in_the_browser(page: Page, compared: fxcount.Comparison) -> None:
    page.open(fxcount.load(compared.to_json()).to_html())
    page.type("B", 13)
    page.type("S", 10**12)
    found = {row[0]: row[1:4] for row in _rows(page, "totals")}
    sizes = {"B": 13, "S": 10**12}
    for name in ("params", "macs", "flops", "read_bytes"):
        change = compared.totals[name]
        before, after = (evaluate(size, sizes) for size in (change.before, change.after))
        assert found[name] == [f"{before:,}", f"{after:,}", f"▲ +{after - before:,}"], name
    assert page.text("#message") == f"numbers are at B=13, S={10**12}"
    assert [row[0] for row in _rows(page, "modules")] == [m.path or "the model" for m in compared.changed()]
    assert page.run("return location.hash") == f"#B=13&S={10**12}"
    page.type("B", "few")
    assert "an integer of at least 1" in page.text("#message")


def _rows(page: Page, table: str) -> list[list[str]]:
    found: list[list[str]] = page.run(
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)].map(r => [...r.children].map(c => c.textContent))",
        table,
    )
    return found


def test_pieces_in_the_browser(page: Page) -> None:
    model = Branching()
    pieces = fxcount.analyze(model, "B,S,5").pieces(B=(1, 64), S=(1, 512))
    page.open(fxcount.load(pieces.to_json()).to_html())
    rows = _rows(page, "pieces")
    assert [row[0] for row in rows] == [row.domain for row in pieces]
    assert [row[1] for row in rows] == ["0", "5*B*S**2"]
    page.type("S", 100)
    assert _rows(page, "pieces")[1][2] == f"{5 * int(page.run('return document.getElementById(`size-B`).value')) * 100**2:,}"


SAVED = {
    "report": ["user:Net", "B,3"], "step": ["train", "user:Net", "B,3", "--optimizer", "adamw"],
    "curve": ["curve", "user:Net", "B,3", "--over", "B=1:5"], "comparison": ["compare", "user:Net(5)", "user:Net(7)", "B,3"],
}  # fmt: skip
USER = "from torch import nn\ndef Net(width=5): return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))\n"


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a file of each kind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "user.py").write_text(USER, "utf-8")
    for name, words in SAVED.items():
        assert main([*words, "-o", f"{name}.json"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    return tmp_path


def test_the_command_takes_what_was_saved(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {"report": "report", "step": "step", "curve": "curve", "comparison": "sheets"}
    for name, kind in kinds.items():
        assert main(["html", f"{name}.json", "-o", f"{name}.html"]) == 0, capsys.readouterr().err
        text = (saved / f"{name}.html").read_text("utf-8")
        assert data_of(text)["kind"] == kind
        assert text == fxcount.load(saved / f"{name}.json").to_html()
    assert main(["html", "report.json", "-o", "at.html", "--at", "B=31"]) == 0
    assert _sizes(saved / "at.html") == {"B": "31"}
    assert main(["html", "step.json", "-o", "at.html", "--at", "B=31"]) == 0
    assert _sizes(saved / "at.html") == {"B": "31"}
    assert main(["html", "report.json", "-o", "both.html", "--compare", "report.json"]) == 0
    assert data_of((saved / "both.html").read_text("utf-8"))["compare"] is True
    assert main(["compare", "user:Net(5)", "user:Net(7)", "B,3", "-o", "x.html"]) == 0
    assert (saved / "x.html").read_text("utf-8") == (saved / "comparison.html").read_text("utf-8")


def _sizes(path: Path) -> Any:
    return data_of(path.read_text("utf-8"))["models"][0]["sizes"]


def test_what_analyses_again_is_refused(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["report.json", "--modes", "eval"], "--modes analyses again"), (["report.json", "--over", "B=1:9"], "--over analyses"),
        (["report.json", "B,3"], "no inputs"), (["report.json", "--train"], "no --train"),
        (["curve.json", "--at", "B=3"], "holds a Curve, which is no report"),
        (["report.json", "--compare", "step.json"], "compare two reports, or two steps"),
        (["report.json", "--at", "Q=3"], "the symbols are B"),
    ):  # fmt: skip
        assert main(["html", *words, "-o", "no.html"]) == 2
        assert said in capsys.readouterr().err, words
    assert not (saved / "no.html").exists()


def test_other_commands_take_a_saved_report(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["report.json"], ["params", "report.json"], ["conventions", "report.json"]):
        live = [*command[:-1], "user:Net", "B,3"]
        assert main([*command, "--json"]) == 0, capsys.readouterr().err
        told = capsys.readouterr().out
        assert main([*live, "--json"]) == 0
        assert told == capsys.readouterr().out
    assert main(["count", "report.json", "B,3"]) == 2
    assert "is as it was analysed: no inputs" in capsys.readouterr().err
    assert main(["step.json"]) == 2
    assert "holds a TrainingReport" in capsys.readouterr().err
    assert main(["train", "report.json"]) == 2
    with pytest.raises(InputError, match="holds a Curve"):
        fxcount.compare("curve.json", "report.json")


@pytest.mark.parametrize("text", ["[1, 2]", '{"report": 1}', '{"fxcount": {"kind": "report", "schema": 0}}', "{", '["report"]'])
def test_files_of_others_are_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, "utf-8")
    assert main(["html", str(file), "-o", str(tmp_path / "x.html")]) == 2
    assert capsys.readouterr().err.startswith("fxcount: error: ")
