"""The front door: ``scaling(build, inputs, **ranges)``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from math import gcd
from numbers import Integral
from typing import Any

import torch

from fxcount.errors import InputError, SizeError
from fxcount.fitting.builds import QUANTITIES, Builds, Failure, Found, Point
from fxcount.fitting.fit import Family, Fitted
from fxcount.fitting.grid import Axis
from fxcount.fitting.result import Scaling
from fxcount.symbolic import Assumption, Expr, Size, evaluate, free_symbols, parse
from fxcount.trace.inputs.building import arguments_of

__all__ = ["scaling"]

_MAIN = ("params", "trainable", "macs", "flops", "kv_bytes")
"""Quantities for whose sake a period is looked for, which takes many builds; others try the periods that these have."""

_FEWEST = 8
"""Values that must be left where the smallest sizes of an input are others."""

_ANOTHER_MOMENT = "at other sizes the peak may be at another moment"


def scaling(
    build: Callable[..., Any],
    /,
    *inputs: Any,
    hints: Mapping[str, int] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    checks: int = 8,
    options: Mapping[str, Any] | None = None,
    **hyper: Any,
) -> Scaling:
    """Formulas in hyper-parameters: exact interpolation over builds of a model, checked at builds that were not used.

    ``build(**hyper)`` gives the model; it is called under ``torch.device("meta")``, so that no weights are allocated, and the
    model is analysed as it is (a model in training mode has dropout). ``inputs`` and ``kwargs`` are those of
    :func:`fxcount.analyze`; ``{name}`` in them stands for a hyper-parameter or a formula of some, ``"B,3,{16*n},{16*n}"``, and
    one that only the inputs name is not handed to ``build``. Each of ``hyper`` is

    * a range or a list of integers: a variable of the formulas;
    * an integer: the same in all builds;
    * a formula of others as text: ``heads="kv_heads*groups"``; what it is made of need not be an argument of ``build``.

    As few small builds are made as decide the formulas, then ``checks`` random ones, half of them outside of the ranges, and
    some along each hyper-parameter. Builds that raise an error are skipped and listed. ``options`` are further keyword
    arguments of :func:`fxcount.analyze`.

    Quantities that are a polynomial, or one with a period (widths rounded to multiples of 8), get a formula; for others
    the result says between which values the model becomes another.

    Raises:
        InputError: no build works, or the ranges are none.

    >>> import torch
    >>> def mlp(width, depth):
    ...     return torch.nn.Sequential(*[torch.nn.Linear(width, width) for _ in range(depth)])
    >>> found = scaling(mlp, "B,{width}", width=range(8, 65, 8), depth=range(1, 6))
    >>> found.params, found.macs
    (depth*width**2 + depth*width, B*depth*width**2)
    >>> found.at(width=12288, depth=96).macs
    14495514624*B
    """
    axes, constants, derived = _sorted_out(hyper)
    names = tuple([axis.name for axis in axes])

    def complete(point: Point) -> dict[str, int]:
        values = {**constants, **dict(zip(names, point))}
        for name, formula in derived.items():
            values[name] = _derived(name, formula, values)
        return values

    helpers = frozenset().union(*map(free_symbols, derived.values()))
    builds = Builds(build, inputs, kwargs or {}, names, complete, helpers, hints, options or {})
    family = Family(builds, axes, checks)
    if len(axes) == 1 and (isinstance(build, torch.nn.Module) or not arguments_of(build, {names[0]: 1}, builds.helpers)):
        family = _from_where_it_is_one(family, checks)
        axes = family.axes
    first = builds.at(family.base)
    assert isinstance(first, Found)
    clash = sorted(set(names) & {*first.symbols, *first.totals})
    if clash:
        raise InputError(
            f"{clash[0]} is a hyper-parameter and a symbol of the inputs",
            hint=f"write {{{clash[0]}}} where the inputs follow it",
        )
    outcomes = {
        name: family.fit(name, name in _MAIN, _ANOTHER_MOMENT if name == "peak_bytes" else "")
        for name in QUANTITIES if name in first.sizes
    }  # fmt: skip
    outcomes = {name: family.held_to_all(name, outcome) for name, outcome in outcomes.items()}
    conditions = _conditions(family)
    used = frozenset().union(*[o.used for o in outcomes.values() if isinstance(o, Fitted)])
    checked = [p for p, found in builds.known.items() if isinstance(found, Found) and p not in used and family.speaks_of(p)]
    skipped = {p: str(found) for p, found in builds.known.items() if isinstance(found, Failure)}
    return Scaling(
        model_name=first.model_name,
        axes=axes,
        outcomes=outcomes,
        conditions=tuple(conditions),
        fitted=tuple([dict(zip(names, p)) for p in sorted(used)]),
        checked=tuple([dict(zip(names, p)) for p in sorted(checked)]),
        skipped=tuple([(dict(zip(names, p)), text) for p, text in sorted(skipped.items())]),
        constraint=_constraint(names, [p for p, f in builds.known.items() if isinstance(f, Found)], list(skipped)),
        totals=first.totals,
        symbols=first.symbols,
        builds=builds,
    )


def _from_where_it_is_one(family: Family, checks: int) -> Family:
    """The builds over a size of the inputs, without the smallest ones if they count otherwise: a convolution's window is longer
    than the sequence, one token needs no mask. Without any formula all are kept, and the reasons tell of all."""
    (axis,) = family.axes
    first = family.builds.at(family.base)
    assert isinstance(first, Found)

    def refused(left_out: int) -> bool:
        some = Family(family.builds, (axis.above(left_out) if left_out else axis,), checks)
        return any(not isinstance(some.fit(name, False), Fitted) for name in _MAIN if name in first.sizes)

    most = len(axis.values) - _FEWEST
    tried = [n for n in (0, 1, 2, 4, 8, 16, 32) if n <= most]
    works = next((n for n in tried if not refused(n)), 0)
    while works and not refused(works - 1):
        works -= 1
    return Family(family.builds, (axis.above(works),), checks) if works else family


def _sorted_out(hyper: Mapping[str, Any]) -> tuple[tuple[Axis, ...], dict[str, int], dict[str, Size]]:
    axes, constants, derived = [], {}, {}
    for name, given in hyper.items():
        if isinstance(given, Integral) and not isinstance(given, bool):
            constants[name] = int(given)
        elif isinstance(given, str):
            derived[name] = _formula(name, given, hyper)
        else:
            axes.append(_axis(name, given))
    if not axes:
        raise InputError("scaling() needs a range for one hyper-parameter at least", hint="e.g. layers=range(1, 6)")
    return tuple(axes), constants, derived


def _axis(name: str, given: Any) -> Axis:
    hint = f"e.g. {name}=range(64, 641, 64) or {name}=[1, 2, 4, 8]"
    if not isinstance(given, Iterable):
        raise InputError(f"{name}={ascii(given)[:80]} is neither integers nor a formula", hint=hint)
    values = list(given)
    if not values or not all(isinstance(v, Integral) and not isinstance(v, bool) and int(v) >= 1 for v in values):
        raise InputError(f"{name}={ascii(given)[:80]} are no integers of at least 1", hint=hint)
    found = sorted({int(v) for v in values})
    return Axis(name, tuple(found), reduce(gcd, [b - a for a, b in pairwise(found)], 0) or 1)


def _formula(name: str, text: str, hyper: Mapping[str, Any]) -> Size:
    try:
        size = parse(text)
    except SizeError as error:
        raise InputError(f"cannot read {name}={text!r}: {error.what}", hint='e.g. d_model="64*heads"') from error
    unknown = sorted(free_symbols(size) - hyper.keys())
    if unknown or name in free_symbols(size):
        raise InputError(f"{name}={text!r} needs {', '.join(unknown) or name}, for which no values are given")
    return size


def _derived(name: str, formula: Size, values: Mapping[str, int]) -> int:
    missing = sorted(free_symbols(formula) - values.keys())
    if missing:
        raise InputError(f"{name} needs {missing[0]}, which is worked out after it", hint="give them in order")
    return evaluate(formula, values)


def _conditions(family: Family) -> list[Assumption]:
    """The assumptions of the builds, as formulas in the hyper-parameters where they follow one."""
    keys: dict[tuple[Hashable, ...], None] = {}
    for found in list(family.builds.known.values()):
        if isinstance(found, Found):
            keys.update(dict.fromkeys(k for k in found.assumptions if isinstance(k, tuple)))
    conditions: list[Assumption] = []
    for key in keys:
        outcome = family.fit(key, search_periods=False)
        holders = [f.assumptions[key] for f in family.builds.known.values() if isinstance(f, Found) and key in f.assumptions]
        everywhere = len(holders) == sum(isinstance(f, Found) for f in family.builds.known.values())
        if isinstance(outcome, Fitted) and everywhere and isinstance(outcome.formula.numerator, Expr):
            size, times = outcome.formula.numerator, outcome.formula.denominator
            conditions.append(replace(holders[0], expr=size, modulus=holders[0].modulus * times))
        else:  # as it stands in each of the builds that make it
            conditions += dict.fromkeys(holders)
    return conditions


def _constraint(names: tuple[str, ...], works: list[Point], fails: list[Point]) -> str:
    """What sets the builds that fail apart, if it is divisibility: ``"d_model % heads == 0"``."""
    if not fails:
        return ""
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if i != j and all(p[i] % p[j] == 0 for p in works) and all(p[i] % p[j] for p in fails):
                return f"{a} % {b} == 0"
    for i, a in enumerate(names):
        m = reduce(gcd, [p[i] for p in works], 0)
        if m > 1 and all(p[i] % m for p in fails):
            return f"{a} % {m} == 0"
    return ""


