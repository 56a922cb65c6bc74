"""A model by name, on the meta device, with the inputs it is known to take."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import torch

from fxcount.errors import InputError

__all__ = ["load"]

Loaded = tuple[Any, tuple[Any, ...], dict[str, Any]]


def load(name: str) -> Loaded:
    """Build the model called ``name`` without allocating weights; also its default positional and keyword inputs.

    A ``.pt2`` file is an exported program, which knows its own inputs.

    Raises :class:`~fxcount.errors.InputError` if there is no such model.
    """
    if name.endswith(".pt2"):
        from fxcount.trace.frontends.exported import load_pt2

        return load_pt2(name), (), {}
    if name == "demo":
        from fxcount.demo import INPUT, Demo

        return Demo(), (INPUT,), {}
    source, colon, rest = name.partition(":")
    if not colon or not rest:
        raise InputError(
            f"cannot read the model {name!r}",
            hint="write package.module:callable, torchvision:NAME, timm:NAME, hf:CONFIG, a .pt2 file, or demo",
        )
    loader = _LIBRARIES.get(source)
    return loader(rest) if loader is not None else _from_module(source, rest)


def _from_module(module_name: str, attribute: str) -> Loaded:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: the user's own modules are in the working directory
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(f"no module named {error.name!r}", hint="run fxcount where the module can be imported") from error
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise InputError(f"{module_name} has no {attribute!r}")
    if isinstance(found, torch.nn.Module):
        return found, (), {}
    if not callable(found):
        raise InputError(f"{module_name}:{attribute} is neither a module nor something that builds one")
    model = _on_meta(found)
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"{module_name}:{attribute}() gave a {type(model).__name__}, not an nn.Module")
    return model.eval(), (), {}


def _on_meta(build: Callable[[], Any]) -> Any:
    """Build without allocating weights; a constructor that looks at data gets real ones."""
    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build()


def _library(name: str) -> Any:
    from fxcount.adapters import torchvision_ops  # noqa: F401  (timm and transformers import torchvision too)

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{name} is not installed ({error})", hint=f"pip install {name}") from error


def _torchvision(name: str) -> Loaded:
    models = _library("torchvision").models
    try:
        model = _on_meta(lambda: models.get_model(name, weights=None, **_torchvision_options(models, name)))
    except ValueError as error:
        raise InputError(f"torchvision has no model {name!r}", hint="see torchvision.models.list_models()") from error
    video = name in models.list_models(models.video)
    return model.eval(), ("B,3,T,H,W" if video else "B,3,H,W",), {}


def _torchvision_options(models: Any, name: str) -> dict[str, Any]:
    if name in ("googlenet", "inception_v3"):
        return {"init_weights": False}
    if name in models.list_models(models.segmentation) or name in models.list_models(models.detection):
        return {"weights_backbone": None}
    return {}


def _timm(name: str) -> Loaded:
    timm = _library("timm")
    try:
        model = _on_meta(lambda: timm.create_model(name, pretrained=False))
    except RuntimeError as error:
        raise InputError(f"timm has no model {name!r}", hint="see timm.list_models()") from error
    config = getattr(model, "pretrained_cfg", None) or {}
    channels, height, width = config.get("input_size", (3, 224, 224))
    fixed = config.get("fixed_input_size", False)
    return model.eval(), (f"B,{channels},{height},{width}" if fixed else f"B,{channels},H,W",), {}


def _hugging_face(name: str) -> Loaded:
    transformers = _library("transformers")
    if name.endswith(".json"):
        import json

        with open(name, encoding="utf-8") as file:
            settings = json.load(file)
        config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
    else:
        try:
            config = transformers.AutoConfig.for_model(name)
        except ValueError as error:
            raise InputError(
                f"transformers has no architecture {name!r}", hint="give a config.json or a model type such as llama"
            ) from error
    kinds = config.architectures or []
    build = next((getattr(transformers, k) for k in kinds if hasattr(transformers, k)), None)
    model = _on_meta((lambda: build(config)) if build else (lambda: _automatic(transformers, config)))
    kwargs: dict[str, Any] = {getattr(model, "main_input_name", "input_ids"): "i64[B,S]"}
    if "pixel_values" in kwargs:
        size = getattr(config, "image_size", 224)
        kwargs = {"pixel_values": f"B,{getattr(config, 'num_channels', 3)},{size},{size}"}
    if getattr(config, "is_encoder_decoder", False):
        kwargs["decoder_input_ids"] = "i64[B,T]"
    return model.eval(), (), kwargs


def _automatic(transformers: Any, config: Any) -> Any:
    for kind in ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForMaskedLM", "AutoModel"):
        try:
            return getattr(transformers, kind).from_config(config)
        except ValueError:
            continue
    raise InputError(f"transformers cannot build a model of {type(config).__name__}")


_LIBRARIES: dict[str, Callable[[str], Loaded]] = {"torchvision": _torchvision, "timm": _timm, "hf": _hugging_face}
