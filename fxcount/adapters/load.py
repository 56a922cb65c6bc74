"""A model by name, on the meta device, with the inputs it is known to take."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from fxcount.errors import InputError, first_line
from fxcount.trace.inputs.building import on_meta

__all__ = ["load", "load_model"]

Loaded = tuple[Any, tuple[Any, ...], dict[str, Any]]
Arguments = Mapping[str, Any]
Make = Callable[[Callable[[], Any]], Any]
"""How a model is built: where its weights are."""


def load_model(name: str, /, *, trust: bool = False, **arguments: Any) -> Any:
    """The model called ``name``, on the meta device: nothing is downloaded, and no weights are allocated.

    ``name`` is ``torchvision:NAME``, ``timm:NAME``, ``hf:TYPE`` or ``hf:CONFIG.json``, ``package.module:callable``, ``demo``,
    or the path of a ``.pt2`` file. ``arguments`` are handed to what builds the model. A ``.pt2`` file is read as data; what
    cannot be read so needs ``trust``, which may run code of the file's. ``package.module`` is imported, so it runs.

    Raises :class:`~fxcount.errors.InputError` if there is no such model, or for a file that needs ``trust``.

    >>> load_model("torch.nn:Linear", in_features=3, out_features=5)
    Linear(in_features=3, out_features=5, bias=True)
    """
    return load(name, trust=trust, arguments=arguments)[0]


def load(
    name: str, *, trust: bool = False, arguments: Arguments = MappingProxyType({}), weights: bool = False
) -> Loaded:  # fmt: skip
    """What :func:`load_model` loads, with its default positional and keyword inputs; an exported program knows its own.

    ``weights``: with random ones, on the default device, for a model that is to be run.
    """
    if name.endswith(".pt2"):
        from fxcount.trace.frontends.archive.reader import load_pt2

        _no_arguments(name, arguments)
        return load_pt2(name, trust=trust), (), {}
    if name == "demo":
        from fxcount.demo import INPUT, Demo

        _no_arguments(name, arguments)
        return Demo(), (INPUT,), {}
    source, colon, rest = name.partition(":")
    if not colon or not rest:
        raise InputError(
            f"cannot read the model {name!r}",
            hint="write package.module:callable, torchvision:NAME, timm:NAME, hf:CONFIG, a .pt2 file, or demo",
        )
    loader = _LIBRARIES.get(source)
    make: Make = _as_it_is if weights else on_meta
    return loader(rest, arguments, make) if loader is not None else _from_module(source, rest, arguments, make)


def _no_arguments(name: str, arguments: Arguments) -> None:
    if arguments:
        raise InputError(f"{name!r} is not built, so it takes no {', '.join(arguments)}")


def _from_module(module_name: str, attribute: str, arguments: Arguments, make: Make) -> Loaded:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: the user's own modules are in the working directory
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(f"no module named {error.name!r}", hint="run fxcount where the module can be imported") from error
    except (ValueError, TypeError) as error:  # ".net", "a..b", a null byte
        raise InputError(f"{module_name!r} is no name of a module", hint="write package.module:callable") from error
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise InputError(f"{module_name} has no {attribute!r}")
    if isinstance(found, torch.nn.Module):
        _no_arguments(f"{module_name}:{attribute}", arguments)
        return found, (), {}
    if not callable(found):
        raise InputError(f"{module_name}:{attribute} is neither a module nor something that builds one")
    model = make(lambda: found(**arguments))
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"{module_name}:{attribute}() gave a {type(model).__name__}, not an nn.Module")
    return model.eval(), (), {}


def _as_it_is(build: Callable[[], Any]) -> Any:
    return build()


def _library(name: str) -> Any:
    from fxcount.adapters import torchvision_ops  # noqa: F401  (timm and transformers import torchvision too)

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{name} is not installed ({error})", hint=f"pip install {name}") from error


def _torchvision(name: str, arguments: Arguments, make: Make) -> Loaded:
    models = _library("torchvision").models
    try:
        model = make(lambda: models.get_model(name, **{"weights": None, **_torchvision_options(models, name), **arguments}))
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


def _timm(name: str, arguments: Arguments, make: Make) -> Loaded:
    timm = _library("timm")
    try:
        model = make(lambda: timm.create_model(name, **{"pretrained": False, **arguments}))
    except RuntimeError as error:
        raise InputError(f"timm has no model {name!r}", hint="see timm.list_models()") from error
    config = getattr(model, "pretrained_cfg", None) or {}
    channels, height, width = config.get("input_size", (3, 224, 224))
    fixed = config.get("fixed_input_size", False)
    return model.eval(), (f"B,{channels},{height},{width}" if fixed else f"B,{channels},H,W",), {}


def _hugging_face(name: str, arguments: Arguments, make: Make) -> Loaded:
    transformers = _library("transformers")
    kind, settings = _settings(name) if name.endswith(".json") else (name, {})
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
    build = _architecture(transformers, config)
    model = make((lambda: build(config)) if build else (lambda: _automatic(transformers, config)))
    kwargs: dict[str, Any] = {getattr(model, "main_input_name", "input_ids"): "i64[B,S]"}
    if "pixel_values" in kwargs:
        size = getattr(config, "image_size", 224)
        kwargs = {"pixel_values": f"B,{getattr(config, 'num_channels', 3)},{size},{size}"}
    if getattr(config, "is_encoder_decoder", False):
        kwargs["decoder_input_ids"] = "i64[B,T]"
    return model.eval(), (), kwargs


def _settings(path: str) -> tuple[str, dict[str, Any]]:
    """Model type and settings of a config file."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the config {path!r} ({first_line(error)})", hint="give a config.json") from error
    kind = settings.pop("model_type", None) if isinstance(settings, dict) else None
    if not isinstance(kind, str):
        raise InputError(f"the config {path!r} names no model_type", hint="give a config.json of transformers")
    return kind, settings


def _without_code(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings but for those that make transformers fetch code: classes and attention kernels from a repository."""
    repository = {k for k, v in settings.items() if k.endswith("_implementation") and "/" in str(v)}
    return {k: v for k, v in settings.items() if k not in repository and k not in ("auto_map", "custom_pipelines")}


def _architecture(transformers: Any, config: Any) -> Callable[[Any], Any] | None:
    """The first model class the config names. A config is data: it may name nothing else of transformers."""
    names = config.architectures if isinstance(config.architectures, list) else []
    found = [getattr(transformers, k, None) for k in names if isinstance(k, str) and not k.startswith("_")]
    models = [f for f in found if isinstance(f, type) and issubclass(f, transformers.PreTrainedModel)]
    return models[0] if models else None


def _automatic(transformers: Any, config: Any) -> Any:
    for kind in ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForMaskedLM", "AutoModel"):
        try:
            return getattr(transformers, kind).from_config(config, trust_remote_code=False)
        except ValueError:
            continue
    raise InputError(f"transformers cannot build a model of {type(config).__name__}")


_LIBRARIES: dict[str, Callable[[str, Arguments, Make], Loaded]] = {
    "torchvision": _torchvision, "timm": _timm, "hf": _hugging_face,
}  # fmt: skip
