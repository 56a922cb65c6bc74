"""The Hugging Face models of the peers' READMEs: class and configuration, to be built without weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["HUB"]

_BLOOM = {"vocab_size": 250880}
_NEOX = ("GPTNeoXModel", "GPTNeoXConfig")


def _neox(vocabulary: int, width: int, layers: int, heads: int) -> dict[str, int]:
    return {
        "vocab_size": vocabulary, "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }  # fmt: skip


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
    "bloom-1b7": (("BloomModel", "BloomConfig"), {**_BLOOM, "hidden_size": 2048, "n_layer": 24, "n_head": 16}),
    "bloom-7b1": (("BloomModel", "BloomConfig"), {**_BLOOM, "hidden_size": 4096, "n_layer": 30, "n_head": 32}),
    "llama-7b": (_LLAMA, {}),
    "llama2-7b": (_LLAMA, {}),
    "chinese-llama-7b": (_LLAMA, {"vocab_size": 49953}),
    "EleutherAI/pythia-1.4b": (_NEOX, _neox(50304, 2048, layers=24, heads=16)),
    "EleutherAI/pythia-12b": (_NEOX, _neox(50688, 5120, layers=36, heads=40)),
    "hfl/chinese-roberta-wwm-ext": (("BertModel", "BertConfig"), {"vocab_size": 21128}),
    "Phi-3-mini-4k": (_PHI, {"vocab_size": 32064}),
    "Phi-3-medium-4k-instruct": (_PHI, _PHI_MEDIUM),
    "Llama3-8B": (_LLAMA, _LLAMA3),
    "Llama-3.1-70B": (_LLAMA, _LLAMA3_70B),
}
