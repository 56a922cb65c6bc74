"""The inputs of a transformers model: from the names ``forward`` takes and the sizes in its configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.entry import Inputs, bools, floats, longs
from benchmarks.zoo.transformers_configs import find, height_and_width
from benchmarks.zoo.transformers_variants import Variant

__all__ = ["inputs_of"]

_MODALITIES = (
    "input_ids", "pixel_values", "pixel_values_videos", "input_features", "input_values", "bbox", "decoder_input_ids",
    "inputs", "past_values",
)  # fmt: skip
# Token counts where 64 is less than a window, a block or a pooling factor.
_TOKENS = {
    "longformer": 512, "led": 1024, "big_bird": 704, "bigbird_pegasus": 704, "reformer": 1024, "esmfold2": 32, "funnel": 64,
    "canine": 128, "owlvit": 16, "owlv2": 16, "sam3": 32,
}  # fmt: skip
_OWN = {"decision_transformer": ("states", "actions", "rewards", "returns_to_go", "timesteps")}
_VISION = (
    "vision_config", "image_config", "backbone_config", "encoder", "vit_config", "perceptual_config", "vision_encoder_config",
)  # fmt: skip
_AUDIO = ("audio_config", "encoder_config", "encoder", "audio_encoder_config", "speech_config")
# Models with such a token want one in ``input_ids`` for every patch of an image or frame of sound: values, not sizes.
_PLACES = ("image_token_id", "image_token_index", "audio_token_id", "audio_token_index", "video_token_id")
_GRID = 16  # patches on a side where a table of sizes is an input

Sizes = dict[str, int]


class _Call:
    """The inputs gathered for one call; sizes get symbols here, and symbols their hints."""

    def __init__(self, model: nn.Module, kind: str, variant: Variant) -> None:
        self.config: Any = model.config
        self.takes_patches = "grid_thw" in inspect.signature(model.forward).parameters
        self.kind = kind
        self.layout = variant.layout
        self.hints: Sizes = {"B": 2}

    def symbol(self, name: str, size: int) -> str:
        """The symbol for a size; the size itself as text if the symbol already stands for another one."""
        return name if self.hints.setdefault(name, int(size)) == size else str(size)

    def find(self, *names: str, first: tuple[str, ...] = (), default: Any = None) -> Any:
        return find(self.config, *names, first=first, default=default)

    @property
    def tokens(self) -> str:
        return self.symbol("S", _TOKENS.get(self.kind, 64))

    def image(self, channels: int, height: int, width: int) -> str:
        return floats("B", channels, self.symbol("H", height), self.symbol("W", width))


def inputs_of(model: nn.Module, kind: str, variant: Variant) -> Inputs:
    """The inputs of one call of ``model``.

    Raises NotImplementedError for an input there is no rule for.
    """
    parameters = inspect.signature(model.forward).parameters
    call = _Call(model, kind, variant)
    kwargs: dict[str, Any] = {}
    for name in _wanted(model, parameters, kind, variant):
        if name in variant.given:
            continue
        rule = _RULES.get(name)
        if rule is None:
            raise NotImplementedError(f"no rule for the input {name}")
        kwargs[name] = rule(call)
    kwargs.update(variant.given)
    call.hints.update(variant.hints)
    if "use_cache" in parameters:
        kwargs["use_cache"] = False
    if variant.half:
        kwargs = {k: v.replace("f32[", "bf16[") if isinstance(v, str) else v for k, v in kwargs.items()}
    return Inputs((), kwargs, call.hints, below=min(100, int(call.find("vocab_size", default=100) or 100)))


def _wanted(model: nn.Module, parameters: Mapping[str, inspect.Parameter], kind: str, variant: Variant) -> list[str]:
    if kind in _OWN or variant.inputs == "none":
        return list(_OWN.get(kind, ()))
    main: Any = model.main_input_name
    main = [main] if isinstance(main, str) else list(main)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [n for n, p in parameters.items() if p.default is p.empty and p.kind not in variadic]
    places = variant == Variant() and any(getattr(model.config, name, None) is not None for name in _PLACES)
    if variant.inputs == "text" or (places and "input_ids" in parameters):
        wanted = ["input_ids"]
    elif variant.inputs == "all":
        wanted = [name for name in _MODALITIES if name in parameters]
    else:
        wanted = [n for n in main if n in parameters] or [n for n in _MODALITIES if n in parameters][:1]
    if variant.inputs == "all" and variant.layout == 1 and "input_features_mask" in parameters:
        wanted.append("input_features_mask")
    if variant.inputs == "masked" and "attention_mask" in parameters:
        wanted.append("attention_mask")
    wanted += [name for name in required if name not in wanted]
    two_sided = bool(getattr(model.config, "is_encoder_decoder", False))
    if two_sided and "decoder_input_ids" in parameters and "decoder_input_ids" not in wanted:
        wanted.append("decoder_input_ids")
    if not two_sided and "decoder_input_ids" not in required:
        wanted = [name for name in wanted if name != "decoder_input_ids"]
    return wanted


def _pixels(c: _Call) -> str:
    if c.takes_patches:
        return _patches(c)
    channels = c.find("num_channels", "in_channels", "in_chans", "input_channels", first=_VISION, default=3)
    channels = channels if isinstance(channels, int) else 3
    height, width = height_and_width(c.find("image_size", "input_size", "img_size", first=_VISION, default=224))
    if c.layout >= 2:
        height = width = 224
    if c.kind == "siglip2_vision_model":
        return floats("B", _GRID**2, channels * c.config.patch_size**2)
    if c.kind in ("videomae", "timesformer", "vivit"):
        frames = c.find("num_frames", default=8)
        return floats("B", frames, channels, c.symbol("H", height), c.symbol("W", width))
    if c.kind in ("superglue", "efficientloftr", "lightglue"):  # pairs of images
        return floats("B", 2, 3, c.symbol("H", 256), c.symbol("W", 320))
    return c.image(channels, height, width)


def _clips(c: _Call) -> str:
    channels = c.find("num_channels", "in_channels", "in_chans", default=3)
    height, width = height_and_width(c.find("image_size", "crop_size", first=_VISION, default=224))
    frames = c.find("num_frames", "frames_per_clip", default=16)
    return floats("B", c.symbol("F", frames), channels, c.symbol("H", height), c.symbol("W", width))


def _spectrum(c: _Call) -> str:
    bands = c.find(
        "num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "feature_size", "input_feat_size",
        "n_mels", "num_mels", "input_dim", "num_mel_channels", first=_AUDIO, default=80,
    )  # fmt: skip
    positions = c.find("max_source_positions", first=_AUDIO)
    if c.layout % 2 == 0 and isinstance(positions, int) and c.kind != "speech_to_text":
        return floats("B", bands, c.symbol("F", 2 * positions))
    if c.kind == "clap":
        return floats("B", 1, 1001, 64)
    return floats("B", c.symbol("F", 256), bands)


def _sound(c: _Call) -> str:
    if c.kind == "audio-spectrogram-transformer":
        return floats("B", c.config.max_length, c.config.num_mel_bins)
    if c.layout % 2 == 0 and c.kind not in ("encodec", "dac", "mimi"):
        return floats("B", c.symbol("A", 16000))
    return floats("B", 1, c.symbol("A", 24000))


def _past(what: str) -> Callable[[_Call], str]:
    def rule(c: _Call) -> str:
        context = c.find("context_length", default=32) or 32
        if hasattr(c.config, "lags_sequence"):
            steps = (c.config.context_length or c.config.prediction_length or 24) + max(c.config.lags_sequence)
            if what == "values":
                return floats("B", steps)
            return bools("B", steps) if what == "mask" else floats("B", steps, c.config.num_time_features)
        if what == "padding":
            return longs("B", context)
        if c.kind.startswith("timesfm"):
            return floats("B", context)
        return floats("B", context, c.find("num_input_channels", default=1))

    return rule


def _patches(c: _Call) -> str:
    channels = c.find("in_channels", "in_chans", "num_channels", default=3)
    patch = c.find("patch_size", default=14)
    frames = c.find("temporal_patch_size", "patch_temporal", default=1)
    return floats(_GRID**2, channels * frames * patch * patch)


def _steps(size: Callable[[Any], int]) -> Callable[[_Call], str]:
    return lambda c: floats("B", c.symbol("S", 20), size(c.config))


def _table(rows: Any) -> Callable[[_Call], torch.Tensor]:
    return lambda c: torch.tensor(rows)


_RULES: dict[str, Callable[[_Call], Any]] = {
    **dict.fromkeys(("input_ids", "qformer_input_ids", "text_input_ids"), lambda c: longs("B", c.tokens)),
    "decoder_input_ids": lambda c: longs("B", c.symbol("T", _TOKENS.get(c.kind, 64))),
    "attention_mask": lambda c: longs("B", c.tokens),
    "bbox": lambda c: longs("B", c.tokens, 4),
    "inputs": lambda c: floats("B", c.tokens, getattr(c.config, "d_model", 768)),
    "inputs_embeds": lambda c: floats("B", c.tokens, c.find("hidden_size", default=768)),
    "query_embeds": lambda c: floats("B", 32, c.config.hidden_size),
    "pixel_values": _pixels,
    "pixel_values_videos": _clips,
    **dict.fromkeys(("input_features", "audio_mel"), _spectrum),
    "input_features_mask": lambda c: longs("B", c.symbol("F", 256)),
    "audio_mel_mask": lambda c: bools("B", c.symbol("F", 256)),
    "input_values": _sound,
    "decoder_input_values": lambda c: floats("B", c.symbol("T", 32), c.config.num_mel_bins),
    "past_values": _past("values"),
    "past_time_features": _past("features"),
    "past_observed_mask": _past("mask"),
    "past_values_padding": _past("padding"),
    "freq": lambda c: longs("B", 1),
    "hidden_states": _patches,
    **dict.fromkeys(("grid_thw", "image_grid_thw"), _table([[1, _GRID, _GRID]])),
    "merge_sizes": _table([2]),
    **dict.fromkeys(("spatial_shapes", "target_sizes"), _table([[_GRID, _GRID]] * 2)),
    "pixel_attention_mask": lambda c: longs("B", _GRID**2),
    "pixel_position_ids": lambda c: longs("B", _GRID**2, 2),
    **dict.fromkeys(
        ("prompt_pixel_values", "prompt_masks"), lambda c: c.image(3, *height_and_width(c.config.image_size))
    ),
    "states": _steps(lambda config: config.state_dim),
    "actions": _steps(lambda config: config.act_dim),
    **dict.fromkeys(("rewards", "returns_to_go"), _steps(lambda config: 1)),
    "timesteps": lambda c: longs("B", c.symbol("S", 20)),
}
