"""Optimizers by name: each is torch's own, with the arguments it has by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch

from fxcount.errors import InputError
from fxcount.wording import did_you_mean

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

_WAYS = MappingProxyType({"foreach": {"foreach": True}, "fused": {"fused": True}, "forloop": {"foreach": False}})
"""Implementations that torch has of a step; ``foreach``, whose temporaries are of all parameters at once, is what it takes by
default where parameters are on a GPU, and ``forloop`` elsewhere (documentation of ``torch.optim``)."""


def maker_of(optimizer: str | Callable[[Iterable[Any]], Any]) -> Callable[[Any], Any]:
    """What makes the optimizer: of a name, or as given; an optimizer that is there already gives its class and its options.

    A name may be followed by the implementation: ``"adamw foreach"`` is what torch does on a GPU by default.
    Raises :class:`~fxcount.errors.InputError` for a name that is none of :data:`OPTIMIZERS`.

    >>> maker_of("adamw foreach")([torch.nn.Parameter(torch.zeros(3))]).defaults["foreach"]
    True
    """
    if isinstance(optimizer, torch.optim.Optimizer):
        return partial(type(optimizer), **optimizer.defaults)
    if callable(optimizer):
        return optimizer
    name, _, way = optimizer.lower().partition(" ")
    found: Callable[[Any], Any] | None = OPTIMIZERS.get(name)
    if found is not None and way in _WAYS:
        return partial(found, **_WAYS[way])
    if found is None or way:
        raise InputError(
            f"no optimizer is called {optimizer!r}{did_you_mean(name, OPTIMIZERS)}",
            hint=f"one of {', '.join(OPTIMIZERS)}, with {', '.join(_WAYS)} after it or not, or a function that takes the "
            "parameters and makes one",
        )
    return found
