"""Size expressions outside of the algebra: each operation of :func:`~fxcount.symbolic.to_rows` as a Python function."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["ARITHMETIC"]

ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": operator.floordiv,
    "mod": operator.mod, "pow": operator.pow, "neg": operator.neg, "max": torch.sym_max, "min": torch.sym_min,
}  # fmt: skip
