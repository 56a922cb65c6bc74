"""The rows of a summary: one for each module call in the order of execution, and the containers around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn.parameter import UninitializedParameter

from fxcount.compat.torchinfo.layer_info import Held, LayerInfo, get_children_layers, held, unique_elements
from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import TensorFact
from fxcount.report import Report
from fxcount.report.data.layers import Layer, LayerWork, layers
from fxcount.symbolic import Size, floordiv, prod
from fxcount.trace.tape import Declared, Value

__all__ = ["executed_rows", "static_rows"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module sits in the model; of several places the last one, as torchinfo has it."""

    name: str
    module: nn.Module
    depth: int
    parent: int | None  # identity of the module around it


def static_rows(model: nn.Module) -> list[LayerInfo]:
    """A row for every module in the order of registration, without shapes and work: nothing is traced."""
    rows: list[LayerInfo] = []
    seen: dict[int, LayerInfo] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        name = path.rpartition(".")[2] if path else type(model).__name__
        parent = None if not path else seen.get(id(model.get_submodule(path.rpartition(".")[0])))
        info = LayerInfo(name, module, path.count(".") + bool(path), parent, is_recursive=id(module) in seen)
        seen.setdefault(id(module), info)
        rows.append(info)
    return _finished(rows)


def executed_rows(model: nn.Module, report: Report, batch_dim: int | None) -> list[LayerInfo]:
    """A row for every module call of the report's trace, and one for every container around them that is not called."""
    places = _places(model)
    found = layers(report)
    made = _lazies(model, report)
    rows: list[LayerInfo] = []
    owners: list[LayerInfo | None] = []  # for each layer the row it counts on
    open_rows: dict[int, LayerInfo] = {}  # by depth, the rows a next row can be inside of
    seen: set[int] = set()

    def add(info: LayerInfo) -> None:
        info.is_recursive = info.layer_id in seen
        seen.add(info.layer_id)
        for deeper in [d for d in open_rows if d >= info.depth]:
            del open_rows[deeper]
        open_rows[info.depth] = info
        rows.append(info)

    for layer in found:
        place = places.get(layer.module_id)
        outer = owners[layer.parent] if layer.parent >= 0 else None
        if place is None or (outer is not None and outer.is_leaf_layer):
            # a module made while the model ran, or one called inside a layer: part of the row around it
            owners.append(outer)
            if outer is not None and not outer.is_leaf_layer:
                _add(outer, layer.own)
            continue
        for container in _containers(place, places, open_rows):
            add(container)
        lazy = _made_below(layer.path, made)
        info = LayerInfo(place.name, place.module, place.depth, open_rows.get(place.depth - 1), executed=True, made=lazy)
        info.class_name = layer.class_name
        add(info)
        _fill(info, layer, report, batch_dim)
        owners.append(info)
    return _finished(rows, made)


def _lazies(model: nn.Module, report: Report) -> dict[str, Declared]:
    """What the model's lazy parameters became in the trace; the model itself is as it was."""
    lazy = {name for name, p in model.named_parameters() if isinstance(p, UninitializedParameter)}
    return {name: d for d in report.trace.declared for name in d.names if name in lazy} if lazy else {}


def _made_below(path: str, made: dict[str, Declared]) -> dict[str, Declared]:
    prefix = f"{path}." if path else ""
    return {name.removeprefix(prefix): d for name, d in made.items() if name.startswith(prefix)}


def _places(model: nn.Module) -> dict[int, Place]:
    found: dict[int, Place] = {}
    identities: dict[str, int] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        identities[path] = id(module)
        around, _, name = path.rpartition(".")
        if path:
            found[id(module)] = Place(name, module, path.count(".") + 1, identities[around])
        else:
            found[id(module)] = Place(type(model).__name__, module, 0, None)
    return found


def _containers(place: Place, places: dict[int, Place], open_rows: dict[int, LayerInfo]) -> Iterator[LayerInfo]:
    """Modules around this place, outermost first, that no open row stands for: ModuleLists and the like."""
    around: list[Place] = []
    parent = place.parent
    while parent is not None and places[parent].depth > 0:
        around.append(places[parent])
        parent = places[parent].parent
    for outer in reversed(around):
        current = open_rows.get(outer.depth)
        if current is None or current.module is not outer.module:
            yield LayerInfo(outer.name, outer.module, outer.depth, open_rows.get(outer.depth - 1))


def _fill(info: LayerInfo, layer: Layer, report: Report, batch_dim: int | None) -> None:
    info.input_size = _input_size(layer.inputs, batch_dim)
    output = _shown_output(layer, report)
    if output is not None:
        info.output_size = list(output.shape)
        info.output_bytes = output.nbytes
    if info.is_leaf_layer:
        info.work = layer.total
        info.macs = _mult_adds(layer, info)
    else:
        info.work = layer.own
        info.macs = layer.own.macs + layer.own.bias_adds


def _add(info: LayerInfo, work: LayerWork) -> None:
    info.work = work if info.work is None else info.work + work
    info.macs = info.macs + work.macs + work.bias_adds


def _input_size(inputs: tuple[TensorFact, ...], batch_dim: int | None) -> list[Any]:
    """Sizes of the first tensor; the batch is 1 where the caller says which dimension it is."""
    if not inputs:
        return []
    size: list[Any] = list(inputs[0].shape)
    return size if batch_dim is None else [*size[:batch_dim], 1, *size[batch_dim + 1 :]]


def _shown_output(layer: Layer, report: Report) -> TensorFact | None:
    """The first tensor a module returns; of a dict the last, as torchinfo has it."""
    outputs = report.trace.outputs
    if layer.parent < 0 and isinstance(outputs, dict) and outputs:
        last = list(outputs.values())[-1]
        if isinstance(last, Value):
            return last.fact
    if not layer.outputs:
        return None
    return layer.outputs[-1 if layer.returned is not None and issubclass(layer.returned, Mapping) else 0]


def _mult_adds(layer: Layer, info: LayerInfo) -> Size:
    """Mult-adds of a layer without submodules: its contractions, with one addition for each bias.

    A layer that holds weights and contracts nothing (a norm, PReLU) counts them once a sample, as torchinfo does. A table
    lookup multiplies nothing. A pruned weight multiplies what its mask leaves, as it counts for that.
    """
    if layer.total.macs != 0:
        return _unmasked(layer.total.macs, info.module) + layer.total.bias_adds
    if not info.output_size or any([name.startswith("embedding") for name in layer.ops]):
        return 0
    named = [(n, p) for n, p in info.module.named_parameters() if n.removesuffix("_orig") in ("weight", "bias")]
    return prod((info.output_size[0], sum(unique_elements(info.module, named))))


def _unmasked(macs: Size, module: nn.Module) -> Size:
    """Of the products of a layer those with a weight that its mask leaves: all weights of a layer are used equally often."""
    named = [(n, p) for n, p in module.named_parameters() if n.removesuffix("_orig") == "weight"]
    left = sum(unique_elements(module, named))
    return floordiv(macs * left, named[0][1].numel()) if named and named[0][0] == "weight_orig" and left else macs


def _finished(rows: list[LayerInfo], made: dict[str, Declared] | None = None) -> list[LayerInfo]:
    """Number the rows of each depth, find the rows below each, and say which row shows which parameter."""
    numbers: dict[int, int] = {}
    for i, info in enumerate(rows):
        info.depth_index = numbers[info.depth] = numbers.get(info.depth, 0) + 1
        info.children = get_children_layers(rows, i)
    first = [info for info in rows if not info.is_recursive]
    if first:
        left = {id(p.parameter): p for p in held(first[0].module, made or {})}
        for info in first:
            _claim(info, info.module.parameters(recurse=False), left)
        for info in sorted(first, key=lambda info: -info.depth):  # what modules without a row hold
            _claim(info, info.module.parameters(), left)
    return rows


def _claim(info: LayerInfo, parameters: Iterable[nn.Parameter], left: dict[int, Held]) -> None:
    """Show on this row the parameters that no row before it shows."""
    for parameter in parameters:
        found = left.pop(id(parameter), None)
        if found is not None:
            info.own_params += found.count
            info.own_param_bytes += found.count * found.itemsize
            if parameter.requires_grad:
                info.own_trainable_params += found.count
