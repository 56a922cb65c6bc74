"""Output on other screens: without boxes, 60 columns wide, a pipe that is closed, in colours only on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    ["demo"], ["demo", "--depth", "all", "--unfold"], ["params", "demo"], ["conventions", "demo"], ["compare", "demo", "demo"],
    ["check", "demo", "--max-params", "1", "--no-dead"], ["train", "demo", "--at", "B=1,H=32,W=32"], ["demo", "--json"],
    ["graph", "demo", "-o", "-"], ["curve", "demo", "--over", "H=32:64:32", "--set", "W=H,B=1"], ["nonsense"], [],
]  # fmt: skip
RUN = "import sys; from fxcount.cli.main import main; sys.exit(main(sys.argv[1:]))"


def test_every_command_in_encodings_that_have_no_boxes(tmp_path: Path) -> None:
    """All commands in one interpreter for each encoding: what is printed is in it."""
    code = (
        "import sys, contextlib\nfrom fxcount.cli.main import main\n"
        f"for words in {COMMANDS!r}:\n"
        "    try: status = main(list(words))\n"
        "    except SystemExit as end: status = end.code\n"
        "    assert status in (0, 1, 2), words\n    print('DONE', status, *words)\n"
    )
    for encoding in ("cp1252", "ascii"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": encoding}
        )
        text = done.stdout.decode(encoding)
        status = {"check": 1, "nonsense": 2}
        assert [line for line in text.splitlines() if line.startswith("DONE")] == [
            f"DONE {status.get((words or [''])[0], 0)} {' '.join(words)}".rstrip() for words in COMMANDS
        ]
        assert "|- block: Block" in text
        done.stderr.decode(encoding)


def test_a_narrow_terminal_has_no_longer_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, "demo"], capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "60"}
    )
    assert "block" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if " at " not in line and "net.py" not in line) <= 60
    assert "\x1b" not in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes are closed otherwise there")
def test_a_pipe_that_is_closed_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "demo", "--json", "--depth", "all"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        said = running.stderr.read()
        running.wait()
    assert said == b""
    assert running.returncode in (0, 141)
