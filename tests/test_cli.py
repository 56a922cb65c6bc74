"""The command line: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fxcount.cli.main import main

MODULE = '''
from torch import nn

def build():
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))

class Pair(nn.Module):
    def forward(self, ids, scale=1):
        return ids * scale

number = 3
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_nets.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--at", "B=3,H=32,W=40", "--depth", "0"]) == 0
    out = capsys.readouterr()
    assert "Demo(x: float32[3, 3, 32, 40])" in out.out
    assert "unused.weight" in out.out
    assert out.err == ""


@pytest.mark.usefixtures("here")
def test_own_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["some_nets:build", "B,3"]) == 0
    assert "25*B" in capsys.readouterr().out  # 3*5 + 5*2 macs


@pytest.mark.usefixtures("here")
def test_json_and_keyword_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["some_nets:Pair", "ids=f32[B,7]", "scale=2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["totals"]["flops"] == "7*B"
    assert found["inputs"] == [{"name": "ids", "shape": ["B", 7], "dtype": "float32"}]


def test_known_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["torchvision:resnet18", "--at", "B=1,H=224,W=224", "--depth", "1"]) == 0
    assert "1,814,073,344" in capsys.readouterr().out  # torchvision's own weights meta says 1.814 GMACs
    assert main(["timm:resnet18", "B,3,224,224", "--at", "B=1", "--depth", "1"]) == 0
    assert "1,814,073,344" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "cannot read the model 'nothing'"),
        (["no_such_module:x"], "no module named 'no_such_module'"),
        (["some_nets:missing"], "has no 'missing'"),
        (["some_nets:number"], "neither a module nor something that builds one"),
        (["torchvision:resnet9000"], "torchvision has no model 'resnet9000'"),
        (["timm:no_such_net"], "timm has no model"),
        (["hf:no_such_kind"], "transformers has no architecture"),
        (["some_nets:Pair"], "cannot be called with these inputs"),
        (["some_nets:build", "B,4"], "linear: x (B, 4) has 4 features"),
        (["some_nets:build", "B,3", "--at", "H=3"], "--at got 'H'; the symbols are B"),
        (["some_nets:build", "B,3", "--at", "B=three"], "cannot read 'B=three'"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("fxcount: error: ")
    assert out.err.count("\n") == 1
    assert message in out.err


FAILING = '''
import torch
from torch import nn

class Raises(nn.Module):
    def forward(self, x):
        y = x * 2
        raise RuntimeError("of two\\nlines")

class Looks(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

class Wide(nn.Module):
    def forward(self, x):
        return x.relu() if x.shape[0] > 32 else x

class Broken(nn.Module):
    def __init__(self):
        raise OSError("no such file")

class Even(nn.Module):
    def forward(self, x):
        assert x.shape[0] % 2 == 0, "odd batch"
        return x
'''


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["failing_nets:Raises", "B,3"], ["RuntimeError: of two lines", "failing_nets.py:8 (Raises)"]),
        (["failing_nets:Looks", "B,3"], ["decides on data", "failing_nets.py:12 (Looks)", "--hints branch=0"]),
        (["failing_nets:Even", "B,3", "--hints", "B=4", "--at", "B=7"], [
            "itself refuses B=7", "odd batch", "failing_nets.py:24", "to fix: "
        ]),
        (["failing_nets:Wide", "B,3", "--hints", "Q=37"], ["hints given for Q"]),
        (["failing_nets:Wide", "B,3+"], ["'3+'"]),
        (["failing_nets:Wide", "0,3"], ["size of 0"]),
        (["failing_nets:Broken", "B,3"], ["OSError: no such file"]),
        (["hf:no/such/config.json"], ["config.json"]),
    ],
)
def test_errors_of_the_model_name_its_line(
    arguments: list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "failing_nets.py").write_text(FAILING, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(arguments) == 2
    out = capsys.readouterr()
    assert not out.out or "ended   after" in out.out  # the table up to the error
    assert out.err.startswith("fxcount: error: ")
    assert out.err.count("\n") == 1
    for part in parts:
        assert part in out.err


def test_decisions_follow_the_hints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "failing_nets.py").write_text(FAILING, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["failing_nets:Wide", "B,3", "--hints", "B=37", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["symbols"] == {"B": 37}
    assert [a["text"] for a in found["assumptions"]] == ["B >= 33"]


def test_a_configuration_file_is_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GPT-2 of one layer of width 12: per token 12 width**2 and the head's, per pair of tokens 2 widths."""
    settings = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 1, "n_embd": 12, "n_head": 3,
        "vocab_size": 131, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    assert main([f"hf:{path}", "--json", "--at", "B=3,S=7", "--hints", "S=11"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["macs"] == 3 * (7 * (12 * 144 + 131 * 12) + 2 * 7 * 7 * 12)


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["demo", "--no-such"], ["demo", "--depth", "x"], ["demo", "--no-such-option"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "usage: fxcount" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_exported_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "linear.pt2"
    torch.export.save(torch.export.export(torch.nn.Linear(5, 7), (torch.zeros(3, 5),)), path)
    assert main([str(path)]) == 0
    assert "105" in capsys.readouterr().out  # 3*5*7 macs
    assert main([str(path), "--train"]) == 2
    assert "no training mode" in capsys.readouterr().err
    assert main([str(tmp_path / "none.pt2")]) == 2
    assert "no file" in capsys.readouterr().err
