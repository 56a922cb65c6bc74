"""The models the tests share: how each is built, its inputs, three sizes other than the hints."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import nn

import fxcount

__all__ = ["CASES", "Case", "analysed", "inputs", "tensor"]

Sizes = Mapping[str, int]
_DTYPES = {"i64": torch.int64, "f32": torch.float32, "bool": torch.bool}

IMAGES = ({"B": 3, "H": 97, "W": 163}, {"B": 1, "H": 224, "W": 257}, {"B": 5, "H": 193, "W": 131})
WINDOWS = ({"B": 3, "H": 127, "W": 193}, {"B": 1, "H": 227, "W": 116}, {"B": 5, "H": 181, "W": 149})
PATCHES = ({"B": 3, "H": 96, "W": 160}, {"B": 7, "H": 352, "W": 96}, {"B": 5, "H": 160, "W": 416})
BATCHES = ({"B": 3}, {"B": 1}, {"B": 11})
TEXTS = ({"B": 3, "S": 77}, {"B": 7, "S": 199}, {"B": 5, "S": 11})
PAIRS = ({"B": 3, "S": 77, "T": 19}, {"B": 1, "S": 199, "T": 31}, {"B": 5, "S": 11, "T": 7})

REPLIES = ({"B": 3, "T": 19}, {"B": 1, "T": 31}, {"B": 5, "T": 7})


@dataclass(frozen=True)
class Case:
    """One model."""

    name: str
    build: Callable[[], nn.Module]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[Sizes, ...] = IMAGES

    def on(self, device: str) -> nn.Module:
        """A fresh model in eval mode."""
        torch.manual_seed(7)
        with torch.device(device):
            return self.build().eval()

    def analyse(self, model: nn.Module | None = None, **options: Any) -> fxcount.Report:
        return fxcount.analyze(self.on("meta") if model is None else model, *self.args, **self.kwargs, **options)


def tensor(spec: str, values: Sizes, device: str = "cpu") -> torch.Tensor:
    """A tensor as the text of an input describes it, with values that no two positions share by rule."""
    match = re.fullmatch(r"(\w+)\[(.*)\]", spec)
    dtype, text = (_DTYPES[match[1]], match[2]) if match else (torch.float32, spec)
    shape = [eval(size, {}, dict(values)) for size in text.split(",") if size]
    if device == "meta":
        return torch.empty(shape, dtype=dtype, device=device)
    if dtype is torch.float32:
        return torch.randn(shape)
    return torch.randint(2 if dtype is torch.bool else 50, shape).to(dtype)


def inputs(spec: Any, values: Sizes, device: str = "cpu") -> Any:
    """Specifications with tensors in the place of texts that describe one; other things as they are."""
    if isinstance(spec, str) and ("," in spec or "[" in spec):
        return tensor(spec, values, device)
    if isinstance(spec, (tuple, list)):
        return type(spec)(inputs(s, values, device) for s in spec)
    if isinstance(spec, Mapping):
        return {k: inputs(s, values, device) for k, s in spec.items()}
    return spec


def _vision(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: importlib.import_module("torchvision").models.get_model(name, weights=None, **options)


def _timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: importlib.import_module("timm").create_model(name, pretrained=False, **options)


def _hugging(kind: str, config: str, **settings: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        library = importlib.import_module("transformers")
        return getattr(library, kind)(getattr(library, config)(**settings))

    return build


_LLAMA = {
    "num_hidden_layers": 2, "hidden_size": 96, "intermediate_size": 176, "num_attention_heads": 6,
    "num_key_value_heads": 2, "vocab_size": 131,
}  # fmt: skip
_BERT = {
    "num_hidden_layers": 2, "hidden_size": 60, "intermediate_size": 112, "num_attention_heads": 3, "vocab_size": 131,
}  # fmt: skip
_T5 = {"num_layers": 2, "d_model": 60, "d_ff": 112, "d_kv": 20, "num_heads": 3, "vocab_size": 131}
_WHISPER = {
    "encoder_layers": 2, "decoder_layers": 2, "d_model": 60, "encoder_attention_heads": 3, "decoder_attention_heads": 3,
    "encoder_ffn_dim": 112, "decoder_ffn_dim": 104, "vocab_size": 131, "max_source_positions": 151, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3,
}  # fmt: skip
_GPT2 = {
    "n_layer": 2, "n_embd": 60, "n_head": 3, "vocab_size": 131, "n_positions": 256, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_IDS = "i64[B,S]"

CASES = {
    c.name: c
    for c in (
        Case("resnet50", _vision("resnet50"), ("B,3,H,W",)),
        Case("densenet121", _vision("densenet121"), ("B,3,H,W",)),
        Case("convnext_tiny", _vision("convnext_tiny"), ("B,3,H,W",)),
        Case("efficientnet_b0", _vision("efficientnet_b0"), ("B,3,H,W",)),
        Case("swin_t", _vision("swin_t"), ("B,3,H,W",), sizes=WINDOWS),
        Case("vit_b_16", _vision("vit_b_16"), ("B,3,224,224",), sizes=BATCHES),
        Case("resnet18", _vision("resnet18"), ("B,3,H,W",)),
        Case("mobilenet_v3_small", _vision("mobilenet_v3_small"), ("B,3,H,W",)),
        Case("shufflenet_v2_x0_5", _vision("shufflenet_v2_x0_5"), ("B,3,H,W",)),
        Case("googlenet", _vision("googlenet", init_weights=False), ("B,3,H,W",)),
        Case("timm_vit", _timm("vit_tiny_patch16_224"), ("B,3,224,224",), sizes=BATCHES),
        Case("timm_mixer", _timm("mixer_s32_224"), ("B,3,224,224",), sizes=BATCHES),
        Case("timm_regnet", _timm("regnetx_002"), ("B,3,H,W",)),
        Case("timm_pit", _timm("pit_ti_224"), ("B,3,224,224",), sizes=({"B": 3}, {"B": 2}, {"B": 11})),
        Case("timm_mobilevit", _timm("mobilevit_xxs"), ("B,3,H,W",), sizes=PATCHES),
        Case("timm_ghostnet", _timm("ghostnet_100"), ("B,3,H,W",)),
        Case("timm_poolformer", _timm("poolformer_s12"), ("B,3,H,W",)),
        Case("llama", _hugging("LlamaForCausalLM", "LlamaConfig", **_LLAMA), (), {"input_ids": _IDS, "use_cache": False}, TEXTS),
        Case("llama_cached", _hugging("LlamaForCausalLM", "LlamaConfig", **_LLAMA), (), {"input_ids": _IDS, "use_cache": True}, TEXTS),
        Case("bert", _hugging("BertModel", "BertConfig", **_BERT), (), {"input_ids": _IDS}, TEXTS),
        Case("gpt2", _hugging("GPT2LMHeadModel", "GPT2Config", **_GPT2), (), {"input_ids": _IDS}, TEXTS),
        Case("t5", _hugging("T5ForConditionalGeneration", "T5Config", **_T5), (), {"input_ids": _IDS, "decoder_input_ids": "i64[B,T]"}, PAIRS),
        Case("whisper", _hugging("WhisperForConditionalGeneration", "WhisperConfig", **_WHISPER), (), {"input_features": "f32[B,80,302]", "decoder_input_ids": "i64[B,T]"}, REPLIES),
    )
}  # fmt: skip


@cache
def analysed(name: str) -> fxcount.Report:
    """The symbolic report of a model built on meta; made once."""
    return CASES[name].analyse()
