"""What torch's C++ asks of a size: ``torch.SymInt`` takes any Python object with these methods for its node.

Arithmetic is that of the algebra. A comparison is decided in the scope when C++ wants its answer, so that it is listed as an
assumption; where C++ insists on the number itself, the size is pinned.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fxcount.ops.core.fact import contiguous_strides
from fxcount.ops.core.striding import channels_last_strides, is_dense
from fxcount.symbolic import Expr, Scope, Size, SymRatio, SymSize, max_, min_
from fxcount.symbolic.floats import Comparison
from fxcount.symbolic.floor import floordiv

__all__ = ["Nodes", "RatioNode", "SizeNode", "TruthNode", "has_no_gaps"]

_LARGEST = (1 << 63) - 1
_WHY = "torch's own code compares"


def has_no_gaps(scope: Scope, shape: Sequence[Size], strides: Sequence[Size]) -> bool:
    """Whether the strides are a permutation of row-major ones: decided at the hint, as it is true of all that ops make.

    >>> has_no_gaps(Scope({}), (3, 5), (1, 3)), has_no_gaps(Scope({}), (3, 5), (0, 1))
    (True, False)
    """
    running = 1
    for size, stride in sorted(zip(map(scope.hint, shape), map(scope.hint, strides)), key=lambda pair: (pair[1], pair[0])):
        if size == 1:
            continue
        if stride != running:
            return False
        running *= size
    return True


class Nodes:
    """Makes the nodes of one scope's sizes."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.truths: dict[tuple[Comparison, Size, Size], TruthNode] = {}  # answers to comparisons asked before
        self._made: dict[Size, torch.SymInt] = {}
        self.known: dict[Size, SizeNode] = {}  # nodes made before

    def of(self, number: Any) -> Any:
        """The node of a number a model holds: a size or a quotient of sizes."""
        return self.node(number.expr) if type(number) is SymSize else RatioNode(number, self)

    def node(self, size: Size) -> SizeNode:
        """The node of a size, one for each."""
        found = self.known.get(size)
        if found is None:
            found = self.known[size] = SizeNode(size, self)
        return found

    def compared(self, relation: Comparison, a: Size, b: Size) -> TruthNode:
        """The answer to a comparison of sizes, one for each: C++ asks the same ones of every tensor."""
        if a is b:
            return _YES if relation in ("==", "<=", ">=") else _NO
        found = self.truths.get((relation, a, b))
        if found is None:
            found = self.truths[relation, a, b] = self._compared(relation, a, b)
        return found

    def _compared(self, relation: Comparison, a: Size, b: Size) -> TruthNode:
        if b == _LARGEST:  # every size is below
            return TruthNode(answer=relation in ("<=", "<", "!="))
        return TruthNode(lambda: self.scope.decide(relation, a, b, f"{_WHY} {relation}"))

    def as_int(self, size: Size) -> Any:
        """A size for C++: an int, or a ``torch.SymInt``, one for each size."""
        if isinstance(size, int):
            return size
        found = self._made.get(size)
        if found is None:
            found = self._made[size] = torch.SymInt(self.node(size))  # type: ignore[no-untyped-call]
        return found

    def as_ints(self, sizes: tuple[Size, ...]) -> tuple[Any, ...]:
        """Several of them."""
        return tuple([self.as_int(s) for s in sizes])

    def forget(self) -> None:
        """Let go of what only the run needed."""
        for node in self.known.values():
            node.forget()
        self._made.clear()
        self.known.clear()
        self.truths.clear()


_yes: Callable[[], bool] = (1).__bool__
_no: Callable[[], bool] = (0).__bool__
_none: Callable[[], None] = [].clear
"""What answers ``True``, ``False`` and ``None`` without a frame of Python's: C++ asks what a node is tens of thousands of times
in a step."""


class _Node:
    """What every kind of node answers alike."""

    __slots__ = ()

    is_int = is_float = is_bool = is_nested_int = is_constant = _no
    has_hint = is_symbolic = _yes
    maybe_as_int: Callable[[], int | None] = _none
    nested_int = constant_int = constant_bool = _none

    def clone(self) -> Any:
        return self


class TruthNode(_Node):
    """The answer to a comparison, found when it is asked for."""

    __slots__ = ("_answer", "_find")

    def __init__(self, find: Callable[[], bool] | None = None, answer: bool | None = None) -> None:
        self._find = find
        self._answer = answer

    is_bool = _yes

    def answer(self) -> bool:
        """The answer, assumed from now on where algebra does not know it."""
        if self._answer is None:
            assert self._find is not None
            self._answer, self._find = bool(self._find()), None
        return self._answer

    def guard_bool(self, file: str, line: int) -> bool:
        known = self._answer
        return self.answer() if known is None else known

    expect_true = guard_size_oblivious = guard_or_false = guard_or_true = statically_known_true = guard_bool

    def bool_(self) -> bool:
        return self.answer()

    def sym_not(self) -> TruthNode:
        return TruthNode(lambda: not self.answer())

    def sym_and(self, other: TruthNode) -> TruthNode:
        return TruthNode(lambda: self.answer() and other.answer())

    def sym_or(self, other: TruthNode) -> TruthNode:
        return TruthNode(lambda: self.answer() or other.answer())

    and_, or_ = sym_and, sym_or

    def wrap_bool(self, value: bool) -> TruthNode:
        return TruthNode(answer=value)

    def str(self) -> str:
        return "a comparison of sizes" if self._answer is None else str(self._answer)

    _graph_repr = str


_YES, _NO = TruthNode(answer=True), TruthNode(answer=False)


class _NumberNode(_Node):
    """A number of the scope of ``nodes``: comparisons, and constants beside it."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes

    def number(self) -> Any:
        """What a model holds for it."""
        raise NotImplementedError

    def _compared(self, relation: Comparison, other: Any) -> TruthNode:
        return TruthNode(lambda: bool(_RELATIONS[relation](self.number(), other.number())))

    def eq(self, other: Any) -> TruthNode:
        return self._compared("==", other)

    def ne(self, other: Any) -> TruthNode:
        return self._compared("!=", other)

    def lt(self, other: Any) -> TruthNode:
        return self._compared("<", other)

    def le(self, other: Any) -> TruthNode:
        return self._compared("<=", other)

    def gt(self, other: Any) -> TruthNode:
        return self._compared(">", other)

    def ge(self, other: Any) -> TruthNode:
        return self._compared(">=", other)

    def wrap_int(self, value: int) -> SizeNode:
        nodes = self.nodes
        return nodes.known.get(value) or nodes.node(value)

    def wrap_float(self, value: float) -> RatioNode:
        return RatioNode(value, self.nodes)

    def wrap_bool(self, value: bool) -> TruthNode:
        return _YES if value else _NO


class SizeNode(_NumberNode):
    """A size, ``expr`` in the algebra of the scope. There is one node for each, and what was worked out of two is remembered by
    the nodes."""

    __slots__ = ("_equal", "_products", "expr", "maybe_as_int")

    def __init__(self, expr: Size, nodes: Nodes) -> None:
        super().__init__(nodes)
        self.expr = expr
        self.maybe_as_int = expr.__int__ if isinstance(expr, int) else _none
        self._equal: dict[SizeNode, TruthNode] = {}
        self._products: dict[SizeNode, SizeNode] = {}

    is_int = _yes

    def number(self) -> Any:
        scope = self.nodes.scope
        return self.expr if isinstance(self.expr, int) else SymSize(self.expr, scope.hint(self.expr), scope)

    def forget(self) -> None:
        """Let go of other nodes."""
        self._equal.clear()
        self._products.clear()

    # -- arithmetic ---------------------------------------------------------------------------------------------------
    def _made(self, size: Size) -> SizeNode:
        return self.nodes.node(size)

    def add(self, other: Any) -> Any:
        return self._made(self.expr + other.expr) if type(other) is SizeNode else self._float("add", other)

    def sub(self, other: Any) -> Any:
        return self._made(self.expr - other.expr) if type(other) is SizeNode else self._float("sub", other)

    def mul(self, other: Any) -> Any:
        found = self._products.get(other)
        if found is None:
            if type(other) is not SizeNode:
                return self._float("mul", other)
            found = self._products[other] = self._made(self.expr * other.expr)
        return found

    def eq(self, other: Any) -> TruthNode:
        found = self._equal.get(other)
        if found is None:
            found = self._compared("==", other)
            if type(other) is SizeNode:
                self._equal[other] = found
        return found

    def floordiv(self, other: Any) -> SizeNode:
        return self._made(floordiv(self.expr, other.expr))

    int_floordiv = floordiv

    def mod(self, other: Any) -> SizeNode:
        return self._made(self.expr - floordiv(self.expr, other.expr) * other.expr)

    def pow(self, other: Any) -> SizeNode:
        return self._made(self.expr ** self.nodes.scope.pin(other.expr, "an exponent in torch's own code"))

    pow_by_natural = pow

    def neg(self) -> SizeNode:
        return self._made(-self.expr)

    def sym_min(self, other: Any) -> SizeNode:
        return self._made(min_(self.expr, other.expr))

    def sym_max(self, other: Any) -> SizeNode:
        return self._made(max_(self.expr, other.expr))

    def truediv(self, other: Any) -> RatioNode:
        return RatioNode(self.number() / other.number(), self.nodes)

    int_truediv = float_truediv = truediv

    def sym_float(self) -> RatioNode:
        number = self.number()
        return RatioNode(number.__sym_float__() if type(number) is SymSize else float(number), self.nodes)

    def _float(self, name: str, other: Any) -> Any:
        return getattr(self.sym_float(), name)(other)

    def _compared(self, relation: Comparison, other: Any) -> TruthNode:
        if type(other) is not SizeNode:
            return super()._compared(relation, other)
        return self.nodes.compared(relation, self.expr, other.expr)

    # -- numbers ------------------------------------------------------------------------------------------------------
    def guard_int(self, file: str, line: int) -> int:
        return self.nodes.scope.pin(self.expr, f"torch's own code needs the number ({file.rpartition('/')[2]}:{line})")

    def int_(self) -> int:
        return self.nodes.scope.pin(self.expr, "torch's own code needs the number")

    def expect_size(self, file: str, line: int) -> bool:
        return self.nodes.scope.decide(">=", self.expr, 0, "a size")

    def str(self) -> str:
        return str(self.expr)

    _graph_repr = str

    # -- layout -------------------------------------------------------------------------------------------------------
    def _lies(self, sizes: Any, strides: Any, channels_last: int) -> TruthNode:
        shape, found = (tuple([n.expr for n in nodes]) for nodes in (sizes, strides))
        if channels_last and len(shape) != channels_last:
            return _NO
        wanted = channels_last_strides(shape) if channels_last else contiguous_strides(shape)
        if found == wanted:
            return _YES
        return TruthNode(lambda: is_dense(self.nodes.scope, shape, found, wanted, "torch's own code asks for the layout"))

    def is_contiguous(self, sizes: Any, strides: Any) -> TruthNode:
        return self._lies(sizes, strides, 0)

    def is_channels_last_contiguous_2d(self, sizes: Any, strides: Any) -> TruthNode:
        return self._lies(sizes, strides, 4)

    def is_channels_last_contiguous_3d(self, sizes: Any, strides: Any) -> TruthNode:
        return self._lies(sizes, strides, 5)

    is_channels_last_strides_2d = is_channels_last_contiguous_2d
    is_channels_last_strides_3d = is_channels_last_contiguous_3d

    def is_non_overlapping_and_dense(self, sizes: Any, strides: Any) -> TruthNode:
        shape, found = (tuple([n.expr for n in nodes]) for nodes in (sizes, strides))
        return TruthNode(answer=has_no_gaps(self.nodes.scope, shape, found))

    def is_non_overlapping_and_dense_indicator(self, sizes: Any, strides: Any) -> SizeNode:
        return self._made(int(self.is_non_overlapping_and_dense(sizes, strides).answer()))


class RatioNode(_NumberNode):
    """A float made of sizes: the quotient a model holds, or a plain float."""

    __slots__ = ("_number",)

    def __init__(self, number: Any, nodes: Nodes) -> None:
        super().__init__(nodes)
        self._number = number

    is_float = _yes

    def number(self) -> Any:
        return self._number

    def _apply(self, op: Callable[[Any, Any], Any], other: Any) -> Any:
        return _node_of(op(self._number, other.number()), self.nodes)

    def add(self, other: Any) -> Any:
        return self._apply(operator.add, other)

    def sub(self, other: Any) -> Any:
        return self._apply(operator.sub, other)

    def mul(self, other: Any) -> Any:
        return self._apply(operator.mul, other)

    def truediv(self, other: Any) -> Any:
        return self._apply(operator.truediv, other)

    float_truediv = truediv

    def pow(self, other: Any) -> Any:
        return self._apply(operator.pow, other)

    float_pow = pow

    def neg(self) -> Any:
        return _node_of(-self._number, self.nodes)

    def trunc(self) -> Any:
        return _node_of(math.trunc(self._number), self.nodes)

    def floor(self) -> Any:
        return _node_of(math.floor(self._number), self.nodes)

    def ceil(self) -> Any:
        return _node_of(math.ceil(self._number), self.nodes)

    def sym_float(self) -> RatioNode:
        return self

    def guard_float(self, file: str, line: int) -> float:
        return float(self._number)

    def float_(self) -> float:
        return float(self._number)

    def str(self) -> str:
        return repr(self._number.value if type(self._number) is SymRatio else self._number)

    _graph_repr = str


def _node_of(number: Any, nodes: Nodes) -> Any:
    kind = type(number)
    if kind is SymSize:
        return nodes.node(number.expr)
    if kind is int or kind is Expr:
        return nodes.node(number)
    return RatioNode(number, nodes)


_RELATIONS: dict[Comparison, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
