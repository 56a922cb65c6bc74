"""The configs of well-known checkpoints, as far as they differ from the default of their type, and the class each is of.

They are written down so that ``hf:meta-llama/Llama-3.1-8B`` needs no network. ``tests/published/test_checkpoints.py`` holds
them to the numbers of parameters that are published of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CHECKPOINTS", "Settings"]

Settings = tuple[str, dict[str, Any]]
"""A model type, and the settings of its config."""


def _of(kind: str, architecture: str, **settings: Any) -> Settings:
    return kind, {"architectures": [architecture], **settings}


def _bert(**settings: Any) -> Settings:
    return _of("bert", "BertForMaskedLM", **settings)


def _gpt2(width: int, layers: int, heads: int) -> Settings:
    return _of("gpt2", "GPT2LMHeadModel", n_embd=width, n_layer=layers, n_head=heads)


def _t5(width: int, inner: int, layers: int, heads: int, **settings: Any) -> Settings:
    return _of(
        "t5", "T5ForConditionalGeneration", d_model=width, d_ff=inner, num_layers=layers, num_heads=heads, **settings
    )  # fmt: skip


def _whisper(width: int, layers: int, heads: int, **settings: Any) -> Settings:
    sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in _side(width, layers, heads)}
    return _of("whisper", "WhisperForConditionalGeneration", d_model=width, **{**sides, **settings})


def _bart(width: int, layers: int, heads: int, **settings: Any) -> Settings:
    sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in _side(width, layers, heads)}
    return _of("bart", "BartForConditionalGeneration", d_model=width, **{**sides, **settings})


def _side(width: int, layers: int, heads: int) -> list[tuple[str, int]]:
    return [("layers", layers), ("attention_heads", heads), ("ffn_dim", 4 * width)]


def _decoder(
    kind: str, architecture: str, width: int, inner: int, layers: int, heads: int, kv: int, **settings: Any
) -> Settings:  # fmt: skip
    return _of(
        kind, architecture, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv, **settings,
    )  # fmt: skip


def _llama(width: int, inner: int, layers: int, heads: int, kv: int, **settings: Any) -> Settings:
    return _decoder("llama", "LlamaForCausalLM", width, inner, layers, heads, kv, **settings)


def _vit(**settings: Any) -> Settings:
    return _of("vit", "ViTForImageClassification", **settings)


def _encoder(kind: str, architecture: str, width: int, layers: int, heads: int) -> Settings:
    return _of(
        kind, architecture, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width
    )  # fmt: skip


def _deberta(width: int, inner: int, layers: int, heads: int, **settings: Any) -> Settings:
    return _of(
        "deberta-v2", "DebertaV2Model", hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, **{**_DEBERTA_V3, **settings},
    )  # fmt: skip


def _opt(width: int, layers: int, heads: int, **settings: Any) -> Settings:
    sizes = {"hidden_size": width, "word_embed_proj_dim": width, "ffn_dim": 4 * width}
    return _of(
        "opt", "OPTForCausalLM", **{**sizes, "num_hidden_layers": layers, "num_attention_heads": heads, **settings}
    )  # fmt: skip


def _neo(width: int, layers: int, heads: int) -> Settings:
    kinds = [[["global", "local"], layers // 2]]
    return _of("gpt_neo", "GPTNeoForCausalLM", hidden_size=width, num_layers=layers, num_heads=heads, attention_types=kinds)


def _pythia(width: int, layers: int, heads: int, vocab_size: int = 50304) -> Settings:
    return _of(
        "gpt_neox", "GPTNeoXForCausalLM", hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=heads, vocab_size=vocab_size, max_position_embeddings=2048,
    )  # fmt: skip


def _bloom(width: int, layers: int, heads: int) -> Settings:
    return _of("bloom", "BloomForCausalLM", hidden_size=width, n_layer=layers, n_head=heads, vocab_size=250880)


def _falcon(**settings: Any) -> Settings:
    return _of("falcon", "FalconForCausalLM", **settings)


def _llama_3(width: int, inner: int, layers: int, heads: int, **settings: Any) -> Settings:
    return _llama(width, inner, layers, heads, 8, **{"vocab_size": 128256, "max_position_embeddings": 131072, **settings})


def _smollm_2(width: int, inner: int, layers: int, heads: int, kv: int) -> Settings:
    return _llama(
        width, inner, layers, heads, kv, vocab_size=49152, max_position_embeddings=8192, tie_word_embeddings=True
    )  # fmt: skip


def _qwen_2(width: int, inner: int, layers: int, heads: int, kv: int, **settings: Any) -> Settings:
    return _decoder("qwen2", "Qwen2ForCausalLM", width, inner, layers, heads, kv, **{"vocab_size": 152064, **settings})


def _qwen_3(width: int, inner: int, layers: int, heads: int, **settings: Any) -> Settings:
    return _decoder("qwen3", "Qwen3ForCausalLM", width, inner, layers, heads, 8, **_QWEN_3, **settings)


def _qwen_3_experts(width: int, inner: int, expert: int, layers: int, heads: int) -> Settings:
    return _decoder(
        "qwen3_moe", "Qwen3MoeForCausalLM", width, inner, layers, heads, 4, moe_intermediate_size=expert, num_experts=128,
        num_experts_per_tok=8, norm_topk_prob=True, **_QWEN_3,
    )  # fmt: skip


def _phi_3(width: int, inner: int, layers: int, heads: int, kv: int, **settings: Any) -> Settings:
    return _decoder("phi3", "Phi3ForCausalLM", width, inner, layers, heads, kv, **settings)


def _gemma(kind: str, width: int, inner: int, layers: int, heads: int, kv: int, head_dim: int) -> Settings:
    architecture = f"{kind.capitalize()}ForCausalLM"
    return _decoder(kind, architecture, width, inner, layers, heads, kv, head_dim=head_dim)


def _dinov2(**settings: Any) -> Settings:
    return _of("dinov2", "Dinov2Model", image_size=518, patch_size=14, **settings)


def _deit(width: int, heads: int) -> Settings:
    return _vit(num_labels=1000, hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width)


def _swin(**settings: Any) -> Settings:
    return _of("swin", "SwinForImageClassification", num_labels=1000, **settings)


def _convnext(**settings: Any) -> Settings:
    return _of("convnext", "ConvNextForImageClassification", num_labels=1000, **settings)


def _resnet(**settings: Any) -> Settings:
    return _of("resnet", "ResNetForImageClassification", num_labels=1000, **settings)


_LARGE: dict[str, Any] = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_CLIP_L = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14}
_CLIP_TEXT_L = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
_DEBERTA_V3: dict[str, Any] = {
    "vocab_size": 128100, "pos_att_type": ["p2c", "c2p"], "relative_attention": True, "position_buckets": 256,
    "norm_rel_ebd": "layer_norm", "share_att_key": True, "type_vocab_size": 0, "max_relative_positions": -1,
    "position_biased_input": False,
}  # fmt: skip
_QWEN_3: dict[str, Any] = {"vocab_size": 151936, "head_dim": 128, "max_position_embeddings": 40960}
_TIED: dict[str, Any] = {"tie_word_embeddings": True}
_DEEP = [3, 3, 27, 3]

CHECKPOINTS: Mapping[str, Settings] = {
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
    "prajjwal1/bert-tiny": _encoder("bert", "BertModel", 128, 2, 2),
    "sentence-transformers/all-MiniLM-L6-v2": _encoder("bert", "BertModel", 384, 6, 12),
    "sentence-transformers/all-MiniLM-L12-v2": _encoder("bert", "BertModel", 384, 12, 12),
    "albert-large-v2": _encoder("albert", "AlbertModel", 1024, 24, 16),
    "albert-xlarge-v2": _encoder("albert", "AlbertModel", 2048, 24, 16),
    "albert-xxlarge-v2": _encoder("albert", "AlbertModel", 4096, 12, 64),
    "google/electra-small-discriminator": _of(
        "electra", "ElectraForPreTraining", embedding_size=128, hidden_size=256, num_attention_heads=4, intermediate_size=1024
    ),
    "microsoft/deberta-v3-xsmall": _deberta(384, 1536, 12, 6),
    "microsoft/deberta-v3-small": _deberta(768, 3072, 6, 12),
    "microsoft/deberta-v3-base": _deberta(768, 3072, 12, 12),
    "microsoft/deberta-v3-large": _deberta(1024, 4096, 24, 16),
    "microsoft/mdeberta-v3-base": _deberta(768, 3072, 12, 12, vocab_size=251000),
    "facebook/opt-350m": _opt(1024, 24, 16, word_embed_proj_dim=512, do_layer_norm_before=False),
    "facebook/opt-1.3b": _opt(2048, 24, 32),
    "facebook/opt-2.7b": _opt(2560, 32, 32),
    "facebook/opt-6.7b": _opt(4096, 32, 32),
    "facebook/opt-13b": _opt(5120, 40, 40),
    "facebook/opt-30b": _opt(7168, 48, 56),
    "EleutherAI/gpt-neo-125m": _neo(768, 12, 12),
    "EleutherAI/gpt-neo-1.3B": _neo(2048, 24, 16),
    "EleutherAI/gpt-neo-2.7B": _neo(2560, 32, 20),
    "EleutherAI/gpt-j-6b": _of("gptj", "GPTJForCausalLM"),
    "EleutherAI/gpt-neox-20b": _of("gpt_neox", "GPTNeoXForCausalLM"),
    "EleutherAI/pythia-70m": _pythia(512, 6, 8),
    "EleutherAI/pythia-160m": _pythia(768, 12, 12),
    "EleutherAI/pythia-410m": _pythia(1024, 24, 16),
    "EleutherAI/pythia-1b": _pythia(2048, 16, 8),
    "EleutherAI/pythia-1.4b": _pythia(2048, 24, 16),
    "EleutherAI/pythia-2.8b": _pythia(2560, 32, 32),
    "EleutherAI/pythia-6.9b": _pythia(4096, 32, 32, 50432),
    "EleutherAI/pythia-12b": _pythia(5120, 36, 40, 50688),
    "bigscience/bloom-560m": _bloom(1024, 24, 16),
    "bigscience/bloom-1b1": _bloom(1536, 24, 16),
    "bigscience/bloom-1b7": _bloom(2048, 24, 16),
    "bigscience/bloom-3b": _bloom(2560, 30, 32),
    "bigscience/bloom-7b1": _bloom(4096, 30, 32),
    "bigscience/bloom": _bloom(14336, 70, 112),
    "tiiuae/falcon-rw-1b": _falcon(
        vocab_size=50304, hidden_size=2048, num_hidden_layers=24, num_attention_heads=32, alibi=True, bias=True,
        multi_query=False, parallel_attn=False,
    ),
    "tiiuae/falcon-7b": _falcon(),
    "tiiuae/falcon-40b": _falcon(
        hidden_size=8192, num_hidden_layers=60, num_attention_heads=128, num_kv_heads=8, new_decoder_architecture=True
    ),
    "tiiuae/falcon-180B": _falcon(
        hidden_size=14848, num_hidden_layers=80, num_attention_heads=232, num_kv_heads=8, new_decoder_architecture=True,
        tie_word_embeddings=False,
    ),
    "huggyllama/llama-7b": _llama(4096, 11008, 32, 32, 32),
    "huggyllama/llama-13b": _llama(5120, 13824, 40, 40, 40),
    "huggyllama/llama-30b": _llama(6656, 17920, 60, 52, 52),
    "huggyllama/llama-65b": _llama(8192, 22016, 80, 64, 64),
    "meta-llama/Llama-2-70b-hf": _llama(8192, 28672, 80, 64, 8, max_position_embeddings=4096),
    "meta-llama/Llama-3.1-8B": _llama_3(4096, 14336, 32, 32),
    "meta-llama/Llama-3.1-70B": _llama_3(8192, 28672, 80, 64),
    "meta-llama/Llama-3.1-405B": _llama_3(16384, 53248, 126, 128),
    "meta-llama/Llama-3.2-1B": _llama_3(2048, 8192, 16, 32, head_dim=64, **_TIED),
    "meta-llama/Llama-3.2-3B": _llama_3(3072, 8192, 28, 24, head_dim=128, **_TIED),
    "meta-llama/Llama-3.3-70B": _llama_3(8192, 28672, 80, 64),
    "HuggingFaceTB/SmolLM2-135M": _smollm_2(576, 1536, 30, 9, 3),
    "HuggingFaceTB/SmolLM2-360M": _smollm_2(960, 2560, 32, 15, 5),
    "HuggingFaceTB/SmolLM2-1.7B": _smollm_2(2048, 8192, 24, 32, 32),
    "HuggingFaceTB/SmolLM3-3B": _decoder("smollm3", "SmolLM3ForCausalLM", 2048, 11008, 36, 16, 4, vocab_size=128256, **_TIED),
    "deepseek-ai/deepseek-llm-7b-base": _llama(4096, 11008, 30, 32, 32, vocab_size=102400, max_position_embeddings=4096),
    "deepseek-ai/DeepSeek-V3": _of("deepseek_v3", "DeepseekV3ForCausalLM"),
    "mistralai/Mistral-7B-v0.3": _of(
        "mistral", "MistralForCausalLM", vocab_size=32768, sliding_window=None, max_position_embeddings=32768
    ),
    "mistralai/Mistral-Small-24B-Base-2501": _decoder(
        "mistral", "MistralForCausalLM", 5120, 32768, 40, 32, 8, vocab_size=131072, head_dim=128, sliding_window=None,
        max_position_embeddings=32768,
    ),
    "mistralai/Mixtral-8x7B-v0.1": _of("mixtral", "MixtralForCausalLM"),
    "mistralai/Mixtral-8x22B-v0.1": _decoder(
        "mixtral", "MixtralForCausalLM", 6144, 16384, 56, 48, 8, vocab_size=32768, max_position_embeddings=65536
    ),
    "Qwen/Qwen2.5-0.5B": _qwen_2(896, 4864, 24, 14, 2, vocab_size=151936, **_TIED),
    "Qwen/Qwen2.5-1.5B": _qwen_2(1536, 8960, 28, 12, 2, vocab_size=151936, **_TIED),
    "Qwen/Qwen2.5-3B": _qwen_2(2048, 11008, 36, 16, 2, vocab_size=151936, **_TIED),
    "Qwen/Qwen2.5-7B": _qwen_2(3584, 18944, 28, 28, 4),
    "Qwen/Qwen2.5-14B": _qwen_2(5120, 13824, 48, 40, 8),
    "Qwen/Qwen2.5-32B": _qwen_2(5120, 27648, 64, 40, 8),
    "Qwen/Qwen2.5-72B": _qwen_2(8192, 29568, 80, 64, 8),
    "Qwen/Qwen3-0.6B": _qwen_3(1024, 3072, 28, 16, **_TIED),
    "Qwen/Qwen3-1.7B": _qwen_3(2048, 6144, 28, 16, **_TIED),
    "Qwen/Qwen3-4B": _qwen_3(2560, 9728, 36, 32, **_TIED),
    "Qwen/Qwen3-8B": _qwen_3(4096, 12288, 36, 32),
    "Qwen/Qwen3-14B": _qwen_3(5120, 17408, 40, 40),
    "Qwen/Qwen3-32B": _qwen_3(5120, 25600, 64, 64),
    "Qwen/Qwen3-30B-A3B": _qwen_3_experts(2048, 6144, 768, 48, 32),
    "Qwen/Qwen3-235B-A22B": _qwen_3_experts(4096, 12288, 1536, 94, 64),
    "microsoft/phi-1_5": _of("phi", "PhiForCausalLM"),
    "microsoft/phi-2": _of(
        "phi", "PhiForCausalLM", hidden_size=2560, intermediate_size=10240, num_hidden_layers=32, num_attention_heads=32,
        partial_rotary_factor=0.4,
    ),
    "microsoft/Phi-3-mini-4k-instruct": _phi_3(3072, 8192, 32, 32, 32, vocab_size=32064, sliding_window=2047),
    "microsoft/Phi-3-medium-4k-instruct": _phi_3(5120, 17920, 40, 40, 10, vocab_size=32064, sliding_window=2047),
    "microsoft/phi-4": _phi_3(5120, 17920, 40, 40, 10, vocab_size=100352, max_position_embeddings=16384),
    "openai/gpt-oss-20b": _of("gpt_oss", "GptOssForCausalLM", num_hidden_layers=24, num_local_experts=32),
    "openai/gpt-oss-120b": _of("gpt_oss", "GptOssForCausalLM", num_hidden_layers=36, num_local_experts=128),
    "allenai/OLMo-2-1124-7B": _decoder(
        "olmo2", "Olmo2ForCausalLM", 4096, 11008, 32, 32, 32, vocab_size=100352, tie_word_embeddings=False
    ),
    "allenai/OLMo-2-1124-13B": _decoder(
        "olmo2", "Olmo2ForCausalLM", 5120, 13824, 40, 40, 40, vocab_size=100352, tie_word_embeddings=False
    ),
    "google/gemma-2b": _gemma("gemma", 2048, 16384, 18, 8, 1, 256),
    "google/gemma-7b": _of("gemma", "GemmaForCausalLM"),
    "google/gemma-2-2b": _gemma("gemma2", 2304, 9216, 26, 8, 4, 256),
    "google/gemma-2-9b": _gemma("gemma2", 3584, 14336, 42, 16, 8, 256),
    "google/gemma-2-27b": _gemma("gemma2", 4608, 36864, 46, 32, 16, 128),
    "state-spaces/mamba-130m-hf": _of("mamba", "MambaForCausalLM", hidden_size=768, num_hidden_layers=24, vocab_size=50280),
    "bigcode/starcoder2-3b": _of("starcoder2", "Starcoder2ForCausalLM"),
    "t5-3b": _t5(1024, 16384, 24, 32, d_kv=128),
    "t5-11b": _t5(1024, 65536, 24, 128, d_kv=128),
    "facebook/bart-large-cnn": _bart(1024, 12, 16, vocab_size=50264),
    "openai/whisper-large-v2": _whisper(1280, 32, 20),
    "openai/whisper-large-v3-turbo": _whisper(1280, 32, 20, num_mel_bins=128, vocab_size=51866, decoder_layers=4),
    "facebook/hubert-base-ls960": _of("hubert", "HubertModel"),
    "facebook/dinov2-small": _dinov2(hidden_size=384, num_attention_heads=6),
    "facebook/dinov2-base": _dinov2(),
    "facebook/dinov2-large": _dinov2(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16),
    "facebook/dinov2-giant": _dinov2(hidden_size=1536, num_hidden_layers=40, num_attention_heads=24, use_swiglu_ffn=True),
    "google/vit-base-patch16-384": _vit(num_labels=1000, image_size=384),
    "google/vit-base-patch32-384": _vit(num_labels=1000, image_size=384, patch_size=32),
    "google/vit-large-patch32-384": _vit(num_labels=1000, image_size=384, patch_size=32, **_LARGE),
    "WinKawaks/vit-tiny-patch16-224": _deit(192, 3),
    "facebook/deit-tiny-patch16-224": _deit(192, 3),
    "facebook/deit-small-patch16-224": _deit(384, 6),
    "microsoft/swin-tiny-patch4-window7-224": _swin(),
    "microsoft/swin-small-patch4-window7-224": _swin(depths=[2, 2, 18, 2]),
    "microsoft/swin-base-patch4-window7-224": _swin(embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32]),
    "facebook/convnext-tiny-224": _convnext(),
    "facebook/convnext-small-224": _convnext(depths=_DEEP),
    "facebook/convnext-base-224": _convnext(depths=_DEEP, hidden_sizes=[128, 256, 512, 1024]),
    "facebook/convnext-large-224": _convnext(depths=_DEEP, hidden_sizes=[192, 384, 768, 1536]),
    "microsoft/resnet-18": _resnet(layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2]),
    "microsoft/resnet-34": _resnet(layer_type="basic", hidden_sizes=[64, 128, 256, 512]),
    "microsoft/resnet-50": _resnet(),
    "microsoft/resnet-101": _resnet(depths=[3, 4, 23, 3]),
    "microsoft/resnet-152": _resnet(depths=[3, 8, 36, 3]),
    "facebook/regnet-y-040": _of("regnet", "RegNetForImageClassification", num_labels=1000),
    "google/efficientnet-b7": _of("efficientnet", "EfficientNetForImageClassification", num_labels=1000),
    "openai/clip-vit-large-patch14-336": _of(
        "clip", "CLIPModel", projection_dim=768, vision_config={**_CLIP_L, "image_size": 336}, text_config=_CLIP_TEXT_L
    ),
    "google/siglip-base-patch16-224": _of("siglip", "SiglipModel"),
    "nvidia/segformer-b0-finetuned-ade-512-512": _of("segformer", "SegformerForSemanticSegmentation", num_labels=150),
}  # fmt: skip
