"""How a report came about, so that the same question can be asked again: at other sizes, or to check the answer.

The model is held weakly: a report keeps no model alive, copies none and moves none. What the model *is* (parameters by shape
and dtype, modes, plain attributes) is written down when it is analysed, and compared before it is analysed again.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import field
from types import MethodType
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import AssumptionError
from fxcount.ops.core import remembered
from fxcount.trace.inputs.census import Census, Fingerprint, Mark, each_module, every_module, fingerprint, noted_names
from fxcount.trace.torch_patch.active import exclusively

__all__ = ["Recipe", "Surroundings", "empty_memos", "fingerprint"]

_DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The state of torch that decides what a model does: grad mode, autocast by device, default dtype and device."""

    grad: bool
    inference: bool
    autocast: tuple[tuple[str, bool, torch.dtype], ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def now(cls) -> Surroundings:
        """Those of this thread."""
        autocast = tuple([(d, torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in _DEVICES])
        return cls(
            torch.is_grad_enabled(), torch.is_inference_mode_enabled(), autocast, torch.get_default_dtype(),
            torch.get_default_device(),
        )  # fmt: skip

    @contextmanager
    def restored(self) -> Iterator[None]:
        """A block in which they are as they were then."""
        dtype = torch.get_default_dtype()
        with ExitStack() as stack:
            if self.inference != torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(self.inference))
            stack.enter_context(torch.set_grad_enabled(self.grad))
            for device, enabled, wanted in self.autocast:
                if (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) != (enabled, wanted):
                    stack.enter_context(torch.autocast(device, dtype=wanted, enabled=enabled))
            if self.device != torch.get_default_device():
                stack.enter_context(self.device)
            try:
                torch.set_default_dtype(self.dtype)
                yield
            finally:
                torch.set_default_dtype(dtype)


@dataclass(frozen=True, eq=False)
class Recipe:
    """One call of :func:`fxcount.analyze`.

    ``inputs`` and ``kwargs`` are parsed specifications; ``analyse(model, inputs, kwargs, hints)`` is the front door, given by
    itself. ``model`` gives the model or ``None`` if it is gone; it is a path for a file. ``step``: what a training step does,
    unless that is a function of the user's.
    """

    model: Callable[[], Any]
    model_name: str
    inputs: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    hints: Mapping[str, int]
    analyse: Callable[..., Any] = field(repr=False)
    surroundings: Surroundings
    written_down: Fingerprint = field(repr=False)
    step: Any = field(default=None, repr=False)

    @classmethod
    def of(
        cls, model: Any, inputs: tuple[Any, ...], kwargs: Mapping[str, Any], hints: Mapping[str, int] | None,
        analyse: Callable[..., Any], step: Any = None, written_down: Fingerprint | None = None,
    ) -> Recipe:  # fmt: skip
        """The recipe of an analysis that was just made; ``written_down`` is what it has noted of the modules that ran."""
        try:
            held: Callable[[], Any] = weakref.WeakMethod(model) if isinstance(model, MethodType) else weakref.ref(model)
        except TypeError:  # a path
            held = _Kept(model)
        found = written_down or Fingerprint()
        if isinstance(model, torch.nn.Module) and set(map(id, each_module(model))) != set(found.modules):
            found = fingerprint(model)  # it ran in another form: unwrapped, or script modules as Python code
        return cls(held, type(model).__name__, inputs, kwargs, dict(hints or {}), analyse, Surroundings.now(), found, step)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_another_process, (self.model_name,)

    def __deepcopy__(self, memo: Any) -> Recipe:
        return self

    def present(self) -> Any:
        """The model, if it is there and what it was.

        Raises :class:`~fxcount.errors.AssumptionError` if it is gone or has changed since.
        """
        model = self.model()
        if model is None:
            raise AssumptionError(
                f"the {self.model_name} this report is about is gone: a report keeps no model alive",
                hint="keep the model in a variable, and analyse it again",
            )
        changed = self.changes(model)
        if changed:
            raise AssumptionError(
                f"the {self.model_name} has changed since it was analysed: {'; '.join(changed[:3])}"
                + (f"; and {len(changed) - 3} more" if len(changed) > 3 else ""),
                hint="analyse it again",
            )
        return model

    def changes(self, model: Any) -> list[str]:
        """What differs in the model from when it was analysed, in words."""
        if not isinstance(model, torch.nn.Module) or fingerprint(model) == self.written_down:
            return []
        before = self.written_down.marks()
        told: set[int] = set()
        found = []
        for path, module in every_module(model):
            was = before.get(id(module))
            if was is not None and id(module) not in told:
                told.add(id(module))
                found += [f"{path}.{text}".lstrip(".") for text in _differences(was, module)]
            elif was is None:
                found.append(f"{path or 'the model'} is another {type(module).__name__}")
        return found or ["its modules are others"]

    def again(self, hints: Mapping[str, int] | None = None, change: Callable[[Any], Any] = lambda spec: spec) -> Any:
        """A new report of the same call, at other ``hints`` or with input specifications changed by ``change``.

        Analyses of other threads wait: the settings of torch that are the same for all threads are as they were then.
        """
        inputs = tuple([change(x) for x in self.inputs])
        kwargs = {name: change(x) for name, x in self.kwargs.items()}
        with exclusively(), self.surroundings.restored():
            model = self.present()
            return self.analyse(model, inputs, kwargs, self.hints if hints is None else hints)


@dataclass(frozen=True)
class _Kept:
    value: Any

    def __call__(self) -> Any:
        return self.value


def _gone() -> None:
    return None


def _nothing(*_: Any) -> Any:
    raise AssertionError("there is no model to be analysed")


def _of_another_process(model_name: str) -> Recipe:
    """What is left of a recipe in a copy of its report: the model is elsewhere."""
    return Recipe(_gone, model_name, (), {}, {}, _nothing, Surroundings.now(), Fingerprint())


def _differences(was: Mark, module: torch.nn.Module) -> list[str]:
    """What is another, by name."""
    (now,) = Census([module]).fingerprint().marks().values()
    names, named = noted_names(module)
    found = []
    if len(was.plain) == len(now.plain):
        found += [f"{name} was {a!r}, is {b!r}" for name, a, b in zip(names, was.plain, now.plain) if a != b]
    else:
        found.append(f"{type(module).__name__} has {len(now.plain)} plain attributes, and had {len(was.plain)}")
    if len(was.tensors) != len(now.tensors):
        return [*found, f"{type(module).__name__} has {len(now.tensors)} parameters and buffers, and had {len(was.tensors)}"]
    for name, before, after in zip(named, was.tensors, now.tensors):
        if before[1:] != after[1:]:
            found.append(f"{name} was {_described(before)}, is {_described(after)}")
        elif before != after:
            found.append(f"{name} is another tensor")
    return found


def _described(mark: tuple[Any, ...]) -> str:
    return f"{tuple(mark[1])} {mark[2]}" + ("" if mark[3] else " without gradient")


_OF_SIZES = (
    "fxcount.symbolic.", "fxcount.ops.core.fact", "fxcount.ops.core.striding", "fxcount.ops.memory.indexing", "fxcount.report.",
)  # fmt: skip
"""Modules whose memos are about sizes; others remember what torch and Python are like, which stays as it is."""


def empty_memos() -> None:
    """Forget every size fxcount has ever computed, and all that rules have said: what follows is computed afresh."""
    remembered.forget()
    for name, module in list(sys.modules.items()):
        if name.startswith(_OF_SIZES) and name != "fxcount.symbolic.messages":  # which remembers source code
            for value in list(vars(module).values()):
                clear = None if isinstance(value, type) else getattr(value, "cache_clear", None)
                if callable(clear):
                    clear()
