"""Input specifications: what the user writes for a tensor, and the stand-ins made of it.

========================================  ===========================================================
``"B,3,H,W"``                             a shape; names are symbols, the dtype is the model's
``"i64[B,S]"``, ``"f32[B,3,32*h,32*w]"``  dtype and shape; sizes are expressions of symbols
``("B", 3, "H", "W")``, ``(1, 3, 8, 8)``  a shape as list or tuple; its integers may be numpy's or sympy's, its symbols sympy's
``(None, 3, 224, 224)``, ``"None,3"``      a size without a name: B in the first place, d1, d2, ... in the others
``"coo f32[N,N;E]"``, ``"csr f32[N,N]"``  a sparse tensor (coo, csr or csc) of E stored entries; a symbol ``nnz_1`` if not said
``"jagged f32[L1,L2;7]"``                 a nested tensor of two samples of L1 and L2 rows of 7
a tensor (real, meta or fake)             its shape, dtype and device; the data of a few integers or booleans on
                                          the CPU (image grids, lengths) if the model asks for them
an array of numpy, ``"np f32[B,7]"``      an array: the model gets what is numpy's array of a stand-in
lists, tuples, dicts of these             nested inputs; so are mappings, dataclasses and objects that hold tensors
anything else                             passed to the model as it is
========================================  ===========================================================
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from numbers import Integral
from typing import Any

import numpy as np
import torch

from fxcount.dataclass import dataclass
from fxcount.errors import InputError, SizeError
from fxcount.ops.core.fact import LARGEST_SIZE, SparseForm
from fxcount.ops.sparse.real import form_of
from fxcount.symbolic import BRANCH, Expr, Size, UnbackedSizes, evaluate, free_symbols, is_data_dependent, parse, sum_
from fxcount.torch_private import pytree
from fxcount.trace.inputs.containers import Container, contained
from fxcount.trace.nesting import refusing_depth
from fxcount.wording import DTYPE_WORDS, DTYPES, did_you_mean, dtype_named, dtype_word

__all__ = ["DEFAULT_HINTS", "InputSpec", "Plain", "default_hints", "parse_inputs", "symbols_of", "whole_hints"]

DEFAULT_HINTS: Mapping[str, int] = {
    "B": 2, "N": 2, "H": 224, "W": 224, "S": 128, "L": 128, "T": 128,
}  # fmt: skip
"""Sizes at which the model's decisions are taken, by symbol name; other names get distinct primes."""

_CALLED = {
    **dict.fromkeys(("batch", "batch_size", "bs", "num_samples"), "B"), "height": "H", "width": "W", "img_h": "H", "img_w": "W",
    **dict.fromkeys(("seq", "seq_len", "seqlen", "sequence", "sequence_length", "tokens"), "S"),
    **dict.fromkeys(("length", "len"), "L"), **dict.fromkeys(("time", "frames", "tgt_len"), "T"), "src_len": "S",
}  # fmt: skip
"""Words for these symbols, in any case."""

MAX_READ_NUMEL = 4096
"""Integer inputs of more elements than this are never looked at."""

_PRIMES = (13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
_WITH_DTYPE = re.compile(r"^\s*(?:(coo|csr|csc|np|jagged)\s+)?(?:torch\.)?(\w+)\s*\[(.*)\]\s*$", re.DOTALL)
_OPEN = frozenset({"None", "?"})
_LAYOUTS = {"coo": torch.sparse_coo, "csr": torch.sparse_csr, "csc": torch.sparse_csc}


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A tensor input: sizes, dtype (``None``: the model's) and device (``None``: the model's)."""

    shape: tuple[Size, ...]
    dtype: torch.dtype | None = None
    device: torch.device | None = None
    requires_grad: bool = False
    strides: tuple[Size, ...] | None = None
    data: torch.Tensor | None = field(default=None, repr=False, compare=False)
    layout: torch.layout = torch.strided
    form: SparseForm | None = None  # of a sparse tensor, if its number of entries is known
    lengths: tuple[Size, ...] = ()  # of the samples of a nested tensor, which lie one after the other
    array: bool = False  # whether the model gets it as an array of numpy
    hints: tuple[tuple[str, int], ...] = field(default=(), repr=False, compare=False)  # for symbols nobody gives others for
    because: str = field(default="", repr=False, compare=False)  # what speaks for it, where it is only a guess

    def __str__(self) -> str:
        """As it is written.

        >>> str(parse_inputs("i64[B,2*S]")), str(parse_inputs("B,3"))
        ('i64[B,2*S]', 'B,3')
        """
        shape = ",".join(map(str, self.shape))
        return shape if self.dtype is None and self.shape else f"{dtype_word(self.dtype) if self.dtype else 'f32'}[{shape}]"

    @property
    def sizes(self) -> tuple[Size, ...]:
        """All sizes of which the input is made."""
        return (*self.shape, *self.lengths, *(() if self.form is None else self.form.values))

    def hinted(self, hints: Mapping[str, int]) -> InputSpec:
        """The same with hints for those of its symbols."""
        mine = {name for size in self.sizes for name in free_symbols(size)}
        return dataclasses.replace(self, hints=tuple([(n, h) for n, h in hints.items() if n in mine]))

    def mapped(self, change: Callable[[Size], Size]) -> InputSpec:
        """The same with each size changed."""
        strides = None if self.strides is None else tuple(map(change, self.strides))
        form = None if self.form is None else self.form.mapped(change)
        lengths = tuple(map(change, self.lengths))
        return dataclasses.replace(self, shape=tuple(map(change, self.shape)), strides=strides, form=form, lengths=lengths)


@dataclass(frozen=True, slots=True)
class Plain:
    """An argument that the model gets as it is, though it may read like a shape."""

    value: Any


def parse_inputs(given: Any) -> Any:
    """Replace every tensor specification in nested inputs by an :class:`InputSpec`.

    >>> parse_inputs(("B,3,H,W", {"mask": "bool[B,S]"}))[0].shape
    (B, 3, H, W)
    """
    with refusing_depth("what is given to the model"):
        return _parsed(given)


def _parsed(given: Any) -> Any:
    if isinstance(given, (torch.Tensor, np.ndarray)):
        return _of_data(given)
    if isinstance(given, (InputSpec, Plain, Container)):
        return given
    if isinstance(given, str):
        return _parse_text(given)
    if isinstance(given, torch.Size):
        return InputSpec(_positive(tuple(int(s) for s in given), str(tuple(given))))
    if isinstance(given, (list, tuple)):
        if _is_shape(given):
            text = ",".join(map(str, given))
            return InputSpec(_sizes([str(s) for s in given], text))
        parts = [_parsed(g) for g in given]
        return type(given)(*parts) if hasattr(given, "_fields") else type(given)(parts)
    if type(given) is dict:
        return {k: _parsed(v) for k, v in given.items()}
    found = contained(given, _parsed)
    if found is None or not any([isinstance(leaf, InputSpec) for leaf in pytree.tree_leaves(found.values)]):
        return given
    return found


def _of_data(given: torch.Tensor | np.ndarray[Any, Any]) -> Any:
    """The specification of a tensor or array that is there; an array torch has no dtype for, or of one number, is as it is."""
    if isinstance(given, np.ndarray):
        if not given.ndim:
            return given
        try:
            data = torch.as_tensor(given if given.flags.writeable and min(given.strides) >= 0 else given.copy())
        except TypeError:
            return given
        return dataclasses.replace(_of_data(data), array=True)
    if given.layout is torch.jagged:
        return _of_nested(given)
    if given.layout is not torch.strided:
        form = form_of(given)
        return InputSpec(tuple(given.shape), given.dtype, given.device, given.requires_grad, layout=given.layout, form=form)
    shape = tuple(int(s) for s in given.shape)
    strides = None if given.is_contiguous() else tuple(int(s) for s in given.stride())
    return InputSpec(shape, given.dtype, given.device, given.requires_grad, strides, _readable(given))


def _of_nested(given: Any) -> InputSpec:
    """Its values, and how many of them each sample has."""
    values, rest = given.values(), tuple(given.shape[2:])
    if given.lengths() is not None or tuple(values.shape[1:]) != rest:
        raise InputError(
            "a nested tensor whose samples do not lie one after the other, or whose dimensions were swapped, is no input",
            hint="give torch.nested.nested_tensor(samples, layout=torch.jagged), and transpose it in the forward",
        )
    lengths = tuple(int(n) for n in given.offsets().diff().tolist())
    return InputSpec((sum(lengths), *rest), given.dtype, given.device, given.requires_grad, lengths=lengths)


def _readable(given: torch.Tensor) -> torch.Tensor | None:
    """The tensor itself if a model may look at its values: a few integers or booleans on the CPU."""
    if given.dtype.is_floating_point or given.dtype.is_complex or given.numel() > MAX_READ_NUMEL:
        return None
    return given if type(given) is torch.Tensor and given.device.type == "cpu" else None


def _is_shape(given: Any) -> bool:
    """Whether a list or tuple is one shape: integers, names and formulas, and sizes left open beside them."""
    if not given or all(item is None for item in given) or (hasattr(given, "_fields") and None in given):
        return False
    for item in given:
        if isinstance(item, bool) or not (item is None or isinstance(item, (Integral, str, Expr)) or _is_sympy(item)):
            return False  # integers of numpy and sympy are Integral
        if isinstance(item, str) and ("," in item or "[" in item):
            return False
    return True


def _is_sympy(item: Any) -> bool:
    sympy = sys.modules.get("sympy")  # who has one has imported it
    return sympy is not None and isinstance(item, sympy.Expr) and item.is_extended_real is not False and not item.is_Float


def _parse_text(text: str) -> Any:
    match = _WITH_DTYPE.match(text)
    if match:
        dtype = getattr(torch, dtype_named(match[2]) or match[2], None)
        if not isinstance(dtype, torch.dtype):
            raise InputError(
                f"unknown dtype {match[2][:80]!r} in the input {text[:200]!r}{did_you_mean(match[2], DTYPE_WORDS)}",
                hint=f"use one of {', '.join(DTYPES)}",
            )
        if match[1] == "jagged":
            return _parse_jagged(dtype, match[3], text)
        if match[1] and match[1] != "np":
            return _parse_sparse(_LAYOUTS[match[1]], dtype, match[3], text)
        body = match[3].strip().rstrip(",")
        return InputSpec(_sizes(_split(body) if body else [], text), dtype, array=bool(match[1]))
    if "," in text:
        return InputSpec(_sizes(_split(text.strip().strip("()[]").rstrip(",")), text))
    alone = text.strip().strip("()[]").strip()
    if alone.isdecimal():
        raise InputError(
            f"the input {text!r} is no shape, and would be handed to the model as text",
            hint=f'write "{alone}," for a tensor of one dimension, {alone} without quotes for a number',
        )
    return text  # a plain string argument of the model


def _parse_sparse(layout: torch.layout, dtype: torch.dtype, body: str, text: str) -> InputSpec:
    """A sparse tensor, its shape and after a semicolon the number of its stored entries."""
    sizes, _, entries = body.partition(";")
    shape = _sizes(_split(sizes), text)
    if layout is not torch.sparse_coo and len(shape) != 2:
        raise InputError(f"the input {text[:200]!r} has {len(shape)} dimensions, and is a matrix in {layout}")
    form = SparseForm.of(layout, shape, _sizes([entries], text)[0]) if entries.strip() else None
    return InputSpec(shape, dtype, layout=layout, form=form)


def _parse_jagged(dtype: torch.dtype, body: str, text: str) -> InputSpec:
    """A nested tensor: the lengths of its samples, and after a semicolon the sizes that they share."""
    before, semicolon, rest = body.partition(";")
    if not semicolon or not before.strip():
        raise InputError(
            f"the input {text[:200]!r} does not say which sizes are lengths of samples",
            hint='write the lengths, a semicolon and the other sizes: "jagged f32[L1,L2;7]"',
        )
    lengths = _sizes(_split(before), text)
    return InputSpec((sum_(lengths), *(_sizes(_split(rest), text) if rest.strip() else ())), dtype, lengths=lengths)


def _split(text: str) -> list[str]:
    """Parts between commas that are not inside of brackets.

    >>> _split("B, Max(h, 3), W")
    ['B', ' Max(h, 3)', ' W']
    """
    parts, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def _sizes(parts: Iterable[str], text: str) -> tuple[Size, ...]:
    sizes = []
    for place, part in enumerate(parts):
        open_size = part.strip() in _OPEN
        try:
            sizes.append(parse((f"d{place}" if place else "B") if open_size else part.strip()))
        except SizeError as error:
            raise InputError(
                f"cannot read the size {part.strip()[:80]!r} in the input {text[:200]!r}: {error.what}",
                hint='write sizes as integers, names or expressions, e.g. "f32[B,3,32*h,32*w]"',
            ) from error
    return _positive(tuple(sizes), text)


def _positive(sizes: tuple[Size, ...], text: str) -> tuple[Size, ...]:
    for size in sizes:
        if isinstance(size, int) and size <= 0:
            raise InputError(
                f"the input {text[:200]!r} has a size of {size}", hint="sizes must be at least 1; write a symbol, e.g. B"
            )
        if isinstance(size, int) and size >= LARGEST_SIZE:
            raise InputError(f"the input {text[:200]!r} has a size of more than 2**63 - 1", hint="no tensor of torch has")
    return sizes


def symbols_of(*inputs: Any) -> set[str]:
    """The names of the symbols in input specifications, as analyze() takes them.

    >>> sorted(symbols_of("B,3,2*h", {"mask": "bool[B,S]"}))
    ['B', 'S', 'h']
    """
    leaves = pytree.tree_leaves([parse_inputs(given) for given in inputs])
    return {name for leaf in leaves if isinstance(leaf, InputSpec) for size in leaf.sizes for name in free_symbols(size)}


def default_hints(
    specs: Iterable[InputSpec], given: Mapping[str, int], unbacked: UnbackedSizes | None = None
) -> dict[str, int]:
    """A hint for every symbol of the inputs: the user's, else by name, else a prime of its own.

    Hints for sizes that data decide (``nonzero_1``) are left with ``unbacked``, which will meet them.

    A lower-case name in a size such as ``32*h`` is scaled so that the size comes near the upper-case name's hint.

    >>> default_hints([InputSpec((parse("B"), 3, parse("32*h"), parse("Q")))], {"B": 5})
    {'B': 5, 'Q': 13, 'h': 7}
    """
    specs = list(specs)
    sizes = [s for spec in specs for s in spec.sizes]
    names = sorted({name for s in sizes for name in free_symbols(s)})
    given = whole_hints(given)
    unknown = {name for name in set(given) - set(names) if unbacked is None or not is_data_dependent(name)}
    if unknown:
        raise InputError(
            f"hints given for {', '.join(sorted(unknown))}, but the inputs have the symbols {', '.join(names) or 'none'}",
            hint="give hints only for names that occur in the input shapes",
        )
    if unbacked is not None:
        unbacked.given.update({name: int(given[name]) for name in set(given) - set(names)})
    own = {name: hint for spec in specs for name, hint in spec.hints}
    hints: dict[str, int] = {}
    primes = iter(p for p in _PRIMES)
    for name in names:
        if name in given:
            hints[name] = int(given[name])
        elif name in own:
            hints[name] = own[name]
        elif name in DEFAULT_HINTS:
            hints[name] = DEFAULT_HINTS[name]
        elif (called := _CALLED.get(name.lower(), name.upper())) in DEFAULT_HINTS:
            hints[name] = _scaled(name, sizes, DEFAULT_HINTS[called])
        else:
            hints[name] = next(primes, 101 + 2 * len(hints))
    for spec in specs:
        for size in spec.sizes:
            _check_hint(size, hints)
        if math.prod([evaluate(s, hints) for s in spec.shape]) >= LARGEST_SIZE:
            shape = str(spec.shape)[:200]
            raise InputError(f"an input of shape {shape} has more than 2**63 elements", hint="no tensor of torch has")
    return hints


def whole_hints(given: Mapping[str, int]) -> dict[str, int]:
    """The user's hints as plain integers."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InputError(f"hints are a dict from names to sizes, not {str(given)[:80]}", hint='e.g. hints={"B": 2, "H": 224}')
    found = {}
    for name, value in given.items():
        whole = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else 0
        if not 1 <= whole < LARGEST_SIZE and not (name == BRANCH and value in (0, 1)):
            if whole >= LARGEST_SIZE:
                raise InputError(
                    f"the hint for {name!a} is more than torch can have: sizes end below 2**63",
                    hint="a hint is a size at which the model runs; report.at() takes integers of any length",
                )
            raise InputError(
                f"the hint {name}={repr(value)[:80]} is not a positive integer", hint="a hint is a size at which the model runs"
            )
        found[name] = whole
    return found


def _check_hint(size: Size, hints: Mapping[str, int]) -> None:
    if isinstance(size, int):
        return
    try:
        value = evaluate(size, hints)
    except ZeroDivisionError:
        value = 0
    if not 1 <= value < LARGEST_SIZE:
        listed = ", ".join(f"{n}={hints[n]}" for n in sorted(free_symbols(size)))
        raise InputError(
            f"the size {str(size)[:80]} is no size of a tensor at the hints {listed[:200]}",
            hint="give hints at which it is at least 1",
        )


def _scaled(name: str, sizes: list[Size], target: int) -> int:
    for size in sizes:
        if free_symbols(size) == {name}:
            unit = evaluate(size, {name: 2}) - evaluate(size, {name: 1})
            return max(2, target // max(1, unit))
    return target
