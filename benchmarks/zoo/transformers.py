"""transformers: every architecture of its auto classes, at its default configuration with two or a few layers.

``file`` is the model type. Inputs follow from the signature of ``forward`` and the configuration
(:mod:`~benchmarks.zoo.transformers_inputs`); :mod:`~benchmarks.zoo.transformers_variants` holds what a type needs besides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.entry import Entry
from benchmarks.zoo.transformers_configs import configured
from benchmarks.zoo.transformers_inputs import inputs_of
from benchmarks.zoo.transformers_variants import VARIANTS, Variant

__all__ = ["entries"]

# The first task of this list that a type has is the one it is measured at.
_TASKS = (
    "FOR_SPEECH_SEQ_2_SEQ", "FOR_SEQ_TO_SEQ_CAUSAL_LM", "FOR_MASKED_LM", "FOR_CAUSAL_LM", "FOR_IMAGE_CLASSIFICATION",
    "FOR_OBJECT_DETECTION", "FOR_SEMANTIC_SEGMENTATION", "FOR_UNIVERSAL_SEGMENTATION", "FOR_DEPTH_ESTIMATION",
    "FOR_AUDIO_CLASSIFICATION", "FOR_CTC", "FOR_VIDEO_CLASSIFICATION", "FOR_IMAGE_TEXT_TO_TEXT", "FOR_MULTIMODAL_LM", "",
    "FOR_ZERO_SHOT_OBJECT_DETECTION", "FOR_PRETRAINING", "FOR_KEYPOINT_DETECTION", "FOR_KEYPOINT_MATCHING",
    "FOR_MASK_GENERATION", "FOR_TEXT_TO_SPECTROGRAM", "FOR_TEXT_TO_WAVEFORM", "FOR_IMAGE_TO_IMAGE",
    "FOR_TIME_SERIES_PREDICTION", "FOR_SEQUENCE_CLASSIFICATION", "FOR_TEXT_ENCODING", "FOR_BACKBONE",
)  # fmt: skip


def entries() -> Iterator[Entry]:
    """One model a type, alphabetically; types that share class and configuration once."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # no weights, no network
        os.environ.setdefault(name, "1")
    from fxcount.adapters import torchvision_ops  # noqa: F401  (before torchvision, which transformers imports)

    from transformers.models.auto import configuration_auto  # isort: skip

    configurations = dict(configuration_auto.CONFIG_MAPPING_NAMES)
    seen = set()
    for kind, tasks in sorted(_classes().items()):
        names = tuple(dict.fromkeys([*(tasks[task] for task in _TASKS if task in tasks), *tasks.values()]))
        if (names[0], configurations.get(kind)) in seen:
            continue
        seen.add((names[0], configurations.get(kind)))
        variant = VARIANTS.get(kind, Variant())
        build: Callable[[], nn.Module] = partial(_build, kind, names, variant)
        dtype = torch.bfloat16 if variant.half else torch.float32
        inputs = partial(inputs_of, kind=kind, variant=variant)
        yield Entry("transformers", kind, kind, build, inputs, dtype, variant.reads_tables)


def _classes() -> dict[str, dict[str, str]]:
    """Model type -> task -> name of the class."""
    from transformers.models.auto import modeling_auto

    found: dict[str, dict[str, str]] = {}
    for attribute in sorted(dir(modeling_auto)):
        if attribute.startswith("MODEL_") and attribute.endswith("_MAPPING_NAMES"):
            task = attribute.removeprefix("MODEL").removesuffix("_MAPPING_NAMES").strip("_")
            for kind, names in getattr(modeling_auto, attribute).items():
                found.setdefault(kind, {})[task] = names if isinstance(names, str) else names[0]
    return found


def _build(kind: str, names: tuple[str, ...], variant: Variant) -> nn.Module:
    import transformers

    config = configured(kind, variant)
    classes: list[Any] = [getattr(transformers, name) for name in names]
    # The language model of a type with several modalities wants only the part of the configuration that is about text.
    made = next((c for c in classes if getattr(c, "config_class", None) is type(config)), classes[0])
    model: nn.Module = made._from_config(config) if hasattr(made, "_from_config") else made(config)
    return model
