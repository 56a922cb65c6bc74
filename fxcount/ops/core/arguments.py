"""What the arguments of ops can be: the types of torch's schemas, in the words of the analysis.

====================  ==================================  =====================================================
here                  in a schema                         what arrives
====================  ==================================  =====================================================
``TensorFact``        ``Tensor``                          a fact
``Given``             ``Tensor?``                         a fact, or nothing: weights, biases, masks
``Tensors``           ``Tensor[]``                        facts
``Size``              ``SymInt``                          a number, or a formula
``Sizes``             ``SymInt[n]``, ``int[n]``           one for all dimensions, or one for each
``Dims``              ``int[]?``                          dimensions of x; ``None`` and ``()`` are all
``Scalar``            ``Scalar``                          a number to compute with; a symbolic one is a formula
``Real``              ``Scalar``                          a bound: of a range, a clamp
``Operand``           ``Tensor`` or ``Scalar``            of arithmetic, which takes both
``Index``             ``Tensor?[]``, Python's keys        what stands in brackets; ``None`` is a new dimension
``Order``             ``Scalar?``, ``str``                of a norm: 2, inf, "fro", "nuc"
``Reduction``         ``int``, ``str``                    of a loss: ATen's code, or Python's word
``Dtype``             ``ScalarType?``                     ``None``: the op chooses
``Device``            ``Device?``                         ``None``: the op chooses
``Format``            ``MemoryFormat?``                   ``None``: the op chooses
``Results``           the returns                         one fact, or several: what a cost rule gets in front
``ShapeResult``       the returns                         what a shape rule gives: views, known data, ``None`` for
                                                          a gradient that is not asked for
====================  ==================================  =====================================================

An argument that a rule does not look at is an ``object``: nothing can be done with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import TypeAlias

import torch

from fxcount.ops.core.fact import Alias, Holding, TensorFact
from fxcount.symbolic import Size

__all__ = [
    "Device", "Dims", "Dtype", "Format", "Given", "Index", "Operand", "Order", "Real", "Reduction", "Results", "Scalar",
    "ShapeResult", "Sizes", "Tensors",
]  # fmt: skip

Given: TypeAlias = TensorFact | None
Tensors: TypeAlias = Sequence[TensorFact]
Sizes: TypeAlias = Size | list[Size] | tuple[Size, ...]
Dims: TypeAlias = int | list[int] | tuple[int, ...] | None
Scalar: TypeAlias = Size | float | complex
Real: TypeAlias = Size | float
Operand: TypeAlias = TensorFact | Scalar
Index: TypeAlias = "Size | slice | EllipsisType | TensorFact | Sequence[Index] | None"
Order: TypeAlias = float | str | None
Reduction: TypeAlias = int | str
Dtype: TypeAlias = torch.dtype | None
Device: TypeAlias = torch.device | str | int | None
Format: TypeAlias = torch.memory_format | None
Results: TypeAlias = TensorFact | Sequence[TensorFact]
ShapeResult: TypeAlias = "TensorFact | Alias | Holding | torch.Tensor | Sequence[ShapeResult | None]"
