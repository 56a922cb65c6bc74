"""Edges of the graph: how tensors flow, what shares memory, which names mean the same thing, what contains what.

Flow edges (:data:`FLOW`) go from where a tensor comes from to the op or output that takes it:

``data``        a result, input, buffer or constant is an argument
``parameter``   a parameter is an argument
``write``       an op wrote in place to memory that the target reads through another tensor, or writes again
``function``    the source is an input of a ``torch.autograd.Function`` whose result the target makes: gradients take its own
                backward, past the ops inside

On a flow edge ``gradient`` says whether autograd sends a gradient back along it, and ``shape_only`` that the target looks at
nothing but shape and dtype. So what comes to an output along flow edges that carry more than a shape has a part in the
result, and what does so along edges with a gradient is trained by it.

``view``        the source shares the memory of the target
``alias``       the source is a further name of the target
``contains``    a module its submodules and state; a module call the ops and module calls inside it; an op its results,
                where each is of one operand alone
``call``        the target is a call of the module that is the source
"""

from __future__ import annotations

from collections.abc import Iterator

from fxcount.passes.gradients import Recorded
from fxcount.passes.uses import arguments_of, called_paths
from fxcount.report.views.graphs.nodes import Attributes, Plain, declared_id, keeps_apart, tensor_attributes
from fxcount.report.views.graphs.outputs import named_outputs
from fxcount.trace.tape import Call, Trace, Value

__all__ = ["FLOW", "Edge", "edges", "flow_edges", "shared_states"]

FLOW = ("data", "parameter", "write", "function")
Edge = tuple[str, str, Attributes]
_CONTAINS: Attributes = {"kind": "contains"}
_CALL: Attributes = {"kind": "call"}
_ALIAS: Attributes = {"kind": "alias"}
_VIEW: Attributes = {"kind": "view"}
_WRITES: dict[bool, Attributes] = {trained: {"kind": "write", "gradient": trained} for trained in (False, True)}


def edges(trace: Trace, plain: Plain) -> Iterator[Edge]:
    """All edges; those of the flow in the order of execution. Edges that look alike have one and the same attributes."""
    yield from flow_edges(trace, plain)
    yield from shared_states(trace)
    yield from _aliases(trace)
    yield from _containment(trace)


def flow_edges(trace: Trace, plain: Plain) -> Iterator[Edge]:
    """Those of the flow, and ``view`` from op to op."""
    return _Flow(trace, plain).edges()


class _Flow:
    """A walk over the calls that knows where each value comes from and who wrote last to each storage."""

    def __init__(self, trace: Trace, plain: Plain) -> None:
        self.trace = trace
        self.plain = plain
        self.recorded = Recorded(trace)
        self.origin: dict[int, str] = {}  # index of a value -> node it comes from
        self.owner: dict[int, str] = {}  # storage -> node that brought it
        self.writer: dict[int, str] = {}  # storage -> op that wrote to it last
        self.trained_writer: dict[int, str] = {}  # family of views -> op that wrote to it last with a gradient
        self.results: set[int] = set()  # values that are one of several results of their op
        self._facts: dict[int, Attributes] = {}
        self._looks: dict[tuple[object, ...], Attributes] = {}
        self._names: dict[int, list[str]] = {}
        for v in (*trace.inputs, *[s.value for s in trace.states]):
            self._bring(v, f"{v.origin}:{v.name}")

    def _bring(self, v: Value, node: str) -> bool:
        """Note where a value comes from; whether its storage was there before."""
        self.origin[v.index] = node
        return self.owner.setdefault(v.storage, node) != node

    def edges(self) -> Iterator[Edge]:
        for call in self.trace.calls:
            yield from self._into(call)
            if keeps_apart(call):
                yield from self._one_to_one(call)
            else:
                yield from self._out_of(call)
        yield from self._functions()
        for name, v in named_outputs(self.trace.outputs):
            floating = v.fact.dtype.is_floating_point or v.fact.dtype.is_complex
            gradient = floating and self.recorded.has_history(v)
            writes: dict[str, bool] = {}
            self._writers(v, gradient, writes)
            yield self._flow(v, f"output:{name}", gradient)
            for writer, trained in writes.items():
                yield writer, f"output:{name}", _WRITES[trained]

    def _into(self, call: Call) -> Iterator[Edge]:
        node = f"op:{call.index}"
        recorded, op = self.recorded, call.signature.op
        passes = recorded.node[call.index] and not (recorded.inner and any([v.index in recorded.inner for v in call.outputs]))
        only_shape = op.shape_only
        names = self._names.get(id(call.signature))
        if names is None:  # calls of one signature have the same arguments
            names = self._names[id(call.signature)] = arguments_of(call)
        writes: dict[str, bool] = {}
        for position, (v, name) in enumerate(zip(call.operands, names)):
            looks = position not in only_shape
            gradient = passes and looks and recorded.has_history(v)
            edge = self._flow(v, node, gradient, name, not looks)
            if looks and self.writer:
                self._writers(v, gradient, writes)
            yield edge
        for storage in call.mutated:  # what was written before is still there beside what this call writes
            if storage in self.writer:
                writes.setdefault(self.writer[storage], False)
        for v in call.outputs if call.mutated else ():
            trained = self.trained_writer.get(recorded.of(v))
            if trained is not None:
                writes[trained] = True
        for writer, gradient in writes.items():
            yield writer, node, _WRITES[gradient]

    def _writers(self, v: Value, gradient: bool, found: dict[str, bool]) -> None:
        """Ops that wrote to the memory of an operand, other than the one it is the result of."""
        writer = self.writer.get(v.storage)
        if writer is not None and writer != self.origin[v.index]:
            found.setdefault(writer, False)
        trained = self.trained_writer.get(self.recorded.of(v)) if gradient else None
        if trained is not None and trained != self.origin[v.index]:
            found[trained] = True

    def _out_of(self, call: Call) -> Iterator[Edge]:
        node = f"op:{call.index}"
        outputs = call.outputs
        if len(outputs) > 1:
            self.results.update([v.index for v in outputs])
        bases = {self.owner[v.storage]: None for v in outputs if self._bring(v, node)}
        for storage in call.mutated:
            self.writer[storage] = node
        if call.mutated and self.recorded.node[call.index]:
            for v in call.outputs:
                self.trained_writer[self.recorded.of(v)] = node
        for base in bases:
            yield node, base, _VIEW

    def _one_to_one(self, call: Call) -> Iterator[Edge]:
        """Each result from its own operand; the op is where they are made, and nothing goes on from it."""
        for i, (operand, result) in enumerate(zip(call.operands, call.outputs)):
            node = f"result:{call.index}.{i}"
            gradient = self.recorded.node[call.index] and self.recorded.has_history(operand)
            yield self._flow(operand, node, gradient, kind="data")
            writes: dict[str, bool] = {}
            self._writers(operand, gradient, writes)
            for writer, trained in writes.items():
                yield writer, node, _WRITES[trained]
            if self._bring(result, node):
                yield node, self.owner[result.storage], _VIEW
            yield f"op:{call.index}", node, _CONTAINS

    def _functions(self) -> Iterator[Edge]:
        for f in self.trace.custom_functions:
            for result in f.outputs:
                target = self.origin[result.index]
                recorded = result.call >= 0 and self.recorded.node[result.call]
                for v in f.inputs:
                    if self.origin[v.index] != target:
                        gradient = recorded and self.recorded.has_history(v)
                        attributes = {"kind": "function", "function": f.name, "gradient": gradient}
                        yield self.origin[v.index], target, attributes

    def _flow(
        self, v: Value, target: str, gradient: bool, argument: str = "", shape_only: bool = False, kind: str = ""
    ) -> Edge:
        kind = kind or ("parameter" if v.origin == "parameter" else "data")
        result = v.position if self.results and v.index in self.results else None
        key = kind, gradient, argument, result, shape_only, id(v.fact)
        attributes = self._looks.get(key)
        if attributes is None:
            fact = self._facts.get(id(v.fact))
            if fact is None:
                fact = self._facts[id(v.fact)] = tensor_attributes(v, self.plain)
            attributes = self._looks[key] = {
                "kind": kind, "gradient": gradient, **({"argument": argument} if argument else {}),
                **({} if result is None else {"result": result}), **fact, **({"shape_only": True} if shape_only else {}),
            }  # fmt: skip
        return self.origin[v.index], target, attributes


def shared_states(trace: Trace) -> Iterator[Edge]:
    """Parameters and buffers that are views of one storage: each to the first of them."""
    first: dict[int, str] = {}
    for d in trace.declared:
        node = declared_id(d)
        base = first.setdefault(d.storage, node)
        if base != node:
            yield node, base, {"kind": "view", "offset": d.offset, "span": d.span}


def _aliases(trace: Trace) -> Iterator[Edge]:
    for d in trace.declared:
        for name in d.names[1:]:
            yield f"alias:{name}", declared_id(d), _ALIAS
    for first, *others in trace.aliases:
        for path in others:
            yield f"module:{path}", f"module:{first}", _ALIAS


def _containment(trace: Trace) -> Iterator[Edge]:
    for path in dict.fromkeys((*trace.module_paths, *called_paths(trace))):
        if path:
            yield f"module:{path.rpartition('.')[0]}", f"module:{path}", _CONTAINS
    for d in trace.declared:
        for i, name in enumerate(d.names):
            node = f"alias:{name}" if i else declared_id(d)
            yield f"module:{name.rpartition('.')[0]}", node, _CONTAINS
    for m in trace.modules:
        yield f"module:{m.path}", f"call:{m.index}", _CALL
        if m.parent >= 0:
            yield f"call:{m.parent}", f"call:{m.index}", _CONTAINS
    for call in trace.calls:
        if call.module >= 0:
            yield f"call:{call.module}", f"op:{call.index}", _CONTAINS
