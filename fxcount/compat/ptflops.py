"""``get_model_complexity_info`` of ptflops, with the numbers of both its back ends (``report.count("ptflops")``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from fxcount.compat.analysis import analysed, as_given, sizes_in
from fxcount.errors import InputError
from fxcount.trace.inputs.specs import InputSpec

__all__ = ["flops_to_string", "get_model_complexity_info", "params_to_string"]

_CONVENTIONS = {"pytorch": "ptflops", "aten": "ptflops-aten"}


def get_model_complexity_info(
    model: nn.Module,
    input_res: tuple[Any, ...],
    print_per_layer_stat: bool = True,
    as_strings: bool = True,
    input_constructor: Callable[[tuple[Any, ...]], dict[str, Any]] | None = None,
    verbose: bool = False,
    backend: Any = "pytorch",
    flops_units: str | None = None,
    param_units: str | None = None,
    output_precision: int = 2,
    **others: Any,
) -> tuple[Any, Any]:
    """MACs of one sample by ptflops' rules, and all parameters; a drop-in for ``ptflops.get_model_complexity_info``.

    ``input_res`` is the shape of one sample; a batch of 1 goes in front. ``input_constructor`` makes of it the keyword
    arguments of the model. ``backend`` is "pytorch" or "aten". ``print_per_layer_stat`` prints fxcount's own table. ``others``
    may be ``ost`` and ``backend_specific_config``, which change nothing here. Raises :class:`~fxcount.errors.InputError` for
    others that would (``ignore_modules``, ``custom_modules_hooks``).

    >>> get_model_complexity_info(nn.Conv2d(3, 8, 3), (3, 9, 7), print_per_layer_stat=False, as_strings=False)
    (7840, 224)
    """
    refused = [k for k, v in others.items() if k not in ("ost", "backend_specific_config") and v]
    if refused:
        raise InputError(f"get_model_complexity_info({refused[0]}=...) is not supported", hint="leave it out, or use ptflops")
    name = _CONVENTIONS.get(getattr(backend, "value", backend))
    if name is None:
        raise ValueError("Wrong backend name")
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if input_constructor is not None:
        given = input_constructor(input_res)
        args, kwargs = ((), as_given(given)) if isinstance(given, dict) else ((as_given(given),), {})
    else:
        shape = sizes_in(input_res)
        args = (InputSpec((1, *shape)),)
    report = analysed(model, args, kwargs)
    if print_per_layer_stat:
        print(report)
    macs, params = report.count(name), report.params.total
    if not as_strings or not isinstance(macs, int):
        return macs, params
    return flops_to_string(macs, flops_units, output_precision), params_to_string(params, param_units, output_precision)


def flops_to_string(flops: int, units: str | None = None, precision: int = 2) -> str:
    """MACs with their unit, by size or as asked for.

    >>> flops_to_string(4_133_742_592), flops_to_string(4_133_742_592, "MMac")
    ('4.13 GMac', '4133.74 MMac')
    """
    scales = {"GMac": 1e9, "MMac": 1e6, "KMac": 1e3}
    if units is None:
        units = next((u for u, scale in scales.items() if flops // scale > 0), "Mac")
    return f"{round(flops / scales.get(units, 1), precision)} {units}" if units in scales else f"{flops} Mac"


def params_to_string(params: int, units: str | None = None, precision: int = 2) -> str:
    """Parameters with their unit, by size or as asked for.

    >>> params_to_string(25_557_032)
    '25.56 M'
    """
    scales = {"B": 1e9, "M": 1e6, "k": 1e3, "K": 1e3}
    if units is None:
        units = next((u for u, least in (("M", 10**6), ("k", 10**3)) if params // least > 0), "")
    return f"{round(params / scales[units], precision)} {units}" if units in scales else str(params)

