"""What a summary is given: checked as torchinfo checks it, and turned into inputs of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fxcount.compat.analysis import sizes_in
from fxcount.compat.torchinfo.enums import NEEDS_INPUT, ColumnSettings
from fxcount.symbolic import Size, prod, sum_
from fxcount.torch_private import pytree
from fxcount.trace.inputs.specs import InputSpec

__all__ = ["check", "corrected_sizes", "input_bytes", "sizes_of", "specs"]


def check(
    input_data: Any, input_size: Any, columns: Iterable[ColumnSettings], col_width: int, verbose: int,
) -> None:  # fmt: skip
    """Raise ValueError or RuntimeError for arguments that contradict each other, in torchinfo's words."""
    if col_width <= 0:
        raise ValueError(f"Column width must be greater than 0: col_width={col_width}")
    if verbose not in (0, 1, 2):
        raise ValueError("Verbose must be either 0 (quiet), 1 (default), or 2 (verbose).")
    if input_data is not None and input_size is not None:
        raise RuntimeError("Only one of (input_data, input_size) should be specified.")
    missing = set(columns) & NEEDS_INPUT
    if input_data is None and input_size is None and missing:
        raise ValueError(f"You must pass input_data or input_size in order to use columns: {missing}")


def corrected_sizes(input_size: Any) -> list[Any]:
    """A list of shapes; raises TypeError for what is no shape and ValueError for sizes below 1.

    >>> corrected_sizes((1, 28, 28)), corrected_sizes([("B", 3), (7,)])
    ([(1, 28, 28)], [('B', 3), (7,)])
    """
    if not isinstance(input_size, (list, tuple)):
        raise TypeError(
            "Input_size is not a recognized type. Please ensure input_size is valid.\n"
            "For multiple inputs to the network, ensure input_size is a list of tuple sizes."
        )
    if not input_size or any([not isinstance(s, str) and s <= 0 for s in _flat(input_size)]):
        raise ValueError("Input_data is invalid, or negative size found in input_data.")
    if isinstance(input_size[0], (list, tuple)):
        return list(input_size)
    return [tuple(input_size)]


def _flat(nested: Any) -> Iterator[Any]:
    for item in nested:
        if isinstance(item, (list, tuple)):
            yield from _flat(item)
        else:
            yield item


def specs(sizes: Sequence[Any], dtypes: Sequence[torch.dtype] | None, batch_dim: int | None) -> list[InputSpec]:
    """Inputs of these sizes, of the model's floating dtype unless ``dtypes`` say otherwise; with ``batch_dim`` the sizes
    are those of one sample, and the batch is 1."""
    made = []
    for shape, dtype in zip(sizes, dtypes if dtypes is not None else [None] * len(sizes)):
        parsed = list(sizes_in(shape))
        if batch_dim is not None:
            parsed.insert(batch_dim if batch_dim >= 0 else len(parsed) + 1 + batch_dim, 1)
        made.append(InputSpec(tuple(parsed), dtype))
    return made


def input_bytes(given: Any) -> Size:
    """Bytes of all tensors among the inputs."""
    leaves = pytree.tree_leaves(given, is_leaf=lambda x: isinstance(x, InputSpec))
    found = [leaf for leaf in leaves if isinstance(leaf, InputSpec)]
    return sum_([prod(s.shape) * (s.dtype or torch.get_default_dtype()).itemsize for s in found])


def sizes_of(data: Any) -> Any:
    """The same structure with sizes in the place of tensors."""
    if isinstance(data, torch.Tensor):
        return data.size()
    if isinstance(data, np.ndarray):
        return torch.Size(data.shape)
    if isinstance(data, Mapping):
        return {k: sizes_of(v) for k, v in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*[sizes_of(d) for d in data])
    if isinstance(data, (list, tuple)):
        return [sizes_of(d) for d in data]
    return data
