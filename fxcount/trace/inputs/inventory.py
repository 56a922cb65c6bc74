"""What a model holds, collected in one walk over its modules: paths, parameters, buffers, device and dtype."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import field
from itertools import islice
from types import MappingProxyType
from typing import Literal

import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.ops.quantise.packed import Packed, PackedCell, is_packed, unpacked
from fxcount.ops.sparse.real import form_of
from fxcount.trace.inputs.census import every_module
from fxcount.trace.inputs.holding import Held, held_by, local_bytes
from fxcount.trace.tape import Declared
from fxcount.wording import short_dtype

__all__ = ["Inventory", "declared", "is_parameter", "take_inventory"]


@dataclass(frozen=True, slots=True)
class Inventory:
    """``modules``: every path with its module, a shared module under each of its paths; ``names``: all names of a
    parameter or buffer by the identity of the tensor; ``aliases``: the paths of each module that has several; ``device``
    and ``dtype`` are what inputs get by default; ``packed`` are the weights that torch.ao keeps in objects, by the identity of
    these. ``dense``: what is declared by the tensors that lie row-major in plain memory, nearly all, by the identity of the
    tensor; ``nbytes`` of that memory by its number. ``placed``: where the model and its inputs are taken to lie, if not where
    they do."""

    modules: tuple[tuple[str, torch.nn.Module], ...]
    names: dict[int, tuple[str, ...]]
    declared: tuple[Declared, ...]
    aliases: tuple[tuple[str, ...], ...]
    device: torch.device
    dtype: torch.dtype
    packed: Mapping[int, Packed | PackedCell] = field(default_factory=dict)
    dense: Mapping[int, Declared] = field(default_factory=dict)
    nbytes: Mapping[int, int] = field(default_factory=dict)
    placed: torch.device | None = None

    def unique_modules(self) -> list[torch.nn.Module]:
        """Each module once."""
        return list({id(m): m for _, m in self.modules}.values())

    def reassigned(self) -> tuple[str, ...]:
        """Names of the buffers in whose place there is now another tensor."""
        names = self.names
        known = names.keys()
        changed = [(path, m) for path, m in self.modules if m._buffers and not known >= set(map(id, m._buffers.values()))]
        return tuple(
            [
                f"{path}.{name}" if path else name
                for path, module in changed
                for name, tensor in module._buffers.items()
                if tensor is not None and id(tensor) not in names
            ]
        )


def take_inventory(model: torch.nn.Module, listed: Iterable[tuple[str, torch.nn.Module]] | None = None) -> Inventory:
    """Walk the model once; ``listed`` is what ``every_module`` has just said of it."""
    modules = tuple(every_module(model) if listed is None else listed)
    names: dict[int, tuple[str, ...]] = {}
    parameters: dict[int, torch.Tensor] = {}
    buffers: dict[int, torch.Tensor] = {}
    hidden: set[str] = set()
    shadows: dict[str, str] = {}
    packed: dict[int, Packed | PackedCell] = {}
    packing = {kind for kind in {type(m) for _, m in modules} if kind.__module__.startswith(_QUANTISED)}
    for path, module in modules:
        prefix = f"{path}." if path else ""
        if packing and type(module) in packing:
            _note_packed(module, prefix, packed, names, buffers)
        attributes = module.__dict__
        for slot, found in ((attributes["_parameters"], parameters), (attributes["_buffers"], buffers)):
            if not slot:
                continue
            for name, tensor in slot.items():
                if tensor is not None:
                    key, full = id(tensor), prefix + name
                    names[key] = (*names[key], full) if key in names else (full,)
                    found[key] = tensor
                    if name in attributes:
                        shadows[full] = full
                    elif name[-1:] in _LAST and name.endswith(_ORIGINALS) and (hiding := _derived_attribute(module, name)):
                        shadows[full] = prefix + hiding
        if attributes["_non_persistent_buffers_set"]:
            hidden.update([prefix + name for name in attributes["_non_persistent_buffers_set"]])
    nbytes: dict[int, int] = {}
    everything = _all_declared([*parameters.values(), *buffers.values()], names, hidden, shadows, nbytes)
    dense = {key: d for key, d in zip((*parameters, *buffers), everything) if d.strides is None and d.storage in nbytes}
    if packed:
        held = {id(cell.weight): _held_packed(cell) for p in packed.values() for cell in p.cells}
        everything = [
            d._replace(held=held[key].nbytes, precision=held[key].precision) if key in held else d
            for d, key in zip(everything, (*parameters, *buffers), strict=True)
        ]
    home = _home(parameters, buffers, everything)
    return Inventory(modules, names, tuple(everything), _aliases(modules), *home, packed, dense, nbytes)


_QUANTISED = "torch.ao."


def _held_packed(packed: Packed) -> Held:
    """What is kept of a packed weight; half-precision weights are unpacked as floats of 32 bits."""
    weight = packed.weight
    if not weight.is_quantized:
        return Held(2 * weight.numel(), "f16", "")
    bits = 8 * weight.nbytes // weight.numel() if weight.numel() else 8
    return Held(int(weight.nbytes) + packed.scale_bytes, short_dtype(weight.dtype) if bits == 8 else f"uint{bits}", "")


def _note_packed(
    module: torch.nn.Module, prefix: str, packed: dict[int, Packed | PackedCell], names: dict[int, tuple[str, ...]],
    buffers: dict[int, torch.Tensor],
) -> None:  # fmt: skip
    """The weights a module of torch.ao keeps in objects, as buffers: its state dict has them, and they are no parameters."""
    for attribute, value in module.__dict__.items():
        if is_packed(value):
            found = packed.setdefault(id(value), unpacked(value))
            for part, cell in zip(("",) if len(found.cells) == 1 else (".ih", ".hh"), found.cells):
                _name_parts(cell, f"{prefix}{attribute}{part}", names, buffers)


def _name_parts(packed: Packed, path: str, names: dict[int, tuple[str, ...]], buffers: dict[int, torch.Tensor]) -> None:
    for name, tensor in zip(("weight", "bias"), packed.tensors):
        names[id(tensor)] = (*names.get(id(tensor), ()), f"{path}.{name}")
        buffers[id(tensor)] = tensor


def is_parameter(tensor: torch.Tensor) -> bool:
    """``isinstance(tensor, torch.nn.Parameter)``; that class has an instance check of its own, which is slow."""
    kind = type(tensor)
    if kind is torch.Tensor:
        return bool(getattr(tensor, "_is_param", False))
    return kind is torch.nn.Parameter or isinstance(tensor, torch.nn.Parameter)


def _aliases(modules: tuple[tuple[str, torch.nn.Module], ...]) -> tuple[tuple[str, ...], ...]:
    """The paths of each module that is registered under several, in the order of the walk."""
    if len({id(module) for _, module in modules}) == len(modules):  # nearly always
        return ()
    paths: dict[int, list[str]] = {}
    for path, module in modules:
        paths.setdefault(id(module), []).append(path)
    return tuple([tuple(found) for found in paths.values() if len(found) > 1])


_ORDINARY = frozenset({torch.Tensor, torch.nn.Parameter})
_OF_QUANTISED = frozenset({torch.qint8, torch.quint8, torch.qint32, torch.quint4x2, torch.quint2x4})
_NONE: Mapping[str, str] = MappingProxyType({})
_ORIGINALS = ("_g", "_v", "_orig")
"""Endings that torch's hooks for weight_norm, spectral_norm and pruning give to what they compute a weight from."""
_LAST = frozenset({ending[-1] for ending in _ORIGINALS})


def _derived_attribute(module: torch.nn.Module, name: str) -> str:
    """The plain attribute ``weight`` that a hook computes from ``weight_g``, ``weight_v`` or ``weight_orig``; or ""."""
    base = name.rpartition("_")[0]
    return base if base in module.__dict__ else ""


def _all_declared(
    tensors: Iterable[torch.Tensor], names: Mapping[int, tuple[str, ...]], hidden: Collection[str], shadows: Mapping[str, str],
    nbytes: dict[int, int],
) -> list[Declared]:  # fmt: skip
    """``declared`` of each; those of torch's own two classes, of which a model has thousands, are read here, and the bytes of
    the memory they lie in are noted."""
    found: list[Declared] = []
    storage_key, parameter, strided, make = torch_private.storage_key, torch.nn.Parameter, torch.strided, tuple.__new__
    for tensor in tensors:
        own, kind = names[id(tensor)], type(tensor)
        dtype = tensor.dtype
        if kind not in _ORDINARY or dtype in _OF_QUANTISED or tensor.layout is not strided:
            found.append(declared(tensor, own, hidden, shadows))
            continue
        try:
            memory, offset = tensor.untyped_storage(), tensor.storage_offset()
            strides = None if tensor.is_contiguous() else tensor.stride()
        except (NotImplementedError, RuntimeError):  # wrapped by torch.func
            found.append(declared(tensor, own, hidden, shadows))
            continue
        storage = storage_key(memory)
        nbytes[storage] = memory.nbytes()
        found.append(make(Declared, (
            "parameter" if kind is parameter or is_parameter(tensor) else "buffer", own, tuple(tensor.shape), dtype,
            tensor.requires_grad, storage, offset, own[0] not in hidden, _shadow(own, shadows) if shadows else "", strides,
            None, None, "", "", None,
        )))  # fmt: skip
    return found


def _shadow(names: tuple[str, ...], shadows: Mapping[str, str]) -> str:
    return next((shadows[n] for n in names if n in shadows), "")


def declared(
    tensor: torch.Tensor, names: tuple[str, ...], hidden: Collection[str] = (), shadows: Mapping[str, str] = _NONE
) -> Declared:
    """What is declared by a parameter or buffer of these names; ``hidden`` are the names of those that ``state_dict`` leaves
    out, ``shadows`` the plain attributes that stand in the place of some.

    Raises:
        InputError: it belongs to a lazy module and is not initialised.

    >>> declared(torch.nn.Parameter(torch.empty(5, 7)[:, 2:4]), ("w",)).strides
    (7, 1)
    """
    plain = type(tensor) in _ORDINARY  # the classes below have slow instance checks of their own
    if not plain and isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
        raise InputError(
            f"the parameter {names[0]} is not initialised (a lazy module)",
            hint="run the model once on real or meta tensors, so that its lazy modules learn their sizes",
        )
    strides: tuple[int, ...] | None = None
    form = form_of(tensor)
    stored = None if form is None else (int(form.stored), int(form.indices) * form.index_dtype.itemsize)
    try:
        storage, offset = torch_private.storage_key(tensor.untyped_storage()), int(tensor.storage_offset())
        if not tensor.is_contiguous():
            strides = tensor.stride()
    except (NotImplementedError, RuntimeError):  # sparse and wrapped tensors have no strided storage
        storage, offset = id(tensor), 0
    kind: Literal["parameter", "buffer"] = "parameter" if is_parameter(tensor) else "buffer"
    held = None if plain and not tensor.is_quantized else held_by(tensor)
    made = Declared(
        kind, names, tuple(tensor.shape), tensor.dtype, tensor.requires_grad, storage, offset, names[0] not in hidden,
        _shadow(names, shadows), strides, stored, *(held or ()),
    )  # fmt: skip
    return made if plain or (local := local_bytes(tensor)) is None else made._replace(local=local)


def _home(
    parameters: Mapping[int, torch.Tensor], buffers: Mapping[int, torch.Tensor], everything: Iterable[Declared]
) -> tuple[torch.device, torch.dtype]:
    """Device of the model, and the dtype of its floating parameters if they agree."""
    first = next(iter(parameters.values()), None)
    if first is None:
        first = next((b for b in buffers.values() if not b.is_quantized), None)
    dtypes = {d.dtype for d in islice(everything, len(parameters))}
    floating = [dtype for dtype in dtypes if dtype.is_floating_point]
    device = first.device if first is not None else torch.get_default_device()
    return device, floating[0] if len(floating) == 1 else torch.get_default_dtype()
