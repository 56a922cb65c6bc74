"""Models of transformers by type, config file or hub id: the class with all of the model.

Nothing is downloaded: configs of well-known checkpoints are written down in ``hub``, and others are read from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fxcount.adapters.hub import settings_of
from fxcount.errors import InputError, first_line
from fxcount.trace.inputs.of_transformers import has_several_senses, inputs_of

__all__ = ["class_for", "config_of", "inputs_of"]

_TWO_SIDED = ("SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ", "IMAGE_TEXT_TO_TEXT", "TEXT_TO_SPECTROGRAM", "TEXT_TO_WAVEFORM")
_SEVERAL_SENSES = (
    "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM", "ZERO_SHOT_OBJECT_DETECTION", "VISUAL_QUESTION_ANSWERING", "MASK_GENERATION",
)  # fmt: skip
_ONE_SENSE = (
    "OBJECT_DETECTION", "MASK_GENERATION", "UNIVERSAL_SEGMENTATION", "SEMANTIC_SEGMENTATION", "DEPTH_ESTIMATION",
    "POSE_ESTIMATION", "KEYPOINT_DETECTION", "KEYPOINT_MATCHING", "IMAGE_TO_IMAGE", "VIDEO_CLASSIFICATION", "CTC",
    "IMAGE_CLASSIFICATION", "AUDIO_CLASSIFICATION", "MASKED_LM", "CAUSAL_LM", "TIME_SERIES_PREDICTION",
)  # fmt: skip
_DECODER = ("CAUSAL_LM",)
"""Tasks whose class has all of a model, the most complete first: ``MODEL_FOR_..._MAPPING_NAMES`` of transformers."""


def config_of(transformers: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    """The config of a model type, a config file, or the hub id of a well-known checkpoint, changed by ``arguments``.

    Raises :class:`~fxcount.errors.InputError` if there is no such config.
    """
    kind, settings = settings_of(name)
    try:
        config = transformers.AutoConfig.for_model(kind, **_without_code({**settings, **arguments}))
    except Exception as error:
        if isinstance(error, ValueError) and "model identifier" in str(error) and not settings:
            what = f"transformers has no architecture {name!r}"
        else:
            what = f"transformers cannot make a {kind!r} config of {name!r}: {first_line(error)[:300]}"
        raise InputError(what, hint="give a config.json or a model type such as llama") from error
    if getattr(config, "use_pretrained_backbone", False):
        config.use_pretrained_backbone = False  # weights would be downloaded
    return config


def _without_code(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings but for those that make transformers fetch code: classes and attention kernels from a repository."""
    repository = {k for k, v in settings.items() if k.endswith("_implementation") and "/" in str(v)}
    return {k: v for k, v in settings.items() if k not in repository and k not in ("auto_map", "custom_pipelines")}


# -- the class ----------------------------------------------------------------------------------------------------------
def class_for(transformers: Any, config: Any) -> Callable[[Any], Any]:
    """What builds the model of a config: the architecture it names, else the class with all of the model."""
    base = _base(transformers)
    found = _architecture(transformers, config) or _of_task(transformers, config)
    if found is None:
        return base

    def build(config: Any) -> Any:
        try:
            return found(config)
        except ImportError:  # a loss that wants another library, which is not installed
            return base(config)

    return build


def _architecture(transformers: Any, config: Any) -> Callable[[Any], Any] | None:
    """The first model class the config names. A config is data: it may name nothing else of transformers."""
    names = config.architectures if isinstance(config.architectures, list) else []
    found = [getattr(transformers, k, None) for k in names if isinstance(k, str) and not k.startswith("_")]
    models = [f for f in found if isinstance(f, type) and issubclass(f, transformers.PreTrainedModel)]
    return models[0] if models else None


def _of_task(transformers: Any, config: Any) -> Callable[[Any], Any] | None:
    auto = transformers.models.auto.modeling_auto
    for task in _tasks(config):
        name = getattr(auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {}).get(config.model_type)
        for each in [name] if isinstance(name, str) else name or ():
            found = getattr(transformers, each, None)
            if isinstance(found, type):
                return found
    return None


def _tasks(config: Any) -> tuple[str, ...]:
    if getattr(config, "is_encoder_decoder", False):
        several = _SEVERAL_SENSES if has_several_senses(config) else ()
        return (*_TWO_SIDED, *several, *[t for t in _ONE_SENSE if not t.endswith("_LM")])  # DETR has two sides as well
    if getattr(config, "is_decoder", False):
        return _DECODER
    return _SEVERAL_SENSES if has_several_senses(config) else _ONE_SENSE


def _base(transformers: Any) -> Callable[[Any], Any]:
    def build(config: Any) -> Any:
        try:
            return transformers.AutoModel.from_config(config, trust_remote_code=False)
        except ValueError as error:
            raise InputError(f"transformers cannot build a model of {type(config).__name__}") from error

    return build
