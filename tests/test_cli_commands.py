"""Commands, options and messages: what is understood before torch loads, what is suggested, which words advice is in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import fxcount
from fxcount.cli import params
from fxcount.cli.commands import COMMANDS, DEFAULT
from fxcount.cli.main import main
from fxcount.passes.parameters import STATES
from fxcount.report.views import parameter_tables
from fxcount.report.views.tables import ROWS

MODULE = '''
import torch
from torch import nn

def build(width=5, act="relu", depth=1):
    assert act == "relu"
    return nn.Sequential(*[nn.Linear(3, width) for _ in range(depth)])

class Cut(nn.Module):
    def forward(self, x, n):
        return torch.zeros(n.sum().item(), 7) @ x.new_zeros(7, 2)

class Wide(nn.Module):
    def forward(self, x):
        return x.relu() if x.shape[0] > 32 else x
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "command_nets.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--help"], 0, "fxcount params MODEL [INPUT ...]"),
        (["--version"], 0, f"fxcount {fxcount.__version__}"),
        (["grpah", "demo"], 2, "did you mean 'graph'?"),
        (["params", "--help"], 0, "--fail-on STATE"),
        (["graph", "--help"], 0, "FILE.graphml"),
        (["demo", "--dept", "1"], 2, "did you mean '--depth'?"),
        (["params", "demo", "--state", "deda"], 2, "did you mean 'dead'?"),
        (["demo", "B,3,H+"], 2, "cannot read the size 'H+'"),
        (["demo", "--at", "B:3"], 2, "--at: cannot read 'B:3' as NAME=INTEGER"),
        (["demo", "--hints", "B=1,B=2"], 2, "--hints gives B twice"),
        (["demo", "--arg", "width"], 2, "--arg: cannot read 'width' as NAME=VALUE"),
    ],
)
def test_words_are_understood_before_torch_loads(words: list[str], status: int, said: str) -> None:
    code = (
        "import sys\nfrom fxcount.cli import main\n"
        f"try: status = main({words!r})\nexcept SystemExit as end: status = end.code or 0\n"
        "heavy = [m for m in ('torch', 'sympy', 'networkx', 'numpy') if m in sys.modules]\n"
        "print(status, heavy, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == f"{status} []"
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: fxcount {name}" in said or name == DEFAULT
    assert "--at B=8,H=224" in said or "MODEL" not in COMMANDS[name].usage  # about one model


def test_choices_are_those_of_the_passes_and_views() -> None:
    assert tuple(STATES) == params.STATES
    assert parameter_tables.BY == params.BY
    assert ROWS == ("ops", "modules", "kinds", "params", "layers", "classes")


@pytest.mark.usefixtures("here")
def test_arguments_of_what_builds_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["command_nets:build", "--arg", "width=11", "B,3", "--arg", "act=relu", "--at", "B=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["macs"] == 2 * 3 * 11
    assert main(["command_nets:build", "B,3", "--arg", "no_such=1"]) == 2
    assert "no_such" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_the_default_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["command_nets:build", "B,3"]) == main(["count", "command_nets:build", "B,3"]) == 0
    title = "Sequential(input: float32[B, 3])   in eval mode, rows at B=2\n"
    first, _, second = capsys.readouterr().out.partition(title)[2].partition(title)
    assert first == second != ""


@pytest.mark.usefixtures("here")
def test_decisions_are_taken_at_the_sizes_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """``x.relu()`` runs above 32 rows only: one flop for each of 37*3 elements, none for 5*3."""
    for rows, flops in ((37, 111), (5, 0)):
        for hints in ([], ["--hints", "B=33"]):
            assert main(["command_nets:Wide", "B,3", "--at", f"B={rows}", "--json", *hints]) == 0
            assert json.loads(capsys.readouterr().out)["totals"]["flops"] == flops


@pytest.mark.usefixtures("here")
def test_some_of_the_sizes_leave_the_rest_symbolic(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["command_nets:build", "B,S,3", "--at", "B=7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["macs"] == "105*S"
    assert main(["command_nets:build", "B,S,3", "--at", "B=7"]) == 0
    assert "macs    105*S" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["command_nets:build", "B,3", "--at", "H=3"], "--at got 'H'; the symbols are B to fix: give values for symbols"),
        (["command_nets:Cut", "B,3", "i64[3]", "--at", "B=2"], "or take the guess with --guess"),
    ],
)
def test_advice_is_in_words_of_the_command_line(words: list[str], advice: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert advice in said
    assert "hints=" not in said
    assert "at(" not in said


@pytest.mark.usefixtures("here")
def test_a_guess_is_taken_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["command_nets:Cut", "B,3", "i64[3]", "--at", "B=2", "--guess", "--json"]) == 0
    assert [g["name"] for g in json.loads(capsys.readouterr().out)["guesses"]] == ["item_1"]
    assert main(["command_nets:Cut", "B,3", "i64[3]", "--at", "B=2,item_1=5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["guesses"], found["totals"]["macs"]) == ([], 5 * 7 * 2)


def test_tables_go_to_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["command_nets:build", "B,3", "-o", "net.csv", "--rows", "kinds"]) == 0
    assert capsys.readouterr().out == "Sequential written to net.csv\n"
    assert (here / "net.csv").read_text("utf-8").splitlines()[1].startswith("linear,1,15*B,")
    assert main(["command_nets:build", "B,3", "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("| path")
    assert main(["command_nets:build", "B,3", "-o", "net.xyz"]) == 2
    assert "use one of .json, .csv, .md, .tex, .dot" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_curve_is_a_table_or_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["curve", "command_nets:build", "B,S,3", "--over", "S=3:9:3", "--set", "B=2"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [[cell.strip() for cell in line.split("|")[1:4]] for line in lines[2:]] == [
        ["2", str(s), str(2 * s * 3 * 5)] for s in (3, 6, 9)
    ]
    for suffix in ("csv", "md", "png", "svg"):
        assert main([*words, "-o", f"curve.{suffix}", "--quantity", "flops"]) == 0
        assert (tmp_path / f"curve.{suffix}").stat().st_size
        assert f"3 points of Sequential written to curve.{suffix}" in capsys.readouterr().out
    for wrong, said in (
        (["--over", "S=9:3", "--set", "B=1"], "cannot read 'S=9:3' as NAME=FIRST:LAST:STEP"),
        (["--over", "S=3:9", "--set", "S=1"], "S has a value, and runs"),
        (["--over", "S=3:9"], "--over and --set need a value, a range or a tie for B"),
        (["--over", "S=3:9", "--set", "B=1", "-o", "curve.xls"], "no table and no plot"),
        (["--over", "S=3:9", "--set", "B=1,extend=0"], "--set got 'extend', which is no name of a size"),
        (["--over", "guess=3:9", "--set", "B=1"], "--over got 'guess', which is no name of a size"),
        (["--over", "S=3:9", "--set", "B=1", "--fit"], "no size is pinned"),
        (["--over", "S=3:9", "--set", "B=1", "--fit", "--arg", "n={S}"], "--fit is for one model of any size"),
    ):
        assert main(["curve", "command_nets:build", "B,S,3", *wrong]) == 2
        assert said in capsys.readouterr().err


def test_a_training_step_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    """What is held adds up to the total peak."""
    assert main(["train", "demo", "--optimizer", "adamw", "--at", "B=5,H=32,W=32"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("one training step of Demo at B=5, H=32, W=32\n")
    held = text.partition("bytes held there")[2].partition("the modules that save most")[0]
    parts = {words[0]: int(words[1].replace(",", "")) for words in map(str.split, held.splitlines()) if words}
    total = next(line for line in text.splitlines() if "total peak " in line)
    assert sum(parts.values()) == int(total.split()[-1].replace(",", ""))
    assert parts.keys() <= {"parameters", "buffers", "gradients", "states", "inputs", "saved", "temporaries"}
    assert main(["train", "demo", "--optimizer", "adamm"]) == 2
    assert "no optimizer is called 'adamm'" in capsys.readouterr().err
