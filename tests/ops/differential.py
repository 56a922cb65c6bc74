"""One call of torch, traced by fxcount and executed by torch: do shapes, dtypes, strides, aliases and writes agree?

The call is wrapped in a module and goes through the whole tracer. ``compare`` runs it three ways: on the given sizes; with
a symbol for every dimension, substituted at the given sizes; and the same formulas substituted at other sizes, at
which torch is asked again with tensors grown to them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fxcount.errors import DataDependentError, FxcountError
from fxcount.ops import REGISTRY
from fxcount.symbolic import Size, evaluate, free_symbols, symbol
from fxcount.trace import trace_model
from fxcount.trace.inputs.specs import InputSpec
from fxcount.trace.tape import Trace, Value, values_in

__all__ = ["Outcome", "compare", "copied"]


@dataclass(frozen=True)
class Outcome:
    """What a comparison found. ``kind`` is one of

    ``agrees``, ``differs``: fxcount's result against torch's;
    ``data``: refused, because a size depends on data;
    ``error``: fxcount failed where torch did not;
    ``lenient``: fxcount took sizes that torch refuses;
    ``torch``: torch itself does not run the call.

    ``grown``: whether the formulas were also compared at other sizes. ``slow``: ops that went through FakeTensorMode.
    """

    kind: str
    detail: str = ""
    grown: bool = False
    slow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A tensor result as both sides describe it: ``of`` is the number of the operand whose memory it shares."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    strides: tuple[int, ...]
    of: int | None
    requires_grad: bool

    @staticmethod
    def make(
        shape: tuple[int, ...], dtype: torch.dtype, strides: tuple[int, ...], of: int | None, requires_grad: bool
    ) -> Seen:
        """Without what has no meaning: strides of dimensions of one element or of tensors without elements."""
        if 0 in shape:
            return Seen(shape, dtype, (), None, requires_grad)
        return Seen(shape, dtype, tuple(t for s, t in zip(shape, strides) if s > 1), of, requires_grad)


class Called(torch.nn.Module):
    """``call`` with its tensors as the inputs of a module; ``fixed`` ones stay what they are, with known data."""

    def __init__(self, call: Callable[..., Any], leaves: list[Any], tree: Any, inputs: list[int]) -> None:
        super().__init__()
        self.call, self.leaves, self.tree, self.inputs = call, leaves, tree, inputs

    def forward(self, *tensors: torch.Tensor) -> Any:
        leaves = list(self.leaves)
        for position, tensor in zip(self.inputs, tensors):
            leaves[position] = tensor
        args, kwargs = pytree.tree_unflatten(leaves, self.tree)
        return self.call(*args, **kwargs)


def compare(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, grow: bool = True) -> Outcome:
    """Compare ``call(*args, **kwargs)`` under fxcount with torch's own execution of it; ``grow``: at other sizes too.

    ATen's internal ops trust their callers and may write out of bounds at sizes that do not fit: not to be grown.
    """
    leaves, tree = pytree.tree_flatten((args, kwargs))
    tensors = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    if any(leaves[i].layout is not torch.strided or leaves[i].is_quantized for i in tensors):
        return Outcome("torch", "sparse or quantised operands")
    try:
        expected = _executed(call, leaves, tree, tensors)
    except _TorchRefusesError as refused:
        return Outcome("torch", str(refused))
    inputs = tensors
    try:
        trace = _traced(call, leaves, tree, inputs, symbols=False)
        _refuse_guesses(trace)
    except DataDependentError as error:
        # data that decide are given as constants, as a model that computes its own index tables has them
        inputs = [i for i in tensors if leaves[i].dtype.is_floating_point or leaves[i].dtype.is_complex]
        if inputs == tensors:
            return Outcome("data", _short(error))
        try:
            trace = _traced(call, leaves, tree, inputs, symbols=False)
        except DataDependentError:
            return Outcome("data", _short(error))
        except Exception as other:
            return Outcome("error", _short(other))
    except Exception as error:
        return Outcome("error", _short(error))
    slow = tuple(sorted({c.op.name for c in trace.calls if c.func not in REGISTRY}))
    return _against(expected, trace, {}, tensors, inputs) or _symbolic(
        call, leaves, tree, tensors, inputs, expected, slow, grow
    )


def _refuse_guesses(trace: Trace) -> None:
    """A number that is data and was taken for its default says nothing about these data."""
    for a in trace.scope.assumptions:
        if a.kind == "pin" and free_symbols(a.expr) & trace.scope.unbacked.by_name.keys():
            raise DataDependentError(f"{a} is a guess")


def _symbolic(
    call: Any, leaves: list[Any], tree: Any, tensors: list[int], inputs: list[int], expected: Any, slow: tuple[str, ...],
    grow: bool,
) -> Outcome:  # fmt: skip
    try:
        trace = _traced(call, leaves, tree, inputs, symbols=True)
    except Exception as error:
        return Outcome("error", "with symbols: " + _short(error), slow=slow)
    hints = trace.scope.hints
    found = _against(expected, trace, hints, tensors, inputs)
    if found is not None:
        return Outcome(found.kind, "with symbols: " + found.detail, slow=slow)
    values = _other_sizes(trace) if grow else None
    if values is None:
        return Outcome("agrees", slow=slow)
    specs = [v.fact.shape for v in trace.inputs]
    grown = list(leaves)
    for position, shape in zip(inputs, specs, strict=True):
        grown[position] = _grown(leaves[position], tuple(evaluate(s, values) for s in shape))
    try:
        expected = _executed(call, grown, tree, tensors)
    except _TorchRefusesError as refused:
        if isinstance(refused.__cause__, torch.linalg.LinAlgError):  # grown matrices may be singular
            return Outcome("agrees", slow=slow)
        return Outcome("lenient", f"at {values}: {refused}", slow=slow)
    found = _against(expected, trace, values, tensors, inputs)
    if found is not None:
        return Outcome(found.kind, f"at {values} from {dict(hints)}: {found.detail}", slow=slow)
    return Outcome("agrees", grown=True, slow=slow)


class _TorchRefusesError(Exception):
    """torch itself does not run the call."""


# -- torch's side -----------------------------------------------------------------------------------------------------
def _executed(call: Any, leaves: list[Any], tree: Any, tensors: list[int]) -> tuple[list[Any], frozenset[int]]:
    """The results torch gives, and the numbers of the operands it wrote to."""
    fresh = list(leaves)
    for position in tensors:
        fresh[position] = copied(leaves[position])
    operands = [fresh[i] for i in tensors]
    versions = [t._version for t in operands]
    args, kwargs = pytree.tree_unflatten(fresh, tree)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = call(*args, **kwargs)
        except Exception as error:
            raise _TorchRefusesError(_short(error)) from error
    storages = {t.untyped_storage()._cdata: i for i, t in reversed(list(enumerate(operands)))}
    found = []
    for leaf in pytree.tree_leaves(result):
        if isinstance(leaf, torch.Tensor):
            if leaf.layout is not torch.strided:
                raise _TorchRefusesError(f"a result of layout {leaf.layout}")
            of = storages.get(leaf.untyped_storage()._cdata)
            found.append(Seen.make(tuple(leaf.shape), leaf.dtype, tuple(leaf.stride()), of, leaf.requires_grad))
    # batch_norm writes its running statistics without a new version
    written = frozenset(
        i for i, (t, v, k) in enumerate(zip(operands, versions, [leaves[i] for i in tensors]))
        if t._version != v or (t.shape == k.shape and not _same_bits(t, k))
    )
    return found, written


def _same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    rows = [torch.empty(t.numel(), dtype=t.dtype).copy_(t.detach().resolve_conj().resolve_neg().flatten()) for t in (a, b)]
    return torch.equal(*(row.view(torch.uint8) for row in rows))


def copied(tensor: torch.Tensor) -> torch.Tensor:
    """Same data, sizes and strides in memory of its own."""
    made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    if 0 in tensor.stride():
        made = made.new_empty(sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride())) + 1 if tensor.numel() else 0)
        made = made.as_strided(tensor.shape, tensor.stride())
        if tensor.numel():
            index = tuple(slice(0, 1) if s == 0 else slice(None) for s in tensor.stride())
            made[index].copy_(tensor.detach()[index])
    else:
        made.copy_(tensor.detach().resolve_conj().resolve_neg())
    return made.requires_grad_(tensor.requires_grad)


def _grown(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The tensor repeated along each dimension to the new sizes, its dimensions in the same order of strides."""
    data = tensor.detach()
    for d, (old, new) in enumerate(zip(tensor.shape, shape, strict=True)):
        if old != new:
            data = data.index_select(d, torch.arange(new) % old)
    if data.dtype.is_floating_point or data.dtype.is_complex:  # repeated rows would make singular matrices
        data = data * (1 - 0.01 * torch.rand(data.shape, generator=torch.Generator().manual_seed(5))).to(data.dtype)
    order = sorted(range(tensor.dim()), key=lambda d: -tensor.stride(d))
    back = [order.index(d) for d in range(tensor.dim())]
    return data.permute(order).contiguous().permute(back).requires_grad_(tensor.requires_grad)


# -- fxcount's side ---------------------------------------------------------------------------------------------------
def _traced(call: Any, leaves: list[Any], tree: Any, inputs: list[int], symbols: bool) -> Trace:
    fixed = [leaf.detach() if isinstance(leaf, torch.Tensor) and i not in inputs else leaf for i, leaf in enumerate(leaves)]
    names = count()
    hints: dict[str, int] = {}
    specs = [_spec(leaves[i], names, hints, symbols) for i in inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trace_model(Called(call, fixed, tree, inputs), tuple(specs), hints=hints)


def _spec(tensor: torch.Tensor, names: Iterator[int], hints: dict[str, int], symbols: bool) -> InputSpec:
    shape: tuple[Size, ...] = tuple(tensor.shape)
    strides: tuple[Size, ...] | None = None if tensor.is_contiguous() else tuple(tensor.stride())
    order = sorted(range(tensor.dim()), key=lambda d: -tensor.stride(d))
    if symbols and tensor.permute(order).is_contiguous() and 0 not in tensor.stride():
        named = []
        for size in tensor.shape:
            if size < 2:
                named.append(size)
                continue
            name = f"n{next(names)}"
            hints[name] = size
            named.append(symbol(name))
        shape = tuple(named)
        if strides is not None:
            running: Size = 1
            made: dict[int, Size] = {}
            for d in reversed(order):
                made[d] = running
                running = running * shape[d]
            strides = tuple(made[d] for d in range(tensor.dim()))
    return InputSpec(shape, tensor.dtype, tensor.device, tensor.requires_grad, strides)


def _other_sizes(trace: Trace) -> dict[str, int] | None:
    """Sizes other than the hints at which the formulas claim to hold, as different from each other as they may be."""
    hints = trace.scope.hints
    same = {name: name for name in hints}
    pinned = set()
    for a in trace.scope.assumptions:
        names = sorted(free_symbols(a.expr))
        if a.relation != "==":
            continue
        if len(names) == 2 and a.expr in (symbol(names[0]) - symbol(names[1]), symbol(names[1]) - symbol(names[0])):
            kept, gone = same[names[0]], same[names[1]]
            same = {n: kept if s == gone else s for n, s in same.items()}
        else:
            pinned |= set(names)
    pinned = {same[n] for n in pinned}
    free = [n for n in dict.fromkeys(same.values()) if n not in pinned]
    for step in (2, 4, 12):  # multiples of 4 and 12 keep divisibility
        grown = {n: hints[n] + (0 if n in pinned else step * (1 + free.index(n))) for n in same.values()}
        values = {n: grown[same[n]] for n in hints}
        if free and trace.scope.check(values) is None:
            return values
    return None


def _against(
    expected: tuple[list[Seen], frozenset[int]], trace: Trace, values: Any, tensors: list[int], inputs: list[int]
) -> Outcome | None:
    """The difference between what torch did and what the trace says at these values, if there is one."""
    results, written = expected
    operands = {trace.inputs[k].storage: tensors.index(i) for k, i in reversed(list(enumerate(inputs)))}
    made = list(values_in(trace.outputs))
    if len(made) != len(results):
        return Outcome("differs", f"{len(made)} results, torch gives {len(results)}")
    values = _with_counts(trace, made, results, values)
    for number, (value, torchs) in enumerate(zip(made, results)):
        mine = _seen(value, values, operands)
        if torchs.of is not None and tensors[torchs.of] not in inputs:  # memory of an operand given as a constant
            mine = Seen(mine.shape, mine.dtype, mine.strides, torchs.of, mine.requires_grad)
        for field in ("shape", "dtype", "strides", "of", "requires_grad"):
            if getattr(mine, field) != getattr(torchs, field):
                return Outcome(
                    "differs", f"{field} of result {number}: {getattr(mine, field)}, torch says {getattr(torchs, field)}"
                )
    given = frozenset(tensors.index(i) for i in inputs)
    writes = frozenset(operands[s] for c in trace.calls for s in c.mutated if s in operands)
    # dropout_ outside of training leaves its operand alone, batch_norm of momentum 0 its running statistics
    idle = {operands[s] for c in trace.calls if c.op.inplace or c.op.writes for s in c.mutated if s in operands}
    if not written & given <= writes <= (written & given) | idle:
        return Outcome("differs", f"writes to operands {sorted(writes)}, torch writes to {sorted(written & given)}")
    return None


def _with_counts(trace: Trace, made: list[Value], results: list[Seen], values: Any) -> dict[str, int]:
    """The values, and for sizes that the data decide what torch's result says they are."""
    counts = trace.scope.unbacked.by_name.keys()
    full = {name: n for name, n in values.items() if name not in counts}
    for value, seen in zip(made, results):
        for size, n in zip(value.fact.shape, seen.shape):
            for name in free_symbols(size) & counts:
                if free_symbols(size) <= {*full, name}:  # the count, or a multiple of it where a mask is broadcast
                    one, two = (evaluate(size, {**full, name: times}) for times in (1, 2))
                    if one and two == 2 * one and n % one == 0:
                        full.setdefault(name, n // one)
    return full


def _seen(value: Value, values: Any, operands: dict[int, int]) -> Seen:
    fact = value.fact
    shape = tuple(evaluate(s, values) for s in fact.shape)
    strides = tuple(evaluate(s, values) for s in fact.stride())
    return Seen.make(shape, fact.dtype, strides, operands.get(value.storage), value.requires_grad)


def _short(error: Exception) -> str:
    text = error.what if isinstance(error, FxcountError) else str(error)
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"[:200]

