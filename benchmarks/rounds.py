"""Has it become slower? fxcount at two revisions, in turns, each in processes of its own beside FlopCounterMode.

``python benchmarks/rounds.py [--against REVISION] [--rounds 5] [--models NAME ...] [--write]``

One round is a new process for each revision in which fxcount, fxcount with emptied memos and FlopCounterMode take turns
on every model (``speed.py``'s cases). The two revisions alternate, so that a busy machine slows both alike, and what is
compared is the multiple of FlopCounterMode's time in the same process. ``--write`` puts the table into ROUNDS.md.

Five rounds take about five minutes. Each process's times are kept in a file of the system's temporary folder until the table
is made: started again after an interruption, with the same options and commits, it goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.revisions import ROOT, git, unpacked
from benchmarks.tables import table

__all__ = ["main"]

_ROUND = """
import json, sys
from benchmarks.cases import CASES
from benchmarks.peers import EMPTIED, FXCOUNT, REFERENCE
from benchmarks.timing import interleaved
tools, repeat = [FXCOUNT, EMPTIED, REFERENCE], int(sys.argv[1])
found = {name: interleaved(CASES[name], tools, repeat, 300.0) for name in (sys.argv[2:] or CASES)}
print(json.dumps({n: [ts[t.name].median for t in tools] for n, ts in found.items()}))
"""
Round = dict[str, list[float]]  # model -> seconds of fxcount, of fxcount with emptied memos, of FlopCounterMode


def main(argv: Sequence[str] | None = None) -> int:
    """Measure both trees in turns and print the table."""
    options = _parser().parse_args(argv)
    kept = _kept(options)
    with tempfile.TemporaryDirectory() as folder:
        before = unpacked(options.against, Path(folder))
        done: list[Round] = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
        while len(done) < 2 * options.rounds:
            done.append(_round(ROOT if len(done) % 2 else before, options))
            with kept.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    text = _text(list(zip(done[::2], done[1::2], strict=True)), options)
    print(text)
    if options.write:
        (ROOT / "benchmarks" / "ROUNDS.md").write_text(text + "\n")
    kept.unlink()
    return 0


def _kept(options: argparse.Namespace) -> Path:
    """Where the times are kept: a file of its own for each pair of trees and each way to measure."""
    trees = [git("rev-parse", options.against), git("rev-parse", "HEAD"), git("diff", "HEAD", "--", "fxcount", "benchmarks")]
    about = b"".join([*trees, f"{options.rounds} {options.repeat} {options.models} {sys.executable}".encode()])
    return Path(tempfile.gettempdir()) / f"fxcount-rounds-{hashlib.sha256(about).hexdigest()[:16]}.jsonl"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rounds.py", description="fxcount's time at two revisions, in turns")
    parser.add_argument("--against", default="dd04de2", metavar="REVISION", help="the older tree (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="processes for each tree (default 5)")
    parser.add_argument("--repeat", type=int, default=11, help="runs of each tool in a process (default 11)")
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME", help="some of speed.py's (default all)")
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/ROUNDS.md")
    return parser


def _round(tree: Path, options: argparse.Namespace) -> Round:
    print(f"... {'this tree' if tree == ROOT else options.against}", file=sys.stderr, flush=True)
    command = [sys.executable, "-c", _ROUND, str(options.repeat), *options.models]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True, text=True)
    found: Round = json.loads(done.stdout.splitlines()[-1])
    return found


def _text(rounds: list[tuple[Round, ...]], options: argparse.Namespace) -> str:
    rows = []
    for name in rounds[0][0]:
        for label, position in (("warm", 0), ("memos emptied", 1)):
            old, new = ([r[name][position] / r[name][2] for r in each] for each in zip(*rounds, strict=True))
            verdict = "yes" if statistics.median(new) <= max(old) else "NO"
            rows.append([name, label, _spread(old), _spread(new), verdict])
    import torch

    head = ["model", "", f"{options.against}: median (min..max)", "this tree: median (min..max)", "within its spread"]
    about = (
        f"torch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores; {options.rounds} "
        f"processes for each tree, in turns, {options.repeat} interleaved runs in each; multiples of FlopCounterMode's time in "
        "the same process."
    )
    title = "# Is it slower than before?\n\nWritten by `python benchmarks/rounds.py --write`."
    return "\n\n".join([title, about, table(head, rows)])


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f}..{max(ratios):.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
