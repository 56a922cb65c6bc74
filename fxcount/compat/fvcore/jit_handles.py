"""fvcore's handles by their names: what an op counts, from its operands as ``torch.jit`` orders them.

A handle takes lists of operands and results, and returns a number or a Counter. It works on :class:`Operand` and on
``torch._C.Value`` alike, and gives a formula for sizes that are formulas. The counters themselves do not use these: they count
by ``report.count("fvcore")``, which has the same rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from fxcount.errors import InputError
from fxcount.report.views.conventions.einsum import printed_cost, with_letters_in_order
from fxcount.symbolic import Expr, Size, prod

__all__ = [
    "Handle", "addmm_flop_jit", "batchnorm_flop_jit", "bmm_flop_jit", "conv_flop_count", "conv_flop_jit", "einsum_flop_jit",
    "elementwise_flop_counter", "generic_activation_jit", "get_shape", "linear_flop_jit", "matmul_flop_jit",
    "norm_flop_counter",
]  # fmt: skip

Handle = Callable[[list[Any], list[Any]], Any]


def get_shape(val: Any) -> list[Size] | None:
    """The sizes of a tensor; ``None`` for anything else."""
    return val.type().sizes() if val.isCompleteTensor() else None


def generic_activation_jit(op_name: str | None = None) -> Handle:
    """A handle that counts the elements of the first result, under a name if one is given."""

    def handle(inputs: list[Any], outputs: list[Any]) -> Any:
        count = prod(_sizes(outputs[0]))
        return count if op_name is None else Counter({op_name: count})

    return handle


def addmm_flop_jit(inputs: list[Any], outputs: list[Any]) -> Size:
    """``addmm(added, a, b)``: rows, inner size and columns."""
    (rows, inner), (_, columns) = _sizes(inputs[1]), _sizes(inputs[2])
    return rows * inner * columns


def linear_flop_jit(inputs: list[Any], outputs: list[Any]) -> Size:
    """``linear(x, weight)``: elements of x times features out."""
    return prod(_sizes(inputs[0])) * _sizes(inputs[1])[0]


def bmm_flop_jit(inputs: list[Any], outputs: list[Any]) -> Size:
    """``bmm(a, b)``: elements of a times columns of b."""
    assert len(inputs) == 2, len(inputs)
    return prod(_sizes(inputs[0])) * _sizes(inputs[1])[-1]


def matmul_flop_jit(inputs: list[Any], outputs: list[Any]) -> Size:
    """``matmul(a, b)``: elements of a, not broadcast, times columns of b."""
    a, b = _sizes(inputs[0]), _sizes(inputs[1])
    assert a[-1] == b[-2], (a, b)
    return prod(a) * b[-1]


def conv_flop_count(
    x_shape: Sequence[Size], w_shape: Sequence[Size], out_shape: Sequence[Size], transposed: bool = False
) -> Size:
    """Products of a convolution: every weight at every place of the output, or of the input if it is transposed.

    >>> conv_flop_count((2, 3, 9, 7), (8, 3, 3, 3), (2, 8, 7, 5))
    15120
    """
    return x_shape[0] * prod(w_shape) * prod((x_shape if transposed else out_shape)[2:])


def conv_flop_jit(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """``_convolution(x, weight, ...)``, of 12 or 13 operands, the seventh of which says whether it is transposed."""
    assert len(inputs) in (12, 13), len(inputs)
    shapes = _sizes(inputs[0]), _sizes(inputs[1]), _sizes(outputs[0])
    return Counter({"conv": conv_flop_count(*shapes, transposed=bool(inputs[6].toIValue()))})


def einsum_flop_jit(inputs: list[Any], outputs: list[Any]) -> Any:
    """``einsum(equation, tensors)``: the second operand is a list, whose node has the tensors for inputs."""
    shapes = [_sizes(v) for v in inputs[1].node().inputs()]
    equation = with_letters_in_order(inputs[0].toIValue())
    if equation in ("abc,abd->acd", "abc,adc->adb"):
        return prod(shapes[0]) * shapes[1][2 if equation.endswith("acd") else 1]
    for size in (n for shape in shapes for n in shape if isinstance(n, Expr)):
        raise InputError(f"numpy knows no cost of einsum at the size {size}", hint="give inputs without symbols")
    return float(printed_cost(equation, shapes) // 2)  # type: ignore[arg-type]


def norm_flop_counter(affine_arg_index: int) -> Handle:
    """A handle of a norm: 5 for each element, 4 if the operand at this place is no tensor."""

    def handle(inputs: list[Any], outputs: list[Any]) -> Size:
        return prod(_sizes(inputs[0])) * (5 if get_shape(inputs[affine_arg_index]) is not None else 4)

    return handle


def batchnorm_flop_jit(inputs: list[Any], outputs: list[Any]) -> Any:
    """``batch_norm(x, weight, bias, mean, variance, training, ...)``: a norm in training; else 2 for each element, or 1."""
    training = inputs[5].toIValue()
    assert isinstance(training, bool), "Signature of aten::batch_norm has changed!"
    if training:
        return norm_flop_counter(1)(inputs, outputs)
    return prod(_sizes(inputs[0])) * (2 if get_shape(inputs[1]) is not None else 1)


def elementwise_flop_counter(input_scale: Any = 1, output_scale: Any = 0) -> Handle:
    """A handle that counts so much for each element of the first operand and of the first result."""

    def handle(inputs: list[Any], outputs: list[Any]) -> Any:
        count: Any = 0
        if input_scale != 0:
            count += prod(_sizes(inputs[0])) * input_scale
        if output_scale != 0:
            count += prod(_sizes(outputs[0])) * output_scale
        return count

    return handle


def _sizes(value: Any) -> list[Size]:
    found = get_shape(value)
    assert found is not None, "a tensor is needed here"
    return found
