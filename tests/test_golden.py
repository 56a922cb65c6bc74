"""What people read, word for word: tests/golden/*.txt. ``pytest tests/test_golden.py --update-golden`` writes them anew."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import fxcount
from fxcount.demo import INPUT, Demo
from fxcount.report.views import parameter_tables
from fxcount.report.views.conventions import render

GOLDEN = Path(__file__).parent / "golden"


class Tied(nn.Module):
    """Every state a parameter can be in: tied, frozen, dead in three ways; a buffer that is updated and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(11, 5), nn.Linear(5, 11, bias=False)
        self.head.weight = self.table.weight
        self.norm, self.idle = nn.BatchNorm1d(5), nn.Linear(5, 7)
        self.frozen, self.cut = nn.Linear(5, 5).requires_grad_(False), nn.Linear(5, 3)
        self.register_buffer("unused", torch.zeros(13), persistent=False)

    def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.frozen(self.norm(self.table(ids).mean(1)))
        return {"logits": self.head(x), "aux": self.cut(x).detach()}


class Routed(nn.Module):
    """Sizes that data decide: a mask, with a bound; and the value of a tensor, a guess."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(7, 5)

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if x.shape[0] > 3:
            x = x.relu()
        return self.linear(x[x[:, 0] > 0]), self.linear(x.new_zeros(n.sum().item(), 7))


def _demo() -> fxcount.Report:
    return fxcount.analyze(Demo(), INPUT)


def _tied() -> fxcount.Report:
    return fxcount.analyze(Tied().train(), "i64[B,S]")


def _routed() -> fxcount.Report:
    return fxcount.analyze(Routed(), "B,7", "i64[3]", hints={"B": 5})


TEXTS: dict[str, Callable[[], str]] = {
    "demo": lambda: _demo().table(),
    "demo_at": lambda: _demo().at(B=3, H=32, W=40).table(depth=None),
    "demo_conventions": lambda: render(_demo(), _demo().conventions()),
    "demo_conventions_details": lambda: render(_demo(), _demo().conventions("fvcore", "thop"), details=True),
    "demo_markdown": lambda: _demo().to_markdown(),
    "demo_latex": lambda: _demo().to_latex("kinds"),
    "demo_csv": lambda: _demo().to_csv("ops"),
    "demo_dot": lambda: _demo().to_dot(depth=1),
    "tied": lambda: _tied().table(),
    "tied_params": lambda: parameter_tables.overview(_tied().params, "Tied"),
    "tied_params_by_module": lambda: parameter_tables.by_table(_tied().params, "module"),
    "tied_params_by_group": lambda: parameter_tables.by_table(_tied().params, "group"),
    "tied_params_dead": lambda: parameter_tables.rows_table(_tied().params.rows("dead")),
    "tied_params_markdown": lambda: re.sub(r" {2,}", " ", re.sub(r"-{2,}", "--", _tied().to_markdown("params"))),  # paths vary
    "routed": lambda: _routed().table(),
    "routed_guessed": lambda: _routed().at(B=7, guess=True).table(),
    "routed_known": lambda: _routed().at(B=7, item_1=3).table(),
}  # fmt: skip


def _anywhere(text: str) -> str:
    """The same on every machine and for every torch: places by package, lines in torch left out."""
    for name, file in (("tests", __file__), ("fxcount", fxcount.__file__), ("torch", torch.__file__)):
        text = text.replace(os.path.dirname(file) + os.sep, f"<{name}>/")
    return re.sub(r"(<torch>/[\w/]+\.py):\d+", r"\1", text).rstrip("\n") + "\n"


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str, pytestconfig: pytest.Config) -> None:
    file, text = GOLDEN / f"{name}.txt", _anywhere(TEXTS[name]())
    if pytestconfig.getoption("--update-golden"):
        file.write_text(text, encoding="utf-8")
    assert text.splitlines() == file.read_text("utf-8").splitlines()


def test_no_file_is_left_over() -> None:
    assert {f.stem for f in GOLDEN.glob("*.txt")} == set(TEXTS)
