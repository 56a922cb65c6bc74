"""Models whose training steps are compared: name -> how it is built, its inputs, and the sizes, which are not the hints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from benchmarks.steps.nets import NETS

__all__ = [
    "LANGUAGE", "OTHERS", "TIMM_FAMILIES", "Model", "hugging_face", "inputs_of", "made", "pytorch_image_models", "table",
]  # fmt: skip

Build = Callable[[], nn.Module]
IMAGE = {"B": 3, "H": 96, "W": 128}
TEXT = {"B": 3, "S": 29}


@dataclass(frozen=True)
class Model:
    """``specs`` and ``kwargs`` are input specifications; ``sizes`` are tried in order, until the model takes them."""

    build: Build
    specs: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[Mapping[str, int], ...] = ()
    hints: Mapping[str, int] = field(default_factory=dict)
    below: int = 2


def _no_network() -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.setdefault(name, "1")
    from fxcount.adapters import torchvision_ops  # noqa: F401  (before torchvision, which timm and transformers import)


# -- the table ------------------------------------------------------------------------------------------------------------
_VISION = (
    "resnet18", "resnet50", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "googlenet",
    "shufflenet_v2_x0_5", "squeezenet1_1", "regnet_y_400mf", "convnext_tiny", "swin_t", "mnasnet0_5", "alexnet", "vgg11_bn",
)  # fmt: skip
_TIMM = (
    "regnetx_002", "mobilevit_xxs", "ghostnet_050", "poolformer_s12", "convnextv2_atto", "efficientnet_lite0", "resnest14d",
    "edgenext_xx_small", "dla34", "hrnet_w18_small", "nfnet_l0", "repvgg_a0", "res2net50_26w_4s", "vgg11", "tinynet_e",
    "inception_v3", "mobilenetv4_conv_small", "fastvit_t8",
)  # fmt: skip
_TIMM_FIXED = {
    "vit_tiny_patch16_224": 224, "deit_tiny_patch16_224": 224, "mixer_s32_224": 224, "pit_ti_224": 224,
    "xcit_nano_12_p16_224": 224, "cait_xxs24_224": 224, "crossvit_tiny_240": 240, "levit_128s": 224,
    "coatnet_pico_rw_224": 224, "volo_d1_224": 224, "davit_tiny": 224, "focalnet_tiny_srf": 224,
    "swinv2_tiny_window8_256": 256, "eva02_tiny_patch14_224": 224,
}  # fmt: skip
_LLAMA = {
    "vocab_size": 211, "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 2,
}  # fmt: skip
_ENCODER = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
_TRANSFORMERS: dict[str, tuple[Any, ...]] = {
    "llama": ("Llama", _LLAMA, "ForCausalLM", {"input_ids": "i64[B,S]", "use_cache": False}, TEXT),
    "llama_cache": ("Llama", _LLAMA, "ForCausalLM", {"input_ids": "i64[B,S]", "use_cache": True}, TEXT),
    "gpt2": ("GPT2", {"vocab_size": 211, "n_embd": 64, "n_layer": 3, "n_head": 4}, "LMHeadModel",
             {"input_ids": "i64[B,S]", "use_cache": False}, TEXT),
    "bert": ("Bert", {**_ENCODER, "vocab_size": 211, "num_hidden_layers": 3}, "Model", {"input_ids": "i64[B,S]"}, TEXT),
    "t5": ("T5", {"vocab_size": 211, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}, "Model",
           {"input_ids": "i64[B,S]", "decoder_input_ids": "i64[B,T]", "use_cache": False}, {**TEXT, "T": 11}),
    "mixtral": ("Mixtral", {**_LLAMA, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
                "num_local_experts": 4}, "ForCausalLM", {"input_ids": "i64[B,S]", "use_cache": False}, TEXT),
    "mamba": ("Mamba", {"vocab_size": 211, "hidden_size": 48, "num_hidden_layers": 2, "state_size": 8}, "ForCausalLM",
              {"input_ids": "i64[B,S]", "use_cache": False}, {"B": 3, "S": 16}),
    "opt": ("OPT", {"vocab_size": 211, "hidden_size": 64, "num_hidden_layers": 2, "ffn_dim": 128, "num_attention_heads": 4,
            "word_embed_proj_dim": 64}, "ForCausalLM", {"input_ids": "i64[B,S]", "use_cache": False}, TEXT),
    "bart": ("Bart", {"vocab_size": 211, "d_model": 64, "encoder_layers": 2, "decoder_layers": 2,
             "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128},
             "Model", {"input_ids": "i64[B,S]", "decoder_input_ids": "i64[B,T]", "use_cache": False}, {**TEXT, "T": 11}),
    "wav2vec2": ("Wav2Vec2", {**_ENCODER, "num_hidden_layers": 2, "conv_dim": (32,) * 7}, "Model",
                 {"input_values": "f32[B,T]"}, {"B": 2, "T": 5000}, {"T": 4000}),
    "vit": ("ViT", {**_ENCODER, "num_hidden_layers": 2, "image_size": 64}, "Model", {"pixel_values": "f32[B,3,64,64]"},
            {"B": 3}),
    "segformer": ("Segformer", {"hidden_sizes": [16, 32, 64, 64], "depths": [1, 1, 1, 1]}, "Model",
                  {"pixel_values": "f32[B,3,H,W]"}, {"B": 2, "H": 96, "W": 128}),
}  # fmt: skip


@cache
def table() -> dict[str, Model]:
    """The models of the table of steps (tests/data/training_truth.csv has half of them)."""
    found: dict[str, Model] = {}

    def add(name: str, build: Build, spec: str, sizes: Mapping[str, int]) -> None:
        found[name] = Model(build, (spec,), sizes=(sizes,))

    for name in _VISION:
        add(f"tv_{name}", partial(_torchvision, name), "B,3,H,W", IMAGE)
    for name in ("vit_b_32", "maxvit_t"):
        add(f"tv_{name}", partial(_torchvision, name), "B,3,224,224", {"B": 3})
    add("tv_fcn", partial(_torchvision, "fcn_resnet50", weights_backbone=None), "B,3,H,W", {"B": 2, "H": 96, "W": 64})
    add("tv_r3d18", partial(_torchvision, "r3d_18"), "B,3,T,H,W", {"B": 1, "T": 9, "H": 48, "W": 64})
    for name in _TIMM:
        add(f"timm_{name}", partial(_timm, name), "B,3,H,W", IMAGE)
    for name, size in _TIMM_FIXED.items():
        add(f"timm_{name}", partial(_timm, name), f"B,3,{size},{size}", {"B": 3})
    for name, (stem, config, kind, kwargs, sizes, *hints) in _TRANSFORMERS.items():
        found[f"hf_{name}"] = Model(partial(_transformers, stem, config, kind), (), kwargs, (sizes,), *hints)
    for name, (kind_of_net, spec, sizes) in NETS.items():
        add(name, kind_of_net, spec, sizes)
    return found


def _torchvision(name: str, **options: Any) -> nn.Module:
    _no_network()
    import torchvision

    return torchvision.models.get_model(name, weights=None, **options)


def _timm(name: str) -> nn.Module:
    _no_network()
    import timm

    return timm.create_model(name, pretrained=False)


def _transformers(stem: str, config: Mapping[str, Any], kind: str) -> nn.Module:
    _no_network()
    import transformers

    made: nn.Module = getattr(transformers, stem + kind)(getattr(transformers, f"{stem}Config")(**config))
    return made


# -- one of each family of timm -------------------------------------------------------------------------------------------
TIMM_FAMILIES = (
    "bat_resnext26ts botnet26t_256 caformer_s18 cait_xxs24_224 coat_tiny coatnet_pico_rw_224 coatnext_nano_rw_224 "
    "convformer_s18 convit_tiny convmixer_768_32 convnext_atto convnextv2_atto cpubone_nano crossvit_tiny_240 "
    "cs3darknet_focus_s csatv2 cspdarknet53 cspnext_tiny cspresnet50 cspresnext50 darknet17 darknetaa53 davit_tiny "
    "deit_tiny_patch16_224 densenet121 densenetblur121d dla102x dpn68 eca_botnext26ts_256 eca_nfnet_l0 "
    "eca_resnext26ts eca_vovnet39b ecaresnet101d_pruned ecaresnetlight ecaresnext26t_32x4d edgenext_xx_small "
    "efficientformer_l1 efficientformerv2_s0 efficientnet_b0 efficientnetv2_rw_t efficientvim_m1 efficientvit_b0 "
    "efficientvit_m0 ese_vovnet19b_slim_dw eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 fbnetc_100 fbnetv3_b "
    "flexivit_small focalnet_tiny_srf gc_efficientnetv2_rw_t gcresnet33ts gcresnext26ts gcvit_xxtiny gernet_s "
    "ghostnet_050 ghostnetv3_050 gmixer_12_224 gmlp_ti16_224 halo2botnet50ts_256 halonet_h1 haloregnetz_b "
    "hardcorenas_b hgnet_tiny hgnetv2_b0 hiera_tiny_224 hieradet_small hrnet_w18_small iformer_t "
    "inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lambda_resnet26t lamhalobotnet50ts_256 "
    "lcnet_035 lcnetv2_small legacy_seresnet18 legacy_xception levit_384_s8 lowformer_b0 mambaout_femto "
    "maxvit_pico_rw_256 maxxvit_rmlp_nano_rw_256 maxxvitv2_nano_rw_256 mixer_s16_224 mixnet_s mnasnet_small "
    "mobilenet_edgetpu_v2_xs mobilenetv2_035 mobilenetv3_small_050 mobileone_s1 mobilevit_xxs mobilevitv2_050 "
    "mvitv2_tiny nest_tiny nextvit_small nf_seresnet26 pit_xs_224 poolformer_s12 poolformerv2_s12 pvt_v2_b0 "
    "rdnet_tiny regnetv_040 regnetx_002 regnety_008_tv regnetz_005 regnetz_d8 repghostnet_050 repvgg_a0 repvit_m1 "
    "res2net101_26w_4s resmlp_12_224 resnest14d resnet101_clip_gap resnet18 resnetaa50 resnetblur18 resnetrs50 "
    "resnetv2_18 resnext101_32x4d resnext26ts rexnet_100 rexnetr_100 sam2_hiera_tiny sebotnet33ts_256 sedarknet21 "
    "sehalonet33ts selecsls42 semnasnet_050 sequencer2d_s seresnet18 seresnet33ts seresnetaa50d seresnext101_32x4d "
    "seresnext26ts shvit_s1 skresnet18 skresnext50_32x4d spnasnet_100 starnet_s1 swiftformer_xs "
    "swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 swinv2_tiny_window8_256 tf_mixnet_s "
    "tf_mobilenetv3_small_minimal_100 tiny_vit_5m_224 tinynet_b tnt_s_legacy_patch16_224 tresnet_m twins_svt_small "
    "visformer_tiny vit_srelpos_small_patch16_224 vit_tiny_patch16_224 vit_tiny_patch16_dinov3_qkvb "
    "vit_tiny_r_s16_p8_224 vitamin_small_224 volo_d1_224 vovnet39a xception41 xcit_nano_12_p8_224 "
).split()
"""The smallest of each family of timm, below 60 million parameters."""


def pytorch_image_models(names: Iterable[str]) -> dict[str, Model]:
    """Models of timm: at an image of another size where the model takes one, else at its own; a batch of 3."""
    _no_network()
    import timm

    found = {}
    for name in names:
        config = timm.get_pretrained_cfg(name, allow_unregistered=True)
        channels, height, width = (3, 224, 224) if config is None else config.input_size
        sizes = ({"B": 3, "H": 96, "W": 128}, {"B": 3, "H": height, "W": width})
        found[name] = Model(partial(_timm, name), (f"B,{channels},H,W",), sizes=sizes, hints={"B": 2, "H": height, "W": width})
    return found


# -- transformers ---------------------------------------------------------------------------------------------------------
LANGUAGE = (
    "llama mistral mixtral qwen2 qwen2_moe qwen3 qwen3_moe gemma gemma2 gemma3_text phi phi3 olmo olmo2 olmo3 olmoe cohere "
    "cohere2 granite granitemoe stablelm starcoder2 persimmon gpt_neox glm glm4 helium nemotron smollm3 exaone4 ernie4_5 "
    "arcee apertus seed_oss diffllama bitnet gpt_oss falcon gpt_bigcode biogpt xglm opt bloom"
).split()
OTHERS = (
    "albert bert bert-generation big_bird blenderbot-small camembert canine convbert convnext convnextv2 cvt deberta "
    "deberta-v2 deit dinov2 distilbert electra ernie fnet focalnet funnel gpt_neo gptj hiera ibert layoutlm levit longformer "
    "megatron-bert mobilebert mobilenet_v1 mobilenet_v2 mobilevit mobilevitv2 mpnet mra nystromformer poolformer pvt pvt_v2 "
    "regnet rembert resnet roberta roformer segformer speech_to_text splinter squeezebert swiftformer swin swinv2 t5 vit "
    "vit_msn whisper xlm-roberta yolos yoso audio-spectrogram-transformer beit clip wav2vec2 hubert textnet vilt"
).split()
"""Types of transformers: language models with a head, and what the zoo builds of its own defaults."""

_SMALL = {
    "vocab_size": 211, "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def hugging_face(language: Iterable[str], others: Iterable[str]) -> dict[str, Model]:
    """Types of transformers: small language models by configuration, and others as the zoo builds them."""
    _no_network()
    from benchmarks.zoo.registry import entries

    found = {kind: Model(partial(_language, kind), (), {"input_ids": "i64[B,S]", "use_cache": False}, (TEXT,))
             for kind in language}  # fmt: skip
    by_kind = {e.name: e for e in entries("transformers")}
    for kind in others:
        entry = by_kind.get(kind)
        if entry is not None:
            found[kind] = _of_zoo(entry)
    return found


_WITHOUT = {"falcon": ("head_dim",)}  # what a configuration works out itself


def _language(kind: str) -> nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM

    options = {name: value for name, value in _SMALL.items() if name not in _WITHOUT.get(kind, ())}
    made: nn.Module = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **options))
    return made


def _of_zoo(entry: Any) -> Model:
    """Its inputs are known when it is built."""
    return Model(entry.build, specs=(entry,))


_BELOW = {"layoutlm": 1}  # a box whose right side is left of its left one is none
_STEPS = {"longformer": {"S": -16}}  # it has positions for no more tokens than the hint
_DECIDED = {"ibert": {"branch": 0}}  # a range that an earlier step has found


def inputs_of(model: Model, built: nn.Module) -> Model:
    """The model with its inputs, where these follow from the built one."""
    from benchmarks.zoo.entry import Entry

    if not model.specs or not isinstance(model.specs[0], Entry):
        return model
    given = model.specs[0].inputs(built)
    kind = model.specs[0].name
    steps = {"B": 1, "S": 16, "T": 16, "L": 16, **_STEPS.get(kind, {})}
    moved = {n: h + steps.get(n, 0) for n, h in given.hints.items()}
    hints = {**given.hints, **_DECIDED.get(kind, {})}
    below = _BELOW.get(kind, given.below)
    return Model(model.build, given.args, given.kwargs, (moved, {**given.hints, "B": 3}), hints, below)


def made(model: Model) -> tuple[nn.Module, Model]:
    """The model in train mode with random weights, none of which is huge, and its inputs."""
    torch.manual_seed(0)
    built = model.build().train()
    for p in built.parameters():
        if p.is_floating_point() and p.numel() and not bool(torch.isfinite(p.flatten()[:1]).all()):
            p.data.zero_()
    return built, inputs_of(model, built)
