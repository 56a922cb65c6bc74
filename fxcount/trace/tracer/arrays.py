"""What stands for an array of numpy while a model is traced: the array of a stand-in.

numpy's functions and methods of it are worked out by torch's own implementation of numpy's interface, so they reach the tracer
as ops of torch, and sizes stay formulas. What numpy can do and torch cannot needs the data, which nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from fxcount import torch_private
from fxcount.ops.core.tree import leaves, mapped
from fxcount.trace.tracer.standin import StandIn

__all__ = ["ArrayStandIn", "array_of", "numpy_functions", "tensor_in"]

_REDUCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min, np.logical_and: np.all, np.logical_or: np.any,
}  # fmt: skip
_PROPERTIES = ("T", "real", "imag", "size", "ndim", "strides", "itemsize", "flat")


class ArrayStandIn:
    """numpy's array of a stand-in, whose memory it shares; to ``isinstance`` an ``ndarray``."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    @property
    def __class__(self) -> type:
        return np.ndarray

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise TypeError("an array keeps its class")

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(self._tensor.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(str(self._tensor.dtype).removeprefix("torch."))

    @property
    def nbytes(self) -> Any:
        return self._tensor.nbytes

    def __len__(self) -> int:
        return len(self._tensor)

    def __iter__(self) -> Any:
        return iter([ArrayStandIn(part) for part in self._tensor])

    def __hash__(self) -> int:
        raise TypeError("unhashable type: 'numpy.ndarray'")

    def __repr__(self) -> str:
        return f"array of {self._tensor!r}"

    def __copy__(self) -> ArrayStandIn:
        return ArrayStandIn(self._tensor.clone())

    def __deepcopy__(self, memo: Any) -> ArrayStandIn:
        return self.__copy__()

    def astype(
        self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> ArrayStandIn:  # fmt: skip
        """A copy of this dtype; without ``copy`` the array itself, where it has it."""
        wanted = _torch_dtype(dtype)
        if wanted is self._tensor.dtype and not copy:
            return self
        return ArrayStandIn(torch.Tensor.to(self._tensor, wanted, copy=True))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """For what is written in C: the data, if they are known."""
        return self._tensor.__array__(dtype, copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        wanted = ufunc if method == "__call__" else _REDUCTIONS.get(ufunc) if method == "reduce" else None
        found = _function(wanted.__name__) if wanted is not None else None
        return self._numpys(found, f"{ufunc.__name__}.{method}", inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        home = (func.__module__ or "numpy").partition(".")[2]
        return self._numpys(_function(func.__name__, home), func.__name__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")
        array = torch_private.numpy.ndarray(self._tensor)
        found = getattr(array, name)  # an attribute that no array has is an error here
        if name in _PROPERTIES:
            return _wrapped(found)
        return lambda *args, **kwargs: self._numpys(found, name, args, kwargs)

    def _numpys(self, function: Callable[..., Any] | None, name: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """What torch's implementation makes of a function or method of numpy's."""
        if function is None:
            return self._tensor._data(f"numpy's {name}")
        given = {k: v for k, v in kwargs.items() if not (k == "out" and v in (None, (None,)))}
        if isinstance(given.get("out"), tuple):  # as ufuncs have it
            (given["out"],) = given["out"]
        try:
            return _wrapped(function(*_unwrapped(tuple(args)), **_unwrapped(given)))
        except NotImplementedError:
            return self._tensor._data(f"numpy's {name}")


def _operator(name: str) -> Callable[..., Any]:
    def method(self: ArrayStandIn, *args: Any) -> Any:
        array = torch_private.numpy.ndarray(self._tensor)
        done = self._numpys(getattr(array, name), name, args, {})
        if name.startswith("__i") and name not in ("__int__", "__index__", "__invert__"):
            return self  # written in place
        return done

    method.__name__ = name
    return method


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
for _name in (
    *[f"__{how}{name}__" for name in _BINARY for how in ("", "r", "i")], "__divmod__", "__rdivmod__", "__neg__", "__pos__",
    "__abs__", "__invert__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__getitem__", "__setitem__",
    "__int__", "__float__", "__complex__", "__index__", "__bool__", "__contains__",
):  # fmt: skip
    setattr(ArrayStandIn, _name, _operator(_name))


def array_of(x: StandIn) -> ArrayStandIn:
    """The array that ``x.numpy()`` gives."""
    return ArrayStandIn(x)


def tensor_in(array: Any) -> Any:
    """The stand-in of an array stand-in; anything else as it is."""
    return array._tensor if type(array) is ArrayStandIn else array


def numpy_functions() -> dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """What stands, by name, for those functions of numpy that ask a stand-in for its data, given the function itself."""
    return {
        "array": lambda original: _making(original, True),
        **dict.fromkeys(("asarray", "asanyarray", "ascontiguousarray"), lambda original: _making(original, False)),
    }


def _making(original: Callable[..., Any], copies: bool) -> Callable[..., Any]:
    def make(a: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not any([type(x) in (StandIn, ArrayStandIn) and not _is_known(x) for x in leaves(a)]):
            return original(a, dtype, *args, **kwargs)
        if isinstance(a, (list, tuple)):
            stacked = torch_private.numpy.array(_unwrapped(a))
            found = _wrapped(stacked)
        else:
            found = ArrayStandIn(tensor_in(a))
        if dtype is not None:
            return found.astype(dtype, copy=copies and kwargs.get("copy", True) is not False)
        return found.__copy__() if copies and kwargs.get("copy", True) and found is not a else found

    return make


def _is_known(x: Any) -> bool:
    stand_in = tensor_in(x)
    return bool(stand_in._known is not None and stand_in._storage.constant)


def _function(name: str, home: str = "") -> Callable[..., Any] | None:
    """A function of torch's implementation of numpy, if it has it; ``home`` is the module of numpy it is in."""
    module = torch_private.numpy
    public = [part for part in home.split(".") if part and not part.startswith("_") and part not in ("core", "lib")]
    for part in public:
        module = getattr(module, part, module)
    found: Callable[..., Any] | None = getattr(module, name, None)
    return found


def _torch_dtype(dtype: Any) -> torch.dtype:
    found: torch.dtype = torch_private.numpy.dtype(np.dtype(dtype).name).torch_dtype
    return found


def _unwrapped(tree: Any) -> Any:
    """Arguments as torch's implementation of numpy wants them."""

    def leaf(x: Any) -> Any:
        if type(x) is ArrayStandIn:
            return torch_private.numpy.ndarray(x._tensor)
        if isinstance(x, torch.Tensor):
            return torch_private.numpy.ndarray(x)
        if isinstance(x, (np.ndarray, np.generic)):
            return torch_private.numpy.ndarray(torch.as_tensor(x))
        if isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
            return np.dtype(x).name
        return x

    return mapped(leaf, tree)


def _wrapped(tree: Any) -> Any:
    """Results as arrays of stand-ins."""

    def leaf(x: Any) -> Any:
        if type(x) is torch_private.numpy.ndarray:
            return ArrayStandIn(x.tensor) if type(x.tensor) is StandIn else x.tensor.numpy()
        return x

    return mapped(leaf, tree)
