"""Input specifications of the user's in the place of those a graph has of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from fxcount.errors import InputError
from fxcount.symbolic import Expr, Size, floordiv, free_symbols, name_of, substitute
from fxcount.trace.frontends.program import Program
from fxcount.trace.inputs.specs import InputSpec
from fxcount.trace.torch_guards import Guard

__all__ = ["renamed_inputs", "specialised_inputs"]


def renamed_inputs(program: Program, given: Sequence[Any]) -> None:
    """Replace the sizes of ``program``'s inputs by the ``given`` ones, after checking that the graph can take them.

    A symbol takes the place of the graph's own, with its hint and bounds; a number fixes it.

    Raises :class:`~fxcount.errors.InputError` for another number of tensors, or for a size the graph does not have.
    """
    _replace(program, given)


def specialised_inputs(program: Program, given: Sequence[Any]) -> None:
    """The same where the graph was exported for just these inputs: a number in the place of a symbol is a
    specialisation of ``torch.export``'s, to be recorded as a pinned size."""
    program.pinned = _replace(program, given, specialised=True)


def _replace(program: Program, given: Sequence[Any], specialised: bool = False) -> list[Expr]:
    specs = [s for s in given if isinstance(s, InputSpec)]
    own = program.inputs
    if len(specs) != len(own):
        raise InputError(
            f"the graph takes {len(own)} tensors ({', '.join(own)}), {len(specs)} were described",
            hint="describe all of its tensor inputs in order, or none: then its own sizes are used",
        )
    became: dict[str, Size] = {}
    pinned: list[Expr] = []
    sides: list[tuple[Size, Size]] = []  # a size of the graph's own, and the one in its place
    for (name, mine), spec in zip(own.items(), specs, strict=True):
        if specialised:
            pinned += [b for a, b in zip(mine.shape, spec.shape, strict=True) if isinstance(a, int) and isinstance(b, Expr)]
            shape = tuple([b if isinstance(a, int) else a for a, b in zip(mine.shape, spec.shape, strict=True)])
            mine = InputSpec(shape, mine.dtype, mine.device)
        _match(name, mine, spec, became, strict=not specialised)
        sides += zip(mine.shape, spec.shape, strict=True)
    for own_size, theirs in sides:
        _solve(own_size, theirs, became)
    names = {ours: name_of(size) for ours, size in became.items()}
    program.hints = {n: program.hints[ours] for ours, n in names.items() if n and ours in program.hints}
    program.bounds = {n: program.bounds[ours] for ours, n in names.items() if n and ours in program.bounds}
    program.bound = {k: became.get(name_of(v) or "", v) if isinstance(v, Expr) else v for k, v in program.bound.items()}
    program.guards = [guard.on(became) for guard in (*program.guards, *(Guard("==", pair) for pair in sides))]
    program.guards = [g for g in program.guards if g.relation != "==" or g.sizes[0] != g.sizes[1]]
    program.inputs = {
        name: dataclasses.replace(spec, dtype=spec.dtype or mine.dtype, device=spec.device or mine.device)
        for (name, mine), spec in zip(own.items(), specs, strict=True)
    }
    return pinned


def _solve(own: Size, theirs: Size, became: dict[str, Size]) -> None:
    """A symbol that stands nowhere alone, from a size of the graph that is linear in it: ``2*s`` in the place of ``H``."""
    unknown = [name for name in free_symbols(own) if name not in became] if isinstance(own, Expr) else []
    if len(unknown) != 1:
        return
    (name,) = unknown
    rest = substitute(own, {**became, name: 0})
    factor = substitute(own, {**became, name: 1}) - rest
    if isinstance(factor, int) and factor and substitute(own, {**became, name: 2}) - rest == 2 * factor:
        became[name] = floordiv(theirs - rest, factor)


def _match(name: str, mine: InputSpec, given: InputSpec, became: dict[str, Size], strict: bool = True) -> None:
    if len(given.shape) != len(mine.shape):
        raise InputError(f"the graph's input {name} has {len(mine.shape)} dimensions, not {len(given.shape)}")
    for dim, (size, theirs) in enumerate(zip(mine.shape, given.shape, strict=True)):
        if isinstance(size, int) and size != theirs:
            raise InputError(
                f"size {dim} of the graph's input {name} is {size}, not {theirs}",
                hint="export the model again with this size dynamic",
            )
        symbol = name_of(size)
        if symbol and became.setdefault(symbol, theirs) != theirs and strict:
            raise InputError(
                f"size {dim} of the graph's input {name} is {theirs}, but elsewhere {became[symbol]}",
                hint="the graph was made for equal sizes there",
            )
