"""Inputs guessed from the first layer of a model that tells nothing else: marked as guessed wherever they are used.

>>> import torch
>>> guessed(torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU()))
Guess(inputs=('B,3,H,W',), because='the first layer, 0: Conv2d')
>>> guessed(torch.nn.ReLU()) is None
True
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

__all__ = ["Guess", "guessed"]


class Guess(NamedTuple):
    """Inputs as they are written, and what speaks for them."""

    inputs: tuple[str, ...]
    because: str


def guessed(model: Any) -> Guess | None:
    """The input of a model whose forward takes one tensor, by the first layer that it holds; ``None`` where nothing tells."""
    if not isinstance(model, nn.Module) or not _takes_one(model):
        return None
    for path, layer in model.named_modules():
        for kind, shape in _SHAPES:
            if isinstance(layer, kind):
                return Guess((shape(layer),), f"the first layer, {f'{path}: ' if path else ''}{type(layer).__name__}")
        if next(layer.parameters(recurse=False), None) is not None:
            return None  # a layer of another kind comes first
    return None


def _takes_one(model: nn.Module) -> bool:
    """Whether the forward needs exactly one argument by position."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return len(needed) == 1 and needed[0].kind in positional


def _recurrent(layer: nn.RNNBase) -> str:
    return f"B,S,{layer.input_size}" if layer.batch_first else f"S,B,{layer.input_size}"


_SHAPES: tuple[tuple[type[nn.Module], Callable[[Any], str]], ...] = (
    (nn.Conv1d, lambda c: f"B,{c.in_channels},L"), (nn.Conv2d, lambda c: f"B,{c.in_channels},H,W"),
    (nn.Conv3d, lambda c: f"B,{c.in_channels},T,H,W"), (nn.Embedding, lambda e: "i64[B,S]"),
    (nn.EmbeddingBag, lambda e: "i64[B,S]"), (nn.RNNBase, _recurrent), (nn.Linear, lambda x: f"B,{x.in_features}"),
)  # fmt: skip
