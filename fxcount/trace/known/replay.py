"""Data that depend only on sizes and constants: worked out from the tape when a model looks at them, and not before.

The calls a tensor comes from are replayed: on real data where all of it is known; in symbols (:mod:`.ramps`, :mod:`.tables`)
where sizes take part; and where symbols cannot say it, on real data at the sample values, which pins the sizes that took
part. So nothing that is made of sizes is ever guessed. What comes from an input, a parameter or a random number is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch

from fxcount import torch_private
from fxcount.errors import DataDependentError, FxcountError, first_line
from fxcount.ops import REGISTRY, TensorFact
from fxcount.ops.core.tree import leaves, mapped
from fxcount.symbolic import Expr, Scope, Size, SymRatio, SymSize, max_, min_, sum_, to_size, to_sym
from fxcount.symbolic.floats import ODD
from fxcount.trace.known import constants, ramps, tables
from fxcount.trace.known.literals import LITERAL
from fxcount.trace.known.ramps import Ramp
from fxcount.trace.known.tables import MAX_ELEMENTS, Unsupported, as_table
from fxcount.trace.tape import Call, Quotient, State, Value

__all__ = ["Replay"]

MAX_COMPUTED = 1 << 26
"""Elements of the largest tensor that is computed at the sample values."""

_FEW = 16
"""Elements of a table of sizes of which the smallest and the largest are a formula."""
_FAILURES = (Unsupported, TypeError, ValueError, IndexError, ZeroDivisionError, RuntimeError, AttributeError)


class Replay:
    """Works out data of one trace. ``given``: data of inputs, by the index of their values."""

    def __init__(self, scope: Scope, calls: list[Call], states: list[State]) -> None:
        self.scope = scope
        self.given: dict[int, torch.Tensor] = {}
        self.writers: dict[int, list[Call]] = {}  # storage -> the calls that wrote to it in place, in order
        self._calls = calls
        self._states = states
        self._made: dict[int, bool] = {}  # index of a value -> whether it comes from sizes and constants alone
        self._found: dict[int, Any] = {}  # index of a value nobody wrote to -> what it is
        self._absorbed: dict[int, int | None] = {}  # index of a call -> the number that one operand makes of all elements
        self._idle: dict[int, bool] = {}  # index of a call that writes where a mask is true -> whether that is nowhere

    def forget(self) -> None:
        """Let go of all that was worked out: sizes in it would look like sizes that the model has kept."""
        for held in (self.given, self.writers, self._made, self._found, self._absorbed, self._idle):
            held.clear()

    # -- questions ----------------------------------------------------------------------------------------------------
    def element(self, value: Value, symbols_only: bool = False) -> Any:
        """The one element: a number, a symbolic size, a quotient of sizes; ``None`` if it is not made of sizes, or cannot be
        said in symbols where only these are wanted."""
        found = self._evaluated(value, symbols_only)
        if isinstance(found, Ramp):
            found = found.base
        elif isinstance(found, np.ndarray):
            found = found.reshape(())[()] if found.size == 1 else None
        elif isinstance(found, torch.Tensor):
            found = found.item()
        if value.fact.dtype.is_floating_point and type(found) is SymSize:
            return found.__sym_float__()
        return found

    def always(self, value: Value) -> Any:
        """The one element at the sample values and at many other sizes, if it is the same at all of them, without assuming
        anything; ``None`` if it is not, or cannot be worked out."""
        hints = dict(self.scope.hints)
        tried = [hints, *[dict.fromkeys(hints, n) for n in _OTHER_SIZES]]
        found = {self._apart(value, sizes) for sizes in tried if sizes is hints or self.scope.check(sizes) is None}
        return found.pop() if len(found) == 1 else None

    def _apart(self, value: Value, sizes: dict[str, int]) -> Any:
        """The one element at these sizes; what is pinned on the way ends with the scope it is worked out in."""
        apart = Replay(Scope(sizes), self._calls, self._states)
        apart.given, apart.writers = self.given, self.writers
        try:
            return apart.element(value)
        except (FxcountError, *_FAILURES):
            return None

    def data(self, value: Value) -> torch.Tensor | None:
        """All elements, at the sample values of the sizes they depend on, which are pinned."""
        found = self._evaluated(value)
        with _plain_torch():
            return None if found is None else self._real(found, value.fact)

    def listed(self, value: Value) -> Any:
        """Nested lists of numbers and sizes, as :meth:`torch.Tensor.tolist` gives them; ``None`` if nothing is known."""
        found = self._evaluated(value)
        if isinstance(found, np.ndarray):
            return found.tolist()
        with _plain_torch():
            return None if found is None else self._real(found, value.fact).tolist()

    def true_elements(self, mask: Value) -> Any:
        """How many elements are not zero; ``None`` if nothing is known."""
        number = self.number(mask)
        if type(number) in (bool, int, float):
            return mask.fact.numel if number else 0
        data = self.data(mask)
        with _plain_torch():
            return None if data is None else int(data.count_nonzero())

    def number(self, value: Value) -> Any:
        """The one number all elements are, without assuming anything; ``None`` if there is none."""
        found = self._evaluated(value, symbols_only=True)
        return found.base if isinstance(found, Ramp) and found.is_fill else None

    def total(self, value: Value) -> Size | None:
        """The sum of a small tensor of sizes and numbers, without assuming anything; ``None`` if it is none."""
        found = self._evaluated(value, symbols_only=True)
        if not isinstance(found, np.ndarray) or not all(type(n) in (int, SymSize) for n in found.flat):
            return None
        return sum_([to_size(n) for n in found.flat])

    def bounds(self, value: Value) -> tuple[Any, Any] | None:
        """The smallest and the largest element, without assuming anything; ``None`` if they are not known."""
        found = self._evaluated(value, symbols_only=True)
        try:
            if isinstance(found, Ramp):
                return found.bounds()
        except Unsupported:
            return None
        if isinstance(found, np.ndarray) and 0 < found.size <= _FEW and all(type(n) in (int, SymSize) for n in found.flat):
            sizes = [to_size(n) for n in found.flat]
            return to_sym(min_(*sizes), self.scope), to_sym(max_(*sizes), self.scope)
        if isinstance(found, torch.Tensor) and found.numel() and found.dtype in _INTEGERS:
            with _plain_torch():
                return int(found.min()), int(found.max())
        return None

    def computed(self, call: Call) -> list[torch.Tensor]:
        """What a call not yet on the tape gives, all of whose operands are made of sizes; these are pinned."""
        env = {o.index: self._evaluated(o) for o in self._needed(call)}
        with _plain_torch():
            return self._computed(call, env)

    def is_made(self, value: Value) -> bool:
        """Whether the data come from sizes and constants alone, as far as the calls that made it say."""
        known = self._made
        stack = [value]
        while stack:
            v = stack[-1]
            if v.index in known:
                stack.pop()
                continue
            if v.origin != "op":
                known[v.index] = self._leaf(v) is not None
                continue
            call = self._calls[v.call]
            if self._settled(call) is not None:
                known[v.index] = True
                continue
            if call.op.random or self._asks_data(call):
                known[v.index] = False
                continue
            operands = self._needed(call)
            missing = [o for o in operands if o.index not in known]
            if missing and all([known.get(o.index, True) for o in operands]):
                stack.append(missing[0])
            else:
                known[v.index] = all([known.get(o.index, False) for o in operands])
        return known[value.index]

    def begin(self, value: Value) -> int:
        """Where in its storage an input, parameter, buffer or constant begins."""
        found = next((s.tensor for s in self._states if s.value.index == value.index), None)
        return int(found.storage_offset()) if isinstance(found, torch.Tensor) and found.layout is torch.strided else 0

    # -- where data come from -----------------------------------------------------------------------------------------
    def _leaf(self, value: Value) -> torch.Tensor | None:
        """The data of what no call made."""
        if value.origin == "input":
            return self.given.get(value.index)
        if value.origin == "parameter":
            return None
        found = next((s.tensor for s in self._states if s.value.index == value.index), None)
        data = constants.real_data(found) if found is not None else None
        return None if data is None else data.cpu()

    def _asks_data(self, call: Call) -> bool:
        """Whether a size among the arguments is one that data decide."""
        unbacked = self.scope.unbacked
        return bool(unbacked.by_name) and any(
            unbacked.concern(leaf) for leaf in leaves((call.args, call.kwargs)) if isinstance(leaf, Expr)
        )

    def _needed(self, call: Call) -> list[Value]:
        """The operands whose data matter."""
        if self._settled(call) is not None:
            return []
        needed = list(call.operands)
        if self._is_idle(call):
            return needed[:1]
        if call.op.shape_only:
            needed = [o for i, o in enumerate(needed) if i not in call.op.shape_only]
        elif needed and call.op.torchs in _OVERWRITING and self._is_uninitialised(needed[0]):
            needed = needed[1:]
        return [*needed, call.kwargs["out"]] if "out" in call.kwargs else needed

    def _settled(self, call: Call) -> int | None:
        """The number that all elements are whatever is not known: what is or-ed with true, and-ed with false, or a whole number
        times 0, and what :meth:`_drawn` says. ``None`` for all else."""
        kind = call.op.torchs
        if kind in _BELOW and len(call.args) == 2:
            return self._drawn(call)
        if kind not in _ABSORBING or call.op.inplace or len(call.args) != 2:
            return None
        if call.index not in self._absorbed:
            self._absorbed[call.index] = None  # while it is looked at
            self._absorbed[call.index] = self._absorbing(call)
        return self._absorbed[call.index]

    def _absorbing(self, call: Call) -> int | None:
        """The number of an operand that makes the other one irrelevant; one that is not written to."""
        dtype, wanted = call.outputs[0].fact.dtype, _ABSORBING[call.op.torchs]
        if dtype.is_floating_point or dtype.is_complex or (wanted and dtype is not torch.bool):
            return None
        for a in call.args:
            number = a
            if isinstance(a, Value):
                known = a.origin == "op" and not self.writers.get(a.storage) and self.is_made(a)
                number = self._everywhere(a) if known else None
            if type(number) in (bool, int) and bool(number) == wanted:
                return wanted
        return None

    def _is_idle(self, call: Call) -> bool:
        """Whether the call writes to the places of a mask that is known to be false everywhere: its first operand stays."""
        kind = call.op.torchs
        if kind not in _MASKED or len(call.args) < 2 or not call.outputs:
            return False
        if call.index not in self._idle:
            self._idle[call.index] = False  # while it is looked at
            mask = call.args[1]
            if isinstance(mask, (list, tuple)) and len(mask) == 1:
                mask = mask[0]
            alike = call.outputs[0].fact.shape == call.operands[0].fact.shape
            if alike and isinstance(mask, Value) and mask.fact.dtype is torch.bool:
                known = mask.origin == "op" and not self.writers.get(mask.storage) and self.is_made(mask)
                self._idle[call.index] = known and self._everywhere(mask) is False
        return self._idle[call.index]

    def _everywhere(self, value: Value) -> Any:
        """:meth:`number`, also of a small tensor of known data."""
        found = self._evaluated(value, symbols_only=True)
        if isinstance(found, torch.Tensor) and 0 < found.numel() <= MAX_ELEMENTS:
            with _plain_torch():
                first = found.flatten()[0]
                return first.item() if bool((found == first).all()) else None
        return found.base if isinstance(found, Ramp) and found.is_fill else None

    def _drawn(self, call: Call) -> bool | None:
        """What a comparison of uniform draws with a number is whatever is drawn: nothing is below 0, nor 1 or above it."""
        below, also_zero = _BELOW[call.op.torchs]
        drawn, number = call.args
        if isinstance(number, Value):
            drawn, number, below, also_zero = number, drawn, not below, not also_zero
        if type(number) not in (int, float) or not isinstance(drawn, Value) or not self._is_uniform(drawn):
            return None
        if number >= 1:  # all draws are below it
            return below
        if number < 0 or (number == 0 and also_zero):  # none is
            return not below
        return None

    def _is_uniform(self, value: Value) -> bool:
        """Whether its elements are draws of at least 0 and less than 1."""
        while value.origin == "op" and not self.writers.get(value.storage):
            call = self._calls[value.call]
            if call.op.torchs in _UNIFORM:
                return True
            moved = call.op.torchs in _CARRYING and call.outputs[0].fact.dtype == call.operands[0].fact.dtype
            if not moved and (call.op.follows != "moved" or not call.operands):
                return False
            value = call.operands[0]
        return False

    def _is_uninitialised(self, value: Value) -> bool:
        """Whether the value is fresh memory, or random: the same once all of it is overwritten."""
        return value.origin == "op" and self._calls[value.call].op.random and not self._calls[value.call].op.inplace

    def _slice(self, value: Value) -> tuple[list[Call], bool] | None:
        """The calls that decide the data, in order, and whether any writes in place; ``None`` if something else decides."""
        if not self.is_made(value):
            return None
        calls: dict[int, Call] = {}
        until: dict[int, int] = {}  # storage -> up to which call its writes count
        written = False
        stack: list[tuple[Value, int]] = [(value, len(self._calls))]
        while stack:
            v, time = stack.pop()
            if not self.is_made(v):
                return None
            since = until.get(v.storage, -1)
            if since < time:
                until[v.storage] = time
                for call in self.writers.get(v.storage, ()):
                    if since <= call.index < time and not self._is_idle(call):
                        written = True
                        if not self._add(call, calls, stack):
                            return None
            if v.origin == "op" and not self._add(self._calls[v.call], calls, stack):
                return None
        return [calls[i] for i in sorted(calls)], written

    def _add(self, call: Call, calls: dict[int, Call], stack: list[tuple[Value, int]]) -> bool:
        if call.index not in calls:
            if call.op.random:
                return False
            calls[call.index] = call
            stack.extend([(o, call.index) for o in self._needed(call)])
        return True

    # -- working it out -----------------------------------------------------------------------------------------------
    def _evaluated(self, value: Value, symbols_only: bool = False) -> Any:
        """A real tensor, a table, a ramp, or ``None``."""
        if not self.writers.get(value.storage) and value.index in self._found:
            return self._found[value.index]
        found = self._slice(value)
        if found is None:
            return None
        calls, written = found
        with _plain_torch():
            if not written:
                return self._in_symbols(calls, value, symbols_only)
            try:
                return self._in_tables(calls, value)
            except _FAILURES:
                return None if symbols_only else self._at_hint(calls, value)

    def _run(self, call: Call, args: Any, kwargs: Any) -> list[Any]:
        """The call on real data."""
        if self._is_large(call):
            raise self._failed(call, "a tensor is too large to compute")
        try:
            args, kwargs = _on_cpu(args, kwargs)
            result = call.func(*args, **kwargs)
            return [args[0]] if call.op.inplace else leaves(result)  # x[i] = y returns nothing
        except (RuntimeError, TypeError, NotImplementedError, ValueError, IndexError) as error:
            raise self._failed(call, f"{call.op.name} does not run: {first_line(error)}") from error

    def _is_large(self, call: Call) -> bool:
        return self.scope.hint(sum_([v.fact.numel for v in call.outputs])) > MAX_COMPUTED

    def _failed(self, call: Call, why: str) -> DataDependentError:
        return DataDependentError(
            f"the model looks at data that are made of sizes, and they cannot be worked out: {why}",
            where=str(call.source or ""),
            hint="analyse at smaller sizes with hints=..., or make the decision on the sizes themselves",
        )

    def _in_symbols(self, calls: list[Call], value: Value, symbols_only: bool) -> Any:
        env = self._found
        for call in calls:
            if any(v.index not in env for v in call.outputs):
                try:
                    results = self._symbolic(call, env)
                except _FAILURES:
                    if symbols_only:
                        return None
                    results = self._computed(call, env)
                env.update(zip([v.index for v in call.outputs], results))
        return env[value.index] if value.index in env else self._leaf(value)

    def _symbolic(self, call: Call, env: dict[int, Any]) -> list[Any]:
        """The results of a call without assuming anything."""
        settled = self._settled(call)
        if settled is not None:
            return [ramps.fill(tuple(self._size(n) for n in v.fact.shape), settled) for v in call.outputs]
        args, kwargs = self._arguments(call, env)
        if self._is_idle(call):
            return [args[0]]
        given = leaves((args, kwargs))
        facts = [v.fact for v in call.outputs]
        static = all(type(n) is int for f in facts for n in f.shape)
        plain = static and not any(isinstance(a, (Ramp, np.ndarray, SymSize, SymRatio, TensorFact)) for a in given)
        if plain and not self._is_large(call):
            return self._run(call, args, kwargs)
        kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "layout", "memory_format")}
        if call.op is LITERAL:
            return [as_table(args[0])]
        in_cells = tables.RULES.of(call.func)
        if static and not plain and not any(isinstance(a, Ramp) for a in given) and (in_cells or call.op.made_of is None):
            made = (in_cells or _unsupported())(*_cells(args), **_cells(kwargs))
            return [_fitting(t, f) for t, f in zip(made if isinstance(made, list) else [made], facts, strict=True)]
        return self._ramps(call, args, kwargs, facts)

    def _ramps(self, call: Call, args: Any, kwargs: Any, facts: list[TensorFact]) -> list[Any]:
        shapes = [tuple(self._size(n) for n in f.shape) for f in facts]
        number = call.op.made_of
        if number is not None:
            if isinstance(number, tuple):
                position, key = number
                number = args[position] if len(args) > position else kwargs.get(key)
            return [ramps.made_of(shape, _ramps_of(number)) for shape in shapes]
        args, kwargs = _ramps_of(args), _ramps_of(kwargs)
        try:
            rule = ramps.RULES.of(call.func) or _unsupported()
            return [rule(shape, *args, **kwargs) for shape in shapes]
        except (Unsupported, TypeError):  # a keyword that the rule has no name for
            if call.op.follows == "moved" and isinstance(args[0], Ramp) and args[0].is_fill:
                return [ramps.fill(shape, args[0].base) for shape in shapes]
            if call.op.follows != "mapped":
                raise
            dtypes = iter([o.fact.dtype for o in call.operands])
            plain = partial(_number, dtypes=dtypes)
            return [ramps.of_numbers(call.func, shapes[0], mapped(plain, args), mapped(plain, kwargs))]

    def _computed(self, call: Call, env: dict[int, Any]) -> list[Any]:
        """The results of a call at the sample values; the sizes that take part are pinned."""
        settled = self._settled(call)
        if settled is not None:
            return [torch.full([self.scope.hint(n) for n in v.fact.shape], settled) for v in call.outputs]
        facts = iter([o.fact for o in call.operands])
        args, kwargs = self._arguments(call, env)
        pinned = partial(self._pinned, facts=facts)
        if self._is_idle(call):
            return [pinned(args[0])]
        return self._run(call, mapped(pinned, args), mapped(pinned, kwargs))

    def _in_tables(self, calls: list[Call], value: Value) -> Any:
        """With writes in place: all tensors as tables, whose views see what is written."""
        env: dict[int, Any] = {}
        for leaf in (o for c in calls for o in self._needed(c) if o.origin != "op"):
            data = self._leaf(leaf)
            if data is None or data.numel() > MAX_ELEMENTS:
                raise Unsupported
            env[leaf.index] = _cells(data).copy()
        for call in calls:
            settled = self._settled(call)
            args, kwargs = map(_cells, ((), {}) if settled is not None else self._arguments(call, env))
            kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "layout", "memory_format")}
            facts = [v.fact for v in call.outputs]
            if any(type(n) is not int for f in facts for n in f.shape) or sum(f.numel for f in facts) > MAX_ELEMENTS:
                raise Unsupported
            if settled is not None:
                made: Any = np.full(facts[0].shape, settled, dtype=object)
            elif self._is_idle(call):
                made = args[0]
            elif call.op is LITERAL:
                made = as_table(args[0])
            else:
                made = (tables.RULES.of(call.func) or _unsupported())(*args, **kwargs)
            if call.op.inplace:
                args[0][...] = tables.to_table(made, facts[0].dtype)
                made = args[0]
            results = made if isinstance(made, list) else [made]
            if not call.op.inplace and type(call.signature.result) is TensorFact:
                results = [tables.to_table(made, facts[0].dtype)]
            env.update(zip([v.index for v in call.outputs], results, strict=True))
        return env[value.index]

    def _at_hint(self, calls: list[Call], value: Value) -> torch.Tensor:
        """With writes in place: all for real, and every size that takes part pinned."""
        env: dict[int, Any] = {}
        for leaf in (o for c in calls for o in self._needed(c) if o.origin != "op"):
            data = self._leaf(leaf)
            assert data is not None
            env.setdefault(leaf.index, data.clone())
        for call in calls:
            for v in call.outputs:
                for n in v.fact.shape:
                    self.scope.pin(n, _PINNED)
            results = self._computed(call, env)
            env.update(zip([v.index for v in call.outputs], results))
        return env[value.index]  # type: ignore[no-any-return]

    # -- arguments ----------------------------------------------------------------------------------------------------
    def _arguments(self, call: Call, env: dict[int, Any]) -> tuple[Any, dict[str, Any]]:
        """The arguments with what is known in the place of values, and sizes as the model saw them."""

        def of(a: Any) -> Any:
            if type(a) is Value:
                found = env.get(a.index)
                if found is None:
                    found = self._leaf(a)
                return a.fact if found is None else found  # of which only the shape matters
            if isinstance(a, Expr):
                return self._size(a)
            return self._quotient(a) if type(a) is Quotient else a

        args, kwargs = mapped(of, call.args), dict(mapped(of, call.kwargs))
        for name in _LATER.intersection(kwargs):
            args = (*args, kwargs.pop(name))
        return args, kwargs

    def _size(self, size: Any) -> Any:
        return size if type(size) is int else SymSize(size, self.scope.hint(size), self.scope)

    def _quotient(self, a: Quotient) -> Any:
        if a.program is not None:
            return SymRatio(1, 0, float(a), ODD, a.program, self.scope)
        if a.exact:
            return self._size(a.num) / self._size(a.den)  # a size on one side or both
        return SymRatio(a.num, a.den, float(a), ODD, ("/", a.num, a.den), self.scope)

    def _pinned(self, a: Any, facts: Iterator[TensorFact]) -> Any:
        if isinstance(a, (torch.Tensor, Ramp, np.ndarray, TensorFact)):
            return self._real(a, next(facts, None))
        if isinstance(a, SymSize):
            return self.scope.pin(a.expr, _PINNED)
        return float(a) if isinstance(a, SymRatio) else a

    def _real(self, x: Any, fact: TensorFact | None) -> torch.Tensor:
        """Real data, at the sample values."""
        if isinstance(x, TensorFact):
            return torch.zeros([self.scope.pin(n, _PINNED) for n in x.shape], dtype=x.dtype)
        dtype = fact.dtype if fact is not None else None
        if isinstance(x, Ramp):
            shape = [int(n) for n in x.shape]
            made = torch.full(shape, self._number(x.base), dtype=dtype)
            for d, (n, step) in enumerate(zip(shape, x.steps)):
                if type(step) is not int or step:
                    made += (torch.arange(n) * int(step)).to(made.dtype).reshape(-1, *[1] * (len(shape) - d - 1))
            return made
        if isinstance(x, np.ndarray):
            numbers = [self._number(n) for n in x.flat]
            return torch.tensor(numbers, dtype=dtype).reshape(x.shape)
        return x  # type: ignore[no-any-return]

    def _number(self, n: Any) -> Any:
        return self.scope.pin(n.expr, _PINNED) if isinstance(n, SymSize) else float(n) if isinstance(n, SymRatio) else n


_OTHER_SIZES = (1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 257)
_LATER = frozenset({"other", "exponent"})
"""Names of the last operand, which rules take by position."""
_INTEGERS = frozenset({torch.int64, torch.int32})
_PINNED = "the model looks at data that are made of sizes"

_T = torch.Tensor
_CARRYING = frozenset([REGISTRY[f] for f in (_T.to, _T.cuda, _T.cpu)])
_UNIFORM = frozenset([REGISTRY[f] for f in (torch.rand, torch.rand_like)])
_BELOW = {
    REGISTRY[torch.lt]: (True, True), REGISTRY[torch.le]: (True, False),
    REGISTRY[torch.gt]: (False, False), REGISTRY[torch.ge]: (False, True),
}  # fmt: skip
"""Comparisons of a draw with a number: whether they are true of draws below it, and whether 0 settles them, too."""
_ABSORBING = {
    REGISTRY[torch.bitwise_or]: True, REGISTRY[torch.logical_or]: True, REGISTRY[torch.bitwise_and]: False,
    REGISTRY[torch.logical_and]: False, REGISTRY[torch.mul]: False,
}  # fmt: skip
"""Ops of two operands, and whether truth or 0 of one of them decides."""
_MASKED = frozenset([REGISTRY[f] for f in (_T.__setitem__, _T.index_put, _T.index_put_, _T.masked_fill, _T.masked_fill_)])
"""Ops that write where their second operand is true."""
_OVERWRITING = frozenset([REGISTRY[f] for f in (torch.fill, _T.fill_, _T.zero_, _T.copy_)])
"""Ops that write all elements of their first operand, whatever they were."""


@contextmanager
def _plain_torch() -> Iterator[None]:
    """torch as it is outside of the trace."""
    with torch_private.DisableTorchFunction(), torch.no_grad(), torch.autocast("cpu", enabled=False):
        yield


def _unsupported() -> NoReturn:
    raise Unsupported


def _on_cpu(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with the CPU for every device."""
    cpu = torch.device("cpu")
    args, kwargs = mapped(lambda leaf: cpu if isinstance(leaf, torch.device) else leaf, (args, kwargs))
    return args, {**kwargs, "device": cpu} if kwargs.get("device") is not None else kwargs


def _cells(tree: Any) -> Any:
    """Arguments with tables for real tensors."""
    return mapped(_cell, tree)


def _cell(leaf: Any) -> Any:
    if isinstance(leaf, torch.Tensor):
        if leaf.numel() > MAX_ELEMENTS:
            raise Unsupported
        return tables.cell(leaf.cpu().numpy().astype(object) if leaf.dim() else leaf.item())
    if isinstance(leaf, TensorFact):
        if any(type(n) is not int for n in leaf.shape) or leaf.numel > MAX_ELEMENTS:
            raise Unsupported
        return np.empty(leaf.shape, dtype=object)
    return leaf


def _fitting(table: Any, fact: TensorFact) -> Any:
    if not isinstance(table, np.ndarray) or table.shape != fact.shape or table.size > MAX_ELEMENTS:
        raise Unsupported
    return tables.to_table(table, fact.dtype)


def _ramps_of(tree: Any) -> Any:
    """Arguments with ramps for all tensors."""
    return mapped(_ramp, tree)


def _ramp(leaf: Any) -> Any:
    if isinstance(leaf, torch.Tensor):
        return ramps.recognised(leaf)
    if not isinstance(leaf, np.ndarray):
        return leaf
    if leaf.size != 1:
        raise Unsupported
    return ramps.fill(tuple(leaf.shape), leaf.reshape(())[()])


def _number(leaf: Any, dtypes: Iterator[torch.dtype]) -> Any:
    """A tensor without dimensions for a ramp that is one plain number everywhere."""
    if isinstance(leaf, Ramp):
        dtype = next(dtypes)
        if not leaf.is_fill or isinstance(leaf.base, (SymSize, SymRatio)):
            raise Unsupported
        return torch.scalar_tensor(leaf.base, dtype=dtype)
    if isinstance(leaf, (SymSize, SymRatio, TensorFact)):
        raise Unsupported
    return leaf
