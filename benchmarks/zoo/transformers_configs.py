"""Configurations of transformers: the default of a type with few layers, and a search through nested ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.zoo.transformers_variants import Variant

__all__ = ["configured", "find", "height_and_width", "parts"]

_DEPTHS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers", "num_encoder_layers",
    "num_decoder_layers", "depth", "e_layers", "d_layers", "n_head_layers", "num_attention_layers", "text_layers",
    "num_block", "enc_layers", "dec_layers",
)  # fmt: skip
_MOST_LAYERS = 8


def configured(kind: str, variant: Variant) -> Any:
    """The default configuration of a type, mended where a default is missing, and shrunk."""
    from transformers import CONFIG_MAPPING

    config = CONFIG_MAPPING[kind](**variant.config)
    for part in (config, *(p for _, p in parts(config))):
        own = vars(part)
        if "num_experts_per_tok" in own and own["num_experts_per_tok"] is None:
            part.num_experts_per_tok = 2
        if "head_dim" in own and own["head_dim"] is None and getattr(part, "num_attention_heads", None):
            part.head_dim = part.hidden_size // part.num_attention_heads
        if "num_key_value_heads" in own and own["num_key_value_heads"] is None:
            part.num_key_value_heads = part.num_attention_heads
        if not hasattr(part, "pad_token_id"):
            part.pad_token_id = None
    if variant.shrunk:
        _shrink(config)
    return config


def parts(config: Any) -> Iterator[tuple[str, Any]]:
    """The configurations inside one, with their names."""
    from transformers import PretrainedConfig

    for name, value in list(vars(config).items()):
        if isinstance(value, PretrainedConfig):
            yield name, value


def _shrink(config: Any) -> None:
    """Two layers, or as many as show every kind of layer, at most eight."""
    for _, part in parts(config):
        _shrink(part)
    own = vars(config)
    if isinstance(own.get("depths"), (list, tuple)):  # a pyramid: its stages are what there is to see
        return
    layers = own.get("num_hidden_layers") or own.get("n_layer") or own.get("num_layers")
    kinds = own.get("layer_types") or own.get("layers_block_type") or own.get("block_types")
    keep = 2
    if isinstance(layers, int):
        if isinstance(kinds, (list, tuple)) and len(kinds) == layers:
            firsts = [kinds.index(kind) for kind in set(kinds)]
            keep = min(max(2, max(firsts) + 1), _MOST_LAYERS)
        for name, value in list(own.items()):  # lists with one item a layer
            each = isinstance(value, (list, tuple)) and len(value) == layers > keep
            if each and name not in ("depths", "hidden_sizes", "id2label"):
                own[name] = type(value)(value[:keep])
    for name in _DEPTHS:
        if isinstance(own.get(name), int) and own[name] > keep:
            own[name] = keep


def find(config: Any, *names: str, first: tuple[str, ...] = (), default: Any = None) -> Any:
    """The first of these settings that the configuration or one inside it has; those in ``first`` are asked first."""
    inner = dict(parts(config))
    for part in first:
        if part in inner:
            found = find(inner[part], *names)
            if found is not None:
                return found
    for name in names:
        found = getattr(config, name, None)
        if found is not None:
            return found
    for part in inner.values():
        found = find(part, *names)
        if found is not None:
            return found
    return default


def height_and_width(size: Any) -> tuple[int, int]:
    """Of an image size given as a number, a pair or a dict."""
    if isinstance(size, dict):
        side = size.get("shortest_edge", 224)
        size = (size.get("height", side), size.get("width", side))
    if isinstance(size, (list, tuple)):
        if len(size) > 1 and all(isinstance(n, int) for n in size):
            return int(size[0]), int(size[-1])
        size = size[0] if isinstance(size[0], int) else 224
    return int(size), int(size)
