"""Layers: one record for each module call with all that summaries of other tools show of it.

Shapes, kernel size, parameters and their share, work, traffic, size of the results, and an estimated share of time. What a
module's own ``forward`` computes outside of its submodules (functional attention, residual additions) is in ``own``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from fxcount.dataclass import dataclass
from fxcount.ops.core.common import as_tuple
from fxcount.ops.core.fact import TensorFact
from fxcount.passes.cost import CallCost, Costs
from fxcount.report.data.roofline import A100, Machine, seconds_by_call
from fxcount.symbolic import Size, floordiv, sum_
from fxcount.trace.tape import Call, ModuleCall, Trace

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["Layer", "LayerWork", "bias_adds", "layers"]

_WITH_BIAS = ("linear", "convolution")
_BIAS = 2  # the position of their bias


@dataclass(frozen=True, slots=True)
class LayerWork:
    """What some calls cost together; ``bias_adds``: additions of a bias by convolutions, linear and recurrent layers;
    ``sums``: results of convolutions and matrix products, each a sum of products; ``seconds``: estimated from the roofline,
    at the report's values or hints."""

    cost: CallCost
    bias_adds: Size
    sums: Size
    seconds: float

    @property
    def macs(self) -> Size:
        """Multiply-accumulates."""
        return self.cost.macs

    @property
    def madds(self) -> Size:
        """Floating-point operations, where a sum of n products takes n - 1 additions: torchstat's MAdd."""
        return self.cost.flops - self.sums

    def __add__(self, other: LayerWork) -> LayerWork:
        return LayerWork(
            CallCost.total([self.cost, other.cost]), self.bias_adds + other.bias_adds, self.sums + other.sums,
            self.seconds + other.seconds,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of a module. ``depth`` counts from 0 for the model, ``number`` the calls of this very module from 1;
    ``parent`` is the position of the call it was made in, -1 for none.

    ``kernel_size``: of the first convolution or pooling its own forward calls, else empty; ``inputs`` and ``outputs``:
    the tensors it was called with by position, and those it returned; ``own``: without what submodules do; ``total``: with it;
    ``returned``: the class of what it returned, if known.
    """

    module_id: int
    parent: int
    path: str
    class_name: str
    depth: int
    number: int
    inputs: tuple[TensorFact, ...]
    outputs: tuple[TensorFact, ...]
    kernel_size: tuple[Size, ...]
    ops: tuple[str, ...]
    own: LayerWork
    total: LayerWork
    returned: type | None = None


def layers(report: ReportData, machine: Machine = A100) -> list[Layer]:
    """Every module call in execution order; ``machine`` is what ``seconds`` are estimated for.

    >>> import torch, fxcount
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, (3, 1)), torch.nn.ReLU())
    >>> [(x.path, x.kernel_size, x.total.macs) for x in layers(fxcount.analyze(net, "1,3,9,7"))]
    [('', (), 2205), ('0', (3, 1), 2205), ('1', (), 0)]
    """
    trace, costs = report.trace, report.costs
    seconds = seconds_by_call(trace, costs, report.sizes, machine)
    return [_layer(m, trace, costs, seconds) for m in trace.modules]


def _layer(m: ModuleCall, trace: Trace, costs: Costs, seconds: Callable[[Call], float]) -> Layer:
    inside = trace.calls[m.start : m.stop]
    own = [c for c in inside if c.module == m.index]
    return Layer(
        m.module_id, m.parent, m.path, m.class_name, m.depth, m.number, m.inputs, m.outputs, next(_kernels(own), ()),
        tuple([c.op.name for c in own]), _work(own, costs, seconds), _work(inside, costs, seconds),
        m.returned,
    )  # fmt: skip


def _work(calls: Sequence[Call], costs: Costs, seconds: Callable[[Call], float]) -> LayerWork:
    sums = sum_([c.outputs[0].fact.numel for c in calls if c.op.kind in (*_WITH_BIAS, "product")])
    return LayerWork(costs.sum(calls), sum_([bias_adds(c, costs) for c in calls]), sums, sum(map(seconds, calls)))


def bias_adds(call: Call, costs: Costs) -> Size:
    """Additions of a bias in this call: one for each result of a convolution or linear layer that has one.

    A recurrent layer applies weights and biases at the same places: ``macs / numel(weights)`` of them.
    """
    signature = call.signature
    kind = signature.op.kind
    if kind in _WITH_BIAS:
        bias = signature.args[_BIAS] if len(signature.args) > _BIAS else signature.kwargs.get("bias")
        return call.outputs[0].fact.numel if isinstance(bias, TensorFact) else 0
    if kind == "recurrent":
        operands = [v.fact for v in call.operands if v.origin == "parameter"]
        weights = sum_([f.numel for f in operands if f.ndim == 2])
        biases = sum_([f.numel for f in operands if f.ndim == 1])
        return floordiv(costs.of(call).macs * biases, weights) if weights != 0 else 0
    return 0


def _kernels(calls: Sequence[Call]) -> Iterator[tuple[Size, ...]]:
    """Kernel sizes of the convolutions and poolings among the calls."""
    for call in calls:
        op, args = call.op, call.signature.args
        if op.kind == "convolution":
            weight = args[1] if len(args) > 1 else call.signature.kwargs["weight"]
            yield tuple(weight.shape[2:])
        elif op.kind == "pooling":
            kernel = args[1] if len(args) > 1 else call.signature.kwargs["kernel_size"]
            yield as_tuple(kernel, op.window)
