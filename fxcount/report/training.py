"""What ``fxcount.training_step`` returns: the data of a step, and their views."""

from __future__ import annotations

from fxcount.report.data.training import TrainingData
from fxcount.wording import fitting

__all__ = ["TrainingReport"]


class TrainingReport(TrainingData):
    __doc__ = TrainingData.__doc__

    def table(self) -> str:
        """The step on one screen: totals, the place of the peak, what holds it, the modules that save most."""
        from fxcount.report.views.step import render

        return render(self)

    def __str__(self) -> str:
        return fitting(self.table())

    def count(self, convention: str = "torch") -> object:
        """FLOPs of forward and backward as another tool counts them: ``"torch"`` is ``FlopCounterMode``, with its faults."""
        from fxcount.report.views.conventions.training import counted

        return self.public(counted(self, convention))
