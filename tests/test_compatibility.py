"""What the package declares is what docs/compatibility.md shows to have been run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.matrix import BEGIN, END, Row
from fxcount.torch_private import NEWEST, OLDEST

ROOT = Path(__file__).parent.parent
ROWS = [
    row
    for line in (ROOT / "docs/compatibility.md").read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].splitlines()
    if (row := Row.read(line)) is not None
]


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in version.split("."))


def test_the_oldest_and_newest_torch_are_those_of_the_table() -> None:
    versions = sorted({row.torch for row in ROWS}, key=_number)
    assert (versions[0].rpartition(".")[0], versions[-1].rpartition(".")[0]) == (OLDEST, NEWEST)


def test_the_package_asks_for_what_was_run() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    torch, python = re.search(r'"torch>=([\d.]+)"', project), re.search(r'requires-python = ">=([\d.]+)"', project)
    assert torch is not None
    assert python is not None
    assert torch[1] == OLDEST
    assert python[1] == min((row.python for row in ROWS), key=_number)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.python}-{row.torch}")
def test_everything_passed_there(row: Row) -> None:
    assert (row.failed, row.demo) == (0, "runs")
    assert row.passed > 5000, "not the core tests"
