"""How a model of a package is written down here: one line of a table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from benchmarks.zoo.entry import STEPS, Entry, Inputs

__all__ = ["Model", "built", "image", "images", "of"]


@dataclass(frozen=True, slots=True)
class Model:
    """``hints`` are the sizes of the trace, ``other`` a second size that the model takes; ``below`` bounds integer inputs;
    ``reads_tables``: it looks at buffers of its own, so that it is not measured on meta."""

    package: str
    name: str
    build: Callable[[], nn.Module]
    args: tuple[Any, ...]
    hints: Mapping[str, int]
    other: Mapping[str, int]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    below: int = 2
    reads_tables: bool = False

    def entry(self) -> Entry:
        """The model as the zoo has it: ``other`` is the first step that is tried for each symbol."""
        steps = {
            n: (self.other[n] - hint, *STEPS.get(n, ())) for n, hint in self.hints.items() if self.other.get(n, hint) != hint
        }
        inputs = Inputs(self.args, self.kwargs, self.hints, steps, self.below)
        name = f"{self.package}.{self.name}"
        return Entry("wild", name, self.package, self.build, lambda model: inputs, reads_tables=self.reads_tables)


def built(path: str, *args: Any, **options: Any) -> Callable[[], Any]:
    """What calls ``package.module:name`` with these arguments, imported then.

    >>> built("torch.nn:Linear", 3, 5, bias=False)()
    Linear(in_features=3, out_features=5, bias=False)
    """
    module, _, name = path.partition(":")
    return lambda: getattr(importlib.import_module(module), name)(*args, **options)


def of(
    package: str, name: str, build: Callable[[], nn.Module], args: str | tuple[Any, ...], hints: Mapping[str, int],
    other: Mapping[str, int], **more: Any,
) -> Model:  # fmt: skip
    """A model; one input need not be put into a tuple."""
    return Model(package, name, build, (args,) if isinstance(args, str) else args, hints, other, **more)


def image(
    package: str, name: str, build: Callable[[], nn.Module], at: tuple[int, int, int] = (2, 64, 64),
    other: tuple[int, int, int] = (3, 96, 128), channels: int = 3,
) -> Model:  # fmt: skip
    """A model of images: ``at`` and ``other`` are batch, height and width."""
    names = ("B", "H", "W")
    return of(package, name, build, f"f32[B,{channels},H,W]", dict(zip(names, at)), dict(zip(names, other)))


def images(package: str, name: str, build: Callable[[], nn.Module], size: int = 64, channels: int = 3) -> Model:
    """A model of images of one size."""
    return of(package, name, build, f"f32[B,{channels},{size},{size}]", {"B": 2}, {"B": 5})
