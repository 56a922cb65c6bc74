"""What ``fxcount.training_step`` returns: the data of a step, and their views."""

from __future__ import annotations

from fxcount.report.data.training import TrainingData

__all__ = ["TrainingReport"]


class TrainingReport(TrainingData):
    __doc__ = TrainingData.__doc__

    def count(self, convention: str = "torch") -> object:
        """FLOPs of forward and backward as another tool counts them: ``"torch"`` is ``FlopCounterMode``, with its faults."""
        from fxcount.report.views.conventions.training import counted

        return self.public(counted(self, convention))
