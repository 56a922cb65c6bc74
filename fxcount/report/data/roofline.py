"""Estimated time: each op takes as long as its arithmetic at the machine's peak or its traffic at full bandwidth, whichever
is longer (the roofline model). An estimate to compare layers with, never a measurement: launch overheads, caches and
kernels below the peak are not in it. ``fxcount.measure`` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.ops.core.common import facts_in
from fxcount.passes.cost import CallCost, Costs
from fxcount.symbolic import Factors, Size, evaluate
from fxcount.trace.tape import Call, Signature, Trace

__all__ = ["A100", "H100", "Machine", "dtype_of", "seconds_by_call"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Peak rates of a device: ``flops_per_second`` by dtype (others run at the ``float32`` rate), ``bytes_per_second``;
    ``source`` says where they are from."""

    name: str
    bytes_per_second: float
    flops_per_second: Mapping[Any, float] = field(hash=False)
    source: str = ""

    def seconds(self, flops: int, nbytes: int, dtype: torch.dtype = torch.float32) -> float:
        """Seconds of one op with this many floating-point operations of ``dtype`` and bytes of traffic.

        >>> A100.seconds(19_500_000_000, 0), A100.seconds(0, 1_555_000_000)
        (0.001, 0.001)
        """
        rate = self.flops_per_second.get(dtype, self.flops_per_second[torch.float32])
        return max(flops / rate, nbytes / self.bytes_per_second)


# Dense peaks without sparsity; float32 on the ordinary cores, as torch computes it by default, half precision on tensor cores.
A100 = Machine(
    "NVIDIA A100 SXM 40 GB (datasheet)", 1.555e12,
    {torch.float64: 9.7e12, torch.float32: 19.5e12, torch.float16: 312e12, torch.bfloat16: 312e12},
)  # fmt: skip
H100 = Machine(
    "NVIDIA H100 SXM 80 GB (datasheet)", 3.35e12,
    {torch.float64: 34e12, torch.float32: 67e12, torch.float16: 989e12, torch.bfloat16: 989e12},
)  # fmt: skip


def seconds_by_call(trace: Trace, costs: Costs, values: Mapping[str, int], machine: Machine = A100) -> Callable[[Call], float]:
    """The estimated seconds of each call at these sizes; calls that look alike are worked out once."""
    known = Factors(values)
    found = {id(s): _seconds(s, costs.by_signature[id(s)], known, machine) for s in trace.signatures}
    return lambda call: found[id(call.signature)]


def _seconds(signature: Signature, cost: CallCost, values: Mapping[str, int], machine: Machine) -> float:
    def at(size: Size) -> int:
        return size if isinstance(size, int) else evaluate(size, values)

    return machine.seconds(at(cost.flops), at(cost.read_bytes) + at(cost.write_bytes), dtype_of(signature))


def dtype_of(signature: Signature) -> torch.dtype:
    """The dtype in which an op computes: the weights' where there are weights."""
    floating = [f.dtype for f in facts_in((signature.args, signature.kwargs)) if f.dtype.is_floating_point]
    return floating[-1] if floating else torch.float32
