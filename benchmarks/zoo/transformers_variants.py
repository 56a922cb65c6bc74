"""What single model types of transformers need besides the rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

__all__ = ["VARIANTS", "Variant"]


@dataclass(frozen=True, slots=True)
class Variant:
    """``inputs``: all modalities, only the main one, the main one with a mask, text only, or none by rule. ``layout``: which of
    the usual layouts of images and sound the type takes. ``half``: bfloat16, which expert kernels want. ``given`` are inputs
    in fxcount's notation besides or instead of those the rules make, with the ``hints`` of their symbols. One that
    ``reads_tables`` of its own is not measured on meta."""

    inputs: Literal["all", "main", "masked", "text", "none"] = "all"
    layout: int = 0
    half: bool = False
    shrunk: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    hints: Mapping[str, int] = field(default_factory=dict)
    reads_tables: bool = False


_SOUND = {"F": 3000}
_CLIPS = {"pixel_values_videos": "f32[B,F,3,H,W]"}
_CLIP = {"F": 16, "H": 336, "W": 336}
_PATCHES = {  # the table of grids has a row for each image, so there are two
    "pixel_values": "f32[2,256,768]", "pixel_attention_mask": "i64[2,256]", "spatial_shapes": torch.tensor([[16, 16]] * 2),
}  # fmt: skip
_PACKED = {"pixel_values": "f32[1,3,16,8192]", "target_sizes": torch.tensor([[16, 32]])}  # patches of 16 side by side
_PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
_BY_LAYER = {"full_attention": _PLAIN, "sliding_attention": _PLAIN}
_INDEXED = {
    "indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_head_dim": 256, "indexer_budget": 64, "indexer_compress_ratio": 16,
}  # fmt: skip
_SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 1152, "num_attention_heads": 16, "intermediate_size": 4304,
    "image_size": 364, "patch_size": 14, "num_hidden_layers": 2,
}  # fmt: skip
_DOTS = {
    "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
    "first_k_dense_replace": 1,
}  # fmt: skip
_STRIP_LENGTHS = (("long", 7), ("mid", 5), ("short", 3))
_STRIPS = {
    **{f"vertical_long_to_small_conv_{size}ratio": [[n, 1], 1, [n // 2, 0]] for size, n in _STRIP_LENGTHS},
    **{f"horizontal_small_to_long_conv_{size}ratio": [[1, n], 1, [0, n // 2]] for size, n in _STRIP_LENGTHS},
    **{f"symmetric_conv_long_{size}ratio": [n, 1, n // 2] for size, n in _STRIP_LENGTHS},
    "reduce_channel": [1, 1, 0], "return_channel": [1, 1, 0],
}  # fmt: skip
_LATERAL = {"intraclass_block_config": _STRIPS, "scale_factor_list": [1, 2, 4, 8], "kernel_list": [3, 2, 2]}
_REPVIT = {
    "model_type": "timm_wrapper", "architecture": "repvit_m1", "num_classes": 2,
    "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
}  # fmt: skip
_PERCEPTION = {
    "model_type": "timm_wrapper", "architecture": "vit_pe_lang_large_patch14_448", "do_pooling": False,
    "model_args": {"embed_dim": 1024, "img_size": [448, 448], "depth": 2, "global_pool": ""},
}  # fmt: skip
_MATTES = {
    "model_type": "vitdet", "num_channels": 4, "out_features": ["stage2"], "num_hidden_layers": 2, "hidden_size": 384,
    "num_attention_heads": 6,
}  # fmt: skip
_SEGMENTED = dict.fromkeys(("pixel_values", "prompt_pixel_values", "prompt_masks"), "f32[B,3,448,448]")
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 12, 12], "partial_rotary_factor": 0.5}
_MAIN = (
    "audioflamingo3 colqwen2 cosmos3_edge deepseek_vl deepseek_vl_hybrid exaone4_5 fuyu gemma3 glmasr got_ocr2 "
    "granite_docling granite_speech granite_speech_plus hyperclovax_vision_v2 idefics3 internvl janus lfm2_vl llama4 llava "
    "llava_next_video llava_onevision mistral3 modernvbert muse_glimmer musicflamingo neomme ovis2 paddleocr_vl paligemma "
    "pop2piano qianfan_ocr qwen2_5_omni_thinker qwen2_5_vl qwen2_vl qwen3_5 shieldgemma2 ultravbert video_llama_3 "
    "video_llava voxtral"
)
_MAIN_HALF = "aria minimax_m3_vl nemo_speechlm qwen3_vl_moe unlimited_ocr"
_HALF = (
    "aria_text axk1 bailing_hybrid ernie4_5_moe exaone_moe flex_olmo flint glm4_moe_lite gpt_oss granitemoe granitemoe_swa "
    "granitemoeshared hunyuan_v1_moe kimi_linear kolibri1 laguna mimo_v2_flash minimax minimax_m3_vl_text "
    "mistral4 muse_spark_text olmoe phimoe qwen2_moe qwen3_moe qwen3_vl_moe_text zaya"
)
_OTHER_LAYOUT = "neucodec pe_audio pe_audio_encoder seamless_m4t vibevoice_acoustic_tokenizer wav2vec2-bert xcodec"
_WHOLE = "chmv2 eomt eomt_dinov3 tipsv2_dpt zamba"  # whose few layers are all needed
_MAIN_WHOLE = "depth_anything dpt gemma3n_text prompt_depth_anything swin swin2sr vitpose"

VARIANTS: dict[str, Variant] = {
    **dict.fromkeys(_MAIN.split(), Variant("main")),
    **dict.fromkeys(_MAIN_HALF.split(), Variant("main", half=True)),
    **dict.fromkeys(_HALF.split(), Variant(half=True)),
    **dict.fromkeys(_OTHER_LAYOUT.split(), Variant(layout=1)),
    **dict.fromkeys(_WHOLE.split(), Variant(shrunk=False)),
    **dict.fromkeys(_MAIN_WHOLE.split(), Variant("main", shrunk=False)),
    "perceiver": Variant("text"),
    **dict.fromkeys(
        ("autoformer", "informer", "time_series_transformer"),
        Variant(config={"prediction_length": 24, "num_time_features": 2}),
    ),
    "audioflamingo3_encoder": Variant(
        "none", given={"input_features": "f32[B,128,F]", "input_features_mask": "i64[B,F]"}, hints=_SOUND
    ),
    "blip_2_qformer": Variant(given={"encoder_hidden_states": "f32[B,257,1408]"}),
    "chameleon": Variant("text", config={"vocabulary_map": {"<image>": 8711}}),
    "clvp": Variant(given={"input_features": "f32[B,80,F]"}, hints={"F": 256}),
    "csm": Variant("none", given={"input_ids": "i64[B,S,32]"}, hints={"S": 64}),
    "dbrx": Variant(config={"attn_config": {"rope_theta": 10000.0, "clip_qkv": 8.0}}),
    "depth_pro": Variant("none", shrunk=False, given={"pixel_values": "f32[B,3,H,W]"}, hints={"H": 1536, "W": 1536}),
    "dia": Variant("text", given={"decoder_input_ids": "i64[B,T,9]"}, hints={"T": 64}),
    "esm": Variant(config={"vocab_size": 33, "pad_token_id": 1}),
    "fun_asr_nano_encoder": Variant(
        "none", given={"input_features": "f32[B,F,560]", "input_features_mask": "i64[B,F]"}, hints={"F": 256}
    ),
    "gemma3n": Variant("text", shrunk=False),
    "gemma4_audio": Variant("none", given={"input_features": "f32[B,F,128]"}, hints={"F": 256}),
    **dict.fromkeys(("glm4v_text", "glm_image_text"), Variant(config={"rope_parameters": _ROPE})),
    **dict.fromkeys(
        ("glm4v", "glm46v", "glmga", "glm_image"), Variant("text", config={"text_config": {"rope_parameters": _ROPE}})
    ),
    "glm4v_moe_text": Variant(half=True, config={"rope_parameters": _ROPE, "head_dim": 128}),
    "glm4v_moe": Variant("text", half=True, config={"text_config": {"rope_parameters": _ROPE, "head_dim": 128}}),
    "glmasr_encoder": Variant("none", given={"input_features": "f32[B,128,F]"}, hints=_SOUND),
    "granite_speech5_ctc": Variant("none", given={"input_features": "f32[B,F,320]"}, hints={"F": 256}),
    "granite_speech5_encoder": Variant("none", given={"input_features": "f32[B,F,320]"}, hints={"F": 256}),
    "granitemoehybrid": Variant(half=True, config={"layer_types": ["mamba", "attention"], "num_hidden_layers": 2}),
    "idefics": Variant(
        "text", given={"pixel_values": "f32[B,1,3,224,224]", "image_attention_mask": "i64[B,S,1]"}, hints={"S": 64}
    ),
    "kyutai_speech_to_text": Variant("none", given={"input_ids": "i64[B,S,33]"}, hints={"S": 64}),
    "kimi_k25_vision": Variant(given={"pixel_values": "f32[256,3,14,14]"}),
    "lfm2_moe": Variant(half=True, config={"layer_types": ["conv", "full_attention"], "num_hidden_layers": 2}),
    "longt5": Variant("masked"),
    "lw_detr": Variant(shrunk=False),
    "lxmert": Variant(given={"visual_feats": "f32[B,36,2048]", "visual_pos": "f32[B,36,4]"}),
    "mimi_decoder": Variant("none", given={"latents": "f32[B,512,F]"}, hints={"F": 25}, reads_tables=True),
    "musicgen": Variant("text", given={"decoder_input_ids": "i64[4*B,T]"}, hints={"T": 64}),
    "musicgen_melody": Variant(
        "text", given={"decoder_input_ids": "i64[4*B,T]", "input_features": "f32[B,F,12]"}, hints={"T": 64, "F": 235}
    ),
    **dict.fromkeys(("colmodernvbert", "nemotron_h_omni"), Variant("text")),
    **dict.fromkeys(("pe_audio_video", "pe_audio_video_encoder"), Variant(layout=1, given=_CLIPS, hints=_CLIP)),
    **dict.fromkeys(("pe_video", "pe_video_encoder"), Variant(given=_CLIPS, hints=_CLIP)),
    "pix2struct": Variant(given={"flattened_patches": "f32[B,256,770]", "decoder_input_ids": "i64[B,T]"}, hints={"T": 64}),
    **dict.fromkeys(
        ("pocket_tts_audio_tokenizer", "pocket_tts_audio_tokenizer_encoder"),
        Variant("none", given={"input_values": "f32[B,1,A]"}, hints={"A": 24000}, reads_tables=True),
    ),
    **dict.fromkeys(("siglip2_vision_model", "siglip2"), Variant("none", given=_PATCHES)),
    **dict.fromkeys(("minicpm_ocr_vision", "minicpmv4_7_vision"), Variant("none", given=_PACKED)),
    "pp_ocrv5_server_det": Variant(config=_LATERAL),
    "edgetam": Variant(config={"vision_config": {"model_type": "edgetam_vision_model", "backbone_config": _REPVIT}}),
    "edgetam_vision_model": Variant(config={"backbone_config": _REPVIT}),
    "perception_lm": Variant("text", config={"vision_config": _PERCEPTION}),
    "deepseek_ocr2": Variant("text", config={"text_config": {"mlp_layer_types": ["dense", "sparse"], "num_hidden_layers": 2}}),
    "diffusion_gemma": Variant(
        "text", config={"text_config": {"num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 704}}, half=True
    ),
    "moonshine_streaming": Variant(config={"num_key_value_heads": 8}),
    "t5gemma2_encoder": Variant("text", config={"text_config": {"dropout_rate": 0.0}}),
    "vitmatte": Variant(
        "none",
        config={"fusion_hidden_sizes": [256, 128, 64, 32], "backbone_config": _MATTES},
        given={"pixel_values": "f32[B,4,H,W]"},
        hints={"H": 512, "W": 512},
    ),
    "tvp": Variant(
        "none",
        config={"num_frames": 4},
        given={  # its table of positions is of one clip
            "pixel_values": "f32[1,4,3,448,448]",
            "input_ids": "i64[1,S]",
            "attention_mask": "i64[1,S]",
        },
        hints={"S": 64},
    ),
    "jev": Variant(
        "none",
        given={
            "input_ids": "i64[1,S]",
            "marks": torch.tensor([[3, 7]]),
            "num_options": torch.tensor([[2, 3]]),
            "question_type_ids": torch.tensor([[0, 0]]),
        },
        hints={"S": 64},
    ),
    "rf_detr": Variant("none", shrunk=False, given={"pixel_values": "f32[B,3,H,W]"}, hints={"H": 560, "W": 560}),
    "pp_doclayout_v2": Variant(config={"class_thresholds": [0.5] * 25, "class_order": list(range(25))}),
    "inkling2_vision": Variant(
        "none", given={"pixel_values": "f32[256,40,40,3]", "image_grid_thw": torch.tensor([[1, 16, 16]])}
    ),
    "qwen3_omni_moe_thinker": Variant("text", half=True, config={"text_config": {"head_dim": 128}}),
    "sapiens2": Variant(
        config={
            "head_config": {
                "upsample_out_channels": [768, 512],
                "upsample_kernel_sizes": [4, 4],
                "conv_out_channels": [256, 128],
                "conv_kernel_sizes": [1, 1],
            }
        }
    ),
    "speecht5": Variant(
        "none", given={"input_values": "f32[B,A]", "decoder_input_ids": "i64[B,T]"}, hints={"A": 16000, "T": 32}
    ),
    "speech-encoder-decoder": Variant(
        "none", given={"input_values": "f32[B,A]", "decoder_input_ids": "i64[B,T]"}, hints={"A": 16000, "T": 32}
    ),
    "mimi_encoder": Variant("none", given={"input_values": "f32[B,1,A]"}, hints={"A": 24000}, reads_tables=True),
    "pocket_tts_audio_tokenizer_decoder": Variant(
        "none", given={"latents": "f32[B,512,F]"}, hints={"F": 25}, reads_tables=True
    ),
    **dict.fromkeys(("encodec", "mimi"), Variant(reads_tables=True)),
    **dict.fromkeys(("blip-2", "instructblip"), Variant(config={"image_token_index": 5})),
    "instructblipvideo": Variant(config={"video_token_index": 5}, given={"pixel_values": "f32[B,4,3,224,224]"}),
    "cohere_compass": Variant("text", config={"text_config": {"rope_parameters": _BY_LAYER}}),
    "cohere_compass_text": Variant(config={"rope_parameters": _BY_LAYER}),
    "kosmos-2": Variant(given={"image_embeds_position_mask": "bool[B,S]"}, hints={"S": 64}),
    "gemma4_vision": Variant(given={"pixel_values": "f32[B,252,768]", "pixel_position_ids": "i64[B,252,2]"}),
    "dots1": Variant(half=True, config=_DOTS),
    "aya_vision": Variant("text", config={"vision_config": _SIGLIP}),
    "emu3": Variant("text", config={"vocabulary_map": {"<image>": 5, "<|extra_200|>": 6}}),
    "udop": Variant(given={"decoder_input_ids": "i64[B,T]", "bbox": "f32[B,S,4]"}, hints={"T": 64, "S": 64}),
    "vilt": Variant(given={"input_ids": "i64[B,40]"}),
    "xclip": Variant(given={"pixel_values": "f32[B,8,3,224,224]"}),
    "xmod": Variant(config={"default_language": "en_XX"}),
    "voxtral_realtime_encoder": Variant("none", given={"input_features": "f32[B,128,F]"}, hints=_SOUND),
    "voxtral_realtime": Variant("text", given={"input_features": "f32[B,128,8*S]"}, hints={"S": 64}),
    "step3p7": Variant("text", config={"text_config": {"sliding_window": 512}}),
    "hunyuan_vl_text": Variant(config={"rope_parameters": {**_PLAIN, "mrope_section": [16, 24, 24]}}),
    "hunyuan_vl": Variant("text", config={"text_config": {"rope_parameters": {**_PLAIN, "mrope_section": [16, 24, 24]}}}),
    "oneformer": Variant(given={"task_inputs": "f32[B,77]"}),
    "muse_spark_audio": Variant(given={"input_values": "f32[B,A]"}, hints={"A": 19200}),
    "qwen3_asr_encoder": Variant(
        "none", given={"input_features": "f32[B,128,F]", "input_features_mask": "i64[B,F]"}, hints=_SOUND
    ),
    "vibevoice_acoustic_tokenizer_encoder": Variant("none", given={"hidden_states": "f32[B,1,A]"}, hints={"A": 25600}),
    "vibevoice_acoustic_tokenizer_decoder": Variant("none", given={"hidden_states": "f32[B,64,F]"}, hints={"F": 25}),
    "timm_backbone": Variant(config={"backbone": "resnet18", "use_pretrained_backbone": False}),
    "xcodec2": Variant(given={"input_features": "f32[B,F,160]", "input_values": "f32[B,1,320*F]"}, hints={"F": 256}),
    "seggpt": Variant("none", given=_SEGMENTED),
    "qwen4_exp_text": Variant(half=True, config=_INDEXED),
    "qwen4_exp": Variant("text", half=True, config={"text_config": _INDEXED}),
    "muse_glimmer_assistant": Variant(
        "none", given={"noise_embeds": "f32[B,16,6656]", "context_hidden_states": "f32[B,S,13312]"}, hints={"S": 64}
    ),
}
