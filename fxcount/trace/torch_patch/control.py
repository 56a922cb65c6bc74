"""torch's operators that run a function inside (``cond``, ``scan``, ``map``, ``associative_scan``), traced.

torch itself would compile their functions first. A loop over a known number of steps is run as a loop in Python. A loop over a
symbolic number is run once for its first step and once for all others, whose ops are recorded as often as there are steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from fxcount import torch_private
from fxcount.ops import Alias, Op, Zero, op
from fxcount.symbolic import SymSize
from fxcount.torch_private import pytree
from fxcount.trace.tracer.standin import StandIn

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["associative_scan", "branch", "carried_on", "decided", "is_run_back", "mapped", "scan"]


def branch(
    tracer: Tracer, pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()
) -> Any:
    """What stands in for ``torch.cond``: the predicate decides as an ``if`` on it would, or says that data decide."""
    return (true_fn if decided(tracer, pred) else false_fn)(*operands)


def decided(tracer: Tracer, pred: Any) -> bool:
    if not isinstance(pred, torch.Tensor):
        return bool(pred)
    with torch_private.DisableTorchFunction():
        asked = tracer.state(pred)
    return bool(tracer.answers.scalar(asked, "a bool"))


# -- steps -------------------------------------------------------------------------------------------------------------
def _unknown(x: torch.Tensor) -> torch.Tensor:
    """Not run: what a step is handed by the one before is not what the first was given."""
    raise RuntimeError("a value that only a step knows")


_CARRIED: Op = op(
    "loop_state", shape=lambda scope, x: Alias(x, 0), cost=Zero("the state of a loop"), extra=(_unknown,)
)  # fmt: skip


def carried_on(tracer: Tracer, tree: Any) -> Any:
    """The same tensors, of whose data nothing is known: they are others in each step."""

    def forgotten(x: Any) -> Any:
        if type(x) is StandIn:
            return tracer.record(_CARRIED, _unknown, (x,), None)
        if isinstance(x, torch.Tensor) and tracer.ledger.is_state(x):
            return tracer.record(_CARRIED, _unknown, (tracer.state(x),), None)
        return x

    return pytree.tree_map(forgotten, tree)


def is_run_back(tracer: Tracer) -> bool:
    """Whether what is recorded now is differentiated by torch's own engine: then each step has a backward of its own."""
    return tracer.differentiates and torch.is_grad_enabled()


def _steps(tracer: Tracer, n: Any) -> Iterator[tuple[int, bool]]:
    """The steps that are run, each with whether it stands for all that come after it."""
    if type(n) is not SymSize or is_run_back(tracer):
        for i in range(int(n)):
            yield i, False
        return
    yield 0, False
    if n >= 2:
        with tracer.repeated(n.expr - 1):
            yield 1, True


class _Rows:
    """The results of the steps, in one tensor for each that a step gives: written row by row, as torch does; below the engine,
    where a mapped result does not fit into a tensor that is not, put together at the end."""

    def __init__(self, tracer: Tracer, n: Any) -> None:
        self.n = n
        self._written = not tracer.differentiates
        self._into: list[torch.Tensor] = []
        self._steps: list[list[torch.Tensor]] = []
        self._spec: Any = None

    def add(self, i: int, result: Any) -> None:
        """Put the results of step ``i`` in their places."""
        leaves, self._spec = pytree.tree_flatten(result)
        if not self._written:
            self._steps.append(leaves)
            return
        if not i:
            self._into = [y.new_empty((self.n, *y.shape)) for y in leaves]
        for rows, y in zip(self._into, leaves, strict=True):
            rows[i] = y

    def stacked(self) -> Any:
        """All of them."""
        rows = self._into if self._written else [self._joined(y) for y in zip(*self._steps, strict=True)]
        return pytree.tree_unflatten(rows, self._spec)

    def _joined(self, rows: tuple[torch.Tensor, ...]) -> torch.Tensor:
        if type(self.n) is not SymSize or len(rows) == self.n:
            return torch.stack(rows)
        first, later = rows
        return torch.cat((first.unsqueeze(0), later.unsqueeze(0).expand(self.n - 1, *later.shape)))


def _at(tracer: Tracer, tree: Any, i: int, repeated: bool) -> Any:
    """Step ``i`` of what is looped over."""
    found = pytree.tree_map(lambda x: x[i], tree)
    return carried_on(tracer, found) if repeated else found


def scan(
    tracer: Tracer, combine_fn: Callable[..., Any], init: Any, xs: Any, *, dim: int = 0, reverse: bool = False, **_: Any
) -> tuple[Any, Any]:
    """What stands in for ``scan``: ``carry, y = combine_fn(carry, x)`` for each x along ``dim``, the ys stacked."""
    leaves, spec = pytree.tree_flatten(xs)
    if not leaves:
        return init, []
    dim = dim % leaves[0].dim()
    moved = [torch.movedim(x, dim, 0) if dim else x for x in leaves]
    given = pytree.tree_unflatten([torch.flip(x, [0]) for x in moved] if reverse else moved, spec)
    n = leaves[0].shape[dim]
    carry, rows = init, _Rows(tracer, n)
    for i, repeated in _steps(tracer, n):
        carry, y = combine_fn(carried_on(tracer, carry) if repeated else carry, _at(tracer, given, i, repeated))
        rows.add(i, y)

    def placed(y: torch.Tensor) -> torch.Tensor:
        y = torch.flip(y, [0]) if reverse else y
        return torch.movedim(y, 0, dim) if dim and dim < y.dim() else y

    return carry, pytree.tree_map(placed, rows.stacked())


def mapped(tracer: Tracer, function: Callable[..., Any], xs: Any, *args: Any) -> Any:
    """What stands in for ``map``: ``function(x, *args)`` for each row of xs, the results stacked."""
    n = pytree.tree_leaves(xs)[0].shape[0]
    rows = _Rows(tracer, n)
    for i, repeated in _steps(tracer, n):
        rows.add(i, function(_at(tracer, xs, i, repeated), *args))
    return rows.stacked()


# -- associative scans -------------------------------------------------------------------------------------------------
def associative_scan(
    tracer: Tracer, combine_fn: Callable[..., Any], xs: Any, dim: int, reverse: bool = False, combine_mode: str = "pointwise",
    **_: Any,
) -> Any:  # fmt: skip
    """What stands in for ``associative_scan``: neighbours are combined pairwise, then what that gives, and so on."""
    leaves, spec = pytree.tree_flatten(xs)
    dim = dim % leaves[0].dim()
    moved = [torch.movedim(x, dim, 0) for x in leaves]
    if reverse:
        moved = [torch.flip(x, [0]) for x in moved]
    function = combine_fn if combine_mode == "pointwise" else _of_batches(combine_fn)

    def combine(left: list[torch.Tensor], right: list[torch.Tensor]) -> list[torch.Tensor]:
        made = function(pytree.tree_unflatten(left, spec), pytree.tree_unflatten(right, spec))
        return list(pytree.tree_leaves(made))

    scanned = _combined(combine, moved)
    if reverse:
        scanned = [torch.flip(y, [0]) for y in scanned]
    return pytree.tree_unflatten([torch.movedim(y, 0, dim) for y in scanned], spec)


def _of_batches(combine_fn: Callable[..., Any]) -> Callable[..., Any]:
    return torch.vmap(combine_fn, in_dims=(0, 0), out_dims=0)


def _combined(combine: Callable[..., list[torch.Tensor]], rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """n rows: n // 2 pairs, the scan of these, and (n - 1) // 2 rows that lie between."""
    n = rows[0].shape[0]
    if n < 2:
        return rows
    odd = _combined(combine, combine([x[: n - 1 : 2] for x in rows], [x[1::2] for x in rows]))
    between = (n - 1) // 2
    even = [x[:1] for x in rows]
    if n > 2:
        later = combine([x[:between] for x in odd], [x[2::2] for x in rows])
        even = [torch.cat((first, rest)) for first, rest in zip(even, later, strict=True)]
    found = [x.new_empty((n, *x.shape[1:])) for x in odd]
    for y, some, others in zip(found, even, odd, strict=True):
        y[::2] = some
        y[1::2] = others
    return found
