"""Which parameters get a gradient, and how far the others come, from the trace alone.

Both walks go backwards over the calls, from the chosen outputs. The first follows what autograd would: a call passes a
gradient to its operands if it recorded a node (grad mode on, a differentiable op, an operand that asks for it). The
second, taken only where some parameter got none, follows data, and remembers the first call on the way at which the
gradient, or even the data, ended.

Writes in place are seen as autograd sees them: through a *family*, a tensor and its differentiable views, all of which
have a history once one of them is written with one. ``detach`` begins a new family on the same storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.ops.core.fact import TensorFact
from fxcount.symbolic import Expr
from fxcount.trace.tape import Call, Trace, Value, values_in
from fxcount.trace.tracer.outputs import named_parts

__all__ = ["Path", "Reach", "Recorded", "chosen_outputs", "reach"]

GRADIENT, DATA, SHAPE = range(3)


@dataclass(frozen=True, slots=True)
class Path:
    """How a parameter or buffer comes to the outputs: with a gradient, with its data, or with its shape alone; ``stop`` is
    the call at which what came before ended, the one nearest to the outputs."""

    level: int
    stop: Call | None


class Reach:
    """``gradient``: names of the parameters that get a gradient from the outputs; how the others get there is looked up
    when it is asked for."""

    def __init__(self, trace: Trace, targets: Sequence[Value]) -> None:
        self._trace = trace
        self._targets = targets
        self._recorded = Recorded(trace)
        self._met = _gradient_walk(trace, targets, self._recorded)
        parameters = [s.value for s in trace.states if s.value.origin == "parameter"]
        self.gradient = frozenset([v.name for v in parameters if v.index in self._met])

    @cached_property
    def _states(self) -> dict[str, int]:
        return {s.value.name: s.value.index for s in self._trace.states}

    @cached_property
    def paths(self) -> dict[str, Path]:
        """The path of each parameter and buffer that reaches the outputs."""
        found = _data_walk(self._trace, self._targets, self._recorded)
        return {s.value.name: found[s.value.index] for s in self._trace.states if s.value.index in found}

    def feeds_gradient(self, name: str, first: int, within: int = 64) -> bool:
        """Whether the state ``name``, first used by call ``first``, is read ``within`` so many calls by one that a gradient
        passes, itself or what is computed from it: then its data reach the outputs. ``False`` leaves that open."""
        calls = self._trace.calls
        if first < len(calls) and not calls[first].op.shape_only:
            for v in calls[first].outputs:
                if v.index in self._met:
                    return True
        carried = {self._states[name]} if name in self._states else set()
        for call in calls[first : first + within]:
            for i, o in enumerate(call.operands):
                if o.index in carried and i not in call.op.shape_only:
                    if any([v.index in self._met for v in call.outputs]):
                        return True
                    carried.update([v.index for v in call.outputs])
        return False


def reach(trace: Trace, outputs: Iterable[Value] | None = None) -> Reach:
    """Walk back from ``outputs`` (default: everything the model returns).

    >>> import torch
    >>> from fxcount.trace import trace_model
    >>> sorted(reach(trace_model(torch.nn.Linear(3, 5), ("B,3",))).gradient)
    ['bias', 'weight']
    """
    return Reach(trace, list(trace.values_out() if outputs is None else outputs))


class Recorded:
    """Which calls autograd would record, and which values have a history, writes through views included."""

    def __init__(self, trace: Trace) -> None:
        calls = trace.calls
        self.inner = {v.index: f.inputs for f in trace.custom_functions for v in f.outputs}
        self.family: dict[int, int] = {}  # of a view or of what was written in place; others are their own
        self.hot: set[int] = set()  # families that a write gave a history
        self.node = [
            c.outputs[0].requires_grad if len(c.outputs) == 1 else any([v.requires_grad for v in c.outputs]) for c in calls
        ]
        if any([n and c.mutated for n, c in zip(self.node, calls)]):
            self._follow_writes(calls)

    def of(self, value: Value) -> int:
        return self.family.get(value.index, value.index)

    def has_history(self, value: Value) -> bool:
        return value.requires_grad or (bool(self.hot) and self.of(value) in self.hot)

    def _follow_writes(self, calls: Iterable[Call]) -> None:
        family, hot, node = self.family, self.hot, self.node
        viewed: set[int] = set()  # families with more than what was written, one time after the other
        for i, call in enumerate(calls):
            if type(call.signature.result) is TensorFact and not call.mutated and (node[i] or not hot):
                continue  # nearly always: a result of its own, which no other tensor shares
            if not call.grad_enabled or not call.op.differentiable:
                continue
            operands = call.operands
            if hot and not node[i] and any([family.get(o.index, o.index) in hot for o in operands]):
                node[i] = _floating(call)
                if node[i]:
                    hot.update([v.index for v in call.outputs if v.fact.dtype.is_floating_point or v.fact.dtype.is_complex])
            for v in call.outputs:
                for o in operands:
                    if o.storage == v.storage:
                        family[v.index] = family.get(o.index, o.index)
                        if not call.mutated:
                            viewed.add(family[v.index])
                        break
            if node[i] and call.mutated:
                hot.update([family.get(v.index, v.index) for v in call.outputs if v.storage in call.mutated])
        if not hot & viewed:
            hot.clear()  # what is written and not viewed is known by its latest value


def _gradient_walk(trace: Trace, targets: Iterable[Value], recorded: Recorded) -> set[int]:
    """Indices of the values that get a gradient."""
    node, inner = recorded.node, recorded.inner
    of, has_history = recorded.of, recorded.has_history
    tracked = bool(recorded.hot)
    plain = not tracked and not inner
    selective = {id(s) for s in trace.signatures if s.op.shape_only or s.op.one_to_one}
    needed: set[int] = set()
    families: set[int] = set()

    def need(value: Value) -> None:
        if has_history(value):
            needed.add(value.index)
            families.add(of(value))

    for value in targets:
        if value.fact.dtype.is_floating_point or value.fact.dtype.is_complex:
            need(value)
    for call, recorded_node in zip(reversed(trace.calls), reversed(node)):
        if not recorded_node:
            continue
        for v in call.outputs:
            if v.index in needed or (tracked and call.mutated and of(v) in families):
                break
        else:
            continue
        operands = call.operands if id(call.signature) not in selective else _with_gradient(call, needed)
        if plain:  # nearly always, and worth its line: this is the hot loop
            needed.update([o.index for o in operands if o.requires_grad])
        else:
            for o in inner.get(v.index, operands):
                need(o)
    return needed


def _with_gradient(call: Call, needed: set[int]) -> Sequence[Value]:
    """The operands a recorded call passes a gradient to."""
    operands = call.operands
    op = call.signature.op
    if op.shape_only:
        return [o for i, o in enumerate(operands) if i not in op.shape_only]
    if op.one_to_one and len(call.outputs) == len(operands):
        return [o for o, v in zip(operands, call.outputs) if v.index in needed]
    return operands


def _data_walk(trace: Trace, targets: Iterable[Value], recorded: Recorded) -> dict[int, Path]:
    """The best path of every value that reaches the targets."""
    values: dict[int, Path] = {}
    storages: dict[int, Path] = {}

    def need(value: Value, path: Path) -> None:
        for known, key in ((values, value.index), (storages, value.storage)):
            if key not in known or path.level < known[key].level:
                known[key] = path

    start = Path(GRADIENT, None)
    for value in targets:
        need(value, start)
    for call in reversed(trace.calls):
        found = [values[v.index] for v in call.outputs if v.index in values]
        found += [storages[s] for s in call.mutated if s in storages]
        if not found:
            continue
        path = min(found, key=_level)
        for value, level in _reads(call, recorded, values):
            if level > path.level or (level == DATA == path.level and path.stop is None):
                # what has no history of its own lost it further up
                need(value, Path(level, call if level == SHAPE or recorded.has_history(value) else None))
            else:
                need(value, path)
    return values


def _level(path: Path) -> int:
    return path.level


def _reads(call: Call, recorded: Recorded, needed: Mapping[int, Path]) -> Iterator[tuple[Value, int]]:
    """Each operand with the most that this call lets through of it."""
    asked = [v for v in call.outputs if call.mutated or v.index in needed]
    through = GRADIENT if recorded.node[call.index] and any(recorded.has_history(v) for v in asked) else DATA
    inner = [o for v in call.outputs if v.index in recorded.inner for o in recorded.inner[v.index]]
    if inner:
        yield from ((o, GRADIENT) for o in inner)
        through = DATA
    op = call.signature.op
    for i, operand in enumerate(call.operands):
        if i in op.shape_only:
            yield operand, SHAPE
        elif not op.one_to_one or len(call.outputs) != len(call.operands) or call.outputs[i].index in needed:
            yield operand, through


def _floating(call: Call) -> bool:
    return any([v.fact.dtype.is_floating_point or v.fact.dtype.is_complex for v in call.outputs])


def chosen_outputs(trace: Trace, names: str | Iterable[str] | None) -> list[Value]:
    """The values of some of the model's outputs: keys of a dict it returns, or positions in a tuple ("0", "1"), and
    with dots what is inside ("aux.0"); of a model that returns no tensor, those whose numbers it reads. Raises
    :class:`~fxcount.errors.InputError` for one it has not."""
    if names is None:
        return list(trace.values_out()) or [o for c in trace.calls if isinstance(c.result, Expr) for o in c.operands]
    return [v for n in ([names] if isinstance(names, str) else names) for v in values_in(_output(trace.outputs, n))]


def _output(tree: object, name: str) -> object:
    """What ``name`` stands for in the tree of outputs; a key may have dots of its own."""
    choices = _choices(tree)
    if name in choices:
        return choices[name]
    for key, inner in choices.items():
        if name.startswith(f"{key}."):
            return _output(inner, name[len(key) + 1 :])
    raise InputError(f"the model has no output {name!r}", hint=f"its outputs are {', '.join(choices)}")


def _choices(tree: object) -> dict[str, object]:
    return named_parts(tree) or {"0": tree}
