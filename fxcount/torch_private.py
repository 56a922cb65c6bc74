"""Every name of torch that torch does not promise to keep, and what fxcount needs it for.

Tracing below ``forward`` asks for things no public interface gives: a tensor without storage, the key of a storage, the
schemas of ops. They are looked up here and nowhere else, each when it is first asked for. Where a name is gone its public
stand-in is taken if there is one; else the error names the versions of torch fxcount is known to work with.

>>> DisableTorchFunction().__class__.__name__
'DisableTorchFunction'
>>> storage_key(torch.zeros(3)) == storage_key(torch.zeros(3))
False
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from fxcount.errors import UnsupportedError

__all__ = ["NAMES", "OLDEST", "VERSION", "Name", "loaded", "onednn_takes", "schema", "schemas", "storage_key"]

OLDEST, NEWEST = "2.6", "2.14"  # the versions of docs/compatibility.md
VERSION: tuple[int, int] = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))  # type: ignore[assignment]
"""Of the torch that runs: rules ask it where eager torch itself does something else since some version."""


@dataclass(frozen=True)
class Name:
    """A private name: its place in torch, what needs it, and what is as good where it is missing."""

    path: str
    purpose: str
    fallback: Callable[[], Any] | None = None


NAMES = MappingProxyType({
    # -- tensors and modes
    "DisableTorchFunction": Name("torch._C.DisableTorchFunction", "run torch itself inside a trace"),
    "disabled_torch_function": Name("torch._C._disabled_torch_function_impl", "leave stand-in tensors to the tracer's mode"),
    "make_wrapper_subclass": Name("torch.Tensor._make_wrapper_subclass", "make a tensor without storage"),
    "TensorBase": Name("torch._C.TensorBase", "tell the properties of a tensor apart", lambda: torch.Tensor.__base__),
    "is_any_autocast_enabled": Name(
        "torch._C._is_any_autocast_enabled", "know whether autocast is on for some device",
        lambda: lambda: torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"),
    ),
    "vmap": Name("torch._functorch.apis.vmap", "map a function over real tensors", lambda: torch.func.vmap),
    "is_all_true": Name("torch._is_all_true", "pass a check of values", lambda: object()),
    "tensor_is_all_true": Name("torch.Tensor._is_all_true", "pass a check of values", lambda: object()),
    "assert_async": Name("torch._assert_async", "pass a check of values", lambda: object()),
    "mode_stack": Name("torch.overrides._get_current_function_mode_stack", "put back the modes a model has left on"),
    "push_mode": Name("torch.overrides._push_mode", "put back the modes a model has left on"),
    "pop_mode": Name("torch.overrides._pop_mode", "put back the modes a model has left on"),
    "default_device": Name("torch._GLOBAL_DEVICE_CONTEXT", "put back the default device a model has changed", lambda: object()),
    "tensor_functions": Name("torch._tensor", "run Python-level tensor methods through to their ops"),
    # -- ops
    "variable_functions": Name("torch._C._VariableFunctions", "find the builtin functions of torch by name"),
    "nn_functions": Name("torch._C._nn", "find the builtin functions of torch.nn by name"),
    "VF": Name("torch._VF", "find the builtin functions of recurrent layers"),
    "OpOverload": Name("torch._ops.OpOverload", "know a node that calls an op", lambda: type(torch.ops.aten.add.Tensor)),
    "HigherOrderOperator": Name(
        "torch._ops.HigherOrderOperator", "know a node that runs a graph inside", lambda: type(torch.ops.higher_order.cond)
    ),
    "get_schemas": Name(
        "torch._C._jit_get_schemas_for_operator", "know the names of an op's arguments", lambda: _schemas_of_packet
    ),
    # -- graphs, scripts and compiled modules
    "pytree": Name("torch.utils._pytree", "flatten nested inputs as torch does"),
    "FakeTensorMode": Name("torch._subclasses.fake_tensor.FakeTensorMode", "find the shapes of an op without a rule"),
    "ConstantSource": Name("torch._dynamo.source.ConstantSource", "find the shapes of an op without a rule"),
    "ParameterDict": Name("torch._C.ParameterDict", "list the parameters of a TorchScript module"),
    "BufferDict": Name("torch._C.BufferDict", "list the buffers of a TorchScript module"),
    "ModuleDict": Name("torch._C.ModuleDict", "list the children of a TorchScript module"),
    "script_functions": Name("torch.jit._state._python_cu", "find a function that a TorchScript module calls"),
    # -- layers
    "NormBase": Name(
        "torch.nn.modules.batchnorm._NormBase", "know a batch norm layer", lambda: torch.nn.BatchNorm1d.__bases__[0]
    ),
})  # fmt: skip


def __getattr__(name: str) -> Any:
    """One of ``NAMES``."""
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _found(NAMES[name])


@functools.cache
def _found(name: Name) -> Any:
    try:
        return _at(name.path)
    except (AttributeError, ImportError) as error:
        if name.fallback is not None:
            return name.fallback()
        raise missing(name.path, name.purpose) from error


def _at(path: str) -> Any:
    """The object at a dotted path; modules on the way are imported."""
    parts = path.split(".")
    found: Any = torch
    for end, part in enumerate(parts[1:], 2):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(".".join(parts[:end]))
    return found


def missing(path: str, purpose: str) -> UnsupportedError:
    """The error for a name that this torch does not have."""
    return UnsupportedError(
        f"torch {torch.__version__} has no {path}, which fxcount needs to {purpose}",
        hint=f"install a torch that fxcount is known to work with ({OLDEST} to {NEWEST}), or a newer fxcount",
    )


def loaded(module: str) -> Any:
    """A module below ``torch`` if something has imported it, else ``None``: nothing is compiled before dynamo is there.

    >>> loaded("nn.functional").__name__, loaded("nothing")
    ('torch.nn.functional', None)
    """
    return sys.modules.get(f"torch.{module}")


def storage_key(tensor: torch.Tensor) -> int:
    """A number that tensors share if they share their storage, as long as it lives.

    Raises ``NotImplementedError`` or ``RuntimeError`` for tensors without a storage of their own, as torch does.
    """
    storage = tensor.untyped_storage()
    try:
        return int(storage._cdata)
    except AttributeError as error:
        raise missing("UntypedStorage._cdata", "tell storages apart") from error


def schema(func: Any) -> Any:
    """The schema of an op's overload, ``None`` of other functions.

    >>> schema(torch.ops.aten.relu.default).name, schema(torch.relu)
    ('aten::relu', None)
    """
    return getattr(func, "_schema", None)


def schemas(name: str) -> list[Any]:
    """The schemas of all overloads of an ATen op; none if there is no such op.

    >>> {s.arguments[0].name for s in schemas("relu")}, schemas("no_such_op")
    ({'self'}, [])
    """
    return list(_found(NAMES["get_schemas"])(f"aten::{name}"))


def _schemas_of_packet(qualified: str) -> list[Any]:
    packet = getattr(torch.ops.aten, qualified.partition("::")[2], None)
    return [getattr(packet, overload)._schema for overload in packet.overloads()] if packet is not None else []


def onednn_takes(dtype: torch.dtype) -> bool:
    """Whether torch gives convolutions of this dtype to oneDNN on this processor, as ``ConvParams::use_mkldnn`` asks.

    Half precision goes there only where the processor has the instructions for it; double precision and integers never.
    """
    onednn: Any = torch.backends.mkldnn
    if not onednn.is_available() or not onednn.enabled:
        return False
    return dtype is torch.float32 or _in_processor(dtype)


@functools.cache
def _in_processor(dtype: torch.dtype) -> bool:
    probe = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}.get(dtype)
    supported = getattr(torch.ops.mkldnn, probe, None) if probe is not None else None
    with _found(NAMES["DisableTorchFunction"])():
        return supported is not None and bool(supported())
