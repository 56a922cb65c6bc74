"""Inputs of a model of which none are given, where the model tells: its config, the size it was trained on, its first layer.

They are marked as guessed wherever they are used: whose they are is not known.

>>> import torch
>>> guessed(torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU()))
Guess(args=('B,3,H,W',), kwargs={}, because='the first layer, 0: Conv2d')
>>> guessed(torch.nn.ReLU()) is None
True
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from fxcount.trace.inputs.specs import InputSpec, parse_inputs

__all__ = ["Guess", "guess_in", "guessed", "is_plain", "needs_inputs"]


class Guess(NamedTuple):
    """Inputs as they are written, by place and by name, and what speaks for them."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    because: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """All of them as text."""
        return (*map(str, self.args), *[f"{name}={value}" for name, value in self.kwargs.items()])

    def marked(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The specifications, each with the mark that it is a guess."""
        return tuple(map(self._marked, self.args)), {name: self._marked(value) for name, value in self.kwargs.items()}

    def _marked(self, given: Any) -> Any:
        spec = parse_inputs(given)
        return dataclasses.replace(spec, because=self.because) if isinstance(spec, InputSpec) else spec


def guess_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """What speaks for inputs that are guessed; empty for those that were given."""
    return next((x.because for x in (*args, *kwargs.values()) if isinstance(x, InputSpec) and x.because), "")


def guessed(model: Any) -> Guess | None:
    """The inputs of a module, by what is known of it; ``None`` where nothing tells, or where it takes none."""
    if not isinstance(model, nn.Module):
        return None
    return _of_config(model) or (_of_library(model) or _of_first_layer(model) if _takes_one(model) else None)


def is_plain(model: Any) -> bool:
    """Whether it is a module of Python code: a graph may know what it takes."""
    return isinstance(model, nn.Module) and not isinstance(model, (torch.fx.GraphModule, torch.jit.ScriptModule))


def needs_inputs(model: Any) -> bool:
    """Whether a module cannot be called without any."""
    return isinstance(model, nn.Module) and bool(_needed(model))


def _of_config(model: nn.Module) -> Guess | None:
    """A model of transformers."""
    config = getattr(model, "config", None)
    if not (hasattr(config, "model_type") and hasattr(model, "main_input_name")):
        return None
    from fxcount.trace.inputs.of_transformers import inputs_of

    found = inputs_of(model)
    return Guess((), found, f"its config, {type(config).__name__}") if found else None


def _of_library(model: nn.Module) -> Guess | None:
    """A model of timm, which says on which sizes it was trained, or of torchvision, which takes images or films."""
    for name in ("pretrained_cfg", "default_cfg"):
        known = getattr(model, name, None)
        size = known.get("input_size") if isinstance(known, Mapping) else None
        if isinstance(known, Mapping) and isinstance(size, (tuple, list)) and len(size) == 3:
            channels, height, width = size
            sides = f"{height},{width}" if known.get("fixed_input_size", False) else "H,W"
            return Guess((f"B,{channels},{sides}",), {}, f"its {name}")
    home = type(model).__module__
    if not home.startswith("torchvision.models."):
        return None
    what, shape = ("films", "B,3,T,H,W") if home.startswith("torchvision.models.video") else ("images", "B,3,H,W")
    return Guess((shape,), {}, f"torchvision, whose models take {what}")


def _of_first_layer(model: nn.Module) -> Guess | None:
    for path, layer in model.named_modules():
        for kind, shape in _SHAPES:
            if isinstance(layer, kind):
                return Guess((shape(layer),), {}, f"the first layer, {f'{path}: ' if path else ''}{type(layer).__name__}")
        if next(layer.parameters(recurse=False), None) is not None:
            return None  # a layer of another kind comes first
    return None


def _needed(model: nn.Module) -> list[inspect.Parameter]:
    """The arguments that a call must have."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _takes_one(model: nn.Module) -> bool:
    """Whether the forward needs exactly one argument by position."""
    needed = _needed(model)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return len(needed) == 1 and needed[0].kind in positional


def _recurrent(layer: nn.RNNBase) -> str:
    return f"B,S,{layer.input_size}" if layer.batch_first else f"S,B,{layer.input_size}"


_SHAPES: tuple[tuple[type[nn.Module], Callable[[Any], str]], ...] = (
    (nn.Conv1d, lambda c: f"B,{c.in_channels},L"), (nn.Conv2d, lambda c: f"B,{c.in_channels},H,W"),
    (nn.Conv3d, lambda c: f"B,{c.in_channels},T,H,W"), (nn.Embedding, lambda e: "i64[B,S]"),
    (nn.EmbeddingBag, lambda e: "i64[B,S]"), (nn.RNNBase, _recurrent), (nn.Linear, lambda x: f"B,{x.in_features}"),
)  # fmt: skip
