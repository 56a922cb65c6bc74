"""One row of a summary: a module call with its shapes, parameters and work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from fxcount.compat.torchinfo.enums import ColumnSettings
from fxcount.dataclass import dataclass
from fxcount.passes.elements import elements_of
from fxcount.report.data.layers import LayerWork
from fxcount.symbolic import Expr, Size, sum_, to_text
from fxcount.symbolic import prod as product
from fxcount.trace.inputs.inventory import declared
from fxcount.trace.tape import Declared

__all__ = [
    "Held", "LayerInfo", "get_children_layers", "held", "mask_of", "nested_list_size", "percent_text", "prod", "rgetattr",
    "unique_elements",
]  # fmt: skip

_SPACING = 5  # before a percentage


@dataclass(eq=False, repr=False)
class LayerInfo:
    """A row, with the fields and methods of torchinfo's class of the same name.

    ``num_params`` are the elements of all parameters below the module, each once; ``own_params`` those of them that no other
    row shows. ``macs``: mult-adds of a module without submodules, or of what a module with submodules computes itself.

    >>> info = LayerInfo("conv", nn.Conv2d(4, 6, 3, groups=2), 1)
    >>> info, info.kernel_size, info.groups, info.num_params, info.trainable
    (Conv2d: 1, [3, 3], 2, 114, 'True')
    """

    var_name: str
    module: nn.Module
    depth: int
    parent_info: LayerInfo | None = None
    is_recursive: bool = False
    executed: bool = False
    depth_index: int | None = None
    children: list[LayerInfo] = field(default_factory=list)
    input_size: list[Any] = field(default_factory=list)
    output_size: list[Any] = field(default_factory=list)
    output_bytes: Size = 0
    macs: Size = 0
    work: LayerWork | None = None
    measured_seconds: float = 0.0
    own_params: int = 0
    own_trainable_params: int = 0
    own_param_bytes: int = 0
    inner_layers: dict[str, dict[ColumnSettings, str]] = field(default_factory=dict)
    made: Mapping[str, Declared] = field(default_factory=dict)  # what lazy parameters became when the model ran

    def __post_init__(self) -> None:
        self.layer_id = id(self.module)
        self.class_name = _class_name(self.module)
        self.is_leaf_layer = not any(self.module.children())
        self.kernel_size = self.get_kernel_size(self.module)
        self.groups = self.get_groups(self.module)
        self.calculate_num_params()

    def __repr__(self) -> str:
        return f"{self.class_name}: {self.depth}"

    def calculate_num_params(self) -> None:
        """Count the module's parameters anew, after lazy ones were made."""
        self.num_params = self.trainable_params = self.param_bytes = 0
        self.inner_layers = {}
        final = ""
        found = held(self.module, self.made)
        self.contains_lazy_param = any([p.shape is None for p in found])
        for p in found:
            if p.shape is None:
                continue
            name = p.name[:-5] if mask_of(self.module, p.name) is not None else p.name
            self.num_params += p.count
            self.param_bytes += p.count * p.itemsize
            if p.parameter.requires_grad:
                self.trainable_params += p.count
            if self.parent_info is not None or "." not in name:
                self.inner_layers[name] = {
                    ColumnSettings.KERNEL_SIZE: str(_inputs_first(name, list(p.shape))),
                    ColumnSettings.NUM_PARAMS: f"├─{p.count:,}",
                }
                final = name
        if final:
            self.inner_layers[final][ColumnSettings.NUM_PARAMS] = f"└─{self.inner_layers[final][ColumnSettings.NUM_PARAMS][2:]}"

    def calculate_macs(self) -> None:
        """Mult-adds of the parameters by torchinfo's own rule, from ``output_size``; added to ``macs`` as torchinfo does.

        The rows of :func:`summary` have theirs from what was traced.
        """
        for name, parameter in self.module.named_parameters():
            count, name = self.get_param_count(self.module, name, parameter)
            if name in ("weight", "bias"):
                shown = self.output_size
                repeats = [*shown[:1], *shown[2:]] if "Conv" in self.class_name else shown[:1]
            elif "weight" in name or "bias" in name:
                repeats = self.output_size[:2]
            else:
                continue
            self.macs = self.macs + product((count, *repeats))

    def check_recursive(self, layer_ids: set[int]) -> None:
        """Mark the row of a module that has had one before."""
        self.is_recursive = self.is_recursive or self.layer_id in layer_ids

    @staticmethod
    def calculate_size(inputs: Any, batch_dim: int | None) -> tuple[list[Any], int]:
        """Sizes and bytes of one element of what a module takes or gives, the first tensor of several; of a dict the last.

        >>> LayerInfo.calculate_size((torch.zeros(2, 3), torch.zeros(5)), None)
        ([2, 3], 4)
        """
        if inputs is None:
            return [], 0
        if isinstance(inputs, torch.distributions.Distribution):
            return [*inputs.batch_shape, *inputs.event_shape], 0
        if not isinstance(inputs, (torch.Tensor, np.ndarray, list, tuple, Mapping)):
            raise TypeError(f"Model contains a layer with an unsupported input or output type: {inputs}, type: {type(inputs)}")
        size, element = nested_list_size(list(inputs.values())[-1] if isinstance(inputs, Mapping) and inputs else inputs)
        if batch_dim is not None and batch_dim < len(size) and not isinstance(inputs, (torch.Tensor, np.ndarray)):
            size[batch_dim] = 1
        return size, element

    @staticmethod
    def get_param_count(module: nn.Module, name: str, param: torch.Tensor) -> tuple[int, str]:
        """Elements of a parameter, of a pruned one those its mask leaves, and its name before it was pruned."""
        mask = mask_of(module, name)
        return (param.nelement(), name) if mask is None else (int(mask.sum()), name.removesuffix("_orig"))

    @staticmethod
    def get_kernel_size(module: nn.Module) -> Any:
        """The module's ``kernel_size``: an int, a list, or ``None``."""
        size = getattr(module, "kernel_size", None)
        if size is None or isinstance(size, int):
            return size
        if isinstance(size, torch.Tensor) and size.ndim == 0:
            return int(size)
        if not isinstance(size, Iterable):
            raise TypeError(f"kernel_size has an unexpected type: {type(size)}")
        return list(size)

    @staticmethod
    def get_groups(module: nn.Module) -> int | None:
        """The module's ``groups``, if it has some."""
        groups = getattr(module, "groups", None)
        return int(groups) if isinstance(groups, (int, torch.Tensor)) else None

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

    def leftover_param_bytes(self) -> int:
        """Bytes of the parameters that no row below shows."""
        return self.own_param_bytes

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

    def num_params_to_str(self, reached_max_depth: bool) -> str:
        """Parameters as the table shows them; of rows below that are not shown, too."""
        if self.num_params == 0:
            return "--"
        if self.is_recursive:
            return "(recursive)"
        shown = self.shown_params(reached_max_depth)
        whole = reached_max_depth or self.is_leaf_layer
        if whole and shown == 0:
            return "(shared)"
        text = f"{shown:,}" if shown else "--"
        return f"({text})" if whole and not self.trainable_params else text

    def macs_to_str(self, reached_max_depth: bool) -> str:
        """Mult-adds as the table shows them."""
        macs = self.shown_macs(reached_max_depth)
        if isinstance(macs, Expr):
            return to_text(macs)
        return f"{macs:,}" if macs > 0 else "--"

    def params_percent(self, total_params: int, reached_max_depth: bool, precision: int = 2) -> str:
        """The share of all parameters as the table shows it."""
        if total_params and self.is_recursive:
            return "(recursive)"
        return percent_text(self.shown_params(reached_max_depth), total_params, precision)

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


def percent_text(part: float, total: float, precision: int = 2) -> str:
    """A share in a column of shares.

    >>> percent_text(1, 3), percent_text(0, 3)
    (' 33.33%', '     --')
    """
    return f"{part / total:>{precision + _SPACING}.{precision}%}" if part and total else " " * _SPACING + "--"


def nested_list_size(inputs: Any) -> tuple[list[Any], int]:
    """Sizes and bytes of one element of the first tensor or array inside.

    >>> nested_list_size([{"a": (torch.zeros(2, 3, dtype=torch.half),)}])
    ([2, 3], 2)
    """
    if hasattr(inputs, "tensors"):
        return nested_list_size(inputs.tensors)
    if isinstance(inputs, torch.Tensor):
        return list(inputs.shape), inputs.element_size()
    if isinstance(inputs, np.ndarray):
        return list(inputs.shape), inputs.itemsize
    if isinstance(inputs, torch.nn.utils.rnn.PackedSequence):
        return nested_list_size(inputs.data)
    if isinstance(inputs, Mapping):
        inputs = list(inputs.values())
    return nested_list_size(inputs[0]) if isinstance(inputs, (list, tuple)) and inputs else ([], 0)


def prod(num_list: Any) -> int:
    """The product of nested sizes.

    >>> prod([2, [3, 5]])
    30
    """
    result = 1
    for item in num_list if isinstance(num_list, Iterable) else ():
        result *= prod(item) if isinstance(item, Iterable) else item
    return result


def rgetattr(module: nn.Module, attr: str) -> torch.Tensor | None:
    """The tensor at a dotted path below a module."""
    found: Any = module
    for part in attr.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, torch.Tensor) else None


def get_children_layers(summary_list: Sequence[LayerInfo], index: int) -> list[LayerInfo]:
    """The rows below a row."""
    depth = summary_list[index].depth
    stop = next((j for j in range(index + 1, len(summary_list)) if summary_list[j].depth <= depth), len(summary_list))
    return list(summary_list[index + 1 : stop])


@dataclass(frozen=True, slots=True)
class Held:
    """A parameter of a module: its elements that none before it has, and its shape, ``None`` as long as it is lazy."""

    name: str
    parameter: nn.Parameter
    shape: tuple[int, ...] | None
    itemsize: int
    count: int


def held(module: nn.Module, made: Mapping[str, Declared] = MappingProxyType({})) -> list[Held]:
    """The parameters of a module and of all modules in it; ``made`` says what lazy ones became, by their names.

    >>> [(p.name, p.shape, p.count) for p in held(nn.LazyLinear(5))]
    [('weight', None, 0), ('bias', None, 0)]
    """
    named = list(module.named_parameters())
    found = []
    for (name, parameter), count in zip(named, unique_elements(module, named), strict=True):
        if not isinstance(parameter, UninitializedParameter):
            found.append(Held(name, parameter, tuple(parameter.shape), parameter.element_size(), count))
        elif name in made:
            shape = made[name].shape
            found.append(Held(name, parameter, shape, made[name].dtype.itemsize, math.prod(shape)))
        else:
            found.append(Held(name, parameter, None, 0, 0))
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
    return rgetattr(module, f"{name[:-5]}_mask") if name.endswith("_orig") else None


def _class_name(module: nn.Module) -> str:
    """The name of the class that was written, also of a scripted module."""
    return str(getattr(module, "original_name", None) or type(module).__name__)


def _inputs_first(name: str, shape: list[int]) -> list[int]:
    """Weights are shown as inputs, outputs, kernel."""
    return [shape[1], shape[0], *shape[2:]] if name == "weight" and len(shape) > 1 else shape
