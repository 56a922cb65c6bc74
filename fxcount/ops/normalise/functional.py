"""ATen ops that only decomposed graphs call: functional forms of ops that write to their operands.

Letters: C channels
Shapes:  x (N, C, *I) -> y as x, saved mean and deviation (C,), new running mean and variance (C,)
Counts:  as batch_norm in training: the new running statistics are results here, not writes
Source:  the definition; ``torch.export``'s ``run_decompositions`` makes these of ``batch_norm`` in training

>>> import torch
>>> x = TensorFact((2, 3, 5), torch.float32)
>>> c = TensorFact((3,), torch.float32)
>>> [f.shape for f in functional_batch_norm(Scope({}), x, c, c, c, c, True)]
[(2, 3, 5), (3,), (3,), (3,), (3,)]
"""

from __future__ import annotations

from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.registry import Op, op
from fxcount.ops.normalise.batchnorm import Parameter, batch_norm_cost, native_batch_norm
from fxcount.symbolic import Scope

__all__ = ["OPS", "functional_batch_norm"]


def functional_batch_norm(
    scope: Scope, x: TensorFact, weight: Parameter, bias: Parameter, running_mean: TensorFact, running_var: TensorFact,
    training: bool, momentum: float = 0.1, eps: float = 1e-5,
) -> tuple[TensorFact, ...]:  # fmt: skip
    """The results of ``native_batch_norm``, and the running statistics as new tensors."""
    results = native_batch_norm(scope, x, weight, bias, running_mean, running_var, training, momentum, eps)
    return *results, running_mean.new(running_mean.shape), running_var.new(running_var.shape)


OPS: tuple[Op, ...] = (op("_native_batch_norm_legit_functional", shape=functional_batch_norm, cost=batch_norm_cost),)
