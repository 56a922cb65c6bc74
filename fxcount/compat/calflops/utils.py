"""Numbers as calflops writes them, and the inputs it has a tokenizer make."""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import InputError

__all__ = ["flops_to_string", "generate_transformer_input", "macs_to_string", "params_to_string"]

_SCALES = {"T": 1e12, "G": 1e9, "M": 1e6, "K": 1e3}
_BATCH, _LENGTH = 1, 128  # calflops' own where none are given


def flops_to_string(flops: float, units: str | None = None, precision: int = 2) -> str:
    """Flops with their unit, by size or as asked for.

    >>> flops_to_string(4089184256), flops_to_string(4089184256, "M")
    ('4.09 GFLOPS', '4089.18 MFLOPS')
    """
    return f"{_number(flops, units, precision)}FLOPS"


def macs_to_string(macs: float, units: str | None = None, precision: int = 2) -> str:
    """MACs with their unit.

    >>> macs_to_string(17)
    '17 MACs'
    """
    return f"{_number(macs, units, precision)}MACs"


def params_to_string(params_num: float, units: str | None = None, precision: int = 2) -> str:
    """Parameters with their unit, B for billions.

    >>> params_to_string(25557032, None, 4), params_to_string(6.7e9)
    ('25.557 M', '6.7 B')
    """
    units = units.replace("B", "G") if units else units
    return _number(params_num, units, precision).replace("G", "B").strip()


def _number(n: float, unit: str | None, precision: int) -> str:
    """A number with six significant digits, and its unit."""
    if unit is None:
        unit = next((u for u, scale in _SCALES.items() if n >= scale), "")
    return f"{round(n / _SCALES.get(unit, 1), precision):g} {unit}"


def generate_transformer_input(
    model_tokenizer: Any, input_shape: tuple[Any, ...] | None = None, device: Any = None
) -> dict[str, torch.Tensor]:
    """The arguments a tokenizer makes of an empty text, padded to a length, as often as the batch says.

    ``input_shape`` is ``(batch, length)``. Attention is masked in the padding. Raises :class:`~fxcount.errors.InputError` for
    another shape, and for a length shorter than the tokens that frame a text.
    """
    if input_shape is not None and len(input_shape) != 2:
        raise InputError("with a tokenizer, input_shape is (batch_size, seq_len)", hint="or give the tensors as kwargs")
    batch, length = input_shape or (_BATCH, _LENGTH)
    encoded = model_tokenizer("", add_special_tokens=True)
    framing = len(encoded["input_ids"])
    if framing > length:
        raise InputError(f"{length} tokens are fewer than the {framing} around an empty text", hint="ask for a greater length")
    padding = {"input_ids": model_tokenizer.pad_token_id or 0, "attention_mask": 0, "token_type_ids": 0}
    made = {}
    for name in (*padding, "position_ids"):
        if name in encoded:
            rest = range(framing, length) if name == "position_ids" else [padding[name]] * (length - framing)
            made[name] = torch.tensor([[*encoded[name], *rest]] * batch, dtype=torch.int64, device=device)
    return made
