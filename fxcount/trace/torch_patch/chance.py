"""Random numbers drawn by Python code while a model is traced: from generators of the analysis' own.

The generators of ``random``, ``numpy.random`` and torch belong to the whole process. An analysis draws from private ones,
which begin in the state the process' own are in, so nothing is to be rewound, and other threads' draws are what they
would have been. A trace itself draws nothing: random ops are recorded, not run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from threading import get_ident
from types import BuiltinMethodType, MethodType
from typing import Any

import numpy as np
import torch

from fxcount.trace.torch_patch.active import ACTIVE, Undo
from fxcount.trace.torch_patch.redirect import ALWAYS, Replaced, Swapped

__all__ = ["Chance"]

_PYTHON: Any = getattr(random.random, "__self__", None)  # the generator behind random.random(), which has no public name
_NUMPY: Any = getattr(np.random.get_state, "__self__", None)


_NOT_METHODS = {"seed": "seed", "sample": "random_sample", "ranf": "random_sample"}
"""Functions of ``numpy.random`` that only call a method of its generator."""


def _methods(namespace: dict[str, Any], generator: Any) -> list[str]:
    """Names of functions that draw from this generator, or set it."""
    kinds = (MethodType, BuiltinMethodType, type(np.random.rand))
    found = [n for n, f in namespace.items() if isinstance(f, kinds) and getattr(f, "__self__", None) is generator]
    return found if generator is _PYTHON else [*found, *_NOT_METHODS]


class Chance:
    """The private generators of the analyses, and the functions that lead to them in the tracing thread."""

    def __init__(self) -> None:
        self._python: random.Random | None = None
        self._numpy: Any = None
        self._torch: torch.Generator | None = None
        self._tables = (
            Replaced(vars(random), _methods(vars(random), _PYTHON), partial(_drawing_from, self.python)),
            Replaced(vars(np.random), _methods(vars(np.random), _NUMPY), partial(_drawing_from, self.numpy)),
        )
        self._functions = {id(f): (n, self.python, f) for n, f in _functions(random, _PYTHON)}
        self._functions |= {id(f): (n, self.numpy, f) for n, f in _functions(np.random, _NUMPY)}

    # -- who draws ----------------------------------------------------------------------------------------------------
    def install(self, undo: Undo) -> None:
        """Lead the tracing thread's draws to private generators until ``undo`` is run."""
        undo.add(self._forget)
        for table in self._tables:
            table.install(undo)

    def _forget(self) -> None:
        self._python = self._numpy = self._torch = None

    def python(self) -> random.Random:
        """What stands for the generator behind ``random``'s functions."""
        if self._python is None:
            made = random.Random()
            made.setstate(_PYTHON.getstate())
            self._python = made
        return self._python

    def numpy(self) -> Any:
        """What stands for the generator behind ``numpy.random``'s functions."""
        if self._numpy is None:
            made = np.random.RandomState()
            made.set_state(_NUMPY.get_state())
            self._numpy = made
        return self._numpy

    def of_torch(self) -> torch.Generator:
        """What stands for ``torch.default_generator``."""
        if self._torch is None:
            made = torch.Generator()
            made.set_state(torch.default_generator.get_state())
            self._torch = made
        return self._torch

    def torch_functions(self) -> Iterator[Swapped]:
        """Torch's functions of its generators. Those of other devices are left as they are: a trace runs on none."""
        yield Swapped(torch.random.manual_seed, lambda _: self._manual_seed, within=ALWAYS)
        yield Swapped(torch.random.seed, lambda _: lambda: self.of_torch().seed(), within=ALWAYS)
        yield Swapped(torch.random.initial_seed, lambda _: lambda: self.of_torch().initial_seed(), within=ALWAYS)
        yield Swapped(torch.random.get_rng_state, lambda _: lambda: self.of_torch().get_state(), within=ALWAYS)
        yield Swapped(torch.random.set_rng_state, lambda _: self._set_rng_state, within=ALWAYS)
        for name in ("manual_seed", "manual_seed_all", "seed", "seed_all", "set_rng_state", "set_rng_state_all"):
            yield Swapped(getattr(torch.cuda.random, name), lambda _: lambda *_, **__: None, within=ALWAYS)

    def _manual_seed(self, seed: Any) -> torch.Generator:
        return self.of_torch().manual_seed(int(seed))

    def _set_rng_state(self, new_state: torch.Tensor) -> None:
        self.of_torch().set_state(new_state)

    # -- functions imported by name ---------------------------------------------------------------------------------
    def named_in(self, namespace: dict[str, Any]) -> dict[str, Any]:
        """What stands for ``from random import random`` in a module's globals, by the names there."""
        known = self._functions
        return {name: _drawing_from(known[id(f)][1], *known[id(f)][::2]) for name, f in namespace.items() if id(f) in known}


def _functions(module: Any, generator: Any) -> Iterator[tuple[str, Any]]:
    for name in _methods(vars(module), generator):
        yield name, vars(module)[name]


def _drawing_from(generator: Callable[[], Any], name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    active, thread = ACTIVE, get_ident
    method = _NOT_METHODS.get(name, name)

    def draw(*args: Any, **kwargs: Any) -> Any:
        if thread() == active.ident:
            return getattr(generator(), method)(*args, **kwargs)
        return original(*args, **kwargs)

    return draw
