"""``len(x)`` of a tensor in the model's own code, without losing the symbol.

Python's ``len`` insists on a plain int, which would pin a symbolic size. While a model is traced the Python modules that
define its classes see this one instead, as a global of their own; the builtin itself is never touched.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from fxcount.trace.tracer.standin import StandIn

__all__ = ["symbolic_lengths"]


def _length(x: Any, /) -> Any:
    return x.shape[0] if type(x) is StandIn and x.ndim else builtins.len(x)


@contextmanager
def symbolic_lengths(modules: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Shadow ``len`` in the Python modules that define these; torch's own, and those that have a ``len``, are left alone."""
    names = {type(m).__module__ for m in modules}
    shadowed = []
    try:
        for name in names:
            found = sys.modules.get(name)
            if found is not None and not name.startswith("torch.") and "len" not in vars(found):
                vars(found)["len"] = _length
                shadowed.append(found)
        yield
    finally:
        for found in shadowed:
            vars(found).pop("len", None)
