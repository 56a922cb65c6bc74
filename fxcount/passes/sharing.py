"""What is held once and used more than once: parameters, storages, modules; and weights derived from parameters.

Every use is work, every parameter is counted once. Each group says what is shared, by whom, and the bytes this saves.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from fxcount.dataclass import dataclass
from fxcount.passes.derived import derived_weights
from fxcount.passes.elements import elements_of, occupied
from fxcount.passes.uses import Use, called_paths, upwards
from fxcount.trace.tape import Declared, Trace

__all__ = ["Kind", "SharingGroup", "sharing_groups"]

Kind = Literal[
    "same parameter", "views of one storage", "module under several paths", "module called several times", "parametrization"
]

_ORIGINAL = re.compile(r"(.*\.)?parametrizations\.(\w+)\.(original\d*|\d+\..*)$")


@dataclass(frozen=True, slots=True)
class SharingGroup:
    """``names``: of one parameter, of several on one storage, or paths of one module; ``uses`` of what is shared;
    ``bytes_saved`` against holding each apart; ``derived``: the name of the weight that a parametrization computes;
    ``calls``: how often a module is called."""

    kind: Kind
    names: tuple[str, ...]
    uses: tuple[Use, ...]
    bytes_saved: int
    derived: str = ""
    calls: int = 0


def sharing_groups(trace: Trace, uses: Mapping[str, Sequence[Use]]) -> tuple[SharingGroup, ...]:
    """All groups of a trace, in the order of the kinds."""
    declared = [d for d in trace.declared if d.kind == "parameter"]
    return (
        *_same_parameter(trace, declared, uses),
        *_views(declared, uses),
        *_paths(trace, declared, uses),
        *_calls(trace, declared, uses),
        *_parametrizations(trace, declared, uses),
    )


def _same_parameter(
    trace: Trace, declared: Iterable[Declared], uses: Mapping[str, Sequence[Use]]
) -> Iterable[SharingGroup]:
    """Parameters under names that are not just two paths of one module."""
    first = {path: paths[0] for paths in trace.aliases for path in paths}
    for d in declared:
        if len(d.names) > 1:
            homes = {f"{first.get(owner, owner)}.{name}" for owner, _, name in (n.rpartition(".") for n in d.names)}
            if len(homes) > 1:
                yield SharingGroup("same parameter", d.names, tuple(uses.get(d.names[0], ())), (len(homes) - 1) * _nbytes(d))


def _views(declared: Iterable[Declared], uses: Mapping[str, Sequence[Use]]) -> Iterable[SharingGroup]:
    """Different parameters on one storage, whether they overlap or lie side by side."""
    by_storage: dict[int, list[Declared]] = {}
    for d in declared:
        by_storage.setdefault(d.storage, []).append(d)
    for found in by_storage.values():
        if len(found) > 1:
            saved = sum(map(_nbytes, found)) - sum(elements_of(found).nbytes)
            yield SharingGroup("views of one storage", tuple(d.names[0] for d in found), _all_uses(found, uses), saved)


def _paths(trace: Trace, declared: Sequence[Declared], uses: Mapping[str, Sequence[Use]]) -> Iterable[SharingGroup]:
    """Modules registered more than once; what they contain comes with them."""
    known = {path for paths in trace.aliases for path in paths}
    outermost = {paths[0]: paths for paths in trace.aliases if not all(p.rpartition(".")[0] in known for p in paths)}
    for path, inside in _inside(outermost, declared).items():
        saved = (len(outermost[path]) - 1) * sum(map(_nbytes, inside))
        yield SharingGroup("module under several paths", outermost[path], _all_uses(inside, uses), saved)


def _calls(trace: Trace, declared: Sequence[Declared], uses: Mapping[str, Sequence[Use]]) -> Iterable[SharingGroup]:
    """Modules with parameters called more often than the module that calls them."""
    modules = trace.modules
    counts = called_paths(trace)
    several = {path for path, n in counts.items() if n > 1}
    if not several:
        return
    around: dict[str, int] = {}  # most calls of a module that calls it
    for m in modules:
        if m.path in several and m.parent >= 0:
            around[m.path] = max(around.get(m.path, 0), counts[modules[m.parent].path])
    outermost = [path for path in counts if path in several and counts[path] > around.get(path, 0)]
    for path, inside in _inside(outermost, declared).items():
        n = counts[path]
        saved = (n - 1) * sum(map(_nbytes, inside))
        yield SharingGroup("module called several times", (path,), _all_uses(inside, uses), saved, calls=n)


def _parametrizations(
    trace: Trace, declared: Sequence[Declared], uses: Mapping[str, Sequence[Use]]
) -> Iterable[SharingGroup]:
    """Derived weights by the data flow, then the parametrizations no call has met."""
    known: set[str] = set()
    for found in derived_weights(trace):
        known.update(found.originals)
        registered = [m for m in map(_ORIGINAL.match, found.originals) if m]
        name = f"{registered[0][1] or ''}{registered[0][2]}" if registered else found.name
        yield SharingGroup("parametrization", found.originals, found.uses, 0, name)
    rest: dict[str, list[Declared]] = {}
    for d in declared:
        original = _ORIGINAL.match(d.names[0]) if "parametrizations." in d.names[0] else None
        if original and d.names[0] not in known:
            rest.setdefault(f"{original[1] or ''}{original[2]}", []).append(d)
    for derived, originals in rest.items():
        names = tuple(d.names[0] for d in originals)
        yield SharingGroup("parametrization", names, _all_uses(originals, uses), 0, derived)


def _inside(paths: Collection[str], declared: Iterable[Declared]) -> dict[str, list[Declared]]:
    """The parameters of each of these modules and of what it contains; modules without any are left out."""
    if not paths:
        return {}
    found: dict[str, list[Declared]] = {path: [] for path in paths}
    owners = {name.rpartition(".")[0] for d in declared for name in d.names}
    by_owner = {owner: around for owner in owners if (around := [path for path in upwards(owner) if path in found])}
    for d in declared if by_owner else ():
        for path in {p for name in d.names for p in by_owner.get(name.rpartition(".")[0], ())}:
            found[path].append(d)
    return {path: inside for path, inside in found.items() if inside}


def _all_uses(declared: Iterable[Declared], uses: Mapping[str, Sequence[Use]]) -> tuple[Use, ...]:
    return tuple([u for d in declared for u in uses.get(d.names[0], ())])


def _nbytes(d: Declared) -> int:
    return occupied(d) * d.dtype.itemsize
