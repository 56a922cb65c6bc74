"""The tables of the READMEs of thop, ptflops, calflops and onnx-tool: whole models, numbers to two decimals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch import nn

import fxcount
from fxcount.adapters import torchvision_ops as torchvision_ops  # before torchvision
from tests.published.check import Check, printed
from tests.published.hub_rows import build as build_hub
from tests.published.hub_rows import inputs as hub_inputs
from tests.published.torchvision_rows import EmptyOnMeta
from tests.published.torchvision_rows import build as build_torchvision

__all__ = ["SOURCES", "checks"]

_GIGA = {"ptflops README": "ptflops", "ptflops README (aten)": "ptflops-aten"}
_BLOOM = {"vocab_size": 250880}
_NEOX = ("GPTNeoXModel", "GPTNeoXConfig")
_LLAMA = ("LlamaForCausalLM", "LlamaConfig")
_PHI = ("Phi3ForCausalLM", "Phi3Config")
_PHI_MEDIUM = {
    "vocab_size": 32064, "hidden_size": 5120, "intermediate_size": 17920, "num_hidden_layers": 40, "num_attention_heads": 40,
    "num_key_value_heads": 10,
}  # fmt: skip
_LLAMA3 = {"vocab_size": 128256, "num_key_value_heads": 8, "intermediate_size": 14336}
_LLAMA3_70B = {
    **_LLAMA3, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
}  # fmt: skip
# The configurations are the models' own; the vocabulary of chinese-llama-7b follows from its published parameter count.
HUB: dict[str, tuple[tuple[str, str], Mapping[str, Any]]] = {
    "bloom-1b7": (("BloomForCausalLM", "BloomConfig"), {**_BLOOM, "hidden_size": 2048, "n_layer": 24, "n_head": 16}),
    "bloom-7b1": (("BloomForCausalLM", "BloomConfig"), {**_BLOOM, "hidden_size": 4096, "n_layer": 30, "n_head": 32}),
    "llama-7b": (_LLAMA, {}),
    "llama2-7b": (_LLAMA, {}),
    "chinese-llama-7b": (_LLAMA, {"vocab_size": 49953}),
    "EleutherAI/pythia-1.4b": (
        _NEOX,
        {"vocab_size": 50304, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 16},
    ),
    "EleutherAI/pythia-12b": (
        _NEOX,
        {"vocab_size": 50688, "hidden_size": 5120, "intermediate_size": 20480, "num_hidden_layers": 36, "num_attention_heads": 40},
    ),
    "hfl/chinese-roberta-wwm-ext": (("BertModel", "BertConfig"), {"vocab_size": 21128}),
    "Phi-3-mini-4k": (_PHI, {"vocab_size": 32064}),
    "Phi-3-medium-4k-instruct": (_PHI, _PHI_MEDIUM),
    "Llama3-8B": (_LLAMA, _LLAMA3),
    "Llama-3.1-70B": (_LLAMA, _LLAMA3_70B),
}
