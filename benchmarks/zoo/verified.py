"""``report.verify`` on a model of the zoo: fresh analyses at sizes drawn, and the graph run where the model is small enough."""

from __future__ import annotations

from typing import Any

from torch import nn

import fxcount
from benchmarks.zoo.build import on_cpu
from benchmarks.zoo.entry import Entry, Inputs
from benchmarks.zoo.proof import small_enough

__all__ = ["verified"]

SIZES = 4


def verified(entry: Entry, report: fxcount.Report, model: nn.Module, inputs: Inputs, hints: dict[str, int]) -> dict[str, Any]:
    """``status`` is "agrees", "differs" or "failed"; with the numbers of sizes ``checked``, ``executed`` and ``refused`` by the
    model, the first ``differences`` and what kept it from being run.

    The symbols of ``inputs`` are those of the report. A model of some size is built again, on the CPU, to be run.
    """
    notes: list[str] = []
    run = small_enough(report)
    if run:
        try:
            model = on_cpu(entry)
        except Exception as error:
            run, notes = False, [f"cannot be built on the CPU: {type(error).__name__}"]
    try:
        fresh = fxcount.analyze(model, *inputs.args, hints=hints, **inputs.kwargs)
        found = fresh.verify(n=SIZES, execute=run)
    except Exception as error:
        return {"status": "failed", "error": f"{type(error).__name__}: {str(error).strip()[:400]}"}
    return {
        "status": "agrees" if found else "differs", "checked": len(found.checked), "executed": len(found.executed),
        "refused": len(found.refused), "differences": [str(d)[:400] for d in found.differences[:3]],
        "notes": [*notes, *[str(n)[:200] for n in found.notes[:3]]],
    }  # fmt: skip
