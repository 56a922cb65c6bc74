"""Checks written down in a file: ``[tool.fxcount]`` of pyproject.toml, or ``.fxcount.toml`` without that prefix.

.. code-block:: toml

    [tool.fxcount.check.resnet]
    model = "net.py:Net(64)"
    inputs = ["B,3,H,W"]
    max-params = "25M"
    max-macs = ["4.2G@B=1,H=224,W=224", "84000*B*H*W"]
    no-dead = true
    against = "reports/resnet.json"

A table ``check`` without names is one check. Paths are relative to the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError, first_line
from fxcount.wording import did_you_mean

__all__ = ["FILES", "RULES", "Check", "checks_of", "find"]

FILES = (".fxcount.toml", "pyproject.toml")
"""Where checks are looked for, in a folder and those above it."""

RULES = ("no-dead", "no-shared", "no-uncounted")
_MODEL = {"model": str, "inputs": list, "args": dict, "at": (str, dict), "hints": (str, dict), "optimizer": str, "against": str,
          "train": bool, "trust": bool}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One table of the file. ``limits``: by quantity, ``rules``: those that are on."""

    name: str
    model: str
    inputs: tuple[str, ...] = ()
    args: Mapping[str, Any] = field(default_factory=dict)
    at: Mapping[str, int] = field(default_factory=dict)
    hints: Mapping[str, int] = field(default_factory=dict)
    optimizer: str = ""
    against: str = ""
    train: bool = False
    trust: bool = False
    limits: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    rules: tuple[str, ...] = ()


def find(folder: Path) -> Path | None:
    """The nearest file with checks, here or above."""
    for home in (folder, *folder.parents):
        for name in FILES:
            path = home / name
            if path.is_file() and _table(path) is not None:
                return path
    return None


def checks_of(path: Path) -> list[Check]:
    """The checks of a file. Raises :class:`~fxcount.errors.InputError` for one that cannot be read, with the key."""
    table = _table(path)
    if table is None:
        raise InputError(
            f"{path} has no checks", hint="write [tool.fxcount.check] in pyproject.toml, or [check] in .fxcount.toml"
        )
    found = table.get("check", table)
    if not isinstance(found, Mapping):
        raise InputError(f"check in {path} is no table", hint="write [tool.fxcount.check.NAME]")
    named = found if all(isinstance(v, Mapping) and "model" in v for v in found.values()) and found else {"": found}
    return [_check(path, name, one) for name, one in named.items()]


def _table(path: Path) -> Mapping[str, Any] | None:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read {path} ({first_line(error)})", hint="give a file of TOML") from error
    if path.name == "pyproject.toml":
        data = data.get("tool", {}).get("fxcount")
    return data if isinstance(data, Mapping) and data else None


def _check(path: Path, name: str, given: Mapping[str, Any]) -> Check:
    from fxcount.review.quantities import QUANTITIES

    known = [*_MODEL, *RULES, *[f"max-{q.replace('_', '-')}" for q in QUANTITIES]]
    place = f"[{'tool.fxcount.' * (path.name == 'pyproject.toml')}check{f'.{name}' if name else ''}] in {path}"
    limits: dict[str, tuple[Any, ...]] = {}
    fields: dict[str, Any] = {}
    rules = []
    for raw, value in given.items():
        key = raw.replace("_", "-")
        if key not in known:
            raise InputError(f"{place} has the key {raw!r}{did_you_mean(key, known)}", hint=f"use some of {', '.join(known)}")
        if key.startswith("max-"):
            limits[key.removeprefix("max-").replace("-", "_")] = tuple(value) if isinstance(value, list) else (value,)
        elif key in RULES:
            if not isinstance(value, bool):
                raise InputError(f"{raw} in {place} is {value!r}", hint="write true or false")
            rules += [key] if value else []
        elif not isinstance(value, _MODEL[key]):  # type: ignore[arg-type]
            raise InputError(f"{raw} in {place} is {value!r}", hint='e.g. inputs = ["B,3,H,W"], args = {width = 64}')
        else:
            fields[key] = value
    if "model" not in fields:
        raise InputError(f"{place} names no model", hint='write model = "net.py:Net"')
    if fields.get("against"):
        fields["against"] = str(path.parent / fields["against"])
    for sizes in ("at", "hints"):
        fields[sizes] = _sizes(fields.get(sizes, {}), f"{sizes} in {place}")
    fields["inputs"] = tuple(map(str, fields.get("inputs", ())))
    return Check(name or fields["model"], limits=limits, rules=tuple(rules), **fields)


def _sizes(given: Any, place: str) -> dict[str, int]:
    if isinstance(given, str):
        pairs = [part.partition("=") for part in given.split(",") if part.strip()]
        given = {n.strip(): int(v) if v.strip().isdecimal() else v for n, _, v in pairs}
    for name, value in given.items():
        if type(value) is not int or value < 1:
            raise InputError(f"{place} has {name} = {value!r}", hint='write at = "B=1,H=224", or at = {B = 1}')
    return dict(given)
