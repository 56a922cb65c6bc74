"""Stand-in tensors: what the model computes with. A shape, a dtype and a device, but no storage and no data.

A stand-in is a ``torch.Tensor`` (so that ``isinstance`` holds) whose metadata are answered here in Python, without a
dispatch; every real op on it reaches the tracer, a ``TorchFunctionMode``. It lives exactly as long as the model's own
references let it, which is what makes memory predictions exact: nothing but the model may hold it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import CodeType, FrameType
from typing import Any, NoReturn, Protocol

import torch

from fxcount import torch_private
from fxcount.errors import DataDependentError, UnsupportedError
from fxcount.ops.core.fact import TensorFact
from fxcount.symbolic import Scope, Size
from fxcount.trace.tape import Call, Value
from fxcount.trace.tracer.storages import Memory, Storage

__all__ = ["Owner", "StandIn", "data_error"]


_MAX_LISTED = 256  # elements of a tensor whose values become symbols one by one


class Owner(Protocol):
    """The trace a stand-in belongs to, as far as a stand-in asks."""

    scope: Scope
    calls: list[Call]  # recorded so far
    differentiates: bool  # whether torch's autograd engine runs on the stand-ins
    looked: int  # how often a node of the engine's graph was asked for, or a hook put on a tensor
    before_iteration: Callable[[StandIn], None]
    readers: dict[int, CodeType]  # functions that have read a shape
    note_data: Callable[[Iterable[StandIn]], None]

    def read_by(self, frame: FrameType) -> None:
        """The function that runs in this frame reads a shape for the first time."""

    def maker(self) -> Callable[..., StandIn]:
        """What makes stand-ins: ``make(value, storage, known=None)``."""

    def blank(self, fact: TensorFact) -> Callable[[], StandIn]:
        """What makes stand-ins of this form, with none of their attributes set."""

    def layout(self, fact: TensorFact) -> tuple[torch.Size, tuple[int, ...]]:
        """The sizes as the model sees them, and at the hint."""

    def as_int(self, size: Size) -> Any:
        """A size as the model sees it."""

    def is_contiguous(self, fact: TensorFact, memory_format: torch.memory_format) -> bool:
        """Whether the layout is that of the memory format."""

    def set_requires_grad(self, x: StandIn, flag: bool) -> None:
        """The stand-in asks for a gradient from now on, or no longer."""

    def note_length(self, frame: FrameType) -> None:
        """Code of this frame asks for the ``len`` of a stand-in of symbolic length, and gets a plain int."""

    def offset(self, x: StandIn) -> int:
        """Where in its storage the tensor begins."""

    def address(self, x: StandIn) -> int:
        """Where in memory."""

    def memory(self, x: StandIn) -> tuple[int, Any]:
        """The number of the memory that a tensor lies in, and how many bytes it has, as the model sees sizes."""

    def scalar(self, x: StandIn, what: str) -> Any:
        """The one element of a tensor, which the model wants as ``what``."""

    def data(self, x: StandIn, what: str) -> torch.Tensor:
        """The data, which the model wants as ``what``."""

    def told(self, x: StandIn, frame: FrameType) -> torch.Tensor | None:
        """The data, if they are known and the text that is made of them in the frame is more than a message."""

    def array(self, x: StandIn) -> Any:
        """numpy's array of it."""

    def listed(self, x: StandIn) -> Any:
        """The data as nested lists, sizes in their formulas; ``None`` if they are not known."""


_make_wrapper = torch_private.make_wrapper_subclass


class StandIn(torch.Tensor):
    """A tensor without data. ``_value`` is its place in the trace, ``_storage`` the memory it stands for,
    ``_known`` its real data where they do not depend on inputs or parameters (index tables, constants)."""

    __slots__ = ("_known", "_owner", "_storage", "_value")  # what all have; the rest in their ``__dict__``

    _value: Value
    _storage: Storage
    _owner: Owner
    _known: Any
    _gate: StandIn  # of what a layer returned, in a step: ends with it
    _asked: bool = False  # a result without a history that was told to require a gradient: a new leaf

    __module__ = "torch"  # libraries tell by it whose tensor it is: opt_einsum, tensorly
    __torch_function__ = torch_private.disabled_torch_function

    @staticmethod
    def blank(fact: TensorFact, sizes: tuple[int, ...]) -> Callable[[], StandIn]:
        """What makes stand-ins of this form, to C++ of these sizes, with none of their attributes set."""
        # sizes, strides, offset, format, dtype, layout, device: by position, which torch reads faster
        return partial(_make_wrapper, StandIn, sizes, None, None, None, fact.dtype, torch.strided, fact.device)

    @staticmethod
    def make(owner: Owner, value: Value, storage: Storage, known: Any = None) -> StandIn:
        made = owner.blank(value.fact)()
        made._value = value
        made._storage = storage
        made._owner = owner
        made._known = known
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> NoReturn:
        raise UnsupportedError(
            f"{func} reached a stand-in tensor below the level fxcount traces at, or after its analysis ended",
            hint="a tensor of the analysis was kept, or the op is called from compiled code",
        )

    # -- metadata -----------------------------------------------------------------------------------------------------
    @property
    def fact(self) -> TensorFact:
        return self._value.fact

    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        owner, frame = self._owner, sys._getframe(1)
        if id(frame.f_code) not in owner.readers:
            owner.read_by(frame)
        return owner.layout(self._value.fact)[0]

    def size(self, dim: int | None = None) -> Any:
        owner, frame = self._owner, sys._getframe(1)
        if id(frame.f_code) not in owner.readers:
            owner.read_by(frame)
        sizes = owner.layout(self._value.fact)[0]
        return sizes if dim is None else sizes[dim]

    @property
    def ndim(self) -> int:  # type: ignore[override]
        return len(self._value.fact.shape)

    def dim(self) -> int:
        return len(self._value.fact.shape)

    ndimension = dim

    def numel(self) -> Any:
        return self._owner.as_int(self._value.fact.numel)

    nelement = numel

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self._value.fact.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self._value.fact.device

    @property
    def requires_grad(self) -> bool:
        if self._owner.differentiates:
            return bool(_engines("requires_grad", self))
        return self._value.requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    def requires_grad_(self, requires_grad: bool = True) -> StandIn:
        if self._owner.differentiates:
            torch_private.TensorBase.requires_grad_(self, requires_grad)
            return self
        self._asked = requires_grad and self.is_leaf
        self._owner.set_requires_grad(self, requires_grad)
        return self

    @property
    def grad(self) -> Any:
        return _engines("grad", self) if self._owner.differentiates else None

    @grad.setter
    def grad(self, found: Any) -> None:
        torch_private.TensorBase.grad.__set__(self, found)

    @property
    def grad_fn(self) -> Any:  # type: ignore[override]
        if self._owner.differentiates:
            self._owner.looked += 1
            return _engines("grad_fn", self)
        return None if self.is_leaf else object()

    @property
    def is_leaf(self) -> bool:  # type: ignore[override]
        if self._owner.differentiates:
            return bool(_engines("is_leaf", self))
        return self._asked or not (self._value.requires_grad and self._value.origin == "op")

    def stride(self, dim: int | None = None) -> Any:
        strides = tuple(self._owner.as_int(s) for s in self._value.fact.stride())
        return strides if dim is None else strides[dim]

    def storage_offset(self) -> Any:
        return self._owner.offset(self)

    def is_contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> bool:
        return self._owner.is_contiguous(self._value.fact, memory_format)

    def is_floating_point(self) -> bool:
        return self._value.fact.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self._value.fact.dtype.is_complex

    def is_signed(self) -> bool:
        return self._value.fact.dtype.is_signed

    def element_size(self) -> int:
        return self._value.fact.dtype.itemsize

    @property
    def itemsize(self) -> int:  # type: ignore[override]
        return self._value.fact.dtype.itemsize

    @property
    def nbytes(self) -> Any:  # type: ignore[override]
        return self._owner.as_int(self._value.fact.nbytes)

    @property
    def layout(self) -> torch.layout:  # type: ignore[override]
        return self._value.fact.layout

    def data_ptr(self) -> int:
        return self._owner.address(self)

    def untyped_storage(self) -> Memory:  # type: ignore[override]
        return Memory(*self._owner.memory(self), self.device)

    def _typed_storage(self) -> Memory:
        return Memory(*self._owner.memory(self), self.device, self.dtype)

    storage = _typed_storage

    def storage_type(self) -> Any:
        return torch.TypedStorage

    def share_memory_(self) -> StandIn:
        return self

    def is_shared(self) -> bool:
        return False

    def as_subclass(self, cls: type[Any]) -> Any:
        if cls is torch.Tensor or cls is StandIn:
            return self
        raise UnsupportedError(
            f"as_subclass: a tensor of the analysis cannot become a {cls.__name__}",
            hint="a class of your own that computes in __torch_function__ is followed where it wraps a tensor",
        )

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        known = self._owner.told(self, sys._getframe(1))
        return self._described() if known is None else repr(known)

    def __format__(self, spec: str) -> str:
        known = self._owner.told(self, sys._getframe(1))
        return self._described() if known is None else format(known, spec)

    def _described(self) -> str:
        fact = self._value.fact
        return f"StandIn({tuple(fact.shape)}, {str(fact.dtype).removeprefix('torch.')}, {fact.device})"

    def __deepcopy__(self, memo: Any) -> Any:
        return self.clone()

    def __reduce_ex__(self, proto: Any) -> Any:
        raise UnsupportedError("a stand-in tensor cannot be pickled: it has no data")

    # -- data: known only of constants ----------------------------------------------------------------------------
    def _data(self, what: str) -> Any:
        return self._owner.data(self, what)

    def __len__(self) -> int:
        if not self._value.fact.shape:
            raise TypeError("len() of a 0-d tensor")
        n = self.shape[0]
        if type(n) is not int:
            self._owner.note_length(sys._getframe(1))
        return int(n)

    def __iter__(self) -> Iterator[Any]:
        if not self._value.fact.shape:
            raise TypeError("iteration over a 0-d tensor")
        self._owner.before_iteration(self)
        return iter(self.unbind(0))

    def item(self) -> Any:
        return self._owner.scalar(self, "item()")

    def tolist(self) -> Any:
        listed = self._owner.listed(self)
        if listed is not None:
            return listed
        fact = self._value.fact
        unknown = self._known is None or not self._storage.constant
        if unknown and fact.dtype is not torch.bool and type(fact.numel) is int and fact.numel <= _MAX_LISTED:
            return [part.tolist() for part in self.unbind(0)] if fact.shape else self.item()
        return self._data("tolist()").tolist()

    def __bool__(self) -> bool:
        return bool(self._owner.scalar(self, "a bool"))

    def __int__(self) -> int:
        return int(self._owner.scalar(self, "int()"))

    def __float__(self) -> float:
        return float(self._owner.scalar(self, "float()"))

    def __index__(self) -> int:
        return int(self._owner.scalar(self, "an index"))

    def __complex__(self) -> complex:
        return complex(self._owner.scalar(self, "complex()"))

    def __contains__(self, element: Any) -> bool:
        return bool((self == element).any())

    def numpy(self, *, force: bool = False) -> Any:
        return self._owner.array(self)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        data = self._data("numpy conversion").numpy()
        return data if dtype is None else data.astype(dtype)


def _engines(name: str, x: StandIn) -> Any:
    """A property as torch's own engine knows it."""
    return getattr(torch_private.TensorBase, name).__get__(x)


def data_error(what: str, where: str, known_input: bool) -> DataDependentError:
    """The error for a model that looks at the data: names the line and the ways out."""
    return DataDependentError(
        f"the model asks for {what} of a tensor whose data are not known without running it",
        where=where,
        hint="make the decision on shapes or on a Python value, keep it in tensors (torch.where), give small integer inputs "
        "as tensors with their data, or say which way all such decisions go: hints={'branch': 0} or 1",
    )
