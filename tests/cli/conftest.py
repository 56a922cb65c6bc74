"""A folder with a user's files in it, and the command line run in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fxcount.cli.main import main

NETS = '''
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, width=5, act="relu"):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, width), nn.Linear(width, 2)

    def forward(self, x):
        return self.outer(self.inner(x).relu())

class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 7)

    def forward(self, ids, mask=None, scale=1):
        return self.table(ids) * scale

class Breaks(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 5), nn.Linear(7, 5), nn.Linear(5, 5)

    def forward(self, x):
        return self.third(self.second(self.first(x)))

def build(width=5):
    return Small(width)

number = 3
'''
ONE = '''
from torch import nn

class Only(nn.Module):
    def __init__(self, width=5):
        super().__init__()
        self.layer = nn.Linear(3, width)

    def forward(self, x):
        return self.layer(x)
'''


class Done(NamedTuple):
    status: int
    out: str
    err: str


Shell = Callable[..., Done]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs a command in a folder with ``user_nets.py`` and ``user_one.py``; the modules are forgotten afterwards."""
    for name, text in (("user_nets", NETS), ("user_one", ONE)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *[p for p in sys.path if p]])

    def run(*words: str) -> Done:
        capsys.readouterr()
        try:
            status = main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *capsys.readouterr())

    return run
