"""Real models at CPU size for the gradient tests: the architectures of the libraries, few layers, small images, short texts.

A name says the library; the options shrink the model. Inputs are given as :mod:`tests.zoo` writes them, with symbols.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

import fxcount
from tests.zoo import Sizes

__all__ = ["MODELS", "Model"]

SIZES = {"B": 2, "H": 64, "W": 72, "S": 11, "T": 7}


@dataclass(frozen=True)
class Model:
    """How to build a model, the inputs it is traced with, and whether it is compared in training mode, in eval mode."""

    name: str
    build: Callable[[], nn.Module]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    modes: tuple[bool, ...] = (True, False)

    def __str__(self) -> str:
        return self.name

    @property
    def sizes(self) -> Sizes:
        """The sizes it is run at: those of :data:`SIZES` that its inputs name."""
        text = " ".join([*self.args, *self.kwargs.values()])
        return {name: size for name, size in SIZES.items() if name in text}

    def analyse(self, model: nn.Module) -> fxcount.Report:
        return fxcount.analyze(model, *self.args, hints=self.sizes, **self.kwargs)


def _timm(name: str, image: int | None = None, size: int = 64, **options: Any) -> Model:
    """``image``: size the model is built for, else it is built for any and run at ``size``."""
    if image is not None:
        options["img_size"] = image
    return Model(
        f"timm:{name}",
        lambda: importlib.import_module("timm").create_model(name, pretrained=False, num_classes=7, **options),
        (f"B,3,{image or size},{image or size}",),
    )


def _vision(name: str, given: str = "B,3,H,W", **options: Any) -> Model:
    return Model(
        f"torchvision:{name}",
        lambda: importlib.import_module("torchvision").models.get_model(name, weights=None, **options),
        (given,),
    )  # fmt: skip


def _hugging(
    kind: str, config: str, given: Mapping[str, Any], modes: tuple[bool, ...] = (True, False), **settings: Any
) -> Model:
    def build() -> nn.Module:
        library = importlib.import_module("transformers")
        return getattr(library, kind)(getattr(library, config)(**settings))

    return Model(f"transformers:{kind}", build, (), given, modes)


_EVALUATION = (False,)  # in training these leave out layers at random
_IDS = {"input_ids": "i64[B,S]"}
_PAIR = {"input_ids": "i64[B,S]", "decoder_input_ids": "i64[B,T]"}
_WIDTH = {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 3, "num_hidden_layers": 2, "vocab_size": 61}
_GROUPED = {**_WIDTH, "num_attention_heads": 6, "num_key_value_heads": 3, "pad_token_id": 0}
_ENCODER_DECODER = {
    "d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 3, "decoder_attention_heads": 3,
    "encoder_ffn_dim": 40, "decoder_ffn_dim": 36, "vocab_size": 61, "max_position_embeddings": 64,
}  # fmt: skip
_T5 = {"num_layers": 2, "d_model": 24, "d_ff": 40, "d_kv": 8, "num_heads": 3, "vocab_size": 61}
_GPT = {"n_layer": 2, "n_embd": 24, "n_head": 3, "vocab_size": 61, "n_positions": 64}
_IMAGE = {
    "hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 3, "num_hidden_layers": 2, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
_WHISPER = {
    **_ENCODER_DECODER, "max_source_positions": 10, "num_mel_bins": 16, "max_target_positions": 16, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3,
}  # fmt: skip
_SPEECH = {
    **_WIDTH, "conv_dim": (16, 16), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
_PIXELS = {"pixel_values": "B,3,32,32"}

MODELS = (
    _vision("resnet18"),
    _vision("googlenet", init_weights=False, aux_logits=True),
    _vision("inception_v3", "B,3,299,299", init_weights=False, aux_logits=True),
    _vision("squeezenet1_1"),
    _vision("mnasnet0_5"),
    _vision("shufflenet_v2_x0_5"),
    _vision("mobilenet_v2"),
    _vision("densenet121", "B,3,64,64"),
    _vision("efficientnet_b0"),
    _vision("regnet_x_400mf"),
    _vision("swin_t", "B,3,56,56"),
    _vision("swin_v2_t", "B,3,64,64"),
    _vision("lraspp_mobilenet_v3_large", weights_backbone=None),
    _vision("fcn_resnet50", weights_backbone=None, aux_loss=True),
    _vision("deeplabv3_mobilenet_v3_large", weights_backbone=None, aux_loss=True),
    _timm("vit_tiny_patch16_224", 32, depth=2),
    _timm("deit3_small_patch16_224", 32, depth=2),
    _timm("deit_tiny_distilled_patch16_224", 32, depth=2),
    _timm("beit_base_patch16_224", 32, depth=1),
    _timm("eva02_tiny_patch14_224", 28, depth=2),
    _timm("cait_xxs24_224", 32, depth=2),
    _timm("convit_tiny", 32, depth=3),
    _timm("coat_lite_tiny", 32),
    _timm("pit_ti_224", 32),
    _timm("levit_128s", 64),
    _timm("mixer_s32_224", 64),
    _timm("gmlp_s16_224", 32),
    _timm("resmlp_12_224", 32),
    _timm("xcit_nano_12_p16_224", 32, depth=2),
    _timm("volo_d1_224", 32),
    _timm("swinv2_tiny_window8_256", 64, depths=(1, 1, 1, 1)),
    _timm("twins_svt_small", 64, depths=(1, 1, 1, 1)),
    _timm("pvt_v2_b0", size=64),
    _timm("mobilevit_xxs", size=64),
    _timm("mobilevitv2_050", size=64),
    _timm("edgenext_xx_small", size=64),
    _timm("efficientformerv2_s0", 64),
    _timm("fastvit_t8", size=64),
    _timm("poolformer_s12", size=64),
    _timm("convnextv2_atto", size=64),
    _timm("resnetv2_50", size=64, layers=(1, 1, 1, 1)),
    _timm("nf_resnet50", size=64),
    _timm("regnetz_b16", size=64),
    _timm("dla34", size=64),
    _timm("ese_vovnet19b_slim", size=64),
    _timm("ghostnet_050", size=64),
    _timm("hrnet_w18_small", size=64),
    _timm("repvgg_a0", size=64),
    _timm("mobileone_s0", size=64),
    _timm("skresnet18", size=64),
    _timm("selecsls42", size=64),
    _timm("maxvit_rmlp_pico_rw_256", 64),
    _timm("focalnet_tiny_srf", size=64),
    _timm("nest_tiny", 64),
    _timm("sequencer2d_s", 64, layers=(1, 1, 1, 1)),
    _timm("hiera_tiny_224", 64),
    _timm("mambaout_femto", size=64),
    _timm("lcnet_050", size=64),
    _timm("hgnetv2_b0", size=64),
    _timm("crossvit_tiny_240", 240),
    _hugging("BertForMaskedLM", "BertConfig", _IDS, **_WIDTH),
    _hugging("BertModel", "BertConfig", _IDS, **_WIDTH),
    _hugging("RobertaModel", "RobertaConfig", _IDS, **_WIDTH),
    _hugging("AlbertForMaskedLM", "AlbertConfig", _IDS, **_WIDTH, embedding_size=12),
    _hugging("DistilBertForMaskedLM", "DistilBertConfig", _IDS, dim=24, hidden_dim=40, n_heads=3, n_layers=2,
        vocab_size=61),
    _hugging("ElectraForPreTraining", "ElectraConfig", _IDS, **_WIDTH, embedding_size=12),
    _hugging("DebertaV2Model", "DebertaV2Config", _IDS, **_WIDTH),
    _hugging("MPNetModel", "MPNetConfig", _IDS, **_WIDTH),
    _hugging("GPT2LMHeadModel", "GPT2Config", _IDS, **_GPT),
    _hugging("GPTNeoXForCausalLM", "GPTNeoXConfig", _IDS, **_WIDTH),
    _hugging("OPTForCausalLM", "OPTConfig", _IDS, hidden_size=24, ffn_dim=40, num_attention_heads=3,
        num_hidden_layers=2, vocab_size=61, word_embed_proj_dim=12),
    _hugging("BloomForCausalLM", "BloomConfig", _IDS, hidden_size=24, n_head=3, n_layer=2, vocab_size=61),
    _hugging("LlamaForCausalLM", "LlamaConfig", _IDS, **_GROUPED),
    _hugging("Qwen2ForCausalLM", "Qwen2Config", _IDS, **_GROUPED),
    _hugging("GemmaForCausalLM", "GemmaConfig", _IDS, **_GROUPED, head_dim=4),
    _hugging("PhiForCausalLM", "PhiConfig", _IDS, **_GROUPED),
    _hugging("MixtralForCausalLM", "MixtralConfig", _IDS, **_GROUPED, num_local_experts=4),
    _hugging("MambaForCausalLM", "MambaConfig", _IDS, hidden_size=24, num_hidden_layers=2, vocab_size=61),
    _hugging("T5ForConditionalGeneration", "T5Config", _PAIR, **_T5),
    _hugging("MT5EncoderModel", "MT5Config", _IDS, **_T5),
    _hugging("BartForConditionalGeneration", "BartConfig", _PAIR, **_ENCODER_DECODER),
    _hugging("PegasusModel", "PegasusConfig", _PAIR, **_ENCODER_DECODER),
    _hugging("FNetModel", "FNetConfig", _IDS, hidden_size=24, intermediate_size=40, num_hidden_layers=2, vocab_size=61),
    _hugging("XLNetLMHeadModel", "XLNetConfig", _IDS, d_model=24, n_layer=2, n_head=3, d_inner=40, vocab_size=61),
    _hugging("ViTForImageClassification", "ViTConfig", _PIXELS, **_IMAGE),
    _hugging("ViTMAEModel", "ViTMAEConfig", _PIXELS, **_IMAGE),
    _hugging("BeitModel", "BeitConfig", _PIXELS, **_IMAGE),
    _hugging("Dinov2Model", "Dinov2Config", _PIXELS, **_IMAGE),
    _hugging("ConvNextModel", "ConvNextConfig", _PIXELS, hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1]),
    _hugging("SegformerForSemanticSegmentation", "SegformerConfig", {"pixel_values": "B,3,64,64"},
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 3, 4], decoder_hidden_size=16),
    _hugging("CLIPModel", "CLIPConfig", {"input_ids": "i64[B,S]", **_PIXELS},
        text_config={**_WIDTH, "max_position_embeddings": 32}, vision_config=_IMAGE, projection_dim=16),
    _hugging("SiglipVisionModel", "SiglipVisionConfig", _PIXELS, **_IMAGE),
    _hugging("PerceiverModel", "PerceiverConfig", {"inputs": "B,S,20"}, d_model=20, d_latents=24, num_latents=5,
        num_blocks=1, num_self_attends_per_block=2, num_self_attention_heads=2, num_cross_attention_heads=2),
    _hugging("Wav2Vec2Model", "Wav2Vec2Config", {"input_values": "B,1600"}, _EVALUATION, **_SPEECH),
    _hugging("HubertModel", "HubertConfig", {"input_values": "B,1600"}, _EVALUATION, **_SPEECH),
    _hugging("WhisperModel", "WhisperConfig", {"input_features": "B,16,20", "decoder_input_ids": "i64[B,T]"}, **_WHISPER),
)  # fmt: skip
