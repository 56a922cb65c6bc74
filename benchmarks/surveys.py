"""All surveys of what fxcount must never get wrong, in many processes, as records that an interrupted run goes on from.

    python -m benchmarks.surveys --jobs 16 --out surveys.jsonl --resume             # all; or name some: random_nets soundness
    python -m benchmarks.surveys --summarise surveys.jsonl --write benchmarks/SURVEYS.md

A survey is so many inputs, each decided by its number alone: random nets of ops, nets that look at sizes, hostile input. A
*shard* is a range of these numbers and becomes one line of JSON: what was counted, and the text of whatever went wrong. Shards
that a file has a record of are left out with ``--resume``, so that several machines may take a part each (``--part 2/4``) and
one summary be made of all their files. The exit status is 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import collections
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.zoo.records import Record, appended, read
from benchmarks.zoo.runner import Limits, Task

__all__ = ["SURVEYS", "Survey", "main", "shards", "summary"]

Say = Callable[[str], None]
_WRONG = ("different", "foreign", "hang")
_TEXTS_OF_A_SHARD = 20


@dataclass(frozen=True, slots=True)
class Survey:
    """``count`` surveys a range of numbers and says what is wrong; ``size`` inputs, ``each`` in a shard."""

    title: str
    count: Callable[[range, Say], collections.Counter[str]]
    size: int
    each: int


def _random_nets(numbers: range, say: Say) -> collections.Counter[str]:
    from benchmarks import random_nets

    return random_nets.survey(numbers, say)


def _soundness(numbers: range, say: Say) -> collections.Counter[str]:
    from benchmarks import soundness

    return soundness.survey(numbers, say=say)


def _hostile(kind: str, numbers: range, say: Say) -> collections.Counter[str]:
    from benchmarks import fuzz

    return fuzz.survey(kind, len(numbers), numbers.start, say)


SURVEYS = {
    "random_nets": Survey("random modules of random ops, against torch's meta device", _random_nets, 5000, 50),
    "soundness": Survey("nets that look at sizes, at 50 sizes, against fresh analyses and torch", _soundness, 1000, 20),
    "specs": Survey("input specifications, drawn and spoiled", partial(_hostile, "specs"), 100_000, 2000),
    "at": Survey("sizes of all types given to at()", partial(_hostile, "at"), 10_000, 500),
    "reports": Survey("corruptions of a saved report", partial(_hostile, "reports"), 2_000, 100),
}


def shards(names: Iterable[str], part: tuple[int, int] = (1, 1)) -> list[Task]:
    """What there is to do, as ``(survey, "first-last")``; one part of so many of it.

    >>> shards(["reports"], (2, 10))
    [('reports', '100-199'), ('reports', '1100-1199')]
    """
    found = []
    for name in names:
        survey = SURVEYS[name]
        firsts = range(0, survey.size, survey.each)
        found += [(name, f"{i}-{min(i + survey.each, survey.size) - 1}") for i in firsts]
    return found[part[0] - 1 :: part[1]]


def measure(task: Task, emit: Callable[[Record], None]) -> bool:
    """One shard in a worker. Emits after each input, so that a hang or a crash says after how many; may always go on."""
    warnings.simplefilter("ignore")
    name, text = task
    first, last = map(int, text.split("-"))
    wrong: list[str] = []
    started = time.perf_counter()
    emit({"status": "begun"})
    counts = SURVEYS[name].count(range(first, last + 1), wrong.append)
    emit({
        "status": "traced", "counts": dict(counts), "wrong": wrong[:_TEXTS_OF_A_SHARD],
        "torch": version("torch"), "python": platform.python_version(), "work_seconds": round(time.perf_counter() - started, 2),
    })  # fmt: skip
    return True


# -- what the records say -------------------------------------------------------------------------------------------------
def summary(records: dict[str, Record]) -> tuple[str, bool]:
    """A page, and whether nothing went wrong: all shards that were begun are done, and none has found a difference."""
    lines = ["| survey | done | found | wrong | s of one core |", "|:--|--:|:--|--:|--:|"]
    texts: list[str] = []
    for name in dict.fromkeys(r["family"] for r in records.values()):
        survey = SURVEYS[name]
        counts: collections.Counter[str] = collections.Counter()
        done = seconds = 0
        for key, record in records.items():
            if record["family"] != name:
                continue
            if "counts" not in record:
                texts.append(f"{key}: {record.get('stopped') or record.get('errors') or record['status']}")
                continue
            first, last = map(int, record["name"].split("-"))
            done += last - first + 1
            seconds += record["work_seconds"]
            counts.update(record["counts"])
            texts += [f"{key}: {text}" for text in record["wrong"]]
        said = ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items()) if what not in _WRONG)
        lines.append(f"| {survey.title} | {done:,} of {survey.size:,} | {said} | {_wrong(counts)} | {seconds:.0f} |")
    versions = sorted({f"torch {r['torch']}, Python {r['python']}" for r in records.values() if "torch" in r})
    head = ["# Surveys", "", f"`python -m benchmarks.surveys`, {'; '.join(versions)}.", ""]
    tail = ["", "## Wrong", "", *(f"```\n{text}\n```" for text in texts)] if texts else []
    return "\n".join([*head, *lines, *tail]) + "\n", not texts


# -- the command ----------------------------------------------------------------------------------------------------------
def main(argv: Sequence[str] | None = None) -> int:
    """Run shards, or write what the records of earlier runs say."""
    options = _parser().parse_args(argv)
    files = [Path(f) for f in options.summarise or [options.out]]
    if not options.summarise:
        _run(options, files[0])
    page, good = summary({record["key"]: record for record in read(*files)})
    print(page)
    if options.write:
        Path(options.write).write_text(page, encoding="utf-8")
    return 0 if good else 1


def _run(options: argparse.Namespace, out: Path) -> None:
    part, _, parts = options.part.partition("/")
    done = {record["key"] for record in read(out) if "counts" in record} if options.resume else set()
    if not options.resume:
        out.unlink(missing_ok=True)
    chosen = shards(options.surveys or SURVEYS, (int(part), int(parts or 1)))
    tasks = [t for t in chosen if "/".join(t) not in done]
    for _ in appended(out, tasks, measure, options.jobs, Limits(options.limit_s, options.limit_gib), _line):
        pass


def _line(record: Record) -> str:
    return f"{_wrong(record['counts'])} wrong" if "counts" in record else record["status"]


def _wrong(counts: Mapping[str, int]) -> int:
    return sum(counts.get(what, 0) for what in _WRONG)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surveys", nargs="*", metavar="survey", help=f"of {', '.join(SURVEYS)}; default: all")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--part", default="1/1", metavar="I/N", help="the I-th of N parts of the work")
    parser.add_argument("--limit-s", type=float, default=600.0, help="seconds for one shard")
    parser.add_argument("--limit-gib", type=float, default=10.0, help="address space of one worker")
    parser.add_argument("--out", default="surveys.jsonl", help="where records are appended")
    parser.add_argument("--resume", action="store_true", help="leave out shards the file has a record of")
    parser.add_argument("--summarise", nargs="+", metavar="FILE.jsonl", help="only say what these records say")
    parser.add_argument("--write", metavar="FILE.md", help="write the page as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
