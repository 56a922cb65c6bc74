"""Which module runs: every call of one, nested as they call each other, and the place in the user's code."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch

from fxcount.symbolic import Size
from fxcount.trace.nesting import DEEP, Room
from fxcount.trace.tape import Call, ModuleCall
from fxcount.trace.tracer.outputs import output_facts
from fxcount.trace.tracer.sources import find_source
from fxcount.trace.tracer.standin import StandIn
from fxcount.wording import shortened

__all__ = ["Modules"]


class Watch(Protocol):
    """Told of module calls."""

    def entered(self, module: torch.nn.Module, record: ModuleCall, args: tuple[Any, ...]) -> None:
        """One is called."""

    def left(self, record: ModuleCall, result: Any) -> Any:
        """It returns; what the caller is to get."""


class Modules:
    """The module calls of one trace. ``now`` is the index of the one that runs, -1 outside of all; ``times``: for how many
    steps of a loop what is called now stands."""

    def __init__(self, paths: Iterable[tuple[str, torch.nn.Module]], calls: list[Call]) -> None:
        self.found: list[ModuleCall] = []
        self.now = -1
        self.times: Size = 1
        self.watch: Watch | None = None
        self.room: Room | None = None  # on Python's stack, while the model runs
        self._calls = calls
        self._paths = {id(m): path for path, m in reversed(list(paths))}
        self._numbers: dict[int, int] = {}  # id of a module -> how often it was called
        self._stack: list[int] = []
        self._made: WeakKeyDictionary[torch.nn.Module, tuple[int, str]] = WeakKeyDictionary()  # by the forward itself
        self._made_so_far = 0

    def enter(self, module: torch.nn.Module, args: tuple[Any, ...]) -> ModuleCall:
        depth = len(self._stack)
        if depth > DEEP and self.room is not None:
            self.room.check(depth)
        key = id(module)
        path = self._paths.get(key)
        if path is None:
            key, path = self._of_forward(module)
        number = self._numbers.get(key, 0) + 1
        self._numbers[key] = number
        index = len(self.found)
        made = ModuleCall(
            index, key, path, type(module).__name__, number, self.now, depth, len(self._calls), type(module), self.times
        )
        made.inputs = tuple([s._value.fact for s in args if type(s) is StandIn])
        if args and not made.inputs:  # a list of tensors, as DenseNet's layers get it
            made.inputs = tuple(output_facts(args))
        self.found.append(made)
        self._stack.append(self.now)
        self.now = index
        if self.watch is not None:
            self.watch.entered(module, made, args)
        return made

    def _of_forward(self, module: torch.nn.Module) -> tuple[int, str]:
        """The number and the path of a module that the forward itself has made. Another may come to lie where it lay, so its
        identity tells it from no other; and it ends where the forward lets go of it, with the memory of its parameters."""
        found = self._made.get(module)
        if found is None:
            self._made_so_far += 1
            path = f"{self.found[self.now].path if self.now >= 0 else ''}<{type(module).__name__}>"
            found = self._made[module] = (-self._made_so_far, path)
        return found

    def leave(self, made: ModuleCall, result: Any) -> Any:
        """The module returns; what the caller gets."""
        made.stop = len(self._calls)
        made.returned = type(result)
        if type(result) is StandIn:
            made.outputs = (result._value.fact,)
        elif result is not None:
            made.outputs = tuple(output_facts(result))
        self.now = self._stack.pop()
        return result if self.watch is None else self.watch.left(made, result)

    def where(self) -> str:
        """``file:line (module path)`` of the user's code that runs now."""
        source = find_source(sys._getframe(1))
        module = self.found[self.now] if self.now >= 0 else None
        path = (module.path or module.class_name) if module is not None else ""
        place = str(source) if source is not None else "unknown place"
        return f"{place} ({shortened(path)})" if path else place
