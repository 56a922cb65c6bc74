"""Output on other screens: without boxes, 60 columns wide, a pipe that is closed, in colours only on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fxcount.cli.main import main

LLAMA = (
    "hf:llama --arg num_hidden_layers=2 --arg hidden_size=64 --arg vocab_size=101 --arg intermediate_size=96 "
    "--arg num_attention_heads=4 --arg num_key_value_heads=2"
).split()
COMMANDS = [
    ["demo"], ["demo", "--depth", "all", "--unfold"], ["params", "demo"], ["conventions", "demo"], ["compare", "demo", "demo"],
    ["check", "demo", "--max-params", "1", "--no-dead"], ["train", "demo", "--at", "B=1,H=32,W=32"], ["demo", "--json"],
    ["graph", "demo", "-o", "-"], ["curve", "demo", "--over", "H=32:64:32", "--set", "W=H,B=1"], ["nonsense"], [],
    ["fit", "demo", "--memory", "1GB", "--over", "B", "--at", "H=32,W=32"], ["explain", "conv2d", "B,3,H,W", "8,3,3,3"],
    ["models", "torchvision", "resnet*"], ["claims", *LLAMA], ["generate", *LLAMA, "--prompt", "P=8", "--new", "N=5"],
    ["html", "demo", "-o", "demo.html"], ["sweep", "list.txt", "-o", "results.csv", "-j", "1"], ["pareto", "results.csv"],
    ["count", "demo"],
]  # fmt: skip
ROOT = Path(__file__).parent.parent.parent
RUN = "import sys; from fxcount.cli.main import main; sys.exit(main(sys.argv[1:]))"


def test_they_are_all() -> None:
    from fxcount.cli.commands import COMMANDS as known

    assert set(known) <= {(words or [""])[0] for words in COMMANDS}


def test_every_command_in_encodings_that_have_no_boxes(tmp_path: Path) -> None:
    """All commands in one interpreter for each encoding: what is printed is in it."""
    pytest.importorskip("transformers")
    code = (
        "import sys, contextlib\nfrom fxcount.cli.main import main\n"
        f"for words in {COMMANDS!r}:\n"
        "    try: status = main(list(words))\n"
        "    except SystemExit as end: status = end.code\n"
        "    assert status in (0, 1, 2), words\n    print('DONE', status, *words)\n"
    )
    for encoding in ("cp1252", "ascii"):
        home = tmp_path / encoding
        home.mkdir()
        (home / "list.txt").write_text("demo\n", encoding="utf-8")
        env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env, cwd=home)
        text = done.stdout.decode(encoding)
        status = {"check": 1, "nonsense": 2}
        assert [line for line in text.splitlines() if line.startswith("DONE")] == [
            f"DONE {status.get((words or [''])[0], 0)} {' '.join(words)}".rstrip() for words in COMMANDS
        ]
        assert "|- block: Block" in text
        done.stderr.decode(encoding)


def test_a_narrow_terminal_has_no_longer_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of any command but what is for other programs; only a word that is longer by itself (a path) goes over the edge."""
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("demo\n", encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "60")
    for words in COMMANDS:
        if not words or words[0] in ("graph", "curve", "sweep") or "--json" in words:
            continue  # JSON, DOT and Markdown; a sweep says one line
        main(list(words))
        out = capsys.readouterr().out
        for line in out.splitlines():
            assert len(line) <= 60 or len(line.split()) == 1, (words, line)
        assert "\x1b" not in out


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


@pytest.mark.skipif(os.name == "nt", reason="pipes are closed otherwise there")
def test_every_command_with_a_pipe_that_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``fxcount ... | head -0``: who reads has gone before anything is written."""
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("demo\n", encoding="utf-8")
    for words in COMMANDS:
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w", encoding="utf-8") as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            try:
                status = main(list(words))
            finally:
                monkeypatch.undo()
                monkeypatch.chdir(tmp_path)
        assert status == (2 if words == ["nonsense"] else 0), words
        said = capsys.readouterr().err
        assert "BrokenPipe" not in said, words
        assert "Traceback" not in said, words
