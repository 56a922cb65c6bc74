"""Optimizers by name: each is torch's own, with the arguments it has by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch

from fxcount.errors import InputError

__all__ = ["OPTIMIZERS", "maker_of"]

_SGD = partial(torch.optim.SGD, lr=1e-3)

OPTIMIZERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType({
    "sgd": _SGD,
    "momentum": partial(_SGD, momentum=0.9),
    "nesterov": partial(_SGD, momentum=0.9, nesterov=True),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "amsgrad": partial(torch.optim.Adam, amsgrad=True),
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rprop": torch.optim.Rprop,
    "asgd": torch.optim.ASGD,
    **({"adafactor": torch.optim.Adafactor} if hasattr(torch.optim, "Adafactor") else {}),
})
"""What makes an optimizer of parameters, by name."""


def maker_of(optimizer: str | Callable[[Iterable[Any]], Any]) -> Callable[[Any], Any]:
    """What makes the optimizer: of a name, or as given; an optimizer that is there already gives its class and its options.

    Raises :class:`~fxcount.errors.InputError` for a name that is none of :data:`OPTIMIZERS`.
    """
    if isinstance(optimizer, torch.optim.Optimizer):
        return partial(type(optimizer), **optimizer.defaults)
    if callable(optimizer):
        return optimizer
    found: Callable[[Any], Any] | None = OPTIMIZERS.get(optimizer.lower())
    if found is None:
        raise InputError(
            f"no optimizer is called {optimizer!r}",
            hint=f"one of {', '.join(OPTIMIZERS)}, or a function that takes the parameters and makes one",
        )
    return found
