"""``profile``: the rules of ultralytics-thop on the calls of a trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from fxcount.compat.thop.counting import Rules, profiled

__all__ = ["profile"]


def profile(
    model: nn.Module,
    inputs: Any = (),
    custom_ops: Mapping[type[nn.Module], Callable[..., None]] | None = None,
    verbose: bool = True,
    ret_layer_info: bool = False,
    report_missing: bool = False,
    stride: Any = None,
    min_cells: int = 1,
) -> Any:
    """Work by ultralytics-thop's rules and parameters of a model, as floats; a drop-in for its ``profile``.

    The arguments are those of :func:`fxcount.compat.thop.profile`. ``stride`` and ``min_cells`` are accepted and change
    nothing: they have the work of a large image estimated from small ones, and here it is counted at any size in the same time.

    >>> import torch
    >>> profile(nn.ConvTranspose2d(3, 8, 2, stride=2, bias=False), (torch.empty(1, 3, 9, 7),), verbose=False)
    (6048.0, 96.0)
    """
    return profiled(_RULES, model, inputs, custom_ops, verbose, ret_layer_info, report_missing)


_RULES = Rules("ultralytics-thop", subclasses=True, adds=True)
_COUNTS_FUNCTIONS = True  # the tool's own tests ask whether functional products count
