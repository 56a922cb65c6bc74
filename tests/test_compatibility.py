"""What is declared about versions: one thing in the package, its metadata, the README and the table of what was run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.matrix import BEGIN, END, Row
from fxcount.torch_private import NEWEST, OLDEST

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/compatibility.md").read_text(encoding="utf-8")
ROWS = [row for line in PAGE.partition(BEGIN)[2].partition(END)[0].splitlines() if (row := Row.read(line)) is not None]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _short(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:2]))


def test_dependencies_ask_for_the_oldest_torch() -> None:
    assert f"torch>={OLDEST}" in PROJECT["dependencies"]


def test_the_oldest_and_the_newest_torch_are_those_of_the_table() -> None:
    versions = [_short(row.torch) for row in ROWS]
    assert (min(versions), max(versions)) == (_short(OLDEST), _short(NEWEST))


def test_the_oldest_python_has_a_row_and_every_row_a_python_that_is_declared() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    pythons = {row.python for row in ROWS}
    assert min(pythons, key=_short) == oldest
    assert {f"Programming Language :: Python :: {python}" for python in pythons} <= set(PROJECT["classifiers"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.python}-{row.torch}")
def test_a_row_is_a_whole_run(row: Row) -> None:
    """The core tests, thousands of them, and the demo; what fails is named in it, and is little."""
    assert row.demo == "runs"
    assert row.passed > 5000
    assert (row.fails == "-") is (row.failed == 0)
    assert row.failed <= 5


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.python}-{row.torch}")
def test_a_row_is_of_commits(row: Row) -> None:
    """Of one, or of two where something failed and was mended; rows written before that was noted say so."""
    assert re.fullmatch(r"(not recorded|[0-9a-f]{10})(, [0-9a-f]{10})?", row.commit)


def test_nothing_fails_on_the_newest_torch() -> None:
    assert [row.failed for row in ROWS if _short(row.torch) == _short(NEWEST)] == [0]


def test_the_pages_name_the_oldest_torch_and_python() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert f"torch {OLDEST}" in PAGE
    assert f"Python {oldest}" in re.sub(r"\s+", " ", PAGE)
    readme = re.sub(r"\s+", " ", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert f"torch {OLDEST}" in readme
    assert f"Python {oldest}" in readme
