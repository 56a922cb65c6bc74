"""The tracer: a ``TorchFunctionMode`` under which a model's forward runs once on stand-in tensors.

Every torch call becomes one :class:`~fxcount.trace.tape.Call`, in steps: the arguments are brought to one form, converted
with a key, and looked up; a new key asks the shape rule for a :class:`~fxcount.trace.tape.Signature`, so a rule runs once
for each kind of call; then come the results, and what is known of their data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from fxcount import torch_private
from fxcount.errors import DataDependentError, FxcountError, RangeError, ShapeError, UnsupportedError
from fxcount.ops import REGISTRY, SPARSE, Op, Registry, SparseFact, TensorFact
from fxcount.ops.core.remembered import Asked, Told, means_the_same, recalled, remember
from fxcount.ops.core.settling import pinned, settled
from fxcount.symbolic import Scope, Size, SymbolicError, SymSize, to_size
from fxcount.trace.inputs.inventory import Inventory
from fxcount.trace.known import constants
from fxcount.trace.known.literals import make_literal
from fxcount.trace.known.replay import Replay
from fxcount.trace.tape import Call, Signature, Source, State, Value
from fxcount.trace.tracer.answers import Answers
from fxcount.trace.tracer.arguments import collapsed, facts_of_arguments, normalised, values_of_result
from fxcount.trace.tracer.autocast import cast_operands
from fxcount.trace.tracer.counted import ITEM, Numbers, numbers_in
from fxcount.trace.tracer.decisions import Decisions
from fxcount.trace.tracer.jagged import Jagged, dispatched
from fxcount.trace.tracer.keys import Keys
from fxcount.trace.tracer.ledger import Ledger
from fxcount.trace.tracer.modules import Modules
from fxcount.trace.tracer.notes import Notes
from fxcount.trace.tracer.results import Outcome, Results
from fxcount.trace.tracer.sources import Met, find_source
from fxcount.trace.tracer.special import handle
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Tracer"]

_is_autocast_enabled = torch_private.is_any_autocast_enabled
_is_grad_enabled = torch.is_grad_enabled
_value_of, _requires_grad = attrgetter("_value"), attrgetter("requires_grad")



class Tracer(TorchFunctionMode):
    """Records what a model does. Use through :func:`fxcount.trace.trace_model`.

    ``ledger`` holds what is recorded, ``modules`` which module runs, ``answers`` what stand-ins ask, ``numbers`` the sizes
    that data decide, ``replay`` works out data made of sizes.
    """

    is_fxcount = True  # tells it from other function modes
    differentiates = False  # whether torch's autograd engine runs on the stand-ins, and its own autocast casts them
    answering: type[Answers] = Answers
    converting: type[Keys] = Keys

    def __init__(
        self, scope: Scope, registry: Registry, held: Inventory, progress: Callable[[int], None] | None = None,
        decisions: Decisions | None = None, compiling: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scope = scope
        self.registry = registry
        self.progress = progress
        self.compiling = compiling  # what torch.compiler.is_compiling() says to the model
        calls: list[Call] = []
        self.modules = modules = Modules(held.modules, calls)
        self.where = modules.where
        self.notes = Notes(modules.where)
        states: list[State] = []
        self.replay = Replay(scope, calls, states)
        self.answers = self.answering(scope, self.notes, calls, self.replay, decisions)
        self.ledger = ledger = Ledger(held, self.answers, calls, states)
        self.answers.storages = ledger.storages
        self.state = ledger.state
        self.numbers = Numbers(self)
        self.answers.before_iteration = self.numbers.settle
        self.answers.read_number = self.read_item
        self.slow_ops: list[str] = []  # ops that went through FakeTensorMode
        self.cast_weights: dict[tuple[int, torch.dtype], StandIn] = {}  # autocast's cache of converted weights
        self._calls = calls
        self._marks, self._log = ledger.marks, ledger.log
        self._convert = self.converting(ledger.state if self.differentiates else ledger.operand, ledger.packed).convert
        self._results = Results(ledger, self.replay.writers)
        self._resolved: dict[Any, Op] = dict(registry._by_callable)
        self._memo: dict[tuple[Any, ...], Signature] = {}
        self._outcomes: dict[Signature, Outcome | None] = {}
        self._met: Met = {}
        self._place: Source | None = None  # of the call that is recorded now, where it is not the line that runs
        self.unrolled: Set[str] = frozenset()  # places of loops whose steps are not alike
        self._running: set[Any] = set()  # Python functions of torch whose bodies are being traced

    # -- the hot path -------------------------------------------------------------------------------------------------
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if types and Jagged in types:
            with self:
                return dispatched(func, args, kwargs or {})
        found = self._resolved.get(func)
        try:
            if found is not None:
                return self.record(found, func, args, kwargs)
            return handle(self, func, args, kwargs or {})
        except FxcountError as error:
            self.answers.unanswered(error)
            raise

    def record(self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        """Record one call of ``entry`` and return its stand-in result."""
        out = None
        if kwargs:
            args, kwargs, out = normalised(args, kwargs)
        at = entry.sizes_at
        if at is not None and len(args) > at:
            args = collapsed(args, at)
        if _is_autocast_enabled() and not self.differentiates:
            args, kwargs = cast_operands(self, entry, args, kwargs or {})

        operands: list[StandIn] = []
        key: list[Any] = [entry]
        convert = self._convert
        converted = []
        for a in args:
            if type(a) is StandIn:  # as ``convert`` does
                value = a._value
                key.append(value.fact)
                operands.append(a)
                converted.append(value)
            else:
                converted.append(convert(a, key, operands))
        recorded = tuple(converted)
        recorded_kwargs: dict[str, Any] = {}
        if kwargs:
            for name, a in kwargs.items():
                key.append(name)
                recorded_kwargs[name] = convert(a, key, operands)
        hashed = tuple(key)
        signature, outcome = self._memo.get(hashed), None
        if signature is not None:
            outcome = self._outcome(signature)
        else:
            if not operands and recorded and entry.of_numbers:  # torch.div(size, 2) gives a tensor
                return self.record(entry, func, (make_literal(self, args[0], None, None), *args[1:]), kwargs)
            signature = self._new(hashed, entry, func, args, kwargs, recorded, recorded_kwargs, operands)

        values = tuple(map(_value_of, operands))
        grad = _is_grad_enabled()
        call = Call(
            len(self._calls), func, signature, recorded, recorded_kwargs, values, self.modules.now,
            self._place or find_source(sys._getframe(2), self._met), grad,
        )  # fmt: skip
        self._marks.append(len(self._log))
        if entry.positions is not None:
            self._check_positions(entry, recorded, recorded_kwargs)
        requires_grad = bool(grad and entry.differentiable) and True in map(_requires_grad, values)
        if outcome is not None and out is None and operands and not operands[0]._storage.constant:
            result: Any = self._results.one(outcome, call, operands, requires_grad)
        else:
            result = self._results_of(call, args, kwargs, operands, requires_grad, out)
            call.result = values_of_result(result)
        self._calls.append(call)
        if self.progress is not None:
            self.progress(call.index)
        return result

    def ruled(self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a call of what a user's rule stands for, and is not looked into."""
        return self.record(entry, func, args, kwargs)

    def _outcome(self, signature: Signature) -> Outcome | None:
        """The one result of calls of this signature."""
        try:
            return self._outcomes[signature]
        except KeyError:
            found = self._outcomes[signature] = Outcome.of_calls(signature, self.answers)
            return found

    def _results_of(
        self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any] | None, operands: list[StandIn], requires_grad: bool,
        out: Any = None,
    ) -> Any:  # fmt: skip
        """The results of any call, with what is known of their data."""
        signature, entry = call.signature, call.op
        if out is not None or entry.inplace:
            target = operands[0] if out is None else self.state(out)
            return self._results.written(call, target, operands, requires_grad, out is not None)
        known = None
        for operand in operands:
            if not operand._storage.constant and not (entry.shape_only == (1,) and operand is operands[-1]):
                break  # x.to(y) of a known x is known whatever y holds
        else:
            known = constants.compute(entry, call.func, args, kwargs, signature.result)
        outputs: list[Value] = []
        result = self._results.made(signature.result, call, operands, outputs, requires_grad, known)
        call.outputs = tuple(outputs)
        if known is not None:
            self.notes.pass_on(result, operands)
        if entry.returns is not None and type(result) is tuple:
            result = constants.named_result(entry, result)
        if entry.writes:
            self._results.mark_written(call, args, kwargs)
        return result

    # -- signatures ---------------------------------------------------------------------------------------------------
    def _new(
        self, key: tuple[Any, ...], entry: Op, func: Callable[..., Any], args: tuple[Any, ...],
        kwargs: dict[str, Any] | None, recorded: tuple[Any, ...], recorded_kwargs: dict[str, Any], operands: list[StandIn],
    ) -> Signature:  # fmt: skip
        """The signature of a call unlike those before; kept for its like unless data decide it."""
        if SparseFact in [type(o._value.fact) for o in operands]:
            entry = self._of_sparse(entry, func)
        known = REGISTRY.get(func) is entry and means_the_same(key)  # a rule of the user's may be another the next time
        told = recalled(key, self.scope) if known else None
        if told is not None:
            signature = self._memo[key] = self.signature(entry, told.args, told.kwargs, told.result, told)
            return signature
        try:
            signature = self._memo[key] = self._infer(entry, recorded, recorded_kwargs, key if known else None)
        except DataDependentError:
            signature = self._infer_from_data(entry, func, args, kwargs, recorded, recorded_kwargs, operands)
        return signature

    def _of_sparse(self, entry: Op, func: Callable[..., Any]) -> Op:
        """What the op is where an operand is sparse. A user's rule is asked as it is: it sees the layout of its operands."""
        if entry is ITEM or entry in self.registry.overriding:
            return entry
        found = SPARSE.get(func)
        if found is None:
            raise UnsupportedError(
                f"{entry.name}: no rule for a sparse operand", where=self.where(),
                hint="convert it with .to_dense(), or give a rule with fxcount.rule(...)",
            )  # fmt: skip
        return found

    def signature(
        self, entry: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, told: Told | None = None
    ) -> Signature:
        """A new signature, entered in the ledger."""
        made = Signature(entry, args, kwargs, result, self.modules.times, told)
        self.ledger.signatures.append(made)
        return made

    def _infer(
        self, entry: Op, args: tuple[Any, ...], kwargs: dict[str, Any], key: tuple[Any, ...] | None = None
    ) -> Signature:
        """What the shape rule says, which is remembered under the ``key``."""
        fact_args = tuple([facts_of_arguments(a) for a in args])
        fact_kwargs = {k: facts_of_arguments(v) for k, v in kwargs.items()}
        asked = Asked(self.scope)
        scope: Any = self.scope if key is None else asked
        try:
            fact_args, fact_kwargs = settled(scope, entry, fact_args, fact_kwargs)
            result = entry.shape(scope, *fact_args, **fact_kwargs)
        except FxcountError as error:
            if not error.where:
                error.where = self.where()
            if not error.hint:
                error.hint = "compare these shapes with what the line expects, and the input sizes given to analyze()"
            raise
        except SymbolicError:  # the rule takes nothing but a number somewhere
            numbers = pinned(self.scope, entry, (args, kwargs))
            if numbers == (args, kwargs):
                raise
            return self._infer(entry, *numbers)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call did not bind
                raise UnsupportedError(f"{entry.name}: {error}", where=self.where()) from error
            if numbers_in((fact_args[1:], fact_kwargs)):  # arithmetic on a size that is a tensor
                raise DataDependentError(f"{entry.name}: a size is a tensor", where=self.where()) from error
            raise
        if entry.inplace and isinstance(result, TensorFact):
            self._check_in_place(scope, entry, fact_args[0], result)
        questions = None if key is None else asked.questions()
        told = None if questions is None else Told(fact_args, fact_kwargs, result, questions)
        if key is not None and told is not None:
            remember(key, told)
        return self.signature(entry, fact_args, fact_kwargs, result, told)

    def _infer_from_data(
        self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None,
        recorded: tuple[Any, ...], recorded_kwargs: dict[str, Any], operands: list[StandIn],
    ) -> Signature:  # fmt: skip
        """The signature of a call whose sizes depend on data, where the data that matter are known constants.

        Where they are not, the numbers that matter become symbols. Never memoised.
        """
        if all([o._storage.constant for o in operands]):
            known = constants.compute(entry, func, args, kwargs, None)
            if known is not None:
                self.notes.data_read(operands)
                facts = tuple([facts_of_arguments(a) for a in recorded])
                return self.signature(entry, facts, {}, constants.facts_of(known))
        data = {o._value: o._known for o in operands if o._storage.constant and o._known is not None}
        if entry.reads_data:
            asked = [o for o in operands if o._value not in data and self.replay.is_made(o._value)]
            if entry.counted is not None:  # the sum of what is made of sizes is a size
                asked = [o for o in asked if self.replay.total(o._value) is None]
            data.update({o._value: self.answers.data(o, entry.name) for o in asked})
        try:
            signature = self._infer(entry, constants.with_data(recorded, data, entry.reads_data), recorded_kwargs)
        except DataDependentError as error:
            return self.numbers.infer(entry, func, recorded, recorded_kwargs, operands, error)
        # what is read is the tensor itself, not its data, nor the indices a mask stands for
        signature.args = tuple([facts_of_arguments(a) for a in recorded])
        self.notes.data_read([o for o in operands if o._value in data])
        return signature

    def _check_in_place(self, scope: Scope, entry: Op, target: TensorFact, result: TensorFact) -> None:
        same = result.ndim == target.ndim and all([scope.same(a, b, entry.name) for a, b in zip(result.shape, target.shape)])
        if not same and not entry.reshapes_in_place:
            raise ShapeError(
                f"{entry.name}: the result of shape {tuple(result.shape)} does not fit into the tensor of shape "
                f"{tuple(target.shape)} it is to be written to",
                where=self.where(),
                hint="use the op that makes a new tensor",
            )

    def _check_positions(self, entry: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Positions that are made of sizes must lie within the dimension along which they count."""
        assert entry.positions is not None
        for operand, n, least in entry.positions(*args, **kwargs):
            bounds = self.replay.bounds(operand) if type(operand) is Value else None
            if bounds is None or self.scope.hint(operand.fact.numel) == 0:
                continue
            low, high = map(to_size, bounds)
            table = entry.looks_up is not None
            there = f"the table has {n} rows, and positions must lie within it"
            reason = f"{entry.name}: {there if table else f'there are {n} elements, and positions must lie within them'}"
            inside = least is None or self.scope.decide(">=", low, least, reason)
            if not (inside and self.scope.decide("<", high, n, reason)):
                what, of = ("rows", f"a table of {n} rows") if table else ("positions", f"{n}")
                raise RangeError(
                    f"{entry.name}: {what} {self.scope.hint(low)} to {self.scope.hint(high)} of {of} are looked up",
                    where=self.where(),
                    hint="the model has no more positions than that: give shorter inputs, or build it for longer ones",
                )

    # -- what others ask ----------------------------------------------------------------------------------------------
    def input(
        self, fact: TensorFact, name: str, requires_grad: bool = False, data: torch.Tensor | None = None
    ) -> StandIn:
        """A stand-in for an input of the model; ``data`` if the user gave small integers that may be looked at."""
        made = self.ledger.input(fact, name, requires_grad, data)
        if data is not None:
            self.notes.given.append(name)
            self.replay.given[made._value.index] = data
        return made

    def read_item(self, x: StandIn) -> Any:
        """The symbol of a number that only data know."""
        found = self.record(ITEM, torch.Tensor.item, (x,), None)
        floating = x._value.fact.dtype.is_floating_point and isinstance(found, SymSize)
        return found.__sym_float__() if floating else found

    def run(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Record ``func(*args, **kwargs)`` as if the model had called it."""
        return self.record(self.registry[func], func, args, kwargs)

    def run_through(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
        """Run a Python function of torch, made of ops that are recorded; not if it runs already, and calls itself."""
        if func in self._running:
            return False, None
        self._running.add(func)
        try:
            with self:
                return True, func(*args, **kwargs)
        finally:
            self._running.discard(func)

    @contextmanager
    def repeated(self, times: Size) -> Iterator[None]:
        """A block whose calls stand for as many steps of a loop."""
        before = self._memo, self.modules.times
        self._memo, self.modules.times = {}, self.modules.times * times
        try:
            yield
        finally:
            self._memo, self.modules.times = before

    def calling(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """What stands for a function of torch's that takes tensors past every function mode."""
        return func

    def resolve(self, func: Callable[..., Any], entry: Op) -> None:
        """Remember which op a callable is."""
        self._resolved[func] = entry

    def forget(self) -> None:
        """Let go of what only the run needed."""
        self.ledger.forget()
        self.answers.forget()
        for held in (self.cast_weights, self._memo, self._resolved):
            held.clear()
