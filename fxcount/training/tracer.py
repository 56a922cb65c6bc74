"""The tracer of a training step: it stands below torch's autograd engine and records the ops that reach the dispatcher.

A call of the model's goes through ``__torch_function__`` first: parameters are replaced by their stand-ins there, and what
is no op (metadata, literals) is answered as in every trace. Then torch's own C++ runs: autograd notes what it saves, composite
ops fall apart, autocast casts. What is left reaches ``dispatched``, where the registry's rules give the results.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from traceback import clear_frames
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch

from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.ops import Op, Registry, TensorFact
from fxcount.ops.core.common import facts_of_result
from fxcount.ops.core.registry import Unknown
from fxcount.symbolic import Scope, SymRatio, SymSize
from fxcount.trace.inputs.inventory import Inventory
from fxcount.trace.known.literals import make_literal
from fxcount.trace.tape import Call, Signature, Value
from fxcount.trace.tracer.answers import Answers
from fxcount.trace.tracer.arguments import values_of_result
from fxcount.trace.tracer.decisions import Decisions
from fxcount.trace.tracer.fallback import record_unknown
from fxcount.trace.tracer.keys import Keys
from fxcount.trace.tracer.sources import find_source
from fxcount.trace.tracer.special import METADATA, PLACES, SPECIAL, placed_of
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.storages import Storage
from fxcount.trace.tracer.tracer import Tracer
from fxcount.training.accumulation import Accumulation, may_be_in_place
from fxcount.training.composites import has_composites, spans_of
from fxcount.training.forms import FORMS, NAMED
from fxcount.training.mapped import by_own_rule, mapped_cell, mapped_linear
from fxcount.training.nodes import Nodes, SizeNode
from fxcount.training.ruled import backward_of, with_backward
from fxcount.training.wrapping import NUMBERS, Wrapping

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TrainingTracer"]

_make_wrapper = torch_private.make_wrapper_subclass
_sequence_number = torch_private.sequence_number
_node_number = torch_private.node_number
_node_that_runs = torch_private.node_that_runs
_backward_that_runs = torch_private.backward_that_runs
_is_grad_enabled = torch.is_grad_enabled
_is_wrapped = torch_private.is_wrapped
_watches_functions = torch_private.watches_functions
_no_dispatch = torch_private.DisableTorchDispatch
_no_functions = torch_private.DisableTorchFunction
_TENSOR = torch_private.TensorBase
_make_subclass = torch_private.make_subclass
_data_of = torch_private.TensorBase.data.__get__
_set_data = torch_private.TensorBase.data.__set__

_THE_ENGINES = frozenset({
    torch.Tensor.register_hook, torch.Tensor.retain_grad,
    *[getattr(torch.Tensor, name).__get__ for name in (
        "output_nr", "_version", "_base", "_backward_hooks", "retains_grad", "is_leaf", "grad_fn", "grad", "requires_grad",
    )],
    *[getattr(torch_private.TensorBase, name).__get__ for name in ("T", "mT", "H", "mH")],
    torch_private.TensorBase.real.__get__, torch_private.TensorBase.imag.__get__,
    torch.Tensor.backward, torch.autograd.backward, torch.autograd.grad,
})  # fmt: skip
"""What the tracer of a forward answers itself, and the engine knows better."""

_ANSWERED = {func: answer for func, answer in SPECIAL.items() if func not in _THE_ENGINES}
_METADATA = {func: answer for func, answer in METADATA.items() if func not in _THE_ENGINES}


_HOOKS = frozenset({
    torch.Tensor.register_hook, torch.Tensor.retain_grad, torch.Tensor.register_post_accumulate_grad_hook,
})  # fmt: skip
"""What has the engine do more to a tensor than its graph says."""

_SEVERAL = frozenset({torch.Tensor.__getitem__, torch.Tensor.__setitem__})
"""What Python's bindings make several calls of."""

_HOME = torch.device("meta")
"""Where C++ is told that tensors lie which are taken to lie on a device that it need not have."""

_STEPS = 4  # from the place where a call is entered to what called torch
_AS_IT_IS = frozenset({
    StandIn, SymSize, int, float, bool, type(None), torch.dtype, torch.memory_format, torch.layout,
})  # fmt: skip
"""Types of arguments that reach torch's C++ as they are."""

_TO_COPY = torch.ops.aten._to_copy.default
_LITERALS = frozenset({torch.Tensor.new_tensor, torch.tensor, torch.as_tensor})
"""What makes tensors of Python numbers."""


class _Form(torch.Tensor):
    """The first tensor of its sizes, strides and dtype, of which stand-ins are copied."""

    __torch_function__ = torch_private.disabled_torch_function

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise AssertionError(f"{func} reached a tensor that no op is given")


class _Answers(Answers):
    """Makes stand-ins whose sizes torch's C++ can compute with."""

    differentiates = True

    def __init__(self, scope: Scope, *rest: Any) -> None:
        super().__init__(scope, *rest)
        self.nodes = Nodes(scope)
        scope.node = self.nodes.of
        self._forms: dict[TensorFact, _Form] = {}
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext  # given by the tracer
        self.placed: torch.device | None = None  # a device that the engine need not have

    def maker(self) -> Callable[..., StandIn]:
        return partial(_made, self)

    def blank(self, fact: TensorFact) -> Callable[[], StandIn]:
        return partial(copy_of, self.form(fact))

    def wrapper(self, fact: TensorFact) -> StandIn:
        """A new tensor of this form for C++. It is copied from the first one of its form, with whatever C++ has worked out of
        that one's sizes: to hand it the sizes again costs as much as all else that is done for an op."""
        return copy_of(self.form(fact))

    def form(self, fact: TensorFact) -> _Form:
        """What tensors of this form are copied from."""
        form = self._forms.get(fact)
        if form is None:
            form = self._forms[fact] = self._form(fact)
        return form

    def _form(self, fact: TensorFact) -> _Form:
        made: _Form = self.new(_Form, fact)
        _TENSOR.numel(made)
        if fact.strides is None:
            _TENSOR.is_contiguous(made)
        return made

    def new(self, kind: type[torch.Tensor], fact: TensorFact, requires_grad: bool = False) -> Any:
        """A tensor of this form, made of its sizes; how much memory it has is not worked out in C++."""
        there = self.placed is not None and fact.device.type == self.placed.type
        device = _HOME if there else fact.device
        _check_device(device.type)
        sizes, strides = self.nodes.as_ints(fact.shape), self.nodes.as_ints(fact.stride())
        return _make_wrapper(
            kind, sizes, strides=strides, dtype=fact.dtype, device=device, requires_grad=requires_grad, storage_size=0,
        )  # fmt: skip

    # What is worked out of known data is no op of the step.
    def _made_of_sizes(self, x: StandIn, is_question: bool) -> Any:
        with self.aside():
            return super()._made_of_sizes(x, is_question)

    def known_data(self, x: StandIn) -> torch.Tensor | None:
        with self.aside():
            return super().known_data(x)

    def listed(self, x: StandIn) -> Any:
        with self.aside():
            return super().listed(x)

    def offset(self, x: StandIn) -> int:
        with self.aside():
            return super().offset(x)

    def address(self, x: StandIn) -> int:
        with self.aside():
            return super().address(x)

    def set_requires_grad(self, x: StandIn, flag: bool) -> None:
        torch_private.TensorBase.requires_grad_(x, flag)

    def forget(self) -> None:
        super().forget()
        self.aside = nullcontext
        self._forms.clear()
        self.nodes.forget()


def copy_of(form: _Form) -> StandIn:
    """A stand-in of this form, with a count of writes of its own."""
    if _watches_functions():
        with _no_functions(), _no_dispatch():
            return _make_subclass(StandIn, _data_of(form))  # type: ignore[no-any-return]
    with _no_dispatch():
        return _make_subclass(StandIn, _data_of(form))  # type: ignore[no-any-return]


def _check_device(kind: str) -> None:
    """The engine asks for the device's streams, and ends the whole process where this torch has none of that kind."""
    if kind in ("cpu", "meta"):
        return
    backend = getattr(torch, kind, None)
    if backend is None or not getattr(backend, "is_available", bool)():
        raise UnsupportedError(
            f"a tensor is on the device {kind}, which this torch cannot use, and its autograd engine needs it",
            hint='analyse the step on the meta device, as if it were there: model.to("meta"), with device="cuda"',
        )


def _made(owner: _Answers, value: Value, storage: Storage, known: Any = None) -> StandIn:
    if value.requires_grad and value.origin != "op":
        made: StandIn = owner.new(StandIn, value.fact, requires_grad=True)
    else:
        made = owner.wrapper(value.fact)
    made._value = value
    made._storage = storage
    made._owner = owner
    made._known = known
    return made


class _Keys(Keys):
    """Arguments as C++ hands them on: sizes are nodes."""

    def _rare(self, a: Any, key: list[Any], operands: list[StandIn]) -> Any:
        if type(a) is torch.SymInt or type(a) is torch.SymFloat:
            node = a.node
            if type(node) is not SizeNode:
                return self.convert(node.number(), key, operands)
            size = node.expr
            key.append(size)
            return size
        return super()._rare(a, key, operands)


class _Dispatch(torch_private.TorchDispatchMode):  # type: ignore[misc]
    """Leads what reaches the dispatcher to the tracer."""

    def __init__(self, tracer: TrainingTracer) -> None:
        super().__init__()
        self._dispatched = tracer.dispatched

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._dispatched(func, args, kwargs)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch loads its compiler, to tell it to look away


class _Overload:
    """What is asked of an overload at each of its calls: it is found out once.

    ``is_simple``: its results are new, or views, and nothing else comes of a call. ``is_rewritten``: plain eager may take
    another in its place while the engine runs."""

    __slots__ = ("entry", "func", "is_rewritten", "is_simple", "sizes_at")

    def __init__(self, func: Any, entry: Op) -> None:
        self.func = func  # which lives as long as its number is a key
        self.entry = entry
        self.sizes_at = -1 if entry.sizes_at is None else entry.sizes_at
        self.is_rewritten = may_be_in_place(func)
        self.is_simple = (
            entry is not _UNKNOWN and not entry.inplace and not entry.writes and entry.positions is None
            and entry.returns is None and entry.shape_only != (1,) and not entry.unshrunk and not entry.reshapes_in_place
        )  # fmt: skip


class TrainingTracer(Tracer):
    """Records a training step; ``in_place``: as plain eager, gradients are added into a buffer that nobody else holds, which a
    dispatch mode keeps the engine from; ``wraps``: what no dispatched op shows is counted as well."""

    differentiates = True
    answering = _Answers
    converting = _Keys

    def __init__(
        self, scope: Scope, registry: Registry, held: Inventory, progress: Callable[[int], None] | None = None,
        decisions: Decisions | None = None, compiling: bool = False, in_place: bool = True, wraps: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(scope, registry, held, progress, decisions, compiling)
        self.is_plain = in_place
        self._accumulation = Accumulation(scope) if in_place else None
        self._wrapping = Wrapping(self.ledger) if wraps else None
        self.answers.aside = self.aside  # type: ignore[attr-defined]
        self.answers.placed = self.placed = held.placed  # type: ignore[attr-defined]
        self._sees_inside = self.placed is not None and self.placed.type != "cpu"  # its allocator notes each moment
        self._aside = False  # whether what runs now is the analysis' own work on real data
        self._overloads: dict[int, _Overload] = {}
        own = [(f, o) for o in registry.overriding for f in o.extra]
        self._own = {f: o for f, o in own if not isinstance(f, (torch_private.OpOverload, type))}  # functions with a rule
        self._backwards: dict[Signature, Op] = {}  # of calls that rules of the user's stand for
        self._by_node: dict[int, int] = {}  # sequence number of an autograd node -> the first call of its forward
        self.backward_of: dict[int, int] = {}  # call of a backward -> the call it is the backward of
        self._number = 0
        self._running_node = -1
        self._node_began = 0  # the first call of the node that runs
        self.hooked: dict[int, tuple[torch.Tensor, list[Any], list[Any]]] = {}  # parameters whose stand-ins lack their hooks
        self.touched = 0  # how often Python code reached for the graph: functions of its own, hooks, nodes
        self.watch: Any = None  # told where a step of the user's own goes over into another phase
        self._composed = ""  # the node that runs, if its formula calls composites
        self.within: list[tuple[int, int]] = []  # entries of the log that one call of Python's made, if they are several

    @property
    def hooks(self) -> int:
        """How often hooks were put on tensors, or a node of the graph was looked at."""
        return self.answers.looked

    @property
    def node_calls(self) -> Mapping[int, int]:
        """The first call of the forward of each node, by the node's number."""
        return self._by_node

    @contextmanager
    def below(self) -> Iterator[None]:
        """A block in which the dispatcher leads here."""
        with _Dispatch(self):
            yield

    # -- what the model calls -----------------------------------------------------------------------------------------
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._aside:
            return func(*args, **kwargs)
        stand = _AS_IT_IS.issuperset(map(type, args))  # whether nothing has to be replaced, nor has a level of torch.func
        if (not stand and _wraps(args)) or (kwargs and _wraps(tuple(kwargs.values()))):
            return self._of_wrapped(func, args, kwargs)
        own = self._own.get(func)
        if own is not None and own.overrides is None:
            return self.ruled(own, func, args, kwargs)
        if own is not None:
            self.notes.add(f"a step counts {own.name} as torch takes it apart, and not by the rule that was given for it")
        if func not in self._resolved:
            done, result = self._answered(func, args, kwargs)
            if done:
                return result
        if not stand:
            args = tuple([self._standing(a) for a in args])
        if kwargs:
            kwargs = {name: self._standing(a) for name, a in kwargs.items()}
        if func in FORMS and (not kwargs or func in NAMED):
            func = partial(_let_go, FORMS[func], self)
        wrapping = self._wrapping
        if wrapping is None:
            return func(*args, **kwargs)
        wrapping.by_python = True
        log = self.ledger.log
        start = len(log)
        try:
            result = func(*args, **kwargs)
        finally:
            several = len(log) > start + 1 and func not in _SEVERAL and not isinstance(func, FunctionType)
            if several and not self._sees_inside:
                self.within.append((start, len(log)))  # also of one that a checkpoint has seen enough of
            wrapping.by_python = False
            wrapping.held = None
        if wrapping.saved is not None and type(result) is StandIn:
            wrapping.hold(result)
        return result

    def ruled(self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a call of what a user's rule stands for; torch's engine gets a node for it."""
        with self.aside():
            tensors: list[StandIn] = []
            for a in (*args, *kwargs.values()):
                self._convert(a, [entry], tensors)
            result = self.record(entry, func, args, kwargs)
        return with_backward(self, entry, result, list({id(x): x for x in tensors}.values()))

    def backward_op(self, signature: Signature) -> Op:
        """The backward of calls of this signature."""
        found = self._backwards.get(signature)
        if found is None:
            found = self._backwards[signature] = backward_of(signature)
            if signature.op.differentiable is not False:
                name = signature.op.name
                self.notes.add(f"what {name} saves for its backward is not known: the tensors of its call are taken")
        return found

    def data_of(self, x: Any) -> torch.Tensor | None:
        """The elements of a tensor, if they are known."""
        return self.answers.known_data(x) if type(x) is StandIn else None

    def fact_of(self, x: Any) -> TensorFact:
        """What is known of a stand-in."""
        return self.state(x)._value.fact

    def literal(self, data: Any) -> StandIn:
        """A tensor of Python's numbers."""
        with self.aside():
            return make_literal(self, data, None, None)

    def made(self, func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """A new tensor, of sizes that Python's bindings would want as numbers."""
        with self.aside():
            return self.record(self.registry[func], func, args, options)

    def shape_of(self, func: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
        """The shape of the result of an op, as a model would see it."""
        with self.aside():
            facts = [a._value.fact if type(a) is StandIn else _size_of(a) for a in args]
            fact = facts_of_result(self.registry[func].shape(self.scope, *facts))
            return tuple(self.answers.layout(fact)[0])

    def _of_wrapped(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call with tensors that ``torch.func`` has wrapped: torch applies its own rules, and sizes are shown as formulas."""
        special = SPECIAL.get(func) if func in _LITERALS else None
        if special is not None:
            with self.aside():
                return special(self, *args, **kwargs)
        if isinstance(func, FunctionType):
            done, found = self.run_through(func, args, kwargs)
            if done:
                return found
        entry = self.registry.get(func)
        if entry is not None and entry.follows == "mapped":
            args = tuple([self._in_tensor(a) for a in args])
        args = tuple([self._standing(a) for a in args])
        kwargs = {name: self._standing(a) for name, a in kwargs.items()}
        found = by_own_rule(func, args, kwargs, self._form_of)
        if found is NotImplemented:
            found = (_MAPPED_FORMS.get(func) or func)(*args, **kwargs)
        return found if isinstance(found, torch.Tensor) else self._shown(found)

    def _form_of(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return partial(FORMS[func], self) if func in FORMS else func

    def _in_tensor(self, a: Any) -> Any:
        """A size that an elementwise op computes with, as a tensor: torch's rules for mapped functions want its value."""
        if type(a) is not SymSize and type(a) is not SymRatio:
            return a
        with self.aside():
            return make_literal(self, a, None if type(a) is SymSize else torch.get_default_dtype(), None)

    def _shown(self, found: Any) -> Any:
        """Sizes that C++ answers with, as a model sees them."""
        if type(found) is torch.SymInt and type(found.node) is SizeNode:
            return self.answers.as_int(found.node.expr)
        if type(found) is torch.Size:
            return torch.Size([self._shown(n) for n in found])
        return found

    def _answered(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
        """Whether the call is no op of the dispatcher's, and its result."""
        special = _ANSWERED.get(func)
        if special is not None:
            with self.aside():
                return True, special(self, *args, **kwargs)
        if func in _HOOKS:
            self.answers.looked += 1
        if func in PLACES and args and (placed := placed_of(self, args[0])) is not None:
            return True, PLACES[func](placed)
        metadata = _METADATA.get(func)
        if metadata is not None and args and type(args[0]) is StandIn:
            with self.aside():
                return True, metadata(*args, **kwargs)
        if not _concerns(args, self) and not _concerns(kwargs.values(), self):
            if isinstance(func, FunctionType):
                return self.run_through(func, args, kwargs)
            with self.aside():
                return True, func(*args, **kwargs)
        if isinstance(func, FunctionType):
            return self.run_through(func, args, kwargs)
        return False, None

    def _standing(self, a: Any) -> Any:
        """The argument with stand-ins in the place of real tensors."""
        kind = type(a)
        if kind in _AS_IT_IS:
            return a
        if isinstance(a, torch.Tensor):
            return a if _is_wrapped(a) else self._standing_for(a)
        if kind is tuple or kind is list:
            return kind([self._standing(x) for x in a])
        if kind is dict:
            return {name: self._standing(x) for name, x in a.items()}
        if self.placed is not None and (kind is torch.device or kind is str):
            return _HOME if str(a).partition(":")[0] == self.placed.type else a
        return a

    def _standing_for(self, a: torch.Tensor) -> StandIn:
        before, self._aside = self._aside, True
        try:
            found = self.state(a)
            if self.hooked and id(a) in self.hooked:
                _hook(found, *self.hooked.pop(id(a)))
            return found
        finally:
            self._aside = before

    def standing(self, tree: Any) -> Any:
        """The same for arguments that reach torch's C++ by no function of its own: of ``Function.apply``, of the engine."""
        with self.aside():
            return self._standing(tree)

    def note_state(self, state: torch.Tensor) -> None:
        """A tensor of data that lives as long as something holds it, and that no dispatched op has made."""
        if self._wrapping is not None:
            state._fxcount_storage = self.ledger.new_storage(state.nbytes, "op")  # type: ignore[attr-defined]

    def calling(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """``func`` with stand-ins in the place of the real tensors it is called with."""
        self.touched += 1
        return lambda *args, **kwargs: func(*self.standing(args), **self.standing(kwargs))

    def run(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``func`` as the model would."""
        before, self._aside = self._aside, False
        try:
            return func(*[self._standing(a) for a in args], **{n: self._standing(a) for n, a in kwargs.items()})
        finally:
            self._aside = before

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A block of the analysis' own: torch works on real data there, and nothing is recorded."""
        before, self._aside = self._aside, True
        try:
            yield
        finally:
            self._aside = before

    # -- what reaches the dispatcher ----------------------------------------------------------------------------------
    def dispatched(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        """Record an ATen op and return its stand-in result."""
        if self._aside:
            return func(*args, **(kwargs or {}))
        self._aside = True
        modules = self.modules
        now = modules.now
        try:
            overload = self._overloads.get(id(func)) or self._overload(func)
            if overload is None:
                query = _QUERIES.get(func)
                return func(*args, **(kwargs or {})) if query is None else query(self, *args, **(kwargs or {}))
            if self.placed is not None and kwargs and kwargs.get("device") == _HOME:
                kwargs = {**kwargs, "device": self.placed}
            if func is _TO_COPY and not isinstance(args[0], torch.Tensor):  # a number beside a mapped one
                args = (make_literal(self, self._shown(args[0]), None, None), *args[1:])
            of = -1
            grad = _is_grad_enabled()
            wrapping = self._wrapping
            in_backward = _backward_that_runs() != -1
            if in_backward and now < 0:
                of = self._begin_of_node()
                python = wrapping is not None and wrapping.by_python  # the backward of a function of the user's
                if overload.is_rewritten and not grad and not python:
                    func, overload = self._as_plain(func, args, overload)
            elif self._composed:
                self._end_of_node()
            if grad or not in_backward:
                number = _sequence_number()
                if number != self._number:
                    self._number = number
                    self._by_node.setdefault(number - 1, len(self._calls))
            if wrapping is not None:
                wrapping.held = None
                if len(args) > 1 and type(args[1]) in NUMBERS:
                    wrapping.begin(func, args, grad)
            result = self._recorded(overload, func, args, kwargs, grad)
            if of >= 0:
                self.backward_of[len(self._calls) - 1] = of
            return result
        finally:
            self._aside = False
            self._place = None
            modules.now = now

    def _begin_of_node(self) -> int:
        """A call of the engine's, outside of all modules, is in the module and on the line of the call that it is the backward
        of: the number of that, or -1."""
        node = _node_that_runs()
        number = _node_number(node) if node is not None else -1
        if number != self._running_node:
            self._end_of_node()
            self._running_node, self._node_began = number, len(self._calls)
            self._composed = node.name() if node is not None and self.is_plain and has_composites(node.name()) else ""
        of = self._by_node.get(number, -1)
        if of >= 0:
            forward = self._calls[of]
            self.modules.now, self._place = forward.module, forward.source
        return of

    def _end_of_node(self) -> None:
        """What the node's formula has called as a whole is one op."""
        if self._composed:
            calls = self._calls[self._node_began :]
            self.within += spans_of(self._composed, calls, self.ledger.log, self.ledger.marks)
            self._composed = ""

    def _recorded(
        self, overload: _Overload, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None, grad: bool
    ) -> Any:  # fmt: skip
        entry = overload.entry
        if entry is _UNKNOWN:
            return record_unknown(self, func, args, kwargs or {})
        if not kwargs:
            at = overload.sizes_at
            if at < 0 or len(args) <= at or type(args[at]) is list:
                return self._called(overload, func, args, grad)
        result = self.record(entry, func, args, kwargs)
        return self._finished(entry, args, result)

    def _called(self, overload: _Overload, func: Any, args: tuple[Any, ...], grad: bool) -> Any:
        """What :meth:`record` does, of arguments as C++ hands them on."""
        entry = overload.entry
        operands: list[StandIn] = []
        key: list[Any] = [entry]
        recorded = []
        for a in args:
            if type(a) is StandIn:
                operands.append(a)
                value = a._value
                key.append(value.fact)
                recorded.append(value)
            else:
                recorded.append(self._convert(a, key, operands))
        if not operands:
            return self.record(entry, func, args, None)
        hashed = tuple(key)
        signature = self._memo.get(hashed)
        if signature is None:
            signature = self._new(hashed, entry, func, args, None, tuple(recorded), {}, operands)
        values = tuple([o._value for o in operands])
        call = Call(
            len(self._calls), func, signature, tuple(recorded), {}, values, self.modules.now,
            self._place or find_source(sys._getframe(_STEPS), self._met), grad,
        )  # fmt: skip
        self._marks.append(len(self._log))
        requires_grad = bool(grad and entry.differentiable) and True in [v.requires_grad for v in values]
        outcome = self._outcome(signature) if overload.is_simple else None
        if outcome is not None and not operands[0]._storage.constant:
            result: Any = self._results.one(outcome, call, operands, requires_grad)
        else:
            result = self._results_of(call, args, None, operands, requires_grad)
            call.result = values_of_result(result)
        self._calls.append(call)
        if self.progress is not None:
            self.progress(call.index)
        return result if overload.is_simple else self._finished(entry, args, result)

    def _finished(self, entry: Op, args: tuple[Any, ...], result: Any) -> Any:
        """What is to be done after a call of an op with traits of its own."""
        if entry.reshapes_in_place and result is args[0]:
            _reshape(result)
        if entry.unshrunk and type(result) is StandIn:
            self._hold_unshrunk(self._calls[-1].signature, result)
        return result

    def belongs(self, forward: int) -> None:
        """The call just recorded belongs to the backward of an earlier one, and to the line of that."""
        call = self._calls[-1]
        call.source = self._calls[forward].source
        self.backward_of[call.index] = forward

    def _as_plain(self, func: Any, args: tuple[Any, ...], overload: _Overload) -> tuple[Any, _Overload]:
        """An op of the engine's as plain eager does it: in place where it can be."""
        written = self._accumulation and self._accumulation.in_place_of(func, args, self._maker)
        if written is None:
            return func, overload
        found = self._overloads.get(id(written)) or self._overload(written)
        return written, found or _Overload(written, _UNKNOWN)

    def _maker(self, x: StandIn) -> Any:
        """The overload that has made a tensor, if the node that runs has made its memory."""
        is_of_node = self.ledger.storages[x._storage.index].born >= self._node_began
        return self._calls[x._value.call].func if is_of_node else None

    def _hold_unshrunk(self, s: Signature, result: StandIn) -> None:
        """Memory that a result has besides its elements lives as long as the result."""
        assert s.op.temporaries is not None
        nbytes = s.op.temporaries(facts_of_result(s.result), *s.args, **s.kwargs)
        if nbytes != 0:
            result._storage.parts = (self.ledger.new_storage(nbytes, "op"),)

    def _overload(self, func: Any) -> _Overload | None:
        """What is known of an overload; ``None`` for what is to run as it is."""
        if func.namespace == "profiler" or func in _QUERIES:
            return None
        found = self.registry.get(func)
        if found is None:
            found = self._resolved.get(func, _UNKNOWN)
        made = _Overload(func, found)
        if found is not _UNKNOWN:
            self._overloads[id(func)] = made
        return made

    def forget(self) -> None:
        super().forget()
        self.scope.node = None
        self._overloads.clear()
        self._outcomes.clear()
        self._by_node.clear()


def _hook(stand_in: StandIn, real: torch.Tensor, before: list[Any], after: list[Any]) -> None:
    """Have the hooks of a parameter run for its stand-in; those that get the parameter itself get the real one, whose identity
    people go by."""
    for hook in before:
        stand_in.register_hook(hook)  # type: ignore[no-untyped-call]
    for hook in after:
        stand_in.register_post_accumulate_grad_hook(lambda _, hook=hook: hook(real))  # type: ignore[no-untyped-call]


def _let_go(form: Callable[..., Any], tracer: TrainingTracer, *args: Any, **kwargs: Any) -> Any:
    """Call a form. C++ frees its temporaries where a checkpoint stops it midway; Python's live as long as the error."""
    try:
        return form(tracer, *args, **kwargs)
    except BaseException as error:
        clear_frames(error.__traceback__)
        raise


def _sizes(tracer: TrainingTracer, x: StandIn, *_: Any) -> Any:
    return list(tracer.answers.layout(tracer.state(x)._value.fact)[0])


def _alike(tracer: TrainingTracer, a: StandIn, b: StandIn) -> bool:
    """Whether a gradient fits what it is the gradient of: here both are dense."""
    one, two = (tracer.state(x)._value.fact.shape for x in (a, b))
    return len(one) == len(two) and all([tracer.scope.same(m, n, "is_same_size") for m, n in zip(one, two)])


def _zeros(tracer: TrainingTracer, size: Any, **options: Any) -> Any:
    """The tangent of what does not depend on the input."""
    zeros = torch.ops.aten.zeros.default
    return tracer.record(tracer.registry[zeros], zeros, (size,), options)


def _lifted(tracer: TrainingTracer, x: torch.Tensor) -> Any:
    """What Python's bindings make of a number or a list that indexes or is written: memory of the step."""
    if isinstance(x, StandIn):
        return tracer.record(tracer.registry[_LIFT], _LIFT, (x,), None)
    return make_literal(tracer, x.tolist(), x.dtype, x.device)


_LIFT = torch.ops.aten.lift_fresh.default
_QUERIES: dict[Any, Callable[..., Any]] = {
    _LIFT: _lifted,
    torch.ops.aten.size.default: _sizes,
    torch.ops.aten.sym_size.default: _sizes,
    torch.ops.aten.is_same_size.default: lambda tracer, a, b: _alike(tracer, a, b),
    torch.ops.aten._has_same_storage_numel.default: lambda tracer, a, b: _alike(tracer, a, b),
    torch.ops.aten._new_zeros_with_same_feature_meta.default: lambda tracer, x, like, *, self_num_batch_dims=0: _zeros(
        tracer, (*_sizes(tracer, x)[:self_num_batch_dims], *_sizes(tracer, like)), dtype=like.dtype, device=like.device
    ),
    torch.ops.aten._efficientzerotensor.default: lambda tracer, *size, **options: _zeros(tracer, *size, **options),
    torch.ops.aten._linalg_check_errors.default: lambda tracer, info, name, *, is_matrix: None,  # a check of data
    torch.ops.aten._local_scalar_dense.default: lambda tracer, x: tracer.answers.scalar(tracer.state(x), "item()"),
}
"""Overloads that make no tensor: what C++ asks."""


_MAPPED_FORMS: dict[Any, Callable[..., Any]] = {
    torch_private.nn_functions.linear: mapped_linear,
    **{cell: mapped_cell(cell) for cell in (torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell)},
}
"""What torch makes of some functions of mapped tensors, in a form that takes formulas."""


def _wraps(items: Any) -> bool:
    """Whether a tensor of ``torch.func``'s is among the arguments."""
    for a in items:
        kind = type(a)
        if kind is torch.Tensor or kind is torch.nn.Parameter:
            if _is_wrapped(a):
                return True
        elif (kind is tuple or kind is list) and _wraps(a):
            return True
    return False


def _size_of(a: Any) -> Any:
    if type(a) is SymSize:
        return a.expr
    return tuple(map(_size_of, a)) if isinstance(a, (tuple, list)) else a


def _reshape(x: StandIn) -> None:
    """Have C++ know the sizes that the stand-in has from now on."""
    answers: Any = x._owner
    found = answers.wrapper(x._value.fact)
    with _no_functions(), _no_dispatch():
        _set_data(x, found)


_UNKNOWN = Op("unknown", lambda scope, *args: (), Unknown())
"""Stands for overloads without a rule."""


def _concerns(items: Any, tracer: Tracer) -> bool:
    """Whether the data flow of the model is among the arguments."""
    for a in items:
        kind = type(a)
        if kind is StandIn or kind is SymSize:
            return True
        if isinstance(a, torch.Tensor):
            if tracer.ledger.is_state(a):
                return True
        elif isinstance(a, (tuple, list)):
            if _concerns(a, tracer):
                return True
        elif isinstance(a, dict) and _concerns(a.values(), tracer):
            return True
    return False
