"""The parameters a user holds: the pass' own result, and what a notebook shows of it."""

from __future__ import annotations

from dataclasses import fields

from fxcount.passes.parameters import Parameters as Found
from fxcount.report.data.piece import Piece

__all__ = ["Parameters", "shown"]


class Parameters(Found):
    __doc__ = Found.__doc__

    def _repr_html_(self) -> str:
        from fxcount.report.views.pictures.notebook import parameters_html

        return parameters_html(self)


def shown(piece: Piece) -> Parameters:
    """The parameters of an analysis as users get them, the same object each time."""
    found = piece.parameters
    if not isinstance(found, Parameters):
        found = piece.parameters = Parameters(*[getattr(found, f.name) for f in fields(found)])
    return found
