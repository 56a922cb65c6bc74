"""``get_model_complexity_info``: ptflops' rules, and the user's, on the calls of a trace."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, TextIO

import torch
from torch import nn

from fxcount.compat.analysis import analysed, as_given, below, located, sizes_in, tensors_of
from fxcount.compat.ptflops.kernels import kernel_counts
from fxcount.compat.ptflops.utils import flops_to_string, params_to_string
from fxcount.errors import InputError
from fxcount.report import Report
from fxcount.symbolic import Size, floordiv, sum_
from fxcount.trace.inputs.specs import InputSpec
from fxcount.trace.tape import ModuleCall

__all__ = ["FLOPS_BACKEND", "get_model_complexity_info"]


class FLOPS_BACKEND(Enum):
    """ptflops' back ends: hooks on modules with patched functions, and the kernels that reach the dispatcher."""

    PYTORCH = "pytorch"
    ATEN = "aten"


def get_model_complexity_info(
    model: nn.Module,
    input_res: tuple[Any, ...],
    print_per_layer_stat: bool = True,
    as_strings: bool = True,
    input_constructor: Callable[[tuple[Any, ...]], Any] | None = None,
    ost: TextIO | None = None,
    verbose: bool = False,
    ignore_modules: Sequence[Any] = (),
    custom_modules_hooks: Mapping[Any, Callable[..., Any]] | None = None,
    backend: Any = FLOPS_BACKEND.PYTORCH,
    flops_units: str | None = None,
    param_units: str | None = None,
    output_precision: int = 2,
    backend_specific_config: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """MACs of one sample by ptflops' rules, and all parameters; a drop-in for ``ptflops.get_model_complexity_info``.

    ``input_res`` is the shape of one sample; a batch of 1 goes in front. ``input_constructor`` makes of it the only argument of
    the model, by whose batch the work of modules is divided, or a dict of keyword arguments. ``backend`` is "pytorch" or
    "aten". ``print_per_layer_stat`` prints fxcount's own table to ``ost``. ``verbose`` is accepted.

    With "pytorch", ``ignore_modules`` are classes that count 0, ``custom_modules_hooks`` maps classes to hooks
    ``f(module, inputs, output)`` that add to ``module.__flops__`` and get tensors on ``meta``, and
    ``backend_specific_config={"count_functional": False}`` leaves out patched functions. With "aten" both name kernels
    (``torch.ops.aten.mm``), and a hook ``f(inputs, outputs)`` returns the count; inputs must then have no symbols.

    >>> get_model_complexity_info(nn.Conv2d(3, 8, 3), (3, 9, 7), print_per_layer_stat=False, as_strings=False)
    (7840, 224)
    """
    hooks = dict(custom_modules_hooks or {})
    if getattr(backend, "value", backend) not in ("pytorch", "aten"):
        raise ValueError("Wrong backend name")
    kernels = FLOPS_BACKEND(backend) is FLOPS_BACKEND.ATEN
    args, kwargs, batch = _inputs(input_res, input_constructor)
    report = analysed(model, args, kwargs)
    if print_per_layer_stat:
        print(report, file=ost if ost is not None else sys.stdout)
    if kernels:
        macs = kernel_counts(report, frozenset(ignore_modules), hooks)
    else:
        functions = (backend_specific_config or {}).get("count_functional", True)
        macs = _of_modules(report, model, frozenset(ignore_modules), hooks, batch, functions)
    params = report.params.total
    if not as_strings or not isinstance(macs, int):
        return macs, params
    return flops_to_string(macs, flops_units, output_precision), params_to_string(params, param_units, output_precision)


def _inputs(
    input_res: tuple[Any, ...], constructor: Callable[[tuple[Any, ...]], Any] | None
) -> tuple[tuple[Any, ...], dict[str, Any], Size]:
    """Positional and keyword arguments, and the batch of the first positional tensor."""
    if constructor is None:
        return (InputSpec((1, *sizes_in(input_res))),), {}, 1
    given = constructor(input_res)
    if isinstance(given, dict):
        return (), as_given(given), 1
    spec = as_given(given)
    return (spec,), {}, spec.shape[0] if isinstance(spec, InputSpec) and spec.shape else 1


def _of_modules(
    report: Report, model: nn.Module, ignored: frozenset[Any], hooks: Mapping[Any, Callable[..., Any]], batch: Size,
    functions: bool,
) -> Any:  # fmt: skip
    """Modules by their hooks, for one sample, and patched functions, for the whole batch, as ptflops adds them."""
    modules = {id(m): m for m in model.modules()}
    calls = report.trace.modules
    own = {m.index for m in calls if m.module_id in modules and m.kind in hooks and m.kind not in ignored}
    left_out = {m.index for m in calls if m.kind in ignored}
    items = [(m, whole, n) for m, _, whole, n in located(report, "ptflops")]
    closed = own | {m.index for m, whole, _ in items if whole and m.index in left_out}
    covered = below(report, closed)  # nothing inside counts: neither modules inside, nor the module's usual rule
    counts: list[Size] = [n for m, whole, n in items if whole and m.index not in covered | left_out]
    asked = [calls[i] for i in sorted(own) if calls[i].parent not in covered]
    counts += [_asked(modules[m.module_id], m, hooks[m.kind]) for m in asked]
    patched = [n for _, whole, n in items if not whole] if functions else []
    total = sum_(counts)
    return (total if batch == 1 else floordiv(total, batch)) + sum_(patched)


def _asked(module: nn.Module, call: ModuleCall, hook: Callable[..., Any]) -> int:
    """What the user's hook adds to ``module.__flops__``."""
    inputs, outputs = tensors_of(call)
    with _counter(module):
        hook(module, inputs, outputs[0] if len(outputs) == 1 else outputs)
        total: Any = module.__dict__["__flops__"]
        return int(total.item() if isinstance(total, torch.Tensor) else total)


@contextmanager
def _counter(module: nn.Module) -> Iterator[None]:
    if hasattr(module, "__flops__"):
        raise InputError(
            f"{type(module).__name__} has an attribute __flops__ of its own",
            hint="remove it: hooks for ptflops add to the attribute of this name",
        )
    try:
        module.__dict__["__flops__"] = 0
        yield
    finally:
        del module.__dict__["__flops__"]
