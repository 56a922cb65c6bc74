"""The names of a model's outputs, as ``params_for`` and ``find_unused_parameters`` take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fxcount.trace.tape import Value
from fxcount.trace.tracer.outputs import named_parts

__all__ = ["named_outputs"]


def named_outputs(tree: Any) -> Iterator[tuple[str, Value]]:
    """Every tensor the model returns: ``"logits"`` in a dict, ``"1.0"`` in a tuple of tuples, ``"0"`` for a lone one.

    >>> import torch, fxcount
    >>> outputs = fxcount.analyze(torch.nn.LSTM(3, 5), "S,B,3").trace.outputs
    >>> [name for name, _ in named_outputs(outputs)]
    ['0', '1.0', '1.1']
    """
    if type(tree) is Value:
        yield "0", tree
    else:
        yield from _inside(tree, "")


def _inside(tree: Any, name: str) -> Iterator[tuple[str, Value]]:
    if type(tree) is Value:
        yield name, tree
        return
    for key, part in named_parts(tree).items():
        yield from _inside(part, f"{name}.{key}" if name else key)
