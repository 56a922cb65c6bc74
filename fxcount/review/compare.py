"""The front door of comparisons: models, reports, saved reports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fxcount.api import analyze
from fxcount.errors import InputError
from fxcount.report.comparison import Comparison
from fxcount.report.data.comparison import compared
from fxcount.report.data.report import ReportData
from fxcount.report.load import load_as
from fxcount.report.report import Report

__all__ = ["Comparison", "as_report", "compare"]


def compare(
    a: Any, b: Any, /, *inputs: Any, hints: Mapping[str, int] | None = None, kwargs: Mapping[str, Any] | None = None,
    **at: int,
) -> Comparison:  # fmt: skip
    """Two models, before and after: what differs in total and module by module, in numbers and formulas.

    ``a`` and ``b`` are models, which are analysed on ``inputs`` (given as to :func:`fxcount.analyze`, with its ``hints`` and
    ``kwargs``), reports, or reports that were saved, by their path. A tuple is a model with inputs of its own. Modules are
    matched by path, and where the path is in one alone by class, shapes and order. ``at`` are sizes at which both are compared
    (``B=1``); without them formulas are, and numbers are those at the hints.

    Raises:
        InputError: what is given is no model and no report, or a model lacks inputs.

    >>> import torch
    >>> narrow, wide = (torch.nn.Sequential(torch.nn.Linear(3, n), torch.nn.ReLU(), torch.nn.Linear(n, 2)) for n in (5, 7))
    >>> found = compare(narrow, wide, "B,3")
    >>> found.totals["macs"].formulas, [(m.path, m.changes["params"].difference) for m in found.changed()]
    ((25*B, 35*B), [('0', 8), ('2', 4), ('1', 0)])
    """
    reports = [as_report(given, inputs, hints, kwargs) for given in (a, b)]
    if at:
        reports = [r.at(**{n: v for n, v in at.items() if n in r.symbols}) if r.symbols else r for r in reports]
    found = compared(*reports)
    return Comparison(found.names, found.sizes, found.totals, found.modules, found.lines)


def as_report(
    given: Any, inputs: tuple[Any, ...] = (), hints: Mapping[str, int] | None = None, kwargs: Mapping[str, Any] | None = None
) -> ReportData:
    """The report that is given, was saved, or is made of a model."""
    if isinstance(given, ReportData):
        return given
    if isinstance(given, (str, os.PathLike, Mapping)):
        return load_as(Report, given)
    if isinstance(given, tuple):
        if not given:
            raise InputError("an empty tuple is no model with inputs", hint="write (model, 'B,3,H,W')")
        model, *own = given
        return analyze(model, *own, hints=hints, kwargs=kwargs)
    return analyze(given, *inputs, hints=hints, kwargs=kwargs)
