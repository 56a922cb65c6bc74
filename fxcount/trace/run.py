"""Run a model once under the tracer and collect the trace."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from fxcount.errors import DepthError, FxcountError, InputError, first_line
from fxcount.ops import REGISTRY, Registry, SparseFact, TensorFact
from fxcount.ops.core.fact import SparseForm
from fxcount.symbolic import BRANCH, Scope, prod
from fxcount.symbolic.unbacked import Unbacked
from fxcount.torch_private import pytree
from fxcount.trace.branches import both_ways
from fxcount.trace.inputs.census import Census, every_module
from fxcount.trace.inputs.inventory import Inventory, take_inventory
from fxcount.trace.inputs.options import check_binds
from fxcount.trace.inputs.specs import InputSpec, Plain, default_hints, parse_inputs, whole_hints
from fxcount.trace.nesting import refusing_depth, too_deep
from fxcount.trace.partial import keep_partial
from fxcount.trace.tape import Events, Trace, Value
from fxcount.trace.torch_patch.active import Undo
from fxcount.trace.torch_patch.einx import einx_changes, globals_of_einx, is_of_einx
from fxcount.trace.torch_patch.kinds import Kinds
from fxcount.trace.torch_patch.layers import rule_forwards
from fxcount.trace.torch_patch.lazy import with_own_lazy_state, without_gathering
from fxcount.trace.torch_patch.leftovers import Leftovers
from fxcount.trace.torch_patch.lengths import Missed, namespaces_of, overlay, shadow
from fxcount.trace.torch_patch.loops import StepsDiffer
from fxcount.trace.torch_patch.numbers import number_functions
from fxcount.trace.torch_patch.preserve import keep
from fxcount.trace.torch_patch.session import TraceSession, place_raised, random_functions
from fxcount.trace.tracer.arrays import array_of
from fxcount.trace.tracer.decisions import Decisions
from fxcount.trace.tracer.engine import NeedsEngine
from fxcount.trace.tracer.jagged import jagged_input
from fxcount.trace.tracer.outputs import collect
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.tracer import Tracer

__all__ = ["Run", "check_call", "trace_model"]


def trace_model(
    model: torch.nn.Module,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    hints: Mapping[str, int] | None = None,
    registry: Registry = REGISTRY,
    progress: Callable[[int], None] | None = None,
    pinned: str = "",
    device: torch.device | None = None,
) -> Trace:
    """Trace ``model(*args, **kwargs)`` symbolically; arguments are input specifications. A reason why sizes must be
    ``pinned`` makes the model see plain integers: the formulas then hold at the hints. On a ``device`` the model and its inputs
    are taken to lie, wherever they do.

    Raises :class:`~fxcount.errors.InputError` for inputs that do not describe a call, and what the model raises.
    """
    specs = (tuple(parse_inputs(a) for a in args), parse_inputs(dict(kwargs or {})))
    check_call(model, specs)
    return TraceSession.run(Run(model, specs, whole_hints(hints or {}), registry, progress, pinned, device).trace)


class Run:
    """One call of a model, to be traced."""

    def __init__(
        self, model: torch.nn.Module, specs: Any, hints: Mapping[str, int], registry: Registry,
        progress: Callable[[int], None] | None, pinned: str = "", device: torch.device | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.device = device
        self.called = model  # whose forward names the inputs
        self.pinned = pinned
        leaves, self.tree = pytree.tree_flatten(specs)
        self.leaves = [leaf.value if isinstance(leaf, Plain) else leaf for leaf in leaves]
        self.labels = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(specs)[0]]
        self.hints = hints
        self.registry = registry
        self.progress = progress
        self.unrolled: set[str] = set()  # places of loops that are run step by step

    def trace(self, undo: Undo) -> Trace:
        """Trace the call as a plain run goes. If that asks for data nobody knows, the model is told, as a last resort, that it
        is being compiled: libraries then ask less. The model is left as found."""
        try:
            trace = self._whatever_data_say(undo, compiling=False)
        except (InputError, DepthError, NeedsEngine):
            raise
        except Exception as error:
            try:
                trace = self._whatever_data_say(undo, compiling=True)
            except Exception:
                raise error from None
            return _told(trace, getattr(error, "what", "") or f"{type(error).__name__}: {first_line(error)}")
        guesses = _guesses(trace)
        if guesses:
            with suppress(Exception):
                other = self._whatever_data_say(undo, compiling=True)
                if len(_guesses(other)) < len(guesses):
                    return _told(other, f"the counts rest on a guess, {guesses[0]}")
        return trace

    def _whatever_data_say(self, undo: Undo, compiling: bool) -> Trace:
        """The trace, whichever way decisions on data go."""
        if BRANCH in self.hints:
            return self._one_way(undo, None, compiling)
        return both_ways(lambda decisions: self._one_way(undo, decisions, compiling))

    def _one_way(self, undo: Undo, decisions: Decisions | None, compiling: bool) -> Trace:
        """One run; again if code was found on the way that must see another ``len``, ``int`` or ``math``. Code that does not
        take what these give is left with Python's own."""
        missed = Missed()
        kept: Trace | None = None
        while True:
            attempt = Undo()
            undo.add(attempt.run)
            try:
                with refusing_depth("the model, or what it returns,"):
                    trace, found = self._attempt(missed, attempt, decisions, compiling)
            except StepsDiffer as error:
                if error.place in self.unrolled:
                    raise
                self.unrolled.add(error.place)
                continue
            except Exception as error:
                again = missed.and_also(Missed(numbers=tuple(globals_of_einx(error))))
                if len(again) > len(missed):
                    missed = again
                    continue
                if kept is None or not missed.numbers:
                    raise
                return kept
            finally:
                attempt.run()
            missed, before, kept = missed.and_also(found), missed, trace
            if len(missed) == len(before):
                return trace

    def _attempt(
        self, missed: Missed, undo: Undo, decisions: Decisions | None, compiling: bool
    ) -> tuple[Trace, Missed]:
        census = Census.of(self.model)
        fingerprint = census.fingerprint()
        own = namespaces_of(census.modules)
        leftovers = Leftovers(own, census.modules)
        undo.add(leftovers.sweep)
        held = self._prepared(census, undo, compiling)
        shadow([*own, *missed.lengths], self._named_in, undo)
        for namespace, ours in _changes_for(missed.numbers):
            overlay(namespace, ours, undo)
        rule_forwards(self.registry, undo)
        tracer = self._tracer(held, decisions, compiling)
        kinds = Kinds(undo)
        kinds.of_classes({type(m) for m in census.modules})
        kinds.of_values(census.own)
        tracer.answers.tell_reader = kinds.of_code
        scope, ledger = tracer.scope, tracer.ledger
        leftovers.watch(ledger, scope)
        leftovers.count()
        given = self._given(tracer, held)
        inputs = [s._value for s in given if isinstance(s, StandIn)]
        call_args, call_kwargs = self._arguments(given)
        del given
        try:
            result = self._call(tracer, call_args, call_kwargs)
        except Exception as error:
            keep_partial(error, self._traced(tracer, held, inputs, ended=_why(error)))
            scope.close()
            raise
        if tracer.answers.failed is not None:
            raise tracer.answers.failed  # the model has caught it, and gone a way that it does not go in eager mode
        events = ledger.events()  # the caller holds the arguments as long as the model runs
        scope.close()  # the tracer, and the stand-ins of parameters it keeps, end here
        outputs = collect(result, ledger.state)
        del call_args, call_kwargs, result
        leftovers.finished = True
        tracer.numbers.close()
        reassigned = held.reassigned()
        tracer.forget()
        scope.unbacked.check_given()
        trace = replace(
            self._traced(tracer, held, inputs), events=events, outputs=outputs, reassigned=reassigned, fingerprint=fingerprint
        )
        return trace, Missed(tuple(tracer.answers.missed_lengths), tuple(tracer.answers.missed_numbers))

    def _traced(self, tracer: Tracer, held: Inventory, inputs: list[Value], ended: str = "") -> Trace:
        """What the tracer has recorded, with no outputs; ``ended`` says why it is not the whole forward."""
        ledger = tracer.ledger
        return Trace(
            model_name=type(self.model).__name__, scope=tracer.scope, inputs=inputs, calls=ledger.calls,
            modules=tracer.modules.found, states=ledger.states, storages=ledger.storages,
            events=ledger.events() if ended else Events(), outputs=(),
            module_paths={path: type(m).__name__ for path, m in held.modules}, signatures=ledger.signatures,
            declared=held.declared, input_tree=(self.tree, self.leaves), notes=tracer.notes.texts, executable=not ended,
            functions=tuple(ledger.functions), aliases=held.aliases, queries=ledger.queries, ended=ended,
            training=self.model.training, unseen=tracer.answers.unseen,
        )  # fmt: skip

    def _prepared(self, census: Census, undo: Undo, compiling: bool) -> Inventory:
        """What the model holds when it runs; it, and what is given to it as it is, are put back as they are now by ``undo``."""
        keep(census, undo, [leaf for leaf in self.leaves if not isinstance(leaf, InputSpec)])
        without_gathering(census.modules)
        if not census.has_lazy_state():
            return self._placed(take_inventory(self.model, census.listed))
        self._run_lazy(census.modules, compiling)
        return self._placed(take_inventory(self.model))

    def _placed(self, held: Inventory) -> Inventory:
        return held if self.device is None else replace(held, placed=self.device)

    def _run_lazy(self, modules: list[torch.nn.Module], compiling: bool) -> None:
        """Run the model on stand-ins for what its lazy modules learn by it."""
        with_own_lazy_state(modules)
        nothing = take_inventory(torch.nn.Module())
        held = replace(nothing, modules=tuple(every_module(self.model)))
        tracer = self._tracer(held, None, compiling)
        args, kwargs = self._arguments(self._given(tracer, held))
        try:
            self._call(tracer, args, kwargs)
        except Exception:
            if Census(modules).has_lazy_state():
                raise
        tracer.forget()

    def _tracer(self, held: Inventory, decisions: Decisions | None, compiling: bool) -> Tracer:
        scope = Scope({})
        tensors = [leaf for leaf in self.leaves if isinstance(leaf, InputSpec)]
        for name, hint in default_hints(tensors, self.hints, scope.unbacked).items():
            size = scope.declare(name, hint)
            if self.pinned:
                scope.pin(size, self.pinned)
        tracer = self._new_tracer(scope, held, decisions, compiling)
        tracer.unrolled = self.unrolled
        scope.where, scope.taken = tracer.where, tracer.answers.note_number
        return tracer

    def _named_in(self, namespace: dict[str, Any]) -> dict[str, Any]:
        """What stands for functions that a module has imported or bound by name."""
        return random_functions(namespace)

    def _new_tracer(self, scope: Scope, held: Inventory, decisions: Decisions | None, compiling: bool) -> Tracer:
        return Tracer(scope, self.registry, held, self.progress, decisions, compiling)

    def _given(self, tracer: Tracer, held: Inventory) -> list[Any]:
        """Everything that is in the arguments, with stand-ins for tensors and arrays."""
        def made(leaf: InputSpec, name: str) -> StandIn:
            return tracer.input(_fact(leaf, held, tracer, name, bool(self.pinned)), name, leaf.requires_grad, leaf.data)

        return [
            made(leaf, _label(label, self.called)) if isinstance(leaf, InputSpec) else leaf
            for leaf, label in zip(self.leaves, self.labels, strict=True)
        ]

    def _arguments(self, given: list[Any]) -> Any:
        """Positional and named arguments of the call."""
        return pytree.tree_unflatten([_as_given(x, leaf) for x, leaf in zip(given, self.leaves, strict=True)], self.tree)

    def _call(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return self._under(tracer, args, kwargs)
        except FxcountError as error:
            _remember(error, tracer.scope)
            if not error.where:
                error.where = place_raised(error)
            raise
        except RecursionError as error:
            raise too_deep("the model", place_raised(error)) from None
        except Exception as error:
            _remember(error, tracer.scope)
            error.add_note(f"while fxcount traced {type(self.model).__name__}, at {place_raised(error)}")
            raise

    def _under(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What is traced, run under the tracer."""
        return TraceSession.trace(tracer, self.model, args, kwargs)


def _changes_for(namespaces: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What code that took plain numbers sees instead: the globals it has, and what is to stand in them."""
    einx = False
    for namespace in namespaces:
        if is_of_einx(namespace):
            einx = True
        else:
            yield namespace, number_functions(namespace)
    if einx:
        yield from einx_changes()


def _why(error: Exception) -> str:
    """What a forward raised, in one line, and where."""
    what = error.what if isinstance(error, FxcountError) else f"{type(error).__name__}: {first_line(error)}"
    return f"{' '.join(what.split())} at {getattr(error, 'where', '') or place_raised(error)}"


def _remember(error: Exception, scope: Scope) -> None:
    """Which decisions led to it: the model fails alike wherever they come out the same."""
    with suppress(AttributeError, TypeError):  # classes may allow no attributes
        error.__assumed__ = tuple(scope.assumptions)  # type: ignore[attr-defined]


def _guesses(trace: Trace) -> list[Unbacked]:
    """Sizes that data decide and for which nobody has given a value."""
    unbacked = trace.scope.unbacked
    guessed = [u for u in unbacked.by_name.values() if u.guess]
    return [u for u in guessed if unbacked.given.keys().isdisjoint({u.name, u.name.rpartition("_")[0]})]


def _told(trace: Trace, why: str) -> Trace:
    trace.notes.append(f"the model was told that it is being compiled (torch.compiler.is_compiling()), since otherwise: {why}")
    return trace
def _fact(spec: InputSpec, held: Inventory, tracer: Tracer, name: str, pinned: bool) -> TensorFact:
    if pinned:
        spec = spec.mapped(tracer.scope.hint)
    dtype, device, shape = spec.dtype or held.dtype, held.placed or spec.device or held.device, spec.shape
    if spec.layout is torch.strided:
        return TensorFact(shape, dtype, device, spec.strides)
    numel = prod(shape)
    entries = spec.form or tracer.scope.unbacked.new("nnz", f"the stored entries of the input {name}", numel, numel)
    form = entries if isinstance(entries, SparseForm) else SparseForm.of(spec.layout, shape, entries)
    return SparseFact(shape, dtype, device, form=form)


def _as_given(x: Any, leaf: Any) -> Any:
    """What the model gets: the stand-in, or an array or a nested tensor made of it."""
    if not isinstance(leaf, InputSpec):
        return x
    if leaf.lengths:
        return jagged_input(x, leaf.lengths)
    return array_of(x) if leaf.array else x


def _label(keystr: str, model: Any) -> str:
    """``[0][1]`` -> the second positional parameter's name; ``[1]['mask']`` -> ``mask``."""
    text = keystr
    if text.startswith("[0]"):
        index, _, rest = text[4:].partition("]")
        names = _positional_names(model)
        position = int(index)
        return (names[position] if position < len(names) else f"input_{position}") + rest
    return text[3:].replace("['", ".").replace("']", "").lstrip(".")


def _positional_names(model: Any) -> list[str]:
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def check_call(model: Any, specs: tuple[Any, Any]) -> None:
    """Complain about missing and unknown inputs in the user's terms before the model does in Python's."""
    hint = "give one specification per tensor input, keyword inputs by name"
    check_binds(model.forward, f"{type(model).__name__}.forward", *specs, " with these inputs", hint)
