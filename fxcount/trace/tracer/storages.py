"""The memory that stand-ins stand for: when it is born and dies, and what a model may ask of it."""

from __future__ import annotations

import weakref
from typing import Any

import torch

from fxcount.errors import UnsupportedError
from fxcount.trace.tape import Value

__all__ = ["HeldState", "Kept", "Memory", "Storage"]


class Storage:
    """Shared by all stand-ins that view the same memory; its end is an event in the tracer's log."""

    __slots__ = ("__dict__", "__weakref__", "constant", "index", "log")

    # what few have, and then in their ``__dict__``
    from_input = False  # whether these data were given by the user, or computed from such
    kept_by: list[weakref.ref[Kept]] | None = None  # copies of it that are views at some sizes
    keeps: tuple[Kept, ...] = ()
    parts: tuple[Storage, ...] = ()  # of what it is made, as long as it lives

    def __init__(self, index: int, log: list[int], constant: bool = False) -> None:
        self.index = index
        self.log = log
        self.constant = constant  # whether the data of all stand-ins on it are known
        log.append(index)

    def __del__(self) -> None:
        self.log.append(~self.index)
        if self.kept_by is not None:
            for ref in self.kept_by:
                kept = ref()
                if kept is not None:
                    kept.begin()


class Kept:
    """What a copy that is a view at some sizes keeps of a storage, once that has no other use; it dies with the copy."""

    __slots__ = ("__weakref__", "begun", "index", "log")

    def __init__(self, index: int, log: list[int]) -> None:
        self.index = index
        self.log = log
        self.begun = False

    def begin(self) -> None:
        """The storage itself has died."""
        if not self.begun:
            self.begun = True
            self.log.append(self.index)

    def __del__(self) -> None:
        if self.begun:
            self.log.append(~self.index)


class HeldState:
    """A parameter or buffer among the operands of a call: all that is asked of a stand-in there, without the tensor, which a
    model is seldom given. ``key`` is the identity of the real one."""

    __slots__ = ("_known", "_storage", "_value", "key")

    def __init__(self, key: int, value: Value, storage: Storage) -> None:
        self.key = key
        self._value = value
        self._storage = storage
        self._known = None


class Memory:
    """What a model gets for ``x.untyped_storage()``, and with a ``dtype`` for ``x.storage()``: how large the memory is, and
    whether it is that of another tensor. Nothing lies in it, so all else that torch's storages do is refused."""

    is_sparse = is_sparse_csr = False

    def __init__(self, number: int, nbytes: Any, device: torch.device, dtype: torch.dtype | None = None) -> None:
        self._number = number  # of its own for each storage
        self._nbytes = nbytes
        self.device = device
        if dtype is not None:
            self.dtype = dtype
        self._itemsize = 1 if dtype is None else dtype.itemsize

    def nbytes(self) -> Any:
        """Bytes of the whole memory, whatever part of it a tensor takes."""
        return self._nbytes

    def size(self) -> Any:
        """Elements; of untyped memory bytes."""
        return self._nbytes if self._itemsize == 1 else self._nbytes // self._itemsize

    def __len__(self) -> int:
        return int(self.size())

    def element_size(self) -> int:
        """Bytes of an element."""
        return self._itemsize

    def data_ptr(self) -> int:
        """A number of its own for each storage."""
        return self._number + 1

    def untyped(self) -> Memory:
        """The same memory, in bytes."""
        return Memory(self._number, self._nbytes, self.device)

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU's."""
        return self.device.type == "cuda"

    def get_device(self) -> int:
        """The number of the device, -1 for the CPU."""
        return -1 if self.device.type == "cpu" else (self.device.index or 0)

    def is_shared(self) -> bool:
        """No other process has it."""
        return False

    def is_pinned(self, device: Any = None) -> bool:
        """It may be paged out."""
        return False

    def share_memory_(self) -> Memory:
        """Nothing moves: there are no data."""
        return self

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and (hasattr(torch.UntypedStorage, name) or hasattr(torch.TypedStorage, name)):
            raise UnsupportedError(
                f"the model asks for {name} of the memory of a tensor, and there is none in an analysis",
                hint="work on the tensor itself: ops on storages pass the tracer by",
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getitem__(self, index: Any) -> Any:
        raise UnsupportedError(
            "the model reads or writes the memory of a tensor, and there is none in an analysis",
            hint="work on the tensor itself",
        )

    __setitem__ = __getitem__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Memory) and other._number == self._number

    def __hash__(self) -> int:
        return hash(self._number)
