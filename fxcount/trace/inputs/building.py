"""Models that are built to be looked at: on the meta device, with inputs whose sizes follow what they were built for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Set
from types import FunctionType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from fxcount.errors import InputError, SizeError
from fxcount.symbolic import Size, evaluate, free_symbols, parse

__all__ = ["arguments_of", "built", "filled", "names_in", "on_meta", "placeholders", "without_placeholders"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


_FILLS = frozenset({
    torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.fill_, torch.Tensor.zero_, torch.Tensor.clamp_, torch.Tensor.mul_,
    torch.Tensor.add_, torch.Tensor.sub_, torch.Tensor.div_, torch.Tensor.erfinv_, torch.Tensor.bernoulli_,
})  # fmt: skip
"""What initialisers do to weights in place."""
_INITIALISERS = frozenset({torch.nn.init.normal_, torch.nn.init.uniform_, torch.nn.init.constant_})
"""Those that hand themselves to a mode, which then does not see what is inside of them."""


class _Uninitialised(TorchFunctionMode):
    """Fills of tensors that have no data are left out: torch takes longer over them than over all the rest of a build."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _FILLS and _idle(args, kwargs or {}):
            return args[0]
        if func in _INITIALISERS and kwargs and _is_empty(kwargs.get("tensor")) and _are_numbers(kwargs):
            return kwargs["tensor"]
        return func(*args, **(kwargs or {}))


_MAKES = frozenset({torch.empty, torch.rand, torch.randn})
"""What makes tensors whose numbers no constructor goes by."""


class _Weightless(_Uninitialised):
    """Weights are made without data, and what is computed from numbers (stochastic depths, tables of positions) with data."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _MAKES and (kwargs or {}).get("device") is None and "out" not in (kwargs or {}):
            return func(*args, **{**(kwargs or {}), "device": "meta"})
        return super().__torch_function__(func, types, args, kwargs)


def _without_weights(model: Any) -> Any:
    """The model with all of its parameters on the meta device; one that has several names stays one."""
    moved: dict[int, torch.nn.Parameter] = {}
    for module in model.modules() if isinstance(model, torch.nn.Module) else ():
        for name, parameter in module._parameters.items():
            if type(parameter) is torch.nn.Parameter and not parameter.is_meta:
                if id(parameter) not in moved:
                    moved[id(parameter)] = torch.nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
                module._parameters[name] = moved[id(parameter)]
    return model


def _idle(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether nothing but the numbers in a tensor without numbers would change, and torch would not complain."""
    x, *rest = args
    if any(isinstance(other, torch.Tensor) for other in (*rest, *kwargs.values())):
        return False  # whose shapes may not go together
    return x.is_meta and x.is_floating_point() and not (x.requires_grad and torch.is_grad_enabled())


def _is_empty(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.is_meta and x.is_floating_point()


def _are_numbers(given: Mapping[str, Any]) -> bool:
    """Whether all that an initialiser is given beside its tensor are numbers."""
    return all([isinstance(value, (int, float)) for name, value in given.items() if name not in ("tensor", "generator")])


def on_meta(build: Callable[[], Any]) -> Any:
    """Build without allocating weights. A constructor that looks at data gets data, and one that looks at those of its weights
    gets real weights. The random state is left as it was.

    >>> on_meta(lambda: torch.nn.Linear(3, 5)).weight.device
    device(type='meta')
    """
    state = torch.get_rng_state()
    try:
        try:
            with torch.device("meta"), _Uninitialised():
                return build()
        except (NotImplementedError, RuntimeError):
            pass
        try:
            with _Weightless():
                return _without_weights(build())
        except (NotImplementedError, RuntimeError):
            return build()
    finally:
        torch.set_rng_state(state)


def built(build: Any, values: Mapping[str, int], used_elsewhere: Set[str]) -> Any:
    """``build`` of those of the values that it takes, on the meta device; a model that is there already is the same for all.

    >>> built(lambda H: torch.nn.Linear(H, 5), {"H": 3, "S": 7}, {"S"}).weight.shape
    torch.Size([5, 3])
    """
    if isinstance(build, torch.nn.Module):
        return build
    arguments = arguments_of(build, values, used_elsewhere)
    return on_meta(lambda: build(**arguments))


def filled(given: Any, values: Mapping[str, int]) -> Any:
    """An input with its placeholders replaced by numbers; inside of them may stand any formula of a size. A function of names
    is the input that it gives for their numbers: ``lambda N: ["3,H,W"] * N``, a list of images.

    Raises :class:`~fxcount.errors.InputError` for a placeholder that nothing is given for.

    >>> filled(("1,3,{H},{H}", {"mask": "bool[B,{H//16}]"}), {"H": 224})
    ('1,3,224,224', {'mask': 'bool[B,14]'})
    """
    if isinstance(given, FunctionType):
        return given(**{name: _number(name, given.__name__, values) for name in inspect.signature(given).parameters})
    if isinstance(given, str):
        return _PLACEHOLDER.sub(lambda match: str(_number(match[1], given, values)), given)
    if isinstance(given, (list, tuple)):
        parts = [filled(part, values) for part in given]
        return type(given)(*parts) if hasattr(given, "_fields") else type(given)(parts)
    if isinstance(given, dict):
        return {key: filled(part, values) for key, part in given.items()}
    return given


def placeholders(given: Any) -> set[str]:
    """The texts between braces in an input.

    >>> sorted(placeholders(["1,3,{H},{2*W}", {"x": "{H}"}]))
    ['2*W', 'H']
    """
    if isinstance(given, FunctionType):
        return set(inspect.signature(given).parameters)
    if isinstance(given, str):
        return set(_PLACEHOLDER.findall(given))
    if isinstance(given, dict):
        given = list(given.values())
    return set().union(*map(placeholders, given)) if isinstance(given, (list, tuple)) else set()


def names_in(given: Any) -> frozenset[str]:
    """The names in placeholders.

    >>> sorted(names_in(["1,3,{H},{2*W}"]))
    ['H', 'W']
    """
    return frozenset().union(*[free_symbols(parse(text)) for text in placeholders(given)])


def without_placeholders(given: Any) -> Any:
    """An input with some number for each placeholder, so that its symbols can be read."""
    if isinstance(given, FunctionType):
        return given(**dict.fromkeys(inspect.signature(given).parameters, 1))
    if isinstance(given, str):
        return _PLACEHOLDER.sub("1", given)
    if isinstance(given, (list, tuple)):
        return [without_placeholders(part) for part in given]
    return {k: without_placeholders(part) for k, part in given.items()} if isinstance(given, dict) else given


def _number(text: str, given: str, values: Mapping[str, int]) -> int:
    try:
        size: Size = parse(text)
        return evaluate(size, values)
    except (SizeError, ZeroDivisionError) as error:
        hint = f"values are given for {', '.join(sorted(values)) or 'nothing'}"
        raise InputError(f"cannot fill {{{text}}} in the input {given!r}: {error}", hint=hint) from None


def arguments_of(build: Callable[..., Any], values: Mapping[str, int], used_elsewhere: Set[str]) -> dict[str, int]:
    """Those of the values that ``build`` takes; one that is used elsewhere, in the inputs, need not be among its parameters.

    >>> arguments_of(lambda H: None, {"H": 224, "S": 7}, used_elsewhere={"S"})
    {'H': 224}
    """
    try:
        parameters = inspect.signature(build).parameters
    except (TypeError, ValueError):  # of a builtin
        return dict(values)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(values)
    return {name: value for name, value in values.items() if name in parameters or name not in used_elsewhere}
