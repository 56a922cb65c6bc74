"""The commands of sweeps, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fxcount.cli import main
from fxcount.errors import InputError
from fxcount.sweeping.pareto import front, read_scores
from fxcount.sweeping.row import Row
from fxcount.sweeping.store import exported, read_rows


@pytest.fixture
def results(tmp_path: Path) -> str:
    counts = {"timm:a": (1, 9), "timm:b": (2, 9), "timm:c": (5, 3), "d": (5, 4)}
    rows = [Row(f'"{n}"', n, "", "", "eval", "", macs=macs, params=params) for n, (macs, params) in counts.items()]
    exported([*rows, Row("e", "e", "", "", "eval", "", error="it fails")], tmp_path / "a.csv")
    return str(tmp_path / "a.csv")


def test_a_list_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text('# models\ndemo\ntorch.nn:Linear "B,5" --arg in_features=5 --arg=out_features=7  # a layer\n\n')
    out = str(tmp_path / "a.sqlite")
    assert main(["sweep", str(listed), "torch.nn:Nothing", "--at", "B=3", "-o", out, "-j", "1"]) == 0
    said = capsys.readouterr()
    assert said.out == f"2 of 3 models counted, written to {out}\n"
    assert said.err == "torch.nn:Nothing: InputError: torch.nn has no 'Nothing'\n"
    assert {row.model: row.macs for row in read_rows(out)}["torch.nn:Linear"] == 3 * 5 * 7
    assert main(["sweep", "demo", "-o", out]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["pareto", out]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 2 models are beaten by no other"


@pytest.mark.parametrize(("words", "said"), [
    (["sweep", "demo"], "-o"), (["sweep", "demo", "-o", "a.txt"], ".sqlite"),
    (["sweep", "demo", "-o", "a.csv", "-j", "0"], "--jobs"),
    (["sweep", "torchvision:nothing*", "-o", "a.csv"], "fxcount models torchvision"), (["pareto", "nowhere.csv"], "no file"),
    (["models", "tim"], "did you mean 'timm'"), (["sweep", "demo", "--at", "B", "-o", "a.csv"], "--at"),
])  # fmt: skip
def test_mistakes(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(words)
    except SystemExit as error:  # argparse
        status = int(error.code or 0)
    assert status == 2
    assert said in capsys.readouterr().err


def test_a_line_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("demo\ndemo --at B=3\n")
    assert main(["sweep", str(tmp_path / "list.txt"), "-o", str(tmp_path / "a.csv")]) == 2
    assert "line 2: cannot read '--at'" in capsys.readouterr().err


def test_names_of_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "torchvision", "resnet[135]*"]) == 0
    assert capsys.readouterr().out.split() == [f"torchvision:resnet{n}" for n in (101, 152, 18, 34, 50)]


def test_scores_by_model(tmp_path: Path, results: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scores.csv").write_text("model,top1,top5\na.in1k,70,90\nb,80,91\nb.in22k,79.5,99\nd,75,90\nz,99,99\n")
    assert main(["pareto", results, "--scores", str(tmp_path / "scores.csv"), "-o", str(tmp_path / "a.svg")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "model   macs  score", "timm:a     1     70", "timm:b     2     80", "2 of 3 models are beaten by no other",
    ]  # fmt: skip
    assert "<svg" in (tmp_path / "a.svg").read_text()
    assert read_scores(tmp_path / "scores.csv", "top5")["timm:b"] == 99
    with pytest.raises(InputError, match="no column 'top9'"):
        read_scores(tmp_path / "scores.csv", "top9")


def test_a_front_is_what_no_other_beats(results: str) -> None:
    rows = [row for row in read_rows(results) if not row.error]
    for cost, other in (("macs", "params"), ("params", "macs")):

        def beats(a: Row, b: Row, cost: str = cost, other: str = other) -> bool:
            one, two = (getattr(a, cost), getattr(a, other)), (getattr(b, cost), getattr(b, other))
            return one != two and one[0] <= two[0] and one[1] <= two[1]

        assert {r.model for r in front(rows, cost, other).on} == {b.model for b in rows if not any(beats(a, b) for a in rows)}
    with pytest.raises(InputError, match="no 'accuracy'"):
        front(rows, "accuracy")
