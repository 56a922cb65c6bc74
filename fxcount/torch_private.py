"""Every name of torch that torch does not promise to keep, and what fxcount needs it for.

Tracing below ``forward`` asks for things no public interface gives: a tensor without storage, the key of a storage, the
schemas of ops. They are looked up here and nowhere else, each when it is first asked for. Where a name is gone its public
stand-in is taken if there is one; else the error names the versions of torch fxcount is known to work with.

>>> from fxcount import torch_private
>>> torch_private.VF.lstm is torch._VF.lstm
True
>>> x = torch.zeros(3)
>>> storage_key(x.untyped_storage()) == storage_key(x[1:].untyped_storage())
True
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
import threading
from collections import namedtuple
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import UnsupportedError

__all__ = [
    "NAMES", "NEWEST", "OLDEST", "PREDISPATCH", "VERSION", "Name", "checks", "compiled_from", "graph_tree", "loaded",
    "missing", "node_number", "onednn_takes", "parsed_schema", "schema", "schemas", "script_class",
    "script_method", "script_module", "shown_name", "storage_key", "tree_children", "trying_numbers",
]  # fmt: skip

OLDEST, NEWEST = "2.6", "2.15"  # the versions of docs/compatibility.md
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
    "AdaptiveOutput": Name(
        "torch.nn.modules.adaptive._ASMoutput", "give what an adaptive softmax returns",
        lambda: namedtuple("_ASMoutput", ["output", "loss"]),
    ),
    "disabled_torch_function": Name(
        "torch._C._disabled_torch_function_impl", "leave stand-in tensors to the tracer's mode",
        lambda: torch.nn.Parameter.__torch_function__,
    ),
    "hooks_before": Name("torch._C.TensorBase._backward_hooks", "run the hooks of a parameter in a step"),
    "hooks_after": Name("torch._C.TensorBase._post_accumulate_grad_hooks", "run the hooks of a parameter in a step"),
    "nnz": Name("torch.Tensor._nnz", "say how many entries of a sparse tensor are stored", lambda: object()),
    "shallow_copies": Name(
        "torch._has_compatible_shallow_copy_type", "follow Module.to() in a forward", lambda: object()
    ),
    "make_wrapper_subclass": Name("torch.Tensor._make_wrapper_subclass", "make a tensor without storage"),
    "make_subclass": Name("torch.Tensor._make_subclass", "copy a tensor without storage"),
    "TensorBase": Name("torch._C.TensorBase", "tell the properties of a tensor apart", lambda: torch.Tensor.__base__),
    "is_any_autocast_enabled": Name(
        "torch._C._is_any_autocast_enabled", "know whether autocast is on for some device",
        lambda: lambda: torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"),
    ),
    "is_all_true": Name("torch._is_all_true", "pass a check of values", lambda: object()),
    "tensor_is_all_true": Name("torch.Tensor._is_all_true", "pass a check of values", lambda: object()),
    "assert_async": Name("torch._assert_async", "pass a check of values", lambda: object()),
    # -- the autograd engine, which runs a training step on stand-ins
    "sequence_number": Name("torch.autograd._get_sequence_nr", "tell which op a backward belongs to"),
    "node_that_runs": Name("torch._C._current_autograd_node", "tell which op a backward belongs to"),
    "backward_that_runs": Name("torch._C._current_graph_task_id", "tell a backward from a forward"),
    "run_backward": Name("torch.autograd.graph._engine_run_backward", "give the engine stand-ins for parameters"),
    "saved_hooks": Name(
        "torch._C._autograd._top_saved_tensors_default_hooks", "know whether a layer's backward can stand for others",
        lambda: lambda _: True,
    ),
    "TorchDispatchMode": Name("torch.utils._python_dispatch.TorchDispatchMode", "see the ops that reach the dispatcher"),
    "use_count": Name("torch.Tensor._use_count", "tell who holds a gradient"),
    "map_places": Name("torch.nn.attention.flex_attention._vmap_for_bhqkv", "follow flex_attention"),
    "safe_softmax": Name("torch._safe_softmax", "follow flex_attention"),
    "transforms": Name("torch._functorch.eager_transforms", "know when torch.func begins to differentiate"),
    "run_mapped": Name("torch._functorch.vmap.vmap_impl", "know a function that torch.vmap made before the analysis"),
    "functorch_level": Name(
        "torch._functorch.pyfunctorch.retrieve_current_functorch_interpreter", "follow torch.vmap with sizes that are formulas"
    ),
    "TransformType": Name("torch._C._functorch.TransformType", "follow torch.vmap with sizes that are formulas"),
    "is_batched": Name("torch._C._functorch.is_batchedtensor", "follow torch.vmap with sizes that are formulas"),
    "level_of": Name("torch._C._functorch.maybe_get_level", "follow torch.vmap with sizes that are formulas"),
    "unwrap_batched": Name("torch._C._functorch._unwrap_batched", "follow torch.vmap with sizes that are formulas"),
    "add_batch_dim": Name("torch._C._functorch._add_batch_dim", "follow torch.vmap with sizes that are formulas"),
    "DisableTorchDispatch": Name("torch._C._DisableTorchDispatch", "copy a tensor without storage"),
    "is_wrapped": Name("torch._C._functorch.is_functorch_wrapped_tensor", "know a tensor that torch.func has wrapped"),
    "numpy": Name("torch._numpy", "follow what numpy computes with a tensor's data"),
    # -- settings of the thread, which an analysis leaves as they were
    "watches_functions": Name("torch._C._is_torch_function_mode_enabled", "copy a tensor without storage"),
    "mode_stack": Name("torch.overrides._get_current_function_mode_stack", "put function modes back"),
    "pop_mode": Name("torch.overrides._pop_mode", "put function modes back"),
    "push_mode": Name("torch.overrides._push_mode", "put function modes back"),
    "default_device": Name("torch._GLOBAL_DEVICE_CONTEXT", "put the default device back", threading.local),
    "set_grad_enabled": Name("torch._C._set_grad_enabled", "put the grad mode back", lambda: torch.set_grad_enabled),
    "tensor_functions": Name("torch._tensor", "run Python-level tensor methods through to their ops"),
    "lowrank_functions": Name("torch._lowrank", "run its functions through to their ops"),
    "lobpcg_functions": Name("torch._lobpcg", "run its functions through to their ops"),
    # -- ops
    "variable_functions": Name("torch._C._VariableFunctions", "find the builtin functions of torch by name"),
    "nn_functions": Name("torch._C._nn", "find the builtin functions of torch.nn by name"),
    "fused_sdp_choice": Name("torch._fused_sdp_choice", "know which attention runs with groups of heads on the CPU"),
    "sdp_priority_order": Name(
        "torch._C._get_sdp_priority_order", "know which attention runs on a GPU", lambda: lambda: [1, 2, 0, 3, 4]
    ),
    "pack_sequence": Name("torch._VF._pack_padded_sequence", "follow packed sequences in a training step"),
    "pad_sequence": Name("torch._VF._pad_packed_sequence", "follow packed sequences in a training step"),
    "VF": Name("torch._VF", "find the builtin functions of recurrent layers", lambda: torch._C._VariableFunctions),
    "OpOverload": Name("torch._ops.OpOverload", "know a node that calls an op", lambda: type(torch.ops.aten.add.Tensor)),
    "HigherOrderOperator": Name(
        "torch._ops.HigherOrderOperator", "know a node that runs a graph inside", lambda: type(torch.ops.higher_order.cond)
    ),
    "parse_schema": Name("torch._C.parse_schema", "bind the arguments of a call that only Python knows"),
    "get_schemas": Name(
        "torch._C._jit_get_schemas_for_operator", "know the names of an op's arguments", lambda: _schemas_of_packet
    ),
    # -- graphs, scripts and compiled modules
    "pytree": Name("torch.utils._pytree", "flatten nested inputs as torch does"),
    "FakeTensorMode": Name("torch._subclasses.fake_tensor.FakeTensorMode", "find the shapes of an op without a rule"),
    "ConstantSource": Name("torch._dynamo.source.ConstantSource", "find the shapes of an op without a rule"),
    "graph_name": Name("torch.fx.node._get_qualified_name", "write a graph's code", lambda: lambda func: func.__name__),
    "ParameterDict": Name("torch._C.ParameterDict", "list the parameters of a TorchScript module"),
    "BufferDict": Name("torch._C.BufferDict", "list the buffers of a TorchScript module"),
    "ModuleDict": Name("torch._C.ModuleDict", "list the children of a TorchScript module"),
    "script_functions": Name("torch.jit._state._python_cu", "find a function that a TorchScript module calls"),
    "SerializedProgram": Name("torch._export.serde.schema.ExportedProgram", "read an exported program from a file"),
    "ProgramReader": Name("torch._export.serde.serialize.ExportedProgramDeserializer", "read an exported program from a file"),
    "program_from_bytes": Name("torch._export.serde.serialize._bytes_to_dataclass", "read an exported program from a file"),
    # -- layers
    "NormBase": Name(
        "torch.nn.modules.batchnorm._NormBase", "know a batch norm layer", lambda: torch.nn.BatchNorm1d.__mro__[2]
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


def storage_key(storage: Any) -> Any:
    """A number that Python's handles of one storage share, as long as it lives."""
    try:
        return storage._cdata
    except AttributeError as error:
        raise missing("UntypedStorage._cdata", "tell storages apart") from error


def trying_numbers(namespace: dict[str, Any]) -> tuple[str, ...]:
    """The functions in torch's namespace whose C++ takes an operand for a plain number where it is none of its own tensors.

    >>> set(trying_numbers(vars(torch))) >= {"pow", "where"}
    True
    """
    return tuple([name for name in _TRYING_NUMBERS if name in namespace])


_TRYING_NUMBERS = (
    "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "bucketize", "float_power", "isin",
    "pow", "remainder", "result_type", "where", "xlogy", "xlog1py", "zeta", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he",
    "laguerre_polynomial_l", "legendre_polynomial_p", "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w",
)  # fmt: skip


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


def parsed_schema(text: str) -> Any:
    """A schema from its text.

    >>> parsed_schema("relu(Tensor self) -> Tensor").arguments[0].name
    'self'
    """
    return _found(NAMES["parse_schema"])(text)


def _schemas_of_packet(qualified: str) -> list[Any]:
    packet = getattr(torch.ops.aten, qualified.partition("::")[2], None)
    return [getattr(packet, overload)._schema for overload in packet.overloads()] if packet is not None else []


def node_number(node: Any) -> int:
    """The number of an autograd node, which grows as nodes are made.

    >>> x = torch.zeros(2, requires_grad=True)
    >>> y = x * 2
    >>> node_number((y + 1).grad_fn) - node_number(y.grad_fn)
    1
    """
    try:
        return node._sequence_nr()  # type: ignore[no-any-return]
    except AttributeError as error:
        raise missing(f"{type(node).__name__}._sequence_nr", "tell which op a backward belongs to") from error


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


# -- graphs, scripts and compiled modules ------------------------------------------------------------------------------
COMPILER = "torch._dynamo"  # the module that torch loads where a checkpoint is first called
PREDISPATCH = "torch._functorch.predispatch"  # the module of the functions an exported graph calls for torch.vmap


def graph_tree(graph: Any) -> Any:
    """How a graph's flat inputs and outputs nest: an object with ``in_spec`` and ``out_spec``, or ``None``."""
    return getattr(getattr(graph, "_codegen", None), "pytree_info", None)


def tree_children(spec: Any) -> list[Any]:
    """The parts of a pytree's structure; a method since 2.9, an attribute before.

    >>> from torch.utils._pytree import tree_structure
    >>> [part.num_leaves for part in tree_children(tree_structure([(1, 2), 3]))]
    [2, 1]
    """
    children = getattr(spec, "children", None)
    return list(children() if children is not None else _part(spec, "children_specs", "read the structure of inputs"))


def compiled_from(model: Any) -> Any:
    """The module that ``torch.compile`` made this one of, ``None`` for every other module."""
    frames = loaded("_dynamo.eval_frame")
    if frames is None or not isinstance(model, getattr(frames, "OptimizedModule", ())):
        return None
    return _part(model, "_orig_mod", "find the module that torch.compile was given")


def script_module(module: Any) -> Any:
    """The compiled module inside a ``torch.jit.ScriptModule``."""
    return _part(module, "_c", "read a TorchScript module")


def script_method(compiled: Any, name: str) -> Any:
    """A method of a compiled module: its ``schema`` and its ``graph``."""
    return _part(compiled, "_get_method", "read the methods of a TorchScript module")(name)


def script_class(compiled: Any) -> str:
    """The name of the class a compiled module was made of."""
    return str(_part(compiled, "_type", "name a TorchScript module")().name().rpartition(".")[2])


def shown_name(module: torch.nn.Module) -> str:
    """The name that a module's ``repr`` begins with.

    >>> shown_name(torch.nn.Linear(2, 3))
    'Linear'
    """
    own = getattr(module, "_get_name", None)
    return str(own()) if own is not None else type(module).__name__


def _part(owner: Any, name: str, purpose: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        raise missing(f"{type(owner).__name__}.{name}", purpose) from error


def checks() -> tuple[Any, ...]:
    """The functions of torch that raise with the text they are given, as far as this torch has them."""
    return tuple(getattr(torch, name) for name in _CHECKS if hasattr(torch, name))


_CHECKS = ("_assert", "_check", "_check_index", "_check_value", "_check_type", "_check_not_implemented")
