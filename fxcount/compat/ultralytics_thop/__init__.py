"""``profile`` and ``clever_format`` of ultralytics-thop, thop's successor, which is imported as ``thop`` too.

Work is counted by its own rules (``report.count("ultralytics-thop")``): subclasses have the rule of their class, functional
products count, and a rule of the user's adds to what the modules inside count.
"""

from __future__ import annotations

from fxcount.compat.ultralytics_thop.profile import profile
from fxcount.compat.ultralytics_thop.utils import clever_format

__all__ = ["clever_format", "profile"]
