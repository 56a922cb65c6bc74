"""Will it fit? The largest size at which what is alive at the worst moment fits into a memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError, RefusedError, SizeError
from fxcount.report.views.units import bytes_text
from fxcount.symbolic import free_symbols
from fxcount.wording import visible

__all__ = ["Largest", "Need", "budget", "largest", "largest_of", "unless_refused"]

_UNITS = {"": 1, **{f"{p}B": 1000**i for i, p in enumerate(("", "K", "M", "G", "T"))}}
_UNITS |= {f"{p}iB": 1024**i for i, p in enumerate(("", "K", "M", "G", "T")) if p}
_MOST = 2**40  # nobody has a batch of that many
_TRIED = 64  # neighbours that are asked where the model refuses a size


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that a run takes at one size: what is ``held`` all the time (parameters, buffers, an optimizer's states), and the
    rest at its worst moment, which is ``place``. ``parts`` says what the sum is made of."""

    held: int
    running: int
    place: str
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def nbytes(self) -> int:
        return self.held + self.running


@dataclass(frozen=True, slots=True)
class Largest:
    """``value`` is the largest size of ``symbol`` that fits into ``memory`` bytes, 0 if none does; ``need`` what it takes
    there, ``beyond`` the next size the model accepts and what that would take (``None`` if it accepts none)."""

    symbol: str
    value: int
    memory: int
    need: Need | None
    beyond: tuple[int, Need] | None

    def __bool__(self) -> bool:
        return self.value > 0

    def __str__(self) -> str:
        name, memory = self.symbol, bytes_text(self.memory)
        if self.need is None:
            answer = f"no {name} fits into {memory}" if self.beyond else f"the model accepts no {name}"
        else:
            answer = f"{name} = {self.value:,} is the largest that fits into {memory}\nit takes {self._of(self.need)}"
        if self.beyond is not None:
            return f"{answer}\n{name} = {self.beyond[0]:,} would take {self._of(self.beyond[1])}"
        return f"{answer}\nthe model accepts no larger one" if self.need else answer

    @staticmethod
    def _of(need: Need) -> str:
        held, running = bytes_text(need.held), bytes_text(need.running)
        place = visible(need.place)
        return f"{bytes_text(need.nbytes)}, {held} all the time and {running} at its worst moment, {place}"


def budget(memory: int | str) -> int:
    """Bytes: a number, or text with a unit, powers of 1000 (``"80GB"``) or of 1024 (``"24GiB"``).

    Raises :class:`~fxcount.errors.InputError` for anything else.

    >>> budget("24GB"), budget("1.5 GiB"), budget(4096)
    (24000000000, 1610612736, 4096)
    """
    match = re.fullmatch(r"\s*([\d_]*\.?\d+)\s*([KMGT]?i?B?)\s*", str(memory), re.IGNORECASE)
    unit = next((u for u in _UNITS if match and u.lower() == match[2].lower()), None)
    if match is None or unit is None or len(match[1]) > 30:
        raise InputError(f"{memory!r} is no amount of memory", hint='write bytes, or a unit: "80GB", "24GiB"')
    whole, _, part = match[1].replace("_", "").partition(".")
    found: int = int(whole + part) * _UNITS[unit] // 10 ** len(part)
    return found


def check_others(report: Any, symbol: str, sizes: Mapping[str, int]) -> None:
    """All sizes of inputs but the one that is looked for have values.

    Raises :class:`~fxcount.errors.SizeError` if they have not."""
    data = report.trace.scope.unbacked.by_name  # sizes that data decide have defaults
    left = [name for name in report.symbols if name != symbol and name not in sizes and name not in data]
    if left:
        given = ", ".join([f"{name}=..." for name in left])
        raise SizeError(
            f"what fits depends on {', '.join(left)} as well, which no value was given for",
            hint=f"largest({symbol!a}, memory, {given}), or on the command line --at {given.replace(' ', '')}",
        )


def unless_refused(
    answer: Callable[[dict[str, int]], Need], symbol: str, sizes: Mapping[str, int]
) -> Callable[[int], Need | None]:
    """What ``answer`` says of one size, or ``None`` where the model refuses it: wherever its decisions come out as they did at
    a size it refused, it is not asked again."""
    refused: list[tuple[Any, ...]] = []

    def need(value: int) -> Need | None:
        values = {**sizes, symbol: value}
        if any(_hold(claims, values) for claims in refused):
            return None
        try:
            return answer(values)
        except RefusedError as error:
            refused.append(error.assumed)
            return None

    return need


def _hold(claims: tuple[Any, ...], values: Mapping[str, int]) -> bool:
    known = {s for claim in claims for size in claim.sizes for s in free_symbols(size)}
    return bool(claims) and known <= values.keys() and all(claim.holds(values) for claim in claims)


def largest(symbol: str, memory: int, need: Callable[[int], Need | None], start: int = 1) -> Largest:
    """Search for the largest size, from ``start``; ``need`` says what a size takes, or ``None`` where the model refuses it.

    What is alive grows with a batch or a length, so that it is found by halving; what is needed at it and at the next one is
    in the result. Raises :class:`~fxcount.errors.SizeError` if even 2**40 fits.

    >>> found = largest("B", 1000, lambda n: Need(200, 50 * n, "conv2d"))
    >>> found.value, found.beyond[0], found.beyond[1].nbytes
    (16, 17, 1050)
    """
    low, best, high, beyond = 0, None, start, None
    while True:  # double while it fits
        found = _accepted(need, high, high + _TRIED)
        if found is None or found[1].nbytes > memory:
            beyond = found
            break
        low, best = found
        high = 2 * low
        if low > _MOST:
            raise SizeError(
                f"there is no limit: {symbol} = {low:,} takes {best.nbytes:,} bytes of {memory:,}", hint="say a smaller memory"
            )
    while high - low > 1:  # low fits, and nothing from high on does
        middle = (low + high) // 2
        found = _accepted(need, middle, min(high, middle + _TRIED))
        if found is not None and found[1].nbytes <= memory:
            low, best = found
        else:
            high, beyond = middle, found or beyond
    return Largest(symbol, low, memory, best, beyond)


def largest_of(
    nbytes: Callable[[dict[str, int]], int], need: Callable[[dict[str, int]], Need], symbol: str, memory: int | str,
    sizes: Mapping[str, int], start: int = 1,
) -> Largest:  # fmt: skip
    """:func:`largest` with the other ``sizes`` as they are, from a ``start`` at which the model has been analysed.

    The search asks for ``nbytes``, and at the two sizes between which memory ends for all that is needed.
    Raises :class:`~fxcount.errors.InputError` if the symbol is among the sizes.
    """
    if symbol in sizes:
        raise InputError(f"{symbol} has a value, and is asked for", hint="leave out the size that is looked for")
    found = largest(symbol, budget(memory), unless_refused(lambda values: Need(0, nbytes(values), ""), symbol, sizes), start)
    best = None if found.need is None else need({**sizes, symbol: found.value})
    beyond = found.beyond and (found.beyond[0], need({**sizes, symbol: found.beyond[0]}))
    return replace(found, need=best, beyond=beyond)


def _accepted(need: Callable[[int], Need | None], first: int, stop: int) -> tuple[int, Need] | None:
    """The first size of a range that the model accepts, and what it takes."""
    for size in range(first, max(stop, first + 1)):
        found = need(size)
        if found is not None:
            return size, found
    return None
