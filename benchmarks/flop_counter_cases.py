"""torch's counter with fxcount's numbers in the place of its formulas, and torch's own sample calls counted by both.

As a pytest plugin (``-p benchmarks.flop_counter_cases``) it runs torch's test/test_flop_counter.py on fxcount: whatever reaches
an op with a formula is traced as a model of that op alone, and counts as ``report.count("torch")`` says.
"""

from __future__ import annotations

import functools
import itertools
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as modules
from torch.utils import flop_counter
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.ops.core.tree import leaves, mapped

__all__ = ["Counter", "counted", "differences"]


class OneCall(nn.Module):
    """A model of one call: tensors among its arguments are the model's inputs."""

    def __init__(self, func: Any, args: Any, kwargs: Any) -> None:
        super().__init__()
        self.func, self.given = func, (args, kwargs)

    def forward(self, *tensors: torch.Tensor) -> Any:
        """The call."""
        left = iter(tensors)
        args, kwargs = mapped(lambda a: next(left) if isinstance(a, torch.Tensor) else a, self.given)
        return self.func(*args, **kwargs)


def counted(func: Any, args: Any, kwargs: Any) -> int:
    """``count("torch")`` of one call."""
    tensors = [a for a in leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
    return int(fxcount.analyze(OneCall(func, args, kwargs), *tensors).count("torch"))


class Counter(FlopCounterMode):
    """torch's counter, each op counted by fxcount; formulas given to it count as they are."""

    def __init__(self, *args: Any, custom_mapping: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, custom_mapping=custom_mapping, **kwargs)
        own = dict.fromkeys(custom_mapping or ())
        for packet in self.flop_registry.keys() - own.keys():
            self.flop_registry[packet] = functools.partial(_formula, packet)


def _formula(packet: Any, *args: Any, out_val: Any = None, **kwargs: Any) -> int:
    with _without_global_hooks():
        return counted(packet, args, kwargs)


@contextmanager
def _without_global_hooks() -> Iterator[None]:
    """The counter follows modules by hooks on all of them; the model of one call is none of those it follows."""
    names = ("_global_forward_hooks", "_global_forward_pre_hooks")
    hooks = {name: getattr(modules, name) for name in names}
    try:
        for name in names:
            setattr(modules, name, OrderedDict())
        yield
    finally:
        for name, kept in hooks.items():
            setattr(modules, name, kept)


def differences(most: int = 12) -> Iterator[tuple[str, int, Any]]:
    """torch's own sample calls of every operator, at most so many of each, that reach a formula: the operator, torch's
    number and fxcount's."""
    from torch.testing._internal.common_methods_invocations import op_db

    for info in op_db:
        for dtype in (torch.float32, torch.complex64):
            if dtype not in info.dtypes:
                continue
            for sample in _samples(info, dtype, most):
                args = (sample.input, *sample.args)
                theirs = _of_torch(info.op, args, sample.kwargs)
                if theirs:
                    yield info.name, theirs, _attempted(info.op, args, sample.kwargs)


def _samples(info: Any, dtype: torch.dtype, most: int) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(itertools.islice(info.sample_inputs("cpu", dtype), most))


def _of_torch(func: Any, args: Any, kwargs: Any) -> int:
    """torch's number of a call; 0 of one that does not run on a CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with FlopCounterMode(display=False) as mode:
                func(*args, **kwargs)
        except (AssertionError, RuntimeError):
            return 0
    return int(mode.get_total_flops())


def _attempted(func: Any, args: Any, kwargs: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return counted(func, args, kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if "PEER_ALIASES" in os.environ and os.environ["PEER_ALIASES"] != "{}":
    flop_counter.FlopCounterMode = Counter  # type: ignore[misc]
