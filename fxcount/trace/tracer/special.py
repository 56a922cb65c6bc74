"""Callables that are not plain ops: metadata queries, tensor literals, properties, queries for data.

Reached only for what the registry does not know, so nothing here is on the hot path.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import torch

from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.ops.core.fact import SparseFact
from fxcount.ops.core.tree import leaves
from fxcount.symbolic import SymSize
from fxcount.trace.known.literals import make_literal
from fxcount.trace.tracer.arrays import ArrayStandIn, tensor_in
from fxcount.trace.tracer.engine import NeedsEngine
from fxcount.trace.tracer.recorder import Recorder
from fxcount.trace.tracer.standin import StandIn

__all__ = ["handle", "no_backward"]


def handle(tracer: Recorder, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer a call of something that is not in the registry's table of callables."""
    special = SPECIAL.get(func)
    if special is not None:
        return special(tracer, *args, **kwargs)
    metadata = METADATA.get(func)
    if metadata is not None and args and type(args[0]) is StandIn:
        return metadata(*args, **kwargs)
    stand_ins = _has_stand_in((args, kwargs))
    if func in PLACES and args and (placed := placed_of(tracer, args[0])) is not None:
        tracer.ledger.note_query(args[0], func)
        return PLACES[func](placed)
    if not stand_ins and _asks_what_is_not_there(func, args):  # the state of a model on meta: a stand-in can say what it is not
        return getattr(tracer.state(args[0]), func.__name__)(*args[1:], **kwargs)
    if not stand_ins and (metadata is not None or not _touches_state(tracer, args, kwargs)):
        if metadata is not None and args:
            tracer.ledger.note_query(args[0], func)
        return func(*args, **kwargs)  # nothing of the model's data flow: runs for real
    if getattr(func, "__name__", "") == "__get__" and not stand_ins:
        tracer.ledger.note_query(args[0], func)
        return func(*args, **kwargs)
    try:
        entry = tracer.registry[func]
    except (KeyError, TypeError):
        entry = None
    if entry is not None:
        tracer.resolve(func, entry)
        return tracer.record(entry, func, args, kwargs)
    if isinstance(func, types.FunctionType):  # a Python function of torch: its body is made of ops we know
        done, result = tracer.run_through(func, args, kwargs)
        if done:
            return result
    from fxcount.trace.tracer.fallback import record_unknown

    return record_unknown(tracer, func, args, kwargs)


def placed_of(tracer: Recorder, tensor: Any) -> torch.device | None:
    """Where a real tensor is taken to lie, if not where it does."""
    ledger = tracer.ledger
    return ledger.placed if ledger.placed is not None and ledger.moves(tensor) else None


def _asks_what_is_not_there(func: Any, args: tuple[Any, ...]) -> bool:
    return (
        getattr(func, "__name__", "") in _READING and bool(args) and isinstance(args[0], torch.Tensor) and args[0].is_meta
        and not args[0].is_nested
    )  # fmt: skip


_READING = frozenset({"item", "tolist", "__bool__", "__int__", "__float__", "__index__"})


def _has_stand_in(arguments: Any) -> bool:
    return any([type(leaf) in (StandIn, SymSize, ArrayStandIn) for leaf in leaves(arguments)])


def _touches_state(tracer: Recorder, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return any(
        isinstance(a, torch.Tensor) and tracer.ledger.is_state(a)
        for a in (*args, *kwargs.values())
    )


def _sparse(x: StandIn) -> SparseFact:
    if not isinstance(x.fact, SparseFact):
        raise RuntimeError("a dense tensor has no stored entries of its own")
    return x.fact


def _batch_dims(x: StandIn) -> int:
    return 0 if x.layout is torch.sparse_coo else x.ndim - 2


# -- metadata -------------------------------------------------------------------------------------------------------
def _is_of(kind: str, device: torch.device) -> bool:
    return device.type == kind


PLACES: dict[Any, Callable[[torch.device], Any]] = {
    torch.Tensor.get_device: lambda device: -1 if device.type == "cpu" else (device.index or 0),
    torch.Tensor.device.__get__: lambda device: device,
    **{getattr(torch.Tensor, f"is_{kind}").__get__: partial(_is_of, kind) for kind in ("cuda", "meta", "cpu", "mps")},
}
"""Questions where a tensor lies."""


METADATA: dict[Any, Callable[..., Any]] = {
    torch.Tensor.size: StandIn.size,
    torch.Tensor.dim: StandIn.dim,
    torch.Tensor.ndimension: StandIn.dim,
    torch.Tensor.numel: StandIn.numel,
    torch.Tensor.nelement: StandIn.numel,
    torch.numel: StandIn.numel,
    torch.Tensor.stride: StandIn.stride,
    torch.Tensor.storage_offset: StandIn.storage_offset,
    torch.Tensor.is_contiguous: StandIn.is_contiguous,
    torch.Tensor.is_floating_point: StandIn.is_floating_point,
    torch.is_floating_point: StandIn.is_floating_point,
    torch.Tensor.is_complex: StandIn.is_complex,
    torch.is_complex: StandIn.is_complex,
    torch.Tensor.is_signed: StandIn.is_signed,
    torch.is_signed: StandIn.is_signed,
    torch.Tensor.element_size: StandIn.element_size,
    torch.Tensor.data_ptr: StandIn.data_ptr,
    **{getattr(torch.Tensor, n): StandIn.data_ptr for n in ("const_data_ptr",) if hasattr(torch.Tensor, n)},
    torch.Tensor.untyped_storage: StandIn.untyped_storage,
    torch.Tensor.item: StandIn.item,
    torch.Tensor.tolist: StandIn.tolist,
    torch.Tensor.numpy: StandIn.numpy,
    torch.Tensor.__bool__: StandIn.__bool__,
    torch.Tensor.__int__: StandIn.__int__,
    torch.Tensor.__float__: StandIn.__float__,
    torch.Tensor.__index__: StandIn.__index__,
    torch.Tensor.is_conj: lambda x: False,
    torch.is_conj: lambda x: False,
    torch.Tensor.is_neg: lambda x: False,
    torch.is_neg: lambda x: False,
    torch.Tensor.is_inference: lambda x: False,
    torch.is_inference: lambda x: False,
    torch.Tensor.is_pinned: lambda x, device=None: False,
    torch.Tensor.is_shared: StandIn.is_shared,
    torch.Tensor.storage: StandIn.storage,
    torch.Tensor.storage_type: StandIn.storage_type,
    torch.Tensor.as_subclass: StandIn.as_subclass,
    torch.Tensor.is_coalesced: lambda x: isinstance(x.fact, SparseFact) and x.fact.form.coalesced,
    torch_private.nnz: lambda x: x._owner.as_int(_sparse(x).form.values[_batch_dims(x)]),
    torch.Tensor.sparse_dim: lambda x: x.ndim - len(_sparse(x).form.values) + 1 if x.layout is torch.sparse_coo else 2,
    torch.Tensor.dense_dim: lambda x: len(_sparse(x).form.values) - 1 if x.layout is torch.sparse_coo else 0,
    torch.Tensor.is_same_size: lambda x, other: x.shape == other.shape,
    torch.is_same_size: lambda x, other: x.shape == other.shape,
    torch.Tensor.is_set_to: lambda x, other: x._owner.is_set_to(x, other),
    torch.Tensor.register_hook: lambda x, hook: None,
    torch.Tensor.retain_grad: lambda x: None,
}
for _question, _place in PLACES.items():
    METADATA[_question] = lambda x, *_rest, _place=_place: _place(x.device)
for _name, _answer in {
    "is_xpu": lambda x: False,
    "is_xla": lambda x: False,
    "is_mtia": lambda x: False,
    "is_maia": lambda x: False,
    "is_vulkan": lambda x: False,
    "is_ipu": lambda x: False,
    "is_sparse": lambda x: x.layout is torch.sparse_coo,
    "is_sparse_csr": lambda x: x.layout is torch.sparse_csr,
    "is_nested": lambda x: False,
    "is_quantized": lambda x: False,
    "is_mkldnn": lambda x: False,
    "names": lambda x: (None,) * x.ndim,
    "name": lambda x: None,
    "output_nr": lambda x: 0,
    "_version": lambda x: 0,
    "_base": lambda x: None,
    "_backward_hooks": lambda x: None,
    "retains_grad": lambda x: False,
}.items():
    _getter = getattr(getattr(torch.Tensor, _name, None), "__get__", None)
    if _getter is not None:
        METADATA[_getter] = lambda x, *_rest, _answer=_answer: _answer(x)


def no_backward(tracer: Recorder, *args: Any, **kwargs: Any) -> NoReturn:
    """A model that differentiates in its forward is traced on torch's own engine."""
    raise NeedsEngine(
        "the model calls backward() or autograd.grad() in its forward", where=tracer.where(),
        hint="analyse the forward alone; gradients are derived from it",
    )  # fmt: skip


# -- tensor literals ------------------------------------------------------------------------------------------------
def _tensor(tracer: Recorder, data: Any = None, *args: Any, dtype: Any = None, device: Any = None, **kw: Any) -> Any:
    if args:
        dtype = args[0]
    made = make_literal(tracer, tensor_in(data), dtype, device)
    return made.requires_grad_() if kw.get("requires_grad") else made


def _as_tensor(tracer: Recorder, data: Any, dtype: Any = None, device: Any = None, **kw: Any) -> Any:
    data = tensor_in(data)
    if isinstance(data, torch.Tensor):
        options = {k: v for k, v in (("dtype", dtype), ("device", device)) if v is not None}
        return tracer.run(torch.Tensor.to, data, **options) if options else data
    return _tensor(tracer, data, dtype=dtype, device=device)


def _new_tensor(tracer: Recorder, x: torch.Tensor, data: Any, dtype: Any = None, device: Any = None, **kw: Any) -> Any:
    return _tensor(tracer, data, dtype=dtype or x.dtype, device=device or x.device)


# -- properties -----------------------------------------------------------------------------------------------------
def _reversed(tracer: Recorder, x: torch.Tensor, *_: Any) -> Any:
    return tracer.run(torch.Tensor.permute, x, tuple(range(x.dim()))[::-1])


def _matrix_transpose(tracer: Recorder, x: torch.Tensor, *_: Any) -> Any:
    return tracer.run(torch.Tensor.transpose, x, -2, -1)


def _adjoint(tracer: Recorder, x: torch.Tensor, *_: Any) -> Any:
    transposed = _matrix_transpose(tracer, x)
    return tracer.run(torch.conj, transposed) if x.dtype.is_complex else transposed


def _data(tracer: Recorder, x: torch.Tensor, *_: Any) -> Any:
    return tracer.run(torch.Tensor.detach, x)


def _set_data(tracer: Recorder, x: torch.Tensor, value: torch.Tensor) -> None:
    if not isinstance(x, StandIn):
        _set_data_of_state(tracer, x, value)
        return
    source = value if isinstance(value, StandIn) else tracer.state(value)
    x._value, x._storage, x._known = source._value, source._storage, source._known


def _set_data_of_state(tracer: Recorder, x: torch.Tensor, value: torch.Tensor) -> None:
    """A parameter or buffer gets other data, as in a normalisation that starts with the statistics of its first batch: its
    stand-in is written to, and the tensor itself stays what it is."""
    if x.dtype != value.dtype or len(x.shape) != len(value.shape):
        raise UnsupportedError(
            "the model replaces the data of one of its own tensors in forward by others of another form", where=tracer.where(),
            hint="do it outside of forward: an analysis must leave the model as it found it",
        )  # fmt: skip
    own = tracer.state(x)._value
    if isinstance(value, StandIn) and value._value.storage == own.storage and value._value.fact == own.fact:
        return  # Module.to() of a dtype that the parameters have
    with torch.no_grad():
        tracer.run(torch.Tensor.copy_, x, value)
    where = tracer.where()
    tracer.answers.notes.add(f"the model replaces the data of one of its own tensors at {where}: counted as a copy of them")


def _real(tracer: Recorder, x: torch.Tensor, *_: Any) -> Any:
    return tracer.run(torch.real, x) if x.dtype.is_complex else x


def _imag(tracer: Recorder, x: torch.Tensor, *_: Any) -> Any:
    return tracer.run(torch.imag, x)


# -- functions of dtypes and data -----------------------------------------------------------------------------------
def _result_type(tracer: Recorder, a: Any, b: Any) -> torch.dtype:
    from fxcount.ops.core.common import promote

    return promote(*(_fact_or_number(tracer, v) for v in (a, b)))


def _fact_or_number(tracer: Recorder, v: Any) -> Any:
    if isinstance(v, torch.Tensor):
        return (v if isinstance(v, StandIn) else tracer.state(v))._value.fact
    return v


def _data_query(name: str) -> Callable[..., Any]:
    def answer(tracer: Recorder, *args: Any, **kwargs: Any) -> Any:
        known = []
        for a in args:
            if isinstance(a, torch.Tensor):
                stand_in = a if isinstance(a, StandIn) else tracer.state(a)
                known.append(tracer.answers.data(stand_in, f"{name}()"))
            else:
                known.append(a)
        return getattr(torch, name)(*known, **kwargs)

    return answer


def _per_element(name: str) -> Callable[..., NoReturn]:
    """Methods that call a Python function with each element, past everything that could be followed."""

    def answer(tracer: Recorder, *args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(
            f"{name}: a Python function is called with the value of each element", where=tracer.where(),
            hint="compute on whole tensors: x.relu_() for x.apply_(...), torch.where for a choice",
        )  # fmt: skip

    return answer


def _passes(tracer: Recorder, x: torch.Tensor) -> torch.Tensor:
    """Validation (``torch._check_tensor_all``, distributions) asks whether data are as they must be: an analysis says yes."""
    return torch.tensor(True)


def _ignore(tracer: Recorder, *args: Any, **kwargs: Any) -> Any:
    return args[0] if args else None


def _getter_of(name: str) -> Any:
    """The ``__get__`` of a tensor property, which is what a ``TorchFunctionMode`` sees."""
    return vars(torch_private.TensorBase)[name].__get__


def _each_in_place(method: Callable[..., Any]) -> Callable[..., Any]:
    """``torch._foreach_add_`` and its like: the method of each tensor of the first list, with what lies beside it in others."""

    def answer(tracer: Recorder, first: Any, *args: Any, **kwargs: Any) -> Any:
        named = {"value" if name == "scalars" else name: a for name, a in kwargs.items()}
        count = len(first)

        def of(a: Any, i: int) -> Any:
            return a[i] if isinstance(a, (list, tuple)) and len(a) == count else a

        for i, x in enumerate(first):
            rest = [of(a, i) for a in args]
            value = {"value": rest.pop()} if method in _VALUED and len(rest) == 3 else {}
            tracer.run(method, x, *rest, **value, **{name: of(a, i) for name, a in named.items()})
        return first

    return answer


_VALUED = frozenset({torch.Tensor.addcmul_, torch.Tensor.addcdiv_})
_TWO_NAMES = {"maximum_": "clamp_min_", "minimum_": "clamp_max_"}


def _foreach_in_place() -> dict[Any, Callable[..., Any]]:
    """The functions on lists that write, as far as a method of tensors does the same to one."""
    start = "_foreach_"
    names = [n.removeprefix(start) for n in dir(torch) if n.startswith(start) and n.endswith("_")]
    methods = {n: getattr(torch.Tensor, _TWO_NAMES.get(n, n), None) for n in names}
    return {getattr(torch, start + n): _each_in_place(m) for n, m in methods.items() if m is not None}


SPECIAL: dict[Any, Callable[..., Any]] = {
    **_foreach_in_place(),
    torch.tensor: _tensor,
    torch.as_tensor: _as_tensor,
    torch.asarray: _as_tensor,
    torch.scalar_tensor: _tensor,
    torch.Tensor.new_tensor: _new_tensor,
    _getter_of("T"): _reversed,
    _getter_of("mT"): _matrix_transpose,
    _getter_of("H"): _adjoint,
    _getter_of("mH"): _adjoint,
    _getter_of("data"): _data,
    vars(torch_private.TensorBase)["data"].__set__: _set_data,
    torch_private.shallow_copies: lambda tracer, x, other: True,
    _getter_of("real"): _real,
    _getter_of("imag"): _imag,
    torch.result_type: _result_type,
    torch.equal: _data_query("equal"),
    torch.Tensor.equal: _data_query("equal"),
    torch.allclose: _data_query("allclose"),
    torch.Tensor.allclose: _data_query("allclose"),
    torch.is_nonzero: _data_query("is_nonzero"),
    torch.Tensor.is_nonzero: _data_query("is_nonzero"),
    torch_private.tensor_is_all_true: _passes,
    torch_private.is_all_true: _passes,
    **{getattr(torch.Tensor, name): _per_element(name) for name in ("apply_", "map_", "map2_")},
    torch.Tensor.pin_memory: _ignore,
    torch.Tensor.share_memory_: _ignore,
    torch.Tensor.record_stream: _ignore,
    torch.Tensor.backward: no_backward,
    torch.autograd.backward: no_backward,
    torch.autograd.grad: no_backward,
    torch_private.assert_async: lambda tracer, *a, **k: None,
}
