"""fxcount counts a PyTorch model before it runs: parameters, FLOPs, bytes and memory as exact formulas.

>>> import torch, fxcount
>>> report = fxcount.analyze(torch.nn.Conv2d(3, 8, 3, padding=1), "B,3,H,W")
>>> report.macs
216*B*H*W
>>> report.at(B=2, H=32, W=32).macs
442368
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fxcount.version import __version__

if TYPE_CHECKING:
    from fxcount.adapters.generation import generation
    from fxcount.adapters.load import load_model
    from fxcount.api import analyze, compare_modes, find_unused_parameters, rule, training_step
    from fxcount.compat.torchinfo import summary
    from fxcount.errors import (
        AssumptionError,
        DataDependentError,
        DepthError,
        FxcountError,
        InputError,
        RangeError,
        RefusedError,
        ShapeError,
        SizeError,
        UncountedError,
        UnsupportedError,
    )
    from fxcount.fitting.curve import curve
    from fxcount.fitting.scale import scaling
    from fxcount.interpolation.result import Scaling
    from fxcount.measurement import measure
    from fxcount.report import Report
    from fxcount.report.generation import GenerationReport
    from fxcount.report.load import load, load_report
    from fxcount.report.training import TrainingReport
    from fxcount.review.check import Budget, BudgetError, assert_budget, check
    from fxcount.review.compare import Comparison, compare
    from fxcount.sweeping.job import Job
    from fxcount.sweeping.sweep import Sweep, sweep

# The rules of several hundred ops load on first use: importing fxcount beside torch costs next to nothing.
_HOMES = {
    "analyze": "fxcount.api",
    "compare_modes": "fxcount.api",
    "find_unused_parameters": "fxcount.api",
    "Scaling": "fxcount.interpolation.result",
    "curve": "fxcount.fitting.curve",
    "generation": "fxcount.adapters.generation",
    "GenerationReport": "fxcount.report.generation",
    "measure": "fxcount.measurement",
    "scaling": "fxcount.fitting.scale",
    "rule": "fxcount.api",
    "Budget": "fxcount.review.check",
    "BudgetError": "fxcount.review.check",
    "assert_budget": "fxcount.review.check",
    "check": "fxcount.review.check",
    "Comparison": "fxcount.review.compare",
    "compare": "fxcount.review.compare",
    "Job": "fxcount.sweeping.job",
    "Sweep": "fxcount.sweeping.sweep",
    "sweep": "fxcount.sweeping.sweep",
    "training_step": "fxcount.api",
    "TrainingReport": "fxcount.report.training",
    "CompileReports": "fxcount.compile_backend",
    "backend": "fxcount.compile_backend",
    "summary": "fxcount.compat.torchinfo",
    "Report": "fxcount.report",
    "load": "fxcount.report.load",
    "load_model": "fxcount.adapters.load",
    "load_report": "fxcount.report.load",
    "AssumptionError": "fxcount.errors",
    "DataDependentError": "fxcount.errors",
    "DepthError": "fxcount.errors",
    "FxcountError": "fxcount.errors",
    "InputError": "fxcount.errors",
    "RefusedError": "fxcount.errors",
    "RangeError": "fxcount.errors",
    "ShapeError": "fxcount.errors",
    "SizeError": "fxcount.errors",
    "UncountedError": "fxcount.errors",
    "UnsupportedError": "fxcount.errors",
}

__all__ = [
    "AssumptionError",
    "Budget",
    "BudgetError",
    "Comparison",
    "CompileReports",
    "DataDependentError",
    "DepthError",
    "FxcountError",
    "GenerationReport",
    "InputError",
    "Job",
    "RangeError",
    "RefusedError",
    "Report",
    "Scaling",
    "ShapeError",
    "SizeError",
    "Sweep",
    "TrainingReport",
    "UncountedError",
    "UnsupportedError",
    "__version__",
    "analyze",
    "assert_budget",
    "backend",
    "check",
    "compare",
    "compare_modes",
    "curve",
    "find_unused_parameters",
    "generation",
    "load",
    "load_model",
    "load_report",
    "measure",
    "rule",
    "scaling",
    "summary",
    "sweep",
    "training_step",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fxcount' has no attribute {name!r}")
    import gc
    import importlib

    # Loading this many code objects sets off full collections over all of torch's, which cost more than the loading.
    enabled = gc.isenabled()
    gc.disable()
    try:
        found = getattr(importlib.import_module(home), name)
    finally:
        if enabled:
            gc.enable()
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
