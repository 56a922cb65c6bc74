"""Op calls as a convention's rules see them, and tables from op names to rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

from fxcount.dataclass import dataclass
from fxcount.ops import REGISTRY, Op
from fxcount.ops.core.callcost import call_cost
from fxcount.ops.core.common import facts_in, facts_of_result
from fxcount.ops.core.fact import SparseFact, TensorFact
from fxcount.symbolic import Size
from fxcount.trace.tape import Call, Written

__all__ = ["Alike", "Counted", "Evaluate", "OpRule", "Rules", "Site", "site_of"]

Evaluate = Callable[[Size], int]
S = TypeVar("S", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Alike(Generic[S]):
    """Op calls, or module calls, that no rule tells apart: ``site`` is each of them as rules see it, ``calls`` are their
    numbers among the calls, or module calls, of the trace, and ``turns`` how often each of them is called: in every step of a
    loop that is recorded once."""

    site: S
    calls: list[int]
    turns: Size = 1


@dataclass(frozen=True, slots=True)
class Site:
    r"""One op with its operands and result as :class:`~fxcount.ops.TensorFact`, and its exact multiply-accumulates: those of
    the whole where an operand is sparse, as tools go by shapes.

    ``op`` is torch's, also where a user's rule stands for it; ``name`` is its name, and empty for an op that is not torch's,
    so that one of the same name is never taken for it.
    ``called``: as a function, a tensor's method or an operator (``torch.add(x, y)``, ``x.add(y)``, ``x + y``), of which a
    tool that patches torch's functions sees only some. ``functions``: names of the
    :class:`~fxcount.trace.tape.CustomFunction`\ s it is inside of. ``trained``: of a product by a vector whether its first and
    second operand want gradients; of nothing else.
    """

    op: Op
    name: str
    y: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    macs: Size
    called: Written = "function"
    functions: tuple[str, ...] = ()
    trained: tuple[bool, ...] = ()

    @property
    def x(self) -> TensorFact:
        """The first operand."""
        return self.tensor(0, "input")

    def arg(self, position: int, name: str, default: Any = None) -> Any:
        """An argument however it was passed."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    def tensor(self, position: int, name: str) -> TensorFact:
        """A tensor argument however it was passed."""
        found = self.arg(position, name)
        if not isinstance(found, TensorFact) and position == 0:  # operators may have their tensor second, or by another name
            found = facts_in((self.args, self.kwargs))[0]
        assert isinstance(found, TensorFact)
        return found

    @property
    def out(self) -> TensorFact:
        """The first result there is: a convolution's backward leaves out the gradients that nobody wants."""
        return facts_in((self.y,))[0]


@dataclass(frozen=True, slots=True)
class Counted:
    """A count with its rule in words; ``numeric`` as in :class:`~fxcount.report.views.conventions.Item`."""

    count: Size
    rule: str
    numeric: Callable[[Evaluate], int] | None = None


OpRule = Callable[[Site], Counted | None]


def site_of(call: Call, macs: Size, functions: tuple[str, ...] = (), trained: tuple[bool, ...] = ()) -> Site:
    """A call, and all that look like it, as rules see it; ``macs`` are those of each alone."""
    s = call.signature
    op = s.op.torchs
    if macs != 0 and any([isinstance(f, SparseFact) for f in facts_in((s.args, s.kwargs))]):
        macs = call_cost(op, _whole(s.args), _whole(s.kwargs), _whole(s.result)).macs
    name, y = op.name if op.schema else "", facts_of_result(s.result)
    return Site(op, name, y, s.args, s.kwargs, macs, call.written, functions, trained)


def _whole(a: Any) -> Any:
    """Arguments with dense tensors for sparse ones."""
    if isinstance(a, SparseFact):
        return a.dense
    if isinstance(a, (tuple, list)):
        return type(a)(map(_whole, a))
    return {k: _whole(v) for k, v in a.items()} if isinstance(a, dict) else a


class Rules:
    """A tool's rules by the names of torch's ops. Of an op they are looked for under its names when it is met, as nobody needs
    those of ops that no model calls. In-place variants there are not are left out."""

    def __init__(self, rules: Mapping[str, OpRule]) -> None:
        self.by_name = {name.replace(".", "_"): rule for name, rule in rules.items()}

    def of(self, op: Op) -> OpRule | None:
        """The rule for this op, if the tool knows it; of two names the later in the table counts."""
        names = _names_of(op) & self.by_name.keys()
        if len(names) < 2:
            return self.by_name[next(iter(names))] if names else None
        return next(rule for name, rule in reversed(self.by_name.items()) if name in names)


@lru_cache(1 << 12)
def _names_of(op: Op) -> frozenset[str]:
    return REGISTRY.names_of(op)
