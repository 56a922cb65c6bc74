"""Is a saved report what its schema says? A small part of JSON Schema, that which ``graph.schema.json`` uses, and row numbers.

Files come from anywhere: what is wrong is said once, with its place, before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fxcount.errors import InputError

__all__ = ["Checks", "check_rows"]

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
_CLASSES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),), "integer": (int,),
    "number": (int, float),
}  # fmt: skip


class _Wrong:
    """What a value is not, and the way to it from inside out."""

    __slots__ = ("steps", "what")

    def __init__(self, what: str) -> None:
        self.steps: list[str] = []
        self.what = what

    def within(self, step: str) -> _Wrong:
        self.steps.append(step)
        return self


_Check = Callable[[Any], _Wrong | None]


class Checks:
    """A schema as functions of a value, each made once: a file of a million values is read in seconds.

    >>> schema = {"type": "object", "properties": {"a": {"items": {"type": "integer"}}}}
    >>> Checks(schema).check({"a": [1, 2]}, schema)
    >>> Checks(schema).check({"a": [1, 0.5]}, schema)
    Traceback (most recent call last):
    fxcount.errors.InputError: this report is damaged: report.a[1] is 0.5, no integer
      to fix: write it again with report.to_graph_json()
    """

    def __init__(self, root: Schema) -> None:
        self.root = root
        self._made: dict[int, tuple[Schema, _Check]] = {}  # by identity; the schema is kept, so that it stays the only one

    def check(self, data: Any, schema: Schema, place: str = "report") -> None:
        """Raise :class:`~fxcount.errors.InputError` with the place of the first value that ``schema``, which is the root or a
        part of it, does not allow."""
        try:
            wrong = self._of(schema)(data)
        except RecursionError:
            raise _damaged(f"{place} is nested too deeply") from None
        if wrong is not None:
            raise _damaged(f"{place}{''.join(reversed(wrong.steps))} {wrong.what}")

    def _of(self, schema: Schema) -> _Check:
        known = self._made.get(id(schema))
        if known is not None:
            return known[1]
        parts: list[_Check] = []

        def check(x: Any) -> _Wrong | None:
            for part in parts:
                wrong = part(x)
                if wrong is not None:
                    return wrong
            return None

        self._made[id(schema)] = (schema, check)  # before its parts are made: a schema may hold itself
        parts += self._parts(schema)
        return check

    def _parts(self, schema: Schema) -> Iterator[_Check]:
        if "$ref" in schema:
            yield self._of(self._target(schema))
        yield from _plain_parts(schema)
        if any(name in schema for name in ("required", "properties", "additionalProperties")):
            yield self._object(schema)
        if any(name in schema for name in ("minItems", "maxItems", "prefixItems", "items")):
            yield self._array(schema)
        for name in ("anyOf", "oneOf"):
            if name in schema:
                yield self._choice(schema[name])

    def _target(self, schema: Schema) -> Schema:
        target: Any = self.root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        found: Schema = target
        return found

    def _object(self, schema: Schema) -> _Check:
        required = tuple(schema.get("required", ()))
        known = {name: self._of(inner) for name, inner in schema.get("properties", {}).items()}
        others = schema.get("additionalProperties")  # further names are let be: they may be those of a later version
        rest = self._of(others) if isinstance(others, dict) else None

        def check(x: Any) -> _Wrong | None:
            if not isinstance(x, dict):
                return None
            for name in required:
                if name not in x:
                    return _Wrong(f"has no {name!r}")
            for name, value in x.items():
                inner = known.get(name, rest)
                wrong = None if inner is None else inner(value)
                if wrong is not None:
                    return wrong.within(f".{name}" if name in known else f"[{_shown(name)}]")
            return None

        return check

    def _array(self, schema: Schema) -> _Check:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        first = [self._of(inner) for inner in schema.get("prefixItems", ())]
        rest = self._of(schema["items"]) if isinstance(schema.get("items"), dict) else None

        def check(x: Any) -> _Wrong | None:
            if not isinstance(x, list):
                return None
            if len(x) < least or (most is not None and len(x) > most):
                return _Wrong(f"has {len(x)} entries")
            for i, value in enumerate(x if rest is not None else x[: len(first)]):
                inner = first[i] if i < len(first) else rest
                wrong = inner(value)  # type: ignore[misc]
                if wrong is not None:
                    return wrong.within(f"[{i}]")
            return None

        return check

    def _choice(self, choices: Sequence[Schema]) -> _Check:
        made = [(*self._needs(choice), self._of(choice)) for choice in choices]
        by_type: dict[type, list[tuple[str | None, _Check]]] = {}

        def check(x: Any) -> _Wrong | None:
            possible = by_type.get(type(x))
            if possible is None:
                fits = [(name, inner) for kinds, name, inner in made if kinds is None or isinstance(x, kinds)]
                possible = by_type[type(x)] = fits
            wrongs = []
            for name, inner in possible:
                if name is None or name in x:
                    wrong = inner(x)
                    if wrong is None:
                        return None
                    wrongs.append(wrong)
            if not wrongs:  # none of them looks into x
                wrongs = [wrong for _, _, inner in made if (wrong := inner(x)) is not None]
            return max(wrongs, key=lambda wrong: len(wrong.steps))  # the first of those that lead deepest

        return check

    def _needs(self, schema: Schema) -> tuple[tuple[type, ...] | None, str | None]:
        """The classes of what a choice may allow, and a name that a mapping must have for it."""
        while "$ref" in schema and "type" not in schema:
            schema = self._target(schema)
        if "type" not in schema:
            return None, None
        kinds = _listed(schema["type"])
        alone = kinds == ["object"] and schema.get("required")
        return tuple([c for kind in kinds for c in _CLASSES[kind]]), schema["required"][0] if alone else None


def _listed(kinds: Any) -> list[str]:
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _plain_parts(schema: Schema) -> Iterator[_Check]:
    """What a schema says of a value without looking into it."""
    if "type" in schema:
        kinds = _listed(schema["type"])
        tests, said = [_TYPES[kind] for kind in kinds], " or ".join(kinds)
        single = tests[0] if len(tests) == 1 else lambda x: any([test(x) for test in tests])
        yield lambda x: None if single(x) else _Wrong(f"is {_shown(x)}, no {said}")
    if "const" in schema:
        const = schema["const"]
        yield lambda x: None if type(x) is type(const) and x == const else _Wrong(f"is {_shown(x)}, not {const!r}")
    if "enum" in schema:
        allowed = schema["enum"]
        named = ", ".join(map(str, allowed))
        yield lambda x: (
            None if any([type(x) is type(e) and x == e for e in allowed]) else _Wrong(f"is {_shown(x)}, none of {named}")
        )
    if "minimum" in schema:
        low = schema["minimum"]
        yield lambda x: _Wrong(f"is {_shown(x)}, less than {low}") if isinstance(x, (int, float)) and x < low else None


def _damaged(what: str) -> InputError:
    return InputError(f"this report is damaged: {what}", hint="write it again with report.to_graph_json()")


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"a {'dict' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return ascii(value[:60] if isinstance(value, str) else value)


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
