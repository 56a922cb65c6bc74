"""Whether tensors have sizes that torch's C++ cannot have as numbers."""

from __future__ import annotations

from typing import Any

import torch

from fxcount.symbolic import SymSize

__all__ = ["is_symbolic"]


def is_symbolic(*given: Any) -> bool:
    """Whether a size of one of these is a formula; what is no tensor has none.

    >>> is_symbolic(torch.zeros(3), None)
    False
    """
    sizes: list[Any] = [n for x in given if isinstance(x, torch.Tensor) for n in x.shape]
    return any([type(n) is SymSize for n in sizes])
