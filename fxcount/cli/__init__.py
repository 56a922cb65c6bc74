"""The command line. The only part of fxcount that prints."""

from __future__ import annotations

from fxcount.cli.main import main

__all__ = ["main"]
