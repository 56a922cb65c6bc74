"""An op: its names, its shape rule, its cost rule, how its result relates to its operands. One value per op.

A *shape rule* is called as the op is called in Python, with the analysis' :class:`~fxcount.symbolic.Scope` in front,
a :class:`TensorFact` for each tensor and a :data:`~fxcount.symbolic.Size` for each symbolic integer::

    def shape(scope, x, weight, bias=None, stride=1, ...) -> TensorFact | Alias | tuple[...]

It raises :class:`~fxcount.errors.ShapeError` where torch would complain and compares sizes only with
``scope.same`` / ``scope.decide`` (which record what they assume), never with ``==`` between two symbolic sizes.
A *cost rule* gets the result in front, and returns :class:`Work`::

    def cost(y, x, weight, bias=None, stride=1, ...) -> Work

It is pure arithmetic and sees no scope: it can assume nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.symbolic import Size

__all__ = ["CostRule", "Count", "Op", "Registry", "ShapeRule", "Unknown", "Zero", "callables_named", "op"]

ShapeResult = TensorFact | Alias | tuple[Any, ...] | list[Any]
ShapeRule = Callable[..., ShapeResult]
CostRule = Callable[..., Work]
TemporaryRule = Callable[..., Any]


class Count(Protocol):
    """Hands a counted rule the symbol of a number that only data know.

    ``kind`` is the stem of the symbol's name, ``what`` says what is counted, ``most`` bounds it, ``default`` is the value
    taken unless the user gives one. ``of`` is the position, among all tensors of the call, of the one whose true elements
    are counted: the same tensor gives the same symbol.
    """

    def __call__(
        self, kind: str, what: str, most: Size | None = None, default: Size | None = None, of: int | None = None
    ) -> Size: ...


@dataclass(frozen=True, slots=True)
class Zero:
    """No floating-point work, for a stated reason; ``moves`` says whether the op reads and writes memory."""

    reason: str
    moves: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """No cost rule: calls are listed as uncounted and totals become lower bounds."""

    hint: str = "register one with fxcount.rule(...)"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    ``sizes_at``: position from which a run of integers is one size argument (``x.view(2, 3)``), or ``None``.
    ``differentiable``: whether a gradient can pass from a floating result to a floating operand; for each result where they
    differ (saved statistics have none).
    ``writes``: positions and names of operands written in place besides ``self`` of an in-place variant (running
    statistics), ``writes_if``: position and name of the flag that must be on for it. ``reads_data``: the shape rule takes real
    tensors for operands that are known constants (lengths of packed sequences).
    ``temporaries``: bytes of storages that eager torch holds besides the results while the op runs, seen by a
    dispatcher-level storage tracker (e.g. saved statistics of a norm). ``counted``: the shape rule for sizes that data
    decide, called as ``counted(scope, count, *operands)`` where ``shape`` raises a ``DataDependentError``.
    """

    name: str
    shape: ShapeRule
    cost: CostRule | Zero | Unknown
    names: tuple[str, ...] = ()
    extra: tuple[Callable[..., Any], ...] = ()
    sizes_at: int | None = None
    differentiable: bool | tuple[bool, ...] = True
    inplace: bool = False
    writes: tuple[int | str, ...] = ()
    writes_if: tuple[int, str] | None = None
    reads_data: bool = False
    temporaries: TemporaryRule | None = None
    counted: ShapeRule | None = None

    def __repr__(self) -> str:
        return f"Op({self.name})"


def op(
    *names: str,
    shape: ShapeRule,
    cost: CostRule | Zero | Unknown,
    extra: Iterable[Callable[..., Any]] = (),
    sizes_at: int | None = None,
    differentiable: bool | tuple[bool, ...] = True,
    writes: tuple[int | str, ...] = (),
    writes_if: tuple[int, str] | None = None,
    reads_data: bool = False,
    temporaries: TemporaryRule | None = None,
    counted: ShapeRule | None = None,
) -> Op:
    """Describe an op under its ATen name(s); every Python callable of those names is then this op.

    ``names`` may be qualified (``"linalg.vector_norm"``, ``"fft.rfft"``, ``"special.erf"``); the in-place variant
    ``name_`` is derived. ``extra`` lists callables that carry another name.
    """
    return Op(
        names[0], shape, cost, names, tuple(extra), sizes_at, differentiable, False, writes, writes_if, reads_data,
        temporaries, counted,
    )  # fmt: skip


def callables_named(name: str) -> Iterator[Callable[..., Any]]:
    """Every Python callable through which torch code reaches the ATen op ``name``.

    >>> torch.relu in callables_named("relu"), torch.Tensor.relu in callables_named("relu")
    (True, True)
    """
    if "." in name:
        module_name, _, attribute = name.partition(".")
        owner = _TORCH.get(module_name)
        if owner is None and "." not in module_name:
            owner = getattr(torch, module_name, None)
        found = getattr(owner, attribute, None)
        if found is not None:
            yield found
        return
    # Plain dict look-ups: asking the module ``torch`` for a name it lacks costs a lazy import each time.
    for namespace in (_TORCH, _NN):
        found = namespace.get(name)
        if callable(found):
            yield found
    for kind in (torch.Tensor, torch._C._VariableFunctions):
        found = getattr(kind, name, None)
        if callable(found):
            yield found


_TORCH = vars(torch)
_NN = vars(torch._C._nn)


class Registry(Mapping[Callable[..., Any], Op]):
    """Immutable mapping from callables (Python builtins, tensor methods, ATen overloads) to ops.

    ATen overloads are resolved when first asked for: touching ``torch.ops.aten.*`` for all ops costs tens of
    milliseconds at import.
    """

    __slots__ = ("_by_callable", "_by_name", "_ops")

    def __init__(self, ops: Iterable[Op], base: Registry | None = None) -> None:
        self._by_callable: dict[Callable[..., Any], Op] = dict(base._by_callable) if base else {}
        self._by_name: dict[str, Op] = dict(base._by_name) if base else {}
        added = tuple(ops)
        self._ops: tuple[Op, ...] = (*base._ops, *added) if base is not None else added
        for entry in added:
            self._add(entry)

    def _add(self, entry: Op) -> None:
        for name in entry.names:
            base = name.rpartition(".")[2]
            self._by_name[name.replace(".", "_")] = entry
            for found in callables_named(name):
                self._by_callable[found] = entry
            if base.startswith("__"):
                continue
            variants = list(callables_named(name + "_"))
            if variants:
                in_place = dataclasses.replace(entry, name=entry.name + "_", names=(), extra=(), inplace=True)
                self._by_name.setdefault(name.replace(".", "_") + "_", in_place)
                for found in variants:
                    self._by_callable.setdefault(found, in_place)
        for found in entry.extra:
            self._by_callable[found] = entry

    def __getitem__(self, key: Callable[..., Any]) -> Op:
        found = self._by_callable.get(key)
        if found is None:
            name = _aten_name(key)
            found = self._by_name.get(name) if name else None
            if found is None:
                raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(self._by_callable)

    def __len__(self) -> int:
        return len(self._by_callable)

    @property
    def ops(self) -> tuple[Op, ...]:
        return self._ops

    def named(self, name: str) -> Op:
        """The op of an ATen name, e.g. ``"conv2d"`` or ``"linalg_vector_norm"``."""
        return self._by_name[name]


def _aten_name(key: Callable[..., Any]) -> str | None:
    """The name under which an overload, or packet of overloads, is registered: ``add``, ``torchvision_nms``."""
    schema = getattr(key, "_schema", None)
    qualified = schema.name if schema is not None else getattr(key, "_qualified_op_name", None)
    if not isinstance(qualified, str):
        return None
    namespace, _, name = qualified.partition("::")
    return name if namespace in ("aten", "prims") else f"{namespace}_{name}"
