"""Oracles for op rules: torch itself on meta tensors for shapes, a scalar that counts its own operations for work.

``check(torch.conv2d, T("B,3,H,W"), T("8,3,3,3"), stride=2, sizes=...)`` runs the shape rule once with symbols, at the
first assignment of ``sizes`` as the hint, and compares the substituted result with torch's own at every assignment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from fxcount.ops import REGISTRY
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.symbolic import Scope, Size, evaluate, free_symbols, parse

# Distinct primes in each assignment, so that no two sizes agree by chance: what an op divides into groups or heads says so,
# "6*C". The first assignment is the hint. The second has small sizes, for loops that count.
SIZES: tuple[dict[str, int], ...] = (
    {"B": 13, "C": 31, "H": 29, "W": 37, "S": 17, "T": 23, "E": 41, "N": 5, "M": 7, "K": 11, "L": 19},
    {"B": 3, "C": 7, "H": 41, "W": 31, "S": 13, "T": 43, "E": 37, "N": 11, "M": 17, "K": 19, "L": 29},
    {"B": 37, "C": 29, "H": 53, "W": 67, "S": 23, "T": 11, "E": 43, "N": 13, "M": 19, "K": 17, "L": 31},
)


@dataclass(frozen=True)
class T:
    """A tensor argument: shape text such as ``"B,3,2*H"``; ``perm`` permutes it afterwards (a strided operand).

    A size that two dimensions share hides a rule that takes one for the other, so it is refused at the hint and at the last
    assignment (``work`` refuses it at the one it counts at): sizes tied by the op are one symbol (``"N,N"``), or ``tied`` says
    why two numbers must agree.
    """

    shape: str
    dtype: torch.dtype = torch.float32
    perm: tuple[int, ...] | None = None
    tied: str = ""

    def __post_init__(self) -> None:
        self.assert_distinct(SIZES[0])
        self.assert_distinct(SIZES[-1])

    def assert_distinct(self, values: Mapping[str, int]) -> None:
        found = None if self.tied else repeated(self.shape, values)
        assert found is None, f"T({self.shape!r}): {found} are one size at {values}; take others, or say why not with tied="

    def sizes(self) -> tuple[Size, ...]:
        return tuple(parse(part) for part in self.shape.split(",") if part.strip())

    def real(self, values: Mapping[str, int], device: str = "meta") -> torch.Tensor:
        shape = [evaluate(s, values) for s in self.sizes()]
        t = torch.zeros(shape, dtype=self.dtype, device=device)
        return t if self.perm is None else t.permute(self.perm)

    def fact(self) -> TensorFact:
        fact = TensorFact(self.sizes(), self.dtype, torch.device("meta"))
        if self.perm is None:
            return fact
        strides = fact.stride()
        return TensorFact(
            tuple(fact.shape[d] for d in self.perm), self.dtype, fact.device, tuple(strides[d] for d in self.perm)
        )


def repeated(shape: str, values: Mapping[str, int] = SIZES[0]) -> str | None:
    """Two dimensions of a shape that agree by chance: by number, or at these sizes.

    >>> repeated("B,3,5,5"), repeated("B,N,N"), repeated("1,1,S"), repeated("B,3", SIZES[1])
    ('5 and 5', None, None, 'B and 3')
    """
    seen: dict[int, str] = {}
    for part in (p.strip() for p in shape.split(",") if p.strip()):
        size = parse(part)
        value = evaluate(size, values) if free_symbols(size) <= set(values) else -1
        other = seen.get(value)
        if value > 1 and other is not None and (other != part or part.isdigit()):
            return f"{other} and {part}"
        seen[value] = part
    return None


@dataclass(frozen=True)
class N:
    """A symbolic integer argument, e.g. ``N("H//2")``."""

    text: str


def _map(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map(x, leaf) for x in tree)
    if isinstance(tree, dict):
        return {k: _map(v, leaf) for k, v in tree.items()}
    return leaf(tree)


def symbolic(x: Any) -> Any:
    return x.fact() if isinstance(x, T) else parse(x.text) if isinstance(x, N) else x


def real(x: Any, values: Mapping[str, int], device: str = "meta") -> Any:
    return x.real(values, device) if isinstance(x, T) else evaluate(parse(x.text), values) if isinstance(x, N) else x


def rule_result(func: Callable[..., Any], *args: Any, hint: Mapping[str, int] = SIZES[0], **kwargs: Any) -> Any:
    """What the shape rule of ``func`` says, with the scope it said it in."""
    scope = Scope(dict(hint))
    for name, value in hint.items():
        scope.declare(name, value)
    entry = REGISTRY[func]
    if entry.sizes_at is not None:
        at = entry.sizes_at
        run = args[at:]
        if run and not isinstance(run[0], (list, tuple)) and all(isinstance(a, (int, N)) for a in run):
            args = (*args[:at], tuple(run))
    return entry.shape(scope, *_map(args, symbolic), **_map(kwargs, symbolic)), scope


def _facts(result: Any) -> list[TensorFact]:
    if isinstance(result, Alias):
        return [result.fact]
    if isinstance(result, TensorFact):
        return [result]
    if isinstance(result, (list, tuple)):
        return [f for r in result for f in _facts(r)]
    return []


def _tensors(result: Any) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (list, tuple)):
        return [t for r in result for t in _tensors(r)]
    return []


def check(
    func: Callable[..., Any],
    *args: Any,
    sizes: Sequence[Mapping[str, int]] = SIZES,
    device: str = "meta",
    strides: bool = True,
    assumes: int | None = 0,
    **kwargs: Any,
) -> None:
    """Shape, dtype and strides of the rule equal torch's own at every assignment; ``assumes`` assumptions were made
    (``None``: any number)."""
    result, scope = rule_result(func, *args, hint=sizes[0], **kwargs)
    facts = _facts(result)
    if assumes is not None:
        assert len(scope.assumptions) == assumes, scope.assumptions
    for values in sizes:
        if scope.check(values) is not None:
            continue
        made = partial(real, values=values, device=device)
        expected = _tensors(func(*_map(args, made), **_map(kwargs, made)))
        assert len(expected) == len(facts), f"{len(facts)} results, torch gives {len(expected)}"
        for fact, t in zip(facts, expected, strict=True):
            got = tuple(evaluate(s, values) for s in fact.shape)
            assert got == tuple(t.shape), f"{func}: {fact.shape} is {got} at {values}, torch says {tuple(t.shape)}"
            assert fact.dtype is t.dtype, f"{func}: {fact.dtype}, torch says {t.dtype}"
            if strides and t.numel():
                mine = tuple(evaluate(s, values) for s in fact.stride())
                want = t.stride()
                # the stride of a dimension of size 1 has no meaning
                assert [m for m, n in zip(mine, got, strict=True) if n > 1] == [
                    w for w, n in zip(want, got, strict=True) if n > 1
                ], f"{func}: strides {mine} at {values}, torch says {want}"


def work(func: Callable[..., Any], *args: Any, values: Mapping[str, int] = SIZES[1], **kwargs: Any) -> dict[str, int]:
    """macs, flops and transcendentals of the cost rule, computed with symbols and evaluated at ``values``."""
    _map([args, kwargs], lambda x: x.assert_distinct(values) if isinstance(x, T) else None)
    result, _ = rule_result(func, *args, **kwargs)
    entry = REGISTRY[func]
    assert callable(entry.cost), entry.cost
    strip = _map(result, lambda r: r.fact if isinstance(r, Alias) else r)
    if entry.sizes_at is not None and len(args) > entry.sizes_at and isinstance(args[entry.sizes_at], (int, N)):
        args = (*args[: entry.sizes_at], tuple(args[entry.sizes_at :]))
    w: Work = entry.cost(strip, *_map(args, symbolic), **_map(kwargs, symbolic))
    parts = {"macs": w.macs, "flops": w.flops, "transcendentals": w.transcendentals}
    for size in parts.values():
        assert free_symbols(size) <= set(values)
    return {k: evaluate(v, values) for k, v in parts.items()}


class Counted:
    """A float that counts the scalar operations done with it, in the :class:`Counter` it was made with.

    Write the definition of an op as plain loops over nested lists of ``Counted`` and compare ``tally`` with the rule:
    ``+ - * / compare sqrt exp log tanh erf ...`` count 1 each; ``TRANSCENDENTAL`` ones are also counted as such.
    """

    TRANSCENDENTAL = frozenset(
        "exp expm1 log log1p log2 log10 tanh sinh cosh asinh acosh atanh erf erfc erfinv sin cos tan asin acos atan "
        "atan2 pow lgamma digamma sigmoid".split()
    )
    __slots__ = ("tally", "value")

    def __init__(self, value: float, tally: Counter[str]) -> None:
        self.value, self.tally = float(value), tally

    def _do(self, name: str, value: float) -> Counted:
        self.tally["flops"] += 1
        self.tally[name] += 1
        if name in self.TRANSCENDENTAL:
            self.tally["transcendentals"] += 1
        return Counted(value, self.tally)

    def _v(self, other: Any) -> float:
        return other.value if isinstance(other, Counted) else float(other)

    def __add__(self, o: Any) -> Counted:
        return self._do("add", self.value + self._v(o))

    __radd__ = __add__

    def __sub__(self, o: Any) -> Counted:
        return self._do("sub", self.value - self._v(o))

    def __rsub__(self, o: Any) -> Counted:
        return self._do("sub", self._v(o) - self.value)

    def __mul__(self, o: Any) -> Counted:
        return self._do("mul", self.value * self._v(o))

    __rmul__ = __mul__

    def __truediv__(self, o: Any) -> Counted:
        return self._do("div", self.value / (self._v(o) or 1.0))

    def __rtruediv__(self, o: Any) -> Counted:
        return self._do("div", self._v(o) / (self.value or 1.0))

    def __neg__(self) -> Counted:
        return self._do("neg", -self.value)

    def __abs__(self) -> Counted:
        return self._do("abs", abs(self.value))

    def __lt__(self, o: Any) -> bool:
        self._do("compare", 0.0)
        return self.value < self._v(o)

    def __gt__(self, o: Any) -> bool:
        self._do("compare", 0.0)
        return self.value > self._v(o)

    def fma(self, a: Any, b: Any) -> Counted:
        """``self + a * b``: one mac, two flops."""
        self.tally["macs"] += 1
        self.tally["flops"] += 2
        return Counted(self.value + self._v(a) * self._v(b), self.tally)

    def call(self, name: str) -> Counted:
        """A unary function counted as one operation (``sqrt``, ``exp``, ``tanh`` ...)."""
        fn = getattr(math, name, None)
        value = 0.0
        if fn is not None:
            try:
                value = fn(self.value)
            except (ValueError, OverflowError):
                value = 0.0
        return self._do(name, value)


def counted(tally: Counter[str], *shape: int) -> Any:
    """A nested list of ``Counted`` of that shape with distinct values."""
    if not shape:
        tally["_made"] += 1
        return Counted(0.1 + (tally["_made"] * 7919 % 1009) / 1009, tally)
    return [counted(tally, *shape[1:]) for _ in range(shape[0])]
