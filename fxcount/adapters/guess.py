"""``fxcount.adapters.guess``, where guesses were before :func:`fxcount.analyze` made them: existing imports keep working."""

from __future__ import annotations

from fxcount.trace.inputs.guess import Guess, guessed

__all__ = ["Guess", "guessed"]
