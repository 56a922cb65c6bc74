"""All models of the zoo, by family."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from benchmarks.zoo.entry import Entry

__all__ = ["FAMILIES", "entries", "sampled"]

FAMILIES = ("torchvision", "timm", "transformers", "diffusers", "pyg", "wild")


def entries(family: str, name: str = "*") -> list[Entry]:
    """The models of a family whose name fits the pattern, in a fixed order.

    Raises ImportError where the family's library is not installed.
    """
    module = importlib.import_module(f"benchmarks.zoo.{family}")
    return [entry for entry in module.entries() if fnmatchcase(entry.name, name)]


def sampled(found: Iterable[Entry], each: int) -> list[Entry]:
    """At most ``each`` models of every file, spread evenly over it: always the same ones.

    >>> from types import SimpleNamespace as Model
    >>> [m.name for m in sampled([Model(file="a", name=n) for n in "pqrst"], 2)]
    ['p', 'r']
    """
    files: dict[str, list[Entry]] = {}
    for entry in found:
        files.setdefault(entry.file, []).append(entry)
    picked: list[Entry] = []
    for group in files.values():
        n = min(each, len(group))
        picked.extend(group[i * len(group) // n] for i in range(n))
    return picked
