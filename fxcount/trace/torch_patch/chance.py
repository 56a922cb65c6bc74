"""Random numbers drawn by Python code while a model is traced: from generators of the analysis' own.

The generators of ``random``, ``numpy.random`` and torch belong to the whole process. An analysis draws from private ones,
which begin in the state the process' own are in, so nothing is to be rewound, and other threads' draws are what they
would have been. A trace itself draws nothing: random ops are recorded, not run.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from threading import get_ident
from types import BuiltinMethodType, MethodType
from typing import Any

import torch

from fxcount.trace.torch_patch.active import ACTIVE, Undo
from fxcount.trace.torch_patch.redirect import ALWAYS, Replaced, Swapped

__all__ = ["Chance"]

_PYTHON: Any = getattr(random.random, "__self__", None)  # the generator behind random.random(), which has no public name
_NUMPY = "numpy.random"
_NOT_METHODS = {"seed": "seed", "sample": "random_sample", "ranf": "random_sample"}
"""Functions of ``numpy.random`` that only call a method of its generator."""


def _methods(namespace: dict[str, Any], generator: Any) -> list[str]:
    """Names of functions that draw from this generator, or set it."""
    kinds = (MethodType, BuiltinMethodType, type(namespace.get("rand")))  # numpy's are methods of a class of Cython's
    found = [n for n, f in namespace.items() if isinstance(f, kinds) and getattr(f, "__self__", None) is generator]
    return found if generator is _PYTHON else [*found, *_NOT_METHODS]


class Chance:
    """The private generators of the analyses, and the functions that lead to them in the tracing thread."""

    def __init__(self) -> None:
        self._python: random.Random | None = None
        self._numpys: Any = None  # the generator behind numpy.random.rand(), where that is loaded
        self._numpy: Any = None
        self._torch: torch.Generator | None = None
        self._tables: dict[str, Replaced] = {}
        self._functions: dict[int, tuple[str, Callable[[], Any], Any]] = {}
        self._meet(random, _PYTHON, self.python)

    def _meet(self, module: Any, generator: Any, ours: Callable[[], Any]) -> None:
        names = _methods(vars(module), generator)
        self._tables[module.__name__] = Replaced(vars(module), names, partial(_drawing_from, ours))
        self._functions |= {id(f): (n, ours, f) for n in names for f in [vars(module)[n]]}

    # -- who draws ----------------------------------------------------------------------------------------------------
    def install(self, undo: Undo) -> None:
        """Lead the tracing thread's draws to private generators until ``undo`` is run."""
        undo.add(self._forget)
        if not self._has_met_numpy():
            loading = _Loading(_NUMPY, lambda: self._install_late(undo))
            undo.add(loading.stop)
            sys.meta_path.insert(0, loading)
        for table in self._tables.values():
            table.install(undo)

    def _has_met_numpy(self) -> bool:
        """``numpy.random`` is a part of numpy that is loaded on use: nobody's draws, as long as it is not."""
        if _NUMPY not in self._tables and (module := sys.modules.get(_NUMPY)) is not None:
            self._numpys = getattr(module.get_state, "__self__", None)
            self._meet(module, self._numpys, self.numpy)
        return _NUMPY in self._tables

    def _install_late(self, undo: Undo) -> None:
        """The model's forward is what loads it."""
        if get_ident() == ACTIVE.ident and self._has_met_numpy():
            self._tables[_NUMPY].install(undo)

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
            made = type(self._numpys)()
            made.set_state(self._numpys.get_state())
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


class _Loading:
    """Calls ``then`` when a module has been loaded: a finder of Python's imports, which finds it as it is found without."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name = name
        self._then = then

    def stop(self) -> None:
        """Find no more."""
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Of that module what Python finds, with ``then`` after its code; others are found elsewhere."""
        spec = PathFinder.find_spec(name, path, target) if name == self._name else None
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:

            def run(module: Any) -> None:
                del loader.exec_module  # there is its class' again
                loader.exec_module(module)
                self._then()

            loader.exec_module = run
        return spec


def _drawing_from(generator: Callable[[], Any], name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    active, thread = ACTIVE, get_ident
    method = _NOT_METHODS.get(name, name)

    def draw(*args: Any, **kwargs: Any) -> Any:
        if thread() == active.ident:
            return getattr(generator(), method)(*args, **kwargs)
        return original(*args, **kwargs)

    return draw
