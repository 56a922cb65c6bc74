"""One model counted: what stands in its row, or why there is nothing."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError, first_line
from fxcount.sweeping.job import Job
from fxcount.sweeping.limit import TimeLimit, time_limit
from fxcount.version import __version__
from fxcount.wording import dtype_word

__all__ = ["COLUMNS", "COUNTS", "Row", "cells", "counted", "failed", "prepare"]


@dataclass(frozen=True, slots=True)
class Row:
    """The counts of one job at ``sizes``: those asked for, and 1 for the batch and the hints for all others.

    ``macs_formula`` and ``flops_formula`` are in the symbols of the inputs. Where ``error`` is not empty, it says why the
    counts are ``None``; ``uncounted`` is the number of op calls without a cost rule, ``guesses`` names the sizes that data
    decide and for which a default stands. ``key`` is that of the job.
    """

    key: str
    model: str
    inputs: str
    arguments: str
    mode: str
    sizes: str
    params: int | None = None
    trainable_params: int | None = None
    shared_params: int | None = None
    dead_params: int | None = None
    param_bytes: int | None = None
    macs: int | None = None
    flops: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    peak_bytes: int | None = None
    macs_formula: str = ""
    flops_formula: str = ""
    ops: int | None = None
    uncounted: int | None = None
    guesses: str = ""
    error: str = ""
    seconds: float = 0.0
    fxcount: str = ""
    torch: str = ""


COLUMNS = tuple(f.name for f in fields(Row))


def cells(row: Row) -> list[Any]:
    """What a row holds, in the order of :data:`COLUMNS`."""
    return [getattr(row, name) for name in COLUMNS]


COUNTS = (
    "params", "trainable_params", "shared_params", "dead_params", "param_bytes", "macs", "flops", "read_bytes", "write_bytes",
    "peak_bytes",
)  # fmt: skip
"""Columns of numbers that a row of a model that was counted has."""


def counted(job: Job, limit_seconds: float | None = None) -> Row:
    """The row of one job; it always comes back, also if the model cannot be built, or takes too long."""
    if limit_seconds is not None:
        prepare([job.model])
    begun = time.monotonic()
    try:
        with time_limit(limit_seconds):
            found = _counts(job)
    except TimeLimit:
        found = {"error": f"took longer than {limit_seconds:g} s"}
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {first_line(error)}"}
    return _row(job, {**found, "seconds": round(time.monotonic() - begun, 3)})


def prepare(models: Iterable[str]) -> None:
    """Load what counting these models needs, which takes seconds and does not bear an end in the middle."""
    from fxcount.adapters.load import library
    from fxcount.adapters.names import LIBRARIES, package_of
    from fxcount.adapters.reference import reference

    importlib.import_module("fxcount.api")
    homes = set()
    for model in models:
        with contextlib.suppress(InputError):  # which the job itself will say
            homes.add(reference(model).home)
    for name in sorted(homes.intersection(LIBRARIES)):
        with contextlib.suppress(InputError):
            library(package_of(name))


def failed(job: Job, why: str) -> Row:
    """The row of a job that no worker could finish."""
    return _row(job, {"error": why})


def _row(job: Job, found: Mapping[str, Any]) -> Row:
    import torch

    said = {
        "key": job.key, "model": job.model, "inputs": _listed(job.inputs, job.kwargs), "arguments": _assigned(job.arguments),
        "mode": "train" if job.train else "eval", "sizes": _assigned(job.at), "fxcount": __version__,
        "torch": torch.__version__,
    }  # fmt: skip
    return Row(**{**said, **found})


def _assigned(values: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())


def _counts(job: Job) -> dict[str, Any]:
    from fxcount.adapters.load import load
    from fxcount.api import analyze
    from fxcount.symbolic import to_text
    from fxcount.trace.inputs.specs import parse_inputs, symbols_of

    model, args, kwargs = load(job.model, arguments=job.arguments)
    if job.inputs or job.kwargs:
        args, kwargs = job.inputs, dict(job.kwargs)
    if job.train:
        model.train()
    asked = {"B": 1, **job.at}  # decisions on sizes are best taken where the numbers are wanted
    symbols = symbols_of(*parse_inputs([*args, *kwargs.values()]))
    report = analyze(model, *args, hints={n: v for n, v in asked.items() if n in symbols}, kwargs=kwargs)
    sizes = {name: asked.get(name, hint) for name, hint in report.symbols.items()}
    there = report.at(**sizes, guess=True) if sizes else report
    params, total = there.params, report.costs.total
    return {
        "inputs": _taken(report, args, kwargs), "sizes": _assigned(sizes),
        "mode": "train" if getattr(model, "training", False) else "eval",
        "params": params.total, "trainable_params": params.trainable, "shared_params": params.shared,
        "dead_params": params.dead, "param_bytes": params.bytes, "macs": int(there.macs), "flops": int(there.flops),
        "read_bytes": int(there.read_bytes), "write_bytes": int(there.write_bytes), "peak_bytes": int(there.memory.peak),
        "macs_formula": to_text(total.macs), "flops_formula": to_text(total.flops), "ops": len(report.trace.calls),
        "uncounted": len(there.uncounted), "guesses": ", ".join(guess.name for guess in there.guesses),
    }  # fmt: skip


def _taken(report: Any, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """The inputs as they were given, or those that were guessed, and from what."""
    guess = report.trace.guessed_inputs
    if not guess:
        return _listed(args, kwargs)
    shapes = [f"{v.name}={dtype_word(v.fact.dtype)}[{','.join(map(str, v.fact.shape))}]" for v in report.trace.inputs]
    return f"{', '.join(shapes)} (guessed from {guess})"


def _listed(args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    return ", ".join([*map(str, args), *[f"{name}={value}" for name, value in kwargs.items()]])
