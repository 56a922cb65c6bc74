"""Where the settings of a transformers model come from: a config file, or what is written down here of well-known checkpoints.

Each entry is the config of a checkpoint as far as it differs from the default of its type, and the class it is of.

>>> settings_of("bert-base-uncased")
('bert', {'architectures': ['BertForMaskedLM']})
>>> settings_of("openai-community/gpt2-medium")[1]["n_layer"]
24
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from fxcount.errors import InputError, first_line

__all__ = ["CHECKPOINTS", "settings_of"]


def _of(kind: str, architecture: str, **settings: Any) -> tuple[str, dict[str, Any]]:
    return kind, {"architectures": [architecture], **settings}


def _bert(**settings: Any) -> tuple[str, dict[str, Any]]:
    return _of("bert", "BertForMaskedLM", **settings)


def _gpt2(width: int, layers: int, heads: int) -> tuple[str, dict[str, Any]]:
    return _of("gpt2", "GPT2LMHeadModel", n_embd=width, n_layer=layers, n_head=heads)


def _t5(width: int, inner: int, layers: int, heads: int, **settings: Any) -> tuple[str, dict[str, Any]]:
    return _of(
        "t5", "T5ForConditionalGeneration", d_model=width, d_ff=inner, num_layers=layers, num_heads=heads, **settings
    )  # fmt: skip


def _whisper(width: int, layers: int, heads: int, **settings: Any) -> tuple[str, dict[str, Any]]:
    sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in _side(width, layers, heads)}
    return _of("whisper", "WhisperForConditionalGeneration", d_model=width, **{**sides, **settings})


def _bart(width: int, layers: int, heads: int, **settings: Any) -> tuple[str, dict[str, Any]]:
    sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in _side(width, layers, heads)}
    return _of("bart", "BartForConditionalGeneration", d_model=width, **{**sides, **settings})


def _side(width: int, layers: int, heads: int) -> list[tuple[str, int]]:
    return [("layers", layers), ("attention_heads", heads), ("ffn_dim", 4 * width)]


def _llama(width: int, inner: int, layers: int, heads: int, kv: int, **settings: Any) -> tuple[str, dict[str, Any]]:
    return _of(
        "llama", "LlamaForCausalLM", hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv, **settings,
    )  # fmt: skip


def _vit(**settings: Any) -> tuple[str, dict[str, Any]]:
    return _of("vit", "ViTForImageClassification", **settings)


_LARGE: dict[str, Any] = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_CLIP_L = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14}
_CLIP_TEXT_L = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}

CHECKPOINTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "bert-base-uncased": _bert(),
    "bert-base-cased": _bert(vocab_size=28996),
    "bert-large-uncased": _bert(**_LARGE),
    "bert-large-cased": _bert(vocab_size=28996, **_LARGE),
    "bert-base-multilingual-cased": _bert(vocab_size=119547),
    "bert-base-chinese": _bert(vocab_size=21128),
    "distilbert-base-uncased": _of("distilbert", "DistilBertForMaskedLM"),
    "distilbert-base-cased": _of("distilbert", "DistilBertForMaskedLM", vocab_size=28996),
    "roberta-base": _of("roberta", "RobertaForMaskedLM", **_ROBERTA),
    "roberta-large": _of("roberta", "RobertaForMaskedLM", **_ROBERTA, **_LARGE),
    "xlm-roberta-base": _of("xlm-roberta", "XLMRobertaForMaskedLM", **{**_ROBERTA, "vocab_size": 250002}),
    "xlm-roberta-large": _of("xlm-roberta", "XLMRobertaForMaskedLM", **{**_ROBERTA, "vocab_size": 250002}, **_LARGE),
    "albert-base-v2": _of(
        "albert", "AlbertForMaskedLM", hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12
    ),
    "gpt2": _gpt2(768, 12, 12),
    "gpt2-medium": _gpt2(1024, 24, 16),
    "gpt2-large": _gpt2(1280, 36, 20),
    "gpt2-xl": _gpt2(1600, 48, 25),
    "distilgpt2": _gpt2(768, 6, 12),
    "facebook/opt-125m": _of("opt", "OPTForCausalLM"),
    "t5-small": _t5(512, 2048, 6, 8),
    "t5-base": _t5(768, 3072, 12, 12),
    "t5-large": _t5(1024, 4096, 24, 16),
    "facebook/bart-base": _bart(768, 6, 12),
    "facebook/bart-large": _bart(1024, 12, 16),
    "openai/whisper-tiny": _whisper(384, 4, 6),
    "openai/whisper-base": _whisper(512, 6, 8),
    "openai/whisper-small": _whisper(768, 12, 12),
    "openai/whisper-medium": _whisper(1024, 24, 16),
    "openai/whisper-large-v3": _whisper(1280, 32, 20, num_mel_bins=128, vocab_size=51866),
    "facebook/wav2vec2-base-960h": _of("wav2vec2", "Wav2Vec2ForCTC"),
    "google/vit-base-patch16-224": _vit(num_labels=1000),
    "google/vit-large-patch16-224": _vit(num_labels=1000, **_LARGE),
    "facebook/deit-base-patch16-224": _vit(num_labels=1000),
    "openai/clip-vit-base-patch32": _of("clip", "CLIPModel"),
    "openai/clip-vit-base-patch16": _of("clip", "CLIPModel", vision_config={"patch_size": 16}),
    "openai/clip-vit-large-patch14": _of(
        "clip", "CLIPModel", projection_dim=768, vision_config=_CLIP_L, text_config=_CLIP_TEXT_L
    ),
    "facebook/detr-resnet-50": _of("detr", "DetrForObjectDetection", num_labels=91),
    "facebook/sam-vit-huge": _of(
        "sam", "SamModel", vision_config={"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31], "mlp_dim": 5120},
    ),
    "facebook/sam-vit-base": _of("sam", "SamModel"),
    "meta-llama/Llama-2-7b-hf": _llama(4096, 11008, 32, 32, 32, max_position_embeddings=4096),
    "meta-llama/Llama-2-13b-hf": _llama(5120, 13824, 40, 40, 40, max_position_embeddings=4096),
    "meta-llama/Meta-Llama-3-8B": _llama(4096, 14336, 32, 32, 8, vocab_size=128256, max_position_embeddings=8192),
    "meta-llama/Meta-Llama-3-70B": _llama(8192, 28672, 80, 64, 8, vocab_size=128256, max_position_embeddings=8192),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": _llama(2048, 5632, 22, 32, 4),
    "mistralai/Mistral-7B-v0.1": _of("mistral", "MistralForCausalLM", sliding_window=4096),
}  # fmt: skip

_OWNERS = ("google-bert", "openai-community", "FacebookAI", "google-t5", "distilbert", "albert")
"""Owners under which checkpoints that once had none are found today."""


def settings_of(name: str) -> tuple[str, dict[str, Any]]:
    """Model type and settings of a config file, a well-known checkpoint, or of a model type itself.

    A checkpoint whose config lies in the cache of huggingface_hub is known as well.

    Raises :class:`~fxcount.errors.InputError` for a file that is no config, and for a checkpoint that is not known.
    """
    if name.endswith(".json"):
        return _read(name)
    owner, _, rest = name.rpartition("/")
    found = CHECKPOINTS.get(rest if owner in _OWNERS else name)
    if found is not None:
        return found[0], dict(found[1])
    if owner:
        cached = _cached(name)
        if cached:
            return _read(cached)
        close = get_close_matches(name, CHECKPOINTS, 1)
        near = f", or the nearest that is, hf:{close[0]}" if close else ""
        raise InputError(
            f"the checkpoint {name!r} is not among those whose config is known without network",
            hint=f"download its config.json and give hf:path/to/config.json{near}",
        )
    return name, {}


def _cached(name: str) -> str:
    """The path of a checkpoint's config that was downloaded before; "" if it was not. Nothing is downloaded."""
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(name, "config.json")
    except (ImportError, ValueError, OSError):  # not installed; no name of a repository; no cache
        return ""
    return found if isinstance(found, str) else ""


def _read(path: str) -> tuple[str, dict[str, Any]]:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the config {path!r} ({first_line(error)})", hint="give a config.json") from error
    kind = settings.pop("model_type", None) if isinstance(settings, dict) else None
    if not isinstance(kind, str):
        raise InputError(f"the config {path!r} names no model_type", hint="give a config.json of transformers")
    return kind, settings
