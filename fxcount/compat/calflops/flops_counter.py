"""``calculate_flops`` of calflops: its numbers for a model and what it is called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from fxcount.compat.analysis import analysed, as_given, sizes_in
from fxcount.compat.calflops.utils import flops_to_string, generate_transformer_input, macs_to_string, params_to_string
from fxcount.errors import InputError
from fxcount.report import Report
from fxcount.trace.inputs.specs import InputSpec

__all__ = ["calculate_flops", "counted"]


def calculate_flops(
    model: nn.Module,
    input_shape: tuple[Any, ...] | None = None,
    transformer_tokenizer: Any = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    forward_mode: str = "forward",
    include_backPropagation: bool = False,
    compute_bp_factor: float = 2.0,
    print_results: bool = True,
    print_detailed: bool = True,
    output_as_string: bool = True,
    output_precision: int = 2,
    output_unit: str | None = None,
    ignore_modules: Any = None,
) -> tuple[Any, Any, Any]:
    """Flops, MACs and parameters as calflops counts them; a drop-in for ``calflops.calculate_flops``.

    ``input_shape`` is the shape of the only input, batch included; with ``transformer_tokenizer`` it is a batch and a length
    (1 and 128 if it is left out), for which the tokenizer makes the arguments. Else ``args`` and ``kwargs`` are the model's
    arguments. ``print_results`` prints fxcount's own table. Raises :class:`~fxcount.errors.InputError` for
    ``forward_mode="generate"`` and for ``ignore_modules``.

    >>> calculate_flops(nn.Linear(3, 5), (7, 3), print_results=False, output_as_string=False)
    (210, 105, 20)
    """
    report, *counts = counted(
        model, input_shape, transformer_tokenizer, args, kwargs, forward_mode, include_backPropagation, compute_bp_factor,
        output_as_string, output_precision, output_unit, ignore_modules,
    )  # fmt: skip
    if print_results:
        print(report.table(None if print_detailed else 0))
    flops, macs, params = counts
    return flops, macs, params


def counted(
    model: nn.Module, input_shape: tuple[Any, ...] | None, transformer_tokenizer: Any, args: Sequence[Any],
    kwargs: Mapping[str, Any] | None, forward_mode: str, include_backPropagation: bool, compute_bp_factor: float,
    output_as_string: bool, output_precision: int, output_unit: str | None, ignore_modules: Any,
) -> tuple[Report, Any, Any, Any]:  # fmt: skip
    """The report of the call that :func:`calculate_flops` is asked about, and what it returns."""
    if forward_mode != "forward" or ignore_modules:
        generates = "fxcount.generation(model, ...) counts the steps of a generation"
        raise InputError(
            "calculate_flops(forward_mode=, ignore_modules=) are not supported",
            hint=generates if forward_mode == "generate" else "leave it out",
        )
    if transformer_tokenizer is None and (input_shape is None) == (not args and not kwargs):
        raise InputError("calculate_flops() wants either input_shape, or args and kwargs")
    if transformer_tokenizer is not None and (args or kwargs):
        raise InputError("calculate_flops() wants either transformer_tokenizer, or args and kwargs")
    if transformer_tokenizer is not None:
        args, kwargs = (), generate_transformer_input(transformer_tokenizer, input_shape)
    elif input_shape is not None:
        args = (InputSpec(sizes_in(input_shape)),)
    report = analysed(model, tuple(as_given(a) for a in args), as_given(dict(kwargs or {})))
    factor = 1 + compute_bp_factor if include_backPropagation else 1
    return report, *_counts(report, factor, output_as_string, output_unit, output_precision)


def _counts(report: Report, factor: float, as_text: bool, unit: str | None, precision: int) -> tuple[Any, Any, Any]:
    """Flops, MACs and parameters of a report, as numbers or as calflops writes them."""
    flops, macs, params = report.count("calflops") * factor, report.count("calflops-macs") * factor, report.params.total
    if not as_text or report.symbols:
        return flops, macs, params
    shown = unit, precision
    return flops_to_string(flops, *shown), macs_to_string(macs, *shown), params_to_string(params, *shown)
