"""Modules with the names and class names a graph remembers, so that the tracer sees the tree of the original model.

A graph is flat; the paths of its nodes and parameters tell which modules it came from. ``Place`` modules stand for these:
they hold the parameters under their original names and run the nodes of one call when called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.fx import GraphModule

from fxcount import torch_private

__all__ = ["Place", "Root", "hold", "identity", "model_class", "module_at", "named_class"]


class Place(torch.nn.Module):
    """Stands for one module of the original model."""

    def forward(self, run: Callable[..., Any], *inputs: Any) -> Any:
        """``run`` the nodes of one call on the values it takes from outside."""
        return run(*inputs)


class Root(torch.nn.Module):
    """Stands for the model itself. Its tensor inputs go by the names of the graph's placeholders."""

    def __init__(self) -> None:
        super().__init__()
        self.run: Callable[[Mapping[str, Any]], Any] | None = None

    def forward(self, **inputs: Any) -> Any:
        assert self.run is not None
        return self.run(inputs)


def named_class(kind: type[torch.nn.Module], name: str) -> type[Any]:
    """A subclass that reports show under the original model's class name."""
    return type(name, (kind,), {}) if name else kind


def model_class(graph: GraphModule) -> str:
    """Class name of the model the graph was made from, if its nodes tell."""
    for node in graph.graph.nodes:
        for path, kind in (node.meta.get("nn_module_stack") or {}).values():
            if path == "":
                return (kind if isinstance(kind, str) else str(kind.__name__)).rpartition(".")[2]
    return ""


def module_at(root: torch.nn.Module, path: str, class_name: str = "Module") -> torch.nn.Module:
    """The module at ``path``, made if there is none; one of unknown class takes the class name that is told later."""
    module = root
    names = path.split(".") if path else []
    for i, name in enumerate(names):
        last = i == len(names) - 1
        found = module._modules.get(name)
        if found is None:
            found = named_class(Place, class_name if last else "Module")()
            module._modules[name] = found
        elif last and class_name != "Module" and isinstance(found, Place) and type(found).__name__ == "Module":
            found.__class__ = named_class(Place, class_name)
        module = found
    return module


def hold(root: torch.nn.Module, name: str, tensor: torch.Tensor, persistent: bool = True) -> None:
    """Register a parameter or buffer under its original name."""
    path, _, attribute = name.rpartition(".")
    owner = module_at(root, path)
    if isinstance(tensor, torch.nn.Parameter):
        owner._parameters[attribute] = tensor
    else:
        owner._buffers[attribute] = tensor
        if not persistent:
            owner._non_persistent_buffers_set.add(attribute)


def identity(tensor: torch.Tensor) -> Any:
    """A key that tensors share if they are the same elements in memory, seen the same way."""
    try:
        storage = tensor.untyped_storage()
        where = (torch_private.storage_key(storage), tensor.storage_offset()) if storage.nbytes() else (id(tensor),)
    except (NotImplementedError, RuntimeError):
        return id(tensor)
    return (*where, tuple(tensor.shape), tensor.stride(), tensor.dtype, type(tensor))
