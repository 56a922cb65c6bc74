"""What fxcount counts for an op, from the registry itself: its names, its rules as they stand in the code, its traits."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from fxcount.errors import InputError
from fxcount.ops import REGISTRY, Op
from fxcount.ops.core.binding import Bound
from fxcount.ops.core.registry import Unknown, Zero
from fxcount.ops.core.scalars import Scalars

__all__ = ["callable_of", "explained", "in_a_line", "named_op", "page", "traits_of"]

_PACKAGE = Path(__file__).resolve().parents[2]
_NO_TRAITS = frozenset(
    {"name", "shape", "cost", "names", "extra", "aten_names", "without", "overrides", "schema", "returns", "temporaries"}
)
_SHOWN = (int, float, str, bool, type(None), tuple, frozenset, Scalars)


def named_op(name: str) -> Op:
    """The op of a name, with or without its module: ``conv2d``, ``linalg.qr``, ``torch.nn.functional.relu``, ``relu_``.

    Raises :class:`~fxcount.errors.InputError`, with the nearest names, if there is none.

    >>> named_op("torch.linalg.qr"), named_op("F.relu")
    (Op(linalg.qr), Op(relu))
    """
    wanted = name.removeprefix("aten::").removeprefix("torch.ops.aten.")
    parts = wanted.split(".")
    for start in range(len(parts)):
        found = "_".join(parts[start:])
        if found in REGISTRY.names:
            return REGISTRY.named(found)
    for owner in (torch.nn.functional, torch, torch.Tensor):
        function = getattr(owner, parts[-1], None)
        if callable(function) and (entry := REGISTRY.get(function)) is not None:
            return entry
    close = get_close_matches(parts[-1], REGISTRY.names, 3)
    raise InputError(
        f"fxcount has no op {name!r}" + (f"; did you mean {' or '.join(map(repr, close))}?" if close else ""),
        hint="a function that is made of others, as most of torch.nn.functional's losses are, counts what these do",
    )


def explained(entry: Op) -> str:
    """Several lines of plain text: names, what is counted, the rules as they stand in the code, the traits.

    >>> [line for line in explained(named_op("relu")).splitlines() if line.startswith(("relu", "counts", "  follows"))]
    ['relu', 'counts: `scalars.work(fact.numel, fact.dtype)`, with scalars=1 add', '  follows: mapped']
    """
    others = entry.names[1:]
    lines = [f"{entry.name}{': also ' + ', '.join(others) if others else ''}"]
    if entry.schema:
        lines.append(f"schema: {entry.schema}")
    lines += ["", f"counts: {in_a_line(entry)}"]
    lines += ["", "cost rule", *_rule(entry.cost)] if callable(entry.cost) else []
    lines += ["", "shape rule", *_rule(entry.shape)]
    if entry.temporaries is not None:
        lines += ["", "bytes held while it runs, besides its results", *_rule(entry.temporaries)]
    traits = traits_of(entry)
    if traits:
        lines += ["", "traits", *[f"  {name}: {value}" for name, value in traits.items()]]
    return "\n".join(lines)


def callable_of(entry: Op) -> Callable[..., Any]:
    """A function that calls the op and nothing else.

    Raises :class:`~fxcount.errors.InputError` for an op that no function of torch reaches.
    """
    for owner in (torch, torch.nn.functional, torch.ops.aten):
        for name in entry.names or (entry.name,):
            function: Any = owner
            for part in name.split("."):
                function = getattr(function, part, None)
            if callable(function) and REGISTRY.get(function) is entry:
                return function  # type: ignore[no-any-return]
    raise InputError(f"no function of torch is {entry.name} alone", hint="explain it without inputs")


def traits_of(entry: Op) -> dict[str, str]:
    """The traits that are not what they are for most ops."""
    found = {}
    for field in dataclasses.fields(Op):
        value = getattr(entry, field.name)
        if field.name in _NO_TRAITS or value == field.default:
            continue
        found[field.name] = getattr(getattr(value, "rule", value), "__name__", None) or ("yes" if value is True else f"{value}")
    return found


def in_a_line(entry: Op) -> str:
    """What the cost rule says, in a line: its reason, its docstring, or what it returns.

    >>> in_a_line(named_op("view"))
    'nothing: view: metadata only'
    """
    cost = entry.cost
    if isinstance(cost, Zero):
        return f"nothing: {cost.reason}{'; it reads and writes memory' if cost.moves else ''}"
    if isinstance(cost, Unknown):
        return f"no rule: {cost.hint}"
    rule, given = _unwrapped(cost)
    said = inspect.getdoc(rule) or ""
    first = " ".join(said.partition("\n\n")[0].split())
    returned = _returned(rule)
    text = first or (f"{returned}" if returned else getattr(rule, "__qualname__", str(rule)))
    return text + (f", with {given}" if given else "")


def page() -> str:
    """All ops of the registry, by the folder their rules are in, as Markdown."""
    rooms: dict[str, list[Op]] = {}
    for entry in REGISTRY.ops:
        place = _place(entry.shape) or _place(entry.cost)
        rooms.setdefault(place.partition(":")[0] or "elsewhere", []).append(entry)
    lines = []
    for room in sorted(rooms):
        lines += [f"## {room}", "", "| op | also | counts | traits |", "|:--|:--|:--|:--|"]
        for entry in sorted(rooms[room], key=lambda e: e.name):
            others = ", ".join(f"`{n}`" for n in entry.names[1:])
            traits = ", ".join(n if v == "yes" else f"{n}: {v}" for n, v in traits_of(entry).items())
            lines.append(f"| `{entry.name}` | {others} | {_cell(in_a_line(entry))} | {_cell(traits)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _unwrapped(rule: Any) -> tuple[Any, str]:
    """The function of a rule, and what it was made with."""
    given: list[str] = []
    while isinstance(rule, (Bound, functools.partial)):
        if isinstance(rule, functools.partial):
            given += [_value(a) for a in rule.args] + [f"{n}={_value(v)}" for n, v in rule.keywords.items()]
            rule = rule.func
        else:
            rule = rule.rule
    code = getattr(rule, "__code__", None)
    for name, cell in zip(code.co_freevars if code else (), getattr(rule, "__closure__", None) or ()):
        if isinstance(cell.cell_contents, _SHOWN):
            given.append(f"{name}={_value(cell.cell_contents)}")
    return rule, ", ".join(given)


def _value(value: Any) -> str:
    if isinstance(value, Scalars):
        counts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return " + ".join(f"{n} {name}" for name, n in counts.items() if n != 0) or "0"
    return getattr(value, "__name__", None) or repr(value)


def _rule(rule: Callable[..., Any]) -> Iterator[str]:
    """Where a rule stands, and its code."""
    function, given = _unwrapped(rule)
    place = _place(rule)
    yield (f"  fxcount/{place}" if place else f"  {function}") + (f", with {given}" if given else "")
    try:
        code = textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError):
        return
    yield from (f"    {line}".rstrip() for line in code.splitlines())


def _place(rule: Any) -> str:
    """``ops/contraction/conv.py:40``; empty for what is not written in this package."""
    function = _unwrapped(rule)[0]
    try:
        file = Path(inspect.getsourcefile(function) or "").resolve()
        return f"{file.relative_to(_PACKAGE).as_posix()}:{inspect.getsourcelines(function)[1]}"
    except (OSError, TypeError, ValueError):
        return ""


def _returned(rule: Any) -> str:
    """What a rule of one expression returns, as code."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(rule)).strip().rstrip(","))
    except (OSError, TypeError, SyntaxError):
        return ""
    found = [n.value for n in ast.walk(tree) if isinstance(n, ast.Return) and n.value is not None]
    return f"`{ast.unparse(found[0])}`" if len(found) == 1 else ""
