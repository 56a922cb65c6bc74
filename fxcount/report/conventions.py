"""``fxcount.report.conventions``, where it was before views had a folder of their own: existing imports keep working."""

from __future__ import annotations

from fxcount.report.views import conventions as _views
from fxcount.report.views.conventions import *  # noqa: F403

__all__ = _views.__all__
