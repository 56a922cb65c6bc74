"""From plain data back to a report: the inverse of :mod:`fxcount.report.views.graphs.encode`.

Costs are read, not computed again: a report says what the version that wrote it has counted. Ops that fxcount knows by
name are its own again; others (a user's rule, an op without one) come back as what the file says of them, without code.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import torch

from fxcount.errors import UncountedError, UnsupportedError
from fxcount.ops import REGISTRY, SPARSE, Op
from fxcount.ops.core.fact import SparseFact, SparseForm, TensorFact, Work
from fxcount.ops.core.registry import Unknown, Zero
from fxcount.passes.cost import CallCost, Costs
from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.codec import Decoder
from fxcount.report.views.saved.conditions import assumption_from
from fxcount.report.views.saved.sizes import Read, size_from
from fxcount.report.views.saved.step import step_from
from fxcount.symbolic import Scope, Size
from fxcount.symbolic.unbacked import Unbacked
from fxcount.trace.tape import (
    Call,
    CustomFunction,
    Declared,
    Event,
    Events,
    ModuleCall,
    Signature,
    Source,
    State,
    StorageInfo,
    Trace,
    Value,
)

__all__ = ["decode"]

_Row = Mapping[str, Any]
_MAX_SYMBOLS = 1_000


def decode(body: _Row, read: Read = size_from) -> ReportData:
    """The report that :func:`~fxcount.report.views.graphs.encode.encode` has written; ``read`` gives the size of a text."""
    facts = [_fact(row, read) for row in body["facts"]]
    values = [_value(row, facts) for row in body["values"]]
    decoder = Decoder(facts, values, read)
    ops = [_op(row) for row in body["ops"]]
    signatures = [_signature(row, body["ops"][row["op"]], ops[row["op"]], decoder) for row in body["signatures"]]
    sources = [Source(file, line, function) for file, line, function in body["sources"]]
    calls = [_call(i, row, signatures, sources, decoder) for i, row in enumerate(body["calls"])]
    trace = Trace(
        model_name=body["model"],
        scope=_scope(body["scope"], read),
        inputs=[values[row] for row in body["inputs"]],
        calls=calls,
        modules=_modules(body["modules"], facts, read),
        states=[_state(row, values) for row in body["states"]],
        storages=[
            StorageInfo(
                read(row["nbytes"]), row["origin"], row["name"], row["born"], row["of"], tuple(row["keeps"])
            )
            for row in body["storages"]
        ],
        events=Events.of([Event(storage, bool(birth), call) for storage, birth, call in body["events"]], len(calls)),
        outputs=decoder.tree(body["outputs"]),
        module_paths=dict(body["module_paths"]),
        signatures=signatures,
        declared=tuple(_declared(row) for row in body["declared"]),
        frontend=body["frontend"],
        notes=list(body["notes"]),
        executable=False,
        functions=tuple(_custom_function(row, values) for row in body["functions"]),
        aliases=tuple(map(tuple, body["aliases"])),
        queries={
            name: (what, None if place is None else sources[place]) for name, (what, place) in body["queries"].items()
        },
        reassigned=tuple(body["reassigned"]),
        training=body.get("training"),
        guessed_inputs=body.get("guessed_inputs", ""),
        ended=body.get("ended", ""),
    )
    at = None if body["at"] is None else dict(body["at"])
    costs = _costs(body["signatures"], trace, read)
    report = ReportData(trace, costs, at, body["guessed"])
    if "step" in body:
        from fxcount.report.data.training import TrainingData

        report = TrainingData(step_from(body["step"], trace), costs, at, body["guessed"])
    report.fixed, report.piece.because = dict(body.get("fixed", {})), body.get("because", "")
    return report


# -- sizes and what is assumed of them --------------------------------------------------------------------------------
def _optional(plain: int | str | None, read: Read) -> Size | None:
    return None if plain is None else read(plain)


def _scope(body: _Row, read: Read) -> Scope:
    asked = len(body["hints"]) - len(body["data_sizes"])
    if asked > _MAX_SYMBOLS:  # each is asked for with all others, as when a report tells which are pinned
        raise ValueError(f"{asked:,} symbols of inputs are more than any model has")
    scope = Scope({}, where=None)
    scope.declare_all(body["hints"])
    scope.bounds.update({name: (low, high) for name, (low, high) in body["bounds"].items()})
    scope.assumptions = [assumption_from(row, read) for row in body["assumptions"]]
    scope.limit(*map(read, body.get("float_limits", ())))
    for row in body["data_sizes"]:
        scope.unbacked.by_name[row["name"]] = Unbacked(
            row["name"], row["what"], row["where"], _optional(row["most"], read), read(row["default"]), row["guess"],
        )
        if row["given"] is not None:
            scope.unbacked.given[row["name"]] = row["given"]
    return scope


# -- tensors ----------------------------------------------------------------------------------------------------------
def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{name!r} is no dtype")
    return found


def _fact(row: _Row, read: Read) -> TensorFact:
    strides = row["strides"]
    if any(isinstance(n, int) and n < 0 for n in (*row["shape"], *(strides or ()))):
        raise ValueError(f"a tensor of negative sizes: {row['shape']}")
    shape, dtype, device = tuple(map(read, row["shape"])), _dtype(row["dtype"]), torch.device(row["device"])
    if "sparse" in row:
        return SparseFact(shape, dtype, device, form=_form(row["sparse"], read))
    return TensorFact(shape, dtype, device, None if strides is None else tuple(map(read, strides)))


def _form(row: _Row, read: Read) -> SparseForm:
    layout = getattr(torch, row["layout"], None)
    if not isinstance(layout, torch.layout):
        raise ValueError(f"{row['layout']!r} is no layout")
    values = tuple(map(read, row["values"]))
    return SparseForm(layout, values, read(row["indices"]), _dtype(row["index_dtype"]), bool(row["coalesced"]))


def _value(row: _Row, facts: Sequence[TensorFact]) -> Value:
    return Value(
        row["index"], facts[row["fact"]], row["storage"], row["origin"], row["name"], row["call"], row["position"],
        row["requires_grad"],
    )  # fmt: skip


def _state(row: _Row, values: Sequence[Value]) -> State:
    value = values[row["value"]]
    shape = [s for s in value.fact.shape if isinstance(s, int)]
    tensor = torch.empty(shape, dtype=value.fact.dtype, device="meta")
    return State(value, tuple(row["names"]), tensor, row["persistent"])


def _declared(row: _Row) -> Declared:
    made = Declared(
        row["kind"], tuple(row["names"]), tuple(row["shape"]), _dtype(row["dtype"]), row["requires_grad"], row["storage"],
        row["offset"], row["persistent"], row["shadowed_by"], None if row["strides"] is None else tuple(row["strides"]),
        None if row.get("stored") is None else tuple(row["stored"]), *(row.get("held") or ()),
    )  # fmt: skip
    return made._replace(local=row.get("local"))


# -- calls ------------------------------------------------------------------------------------------------------------
def _op(row: _Row) -> Op:
    if row["registered"]:
        return (SPARSE if row.get("sparse") else REGISTRY).named(row["name"].replace(".", "_"))
    name = row["name"]
    cost: Any = _without_code(name)
    if "zero" in row:
        cost = Zero(row["zero"]["reason"], row["zero"]["moves"])
    elif "unknown" in row:
        cost = Unknown(row["unknown"])
    shape = _without_code(name, row["arguments"])
    traits = {**row.get("traits", {})}  # a file of an older version has none
    traits["shape_only"] = tuple(traits.get("shape_only", ()))
    return Op(name, shape, cost, differentiable=row["differentiable"], inplace=row["inplace"], **traits)


def _without_code(name: str, arguments: Sequence[str] | None = None) -> Callable[..., Any]:
    """A callable that keeps the names of its arguments and says why it cannot be called."""

    def unavailable(*args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(
            f"{name} cannot run: a report that was read from a file has no code", hint="analyse the model itself"
        )

    unavailable.__name__ = name
    if arguments is not None:
        unavailable.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("scope", *arguments)]
        )
    return unavailable


def _signature(row: _Row, described: _Row, op: Op, decoder: Decoder) -> Signature:
    if not described["registered"] and callable(op.cost):
        op = dataclasses.replace(op, cost=_recorded_cost(op.name, row, decoder.size))
    if "temporary_bytes" in row:
        nbytes = decoder.size(row["temporary_bytes"])
        op = dataclasses.replace(op, temporaries=lambda *_args, **_kwargs: nbytes)
    arguments = decoder.tree(row["args"]), _by_name(decoder.tree(row["kwargs"]))
    return Signature(op, *arguments, decoder.tree(row["result"]), decoder.size(row.get("times", 1)))


def _recorded_cost(name: str, row: _Row, read: Read) -> Callable[..., Work]:
    """A cost rule without code: it knows the one answer that the file holds."""

    work = Work(*map(read, row.get("cost_of_one", row["cost"])))
    uncounted = row["uncounted"]

    def cost(*args: Any, **kwargs: Any) -> Work:
        if uncounted:
            raise UncountedError(f"{name} has no cost rule for these arguments")
        return work

    return cost


def _costs(rows: Sequence[_Row], trace: Trace, read: Read) -> Costs:
    by_signature = {
        id(s): CallCost(*map(read, row["cost"])) for s, row in zip(trace.signatures, rows, strict=True)
    }
    unknown = {id(s) for s, row in zip(trace.signatures, rows, strict=True) if row["uncounted"]}
    uncounted = tuple(c for c in trace.calls if id(c.signature) in unknown) if unknown else ()
    partial = Costs(by_signature, CallCost(), uncounted)
    return Costs(by_signature, partial.sum(trace.calls), uncounted)


def _custom_function(row: _Row, values: Sequence[Value]) -> CustomFunction:
    inputs, outputs = (tuple(values[v] for v in row[side]) for side in ("inputs", "outputs"))
    return CustomFunction(row["name"], row["start"], row["stop"], inputs, outputs)


def _by_name(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise TypeError("what a call takes by name is no mapping")
    return found


def _call(
    index: int, row: _Row, signatures: Sequence[Signature], sources: Sequence[Source], decoder: Decoder
) -> Call:
    values = decoder.values
    found = Call(
        index, _without_code(row["function"]), signatures[row["signature"]], decoder.tree(row["args"]),
        _by_name(decoder.tree(row["kwargs"])), tuple(values[v] for v in row["operands"]), row["module"],
        None if row["source"] is None else sources[row["source"]], row["grad_enabled"],
    )  # fmt: skip
    found.outputs = tuple(values[v] for v in row["outputs"])
    found.result = decoder.tree(row["result"])
    found.mutated = tuple(row["mutated"])
    found.written = row["written"]
    return found


def _modules(rows: Sequence[_Row], facts: Sequence[TensorFact], read: Read) -> list[ModuleCall]:
    kinds: dict[tuple[str, str, bool], type[torch.nn.Module]] = {}
    found = []
    for i, row in enumerate(rows):
        key = (row["class"], row["base"], row["derived"])
        if key not in kinds:
            kinds[key] = _class(*key)
        found.append(_module(i, row, facts, kinds[key], read))
    return found


def _class(name: str, base: str, derived: bool) -> type[torch.nn.Module]:
    """The class of ``torch.nn``, or an empty one of that name derived from it."""
    known = getattr(torch.nn, base)
    if not (isinstance(known, type) and issubclass(known, torch.nn.Module)):
        raise ValueError(f"torch.nn.{base} is no module class")
    return type(name, (known,), {}) if derived else known


def _module(index: int, row: _Row, facts: Sequence[TensorFact], kind: type[torch.nn.Module], read: Read) -> ModuleCall:
    found = ModuleCall(
        index, row["module"], row["path"], row["class"], row["number"], row["parent"], row["depth"], row["start"], kind,
        read(row.get("times", 1)),
    )  # fmt: skip
    found.stop = row["stop"]
    found.inputs = tuple(facts[f] for f in row["inputs"])
    found.outputs = tuple(facts[f] for f in row["outputs"])
    return found
