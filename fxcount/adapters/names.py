"""Names of the models of installed libraries, read from their source text.

No library is imported, nor torch: a misspelt name is answered at once. What the text cannot tell is left to the library, which
is asked when the model is built.

>>> "resnet50" in model_names("torchvision"), "bert" in model_names("hf"), model_names("no_such_library")
(True, True, ())
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from fxcount.adapters.checkpoints import CHECKPOINTS
from fxcount.errors import InputError

__all__ = ["LIBRARIES", "closest", "expanded", "has", "library_of", "matching", "missing", "model_names", "package_of"]

LIBRARIES = ("torchvision", "timm", "hf", "diffusers")
"""Where a name without a library is looked for, in this order."""

_OFFERED = ("torchvision", "timm", "hf")
"""Of these a word alone is often a model: whoever lacks one is told how to get it. Of diffusers it is the name of a class."""

_REGISTERED = re.compile(rb'@register_model(?:\((?:name="(\w+)")?\))?\n(?:@.*\n(?:[ )].*\n)*)*def (\w+)')
_TYPES = re.compile(r'"([a-z][\w.-]*)"[,:] "\w+Config"')
_CLASSES = re.compile(rb"^class ([A-Z]\w+)\((?:\s*\w+,)*\s*ModelMixin\b", re.MULTILINE)
_SOURCES = {
    "torchvision": ("torchvision", "models"), "timm": ("timm", "models"), "hf": ("transformers", "models/auto"),
    "diffusers": ("diffusers", "models"),
}


@lru_cache(None)
def model_names(library: str) -> tuple[str, ...]:
    """The names that a library's sources register, sorted; none if it is not installed."""
    if library not in _SOURCES:
        return ()
    package, folder = _SOURCES[library]
    spec = find_spec(package)
    if spec is None or not spec.origin:
        return ()
    home = Path(spec.origin).parent / folder
    found = {"hf": _types, "diffusers": _classes}.get(library, _registered)(home)
    return tuple(sorted(set(found)))


def package_of(library: str) -> str:
    """What is imported for the models of a library.

    >>> package_of("hf")
    'transformers'
    """
    return _SOURCES[library][0]


def missing() -> list[str]:
    """The packages that a word alone is likely to name a model of, and that are not installed."""
    return [package for package in map(package_of, _OFFERED) if find_spec(package) is None]


def _registered(home: Path) -> Iterator[str]:
    for file in home.rglob("*.py"):
        for name, function in _REGISTERED.findall(file.read_bytes()):
            yield (name or function).decode()


def _types(home: Path) -> Iterator[str]:
    yield from CHECKPOINTS
    for file in (home / "auto_mappings.py", home / "configuration_auto.py"):
        if file.exists():
            yield from _TYPES.findall(file.read_text("utf-8", "replace"))


def _classes(home: Path) -> Iterator[str]:
    for file in home.rglob("*.py"):
        yield from (name.decode() for name in _CLASSES.findall(file.read_bytes()))


def matching(library: str, pattern: str = "*") -> list[str]:
    """The names of a library's models that fit a pattern of the shell.

    Raises :class:`~fxcount.errors.InputError` for a library that is none, or is not installed.

    >>> matching("torchvision", "resnet[13]*")
    ['resnet101', 'resnet152', 'resnet18', 'resnet34']
    """
    if library not in _SOURCES:
        close = get_close_matches(library, _SOURCES, 1)
        raise InputError(
            f"there is no list of models of {library!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            hint=f"use one of {', '.join(_SOURCES)}",
        )
    if find_spec(package_of(library)) is None:
        raise InputError(f"{package_of(library)} is not installed", hint=f"pip install {package_of(library)}")
    return fnmatch.filter(model_names(library), pattern)


def expanded(name: str) -> list[str]:
    """A model's name, or those that a pattern after the colon fits: ``timm:resnet*``.

    Raises :class:`~fxcount.errors.InputError` for a pattern that none fits.

    >>> expanded("torchvision:vit_b_*"), expanded("timm:vit_base_patch16_224")
    (['torchvision:vit_b_16', 'torchvision:vit_b_32'], ['timm:vit_base_patch16_224'])
    """
    library, _, pattern = name.partition(":")
    if not any(sign in pattern for sign in "*?["):
        return [name]
    found = [f"{library}:{model}" for model in matching(library, pattern)]
    if not found:
        raise InputError(f"{library} has no model like {pattern!r}", hint=f"fxcount models {library} lists them")
    return found


def library_of(name: str) -> str:
    """The library that has a model of this name, the first of :data:`LIBRARIES`; "" if none has.

    >>> library_of("resnet50"), library_of("gpt2"), library_of("no such")
    ('torchvision', 'hf', '')
    """
    return next((library for library in LIBRARIES if has(library, name)), "")


def has(library: str, name: str) -> bool:
    """Whether a library has a model of this name; timm's tags (``.a1_in1k``) are left to timm."""
    names = model_names(library)
    return name in names or (library == "timm" and name.partition(".")[0] in names)


def closest(word: str, *libraries: str, most: int = 3) -> list[str]:
    """Names nearest to a word, those that differ in case or in a digit for a letter first.

    >>> closest("resnet5O", "torchvision")[0], closest("Bert", "hf")[0]
    ('resnet50', 'bert')
    """
    names = {name: library for library in reversed(libraries) for name in model_names(library)}
    lower = word.lower().replace("-", "_")
    looks = lower.translate(_LOOKALIKES)
    same = [n for n in names if n.lower().replace("-", "_").translate(_LOOKALIKES) == looks]
    near = get_close_matches(lower, [n for n in names if abs(len(n) - len(word)) <= 2], most, 0.75)
    return list(dict.fromkeys([*same, *near]))[:most]


_LOOKALIKES = str.maketrans({"o": "0", "l": "1", "i": "1"})
