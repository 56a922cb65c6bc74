"""Models whose state is not what it is when they run: lazy modules, and parameters cut up over several devices.

A lazy module learns the sizes of its parameters from its first input. For a trace it is run once on stand-ins, with
parameters of the trace's own in the place of the uninitialised ones, and is as before afterwards, uninitialised. FSDP and
tensor parallelism gather and cut up tensors before and after a module runs, which a trace leaves out: it sees them whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from fxcount import torch_private

__all__ = ["materialising", "with_own_lazy_state", "without_gathering"]

_UNINITIALISED = (UninitializedParameter, UninitializedBuffer)


def _slots(module: torch.nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    return module._parameters, module._buffers


def with_own_lazy_state(modules: Sequence[torch.nn.Module]) -> None:
    """Put other uninitialised tensors in the place of the user's, which then stay as they are."""
    made: dict[int, Any] = {}
    for module in modules:
        for slot in _slots(module):
            for name, tensor in slot.items():
                if isinstance(tensor, _UNINITIALISED):
                    if id(tensor) not in made:
                        kind: Any = type(tensor)
                        made[id(tensor)] = kind(tensor.requires_grad, tensor.device, tensor.dtype)
                    slot[name] = made[id(tensor)]


def materialising(original: Callable[..., None]) -> Callable[..., None]:
    """What stands in for ``materialize`` of an uninitialised tensor: sizes at the hint, which the trace then compares with."""

    def materialize(self: Any, shape: Sequence[Any], device: Any = None, dtype: Any = None) -> None:
        with torch_private.DisableTorchFunction():
            original(self, tuple(map(int, shape)), device, dtype)

    return materialize


_DISTRIBUTES = tuple(f"torch.distributed.{home}." for home in ("fsdp", "_composable", "tensor", "_tensor"))


def without_gathering(modules: Sequence[torch.nn.Module]) -> None:
    """Take away the hooks of FSDP and tensor parallelism, which the session puts back: what remains is the model of one device,
    whose parameters are distributed tensors of their whole shape."""
    for module in modules:
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            if not hooks:
                continue
            for key in [k for k, hook in hooks.items() if _home(hook).startswith(_DISTRIBUTES)]:
                del hooks[key]


def _home(hook: Any) -> str:
    """The module that defines a hook: of the object it is a method of, if it is one."""
    owner = getattr(hook, "__self__", None)
    return str(getattr(type(owner) if owner is not None else hook, "__module__", "") or "")
