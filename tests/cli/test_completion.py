"""Completion as a shell asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LINES = [
    ("fxcount par", ["params"]), ("fxcount comp", ["compare"]), ("fxcount resnet5", ["resnet50"]),
    ("fxcount demo --dep", ["--depth"]), ("fxcount resnet50 --un", ["--unfold"]), ("fxcount params resnet5", ["resnet50"]),
    ("fxcount train demo --opti", ["--optimizer"]), ("fxcount params demo --state de", ["dead"]),
    ("fxcount compare resnet50 resnext5", ["resnext50_32x4d"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "among"), LINES)
def test_lines_go_on(line: str, among: list[str], tmp_path: Path) -> None:
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    code = "import sys; sys.argv = ['fxcount']; from fxcount.cli.main import main; main()"
    env = {
        **os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "COMP_TYPE": "9",
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True)
    found = [word.strip() for word in answer.read_text().splitlines()]
    assert set(among) <= set(found)
    assert all(word.startswith(line.rpartition(" ")[2]) for word in found)
