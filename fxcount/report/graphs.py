"""``fxcount.report.graphs``, where it was before views had a folder of their own: existing imports keep working."""

from __future__ import annotations

from fxcount.report.views import graphs as _views
from fxcount.report.views.graphs import *  # noqa: F403

__all__ = _views.__all__
