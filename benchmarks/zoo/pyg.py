"""torch_geometric: its basic graph networks, on a graph of N nodes and E edges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from benchmarks.zoo.entry import Entry, Inputs, floats, longs

__all__ = ["entries"]

_CHANNELS = 32
_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "GCN": ("GCN", {}),
    "GCN-nonorm": ("GCN", {"normalize": False}),
    "GAT": ("GAT", {}),
    "GAT-noself": ("GAT", {"add_self_loops": False}),
    "GATv2": ("GAT", {"v2": True}),
    "GraphSAGE": ("GraphSAGE", {}),
    "GIN": ("GIN", {}),
    "EdgeCNN": ("EdgeCNN", {}),
}


def entries() -> Iterator[Entry]:
    """Three layers from 32 through 64 to 8 channels."""
    import torch_geometric.nn as graphs

    def build(name: str, options: dict[str, Any]) -> Callable[[], nn.Module]:
        return lambda: getattr(graphs, name)(_CHANNELS, 64, 3, 8, **options)

    for label, (name, options) in _MODELS.items():
        yield Entry("pyg", label, "basic_gnn", build(name, options), _graph)


def _graph(model: nn.Module) -> Inputs:
    return Inputs((floats("N", _CHANNELS), longs(2, "E")), hints={"N": 100, "E": 400}, below=100)
