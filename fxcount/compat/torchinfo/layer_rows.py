"""The rows of a summary: one for each module call in the order of execution, and the containers around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from fxcount.compat.torchinfo.layer_info import LayerInfo, unique_elements
from fxcount.ops.core.fact import TensorFact
from fxcount.report import Report
from fxcount.report.data.layers import Layer, LayerWork, layers
from fxcount.symbolic import Size, prod
from fxcount.trace.tape import Value

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
        info = LayerInfo(place.name, place.module, place.depth, open_rows.get(place.depth - 1), executed=True)
        add(info)
        _fill(info, layer, report, batch_dim)
        owners.append(info)
    return _finished(rows)


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
    """The first tensor a module returns; of a dict that the model returns the last, as torchinfo has it."""
    outputs = report.trace.outputs
    if layer.parent < 0 and isinstance(outputs, dict) and outputs:
        last = list(outputs.values())[-1]
        if isinstance(last, Value):
            return last.fact
    return layer.outputs[0] if layer.outputs else None


def _mult_adds(layer: Layer, info: LayerInfo) -> Size:
    """Mult-adds of a layer without submodules: its contractions, with one addition for each bias.

    A layer that holds weights and contracts nothing (a norm, PReLU) counts them once a sample, as torchinfo does. A table
    lookup multiplies nothing.
    """
    if layer.total.macs != 0:
        return layer.total.macs + layer.total.bias_adds
    if not info.output_size or any([name.startswith("embedding") for name in layer.ops]):
        return 0
    held = [(n, p) for n, p in info.module.named_parameters() if n.removesuffix("_orig") in ("weight", "bias")]
    return prod((info.output_size[0], sum(unique_elements(info.module, held))))


def _finished(rows: list[LayerInfo]) -> list[LayerInfo]:
    """Number the rows of each depth, find the rows below each, and say which row shows which parameter."""
    numbers: dict[int, int] = {}
    for i, info in enumerate(rows):
        info.depth_index = numbers[info.depth] = numbers.get(info.depth, 0) + 1
        stop = next((j for j in range(i + 1, len(rows)) if rows[j].depth <= info.depth), len(rows))
        info.children = rows[i + 1 : stop]
    first = [info for info in rows if not info.is_recursive]
    if first:
        left = _unique_by_parameter(first[0].module)
        for info in first:
            _claim(info, info.module.parameters(recurse=False), left)
        for info in sorted(first, key=lambda info: -info.depth):  # what modules without a row hold
            _claim(info, info.module.parameters(), left)
    return rows


def _unique_by_parameter(model: nn.Module) -> dict[int, int]:
    """The elements of each parameter of the model, each counted once, by the identity of the parameter."""
    named = list(model.named_parameters())
    return {id(p): count for (_, p), count in zip(named, unique_elements(model, named), strict=True)}


def _claim(info: LayerInfo, parameters: Iterable[nn.Parameter], left: dict[int, int]) -> None:
    """Show on this row the parameters that no row before it shows."""
    for parameter in parameters:
        count = left.pop(id(parameter), 0)
        info.own_params += count
        if parameter.requires_grad:
            info.own_trainable_params += count
