"""The names of the models that libraries have."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from difflib import get_close_matches

from fxcount.adapters.load import library
from fxcount.errors import InputError

__all__ = ["SOURCES", "expanded", "names"]


def _torchvision() -> Iterable[str]:
    found: Iterable[str] = library("torchvision").models.list_models()
    return found


def _timm() -> Iterable[str]:
    found: Iterable[str] = library("timm").list_models()
    return found


def _hugging_face() -> Iterable[str]:
    from fxcount.adapters.hub import CHECKPOINTS

    kinds: Iterable[str] = library("transformers").CONFIG_MAPPING.keys()
    return [*kinds, *CHECKPOINTS]


SOURCES = {"torchvision": _torchvision, "timm": _timm, "hf": _hugging_face}
"""What stands before the colon, and the names that may stand after it."""


def names(source: str, pattern: str = "*") -> list[str]:
    """The names of a library's models that match a pattern of the shell, sorted.

    Raises :class:`~fxcount.errors.InputError` for an unknown or missing library.

    >>> names("torchvision", "resnet*")[:3]
    ['resnet101', 'resnet152', 'resnet18']
    """
    if source not in SOURCES:
        close = get_close_matches(source, SOURCES, 1)
        raise InputError(
            f"there is no list of models of {source!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            hint=f"use one of {', '.join(SOURCES)}",
        )
    return sorted(fnmatch.filter(SOURCES[source](), pattern))


def expanded(name: str) -> list[str]:
    """A model's name, or those that a pattern after the colon matches: ``timm:resnet*``.

    Raises :class:`~fxcount.errors.InputError` for a pattern that matches none.

    >>> expanded("torchvision:vit_b_*"), expanded("timm:vit_base_patch16_224")
    (['torchvision:vit_b_16', 'torchvision:vit_b_32'], ['timm:vit_base_patch16_224'])
    """
    source, _, pattern = name.partition(":")
    if not any(sign in pattern for sign in "*?["):
        return [name]
    found = [f"{source}:{model}" for model in names(source, pattern)]
    if not found:
        raise InputError(f"{source} has no model like {pattern!r}", hint=f"fxcount models {source} lists them")
    return found
