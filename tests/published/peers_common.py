"""How the peers' cases are put to fxcount: a function as a model, and a training step as a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

import fxcount

__all__ = ["Function", "of", "parameters_of", "step_flops", "torch_flops"]

Shape = tuple[int, ...]


class Function(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def of(model: nn.Module | Callable[..., Any], *inputs: Any, convention: str = "fxcount", training: bool = False) -> int:
    """A convention's number for one call of a model, or of a function of tensors."""
    called = model if isinstance(model, nn.Module) else Function(model)
    return int(fxcount.analyze(called.train(training), *inputs).count(convention))


def torch_flops(function: Callable[..., Any], *inputs: Any) -> int:
    """Two for each multiply-accumulate, as torch's counter has them."""
    return of(function, *inputs, convention="torch")


def step_flops(model: nn.Module | Callable[..., Any], *shapes: Shape, wanted: tuple[int, ...] = ()) -> int:
    """Forward and backward of the sum of the result, as the ATen graph that torch's own tracer makes of them.

    Gradients go to the model's parameters and to the inputs at the positions in ``wanted``. Tensors are on meta.
    """
    called = (model if isinstance(model, nn.Module) else Function(model)).to("meta")
    names = [name for name, _ in called.named_parameters()]

    def step(parameters: list[Tensor], *tensors: Tensor) -> list[Tensor | None]:
        result = functional_call(called, dict(zip(names, parameters)), tensors)
        leaf = result[0] if isinstance(result, tuple) else result
        return list(torch.autograd.grad(leaf.sum(), [*parameters, *(tensors[i] for i in wanted)]))

    parameters = [torch.empty_like(p).requires_grad_() for p in called.parameters()]
    tensors = [torch.empty(s, device="meta").requires_grad_(i in wanted) for i, s in enumerate(shapes)]
    return int(fxcount.analyze(make_fx(step)(parameters, *tensors)).count("torch"))


def parameters_of(model: nn.Module, *inputs: Any) -> int:
    """Elements of unique parameters."""
    return int(fxcount.analyze(model, *inputs).params.total)
