"""What a table of modules can show and be sorted by, by name: asked before anything heavy is loaded, and when it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fxcount.errors import InputError
from fxcount.wording import did_you_mean

__all__ = ["COLUMNS", "COUNTS", "SORTED_BY", "check_order", "columns_of"]

COUNTS = ("macs", "flops", "transcendentals", "read_bytes", "write_bytes")
"""What is counted of every call, in the order of :class:`~fxcount.passes.CallCost`."""

COLUMNS: Mapping[str, str] = MappingProxyType({
    "shape": "output shape", "params": "params", "macs": "macs", "flops": "flops", "transcendentals": "transcendentals",
    "read_bytes": "read", "write_bytes": "written", "share": "share of macs",
})
"""What a table can show beside the modules, with the heads."""

SORTED_BY = (*COUNTS, "params")
"""What the rows inside a module can be sorted by."""

_DEFAULT = ("shape", "params", "macs", "flops", "share")


def columns_of(names: Sequence[str] | str | None) -> tuple[str, ...]:
    """The columns asked for: a sequence, or text with commas.

    Raises :class:`~fxcount.errors.InputError` for one that there is not.

    >>> columns_of("macs, share")
    ('macs', 'share')
    """
    wanted = _DEFAULT if names is None else [n.strip() for n in names.split(",")] if isinstance(names, str) else names
    for name in wanted:
        if name not in COLUMNS:
            said = f"the table has no column {name!r}{did_you_mean(name, COLUMNS)}"
            raise InputError(said, hint=f"use some of {', '.join(COLUMNS)}")
    return tuple(wanted)


def check_order(sort: str | None) -> None:
    """Raise :class:`~fxcount.errors.InputError` for what rows cannot be sorted by; ``None`` is the order of execution.

    >>> check_order("macs")
    """
    if sort is not None and sort not in SORTED_BY:
        said = f"rows cannot be sorted by {sort!r}{did_you_mean(sort, SORTED_BY)}"
        raise InputError(said, hint=f"use one of {', '.join(SORTED_BY)}")
