"""A model by name, on the meta device, with the inputs it is known to take."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from fxcount.adapters.reference import forms, no_file, reference
from fxcount.errors import InputError
from fxcount.trace.inputs.building import on_meta
from fxcount.trace.inputs.options import check_binds

__all__ = ["library", "load", "load_model"]

Loaded = tuple[Any, tuple[Any, ...], dict[str, Any]]
Arguments = Mapping[str, Any]
Make = Callable[[Callable[[], Any]], Any]
"""How a model is built: where its weights are."""


def load_model(name: str, /, *, trust: bool = False, **arguments: Any) -> Any:
    """The model called ``name``, on the meta device: nothing is downloaded, and no weights are allocated.

    ``name`` is ``torchvision:NAME``, ``timm:NAME``, ``hf:TYPE``, ``hf:CONFIG.json`` or ``hf:`` and the hub id of a checkpoint
    that is well known or was downloaded before (``hf:bert-base-uncased``), a ``NAME`` alone (of the first of these libraries
    that has it), ``package.module:callable``, ``file.py:callable``, both also with literals as ``net:Net(64)``, ``demo``, or
    the path of a ``.pt2`` file or of TorchScript in a ``.pt`` file. ``arguments`` are handed to what builds the model. Files
    of programs are read as data; what cannot be read so needs ``trust``, which may run code of the file's. ``package.module``
    and ``file.py`` are imported, so they run.

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
    found = reference(name)
    if found.kind == "exported":
        from fxcount.trace.frontends.archive.reader import load_pt2

        _no_arguments(name, arguments)
        return load_pt2(name, trust=trust), (), {}
    if found.kind == "torchscript":
        from fxcount.adapters.torchscript import load_script

        _no_arguments(name, arguments)
        return load_script(name, trust=trust), (), {}
    if found.kind == "demo":
        from fxcount.demo import INPUT, Demo

        _no_arguments(name, arguments)
        return Demo(), (INPUT,), {}
    make: Make = _as_it_is if weights else on_meta
    if found.kind == "library":
        return _LIBRARIES[found.home](found.name, arguments, make)
    if found.kind == "script":
        module, attribute = _script(found.home, found.name)
    else:
        module, attribute = _module(found.home), found.name
    return _built(module, found.home, attribute, found.args, {**found.kwargs, **arguments}, make)


def _no_arguments(name: str, arguments: Arguments) -> None:
    if arguments:
        raise InputError(f"{name!r} is not built, so it takes no {', '.join(arguments)}")


def _module(name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: the user's own modules are in the working directory
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(f"no module named {error.name!r}", hint="run fxcount where the module can be imported") from error
    except (ValueError, TypeError) as error:  # ".net", "a..b", a null byte
        raise InputError(f"{name!r} is no name of a module", hint="write package.module:callable") from error


def _script(path: str, name: str) -> tuple[Any, str]:
    """The module of a file, and the name asked for or that of the only model in it. What lies beside the file can be imported
    by it, as when Python runs it."""
    file = Path(path)
    if not file.is_file():
        raise InputError(no_file(path), hint=forms())
    home = str(file.resolve().parent)
    if home not in sys.path:
        sys.path.insert(0, home)
    known = sys.modules.get(file.stem)
    if known is not None and getattr(known, "__file__", None) == str(file.resolve()):
        return known, name or _only_model(known, path)
    spec = importlib.util.spec_from_file_location(file.stem if known is None else f"fxcount_{file.stem}", file.resolve())
    assert spec is not None  # its name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module, name or _only_model(module, path)


def _only_model(module: Any, path: str) -> str:
    """The name of the only model that a file makes itself: one that is built, or else a class of models."""
    own = {n: v for n, v in vars(module).items() if not n.startswith("_")}
    built = [n for n, v in own.items() if isinstance(v, torch.nn.Module)]
    classes = [
        n for n, v in own.items() if isinstance(v, type) and issubclass(v, torch.nn.Module) and v.__module__ == module.__name__
    ]
    found = built or classes
    if len(found) == 1:
        return str(found[0])
    listed = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
    raise InputError(
        f"{path} has several models: {listed}" if found else f"{path} makes no model and has no class of one",
        hint=f"name one: {path}:{found[-1] if found else 'build_model'}",
    )


def _built(
    module: Any, home: str, attribute: str, args: tuple[Any, ...], kwargs: dict[str, Any], make: Make
) -> Loaded:
    """What the callable of a module or file builds, or the model that it is."""
    found: Any = module
    for part in attribute.split("."):
        holder, found = found, getattr(found, part, None)
        if found is None:
            close = get_close_matches(part, [n for n in dir(holder) if not n.startswith("_")], 1)
            raise InputError(f"{home} has no {attribute!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    if isinstance(found, torch.nn.Module):
        _no_arguments(f"{home}:{attribute}", {**{str(a): a for a in args}, **kwargs})
        return found, (), {}
    if not callable(found):
        raise InputError(f"{home}:{attribute} is neither a module nor something that builds one")
    hint = "give arguments as --arg NAME=VALUE, or as net:Net(64)"
    check_binds(found, f"{home}:{attribute}", args, kwargs, "", hint)
    model = make(lambda: found(*args, **kwargs))
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"{home}:{attribute}() gave a {type(model).__name__}, not an nn.Module")
    return model.eval(), (), {}


def _as_it_is(build: Callable[[], Any]) -> Any:
    return build()


def library(name: str) -> Any:
    """The module of a library of models. Raises :class:`~fxcount.errors.InputError` if it is not installed."""
    from fxcount.adapters import torchvision_ops  # noqa: F401  (timm and transformers import torchvision too)

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{name} is not installed ({error})", hint=f"pip install {name}") from error


def _torchvision(name: str, arguments: Arguments, make: Make) -> Loaded:
    models = library("torchvision").models
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
    timm = library("timm")
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

    transformers = library("transformers")
    config = config_of(transformers, name, arguments)
    build = class_for(transformers, config)
    model = make(lambda: build(config)).eval()
    return model, (), inputs_of(model)


def _diffusers(name: str, arguments: Arguments, make: Make) -> Loaded:
    from fxcount.adapters.diffusion import builder, inputs_of

    model = make(builder(library("diffusers"), name, arguments)).eval()
    return model, (), inputs_of(model)


_LIBRARIES: dict[str, Callable[[str, Arguments, Make], Loaded]] = {
    "torchvision": _torchvision, "timm": _timm, "hf": _hugging_face, "diffusers": _diffusers,
}  # fmt: skip
