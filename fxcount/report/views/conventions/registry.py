"""Every convention by name."""

from __future__ import annotations

import difflib

from fxcount.errors import InputError
from fxcount.report.views.conventions import (
    flopsprofiler,
    fvcore,
    ptflops,
    pycls,
    thop,
    torch_,
    torchinfo,
    torchstat,
    torchsummary,
    ultralytics,
)
from fxcount.report.views.conventions.convention import Convention

__all__ = ["CONVENTIONS", "convention"]

_FAMILIES = (
    torch_.CONVENTIONS, fvcore.CONVENTIONS, thop.CONVENTIONS, ultralytics.CONVENTIONS, ptflops.CONVENTIONS,
    flopsprofiler.CONVENTIONS, torchinfo.CONVENTIONS, pycls.CONVENTIONS, torchstat.CONVENTIONS, torchsummary.CONVENTIONS,
)  # fmt: skip
CONVENTIONS: dict[str, Convention] = {c.name: c for family in _FAMILIES for c in family}


def convention(name: str) -> Convention:
    """The convention called ``name``; raises :class:`~fxcount.errors.InputError` with the names there are."""
    found = CONVENTIONS.get(name)
    if found is None:
        close = difflib.get_close_matches(name, CONVENTIONS, 1)
        raise InputError(
            f"no counting convention {name!r}",
            hint=(f"did you mean {close[0]!r}? " if close else "") + f"there are fxcount, {', '.join(CONVENTIONS)}",
        )
    return found
