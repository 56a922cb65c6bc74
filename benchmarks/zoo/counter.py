"""The reference: flops of contractions as torch's own ``FlopCounterMode`` counts them, on the same call."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.zoo.entry import Inputs, Sizes, tensors
from tests import oracles

__all__ = ["Count", "as_traced", "count", "count_on_cpu", "runs"]


_NO_CHECKS = "TRANSFORMERS_DISABLE_TORCH_CHECK"


@dataclass(frozen=True, slots=True)
class Count:
    """Flops (two for each multiply-accumulate), and on which tensors: ``meta``, ``fake``, ``real``; or why there are none.
    ``decided``: the sizes that data decided on the way, by what was counted, in order."""

    flops: int | None
    how: str
    error: str = ""
    decided: tuple[tuple[str, int], ...] = ()


@contextlib.contextmanager
def as_traced() -> Iterator[None]:
    """As the tests' own reference runs, and without checks of values."""
    checks = os.environ.get(_NO_CHECKS)
    try:
        os.environ[_NO_CHECKS] = "1"
        with oracles.as_traced():
            yield
    finally:
        os.environ.pop(_NO_CHECKS)
        if checks is not None:
            os.environ[_NO_CHECKS] = checks


def count(model: nn.Module, inputs: Inputs, values: Sizes) -> Count:
    """Count one call of a model on meta at these sizes.

    Where meta tensors do not do (a model that compares devices or reads a table of sizes), fake tensors on the CPU take
    their place, with attention as plain matrix products. Gradients are off at the parameters rather than by
    ``no_grad``, under which the counter's own module hooks fail on some models.
    """
    model.requires_grad_(False)
    errors = []
    ways: tuple[tuple[str, Callable[[nn.Module, Inputs, Sizes], int]], ...] = (("meta", _on_meta), ("fake", _on_fake))
    for how, way in ways:
        try:
            return Count(way(model, inputs, values), how)
        except Exception as error:
            errors.append(f"{how}: {type(error).__name__}: {_first_line(error)}")
    return Count(None, "", " | ".join(errors))


def count_on_cpu(model: nn.Module, inputs: Inputs, values: Sizes) -> Count:
    """Count one call of a model on the CPU: for models whose sizes depend on data."""
    torch.manual_seed(11)
    args, kwargs = tensors((inputs.args, dict(inputs.kwargs)), values, "cpu", inputs.below)
    decided = _Decided()
    try:
        with as_traced(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, decided:
            model(*args, **kwargs)
    except Exception as error:
        return Count(None, "", f"real: {type(error).__name__}: {_first_line(error)}")
    return Count(int(counter.get_total_flops()), "real", decided=tuple(decided.found))


class _Decided(TorchDispatchMode):
    """Notes the sizes that data decide; of one mask once."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int]] = []
        self._masks: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("nonzero", "masked_select"):
            self._note_mask(args[-1], result.shape[0])
        elif name in ("index", "index_put", "index_put_"):
            for mask in args[1]:
                if mask is not None and mask.dtype is torch.bool:
                    self._note_mask(mask, int(mask.sum()))
        elif name in ("_unique2", "unique_dim", "unique_consecutive"):
            self.found.append(("unique", result[0].shape[0]))
        elif name == "repeat_interleave":  # the rows that a tensor of repeats gives
            self.found.append(("repeated", result.shape[0]))
        elif name == "_local_scalar_dense" and type(result) is int:
            self.found.append(("item", result))
        return result

    def _note_mask(self, mask: torch.Tensor, kept: int) -> None:
        if not any(mask is m for m in self._masks):
            self._masks.append(mask)  # held, so that no other tensor takes its place
            self.found.append(("nonzero", kept))


def runs(model: nn.Module, inputs: Inputs, values: Sizes, device: str = "meta") -> str:
    """An empty text if the model runs on tensors of these sizes, else what it says."""
    args, kwargs = tensors((inputs.args, dict(inputs.kwargs)), values, device, inputs.below)
    try:
        with torch.no_grad(), as_traced():
            model(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {_first_line(error)}"
    return ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def _on_meta(model: nn.Module, inputs: Inputs, values: Sizes) -> int:
    args, kwargs = tensors((inputs.args, dict(inputs.kwargs)), values)
    with as_traced(), FlopCounterMode(display=False) as counter:
        model(*args, **kwargs)
    return int(counter.get_total_flops())


def _on_fake(model: nn.Module, inputs: Inputs, values: Sizes) -> int:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.func import functional_call

    with FakeTensorMode(allow_non_fake_inputs=True):
        state = {
            name: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="cpu")
            for name, t in (*model.named_parameters(), *model.named_buffers())
        }
        given = tensors((inputs.args, dict(inputs.kwargs)), values)
        args, kwargs = pytree.tree_map(lambda t: _on_cpu(t) if isinstance(t, torch.Tensor) else t, given)
        try:
            with as_traced(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                functional_call(model, state, args, kwargs)
        finally:
            _clear_caches(model)
    return int(counter.get_total_flops())


def _clear_caches(model: nn.Module) -> None:
    """Functions of the model's packages that remember what they gave: fake tensors, which a later run would take for real."""
    packages = {type(module).__module__.partition(".")[0] for module in model.modules()} - {"torch"}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages:
            held = list(vars(module).values())
            for owner in [found for found in held if isinstance(found, type) and found.__module__ == name]:
                held += [getattr(found, "__func__", found) for found in vars(owner).values()]  # methods of classes and of none
            for found in held:
                if isinstance(found, functools._lru_cache_wrapper):
                    found.cache_clear()


def _on_cpu(t: torch.Tensor) -> torch.Tensor:
    if t.device.type == "meta":
        return torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="cpu")
    return torch.tensor(t.tolist(), dtype=t.dtype)  # made under the mode, which then knows its values
