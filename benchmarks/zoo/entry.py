"""What a model of the zoo is: how it is built, the inputs it takes, and the sizes those are tried at.

Inputs are written in fxcount's own notation. ``B`` batch, ``H W`` height and width, ``S`` tokens, ``T`` target tokens,
``L`` context tokens, ``F`` frames, ``A`` audio samples, ``N E`` nodes and edges of a graph. Tensors among the inputs are small
tables of integers (the grid of an image's patches) whose values the model reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fxcount.symbolic import evaluate, free_symbols
from fxcount.trace.inputs.specs import InputSpec, parse_inputs

__all__ = ["IMAGE_STEPS", "STEPS", "Entry", "Inputs", "bools", "floats", "longs", "tensors"]

Sizes = Mapping[str, int]

_SPEC = re.compile(r"\w+\[.*\]")
IMAGE_STEPS = (64, 32, 96, 56, 28, 112, 224, 128, 256, 16, -32, -64)
STEPS: Mapping[str, tuple[int, ...]] = {
    "B": (1, 30, 2, -1),
    "D": IMAGE_STEPS,
    "H": IMAGE_STEPS,
    "W": (32, 64, *IMAGE_STEPS[2:]),
    "S": (16, 64, 128, 512, 1024, -16, -4),
    "T": (32, 16, 64, 128, 512, -16),
    "L": (16, 64, 128, -16),
    "F": (8, 1, 2, 4, 16, 32, 64, 128, -4, -8),
    "A": (1600, 8000, 16000, 24000, 65536),
}
"""How far from its hint a symbol is moved: the first step that the assumptions allow."""
_OTHER_STEPS = (13, 16, 64)


def floats(*sizes: int | str, dtype: torch.dtype = torch.float32) -> str:
    """The specification of a tensor of real numbers.

    >>> floats("B", 3, "H", "W")
    'f32[B,3,H,W]'
    """
    name = {torch.float32: "f32", torch.bfloat16: "bf16"}[dtype]
    return f"{name}[{','.join(map(str, sizes))}]"


def longs(*sizes: int | str) -> str:
    """The specification of a tensor of integers: token ids, labels, indices."""
    return f"i64[{','.join(map(str, sizes))}]"


def bools(*sizes: int | str) -> str:
    """The specification of a mask."""
    return f"bool[{','.join(map(str, sizes))}]"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one call, their sample sizes, and one bound for integer inputs (``below``: token ids and the like)."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    hints: Sizes = field(default_factory=dict)
    steps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    below: int = 2

    @property
    def asked(self) -> tuple[str, ...]:
        """The symbols of the inputs, in order of appearance."""
        specs = [parse_inputs(leaf) for leaf in pytree.tree_leaves((self.args, dict(self.kwargs))) if _is_spec(leaf)]
        return tuple(dict.fromkeys(name for spec in specs for size in spec.shape for name in sorted(free_symbols(size))))

    def steps_of(self, name: str) -> tuple[int, ...]:
        """The steps from the hint to try for one symbol."""
        return self.steps.get(name) or STEPS.get(name, _OTHER_STEPS)

    def with_free(self, names: tuple[str, ...]) -> Inputs:
        """The same inputs in which only these symbols remain; the others are numbers.

        >>> Inputs(("f32[B,3,H,8*W]",), hints={"B": 2, "H": 32, "W": 4}).with_free(("B",)).args
        ('f32[B,3,32,32]',)
        """
        fixed = {name: value for name, value in self.hints.items() if name not in names}

        def settle(leaf: Any) -> Any:
            if not _is_spec(leaf):
                return leaf
            dtype, _, sizes = leaf.partition("[")
            spec: InputSpec = parse_inputs(leaf)
            texts = sizes.rstrip("]").split(",")
            settled = [
                str(evaluate(size, fixed)) if free_symbols(size) <= fixed.keys() else text
                for size, text in zip(spec.shape, texts)
            ]
            return f"{dtype}[{','.join(settled)}]"

        args, kwargs = pytree.tree_map(settle, (self.args, dict(self.kwargs)))
        return Inputs(args, kwargs, {n: self.hints[n] for n in names if n in self.hints}, self.steps, self.below)


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of a zoo. ``file`` groups models that share code; ``inputs`` may look at the built model's configuration.
    One that ``reads_tables`` of its own looks at data of its buffers, which are not there on meta."""

    family: str
    name: str
    file: str
    build: Callable[[], torch.nn.Module]
    inputs: Callable[[torch.nn.Module], Inputs]
    dtype: torch.dtype = torch.float32
    reads_tables: bool = False

    @property
    def key(self) -> str:
        return f"{self.family}/{self.name}"


def _is_spec(leaf: Any) -> bool:
    return isinstance(leaf, str) and _SPEC.fullmatch(leaf) is not None


def tensors(given: Any, values: Sizes, device: str = "meta", below: int = 2) -> Any:
    """``given`` with a tensor for every specification in it: zeros on meta, random numbers elsewhere.

    >>> tensors({"x": "f32[B,2*H]", "flag": False}, {"B": 3, "H": 5})["x"].shape
    torch.Size([3, 10])
    """

    def make(leaf: Any) -> Any:
        if not _is_spec(leaf):
            return leaf
        spec: InputSpec = parse_inputs(leaf)
        shape = [evaluate(size, values) for size in spec.shape]
        assert spec.dtype is not None
        if device == "meta":
            return torch.empty(shape, dtype=spec.dtype, device=device)
        if spec.dtype is torch.bool:
            return torch.ones(shape, dtype=torch.bool)
        if spec.dtype.is_floating_point:
            return torch.randn(shape, dtype=spec.dtype)
        return torch.randint(below, shape, dtype=spec.dtype)

    return pytree.tree_map(make, given)
