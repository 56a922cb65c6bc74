"""A training loop's own step: the models, optimizers and other things that the user's function reaches by its closure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass

__all__ = ["Reached", "Several", "hooks_of", "reached"]

_MOST = 2_000  # things looked at, those nearest to the function first
_PLAIN = frozenset({int, float, bool, str, bytes, type(None), complex, range, slice, torch.dtype, torch.device})


class Several(torch.nn.Module):
    """Stands for all models of a step, each under the name that the step calls it by."""

    def __init__(self, models: Mapping[str, torch.nn.Module]) -> None:
        super().__init__()
        for name, model in models.items():
            self.add_module(name.replace(".", "_"), model)


@dataclass(frozen=True)
class Reached:
    """``models`` by the name the step has for them, ``optimizers``, and further objects that a step may change."""

    models: Mapping[str, torch.nn.Module]
    optimizers: tuple[torch.optim.Optimizer, ...]
    others: tuple[Any, ...]


def reached(step: Callable[..., Any], given: Mapping[str, Any]) -> Reached:
    """What ``step`` reaches: what it is ``given``, its closure, the globals it names, and the object it is a method of.

    >>> net, critic = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    >>> sgd = torch.optim.SGD(critic.parameters(), lr=0.1)
    >>> def step(model, x):
    ...     return critic(model(x)), sgd.step()
    >>> step.__module__ = "net"  # into functions of fxcount and torch it does not look
    >>> found = reached(step, {"model": net})
    >>> list(found.models), found.optimizers == (sgd,)
    (['model', 'critic'], True)
    """
    models: dict[str, torch.nn.Module] = {}
    optimizers: list[torch.optim.Optimizer] = []
    others: list[Any] = []
    seen: set[int] = set()
    waiting = [*given.items(), ("step", step)]
    while waiting and len(seen) < _MOST:
        found, waiting = waiting, []
        for name, thing in found:
            if type(thing) in _PLAIN or id(thing) in seen:
                continue
            seen.add(id(thing))
            if isinstance(thing, torch.nn.Module):
                models[_unused(name, models)] = thing
                waiting += [("hook", hook) for _, (before, after) in hooks_of(thing) for hook in (*before, *after)]
            elif isinstance(thing, torch.optim.Optimizer):
                optimizers.append(thing)
            elif _is_code(thing):
                waiting += _of_code(thing)
            else:
                others.append(thing)
                waiting += _inside(name, thing)
    inner = {id(m) for top in models.values() for m in top.modules() if m is not top}
    outer = {name: m for name, m in models.items() if id(m) not in inner}
    return Reached(outer, tuple(optimizers), tuple(others))


def hooks_of(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Parameter, tuple[list[Any], list[Any]]]]:
    """Parameters that have hooks of their own, with those of the gradient and those that come after it, as an optimizer's step
    in the backward does."""
    for p in model.parameters():
        before, after = (list((kind.__get__(p) or {}).values()) for kind in _HOOKS)
        if before or after:
            yield p, (before, after)


_HOOKS = (torch_private.hooks_before, torch_private.hooks_after)


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    numbered = (name if i == 0 else f"{name}_{i}" for i in range(len(taken) + 1))
    return next(n for n in numbered if n not in taken)


def _is_code(thing: Any) -> bool:
    return isinstance(thing, (FunctionType, MethodType, functools.partial))


def _of_code(thing: Any) -> Iterator[tuple[str, Any]]:
    """What a function can name."""
    if isinstance(thing, functools.partial):
        yield from (("step", thing.func), *[(f"argument_{i}", a) for i, a in enumerate(thing.args)], *thing.keywords.items())
        return
    if isinstance(thing, MethodType):
        yield from (("self", thing.__self__), ("step", thing.__func__))
        return
    if _of_library(thing.__module__):
        return
    for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for name in _names(thing.__code__):
        if name in thing.__globals__:
            yield name, thing.__globals__[name]
    yield from zip(_names(thing.__code__), thing.__defaults__ or (), strict=False)
    wrapped = getattr(thing, "__wrapped__", None)
    if wrapped is not None:
        yield "step", wrapped


def _names(code: CodeType) -> list[str]:
    inner = [name for constant in code.co_consts if isinstance(constant, CodeType) for name in _names(constant)]
    return [*code.co_names, *inner]


def _of_library(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in ("torch", "torchvision", "numpy", "fxcount")


def _inside(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """What a container or an object holds, by name."""
    if isinstance(thing, Mapping):
        yield from ((f"{name}_{key}", value) for key, value in list(thing.items()))
    elif isinstance(thing, (list, tuple, set, frozenset)):
        yield from ((f"{name}_{i}", value) for i, value in enumerate(thing))
    elif not isinstance(thing, (type, torch.Tensor)) and type(thing).__module__ not in ("builtins", "_thread"):
        yield from list(getattr(thing, "__dict__", {}).items())
