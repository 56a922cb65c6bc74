"""Operations: one file per family; in each, an op's shape rule and cost rule stand side by side.

``REGISTRY`` maps every Python callable torch code can reach an op by (builtin, tensor method, ATen overload) to its
:class:`~fxcount.ops.registry.Op`.
"""

from __future__ import annotations

import importlib

from fxcount.ops.fact import Alias, TensorFact, Work
from fxcount.ops.registry import Op, Registry, Zero, op

__all__ = ["REGISTRY", "Alias", "Op", "Registry", "TensorFact", "Work", "Zero", "op"]

FAMILIES = (
    "views", "joining", "copies", "layout", "factory", "pointwise", "activation", "comparison", "reduction", "softmax", "norm", "cumulative",
    "sorting", "loss", "conv", "matmul", "einsum", "attention", "rnn", "pooling", "resize", "padding", "embedding",
    "indexing", "scatter", "fft", "complex", "dropout", "creation", "vision", "linalg", "bitwise", "random", "unfold",
)  # fmt: skip

def _collect() -> Registry:
    import importlib.util
    ops: list[Op] = []
    for family in FAMILIES:  # during the building of the package families may be missing; replaced before landing
        if importlib.util.find_spec(f"fxcount.ops.{family}") is None:
            continue
        ops.extend(importlib.import_module(f"fxcount.ops.{family}").OPS)
    return Registry(ops)


REGISTRY = _collect()
