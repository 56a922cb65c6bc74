"""``calculate_flops`` of calflops, with its numbers (``report.count("calflops")`` and ``"calflops-macs"``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from fxcount.compat.analysis import analysed, as_given, sizes_in
from fxcount.errors import InputError
from fxcount.trace.inputs.specs import InputSpec

__all__ = ["calculate_flops"]


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

    ``input_shape`` is the shape of the only input, batch included; else ``args`` and ``kwargs`` are the model's arguments.
    ``print_results`` prints fxcount's own table. Raises :class:`~fxcount.errors.InputError` for a tokenizer, for
    ``forward_mode="generate"`` and for ``ignore_modules``.

    >>> calculate_flops(nn.Linear(3, 5), (7, 3), print_results=False, output_as_string=False)
    (210, 105, 20)
    """
    if transformer_tokenizer is not None or forward_mode != "forward" or ignore_modules:
        raise InputError(
            "calculate_flops(transformer_tokenizer=, forward_mode=, ignore_modules=) are not supported",
            hint="give the tensors a tokenizer would make as kwargs",
        )
    if (input_shape is None) == (not args and not kwargs):
        raise InputError("calculate_flops() wants either input_shape, or args and kwargs")
    if input_shape is not None:
        args = (InputSpec(sizes_in(input_shape)),)
    report = analysed(model, tuple(as_given(a) for a in args), as_given(dict(kwargs or {})))
    if print_results:
        print(report.table(None if print_detailed else 0))
    factor = 1 + compute_bp_factor if include_backPropagation else 1
    flops, macs = report.count("calflops") * factor, report.count("calflops-macs") * factor
    params = report.params.total
    if not output_as_string or report.symbols:
        return flops, macs, params
    return (
        _text(flops, output_unit, output_precision, "FLOPS"), _text(macs, output_unit, output_precision, "MACs"),
        _text(params, output_unit, output_precision, ""),
    )  # fmt: skip


def _text(n: float, unit: str | None, precision: int, kind: str) -> str:
    """A number with six significant digits in T, G, M, K (parameters: B for billions), by size or as asked for.

    >>> _text(4089184256, None, 2, "MACs"), _text(25557032, None, 4, "")
    ('4.09 GMACs', '25.557 M')
    """
    scales = {"T": 1e12, "G" if kind else "B": 1e9, "M": 1e6, "K": 1e3}
    if unit is None:
        unit = next((u for u, scale in scales.items() if n >= scale), "")
    return f"{round(n / scales.get(unit, 1), precision):g} {unit}{kind}".strip()
