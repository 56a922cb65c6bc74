"""Is a saved report what its schema says? A small part of JSON Schema, that which ``graph.schema.json`` uses, and row numbers.

Files come from anywhere: what is wrong is said once, with its place, before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fxcount.errors import InputError

__all__ = ["check_rows", "check_schema"]

Schema = Mapping[str, Any]
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda x: isinstance(x, dict),
    "array": lambda x: isinstance(x, list),
    "string": lambda x: isinstance(x, str),
    "boolean": lambda x: isinstance(x, bool),
    "null": lambda x: x is None,
    "integer": lambda x: isinstance(x, int) and not isinstance(x, bool),
    "number": lambda x: isinstance(x, (int, float)) and not isinstance(x, bool) and x - x == 0,
}


class _Wrong(Exception):
    def __init__(self, place: str, what: str) -> None:
        self.place, self.what = place, what


def check_schema(data: Any, schema: Schema, root: Schema, place: str = "report") -> None:
    """Raise :class:`~fxcount.errors.InputError` with the place of the first value that ``schema`` does not allow.

    >>> check_schema({"a": [1, 2]}, {"type": "object", "properties": {"a": {"items": {"type": "integer"}}}}, {})
    >>> check_schema([0.5], {"items": {"type": "integer"}}, {})
    Traceback (most recent call last):
    fxcount.errors.InputError: this report is damaged: report[0] is 0.5, no integer
      to fix: write it again with report.to_graph_json()
    """
    try:
        _check(data, schema, root, place)
    except _Wrong as wrong:
        raise _damaged(f"{wrong.place} {wrong.what}") from None
    except RecursionError:
        raise _damaged(f"{place} is nested too deeply") from None


def _damaged(what: str) -> InputError:
    return InputError(f"this report is damaged: {what}", hint="write it again with report.to_graph_json()")


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"a {'dict' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return ascii(value[:60] if isinstance(value, str) else value)


def _check(x: Any, schema: Schema, root: Schema, place: str) -> None:
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        _check(x, target, root, place)
    kinds = schema.get("type")
    if kinds is not None and not any(_TYPES[k](x) for k in ([kinds] if isinstance(kinds, str) else kinds)):
        raise _Wrong(place, f"is {_shown(x)}, no {kinds if isinstance(kinds, str) else ' or '.join(kinds)}")
    if "const" in schema and (type(x) is not type(schema["const"]) or x != schema["const"]):
        raise _Wrong(place, f"is {_shown(x)}, not {schema['const']!r}")
    if "enum" in schema and not any(type(x) is type(e) and x == e for e in schema["enum"]):
        raise _Wrong(place, f"is {_shown(x)}, none of {', '.join(map(str, schema['enum']))}")
    if "minimum" in schema and isinstance(x, (int, float)) and x < schema["minimum"]:
        raise _Wrong(place, f"is {_shown(x)}, less than {schema['minimum']}")
    if isinstance(x, dict):
        _check_object(x, schema, root, place)
    if isinstance(x, list):
        _check_array(x, schema, root, place)
    _check_choice(x, schema, root, place)


def _check_object(x: dict[str, Any], schema: Schema, root: Schema, place: str) -> None:
    missing = [name for name in schema.get("required", ()) if name not in x]
    if missing:
        raise _Wrong(place, f"has no {missing[0]!r}")
    # further names are let be: they may be those of a later version, and nothing is made of them
    known, rest = schema.get("properties", {}), schema.get("additionalProperties")
    for name, value in x.items():
        if name in known:
            _check(value, known[name], root, f"{place}.{name}")
        elif isinstance(rest, dict):
            _check(value, rest, root, f"{place}[{_shown(name)}]")


def _check_array(x: list[Any], schema: Schema, root: Schema, place: str) -> None:
    if not schema.get("minItems", 0) <= len(x) <= schema.get("maxItems", len(x)):
        raise _Wrong(place, f"has {len(x)} entries")
    first = schema.get("prefixItems", ())
    for i, (value, inner) in enumerate(zip(x, first)):
        _check(value, inner, root, f"{place}[{i}]")
    if isinstance(schema.get("items"), dict):
        for i, value in enumerate(x[len(first) :], len(first)):
            _check(value, schema["items"], root, f"{place}[{i}]")


def _check_choice(x: Any, schema: Schema, root: Schema, place: str) -> None:
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        if choices is None:
            continue
        deepest: _Wrong | None = None
        for choice in choices:
            try:
                _check(x, choice, root, place)
                break
            except _Wrong as wrong:
                if deepest is None or len(wrong.place) > len(deepest.place):
                    deepest = wrong
        else:
            assert deepest is not None
            raise deepest


_TABLES = ("facts", "values", "storages", "signatures", "ops", "calls", "modules", "sources")


def check_rows(body: Mapping[str, Any]) -> None:
    """Raise :class:`~fxcount.errors.InputError` for a row number that leads nowhere, or a call outside of the calls."""
    counts = {name: len(body[name]) for name in _TABLES}
    calls = counts["calls"]
    for place, rows, limit in _references(body, counts):
        for row in rows:
            if isinstance(row, bool) or not isinstance(row, int) or not -1 <= row < limit:
                raise _damaged(f"{place} refers to {_shown(row)}, and there are {limit}")
    for i, module in enumerate(body["modules"]):
        if not (-1 <= module["parent"] < i and 0 <= module["start"] <= module["stop"] <= calls):
            raise _damaged(f"report.modules[{i}] is not inside of its parent, or not among the calls")
        parent = body["modules"][module["parent"]] if module["parent"] >= 0 else None
        if parent is not None and module["depth"] != parent["depth"] + 1:
            raise _damaged(f"report.modules[{i}].depth is not one more than its parent's")
    for i, event in enumerate(body["events"]):
        if not 0 <= event[0] < counts["storages"] or not -1 <= event[2] < calls or (i and event[2] < body["events"][i - 1][2]):
            raise _damaged(f"report.events[{i}] is out of order, or of no storage or call")
    for i, function in enumerate(body["functions"]):
        if not 0 <= function["start"] <= function["stop"] <= calls:
            raise _damaged(f"report.functions[{i}] is not among the calls")


def _references(body: Mapping[str, Any], counts: Mapping[str, int]) -> Iterable[tuple[str, Iterable[Any], int]]:
    """Place, row numbers there, and how many rows there are."""
    for i, value in enumerate(body["values"]):
        yield f"report.values[{i}].fact", [value["fact"]], counts["facts"]
        yield f"report.values[{i}].storage", [value["storage"]], counts["storages"]
        yield f"report.values[{i}].call", [value["call"]], counts["calls"]
    for i, row in enumerate(body["signatures"]):
        yield f"report.signatures[{i}].op", [row["op"]], counts["ops"]
    for i, call in enumerate(body["calls"]):
        yield f"report.calls[{i}].signature", [call["signature"]], counts["signatures"]
        yield f"report.calls[{i}]", [*call["operands"], *call["outputs"]], counts["values"]
        yield f"report.calls[{i}].mutated", call["mutated"], counts["storages"]
        yield f"report.calls[{i}].module", [call["module"]], counts["modules"]
        yield f"report.calls[{i}].source", [] if call["source"] is None else [call["source"]], counts["sources"]
    for i, module in enumerate(body["modules"]):
        yield f"report.modules[{i}]", [*module["inputs"], *module["outputs"]], counts["facts"]
    for i, function in enumerate(body["functions"]):
        yield f"report.functions[{i}]", [*function["inputs"], *function["outputs"]], counts["values"]
    yield "report.inputs", body["inputs"], counts["values"]
    yield "report.states", [row["value"] for row in body["states"]], counts["values"]
