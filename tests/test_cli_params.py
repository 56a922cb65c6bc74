"""``fxcount params``: its tables, its JSON, its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fxcount.cli.main import main

MODULE = '''
import torch
from torch import nn

class Net(nn.Module):
    """A tied head of 11*5, a layer of 5*5 + 5 that is never called, an auxiliary head of 5*3."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(11, 5), nn.Linear(5, 11, bias=False)
        self.head.weight = self.table.weight
        self.idle, self.aux = nn.Linear(5, 5), nn.Linear(5, 3, bias=False)
        self.register_buffer("mask", torch.zeros(7), persistent=False)

    def forward(self, ids):
        x = self.table(ids)
        out = {"logits": self.head(x)}
        if self.training:
            out["aux"] = self.aux(x)
        return out

class Plain(nn.Linear):
    def __init__(self):
        super().__init__(3, 5)
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params_nets.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def lines(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> list[str]:
    assert main(["params", *words]) == status
    return capsys.readouterr().out.splitlines()


NET = ("params_nets:Net", "i64[B,S]", "--train")


def test_overview(capsys: pytest.CaptureFixture[str]) -> None:
    out = lines(capsys, *NET)
    assert out[0] == "Net: 100 parameters, 400 B"
    assert [" ".join(line.split()) for line in out[1:6]] == [
        "state parameters elements bytes trainable frozen shared dead",
        "trainable 4 100 400 B 100 - 55 30",
        "frozen - - 0 B - - - -",
        "shared 1 55 220 B 55 - 55 -",
        "dead 2 30 120 B 30 - - 30",
    ]
    assert out[6:] == [
        "dead:",
        "  120 B  idle.weight, idle.bias: module idle is never called",
        "sharing:",
        "  same parameter: table.weight, head.weight; 2 uses, saves 220 B",
        "buffers: 1 (1 dead, 1 not in the state dict), 28 B; dead: mask",
    ]


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split()[0] for line in lines(capsys, *NET, "--by", "module")] == ["module", "table", "idle", "aux"]
    assert lines(capsys, *NET, "--by", "dtype")[1].split()[:3] == ["float32", "4", "100"]
    assert lines(capsys, *NET, "--by", "state")[4].split()[0] == "dead"
    assert lines(capsys, *NET, "--by", "group") == ["same parameter: table.weight, head.weight; 2 uses, saves 220 B"]
    assert lines(capsys, "params_nets:Plain", "B,3", "--by", "group") == ["nothing is shared"]
    shared = lines(capsys, *NET, "--state", "shared")
    assert shared[1].split() == ["table.weight", "=", "head.weight", "11x5", "float32", "220", "B", "2"]
    assert lines(capsys, *NET, "--state", "dead")[1].endswith("module idle is never called")


def test_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    dead = lines(capsys, *NET, "--outputs", "logits", "--state", "dead")
    assert [line.split()[0] for line in dead] == ["parameter", "idle.weight", "idle.bias", "aux.weight"]
    dead = lines(capsys, *NET, "--outputs", "logits,aux", "--state", "dead")
    assert [line.split()[0] for line in dead] == ["parameter", "idle.weight", "idle.bias"]
    assert main(["params", *NET, "--outputs", "loss"]) == 2
    assert "its outputs are logits, aux" in capsys.readouterr().err


def test_modes(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys, *NET[:2], "--modes")
    assert [" ".join(line.split()) for line in found] == [
        "parameter bytes alive why not",
        "idle.weight 100 B in no mode module idle is never called",
        "idle.bias 20 B in no mode module idle is never called",
        "aux.weight 60 B only in training module aux is never called",
    ]
    assert lines(capsys, "params_nets:Plain", "B,3", "--modes") == ["all parameters are alive in both modes"]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["params", *NET, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["total"], found["dead"], found["bytes"]) == (100, 30, 400)
    rows = {r["names"][0]: r for r in found["parameters"]}
    assert rows["idle.bias"]["cause"] == "module never called"
    assert [(u["module"], u["op"], u["argument"]) for u in rows["table.weight"]["uses"]] == [
        ("table", "embedding", "weight"), ("head", "linear", "weight")
    ]  # fmt: skip
    assert [g["kind"] for g in found["groups"]] == ["same parameter"]
    assert [(b["names"], b["state"], b["persistent"]) for b in found["buffer_rows"]] == [(["mask"], "dead", False)]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ((*NET, "--fail-on", "dead"), 1, "fxcount: 2 dead parameters, 120 B: idle.weight, idle.bias\n"),
        (
            (*NET, "--fail-on", "dead,shared"), 1,
            "fxcount: 2 dead parameters, 120 B: idle.weight, idle.bias; 1 shared parameter, 220 B: table.weight\n",
        ),
        ((*NET, "--fail-on", "frozen"), 0, ""),
        (("params_nets:Plain", "B,3", "--fail-on", "dead,shared"), 0, ""),
        ((*NET, "--fail-on", "dead,alive"), 2, "fxcount: error: --fail-on knows no 'alive'"),
        (("params_nets:Plain", "B,4"), 2, "fxcount: error: linear: x (B, 4) has 4 features"),
    ],
)  # fmt: skip
def test_exit_status(words: tuple[str, ...], status: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["params", *words]) == status
    out = capsys.readouterr()
    assert out.err.startswith(says)
    assert bool(says) == bool(out.err)
    assert bool(out.out) == (status < 2)
