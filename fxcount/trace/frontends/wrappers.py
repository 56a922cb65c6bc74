"""Models inside wrappers: ``torch.compile``, ``DataParallel``, ``DistributedDataParallel``."""

from __future__ import annotations

from typing import Any

import torch

from fxcount import torch_private
from fxcount.trace.frontends.modules import named_class

__all__ = ["unwrapped"]


class Wrapper(torch.nn.Module):
    """Stands for a data-parallel wrapper on one device: calls its ``module``, under the name the wrapper gives it."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What each replica computes."""
        return self.module(*args, **kwargs)


def unwrapped(model: Any) -> Any:
    """The module a ``torch.compile`` wrapper was made of; a data-parallel wrapper as one that only calls its module.

    Names of parameters stay those of the wrapper for data parallelism (``module.weight``), as its user knows them.

    >>> unwrapped(torch.nn.DataParallel(torch.nn.Linear(2, 3)))
    DataParallel(
      (module): Linear(in_features=2, out_features=3, bias=True)
    )
    """
    while (original := torch_private.compiled_from(model)) is not None:
        model = original
    if isinstance(model, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
        wrapper = named_class(Wrapper, type(model).__name__)(unwrapped(model.module))
        return wrapper.train(model.training) if wrapper.training != model.training else wrapper
    return model
