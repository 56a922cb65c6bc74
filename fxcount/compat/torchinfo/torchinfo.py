"""``summary``: the call."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from fxcount.compat.analysis import analysed, as_given, dtypes_of, followed, in_mode
from fxcount.compat.torchinfo import inputs
from fxcount.compat.torchinfo.enums import ColumnSettings, Mode, RowSettings, Verbosity
from fxcount.compat.torchinfo.formatting import FormattingOptions
from fxcount.compat.torchinfo.layer_info import LayerInfo
from fxcount.compat.torchinfo.layer_rows import executed_rows, static_rows
from fxcount.compat.torchinfo.model_statistics import ModelStatistics
from fxcount.errors import FxcountError
from fxcount.report import Report
from fxcount.symbolic import Size

__all__ = ["SummaryError", "clear_cached_forward_pass", "summary"]


class SummaryError(FxcountError, RuntimeError):
    """The model failed on the inputs of a summary, or they describe no call of it."""


def summary(
    model: nn.Module,
    input_size: Any = None,
    input_data: Any = None,
    batch_dim: int | None = None,
    cache_forward_pass: bool | None = None,
    col_names: Iterable[str] | None = None,
    col_width: int = 25,
    depth: int = 3,
    device: torch.device | str | None = None,
    dtypes: Iterable[Any] | None = None,
    mode: str | None = None,
    row_settings: Iterable[str] | None = None,
    verbose: int | None = None,
    **kwargs: Any,
) -> ModelStatistics:
    """The layers of a model with shapes, parameters and work; a drop-in for ``torchinfo.summary``, and the model never runs.

    ``input_size`` is a shape or a list of shapes, batch included, and may hold symbols (``("B", 3, "H", "W")``); ``input_data``
    a tensor, a list of arguments or a dict of keyword arguments; with neither, modules and parameters are listed.
    ``batch_dim``: the shapes lack the batch, which goes there with size 1. ``col_names`` are of :class:`ColumnSettings`,
    ``row_settings`` of :class:`RowSettings`; ``depth`` is the deepest level shown; ``mode`` is "train", "same" or
    "eval" (default); ``verbose`` is 0 (nothing is printed), 1 (the table) or 2 (with every parameter). Other keywords go to
    ``forward``. ``dtypes`` are torch's, their names, or the old types of tensors (``torch.LongTensor``). ``device`` is where
    inputs are thought to be; ``cache_forward_pass`` is accepted and of no use, as nothing slow runs.

    Raises:
        ValueError, TypeError, RuntimeError: arguments torchinfo would refuse, in the same words.
        SummaryError: the model fails on these inputs; a RuntimeError too, with the failure as its cause.

    >>> stats = summary(nn.Conv2d(3, 8, 3, padding=1), input_size=("B", 3, "H", "W"), verbose=0)
    >>> stats.total_params, stats.total_mult_adds
    (224, 224*B*H*W)
    """
    given = input_data is not None or input_size is not None
    default = (ColumnSettings.OUTPUT_SIZE, ColumnSettings.NUM_PARAMS) if given else (ColumnSettings.NUM_PARAMS,)
    columns = default if col_names is None else tuple(ColumnSettings(c) for c in col_names)
    rows = {RowSettings.DEPTH} if row_settings is None else {RowSettings(r) for r in row_settings}
    chosen_mode = Mode.EVAL if mode is None else Mode(mode)
    if verbose is None:
        verbose = 0 if getattr(sys, "ps1", "") else 1
    place = torch.device(device) if isinstance(device, str) else device
    kinds = dtypes_of(dtypes)
    inputs.check(input_data, input_size, columns, col_width, verbose)

    report = None
    total_input: Size = 0
    sizes: Any = []
    with followed(model) as plain:
        if given:
            sizes, args, named = _arguments(input_size, input_data, batch_dim, kinds, place)
            total_input = inputs.input_bytes((args, named))
            named |= {k: as_given(v, place) for k, v in kwargs.items()}
            report = _analysed(plain, args, named, chosen_mode)
            listed = executed_rows(plain, report, batch_dim)
            if ColumnSettings.MEASURED_PERCENT in columns:
                _measure(plain, listed, args, named, chosen_mode)
        else:
            listed = static_rows(plain)
    formatting = FormattingOptions(depth, verbose, columns, col_width, rows)
    found = ModelStatistics(listed, sizes, total_input, formatting, report)
    if verbose > Verbosity.QUIET:
        print(found)
    return found


def _arguments(
    input_size: Any, input_data: Any, batch_dim: int | None, dtypes: list[torch.dtype] | None, device: torch.device | None
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The sizes as the statistics show them, and the positional and keyword inputs of the trace."""
    if input_data is None:
        sizes = inputs.corrected_sizes(input_size)
        return sizes, tuple(inputs.specs(sizes, dtypes, batch_dim)), {}
    sizes = inputs.sizes_of(input_data)
    if isinstance(input_data, (torch.Tensor, np.ndarray)):
        return sizes, (as_given(input_data, device),), {}
    if isinstance(input_data, (list, tuple)):
        return sizes, tuple(as_given(d, device) for d in input_data), {}
    if isinstance(input_data, dict):
        return sizes, (), {k: as_given(v, device) for k, v in input_data.items()}
    raise SummaryError(
        f"input_data is a {type(input_data).__name__}", hint="give a tensor, a list of arguments or a dict of keyword arguments"
    )


def _analysed(model: nn.Module, args: tuple[Any, ...], named: dict[str, Any], mode: Mode) -> Report:
    try:
        report = analysed(model, args, named, training=None if mode is Mode.SAME else mode is Mode.TRAIN)
    except Exception as error:
        what = error.what if isinstance(error, FxcountError) else f"{type(error).__name__}: {error}"
        where, hint = (error.where, error.hint) if isinstance(error, FxcountError) else ("", "see the error above")
        raise SummaryError(f"cannot summarise {type(model).__name__}: {what}", where=where, hint=hint) from error
    for call in report.trace.modules:
        if not call.outputs and call.returned is not None and not issubclass(call.returned, _RETURNED):
            raise SummaryError(
                f"Model contains a layer with an unsupported input or output type: {call.path or call.class_name} returns a "
                f"{call.returned.__name__}",
                hint="a layer returns tensors, alone or in lists, tuples and dicts; fxcount.analyze(model, ...) takes any",
            )
    return report


_RETURNED = (type(None), torch.Tensor, np.ndarray, list, tuple, Mapping, torch.distributions.Distribution)


def _measure(model: nn.Module, rows: list[LayerInfo], args: tuple[Any, ...], named: dict[str, Any], mode: Mode) -> None:
    """Run the model and write the seconds of each call to its row."""
    from fxcount.measurement import measure

    with nullcontext() if mode is Mode.SAME else in_mode(model, mode is Mode.TRAIN):
        timed = measure(model, *args, **named)
    by_call = {(row.module_id, row.number): row.seconds for row in timed.rows}
    numbers: dict[int, int] = {}
    for info in rows:
        if info.executed:
            numbers[info.layer_id] = numbers.get(info.layer_id, 0) + 1
            info.measured_seconds = by_call.get((info.layer_id, numbers[info.layer_id]), 0.0)


def clear_cached_forward_pass() -> None:
    """Accepted as torchinfo's is: no forward pass is ever kept, so there is none to forget."""
