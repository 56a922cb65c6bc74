"""``profile`` and ``clever_format`` of thop 0.1.1; those of its successor are in :mod:`fxcount.compat.ultralytics_thop`.

Work is counted by thop's own rules (``report.count("thop")``); parameters are all of the model's, each once, where thop knows
only those of module classes it has a rule for.
"""

from __future__ import annotations

from fxcount.compat.thop.counting import profile
from fxcount.compat.thop.utils import clever_format

__all__ = ["clever_format", "profile"]
