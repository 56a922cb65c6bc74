"""What only torch's own autograd engine can follow: gradients, function transforms and dual numbers inside a forward."""

from __future__ import annotations

from fxcount.errors import UnsupportedError

__all__ = ["NeedsEngine"]


class NeedsEngine(UnsupportedError):
    """The model differentiates, or maps what is more than elementwise, in its forward: it is traced again below the engine."""
