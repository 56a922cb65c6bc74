"""Is a training step what fxcount says? Real steps on the CPU, at sizes that are not the hints, beside its numbers.

    python -m benchmarks.training --jobs 8 --out training.jsonl         # resumes where the file ends
    python -m benchmarks.training --shard 1/4 --family timm --out training-1.jsonl
    python -m benchmarks.training --summarise training*.jsonl           # writes TRAINING.md

``table``: the models of the table of steps, with a tracker and without. ``timm``: one model of each family.
``transformers``: language models of small configurations, and types of the zoo. ``optimizers``: a first and a later step, on
three models. ``ways``: checkpointing, autocast, adapters and the like. ``functions``: functions of torch, one call each.
``cost``: the time of a step's analysis over that of the forward alone. No network; a model that fails, hangs or dies becomes a
row that says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.steps.compare import FAMILIES, compare, names
from benchmarks.steps.summary import summary
from benchmarks.zoo.records import appended, read
from benchmarks.zoo.runner import Limits, Task

__all__ = ["main"]

_HERE = Path(__file__).resolve().parent


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, or write the tables from the records of earlier runs."""
    options = _parser().parse_args(argv)
    if options.summarise:
        (_HERE / "TRAINING.md").write_text(summary(read(*map(Path, options.summarise))), encoding="utf-8")
        return 0
    out = Path(options.out)
    done = {record["key"] for record in read(out)}
    tasks = [t for t in _tasks(options) if "/".join(t) not in done]
    for _ in appended(out, tasks, compare, options.jobs, Limits(options.limit, options.gib), _line, sys.stdout):
        pass
    return 0


def _tasks(options: argparse.Namespace) -> list[Task]:
    found = [(f, n) for f in options.family or FAMILIES for n in names(f) if fnmatchcase(n, options.name)]
    shard, _, of = options.shard.partition("/")
    return found[int(shard) - 1 :: int(of)]


def _line(record: dict[str, Any]) -> str:
    if "error" in record or "stopped" in record:
        return str(record.get("error") or record["stopped"])
    off = {key: ours - theirs for key, (ours, theirs) in record.get("checks", {}).items() if ours != theirs}
    ratio = f", {record['ratio']} times the forward" if "ratio" in record else ""
    return ("; ".join(f"{key} {difference:+}" for key, difference in off.items()) or "equal") + ratio


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", action="append", choices=FAMILIES, help="again for more; all by default")
    parser.add_argument("--name", default="*", help="a pattern")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="every N-th, from the I-th on")
    parser.add_argument("--limit", type=float, default=240, help="seconds for one model")
    parser.add_argument("--gib", type=float, default=16, help="address space of one process")
    parser.add_argument("--out", default="training.jsonl", help="records, one a line; those that are there are not made again")
    parser.add_argument("--summarise", nargs="+", metavar="FILE", help="write TRAINING.md from these records")
    return parser


if __name__ == "__main__":
    sys.exit(main())
