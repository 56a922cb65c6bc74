"""Every published number in tests/data beside fxcount's: torchvision, timm, Hugging Face, and the peers' own tests.

``python benchmarks/published.py --write`` analyses all models, on meta, in a pool of processes, and writes PUBLISHED.md. The
tests take the same numbers, of timm's table a sample.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import multiprocessing
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")

from fxcount.adapters import torchvision_ops as torchvision_ops  # isort: skip  (before torchvision)
from benchmarks.tables import table
from tests.published.check import Check

OUTPUT = Path(__file__).with_name("PUBLISHED.md")
FAMILIES = ("torchvision", "torchvision tasks", "timm", "hub", "peers")
Task = tuple[str, int]


def tasks(families: Iterable[str]) -> list[Task]:
    """One for each row of each table."""
    from tests.published import hub_rows, peer_rows, timm_rows, torchvision_rows

    lengths = {
        "torchvision": len(torchvision_rows.ROWS), "torchvision tasks": len(_other_tasks()), "timm": len(timm_rows.ROWS),
        "hub": len(hub_rows.ROWS), "peers": len(peer_rows.ROWS),
    }  # fmt: skip
    return [(family, i) for family in families for i in range(lengths[family])]


def _other_tasks() -> list[tuple[str, str, str]]:
    from tests.published import torchvision_tasks

    return [(task, *names) for task in torchvision_tasks.TASKS for names in torchvision_tasks.listed(task)]


def measure(task: Task) -> list[Check]:
    """The checks of one row; what cannot be analysed is a check that failed."""
    family, index = task
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _measured(family, index)
    except Exception as error:  # one row must not end the run
        text = " ".join(str(error).split())[:120]
        return [Check(family, f"row {index}", "-", "-", f"{type(error).__name__}: {text}", False)]


def _measured(family: str, index: int) -> list[Check]:
    from tests.published import hub_rows, peer_rows, timm_rows, torchvision_rows, torchvision_tasks

    if family == "torchvision":
        return torchvision_rows.checks(torchvision_rows.ROWS[index])
    if family == "torchvision tasks":
        return list(torchvision_tasks.checks(*_other_tasks()[index]))
    if family == "timm":
        return timm_rows.checks(timm_rows.ROWS[index])
    if family == "hub":
        return [hub_rows.check(hub_rows.ROWS[index])]
    return peer_rows.checks(peer_rows.ROWS[index])


def quiet() -> None:
    """A worker computes with one thread and prints nothing."""
    import torch

    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def run(families: Sequence[str], jobs: int) -> list[Check]:
    """All checks, in the order of the tables."""
    wanted = tasks(families)
    context = multiprocessing.get_context("spawn")
    found: list[Check] = []
    with ProcessPoolExecutor(jobs, context, quiet, max_tasks_per_child=250) as pool:
        for done, checks in enumerate(pool.map(measure, wanted, chunksize=5), 1):
            found += checks
            for check in checks:
                if not check.equal:
                    print(f"{done}/{len(wanted)}", check, flush=True)
    return found


def summary(found: Sequence[Check]) -> str:
    """How many numbers are met, by table and quantity."""
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in found:
        groups.setdefault((check.table, check.quantity if "README" not in check.table else "all"), []).append(check)
    small = [key for key in groups if len(groups[key]) < 5]
    for name, _ in small:
        merged = [c for key in [k for k in groups if k[0] == name] for c in groups.pop(key)]
        if merged:
            groups[name, "all"] = merged
    rows = [
        [name, quantity, str(len(checks)), str(sum(c.equal for c in checks)),
         str(sum(not c.equal and bool(c.reason) for c in checks)), str(sum(not c.equal and not c.reason for c in checks))]
        for (name, quantity), checks in groups.items()
    ]  # fmt: skip
    return table(["table", "quantity", "numbers", "equal", "not, with a reason", "not, without"], rows)


def fitted(found: Sequence[Check]) -> str:
    """The detectors' numbers, each with the number of boxes at which it is met."""
    rows = [[c.row, c.quantity, c.published, c.found] for c in found if c.table.endswith("detection") and " at " in c.row]
    return table(["model, weights, boxes", "quantity", "published", "fxcount"], rows) if rows else "None."


def exceptions(found: Sequence[Check]) -> str:
    """Every number that is not met, and why."""
    rows = [[c.table, c.row, c.quantity, c.published, c.found, c.reason or "**none**"] for c in found if not c.equal]
    return table(["table", "row", "quantity", "published", "fxcount", "reason"], rows) if rows else "None."


def document(found: Sequence[Check], seconds: float, jobs: int) -> str:
    """The page."""
    names = ("torch", "torchvision", "timm", "transformers")
    versions = ", ".join(f"{n} {importlib.metadata.version(n).partition('+')[0]}" for n in names)
    return f"""# Published numbers

Written by `python benchmarks/published.py --write`. Every row of the tables in `tests/data` is a model built without weights,
traced, and compared with what its publisher prints: to the last unit, or to the last digit that was printed.
{versions}, Python {platform.python_version()}; {seconds:.0f} s with {jobs} processes, most of which is building the models.

- *torchvision*: `num_params` and `_ops` of the weights' meta data, of all tasks. A detector's work depends on the boxes it
  finds, which is not published: its formula is only held to give the number at *some* number of proposals (0 or 1000) and
  detections (0 to 100). These rows are a weaker check than the others and are listed below.
- *timm*: its benchmark tables: parameters, GMACs and activations as fvcore counts them, by the conventions `fvcore` and
  `fvcore-activations`. The models run with unfused attention, of which fvcore would see nothing.
- *Hugging Face*: parameters of models built from their configurations.
- the rest: tests and READMEs of other counting tools, each number by that tool's convention. READMEs are older than the tools:
  for thop, calflops and ptflops' BERT the rule of the old release is written out in `tests/published`, chosen after comparing
  and then read in (for thop also run against) that release. A dash: the case cannot be put to fxcount.

{summary(found)}

## Fitted

{fitted(found)}

## Not equal

{exceptions(found)}
"""


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT.name}; only with all tables")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=FAMILIES, nargs="+", default=list(FAMILIES), help="some of the tables")
    options = parser.parse_args()
    if options.write and set(options.only) != set(FAMILIES):
        parser.error("--write needs all tables")
    start = time.perf_counter()
    found = run(options.only, options.jobs)
    text = document(found, time.perf_counter() - start, options.jobs)
    if options.write:
        OUTPUT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
