"""One row of a summary: a module call with its shapes, parameters and work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from fxcount.compat.torchinfo.settings import ColumnSettings
from fxcount.passes.elements import elements_of
from fxcount.report.data.layers import LayerWork
from fxcount.symbolic import Size, sum_
from fxcount.trace.inputs.inventory import declared

__all__ = ["LayerInfo", "mask_of", "unique_elements"]


@dataclass(eq=False)
class LayerInfo:
    """A row, with the fields of torchinfo's class of the same name.

    ``num_params`` are the elements of all parameters below the module, each once; ``own_params`` those of them that no other
    row shows. ``macs``: mult-adds of a module without submodules, or of what a module with submodules computes itself.
    """

    var_name: str
    module: nn.Module = field(repr=False)
    depth: int
    parent_info: LayerInfo | None = field(default=None, repr=False)
    is_recursive: bool = False
    executed: bool = False
    depth_index: int | None = None
    children: list[LayerInfo] = field(default_factory=list, repr=False)
    input_size: list[Any] = field(default_factory=list)
    output_size: list[Any] = field(default_factory=list)
    output_bytes: Size = 0
    macs: Size = 0
    work: LayerWork | None = field(default=None, repr=False)
    measured_seconds: float = 0.0
    own_params: int = 0
    own_trainable_params: int = 0
    inner_layers: dict[str, dict[ColumnSettings, str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.layer_id = id(self.module)
        self.class_name = type(self.module).__name__
        self.is_leaf_layer = not any(self.module.children())
        self.kernel_size = _kernel_size(self.module)
        self.num_params = self.trainable_params = self.param_bytes = 0
        final = ""
        held = list(self.module.named_parameters())
        self.contains_lazy_param = any([isinstance(p, UninitializedParameter) for _, p in held])
        for (name, parameter), count in zip(held, unique_elements(self.module, held), strict=True):
            if isinstance(parameter, UninitializedParameter):
                continue
            name = name[:-5] if mask_of(self.module, name) is not None else name
            self.num_params += count
            self.param_bytes += count * parameter.element_size()
            if parameter.requires_grad:
                self.trainable_params += count
            if self.parent_info is not None or "." not in name:
                self.inner_layers[name] = {
                    ColumnSettings.KERNEL_SIZE: str(_inputs_first(name, list(parameter.shape))),
                    ColumnSettings.NUM_PARAMS: f"├─{count:,}",
                }
                final = name
        if final:
            self.inner_layers[final][ColumnSettings.NUM_PARAMS] = f"└─{self.inner_layers[final][ColumnSettings.NUM_PARAMS][2:]}"

    @property
    def trainable(self) -> str:
        """``"True"``, ``"False"``, ``"Partial"``, or ``"--"`` without parameters."""
        if self.num_params == 0:
            return "--"
        if self.trainable_params == 0:
            return "False"
        return "True" if self.trainable_params == self.num_params else "Partial"

    def leftover_params(self) -> int:
        """Parameters that no row below shows."""
        return self.own_params

    def leftover_trainable_params(self) -> int:
        """Trainable ones of the parameters that no row below shows."""
        return self.own_trainable_params

    def get_layer_name(self, show_var_name: bool, show_depth: bool) -> str:
        """Class, variable name, and depth with the number of the row at that depth."""
        name = self.class_name
        if show_var_name and self.var_name:
            name += f" ({self.var_name})"
        if show_depth and self.depth > 0:
            name += f": {self.depth}"
            if self.depth_index is not None:
                name += f"-{self.depth_index}"
        return name

    def shown_params(self, with_children: bool) -> int:
        """Parameters the row stands for, those of rows that are not shown included."""
        if self.is_leaf_layer or not with_children:
            return self.own_params
        return self.own_params + sum(c.own_params for c in self.children if not c.is_recursive)

    def shown_macs(self, with_children: bool) -> Size:
        """Mult-adds the row stands for, those of rows that are not shown included."""
        return self.macs + sum_([c.macs for c in self.children]) if with_children else self.macs

    def shown(self, of: Callable[[LayerWork], Any], with_children: bool) -> Any:
        """Some quantity of work the row stands for, those of rows that are not shown included."""
        found = of(self.work) if self.work is not None else 0
        if with_children:
            for child in self.children:
                found = found + (of(child.work) if child.work is not None else 0)
        return found


def unique_elements(module: nn.Module, named: Sequence[tuple[str, torch.Tensor]]) -> list[int]:
    """Elements of each of the module's parameters that none before it has; 0 of those that are not initialised.

    Of a pruned one, which ``torch.nn.utils.prune`` keeps as ``*_orig`` beside a ``*_mask``, those that the mask leaves (all,
    where the mask has no data).
    """
    made = [(name, p) for name, p in named if not isinstance(p, UninitializedParameter)]
    counts = dict(zip([name for name, _ in made], elements_of([declared(p, (name,)) for name, p in made]).fresh, strict=True))
    for name in counts:
        mask = mask_of(module, name)
        if mask is not None and not mask.is_meta:
            counts[name] = int(mask.sum())
    return [counts.get(name, 0) for name, _ in named]


def mask_of(module: nn.Module, name: str) -> torch.Tensor | None:
    """The mask of a pruned parameter, which is called ``*_orig``."""
    if not name.endswith("_orig"):
        return None
    mask: Any = module
    for part in f"{name[:-5]}_mask".split("."):
        mask = getattr(mask, part, None)
    return mask if isinstance(mask, torch.Tensor) else None


def _kernel_size(module: nn.Module) -> Any:
    size = getattr(module, "kernel_size", None)
    if size is None or isinstance(size, int):
        return size
    if not isinstance(size, Iterable):
        raise TypeError(f"kernel_size has an unexpected type: {type(size)}")
    return list(size)


def _inputs_first(name: str, shape: list[int]) -> list[int]:
    """Weights are shown as inputs, outputs, kernel."""
    return [shape[1], shape[0], *shape[2:]] if name == "weight" and len(shape) > 1 else shape
