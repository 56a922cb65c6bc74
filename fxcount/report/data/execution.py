"""The graph of a report run against its model, on random data on the CPU."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fxcount.errors import InputError, UnsupportedError, first_line
from fxcount.ops.sparse.real import random_sparse
from fxcount.report.data.recipe import Recipe
from fxcount.symbolic import evaluate
from fxcount.torch_private import pytree
from fxcount.trace.inputs.specs import InputSpec, Plain

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["executed", "small_enough"]

MAX_MACS = 20_000_000_000
MAX_BYTES = 4_000_000_000


def small_enough(report: ReportData) -> bool:
    """Whether a run takes seconds and a few gigabytes."""
    return bool(report.macs <= MAX_MACS and report.memory.activations <= MAX_BYTES)


def executed(report: ReportData, recipe: Recipe, values: Mapping[str, int]) -> tuple[str, str]:
    """Run both at these sizes: what to note, and how the outputs differ ("" if they do not).

    The model is run as a copy, so that buffers it updates and what it keeps are as before; so are those the graph updates.

    Raises :class:`~fxcount.errors.InputError` for a model whose weights are not on the CPU.
    """
    model = recipe.present()
    if not isinstance(model, torch.nn.Module):
        raise InputError("only a module can be run against its graph", hint="verify(execute=False)")
    away = next((n for n, t in (*model.named_parameters(), *model.named_buffers()) if t.device.type != "cpu"), None)
    if away is not None:
        raise InputError(
            f"{away} is not on the CPU, so the model cannot be run there", hint="build it on the CPU, or verify(execute=False)"
        )
    given, (args, kwargs) = _data(recipe, values)
    states = [s.tensor for s in report.trace.states if s.tensor.device.type == "cpu"]
    with recipe.surroundings.restored(), torch.random.fork_rng(devices=[]), _unwritten(states):
        try:
            graph, plain = report.graph_module, copy.deepcopy(model)
        except UnsupportedError as error:
            return first_line(error), ""
        torch.manual_seed(11)
        try:
            expected = plain(*args, **kwargs)
        except Exception as error:
            return f"the model does not run: {type(error).__name__}: {first_line(error)[:200]}", ""
        torch.manual_seed(11)
        try:
            found = graph(*given)
        except Exception as error:
            return "", f"the graph does not run: {type(error).__name__}: {first_line(error)[:200]}"
    return "", _compared([t.detach() for t in _tensors(found)], [t.detach() for t in _tensors(expected)])


@contextmanager
def _unwritten(tensors: list[torch.Tensor]) -> Iterator[None]:
    """A block after which the tensors, which the graph shares with the model, have the values they had."""
    before = [(t, t.detach().clone()) for t in tensors if not isinstance(t, torch.nn.Parameter)]
    try:
        yield
    finally:
        for tensor, values in before:
            if not torch.equal(tensor, values):  # batch_norm does not tell the version counter
                tensor.detach().copy_(values)


def _data(recipe: Recipe, values: Mapping[str, int]) -> tuple[list[torch.Tensor], Any]:
    """The tensors of the call, in order, and its arguments, positional and named."""
    generator = torch.Generator().manual_seed(7)

    def made(leaf: Any) -> Any:
        if isinstance(leaf, Plain):
            return leaf.value
        if not isinstance(leaf, InputSpec):
            return leaf
        if leaf.data is not None:
            return leaf.data
        shape = [int(evaluate(s, values)) for s in leaf.shape]
        if leaf.layout is not torch.strided:
            entries = math.prod(shape) if leaf.form is None else int(evaluate(leaf.form.stored, values))
            return random_sparse(shape, entries, leaf.layout, leaf.dtype or _float(recipe), generator)
        tensor = _random(shape, leaf.dtype or _float(recipe), generator)
        if leaf.strides is not None:
            strides = [int(evaluate(s, values)) for s in leaf.strides]
            tensor = torch.empty_strided(shape, strides, dtype=tensor.dtype).copy_(tensor)
        return tensor.requires_grad_(leaf.requires_grad)

    leaves, tree = pytree.tree_flatten(
        (recipe.inputs, dict(recipe.kwargs)), is_leaf=lambda x: isinstance(x, (InputSpec, Plain))
    )
    data = [made(leaf) for leaf in leaves]
    arrays = [isinstance(leaf, InputSpec) and leaf.array for leaf in leaves]
    arguments = pytree.tree_unflatten([x.numpy() if a else x for x, a in zip(data, arrays, strict=True)], tree)
    return [x for x in data if isinstance(x, torch.Tensor)], arguments


def _float(recipe: Recipe) -> torch.dtype:
    kinds = {p.dtype for p in recipe.present().parameters() if p.dtype.is_floating_point}
    return kinds.pop() if len(kinds) == 1 else recipe.surroundings.dtype


def _random(shape: list[int], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    if dtype.is_floating_point or dtype.is_complex:
        wide = torch.complex64 if dtype.is_complex else torch.float32
        return torch.randn(shape, dtype=wide, generator=generator).to(dtype)
    return torch.randint(0, 2, shape, generator=generator).to(dtype)  # 0 and 1 are in every table


def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, Mapping):
        return [t for key in sorted(tree, key=str) for t in _tensors(tree[key])]
    if isinstance(tree, (tuple, list)):
        return [t for part in tree for t in _tensors(part)]
    if isinstance(tree, np.ndarray):
        return [torch.as_tensor(tree)]
    if is_dataclass(tree) and not isinstance(tree, type):
        return [t for f in fields(tree) for t in _tensors(getattr(tree, f.name, None))]
    return [tree] if isinstance(tree, torch.Tensor) else []


def _compared(found: list[torch.Tensor], expected: list[torch.Tensor]) -> str:
    if len(found) != len(expected):
        return f"{len(found)} tensors come out of the graph, {len(expected)} of the model"
    for i, (a, b) in enumerate(zip(found, expected)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"output {i} is {tuple(a.shape)} {a.dtype}, of the model {tuple(b.shape)} {b.dtype}"
        rtol, atol = _tolerance(b)
        try:
            torch.testing.assert_close(a, b, equal_nan=True, rtol=rtol, atol=atol, check_stride=False)
        except AssertionError as error:
            return f"output {i}: {' '.join(str(error).split())[:300]}"
    return ""


def _tolerance(t: torch.Tensor) -> tuple[float, float]:
    """Relative and absolute. Random weights make outputs of any size; rounding errors grow with the largest of them."""
    if not (t.is_floating_point() or t.is_complex()) or not t.numel():
        return 0.0, 0.0
    finite = t[torch.isfinite(t)].abs()
    largest = float(finite.max()) if finite.numel() else 1.0
    eps = float(torch.finfo(t.dtype).eps)
    return 1e-4 if eps < 1e-6 else 20 * eps, 200 * eps * max(largest, 1e-6)
