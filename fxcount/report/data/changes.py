"""What if a step were done otherwise? A model that is changed for the time of an analysis, and left as it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.report.data.recipe import Recipe
from fxcount.training.optimizers import maker_of

__all__ = ["Change", "chosen", "otherwise"]


@dataclass(frozen=True)
class Change:
    """``checkpoint``: modules whose inside is computed again in the backward; ``freeze``: modules whose parameters get no
    gradient; ``dtype`` of parameters and buffers; another ``optimizer``; ``accumulate``: forwards and backwards before a
    step."""

    checkpoint: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    dtype: torch.dtype | None = None
    optimizer: str | Callable[..., Any] | None = None
    accumulate: int = 1

    @contextmanager
    def made(self, model: nn.Module) -> Iterator[None]:
        """A block in which the model is changed."""
        modules = dict(model.named_modules())
        with ExitStack() as stack:
            if self.dtype is not None:
                stack.enter_context(_in_dtype(model, self.dtype))
            for path in self.freeze:
                stack.enter_context(_frozen(modules[path]))
            if self.checkpoint:  # the first one loads parts of torch, whose frames would hold tensors of the step
                checkpoint(torch.neg, torch.zeros(()), use_reentrant=False)
            for path in self.checkpoint:
                stack.enter_context(_checkpointed(modules[path]))
            yield

    def step(self, step: Any) -> Any:
        """The step with another optimizer, or with several forwards."""
        if self.optimizer is None and self.accumulate == 1:
            return step
        if step is None:
            raise InputError(
                "a step of your own has its own optimizer and accumulates by itself",
                hint="change the function that is the step",
            )
        make = step.optimizer if self.optimizer is None else maker_of(self.optimizer)
        return replace(step, optimizer=make, turns=min(self.accumulate, 2))  # a third forward is as the second


def otherwise(recipe: Recipe, change: Change) -> Recipe:
    """The recipe of the same step with the change: each of its analyses changes the model and puts it back."""
    step = change.step(recipe.step)
    options = {} if step is recipe.step else {"done": step}

    def analyse(model: Any, inputs: Any, kwargs: Any, hints: Any) -> Any:
        with change.made(model):
            return recipe.analyse(model, inputs, kwargs, hints, **options)

    return replace(recipe, analyse=analyse, step=step)


# -- which modules --------------------------------------------------------------------------------------------------------
def chosen(model: nn.Module, names: str | Sequence[str]) -> tuple[str, ...]:
    """The modules of these names: a path, its end (``"encoder.layer"``), or a pattern (``"*.layers.[0-3]"``). A list of modules
    stands for those in it. What is inside another one that was chosen is left out.

    Raises :class:`~fxcount.errors.InputError` for a name of which there is none.

    >>> model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    >>> chosen(model, "1.*"), chosen(model, ["1", "1.0"])
    (('1.0', '1.1'), ('1',))
    """
    modules = dict(model.named_modules())
    found: dict[str, None] = {}
    for name in [names] if isinstance(names, str) else names:
        paths = [p for p in modules if p and (p == name or p.endswith(f".{name}") or fnmatchcase(p, name))]
        if not paths:
            close = get_close_matches(name, modules, n=1)
            raise InputError(
                f"no module is called {name!a}" + (f"; did you mean {close[0]!r}?" if close else ""),
                hint="give the path of a module, its end, or a pattern, as model.named_modules() names them",
            )
        for path in paths:
            found.update(dict.fromkeys(_called(modules, path)))
    return tuple([p for p in found if not any([p.startswith(f"{other}.") for other in found])])


def _called(modules: dict[str, nn.Module], path: str) -> list[str]:
    """The module, or those in a list of modules, which is never called itself."""
    if not isinstance(modules[path], (nn.ModuleList, nn.ModuleDict)):
        return [path]
    return [p for name in modules[path]._modules for p in _called(modules, f"{path}.{name}") if f"{path}.{name}" in modules]


# -- changes --------------------------------------------------------------------------------------------------------------
@contextmanager
def _checkpointed(module: nn.Module) -> Iterator[None]:
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = partial(_again, module.forward)
    try:
        yield
    finally:
        if own is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = own


def _again(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A forward that keeps its inputs alone, and is done again in the backward."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    trained = [p for p in module.parameters() if p.requires_grad]
    try:
        for p in trained:
            p.requires_grad_(False)
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


@contextmanager
def _in_dtype(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Parameters without data, of the dtype, in the place of the model's own."""
    before: list[tuple[dict[str, Any], str, Any]] = []
    made: dict[int, Any] = {}
    try:
        for module in model.modules():
            for slot in (module._parameters, module._buffers):
                for name, tensor in list(slot.items()):
                    if tensor is not None and tensor.is_floating_point():
                        before.append((slot, name, tensor))
                        if id(tensor) not in made:
                            made[id(tensor)] = _converted(tensor, dtype)
                        slot[name] = made[id(tensor)]
        yield
    finally:
        for slot, name, tensor in before:
            slot[name] = tensor


def _converted(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if not isinstance(tensor, nn.Parameter):
        return tensor.to(dtype)
    return nn.Parameter(torch.empty_like(tensor, dtype=dtype, device="meta"), requires_grad=tensor.requires_grad)
