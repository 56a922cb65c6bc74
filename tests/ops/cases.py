"""Cases for tables: a call of an op, and which names a table of cases covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from fxcount.ops.core.registry import Op, callables_named
from tests.ops import harness, tracker


@dataclass(frozen=True)
class Case:
    """``func(*args, **kwargs)`` with harness arguments; ``on`` the device torch can answer on."""

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    on: str = "meta"
    assumes: int = 0

    def check(self, strides: bool = True) -> None:
        harness.check(self.func, *self.args, device=self.on, strides=strides, assumes=self.assumes, **self.kwargs)

    def work(self, values: Mapping[str, int] = harness.SIZES[2]) -> dict[str, int]:
        return harness.work(self.func, *self.args, values=values, **self.kwargs)

    def assert_held(self) -> None:
        tracker.assert_held(self.func, *self.args, **self.kwargs)


def overload(name: str, which: str = "default") -> Any:
    """An overload of an ATen op that not every torch has, or ``None``."""
    return getattr(getattr(torch.ops.aten, name, None), which, None)


def call(func: Callable[..., Any], *args: Any, on: str = "meta", assumes: int = 0, **kwargs: Any) -> Any:
    """A pytest parameter with a readable name; skipped where this torch has no such op (see :func:`overload`)."""
    if func is None:
        missing = pytest.mark.skip(reason="this torch has no such op")
        return pytest.param(Case(func, args, kwargs, on, assumes), id="missing", marks=missing)
    name = getattr(func, "__name__", None) or str(func)
    return pytest.param(Case(func, args, kwargs, on, assumes), id=name)


def named(name: str) -> Callable[..., Any]:
    """A callable of that name, in Python or, failing that, the ATen packet's first overload."""
    found = next(callables_named(name), None)
    if found is not None:
        return found
    packet = getattr(torch.ops.aten, name.replace(".", "_"))
    overload: Callable[..., Any] = getattr(packet, packet.overloads()[0])
    return overload


def uncovered(ops: Iterable[Op], cases: Iterable[Any], names: Iterable[str] = ()) -> set[str]:
    """Names of ops without a case; ``names`` are those a test covers in another way."""
    called = [p.values[0].func if hasattr(p, "values") else p for p in cases]
    spoken = set(names)
    for func in called:
        schema = getattr(func, "_schema", None)
        spoken.add(schema.name.partition("::")[2] if schema is not None else "")
    missing = set()
    for entry in ops:
        for name in entry.names:
            own = [*callables_named(name), *callables_named(name + "_")]
            if not own and not hasattr(torch.ops.aten, name):  # an op of other versions of torch
                continue
            if name not in spoken and name.replace(".", "_") not in spoken and not any(f in called for f in own):
                missing.add(name)
    return missing
