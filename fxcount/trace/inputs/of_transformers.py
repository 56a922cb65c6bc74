"""The inputs that a model of transformers takes, read off its config: a specification for each, with hints for its symbols.

transformers itself is not imported: a model brings its config along.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from fxcount.trace.inputs.specs import InputSpec, parse_inputs

__all__ = ["has_several_senses", "inputs_of"]

_SENSES = (
    "input_ids", "pixel_values", "pixel_values_videos", "input_features", "input_values", "bbox", "decoder_input_ids",
    "inputs", "past_values",
)  # fmt: skip
_PLACES = ("image_token_id", "image_token_index", "audio_token_id", "audio_token_index", "video_token_id")
_VISION = ("vision_config", "image_config", "backbone_config", "encoder", "vit_config", "vision_encoder_config")
_AUDIO = ("audio_config", "encoder_config", "encoder", "audio_encoder_config", "speech_config")

_GRID = 16  # patches on a side where a table of sizes is an input

Inputs = dict[str, Any]


def has_several_senses(config: Any) -> bool:
    """Whether the model sees or hears, and reads as well."""
    inner = {name for name, _ in _parts(config)}
    return bool(inner & {"text_config", "llm_config", "qformer_config"}) and len(inner) > 1


def inputs_of(model: Any) -> Inputs:
    """A specification for each input that a call of the model needs; the hints of its symbols are with it."""
    parameters = inspect.signature(model.forward).parameters
    call = _Call(model)
    return {name: call.spec(_RULES[name](call)) for name in _wanted(model, parameters) if name in _RULES}


def _wanted(model: Any, parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    main: Any = model.main_input_name
    main = [main] if isinstance(main, str) else list(main)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [n for n, p in parameters.items() if p.default is p.empty and p.kind not in variadic]
    config = model.config
    seen = {"pixel_values", "input_features", "input_values"} & set(parameters)
    if "input_ids" in parameters and (has_several_senses(config) or (seen and _found(config, "image_size", "input_size"))):
        wanted = [n for n in _SENSES if n in parameters and n != "decoder_input_ids"]
        if any(getattr(config, name, None) is not None for name in _PLACES):  # tokens stand for what is seen or heard
            wanted = ["input_ids", *_seen(config, parameters)]
    else:
        wanted = [n for n in main if n in parameters] or [n for n in _SENSES if n in parameters][:1]
    wanted += [name for name in required if name not in wanted]
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in parameters:
        wanted = [*[n for n in wanted if n != "decoder_input_ids"], "decoder_input_ids"]
    return wanted


def _seen(config: Any, parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Images for a model that puts what it sees in the place of tokens: whole ones, or the patches of images of known sizes.
    None for one whose images are cut up in ways that only their own sizes tell."""
    if "pixel_values" not in parameters or {"mm_token_type_ids", "pixel_attention_mask", "aspect_ratio_ids"} & set(parameters):
        return []
    if "image_grid_thw" in parameters:
        return ["pixel_values", "image_grid_thw"]
    cut = _found(config, "image_grid_pinpoints", "mm_tokens_per_image", "pixel_shuffle_ratio", "downsample_ratio")
    return ["pixel_values"] if cut is None else []


class _Call:
    """The inputs gathered for one call, and the hints of their symbols."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.config = model.config
        self.hints: dict[str, int] = {}

    def find(self, *names: str, first: tuple[str, ...] = (), default: Any = None) -> Any:
        return _found(self.config, *names, first=first, default=default)

    def symbol(self, name: str, hint: int) -> str:
        self.hints[name] = hint
        return name

    def spec(self, given: str | torch.Tensor) -> InputSpec:
        """The specification with those of the hints that it needs."""
        made: InputSpec = parse_inputs(given)
        return made.hinted(self.hints)


def _text(name: str) -> Callable[[_Call], str]:
    def rule(c: _Call) -> str:
        most = c.find("max_position_embeddings", "n_positions", "max_target_positions", first=("text_config",))
        if isinstance(most, int) and most < 129:
            c.symbol(name, max(2, most // 2))
        return f"i64[B,{name}]"

    return rule


def _pixels(c: _Call) -> str:
    parameters = inspect.signature(c.model.forward).parameters
    if "image_grid_thw" in parameters:  # patches of one image of 16 x 16
        vision = _found(c.config, "vision_config", default=c.config)
        sides = _found(vision, "patch_size", default=14) ** 2 * _found(vision, "temporal_patch_size", default=2)
        return f"{_GRID**2},{_found(vision, 'in_channels', 'in_chans', default=3) * sides}"
    channels = c.find("num_channels", "in_channels", "in_chans", "input_channels", first=_VISION, default=3)
    channels = channels if isinstance(channels, int) else 3
    size = c.find("image_size", "input_size", "img_size", first=_VISION)
    height, width = _height_and_width(size) if size is not None else ("H", "W")
    frames = c.find("num_frames")
    if isinstance(frames, int) and c.model.main_input_name == "pixel_values":  # of a video
        return f"B,{frames},{channels},{height},{width}"
    # images are not in step with texts where tokens stand for them
    batch = "N" if any(getattr(c.config, name, None) is not None for name in _PLACES) else "B"
    return f"{batch},{channels},{height},{width}"


def _clips(c: _Call) -> str:
    height, width = _height_and_width(c.find("image_size", "crop_size", first=_VISION, default=224))
    frames = c.find("num_frames", "frames_per_clip", default=16)
    return f"B,{frames},{c.find('num_channels', 'in_channels', 'in_chans', default=3)},{height},{width}"


def _spectrum(c: _Call) -> str:
    bands = c.find(
        "num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "feature_size", "n_mels", "num_mels",
        "num_mel_channels", "input_dim", first=_AUDIO, default=80,
    )  # fmt: skip
    positions = c.find("max_source_positions", first=_AUDIO)
    if isinstance(positions, int) and c.find("input_channels", first=_AUDIO) is None:  # whisper: bands first, 30 seconds
        return f"B,{bands},{2 * positions}"
    if c.find("enable_fusion", "spec_size", first=_AUDIO) is not None:  # clap
        return "B,1,1001,64"
    return f"B,{c.symbol('F', 256)},{bands}"


def _sound(c: _Call) -> str:
    if c.find("max_length") and c.find("num_mel_bins"):  # a spectrogram of a fixed length
        return f"B,{c.config.max_length},{c.config.num_mel_bins}"
    if c.find("audio_channels") is not None:  # codecs
        return f"B,{c.config.audio_channels},{c.symbol('A', 24000)}"
    return f"B,{c.symbol('A', 16000)}"


def _past(c: _Call) -> str:
    length = c.find("context_length", default=32) or 32
    return f"B,{length},{c.find('num_input_channels', default=1)}"


_RULES: dict[str, Callable[[_Call], Any]] = {
    **dict.fromkeys(("input_ids", "qformer_input_ids", "text_input_ids"), _text("S")),
    "decoder_input_ids": _text("T"),
    "attention_mask": lambda c: "i64[B,S]",
    "bbox": lambda c: "i64[B,S,4]",
    "inputs": lambda c: f"B,S,{getattr(c.config, 'd_model', 768)}",
    "inputs_embeds": lambda c: f"B,S,{c.find('hidden_size', default=768)}",
    "query_embeds": lambda c: f"B,32,{c.config.hidden_size}",
    "pixel_values": _pixels,
    "pixel_values_videos": _clips,
    "image_grid_thw": lambda c: torch.tensor([[1, _GRID, _GRID]]),
    "input_features": _spectrum,
    "input_values": _sound,
    "decoder_input_values": lambda c: f"B,T,{c.config.num_mel_bins}",
    "past_values": _past,
    "visual_feats": lambda c: f"B,36,{c.config.visual_feat_dim}",
    "visual_pos": lambda c: f"B,36,{c.config.visual_pos_dim}",
    "flattened_patches": lambda c: f"B,P,{c.find('patch_embed_hidden_size', default=768) + 2}",
}


def _parts(config: Any) -> Iterator[tuple[str, Any]]:
    """The configs inside one, with their names."""
    for name, value in list(vars(config).items()):
        if hasattr(value, "model_type") and hasattr(value, "to_dict"):
            yield name, value


def _found(config: Any, *names: str, first: tuple[str, ...] = (), default: Any = None) -> Any:
    """The first of these settings that the config or one inside it has; those in ``first`` are asked first."""
    inner = dict(_parts(config))
    for part in first:
        if part in inner and (found := _found(inner[part], *names)) is not None:
            return found
    for name in names:
        if (found := getattr(config, name, None)) is not None:
            return found
    for part in inner.values():
        if (found := _found(part, *names)) is not None:
            return found
    return default


def _height_and_width(size: Any) -> tuple[int, int]:
    """Of an image size given as a number, a pair or a dict."""
    if isinstance(size, Mapping):
        side = size.get("shortest_edge", 224)
        return int(size.get("height", side)), int(size.get("width", side))
    if isinstance(size, (list, tuple)):
        if len(size) > 1 and all(isinstance(n, int) for n in size):
            return int(size[0]), int(size[-1])
        size = size[0] if isinstance(size[0], int) else 224
    return int(size), int(size)
