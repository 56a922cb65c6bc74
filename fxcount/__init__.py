"""fxcount counts a PyTorch model before it runs: parameters, FLOPs, bytes and memory as exact formulas.

>>> import torch, fxcount
>>> report = fxcount.analyze(torch.nn.Conv2d(3, 8, 3, padding=1), "B,3,H,W")
>>> report.macs
216*B*H*W
>>> report.at(B=2, H=32, W=32).macs
442368
"""

from __future__ import annotations

from fxcount.api import analyze, rule
from fxcount.errors import (
    AssumptionError,
    DataDependentError,
    FxcountError,
    InputError,
    ShapeError,
    SizeError,
    UncountedError,
    UnsupportedError,
)
from fxcount.report import Report

__version__ = "0.1.0"

__all__ = [
    "AssumptionError",
    "DataDependentError",
    "FxcountError",
    "InputError",
    "Report",
    "ShapeError",
    "SizeError",
    "UncountedError",
    "UnsupportedError",
    "analyze",
    "rule",
]
