"""``report.verify`` on a model of the zoo: fresh analyses at sizes drawn, and the graph run where the model is small enough.

One run at the cheapest of the sizes drawn is enough to say whether graph and model agree; the analyses at all of them say the
rest, and cost no arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from torch import nn

import fxcount
from benchmarks.zoo.build import on_cpu
from benchmarks.zoo.entry import Entry, Inputs
from benchmarks.zoo.proof import MAX_PARAMETER_BYTES

__all__ = ["page", "verified"]

SIZES = 4
Record = dict[str, Any]


def verified(
    entry: Entry, report: fxcount.Report, model: nn.Module, inputs: Inputs, hints: dict[str, int], gmacs: float
) -> dict[str, Any]:
    """``status`` is "agrees", "differs" or "failed"; with the numbers of sizes ``checked``, ``executed`` and ``refused`` by the
    model, the first ``differences`` and what kept it from being run.

    The symbols of ``inputs`` are those of the report. A model of at most ``gmacs`` billions of macs at the cheapest of the
    sizes is built again, on the CPU, and run there.
    """
    try:
        fresh = fxcount.analyze(model, *inputs.args, hints=hints, **inputs.kwargs)
        found = [fresh.verify(n=SIZES)]
        values = _cheapest(fresh, found[0].checked)
        notes: list[str] = []
        light = 4 * report.params.total <= MAX_PARAMETER_BYTES and fresh.at(guess=True, **values).macs <= gmacs * 1e9
        if light and found[0]:
            try:
                on_its_own = on_cpu(entry)
            except Exception as error:
                notes = [f"cannot be built on the CPU: {type(error).__name__}"]
            else:
                real = fxcount.analyze(on_its_own, *inputs.args, hints=hints, **inputs.kwargs)
                found.append(real.at(guess=True, **values).verify(execute=True))
    except Exception as error:
        return {"status": "failed", "error": f"{type(error).__name__}: {str(error).strip()[:400]}"}
    differences = [d for f in found for d in f.differences]
    return {
        "status": "differs" if differences else "agrees", "checked": len(found[0].checked),
        "executed": sum([len(f.executed) for f in found]), "refused": len(found[0].refused),
        "differences": [f"{d.what} reported {d.reported}, found {d.found}, at {d.op}: {d}"[:400] for d in differences[:3]],
        "notes": [*notes, *[str(n)[:200] for f in found for n in f.notes[:3]]],
    }  # fmt: skip


def _cheapest(report: fxcount.Report, sizes: Iterable[dict[str, int]]) -> dict[str, int]:
    """Those of the sizes, and the hint, at which there is least to compute."""
    return min((dict(report.symbols), *sizes), key=lambda values: report.at(guess=True, **values).macs)


def page(records: Iterable[Record]) -> str:
    """VERIFIED.md: how many of each family were asked, agreed and were run, and every one that did not agree."""
    asked = [r for r in records if "verify" in r]
    lines = ["| family | asked | agree at every size | of these also run | sizes the model refused |", "|:--|--:|--:|--:|--:|"]
    families = list(dict.fromkeys(r["family"] for r in asked))
    for name in [*families, *(["all"] if len(families) > 1 else [])]:
        group = [r["verify"] for r in asked if name in (r["family"], "all")]
        agree = [v for v in group if v["status"] == "agrees"]
        run = sum([v["executed"] > 0 for v in agree])
        refused = sum([v.get("refused", 0) for v in group])
        lines.append(f"| {name} | {len(group)} | {len(agree)} | {run} | {refused} |")
    wrong = [r for r in asked if r["verify"]["status"] != "agrees"]
    told = [f"* {r['key']}: {(r['verify'].get('error') or r['verify']['differences'][0])[:200]}" for r in wrong]
    return "\n".join([_HEAD.format(torch=version("torch")), *lines, *(["", "Not equal:", "", *told] if told else [])]) + "\n"


_HEAD = f"""\
# report.verify() on models of the zoos

Records of `python -m benchmarks.zoo --verify --gmacs 2 --no-reference`, written by `--verified benchmarks/zoo/VERIFIED.md`;
torch {{torch}}. Each report is compared with analyses afresh, with numbers alone, at {SIZES} of the sizes it admits: output
shapes, macs, flops, bytes, parameters, memory, peak. A model of few enough parameters is also built on the CPU and run once, at
the cheapest of these sizes if that takes no more than so many billions of macs, against the graph of the report on the same
random data.
"""
