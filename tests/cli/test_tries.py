"""What a new user types, as it is typed: words that stand in the README's place, those that are slips, and what is answered."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.cli.test_completion import LINES
from tests.cli.test_mistakes import AT_ONCE
from tests.cli.test_screens import COMMANDS
from tests.test_examples import PAGES, parts

NET = """
from torch import nn
class Net(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.a, self.b, self.dead = nn.Linear(3, width), nn.Linear(width, 7), nn.Linear(2, 2)
    def forward(self, x): return self.b(self.a(x).relu())
"""
WORK = [
    ('net.py:Net "B,3"', "Net(x: float32[B, 3])   in eval mode"), ('./net.py "B,3"', "in eval mode"),
    ('"net:Net(64)" "B,3"', "717"), ('net:Net "B,3" --arg width=32', "365"), ('net.py "B,3" --train', "in training mode"),
    ('net.py "F32[B,3]"', "float32[B, 3]"), ('net.py "torch.float32[batch,3]"', "rows at batch=2"),
    ("net.py None,3", "float32[B, 3]"), ("net.py ?,3,", "float32[B, 3]"), ("net.py 2,3", "float32[2, 3]"),
    ('net.py "(2,3)"', "float32[2, 3]"), ('net.py "[2,3]"', "float32[2, 3]"),
    ('net.py x="B,3"', "float32[B, 3]"),
    ("net.py", "inputs  guessed from the first layer, a: Linear"), ("params net.py", "717 parameters"),
    ('net.py "B,3" --columns flops,params --sort flops', "flops"), ('net.py "B,3" --depth all --unfold', "Linear"),
    ('params net.py "B,3" --fail-on shared', "717"), ("help", "usage: fxcount"), ("help curve", "usage: fxcount curve"),
    ('net.py "B,3" --at B=7', "rows at B=7"), ('compare net.py "net:Net(32)" "B,3"', "-352"),
    ('compare net.py net.py "B,3" --arg-a width=8', "net.py width=8 -> net.py"),
    ('compare net.py "net:Net(32)" "B,3" --markdown', "**net.py -> net:Net(32)"),
    ('check net.py "B,3" --max-params 25M --max-macs 4.2G@B=1', "2 limits hold"),
    ('check net.py "B,3" --max-flops "2000*B"', "proved for all B >= 1"), ("models timm resnet1*", "timm:resnet101"),
    ("explain conv2d", "schema: aten::conv2d"), ('fit net.py "B,3" --memory 1GB --over B', "is the largest that fits"),
    ('train net.py "B,3" --optimizer adamw --at B=4', "one training step of Net at B=4"),
    ('curve net.py "B,3" --over B=1:8', "| 8 | 5,120 |"),
    ('graph net.py "B,3" -o -', '"directed": true'), ('conventions net.py "B,3"', "thop"),
    *[(f'net.py "B,3" -o n.{ending}', f"Net written to n.{ending}") for ending in (
        "json", "csv", "md", "tex", "html", "svg", "dot", "graphml", "gexf", "mmd", "pbtxt", "folded", "speedscope.json",
        "netron.json", "explorer.json",
    )],
    ("n.json", "in eval mode"), ("n.json --at B=7", "rows at B=7"), ("params n.json", "717 parameters"),
    ("compare n.json n.json", "nothing differs"), ("html n.json -o h.html", "1 piece written to h.html"),
    ('check net.py "B,3" --against n.json --max-macs +5%', "holds"),
]  # fmt: skip
FAIL = [
    ("--verison", "did you mean '--version'?"), ("net.Net", "did you mean 'net:Net'?"), (".", "'.' is a folder, and no model"),
    ("nett.py", "did you mean 'net.py'?"), ("net.py:Nett", "did you mean 'Net'?"), ("nosuch.pt2", "no file 'nosuch.pt2'"),
    ('net.py "half[B,3]"', "convert them with .to(dtype)"), ('net.py "B,4"', "x (B, 4) has 4 features, weight (64, 3) wants 3"),
    ("net.py B 3", "too many positional arguments"), ("net.py 2x3", 'write a shape as "B,3,H,W"'),
    ('net.py "B;3"', "'B;3' is no input"), ('net.py "B,3" --at 2', "NAME=INTEGER"), ('net.py "B,3" --at B=0', "at least 1"),
    ('net.py "B,3" --at B=1.5', "NAME=INTEGER"), ('net.py "B,3" --columns flop', "did you mean 'flops'?"),
    ('net.py "B,3" --sort flop', "did you mean 'flops'?"), ('net.py "B,3" -o n.xlsx', "ends in no format of reports"),
    ('net.py y="B,3"', "missing a required argument: 'x'"), ('net.py "B,3" --depth -1', "neither a number of levels nor 'all'"),
    ('net.py "B,3" --optimizer adam', "it is an option of fxcount train"),
    ('train net.py "B,3" --optimizer adamx', "did you mean 'adamax'?"), ("explain conv2", "did you mean 'conv2d'"),
    ('conventions net.py "B,3" --tool fvcor', "did you mean 'fvcore'?"), ("check", "no model is given"),
    ('check net.py "B,3" --max-flops "f(B)"', "cannot read the limit"), ('check net.py "B,3" --max-macs 4.2X', "cannot read"),
    ('fit net.py "B,3" --memory lots --over B', '"80GB"'), ('curve net.py "B,3" --over Q=1:8', "e.g. --over B=32:256:32"),
    ('html net.py "B,3"', "-o/--output"), ("sweep nolist.txt -o x.sqlite", "there is no file 'nolist.txt'"),
    ("sweep timm:nosuch* -o x.sqlite", "fxcount models timm lists them"),
    ("pareto none.sqlite", "there is no file 'none.sqlite'"),
    ("user/nosuch-model", "give hf:path/to/config.json"), ("n.json B,3", "is as it was analysed"),
]  # fmt: skip
BROKEN = [
    ('check net.py "B,3" --max-params 10', "FAIL  params <= 10: 717 > 10"), ('check net.py "B,3" --no-dead', "never called"),
    ('params net.py "B,3" --fail-on dead', "dead.weight"),
]  # fmt: skip


@pytest.fixture
def user(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in a folder with a model of the user's, and its saved report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "net.py").write_text(NET, "utf-8")
    assert shell("net.py", "B,3", "-o", "n.json").status == 0
    return shell


@pytest.mark.parametrize(("status", "tries"), [(0, WORK), (2, FAIL), (1, BROKEN)], ids=["work", "fail", "broken"])
def test_words_are_answered(user: Shell, status: int, tries: list[tuple[str, str]]) -> None:
    pytest.importorskip("timm")
    for line, said in tries:
        done = user(*shlex.split(line))
        assert done.status == status, (line, done.err)
        assert said in (done.out if status != 2 else done.err), (line, done.out, done.err)
        assert "Traceback" not in done.err, line


def test_there_are_a_hundred_and_fifty() -> None:
    """Different lines that a user would type, each with a test."""
    pages = {line for page in PAGES for kind, line in parts(page) if kind == "command"}
    typed = {f"fxcount {line}" for line, _ in (*WORK, *FAIL, *BROKEN)} | {shlex.join(["fxcount", *w]) for w, _ in AT_ONCE}
    typed |= {shlex.join(["fxcount", *w]) for w in COMMANDS} | {line for line, _ in LINES} | pages
    assert len(typed) >= 150
