"""Records of long runs: a line of JSON for each task, so that an interrupted run goes on where it ended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from benchmarks.zoo.runner import Limits, Measure, Task, run

__all__ = ["Record", "appended", "read"]

Record = dict[str, Any]


def read(*files: Path) -> list[Record]:
    """The records of files: of two for one task the last; none of a line that an interrupted run cut short."""
    found: dict[str, Record] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[record["key"]] = record
    return list(found.values())


def appended(
    out: Path, tasks: Sequence[Task], measure: Measure, jobs: int, limits: Limits, say: Callable[[Record], str],
    stream: TextIO | None = None,
) -> Iterator[Record]:  # fmt: skip
    """Measure the tasks; each record is put into ``out`` as it comes, told in one line of ``stream`` (stderr), and given."""
    started = time.monotonic()
    cut_short = out.exists() and out.stat().st_size > 0 and not out.read_bytes().endswith(b"\n")
    with out.open("a", encoding="utf-8") as file:
        file.write("\n" if cut_short else "")
        for n, record in enumerate(run(tasks, measure, jobs, limits), 1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            passed = time.monotonic() - started
            print(f"[{n}/{len(tasks)} {passed:.0f} s] {record['key']}: {say(record)}", file=stream or sys.stderr, flush=True)
            yield record
