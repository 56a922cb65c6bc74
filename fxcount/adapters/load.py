"""A model by name, on the meta device, with the inputs it is known to take."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from fxcount.errors import InputError
from fxcount.trace.inputs.building import on_meta

__all__ = ["load", "load_model"]

Loaded = tuple[Any, tuple[Any, ...], dict[str, Any]]
Arguments = Mapping[str, Any]
Make = Callable[[Callable[[], Any]], Any]
"""How a model is built: where its weights are."""


def load_model(name: str, /, *, trust: bool = False, **arguments: Any) -> Any:
    """The model called ``name``, on the meta device: nothing is downloaded, and no weights are allocated.

    ``name`` is ``torchvision:NAME``, ``timm:NAME``, ``hf:TYPE``, ``hf:CONFIG.json`` or ``hf:`` and the hub id of a well-known
    checkpoint (``hf:bert-base-uncased``), ``package.module:callable``, ``demo``, or the path of a ``.pt2`` file.
    ``arguments`` are handed to what builds the model. A ``.pt2`` file is read as data; what cannot be read so needs ``trust``,
    which may run code of the file's. ``package.module`` is imported, so it runs.

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
    from fxcount.adapters.hugging_face import class_for, config_of, inputs_of

    transformers = _library("transformers")
    config = config_of(transformers, name, arguments)
    build = class_for(transformers, config)
    model = make(lambda: build(config)).eval()
    return model, (), inputs_of(model)


_LIBRARIES: dict[str, Callable[[str, Arguments, Make], Loaded]] = {
    "torchvision": _torchvision, "timm": _timm, "hf": _hugging_face,
}  # fmt: skip
