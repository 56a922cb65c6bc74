"""Whatever was saved, out of its file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from fxcount.errors import InputError
from fxcount.passes.untraced import UNTRACED
from fxcount.report.comparison import Comparison
from fxcount.report.curves import Curve
from fxcount.report.data.report import ReportData
from fxcount.report.family import Pieces
from fxcount.report.generation import GenerationReport
from fxcount.report.report import Report
from fxcount.report.training import TrainingReport
from fxcount.report.untraced import Untraced
from fxcount.report.views.saved.reader import read

__all__ = ["load", "load_as", "load_report"]

Source = str | os.PathLike[str] | Mapping[str, Any]
T = TypeVar("T")


def load(source: Source) -> Any:
    """What a ``to_json`` (or ``fxcount ... -o FILE.json``) has written: of its text, its file, or its dict.

    A :class:`~fxcount.Report`, a :class:`~fxcount.TrainingReport`, a curve, pieces over a range, a
    :class:`~fxcount.Comparison` or a :class:`~fxcount.GenerationReport`: equal to what was saved. A report has the same rows,
    formulas, parameters, memory and assumptions, and checks sizes given to ``at()`` the same way. Only
    ``graph_module`` is gone, as the file holds neither tensors nor code, and so is what needs the model again.

    Raises:
        InputError: there is no such file, or it holds something else, or it was written by a later version.

    >>> import torch, fxcount
    >>> report = fxcount.analyze(torch.nn.Linear(3, 5), "B,3")
    >>> loaded = fxcount.load(report.to_json())
    >>> loaded == report, loaded.at(B=7).flops
    (True, 245)
    """
    saved = read(source)
    return _MADE[saved.kind](saved.parts)


def load_as(kind: type[T], source: Source) -> T:
    """:func:`load`, where it must be of this class. Raises :class:`~fxcount.errors.InputError` for another."""
    found = load(source)
    if not isinstance(found, kind):
        what = f"this file holds a {type(found).__name__}, and not a {kind.__name__}"
        raise InputError(what, hint="read it with fxcount.load")
    return found


def _report(data: ReportData) -> Report:
    return (Untraced if data.frontend == UNTRACED else Report).of(data)


def _comparison(data: Any) -> Comparison:
    return Comparison(data.names, data.sizes, data.totals, data.modules, data.lines)


def _generation(data: Any) -> GenerationReport:
    return GenerationReport(data.turns, data.names, data.values, data.extend)


_MADE: Mapping[str, Any] = {
    "report": _report, "step": TrainingReport.of, "curve": lambda parts: Curve(**parts),
    "pieces": lambda parts: Pieces(*parts), "comparison": _comparison, "generation": _generation,
}  # fmt: skip

load_report = load
