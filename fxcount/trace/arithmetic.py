"""Size expressions outside of the algebra: each operation of :func:`~fxcount.symbolic.to_rows` as a Python function."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

__all__ = ["ARITHMETIC", "operands_of"]

ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": operator.floordiv,
    "mod": operator.mod, "pow": operator.pow, "neg": operator.neg, "max": torch.sym_max, "min": torch.sym_min,
}  # fmt: skip


def operands_of(op: str, a: int, b: int | None, results: Sequence[Any]) -> tuple[Any, ...]:
    """What a row computes with: the results of earlier rows, but for the exponent of a power, which is a number itself."""
    if b is None:
        return (results[a],)
    return results[a], b if op == "pow" else results[b]
