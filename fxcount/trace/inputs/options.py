"""Options of fxcount's functions against inputs of the model: both come by name, and one is easily taken for the other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from fxcount.errors import InputError
from fxcount.symbolic import BRANCH
from fxcount.wording import did_you_mean

__all__ = ["check_binds", "check_flag", "check_misspelt", "check_option"]

_EXAMPLES = {"hints": 'e.g. hints={"B": 2, "H": 224}', "rules": "e.g. rules=[fxcount.rule(...)]"}
_CLOSE = 0.8  # of difflib's ratio: hint and hints have 0.89


def check_binds(function: Callable[..., Any], name: str, args: Any, kwargs: Mapping[str, Any], what: str, hint: str) -> None:
    """Complain that arguments are missing, or are none of the function's, before Python does.

    >>> check_binds(lambda x, y: x, "net:build", (1,), {}, "", "give both")
    Traceback (most recent call last):
        ...
    fxcount.errors.InputError: net:build(x, y) cannot be called: missing a required argument: 'y'
      to fix: give both
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        unknown = str(error).rpartition("unexpected keyword argument ")[2].strip("'")
        near = did_you_mean(unknown, [n for n in signature.parameters if n not in kwargs]) if unknown in kwargs else ""
        raise InputError(f"{name}{signature} cannot be called{what}: {error}{near}", hint=hint) from None


def check_option(name: str, value: Any, fits: Callable[[Any], bool], what: str, model: Any) -> None:
    """Complain about an option of another kind: it may be meant for the model.

    >>> check_option("strict", "B,3", lambda value: isinstance(value, bool), "True or False", None)
    Traceback (most recent call last):
        ...
    fxcount.errors.InputError: the option strict is True or False, not 'B,3'
      to fix: for an input of that name write kwargs={'strict': ...}
    """
    if not fits(value):
        signature = _signature(model)
        meant = signature is None or name in signature[0] or signature[1]
        raise InputError(
            f"the option {name} is {what}, not {_short(value)}",
            hint=f"for an input of that name write kwargs={{{name!r}: ...}}" if meant else _EXAMPLES.get(name, ""),
        )


def check_flag(name: str, value: Any, model: Any) -> None:
    """Complain about an option that is not one of two ways."""
    check_option(name, value, lambda v: isinstance(v, int) and v in (0, 1), "True or False", model)


def check_misspelt(model: Any, named: Mapping[str, Any], options: Collection[str]) -> None:
    """Complain about an input that only ``**kwargs`` of the forward would take and whose name is nearly that of an option.

    >>> class Net:
    ...     def forward(self, x, **kwargs): ...
    >>> check_misspelt(Net(), {"hint": {"B": 3}}, ["hints", "strict"])
    Traceback (most recent call last):
        ...
    fxcount.errors.InputError: 'hint' is no argument of Net.forward, and would be swallowed by its **kwargs: is hints= meant?
      to fix: write hints=..., or kwargs={'hint': ...} for the model
    """
    signature = _signature(model) if named else None
    if signature is None:
        return
    taken, swallows = signature
    for name, value in named.items():
        if name in taken:
            continue
        close = get_close_matches(name.lower().replace("_", ""), options, 1, _CLOSE)
        if not close and swallows and _is_hints(value):
            close = ["hints"]
        if close:
            else_what = "would be swallowed by its **kwargs" if swallows else "it takes no others"
            instead = f", or kwargs={{{name!r}: ...}} for the model" if swallows else ""
            raise InputError(
                f"{name!r} is no argument of {type(model).__name__}.forward, and {else_what}: is {close[0]}= meant?",
                hint=f"write {close[0]}=...{instead}",
            )


def _signature(model: Any) -> tuple[frozenset[str], bool] | None:
    """The names of the forward's arguments, and whether it takes any other; ``None`` where that cannot be said."""
    try:
        parameters = inspect.signature(model.forward).parameters
    except (TypeError, ValueError, AttributeError):
        return None
    return frozenset(parameters), any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _is_hints(value: Any) -> bool:
    """Whether it reads like sizes by symbol, as no tensor does: ``{"B": 3, "S": 17}``."""
    if not isinstance(value, dict) or not value:
        return False
    return all([isinstance(k, str) and (k.isupper() or k == BRANCH) and type(v) is int for k, v in value.items()])


def _short(value: Any) -> str:
    text = f"a {type(value).__name__}" if hasattr(value, "shape") else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
