"""Parameters by module, and as a table."""

from __future__ import annotations

from collections import defaultdict

from torch import nn

from fxcount.compat.fvcore.text import pipe_table

__all__ = ["parameter_count", "parameter_count_table"]


def parameter_count(model: nn.Module) -> defaultdict[str, int]:
    """Elements of every parameter and, under the name of each module, of all parameters in it; ``""`` is the model.

    >>> dict(parameter_count(nn.Sequential(nn.Linear(3, 5))))
    {'': 20, '0': 20, '0.weight': 15, '0.bias': 5}
    """
    found: defaultdict[str, int] = defaultdict(int)
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        for k in range(len(parts) + 1):
            found[".".join(parts[:k])] += parameter.numel()
    return found


def parameter_count_table(model: nn.Module, max_depth: int = 3) -> str:
    """The counts as a Markdown table, down to ``max_depth`` levels; a parameter shows its shape."""
    count = parameter_count(model)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    rows = [["model", _size(count.pop("", 0))]]

    def fill(level: int, prefix: str) -> None:
        if level >= max_depth:
            return
        for name, n in list(count.items()):
            if name.count(".") == level and name.startswith(prefix):
                indent = " " * (level + 1)
                rows.append([indent + name, indent + (str(shapes[name]) if name in shapes else _size(n))])
                if name not in shapes:
                    fill(level + 1, name + ".")

    fill(0, "")
    return pipe_table(["name", "#elements or shape"], rows)


def _size(n: int) -> str:
    for least, scale, unit in ((1e8, 1e9, "G"), (1e5, 1e6, "M"), (1e2, 1e3, "K")):
        if n > least:
            return f"{n / scale:.1f}{unit}"
    return str(n)
