"""What people mistype, and what they are told: before anything heavy loads, with the word they meant."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fxcount
from fxcount import columns
from fxcount.adapters.reference import check_there, reference
from fxcount.cli.main import fail, main
from fxcount.errors import InputError
from fxcount.wording import DTYPE_WORDS, DTYPES, dtype_named
from tests.cli.conftest import Shell

AT_ONCE = [
    (["resnet5O"], "'resnet50'"), (["Resnet50"], "'resnet50'"), (["resnet_50"], "'resnet50'"),
    (["mobilenet-v2"], "'mobilenet_v2'"), (["hf:bret"], "'bert'"), (["hf:bert-base-uncase"], "'bert-base-uncased'"),
    (["timm:vit_base_patch16_22"], "'vit_base_patch16_224'"), (["torchvision:resnet5O"], "'resnet50'"),
    (["torchvison:"], "did you mean 'torchvision:'"), (["timm:"], "fxcount models timm lists them"),
    (["nosuch.pt2"], "there is no file 'nosuch.pt2'"), (["compare", "demo", "nosuch.json"], "there is no file 'nosuch.json'"),
    (["nosuch.py:Net", "B,3"], "there is no file 'nosuch.py'"), (["help", "cuont"], "did you mean 'count'"),
    (["net.py:Net", "B,,3"], "cannot read the size ''"), (["net.py:Net", "{x: (B,3)}"], "cannot read the size '{x: (B,3)}'"),
    (["demo", "--columns", "flop"], "did you mean 'flops'"), (["demo", "--sort", "mac"], "did you mean 'macs'"),
    (["demo", "-o", "net.htm"], "did you mean '.html'"), (["torchvison:resnet50"], "'torchvision:resnet50'"),
    (["tim:resnet50"], "'timm:resnet50'"),
    (["huggingface:bert"], "'hf:bert'"), (["tv:resnet50"], "'torchvision:resnet50'"),
    (["parms", "demo"], "'params'"), (["cuont", "demo"], "'count'"), (["tran", "demo"], "'train'"),
    (["conventoins", "demo"], "'conventions'"), (["grpah", "demo"], "'graph'"),
    (["demo", "--dept", "1"], "'--depth'"), (["demo", "--at-size", "B=1"], "unrecognized arguments: --at-size"),
    (["demo", "--jsn"], "'--json'"), (["train", "demo", "--optimiser", "sgd"], "'--optimizer'"),
    (["demo", "--optimizer", "sgd"], "it is an option of fxcount train"),
    (["demo", "--fail-on", "dead"], "it is an option of fxcount params"),
    (["demo", "--at", "b=1"], "did you mean 'B'"), (["resnet50", "--at", "b=1"], "write --at B=1"),
    (["timm:resnet50", "--hints", "h=224"], "write --hints H=224"), (["hf:bert", "--at", "b=2,S=3"], "write --at B=2"),
    (["net.py:Net", "Batch,3", "--at", "batch=3"], "did you mean 'Batch'"), (["resnet50", "b=1"], "write --at B=1"),
    (["resnet50", "B=1"], "give sizes as --at B=1"), (["resnet50", "--at", "B:1"], "NAME=INTEGER"),
    (["resnet50", "--at", "B=x"], "NAME=INTEGER"), (["resnet50", "--at", "B=1,B=2"], "gives B twice"),
    (["net.py:Net", "flot32[B,3]"], "did you mean 'float32'"), (["net.py:Net", "B,3+"], "cannot read the size '3+'"),
    (["net.py:Net", "adamw"], "'adamw' is no input"), (["net.py:Net", "out.json"], "'out.json' is no input"),
    (["net.py:Net", "B,3", "--json", "out.json"], "--json takes no value, but 'out.json' follows it; -o out.json"),
    (["net.py:Net", "B,3", "--verify", "5"], "--verify takes no value"),
    (["net.py:Net", "x=B,3", "x=B,3"], "the input x is given twice"),
    (["net:Net(64"], "cannot read 'Net(64'"), (["net:Net(64,)x"], "cannot read"), (["net:"], "cannot read the model 'net:'"),
    (["no such model"], "cannot read the model"), (["torch.nn.Linear"], "did you mean 'torch.nn:Linear'"),
    (["demo", "--depth", "deep"], "neither a number of levels nor 'all'"),
    (["compare", "resnet5O", "resnet50"], "'resnet50'"), (["compare", "resnet50", "resnet5O"], "'resnet50'"),
    (["check", "resnet5O", "--max-params", "1"], "'resnet50'"),
    (["demo", "-o", "net.xyz"], "ends in no format"), (["params", "demo", "--by", "moduel"], "'module'"),
    (["demo", "--arg", "width:3"], "NAME=VALUE"), (["curve", "demo", "--over", "H=9"], "NAME=FIRST:LAST:STEP"),
]  # fmt: skip


def test_mistakes_are_answered_before_torch_loads() -> None:
    """All of them in one interpreter that has no torch: an import of it would say so."""
    code = (
        "import sys, io, contextlib\n"
        "for name in ('torch', 'numpy', 'sympy', 'networkx'): sys.modules[name] = None\n"
        "from fxcount.cli.main import main\n"
        f"for words in {[words for words, _ in AT_ONCE]!r}:\n"
        "    said = io.StringIO()\n"
        "    with contextlib.redirect_stderr(said):\n"
        "        try: status = main(list(words))\n"
        "        except SystemExit as end: status = end.code\n"
        "    print(status, ' '.join(said.getvalue().split()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(AT_ONCE)
    for (words, said), answer in zip(AT_ONCE, answers, strict=True):
        assert answer.startswith("2 "), (words, answer)
        assert said in answer, (words, answer)


def test_names_of_a_file_are_read_from_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only running the file would tell is not asked of its text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("import torch\nclass Net(torch.nn.Module): ...\nsmall = big = Net()\ndef build(): ...\n")
    (tmp_path / "more.py").write_text("from net import *\nglobals()['made'] = 3\n")
    near_by = {"net.py:Nett": "Net", "net.py:smal": "small", "./net.py:biuld": "build", "nett.py:Net": "net.py"}
    for word, near in near_by.items():
        with pytest.raises(InputError, match=f"did you mean '{near}'"):
            check_there(reference(word))
    for word in ("net.py", "net.py:Net", "net.py:big.layer", "net.py:unlike", "more.py:Nett", "demo", "torch.nn:Linear"):
        check_there(reference(word))


def test_columns_are_those_of_tables() -> None:
    """What the command line takes before anything is loaded is what a table draws, and is sorted by."""
    report = fxcount.analyze(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.GELU()), "B,3")
    for name, head in columns.COLUMNS.items():
        assert head in report.table(columns=name)
    for name in columns.SORTED_BY:
        assert "GELU" in report.table(sort=name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["user_nets.py:Smal", "B,3"], "did you mean 'Small'"), (["user_nets:Smal", "B,3"], "did you mean 'Small'"),
        (["user_nets.py", "B,3"], "user_nets.py has several models: Small, Text, Breaks"),
        (["none.py:Net", "B,3"], "there is no file 'none.py'"), (["user_nets.py:number", "B,3"], "neither a module nor"),
        (["user_nets.py:Small(1, 2, 3)", "B,3"], "too many positional arguments"),
        (["user_nets.py:Small", "B,3", "--arg", "widht=3"], "unexpected keyword argument 'widht'; did you mean 'width'"),
        (["torch.nn:Linear", "B,3"], "missing a required argument: 'in_features'"),
        (["user_nets.py:Small", "B,3", "--at", "Q=1"], "the symbols are B"),
        (["user_nets.py:Small", "B,7"], "linear: x (B, 7) has 7 features"),
        (["user_nets.py:Small", "B,3", "B,3"], "cannot be called with these inputs"),
        (["user_nets.py:Text", "B,S"], "embedding"), (["no_such_module:f"], "no module named 'no_such_module'"),
    ],
)  # fmt: skip
def test_mistakes_that_need_the_model(shell: Shell, words: list[str], said: str) -> None:
    done = shell(*words)
    assert done.status == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert said in done.err


def test_bare_fxcount_prints_its_help(shell: Shell) -> None:
    done = shell()
    assert done.status == 0
    assert done.err == ""
    assert "fxcount params MODEL" in done.out


@pytest.mark.parametrize("name", ["fp16", "half", "float", "F32", "torch.float32", "Long", "bool", "bf16", "double", "u8"])
def test_dtypes_by_any_name(shell: Shell, name: str) -> None:
    done = shell("torch.nn:Identity", f"{name}[B,3]")
    assert f"{dtype_named(name)}[B, 3]" in done.out


def test_names_of_dtypes_are_torchs() -> None:

    for name in DTYPE_WORDS:
        assert isinstance(getattr(torch, dtype_named(name)), torch.dtype)
        known = getattr(torch, name, None)
        if isinstance(known, torch.dtype) and name not in DTYPES:
            assert known is getattr(torch, dtype_named(name)), name


def test_sizes_have_words(shell: Shell) -> None:
    """``batch, height, width, seq, length`` have the hints of B, H, W, S, L; in ``32*height`` it is what comes near."""
    done = shell("torch.nn:Identity", "batch,3,height,width,seq,length,32*img_h")
    assert "batch=2, height=224, img_h=7, length=128, seq=128, width=224" in done.out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_lines_and_a_caret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["demo", "B,3,H+"]) == 2
    assert terminal.getvalue().splitlines() == [
        "fxcount: error: cannot read the size 'H+' in the input 'B,3,H+'",
        "  fxcount demo B,3,H+",
        "                   ^^",
        '  to fix: write sizes as integers, names or expressions, e.g. "f32[B,3,32*h,32*w]"',
    ]
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert fail(InputError("nothing quoted", where="net.py:3 (a)"), ["demo"]) == 2
    assert terminal.getvalue().splitlines() == ["fxcount: error: nothing quoted", "  at net.py:3 (a)"]


def test_interrupts_are_one_line(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: list[str], whole_process: bool) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("fxcount.cli.main"), "_run", interrupted)
    done = shell("demo")
    assert (done.status, done.out, done.err) == (130, "", "fxcount: interrupted\n")
