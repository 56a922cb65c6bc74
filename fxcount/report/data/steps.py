"""Whether a report is of a training step, asked where most are not: the class of those comes with all that training takes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from fxcount.report.data.training import TrainingData

__all__ = ["is_of_step"]


def is_of_step(report: Any) -> TypeGuard[TrainingData]:
    """Whether it is one; as long as the class is not loaded, there is none."""
    module: Any = sys.modules.get("fxcount.report.data.training")
    return module is not None and isinstance(report, module.TrainingData)
