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
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.ops.core.arguments import ShapeResult
from fxcount.ops.core.autocast import Autocast, policy
from fxcount.ops.core.binding import Bound, Overloads
from fxcount.ops.core.common import only_sparse
from fxcount.ops.core.fact import Work
from fxcount.ops.core.positions import Positions
from fxcount.symbolic import Size

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "CostRule", "Count", "Follows", "Kind", "Op", "Registry", "ShapeRule", "Traits", "Unknown", "Zero", "absent",
    "callables_named", "op",
]  # fmt: skip

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


Follows = Literal["moved", "mapped", "extremum"]
Kind = Literal["convolution", "linear", "product", "attention", "recurrent", "pooling"]


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operation: an object of its own, whatever it is called; another op of the same name is another op.

    ``extra``: callables that carry another name; ``aten_names``: those under which ATen's overloads alone are the op, and no
    in-place variant is; ``without``: those that carry its name and are another op.
    ``sizes_at``: position from which a run of integers is one size argument (``x.view(2, 3)``), or ``None``.
    ``differentiable``: whether a gradient can pass from a floating result to a floating operand; for each result where they
    differ (saved statistics have none).
    ``writes``: positions and names of operands written in place besides ``self`` of an in-place variant (running
    statistics), ``writes_if``: position and name of the flag that must be on for it. ``reads_data``: the shape rule takes real
    tensors for operands that are known constants (lengths of packed sequences).
    ``temporaries``: bytes of storages that eager torch holds besides the results while the op runs, seen by a
    dispatcher-level storage tracker (e.g. saved statistics of a norm). ``counted``: the shape rule for sizes that data
    decide, called as ``counted(scope, count, *operands)`` where ``shape`` raises a ``DataDependentError``.

    ``unshrunk``: the temporaries are memory of the result, which keeps it as long as it lives.

    Traits, what passes ask of an op:

    ``random``: its elements are not decided by its operands: drawn, or uninitialised memory; they are never known.
    ``looks_up``: operands, counted over all tensors of the call, of which the second has numbers of rows of the first.
    ``positions``: which operands hold positions that must lie within a dimension (see :mod:`~fxcount.ops.core.positions`).
    ``shape_only``: operands, counted over all tensors of the call, of which only shape, dtype or device matter.
    ``one_to_one``: it makes of each operand one result, without regard to the others.
    ``takes_values``: its floating arguments are numbers to compute with: no size comes of them.
    ``takes_scales``: sizes come of its floating arguments, and its shape rule takes quotients of sizes for them.
    ``of_numbers``: called on plain numbers alone it makes a tensor of the first.
    ``asks``: its result is a bool that only the data of its operands decide, as that of ``torch.equal``.
    ``reshapes_in_place``: its in-place variant gives the tensor another shape, as ``unsqueeze_`` does.
    ``follows``: how elements come from elements, where that can be said without the data. ``"moved"``: each is an element of
    the first operand (views, copies, selections); ``"mapped"``: each is computed from those at its place in the operands;
    ``"extremum"``: the largest or smallest of some. ``made_of``: the one number of which the result is full, or position and
    name of the argument that says it.
    ``kind``: of contractions and poolings, for those who count layers; a convolution's weight, and a pooling's window, is
    argument 1, ``window`` the number of dimensions it slides over. ``activations``: the results are activations even where all
    operands are parameters (learned queries, tables of positions), not a weight made of weights.
    ``autocast``: what ``torch.autocast`` does to its operands; ``multiplies``, of a composite in which only products are cast:
    whether a call, of these operands and arguments, comes down to one. ``returns``: the class of a named tuple of results.
    ``schema``: the qualified name of its schema (``aten::conv2d``); empty for what has none, whatever it is called.
    ``flop_formula``: its cost is the formula that torch's own counter has for it.
    ``quantises``: the dtype to which it brings its activations before it multiplies them.
    ``overrides``: the op of torch whose callables a user's rule took over.
    ``backward``: of a user's rule, the work of the backward of one call, called as the cost rule is. Where there is none, that
    backward is not counted: a training step says so.
    """

    name: str
    shape: ShapeRule
    cost: CostRule | Zero | Unknown
    names: tuple[str, ...] = ()
    extra: tuple[Callable[..., Any], ...] = ()
    aten_names: tuple[str, ...] = ()
    without: tuple[Callable[..., Any], ...] = ()
    sizes_at: int | None = None
    differentiable: bool | tuple[bool, ...] = True
    inplace: bool = False
    writes: tuple[int | str, ...] = ()
    writes_if: tuple[int, str] | None = None
    reads_data: bool = False
    temporaries: TemporaryRule | None = None
    unshrunk: bool = False
    counted: ShapeRule | None = None
    random: bool = False
    shape_only: tuple[int, ...] = ()
    looks_up: tuple[int, int] | None = None
    positions: Callable[..., Positions] | None = None
    one_to_one: bool = False
    takes_values: bool = False
    takes_scales: bool = False
    of_numbers: bool = False
    asks: bool = False
    reshapes_in_place: bool = False
    follows: Follows | None = None
    made_of: int | tuple[int, str] | None = None
    kind: Kind | None = None
    window: int = 0
    activations: bool = False
    autocast: Autocast | None = None
    multiplies: Callable[..., bool] | None = None
    returns: Any = None
    schema: str = ""
    flop_formula: bool = False
    quantises: str = ""
    overrides: Op | None = None
    backward: CostRule | None = None

    def __repr__(self) -> str:
        return f"Op({self.name})"

    @property
    def torchs(self) -> Op:
        """The op that others know: torch's, where this is a user's rule for it."""
        return self.overrides or self

    def in_place(self) -> Op:
        """The variant that writes its result to its first operand: ``relu_`` of ``relu``. Autocast leaves those alone."""
        return dataclasses.replace(
            self, name=self.name + "_", names=(), extra=(), aten_names=(), inplace=True, autocast=None, returns=None,
            schema=self.schema + "_",
        )  # fmt: skip


class Traits(TypedDict, total=False):
    """The fields of :class:`Op` that :func:`op` takes by name."""

    without: tuple[Callable[..., Any], ...]
    sizes_at: int | None
    differentiable: bool | tuple[bool, ...]
    inplace: bool
    writes: tuple[int | str, ...]
    writes_if: tuple[int, str] | None
    reads_data: bool
    temporaries: TemporaryRule | None
    unshrunk: bool
    counted: ShapeRule | None
    random: bool
    shape_only: tuple[int, ...]
    looks_up: tuple[int, int] | None
    positions: Callable[..., Positions] | None
    one_to_one: bool
    takes_values: bool
    takes_scales: bool
    of_numbers: bool
    asks: bool
    reshapes_in_place: bool
    follows: Follows | None
    made_of: int | tuple[int, str] | None
    kind: Kind | None
    window: int
    activations: bool
    multiplies: Callable[..., bool] | None
    quantises: str
    schema: str
    backward: CostRule | None


_NAMESPACES = ("torchvision", "transformers", "quantized")


def _schema_of(name: str) -> str:
    """``aten::linalg_norm`` of ``linalg.norm``, ``torchvision::nms`` of ``torchvision.nms``."""
    owner, _, last = name.rpartition(".")
    if owner in _NAMESPACES:
        return f"{owner}::{last}"
    return f"aten::{last if owner == 'Tensor' else name.replace('.', '_')}"


def op(
    *names: str,
    shape: ShapeRule,
    cost: CostRule | Zero | Unknown,
    extra: Iterable[Callable[..., Any]] = (),
    overloads: Overloads | None = None,
    **traits: Unpack[Traits],
) -> Op:
    """Describe an op of torch under its ATen name(s); every Python callable of those names is then this op.

    ``names`` may be qualified (``"linalg.vector_norm"``, ``"fft.rfft"``, ``"special.erf"``); the in-place variant
    ``name_`` is derived. ``extra`` lists callables that carry another name. What autocast does to it, and the named tuple it
    returns, follow from the names. With ``overloads`` its rules are bound: they get the first operand, and the other arguments
    by the names of torch's schemas, whichever overload was called.

    >>> op("relu", shape=lambda scope, x: x, cost=Zero("a mask"), follows="mapped").follows
    'mapped'
    """
    traits.setdefault("schema", _schema_of(names[0]))
    if overloads is not None:
        overloads = dataclasses.replace(overloads, names=tuple(name.replace(".", "_") for name in names))
        shape = Bound(shape, overloads)
        cost = Bound(cost, overloads) if callable(cost) else cost
        if (held := traits.get("temporaries")) is not None:
            traits["temporaries"] = Bound(held, overloads)
        if (multiplies := traits.get("multiplies")) is not None:
            traits["multiplies"] = Bound(multiplies, overloads, leading=0)
        if (positions := traits.get("positions")) is not None:
            traits["positions"] = Bound(positions, overloads, leading=0)
        if (counted := traits.get("counted")) is not None:
            traits["counted"] = Bound(counted, overloads, leading=2)
    return Op(
        names[0], shape, cost, names, tuple(extra), autocast=policy(names),
        returns=getattr(torch.return_types, names[0].replace(".", "_"), None), **traits,
    )  # fmt: skip


def absent(entries: Iterable[Op], *names: str) -> list[Op]:
    """Those of these ops for sparse tensors that dense ones have not, with a rule that says so."""
    return [
        dataclasses.replace(entry, shape=only_sparse(entry.name), counted=None) for entry in entries if entry.name in names
    ]


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
    for kind in (torch.Tensor, torch_private.variable_functions):
        found = getattr(kind, name, None)
        if callable(found):
            yield found


_TORCH = vars(torch)
_NN = vars(torch_private.nn_functions)


class Registry(Mapping[Callable[..., Any], Op]):
    """Mapping from callables (Python builtins, tensor methods, ATen overloads) to ops; what it says of one never changes.

    A registry on top of a ``base`` overrides what it claims. Two ops of one registry that claim the same callable, or the same
    name, are an :class:`~fxcount.errors.InputError`; an in-place variant has only what no op claims outright. ``rest`` are ops
    that few models call: what no other op claims is looked for there, and only as much of it is made as that takes.

    ATen overloads are resolved when first asked for: touching ``torch.ops.aten.*`` for all ops costs tens of
    milliseconds at import.
    """

    __slots__ = ("_base", "_by_callable", "_by_name", "_lock", "_ops", "_rest")

    def __init__(self, ops: Iterable[Op], base: Registry | None = None, rest: Iterable[Iterable[Op]] = ()) -> None:
        self._base = base
        self._by_callable: dict[Callable[..., Any], Op] = {}
        self._by_name: dict[str, Op] = {}
        self._ops: tuple[Op, ...] = ()
        self._rest = iter(rest)
        self._lock: RLock = base._lock if base is not None else RLock()
        self._add(ops)

    def _add(self, ops: Iterable[Op]) -> None:
        added = tuple(ops)
        for entry in added:
            for name in (*entry.names, *entry.aten_names):
                _claim(self._by_name, name.replace(".", "_"), entry)
            for found in _claimed(entry):
                _claim(self._by_callable, found, entry)
        for entry in added:
            _add_in_place(entry, self._by_callable, self._by_name)
        self._ops += added

    def _more(self) -> bool:
        """Whether more ops of the rest could be made."""
        for ops in self._rest:
            self._add(ops)
            return True
        return self._base is not None and self._base._more()

    def _sought(self, find: Callable[[], Op | None]) -> Op | None:
        """What ``find`` finds, as soon as it does."""
        with self._lock:  # two analyses at once get the same op
            while (found := find()) is None and self._more():
                pass
            return found

    def _whole(self) -> Registry:
        self._sought(lambda: None)
        return self

    def _claimant(self, key: Callable[..., Any]) -> Op | None:
        found = self._by_callable.get(key)
        return found if found is not None or self._base is None else self._base._claimant(key)

    def _of_name(self, name: str) -> Op | None:
        found = self._by_name.get(name)
        return found if found is not None or self._base is None else self._base._of_name(name)

    def __getitem__(self, key: Callable[..., Any]) -> Op:
        found = self._by_callable.get(key)
        if found is None:
            name = _aten_name(key) or ""
            found = self._sought(lambda: self._claimant(key) or self._of_name(name))
            if found is None:
                raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        below = () if self._base is None else [f for f in self._base if f not in self._by_callable]
        return iter([*below, *self._whole()._by_callable])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def reached_by(self, more: Mapping[Callable[..., Any], Op]) -> Registry:
        """This registry, with more callables for ops it has."""
        made = Registry((), base=self)
        made._by_callable.update(more)
        return made

    @property
    def ops(self) -> tuple[Op, ...]:
        """The ops that were registered, each once."""
        return (*(self._base.ops if self._base is not None else ()), *self._whole()._ops)

    @property
    def overriding(self) -> tuple[Op, ...]:
        """The ops that were registered on top of the lowest registry: the user's."""
        return (*self._base.overriding, *self._ops) if self._base is not None else ()

    def variants(self, entry: Op) -> tuple[Op, ...]:
        """The op, and the variant of it that writes in place, where there is one."""
        found = {self._of_name(name.replace(".", "_") + "_") for name in entry.names}
        return (entry, *[variant for variant in found if variant is not None])

    @property
    def names(self) -> Set[str]:
        """All names that :meth:`named` knows."""
        return self._whole()._by_name.keys() | (self._base.names if self._base is not None else frozenset())

    def names_of(self, entry: Op) -> frozenset[str]:
        """All names under which :meth:`named` gives that op."""
        below = self._base.names_of(entry) if self._base is not None else frozenset()
        return below - self._by_name.keys() | {name for name, found in self._by_name.items() if found is entry}

    def named(self, name: str) -> Op:
        """The op of an ATen name, e.g. ``"conv2d"`` or ``"linalg_vector_norm"``."""
        found = self._by_name.get(name) or self._sought(lambda: self._of_name(name))
        if found is None:
            raise KeyError(name)
        return found


def _aten_name(key: Callable[..., Any]) -> str | None:
    """The name under which an overload, or packet of overloads, is registered: ``add``, ``torchvision_nms``."""
    schema = torch_private.schema(key)
    qualified = schema.name if schema is not None else getattr(key, "_qualified_op_name", None)
    if not isinstance(qualified, str):
        return None
    namespace, _, name = qualified.partition("::")
    if namespace in ("aten", "prims"):
        return name
    return f"{namespace}_{name}" if namespace in _NAMESPACES else None  # fft::fft is somebody's own


def _claimed(entry: Op) -> Iterator[Callable[..., Any]]:
    for name in entry.names:
        for found in callables_named(name):
            if found not in entry.without:
                yield found
    yield from entry.extra


def _claim(claims: dict[Any, Op], key: Any, entry: Op) -> None:
    owner = claims.setdefault(key, entry)
    if owner is not entry:
        raise InputError(
            f"{getattr(key, '__qualname__', key)} is claimed by two ops, {owner.name} and {entry.name}",
            hint="give one rule for each callable",
        )


def _add_in_place(entry: Op, callables: dict[Callable[..., Any], Op], names: dict[str, Op]) -> None:
    """The in-place variant under each of the names that has one."""
    plain = [name for name in entry.names if not name.rpartition(".")[2].startswith("__")]
    variants = {name: found for name in plain if (found := list(callables_named(name + "_")))}
    if variants:
        in_place = entry.in_place()
        names.setdefault(in_place.name.replace(".", "_"), in_place)
        for name, found in variants.items():
            names.setdefault(name.replace(".", "_") + "_", in_place)
            for function in found:
                callables.setdefault(function, in_place)
