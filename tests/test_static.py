"""Types and style are tests like any other, so that one command runs everything."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict() -> None:
    """With the torch of constraints.txt: what torch says of its own types differs from version to version."""
    pinned = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    if version("torch").partition("+")[0] != pinned[1]:
        pytest.skip(f"types are checked with torch {pinned[1]}")
    _run("mypy", "--strict", "fxcount")


def test_ruff() -> None:
    _run("ruff", "check", ".")
