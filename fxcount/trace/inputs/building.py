"""Models that are built to be looked at: on the meta device, with inputs whose sizes follow what they were built for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Set
from typing import Any

import torch

from fxcount.errors import InputError, SizeError
from fxcount.symbolic import Size, evaluate, parse

__all__ = ["arguments_of", "filled", "on_meta", "placeholders"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def on_meta(build: Callable[[], Any]) -> Any:
    """Build without allocating weights; a constructor that looks at data gets real ones. The random state is left as it was.

    >>> on_meta(lambda: torch.nn.Linear(3, 5)).weight.device
    device(type='meta')
    """
    state = torch.get_rng_state()
    try:
        try:
            with torch.device("meta"):
                return build()
        except (NotImplementedError, RuntimeError):
            return build()
    finally:
        torch.set_rng_state(state)


def filled(given: Any, values: Mapping[str, int]) -> Any:
    """An input with its placeholders replaced by numbers; inside of them may stand any formula of a size.

    Raises :class:`~fxcount.errors.InputError` for a placeholder that nothing is given for.

    >>> filled(("1,3,{H},{H}", {"mask": "bool[B,{H//16}]"}), {"H": 224})
    ('1,3,224,224', {'mask': 'bool[B,14]'})
    """
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

    >>> sorted(placeholders(["1,3,{H},{W}", {"x": "{H}"}]))
    ['H', 'W']
    """
    if isinstance(given, str):
        return set(_PLACEHOLDER.findall(given))
    if isinstance(given, dict):
        given = list(given.values())
    return set().union(*map(placeholders, given)) if isinstance(given, (list, tuple)) else set()


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
