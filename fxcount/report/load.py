"""Reports out of files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fxcount.report.report import Report
from fxcount.report.views.graphs.nodelink import read_report

__all__ = ["load", "load_report"]


def load(source: str | os.PathLike[str] | Mapping[str, Any]) -> Report:
    """The report that :meth:`Report.to_graph_json` has written: its text, its file, or its dict.

    It has the same rows, formulas, parameters, memory and assumptions, and checks sizes given to ``at()`` the same way.
    Only ``graph_module`` is gone, as the file holds neither tensors nor code.

    Raises:
        InputError: there is no such file, or it holds something else, or it was written by a later version.

    >>> import torch, fxcount
    >>> report = fxcount.analyze(torch.nn.Linear(3, 5), "B,3")
    >>> loaded = fxcount.load(report.to_graph_json())
    >>> loaded.to_dict() == report.to_dict(), loaded.at(B=7).flops
    (True, 245)
    """
    return Report.of(read_report(source))


load_report = load
