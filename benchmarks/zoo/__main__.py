"""``python -m benchmarks.zoo``: run the zoo, write the records, and what they say.

    python -m benchmarks.zoo --family timm --name 'resnet*' --jobs 2 --resume --out timm.jsonl
    python -m benchmarks.zoo --family transformers --no-reference  # a survey: which sizes stay, what pins the others
    python -m benchmarks.zoo --results benchmarks/zoo/RESULTS.md *.jsonl
    python -m benchmarks.zoo --verified benchmarks/zoo/VERIFIED.md *.jsonl
    python -m benchmarks.zoo --add-to benchmarks/zoo/RESULTS.md wild.jsonl
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.zoo.measure import Options, measure_named
from benchmarks.zoo.records import Record, appended, read
from benchmarks.zoo.registry import FAMILIES, entries, sampled
from benchmarks.zoo.runner import Limits, Task

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run models, or write a page from the records of earlier runs."""
    options = _parser().parse_args(argv)
    if options.results or options.failures or options.add_to or options.verified:
        from benchmarks.zoo.failures import failures
        from benchmarks.zoo.results import added, results
        from benchmarks.zoo.verified import page as verified

        records = [record for file in options.records for record in read(Path(file))]
        if options.add_to:
            page = Path(options.add_to)
            page.write_text(added(page.read_text(encoding="utf-8"), records), encoding="utf-8")
        for path, write in ((options.results, results), (options.failures, failures), (options.verified, verified)):
            if path:
                Path(path).write_text(write(records), encoding="utf-8")
        return 0
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    out = Path(options.out)
    done = {record["key"] for record in read(out)} if options.resume else set()
    if not options.resume:
        out.unlink(missing_ok=True)
    tasks: list[Task] = []
    for family in options.family or FAMILIES:
        try:
            found = entries(family, options.name)
        except ImportError as error:
            print(f"{family} is left out: {error}", file=sys.stderr)
            continue
        chosen = sampled(found, options.sample) if options.sample else found
        tasks += [(e.family, e.name) for e in chosen if e.key not in done]
    measure = partial(measure_named, options=Options(options.reference, options.proof, options.verify, options.gmacs))
    for _ in appended(out, tasks, measure, options.jobs, Limits(options.limit_s, options.limit_gib), summary):
        pass
    return 0


def summary(record: Record) -> str:
    """One line on one record."""
    parts = [record["status"] + (f" ({record['level']})" if record.get("level", "all") != "all" else "")]
    if record.get("stopped"):
        parts.append(record["stopped"])
    if record.get("errors"):
        first = record["errors"][0]
        parts.append(f"{first['type']}: {first['message'].splitlines()[0][:90] if first['message'] else ''}")
    if "trace_seconds" in record:
        parts.append(f"trace {record['trace_seconds'] * 1000:.0f} ms")
    if "reference" in record:
        parts.append("counter " + "/".join(map(_verdict, record["reference"])))
    if "proof" in record:
        parts.append(f"proof {record['proof']['status']}")
    if "dead" in record:
        parts.append(f"dead {record['dead']['status']}")
    if "verify" in record:
        parts.append(f"verify {record['verify']['status']}")
    return ", ".join(parts)


def _verdict(count: Record) -> str:
    return "equal" if count.get("equal") else "none" if count["flops"] is None else "differs"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("records", nargs="*", help="JSON lines of earlier runs, for --results and --failures")
    parser.add_argument("--family", action="append", choices=FAMILIES, help="default: all that are installed")
    parser.add_argument("--name", default="*", help="pattern of model names")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="at most N models of each file of the library")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--limit-s", type=float, default=120.0, help="seconds for one model")
    parser.add_argument("--limit-gib", type=float, default=10.0, help="address space of one worker")
    parser.add_argument("--out", default="zoo.jsonl", help="where records are appended")
    parser.add_argument("--resume", action="store_true", help="leave out models the file has a record of")
    parser.add_argument("--reference", action=argparse.BooleanOptionalAction, default=True, help="compare with torch's counter")
    parser.add_argument("--proof", action=argparse.BooleanOptionalAction, default=False, help="run the graph against the model")
    parser.add_argument("--verify", action="store_true", help="report.verify() of each model, run where it is small enough")
    parser.add_argument("--gmacs", type=float, default=20.0, help="with --verify: larger models are analysed, but not run")
    parser.add_argument("--results", metavar="FILE.md", help="write the page of results from records")
    parser.add_argument("--add-to", metavar="FILE.md", help="write one family's results into a section of a page")
    parser.add_argument("--verified", metavar="FILE.md", help="write what --verify found")
    parser.add_argument("--failures", metavar="FILE.md", help="write the failures, grouped by error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
