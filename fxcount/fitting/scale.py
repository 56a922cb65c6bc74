"""The front door: ``scaling(build, inputs, **ranges)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from itertools import pairwise
from math import gcd
from numbers import Integral
from typing import Any

import torch

from fxcount.errors import InputError, SizeError
from fxcount.fitting.builds import Builds
from fxcount.interpolation.family import Family
from fxcount.interpolation.grid import Axis
from fxcount.interpolation.points import Found, Point
from fxcount.interpolation.result import Scaling
from fxcount.interpolation.solved import from_where_it_is_one, solved
from fxcount.symbolic import Size, evaluate, free_symbols, parse
from fxcount.trace.inputs.building import arguments_of

__all__ = ["scaling"]

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
        family = from_where_it_is_one(family)
    first = builds.at(family.base)
    assert isinstance(first, Found)
    clash = sorted(set(names) & {*first.symbols, *first.totals})
    if clash:
        raise InputError(
            f"{clash[0]} is a hyper-parameter and a symbol of the inputs",
            hint=f"write {{{clash[0]}}} where the inputs follow it",
        )
    return solved(family)


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
