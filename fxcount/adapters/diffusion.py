"""Models of diffusers by class or config file, with the inputs that a call of them takes.

Letters: B batch, F frames, H and W of what is convolved, A samples of sound, S tokens of an image, L of a text
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from fxcount.errors import InputError, first_line
from fxcount.trace.inputs.specs import parse_inputs

__all__ = ["builder", "inputs_of"]

_TEXT_WIDTHS = (
    "encoder_hid_dim", "caption_channels", "cap_feat_dim", "text_embed_dim", "text_dim", "context_in_dim", "text_hidden_dim",
    "in_text_dim", "joint_attention_dim", "cross_attention_input_dim", "cond_token_dim", "encoder_hidden_size",
    "cross_attention_dim",
)  # fmt: skip
"""Settings that say how wide the embedding of a text is, the one that comes first in the model first."""
_FRAMES_FIRST = ("CogVideoX", "ConsisID", "UNetSpatioTemporal")
_CONVOLUTIONS = {torch.nn.Conv1d: 1, torch.nn.Conv2d: 2, torch.nn.Conv3d: 3}
_CAUSAL_FRAMES = 9  # one, and twice four that a video's autoencoder joins


def builder(diffusers: Any, name: str, arguments: Mapping[str, Any]) -> Callable[[], Any]:
    """What builds the model of a class, or of a ``config.json`` that names one, without weights.

    Raises :class:`~fxcount.errors.InputError` if there is no such model, or it does not take these settings.
    """
    settings: dict[str, Any] = {}
    if name.endswith(".json"):
        try:
            settings = json.loads(Path(name).read_text(encoding="utf-8"))
            name = str(settings["_class_name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{name!r} is no config of a diffusers model: {first_line(error)}") from error
    found: Any = getattr(diffusers, name, None)
    is_model = isinstance(found, type) and issubclass(found, diffusers.ModelMixin)
    if not is_model:
        raise InputError(f"diffusers has no model {name!r}", hint="give its class, such as UNet2DConditionModel")
    kept = {k: v for k, v in settings.items() if not k.startswith("_")}

    def build() -> Any:
        try:
            return found.from_config({**kept, **arguments}) if kept else found(**arguments)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"diffusers cannot build {name} with these settings: {first_line(error)}",
                hint="give those it has no default for as --arg NAME=VALUE",
            ) from error

    return build


def inputs_of(model: Any) -> dict[str, Any]:
    """A specification for each input that a call of the model needs, as far as its name tells; hints of symbols are with it."""
    call = _Call(model)
    given = {name: _RULES[name](call) for name in _wanted(call) if name in _RULES}
    return {name: call.spec(text) for name, text in given.items()}


class _Call:
    """The inputs gathered for one call, and the hints of their symbols."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.kind = type(model).__name__
        self.parameters = inspect.signature(model.forward).parameters
        self.hints: dict[str, int] = {}

    def setting(self, *names: str, default: Any = None) -> Any:
        """The first of these settings that the config has."""
        found = (getattr(self.model.config, name, None) for name in names)
        return next((value for value in found if value is not None), default)

    def symbol(self, name: str, hint: int) -> str:
        self.hints[name] = hint
        return name

    def spec(self, given: Any) -> Any:
        """Specifications with those of the hints that they need."""
        if given is None:
            return None
        if isinstance(given, dict):
            return {name: self.spec(text) for name, text in given.items()}
        dtype, bracket, _ = given.partition("[")
        return parse_inputs(given if bracket else f"f32[{dtype}]").hinted(self.hints)

    @property
    def dimensions(self) -> int:
        """How many dimensions the first layer slides over; 0 where it takes tokens."""
        codes = "Autoencoder" in self.kind
        for module in self.model.modules():
            for kind, n in _CONVOLUTIONS.items():
                if isinstance(module, kind):
                    return n
            if isinstance(module, torch.nn.Linear) and self.setting("in_channels") == module.in_features and not codes:
                return 0
        return 2


def _wanted(call: _Call) -> Iterator[str]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for name, p in call.parameters.items():
        required = p.default is p.empty and p.kind not in variadic
        if required or (name in _NEEDED and _NEEDED[name](call)):
            yield name


_NEEDED: dict[str, Callable[[_Call], Any]] = {
    "timestep": lambda c: True,
    "encoder_hidden_states": lambda c: _text_width(c) is not None,
    "pooled_projections": lambda c: c.setting("pooled_projection_dim"),
    "guidance": lambda c: c.setting("guidance_embeds"),
    "img_ids": lambda c: c.dimensions == 0,
    "txt_ids": lambda c: c.dimensions == 0,
    "class_labels": lambda c: c.setting("num_class_embeds") or (_text_width(c) is None and c.setting("num_embeds_ada_norm")),
    "added_cond_kwargs": lambda c: c.setting("addition_embed_type") == "text_time" or c.kind.startswith("PixArt"),
    "global_hidden_states": lambda c: c.setting("global_states_input_dim", "global_cond_dim"),
}
"""Inputs that have a default, and that the model needs all the same if this is so."""


def _text_width(c: _Call) -> int | None:
    if "encoder_hidden_states" not in c.parameters:
        return None
    found: int | list[int] | tuple[int, ...] | None = c.setting(*_TEXT_WIDTHS)
    return found[0] if isinstance(found, (list, tuple)) else found


def _sample(c: _Call) -> str:
    """What is denoised, or coded."""
    channels = c.setting("in_channels", "input_channels", "in_visual_dim", "in_dim", "io_channels", "audio_channels", default=3)
    n = c.dimensions
    if n == 0:
        return f"B,{c.symbol('S', 256)},{channels}"
    if n == 1:
        size = c.setting("sample_size", default=16384)
        return f"B,{channels},{c.symbol('A', size if isinstance(size, int) else 16384)}"
    height, width = _height_and_width(c)
    images = f"{c.symbol('H', height)},{c.symbol('W', width)}"
    if n == 2 and not c.kind.startswith(_FRAMES_FIRST) and "3D" not in c.kind and "Motion" not in c.kind:
        return f"B,{channels},{images}"
    frames = c.symbol("F", _CAUSAL_FRAMES if "Autoencoder" in c.kind else 8)
    return f"B,{frames},{channels},{images}" if c.kind.startswith(_FRAMES_FIRST) else f"B,{channels},{frames},{images}"


def _height_and_width(c: _Call) -> tuple[int, int]:
    size = c.setting("sample_size")
    if isinstance(size, (list, tuple)) and len(size) == 2:
        return int(size[0]), int(size[1])
    if isinstance(c.setting("sample_height"), int) and "Autoencoder" not in c.kind:
        return int(c.setting("sample_height")), int(c.setting("sample_width", "sample_height"))
    if isinstance(size, int) and "Autoencoder" not in c.kind:
        return size, size
    return (256, 256) if "Autoencoder" in c.kind and c.dimensions == 2 else (64, 64)


def _ids(symbol: str, hint: int) -> Callable[[_Call], str]:
    def rule(c: _Call) -> str:
        axes = c.setting("axes_dims_rope", "rope_axes_dim", default=(16, 56, 56))
        return f"{c.symbol(symbol, hint)},{len(axes)}"

    return rule


def _added(c: _Call) -> dict[str, str | None]:
    if c.setting("addition_embed_type") != "text_time":
        return {"resolution": None, "aspect_ratio": None}
    width = c.setting("projection_class_embeddings_input_dim") - 6 * c.setting("addition_time_embed_dim")
    return {"text_embeds": f"B,{width}", "time_ids": "B,6"}


def _condition(c: _Call) -> str:
    """What steers a control net: a picture, eight times as large as what is denoised, or what an autoencoder has made of it."""
    channels = c.setting("conditioning_channels")
    return _sample(c) if channels is None else f"B,{channels},8*H,8*W"


_RULES: dict[str, Callable[[_Call], Any]] = {
    "sample": _sample,
    "hidden_states": _sample,
    "timestep": lambda c: "B",
    "encoder_hidden_states": lambda c: f"B,{c.setting('max_text_seq_length') or c.symbol('L', 77)},{_text_width(c) or 768}",
    "encoder_attention_mask": lambda c: f"bool[B,{c.symbol('L', 77)}]",
    "pooled_projections": lambda c: f"B,{c.setting('pooled_projection_dim')}",
    "guidance": lambda c: "B",
    "img_ids": _ids("S", 256),
    "txt_ids": _ids("L", 77),
    "class_labels": lambda c: "i64[B]",
    "added_cond_kwargs": _added,
    "added_time_ids": lambda c: "B,3",
    "controlnet_cond": _condition,
    "global_hidden_states": lambda c: f"B,1,{c.setting('global_states_input_dim', 'global_cond_dim')}",
    **dict.fromkeys(("original_size", "target_size", "crop_coords"), lambda c: "B,2"),
}
