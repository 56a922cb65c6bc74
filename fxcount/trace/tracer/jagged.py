"""What stands for a jagged nested tensor while a model is traced: samples of different lengths, one after the other.

It is made of the stand-in of its values, (sum of lengths, ...), and the lengths. What works on each element or on the last
dimensions works on the values; attention and padding go sample by sample, as their work depends on each length.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.ops import REGISTRY
from fxcount.ops.core.tree import leaves, mapped
from fxcount.symbolic import Size, SymSize
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Jagged", "dispatched", "jagged_input", "jagged_of"]


class Jagged:
    """A nested tensor of as many samples as there are lengths; ``swapped`` if heads come before positions."""

    def __init__(self, values: Any, lengths: Sequence[Any], swapped: bool = False) -> None:
        self._values = values
        self._lengths = tuple(lengths)
        self._swapped = swapped

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(func, args, kwargs or {})

    @property
    def __class__(self) -> type:
        return torch.Tensor

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise TypeError("a tensor keeps its class")

    is_nested = True
    layout = torch.jagged

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = self._values.dtype
        return found

    @property
    def device(self) -> torch.device:
        found: torch.device = self._values.device
        return found

    @property
    def ndim(self) -> int:
        return int(self._values.ndim) + 1

    def dim(self) -> int:
        return self.ndim

    def size(self, dim: int | None = None) -> Any:
        rest = self._values.shape[1:]
        sizes = (len(self._lengths), *([rest[0], None, *rest[1:]] if self._swapped else [None, *rest]))
        if dim is None:
            return sizes
        if sizes[dim] is None:
            raise UnsupportedError("the model asks for the size of a jagged dimension, which each sample has of its own")
        return sizes[dim]

    @property
    def shape(self) -> Any:
        return self.size()

    def values(self) -> Any:
        """All samples, one after the other."""
        return self._values

    def offsets(self) -> Any:
        """Where each sample begins, and the end."""
        ends = [0]
        for n in self._lengths:
            ends.append(ends[-1] + n)
        return torch.tensor(ends)

    def lengths(self) -> None:
        return None

    def unbind(self, dim: int = 0) -> tuple[Any, ...]:
        """The samples."""
        parts = torch.split(self._values, list(self._lengths))
        return tuple([p.transpose(0, 1) for p in parts] if self._swapped else parts)

    def __getitem__(self, key: Any) -> Any:
        """A sample, or a part of what the samples share: ``x[2]``, ``x[..., :8]``, ``x[:, :, 3]``."""
        if type(key) is int:
            return self.unbind()[key]
        parts = key if isinstance(key, tuple) else (key,)
        whole = parts[:2] == (slice(None), slice(None))
        if self._swapped or not (whole or (parts[0] is Ellipsis and len(parts) < self.ndim)):
            raise _unsupported("an index into a jagged dimension")
        return Jagged(self._values[(slice(None), *parts[2:]) if whole else parts], self._lengths)

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.unbind())

    def to_padded_tensor(self, padding: float, output_size: Any = None) -> Any:
        """A dense tensor of the longest length."""
        longest = self._lengths[0]
        for n in self._lengths[1:]:
            longest = torch.sym_max(longest, n)  # type: ignore[no-untyped-call]
        rest = [0, 0] * (self._values.ndim - 1)
        return torch.stack(
            [torch.nn.functional.pad(p, [*rest, 0, longest - n], value=padding) for p, n in zip(self.unbind(), self._lengths)]
        )

    def transpose(self, a: int, b: int) -> Jagged:
        """Heads before positions or back; dimensions behind these as in a dense tensor."""
        a, b = sorted((a % self.ndim, b % self.ndim))
        if (a, b) == (1, 2):
            return Jagged(self._values, self._lengths, not self._swapped)
        if a < 2 or self._swapped:
            raise _unsupported("transpose of a jagged dimension")
        return Jagged(self._values.transpose(a - 1, b - 1), self._lengths)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(torch.Tensor, name):
            raise AttributeError(f"a jagged tensor has no attribute {name!r}")
        found = getattr(torch.Tensor, name)
        if not callable(found):
            return getattr(self._values, name)
        return lambda *args, **kwargs: dispatched(found, (self, *args), kwargs)


def _method(name: str) -> Callable[..., Any]:
    def method(self: Jagged, *args: Any) -> Any:
        return dispatched(getattr(torch.Tensor, name), (self, *args), {})

    return method


_NOT_ELEMENTWISE = {"__bool__", "__float__", "__int__", "imag", "real"}
_COMPARISONS = {"__eq__", "__ge__", "__gt__", "__le__", "__lt__", "__ne__", "__and__", "__invert__", "__or__", "__matmul__"}
for _name in sorted((set(dir(float)) & set(dir(torch.Tensor)) - set(dir(object)) - _NOT_ELEMENTWISE) | _COMPARISONS):
    setattr(Jagged, _name, _method(_name))  # the arithmetic of numbers


def jagged_of(samples: Any, *, dtype: Any = None, device: Any = None) -> Jagged:
    """The nested tensor of a list of stand-ins, whose values are a copy of them, one after the other."""
    parts = list(samples)
    joined = torch.cat([p if dtype is None else p.to(dtype) for p in parts])
    return Jagged(joined, [p.shape[0] for p in parts])


def jagged_input(values: StandIn, lengths: Sequence[Size]) -> Jagged:
    """The nested tensor of an input's values, (sum of lengths, ...)."""
    scope = values._owner.scope
    return Jagged(values, [n if isinstance(n, int) else SymSize(n, scope.hint(n), scope) for n in lengths])


def dispatched(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of torch on nested tensors: on their values, or sample by sample."""
    nested = [x for x in leaves((args, kwargs)) if type(x) is Jagged]
    first = nested[0]
    if func is torch.nn.functional.scaled_dot_product_attention:
        return _attention(func, args, kwargs)
    if any(x._swapped for x in nested):
        raise _unsupported(getattr(func, "__name__", str(func)))
    if func in _PADDED:
        return first.to_padded_tensor(*args[1:], **kwargs)
    dims = _dims(func, args[1:], kwargs)
    if dims == [1] and len(nested) == 1:
        return _sample_by_sample(func, first, args, kwargs)
    if not all(d < 0 or d > 1 for d in dims):
        raise _unsupported(f"{getattr(func, '__name__', str(func))} over these dimensions")
    args, kwargs = _moved(func, args, kwargs, [d - 1 if d > 0 else d for d in dims])
    result = func(*mapped(_values, args), **mapped(_values, kwargs))
    total = first._values.shape[0]

    def wrapped(x: Any) -> Any:
        return Jagged(x, first._lengths) if type(x) is StandIn and x.ndim and _same(x.shape[0], total) else x

    return mapped(wrapped, result)


def _values(x: Any) -> Any:
    return x._values if type(x) is Jagged else x


def _same(a: Any, b: Any) -> bool:
    return bool(getattr(a, "expr", a) == getattr(b, "expr", b))


def _dims(func: Callable[..., Any], rest: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
    """The dimensions that a call names, which are others of the values than of the nested tensor if counted from the front."""
    dims = [*[rest[i] for i in _places(func) if i < len(rest)], *[v for k, v in kwargs.items() if k in _DIMENSIONS]]
    return [d for d in leaves(dims) if type(d) is int]


def _moved(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], dims: list[int]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The call with other dimensions, in the order in which :func:`_dims` gives them."""
    found, places = iter(dims), _places(func)

    def other(d: Any) -> Any:
        return next(found) if type(d) is int else d

    moved = {i + 1: mapped(other, args[i + 1]) for i in places if i + 1 < len(args)}
    named = {k: mapped(other, v) if k in _DIMENSIONS else v for k, v in kwargs.items()}
    return tuple([moved.get(i, a) for i, a in enumerate(args)]), named


def _sample_by_sample(func: Callable[..., Any], x: Jagged, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What goes over the positions of each sample by itself: reductions give a dense tensor, all else a nested one."""
    rest, named = _moved(func, args, kwargs, [0])
    found = [func(part, *rest[1:], **named) for part in x.unbind()]
    if any(type(y) is not StandIn for y in found):
        raise _unsupported(f"{getattr(func, '__name__', str(func))} over a jagged dimension")
    if all(y.ndim < x._values.ndim or (type(y.shape[0]) is int and y.shape[0] == 1) for y in found):
        return torch.stack(found)
    return Jagged(torch.cat(found), x._lengths)


_DIMENSIONS = frozenset({"dim", "dims", "dim0", "dim1", "start_dim", "end_dim", "axis"})


@functools.lru_cache(256)
def _places(func: Callable[..., Any]) -> tuple[int, ...]:
    """Where, behind the tensor, a function takes a dimension by position, as its schemas say."""
    entry = REGISTRY.get(func)
    found = torch_private.schemas(entry.schema.removeprefix("aten::")) if entry is not None and entry.schema else []
    return tuple({i - 1 for s in found for i, a in enumerate(s.arguments) if i and a.name in _DIMENSIONS})


_PADDED = frozenset({torch.nested.to_padded_tensor, torch.Tensor.to_padded_tensor})


def _attention(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Jagged:
    """Each sample attends to itself: (heads, length, width)."""
    q = args[0]
    parts = [x.unbind() if type(x) is Jagged else (x,) * len(q) for x in args[:3]]
    found = [func(*sample, *args[3:], **kwargs) for sample in zip(*parts)]
    if not q._swapped:
        return Jagged(torch.cat(found), q._lengths)
    return Jagged(torch.cat([y.transpose(0, 1) for y in found]), q._lengths, swapped=True)


def _unsupported(what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what} is not followed on nested tensors",
        hint="work on nt.values() and nt.offsets(), or on a padded tensor and a mask",
    )
