"""``calculate_flops_hf`` of calflops: a model of transformers by its configuration, without weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from fxcount.adapters.load import load_model
from fxcount.compat.calflops.flops_counter import counted
from fxcount.compat.calflops.utils import generate_transformer_input
from fxcount.errors import InputError

__all__ = ["calculate_flops_hf"]


def calculate_flops_hf(
    model_name: str,
    empty_model: nn.Module | None = None,
    input_shape: tuple[Any, ...] | None = None,
    trust_remote_code: bool = True,
    access_token: str = "",
    forward_mode: str = "forward",
    include_backPropagation: bool = False,
    compute_bp_factor: float = 2.0,
    print_results: bool = True,
    print_detailed: bool = True,
    output_as_string: bool = True,
    output_precision: int = 2,
    output_unit: str | None = None,
    ignore_modules: Any = None,
    return_results: bool = False,
) -> tuple[Any, ...]:
    """Flops, MACs and parameters of a model of transformers; a drop-in for ``calflops.calculate_flops_hf``.

    ``model_name`` is a folder with a ``config.json``, the file itself, or the name of a kind of model (``"hf:bert"``): its
    weights are not needed and nothing is downloaded. If the folder has a tokenizer, that makes the arguments, as calflops has
    it do; else they are ``input_ids`` and an ``attention_mask`` of ``input_shape`` (a batch and a length; 1 and 128 if left
    out). ``empty_model`` is the model itself. With ``return_results`` a fourth result is the table as text.
    ``trust_remote_code`` and ``access_token`` are accepted: no code and no file is fetched.

    Raises :class:`~fxcount.errors.InputError` for a name that is none of these, and what
    :func:`~fxcount.compat.calflops.calculate_flops` raises.
    """
    model = empty_model if empty_model is not None else _model(model_name)
    report, *counts = counted(
        model, None, None, (), _inputs(model_name, input_shape), forward_mode, include_backPropagation, compute_bp_factor,
        output_as_string, output_precision, output_unit, ignore_modules,
    )  # fmt: skip
    if not (print_results or return_results):
        return tuple(counts)
    table = report.table(None if print_detailed else 0)
    if print_results:
        print(table)
    return (*counts, table) if return_results else tuple(counts)


def _model(model_name: str) -> nn.Module:
    """The base model of a configuration, without memory for its weights, or the model of a name."""
    path = Path(model_name)
    if path.is_dir():
        path = path / "config.json"
    if path.suffix == ".json" and path.is_file():
        from transformers import AutoConfig, AutoModel

        with torch.device("meta"):
            model: nn.Module = AutoModel.from_config(AutoConfig.from_pretrained(str(path), local_files_only=True))
        return model.eval()
    if not model_name.startswith("hf:"):
        raise InputError(
            f"{model_name!r} is no folder with a config.json, and nothing is downloaded",
            hint="give the folder of a downloaded model, its config.json, or hf:NAME for a kind of model",
        )
    loaded: nn.Module = load_model(model_name)
    return loaded


def _inputs(model_name: str, input_shape: tuple[Any, ...] | None) -> dict[str, torch.Tensor]:
    folder = Path(model_name)
    if folder.is_dir() and any([(folder / name).exists() for name in ("tokenizer.json", "tokenizer_config.json")]):
        from transformers import AutoTokenizer

        return generate_transformer_input(AutoTokenizer.from_pretrained(str(folder), local_files_only=True), input_shape)
    return generate_transformer_input(_Tokens(), input_shape)


class _Tokens:
    """The least of a tokenizer: a text has no tokens but padding."""

    pad_token_id = 0

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [], "attention_mask": []}
