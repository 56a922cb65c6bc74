"""Closed forms over the sizes of one model's inputs as a user holds them: ``report.fit()``."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fxcount.interpolation.result import Scaling

if TYPE_CHECKING:
    from typing import Self

    from fxcount.report.curves import Curve

__all__ = ["Fit"]


class Fit(Scaling):
    """What :meth:`fxcount.Report.fit` finds: formulas with the sizes they were fitted and checked at."""

    @classmethod
    def of(cls, found: Scaling) -> Self:
        """The same, with what can be asked of sizes of inputs alone."""
        return cls(**{f.name: getattr(found, f.name) for f in fields(found)})

    def curve(self, /, **sizes: Any) -> Curve:
        """The totals of the formulas over a range of sizes, as :meth:`fxcount.Report.curve` takes them: no analysis for each.

        They are what was fitted and checked, no proof; the one piece of the curve says where. Points the formulas do not
        speak of are rows without counts that say why; a quantity without a formula is a column without counts.

        Raises:
            SizeError: symbols without a value, and what is no size.
            AssumptionError: there is no formula of the macs.

        >>> import torch, fxcount
        >>> class Recurrence(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.cell = torch.nn.Linear(16, 16)
        ...     def forward(self, x):
        ...         state = torch.zeros_like(x[:, 0])
        ...         for t in range(x.shape[1]):
        ...             state = torch.tanh(self.cell(state) + x[:, t])
        ...         return state
        >>> model = Recurrence()
        >>> curve = fxcount.analyze(model, "B,S,16").fit().curve(B=2, S=range(1000, 4001, 1000))
        >>> curve.columns["macs"], curve.pieces[0].because[:23]
        ([512000, 1024000, 1536000, 2048000], 'fitted at S = 1, 2, 3, ')
        """
        from fxcount.report.curves import Curve
        from fxcount.report.data.fitted_curve import fitted_curve

        return Curve(**fitted_curve(self, sizes))
