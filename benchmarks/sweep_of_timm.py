"""All of timm by `fxcount sweep`, ended twice in the middle: how long it takes, and whether anything is lost or there twice.

    python benchmarks/sweep_of_timm.py --write          # all of them, into SWEEP.md
    python benchmarks/sweep_of_timm.py --sample 200     # so many of them, evenly

The sweep is a process of its own, as a user types it. When a third of its rows are there it is killed (SIGKILL, so that it can
tell nobody), and its workers must end by themselves; when two thirds are there it gets Ctrl-C. Each time it goes on with
``--resume``. At the end every model has one row, and some of the rows are compared with analyses in this process.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fxcount.adapters.names import model_names
from fxcount.report.views.tables import markdown_table
from fxcount.sweeping.job import Job
from fxcount.sweeping.row import COUNTS, Row, counted
from fxcount.sweeping.store import read_rows

__all__ = ["Measured", "found_wrong", "measured"]

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "import sys; from fxcount.cli.main import main; sys.exit(main())"
COMPARED = 20
SIZES = "B=1,H=224,W=224"


@dataclass(frozen=True, slots=True)
class Measured:
    """``seconds`` of each of the runs that it took; ``processor_seconds`` of all of them, workers included; ``left``: rows at
    the ends in the middle."""

    rows: tuple[Row, ...]
    seconds: tuple[float, ...]
    processor_seconds: float
    left: tuple[int, ...]


def measured(models: list[str], folder: Path, limit: int) -> Measured:
    """The sweep of these models, killed after a third of the rows, interrupted after two."""
    listed, store = folder / "models.txt", folder / "rows.sqlite"
    listed.write_text("\n".join(models) + "\n", encoding="utf-8")
    words = ["sweep", str(listed), "--at", SIZES, "-o", str(store), "--limit", str(limit)]
    before = _processor_seconds()
    seconds, left = [], []
    for end, rows in ((signal.SIGKILL, len(models) // 3), (signal.SIGINT, 2 * len(models) // 3), (None, len(models))):
        begun = time.monotonic()
        with subprocess.Popen([sys.executable, "-c", COMMAND, *words], cwd=ROOT, stderr=subprocess.DEVNULL) as running:
            while running.poll() is None:
                time.sleep(0.2)
                if end is not None and _rows(store) >= rows:
                    workers = _children(running.pid)
                    running.send_signal(end)
                    running.wait(60)
                    _gone(workers)
                    break
        seconds.append(time.monotonic() - begun)
        left.append(_rows(store))
        if "--resume" not in words:
            words.append("--resume")
    return Measured(tuple(read_rows(store)), tuple(seconds), _processor_seconds() - before, tuple(left[:-1]))


def found_wrong(models: list[str], rows: tuple[Row, ...], compared: int = COMPARED) -> list[str]:
    """What is lost, there twice, or not what a single run says."""
    times = Counter(row.model for row in rows)
    wrong = [f"{model} has {times[model]} rows" for model in models if times[model] != 1]
    wrong += [f"{model} was not asked for" for model in times if model not in set(models)]
    good = [row for row in rows if not row.error]
    at = {name: int(size) for name, _, size in (part.partition("=") for part in SIZES.split(","))}
    for row in random.Random(0).sample(good, min(compared, len(good))):
        alone = counted(Job(row.model, at=at))
        if any(getattr(alone, name) != getattr(row, name) for name in (*COUNTS, "macs_formula", "flops_formula", "error")):
            wrong.append(f"{row.model} is another alone")
    return wrong


def _rows(store: Path) -> int:
    if not store.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)) as connection:
            return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])
    except sqlite3.OperationalError:  # the table is being made
        return 0


def _children(process: int) -> list[int]:
    """The processes that it has begun and what those have begun."""
    found: list[int] = []
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        found += [int(child), *_children(int(child))]
    return found


def _gone(processes: list[int], wait_seconds: float = 60) -> None:
    """Wait until these have ended."""
    until = time.monotonic() + wait_seconds
    left = processes
    while left and time.monotonic() < until:
        time.sleep(0.2)
        left = [pid for pid in left if _runs(pid)]
    if left:
        raise SystemExit(f"workers {left} go on after the end of the sweep")


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _processor_seconds() -> float:
    """Of all processes that have ended and were waited for; those of a killed one are not in it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def page(models: list[str], found: Measured, wrong: list[str]) -> str:
    """Markdown."""
    failed = [row for row in found.rows if row.error]
    slow = sorted(found.rows, key=lambda row: -row.seconds)[:10]
    lines = [
        "# All of timm", "",
        f"Written by `python benchmarks/sweep_of_timm.py --write`: `fxcount sweep` over models of timm, at `{SIZES}`, on",
        f"{os.cpu_count()} cores; killed after a third of the rows, interrupted after two thirds, gone on with `--resume`.", "",
    ]  # fmt: skip
    table = [
        ["models", f"{len(models):,}"], ["rows", f"{len(found.rows):,}"], ["of these with an error", f"{len(failed):,}"],
        ["seconds, all in all", f"{sum(found.seconds):.0f}"],
        ["of its three runs", ", ".join([f"{s:.0f}" for s in found.seconds])],
        ["rows when it was ended", ", ".join([f"{n:,}" for n in found.left])],
        ["seconds of a model, all added", f"{sum(row.seconds for row in found.rows):.0f}"],
        ["lost, twice, or not as alone", f"{len(wrong)}"],
    ]  # fmt: skip
    lines += [markdown_table(["", ""], table, [True, False]), "## The slowest", ""]
    rows = [[r.model, f"{r.ops or 0:,}", f"{r.seconds:.1f}"] for r in slow]
    lines.append(markdown_table(["model", "ops", "seconds"], rows, [True, False, False]))
    if failed:
        lines += ["## Without counts", "", *[f"- `{row.model}`: {row.error}" for row in failed], ""]
    return "\n".join([*lines, *wrong]).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="so many of the models")
    parser.add_argument("--limit", type=int, default=120, help="seconds of one model")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    models = [f"timm:{name}" for name in model_names("timm")]
    if options.sample:
        models = models[:: max(1, len(models) // options.sample)]
    with tempfile.TemporaryDirectory() as folder:
        found = measured(models, Path(folder), options.limit)
    wrong = found_wrong(models, found.rows)
    text = page(models, found, wrong)
    print(text)
    if options.write:
        (Path(__file__).parent / "SWEEP.md").write_text(text, "utf-8")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
