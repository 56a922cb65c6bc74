"""A lower bound of time: what each op takes at a device's peak rates, and at which size its arithmetic takes longer than its
traffic."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import InputError, SizeError
from fxcount.report.data.devices import device_of
from fxcount.report.data.report import ReportData
from fxcount.report.data.roofline import Machine, dtype_of
from fxcount.report.views.units import count_text
from fxcount.symbolic import Size, evaluate
from fxcount.wording import visible

__all__ = ["OpBound", "Roofline", "roofline_of"]

_MOST = 2**40


@dataclass(frozen=True)
class OpBound:
    """All calls of an op that look alike, as the first of them stands in a module: ``calls`` of them, FLOPs and bytes of one,
    and FLOPs for each byte at which the device's two rates meet (``balance``)."""

    op: str
    module: str
    calls: int
    dtype: Any
    flops: Any
    nbytes: Any
    balance: Fraction
    _flops: Size
    _nbytes: Size

    @property
    def intensity(self) -> Any:
        """FLOPs for each byte: a number, or a formula."""
        if isinstance(self.flops, int) and isinstance(self.nbytes, int):
            return Fraction(self.flops, self.nbytes) if self.nbytes else Fraction(0)
        return self.flops / self.nbytes

    @property
    def compute_bound(self) -> Any:
        """Whether arithmetic takes longer than traffic: a truth, or as a formula the inequality of sizes."""
        return self.flops * self.balance.denominator >= self.nbytes * self.balance.numerator

    def turns(self, symbol: str, /, **sizes: int) -> int | None:
        """The smallest size of ``symbol`` from which on arithmetic takes longer than traffic, the others as given; ``None`` if
        it never does. Intensity grows with a size where it depends on it, so that it is found by halving.

        Raises :class:`~fxcount.errors.SizeError` for sizes without a value."""

        def bound(n: int) -> bool:
            values = {**sizes, symbol: n}
            return evaluate(self._flops, values) * self.balance.denominator >= (
                evaluate(self._nbytes, values) * self.balance.numerator
            )

        if not bound(_MOST):
            return None
        low, high = 0, _MOST
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if bound(middle) else (middle, high)
        return high


@dataclass(frozen=True)
class Roofline:
    """The ops of a report on a device. ``efficiency`` is the part of the peak of arithmetic, ``bandwidth`` of that of traffic,
    that is reached: 1 is a lower bound of time, anything below an assumption of the user's."""

    model: str
    machine: Machine
    efficiency: Fraction
    bandwidth: Fraction
    rows: tuple[OpBound, ...]

    def seconds(self, row: OpBound) -> Any:
        """Seconds of all calls of a row.

        Raises :class:`~fxcount.errors.SizeError` while sizes are symbols."""
        if not isinstance(row.flops, int) or not isinstance(row.nbytes, int):
            raise SizeError("seconds are of numbers, and there are symbols", hint="ask report.at(...).roofline(...)")
        rate = Fraction(row.balance) * Fraction(self.machine.bytes_per_second) * self.bandwidth
        traffic = Fraction(row.nbytes) / (Fraction(self.machine.bytes_per_second) * self.bandwidth)
        return float(row.calls * max(Fraction(row.flops) / rate, traffic))

    @cached_property
    def total_seconds(self) -> float:
        """Seconds of all ops, one after the other."""
        return float(sum([self.seconds(row) for row in self.rows]))

    def __str__(self) -> str:
        rows = sorted(self.rows, key=lambda row: -self.seconds(row))[:12]
        device = f"{self.machine.name} ({self.machine.source})"
        lines = [f"{visible(self.model)} on {device}: at least {self.total_seconds:.3g} s", ""]
        for row in rows:
            kind = "arithmetic" if row.compute_bound else "traffic"
            lines.append(
                f"  {row.op:<28}{row.calls:>5} x {self.seconds(row) / row.calls:9.3g} s  {count_text(row.flops):>10} FLOPs "
                f"{float(row.intensity):9.1f} for each byte: {kind}"
            )
        return "\n".join(lines)


def roofline_of(
    report: ReportData, device: str | Machine, dtype: Any = None, efficiency: float = 1, bandwidth: float = 1
) -> Roofline:
    """:meth:`fxcount.Report.roofline`."""
    machine = device_of(device)
    parts = {"efficiency": efficiency, "bandwidth": bandwidth}
    for name, part in parts.items():
        if not 0 < part <= 1:
            raise InputError(f"{name}={part!a} is no part of a peak", hint="give a number above 0, at most 1")
    if dtype is not None and dtype not in machine.flops_per_second:
        known = ", ".join([str(d) for d in machine.flops_per_second])
        raise InputError(f"no rate of {machine.name} is known for {dtype}", hint=f"there are {known}")
    used, spread = Fraction(efficiency), Fraction(bandwidth)
    counts: dict[int, int] = {}
    first: dict[int, Any] = {}
    for call in report.trace.calls:
        key = id(call.signature)
        counts[key] = counts.get(key, 0) + 1
        first.setdefault(key, call)
    rows = []
    for key, call in first.items():
        cost = report.costs.by_signature[key]
        nbytes = cost.read_bytes + cost.write_bytes
        if isinstance(nbytes, int) and nbytes == 0:
            continue
        kind = dtype_of(call.signature) if dtype is None else dtype
        rate = machine.flops_per_second.get(kind, machine.flops_per_second[torch.float32])
        balance = Fraction(rate) * used / (Fraction(machine.bytes_per_second) * spread)
        path = report.trace.modules[call.module].path if call.module >= 0 else ""
        rows.append(OpBound(
            call.op.name, path, counts[key], kind, report.public(cost.flops), report.public(nbytes), balance,
            cost.flops, nbytes,
        ))  # fmt: skip
    return Roofline(report.trace.model_name, machine, used, spread, tuple(rows))

