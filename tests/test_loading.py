"""Models of transformers by name: all of the model, all of its inputs, checkpoints known without network.

Parameters are those published for the checkpoints (``num_parameters()`` on the hub, model cards and papers)."""

from __future__ import annotations

from typing import Any

import pytest

import fxcount
from fxcount.adapters.load import load
from fxcount.errors import InputError

pytest.importorskip("transformers")

PUBLISHED = {
    "bert-base-uncased": 109_514_298, "google-bert/bert-large-uncased": 335_174_458, "gpt2": 124_439_808,
    "gpt2-xl": 1_557_611_200, "distilbert-base-uncased": 66_985_530, "roberta-base": 124_697_433, "t5-small": 60_506_624,
    "facebook/bart-base": 139_420_416, "openai/whisper-tiny": 37_760_640, "openai/whisper-large-v3": 1_543_490_560,
    "openai/clip-vit-base-patch32": 151_277_313, "openai/clip-vit-large-patch14": 427_616_513,
    "google/vit-base-patch16-224": 86_567_656, "facebook/detr-resnet-50": 41_524_768, "facebook/wav2vec2-base-960h": 94_396_320,
    "meta-llama/Llama-2-7b-hf": 6_738_415_616, "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_checkpoints_have_their_published_parameters(name: str) -> None:
    model = fxcount.load_model(f"hf:{name}")
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name]


SMALL = {"num_hidden_layers": 1}
SIDES = {"encoder_layers": 1, "decoder_layers": 1}
TWO_TOWERS: dict[str, Any] = {"text_config": SMALL, "vision_config": SMALL}
# type -> settings that make it small, its class, its inputs
WHOLE: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "whisper": (SIDES, "WhisperForConditionalGeneration", ["input_features", "decoder_input_ids"]),
    "bart": (SIDES, "BartForConditionalGeneration", ["input_ids", "decoder_input_ids"]),
    "speech_to_text": (SIDES, "Speech2TextForConditionalGeneration", ["input_features", "decoder_input_ids"]),
    "bert": (SMALL, "BertForMaskedLM", ["input_ids"]),
    "clip": (TWO_TOWERS, "CLIPModel", ["input_ids", "pixel_values"]),
    "siglip": (TWO_TOWERS, "SiglipModel", ["input_ids", "pixel_values"]),
    "vilt": (SMALL, "ViltModel", ["input_ids", "pixel_values"]),
    "git": ({**SMALL, "vision_config": SMALL}, "GitForCausalLM", ["input_ids", "pixel_values"]),
    "wav2vec2": (SMALL, "Wav2Vec2ForCTC", ["input_values"]),
    "detr": (SIDES, "DetrForObjectDetection", ["pixel_values"]),
    "sam": ({"vision_config": {"num_hidden_layers": 1, "global_attn_indexes": [0]}}, "SamModel", ["pixel_values"]),
    "resnet": ({}, "ResNetForImageClassification", ["pixel_values"]),
}
IDLE = {"wav2vec2": ["masked_spec_embed"], "sam": ["prompt_encoder", "shared_image_embedding", "iou_prediction_head"]}
"""What a call without masks, or without prompts, does not use."""


@pytest.mark.parametrize("kind", WHOLE)
def test_a_type_is_loaded_whole(kind: str) -> None:
    """Every parameter matters to the outputs: no tower, no encoder is left without an input."""
    settings, expected, inputs = WHOLE[kind]
    model, args, kwargs = load(f"hf:{kind}", arguments=settings)
    assert type(model).__name__ == expected
    assert list(kwargs) == inputs
    report = fxcount.analyze(model, *args, **kwargs)
    idle = tuple(IDLE.get(kind, ()))
    assert not [r.name for r in report.params.rows("dead") if not any(part in r.name for part in idle)]
    assert "B" in {s.name for s in report.macs.free_symbols}
    assert report.uncounted == ()


def test_a_decoder_stays_one() -> None:
    assert type(fxcount.load_model("hf:bert", is_decoder=True, num_hidden_layers=1)).__name__ == "BertLMHeadModel"
    assert type(fxcount.load_model("hf:gpt2", n_layer=1)).__name__ == "GPT2LMHeadModel"


def test_settings_change_a_checkpoint() -> None:
    model = fxcount.load_model("hf:bert-large-uncased", num_hidden_layers=2)
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (1024, 2)


def test_a_checkpoint_that_is_not_known_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"without network\n.*config\.json.*hf:openai/whisper-small"):
        fxcount.load_model("hf:openai/whisper-smal")
