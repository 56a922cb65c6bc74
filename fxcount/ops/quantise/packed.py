"""Operations of torch.ao on quantised tensors, whose weights are packed into an object: linear layers and convolutions, also on
activations that are quantised as they come, sums and products, the way into integers and back.

Letters: n elements of the result, K products for each, x the activations, w the weight as it was before it was packed
Counts:  quantise, per element: times 1/scale, rounded, plus zero point, clipped (2 comparisons) = 5, and the division for
         1/scale; dequantise, per element: minus zero point, times scale = 2
         products: macs = n*K of integers, which are no floating-point work; a quantised result is scaled anew: times scale,
         rounded, plus zero point, clipped = 5 n; of activations that are quantised as they come: minimum and maximum
         2*(x - 1), scale and zero point 10, quantise 5 x, and the result dequantised and biased 2 n (+ n)
         sums and products of two quantised tensors: each operand dequantised, the result quantised: 2 + 2 + 1 + 5 an element
Raises:  ShapeError: inner sizes or channels do not match
Source:  ATen/native/quantized/cpu/qlinear.cpp, qlinear_dynamic.cpp, qconv.cpp, BinaryOps.cpp; the scales of the weight's rows
         are folded into the output's

>>> x = TensorFact((2, 5), torch.float32)
>>> _quantised_cost(quantised(Scope({}), x, 0.1, 3, torch.quint8), x, 0.1, 3, torch.quint8).flops
51
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.contraction import conv
from fxcount.ops.contraction.matmul import contraction, require
from fxcount.ops.core.common import broadcast, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import channels_last_layout
from fxcount.ops.core.tree import Node
from fxcount.ops.memory import joining
from fxcount.symbolic import Scope, Size, prod

__all__ = [
    "DEQUANTISED", "OPS", "QUANTISED", "SCALED_ANEW", "Packed", "PackedCell", "as_it_comes", "is_packed", "scale_bytes",
    "unpacked",
]  # fmt: skip

QUANTISED = Scalars(add=4, mul=1)
DEQUANTISED = Scalars(add=1, mul=1)
SCALED_ANEW = Scalars(add=4, mul=1)
_CHOSEN = Scalars(add=8, div=2)  # scale and zero point of activations from their minimum and maximum


# -- packed weights -----------------------------------------------------------------------------------------------------
class Packed(Node):
    """The object in which torch.ao keeps a quantised weight and its bias: ``tensors`` are these, ``settings`` what else it
    says (of a convolution), ``scale_bytes`` those of scales and zero points."""

    __slots__ = ("held", "scale_bytes", "settings", "tensors")

    def __init__(self, held: Any, tensors: tuple[Any, ...], settings: tuple[tuple[str, Any], ...], scale_bytes: int) -> None:
        self.held = held
        self.tensors = tensors
        self.settings = settings
        self.scale_bytes = scale_bytes

    def parts(self) -> tuple[Any, ...]:
        return self.tensors

    def of_parts(self, parts: Iterator[Any]) -> Packed:
        return Packed(self.held, tuple(parts), self.settings, self.scale_bytes)

    @property
    def kind(self) -> Any:
        return self.settings, self.scale_bytes

    @property
    def weight(self) -> Any:
        """The quantised weight, as it was before it was packed."""
        return self.tensors[0]

    @property
    def cells(self) -> tuple[Packed, ...]:
        """Itself: it is one product's."""
        return (self,)

    @property
    def biased(self) -> bool:
        """Whether there is a bias."""
        return len(self.tensors) > 1


class PackedCell(Node):
    """The object in which torch.ao keeps the two weights of a recurrent layer in one direction: ``cells`` are that of the
    input and that of the state."""

    __slots__ = ("cells", "held")

    def __init__(self, held: Any, cells: tuple[Packed, ...]) -> None:
        self.held = held
        self.cells = cells

    def parts(self) -> tuple[Any, ...]:
        return tuple(part for cell in self.cells for part in cell.parts())

    def of_parts(self, parts: Iterator[Any]) -> PackedCell:
        cells = [cell.of_parts(iter([next(parts) for _ in cell.parts()])) for cell in self.cells]
        return PackedCell(self.held, tuple(cells))

    @property
    def kind(self) -> Any:
        return tuple(cell.kind for cell in self.cells)


def is_packed(thing: Any) -> bool:
    """Whether it is an object that keeps quantised weights."""
    return type(thing) is torch.ScriptObject and any(name in str(thing) for name in ("PackedParams", _CELL))


_CELL = "CellParams"


def unpacked(held: Any) -> Packed | PackedCell:
    """What such an object keeps.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # torch's, of quantised dtypes
    ...     layer = torch.ao.nn.quantized.Conv2d(4, 6, 3, stride=2, groups=2)
    >>> found, = unpacked(layer._packed_params).cells
    >>> tuple(found.weight.shape), dict(found.settings)["groups"], found.scale_bytes
    ((6, 2, 3, 3), 2, 16)
    """
    if _CELL in str(held):
        return PackedCell(held, tuple([_product(part) for part in held.__getstate__()[0][-1] if is_packed(part)]))
    return _product(held)


def _product(held: Any) -> Packed:
    parts = held.unpack()
    weight, bias = parts if isinstance(parts, tuple) else (parts, None)
    settings = tuple([(n, _plain(getattr(held, n)())) for n in _SETTINGS if hasattr(held, n)])
    return Packed(held, (weight,) if bias is None else (weight, bias.detach()), settings, scale_bytes(weight))


_SETTINGS = ("stride", "padding", "dilation", "groups", "output_padding")
_PER_CHANNEL = (torch.per_channel_affine, torch.per_channel_symmetric, torch.per_channel_affine_float_qparams)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def scale_bytes(weight: torch.Tensor) -> int:
    """Bytes of scales (float64) and zero points (int64): one of each, or one for each channel."""
    if not weight.is_quantized:
        return 0
    return 16 * (weight.q_per_channel_scales().numel() if weight.qscheme() in _PER_CHANNEL else 1)


def _read(x: TensorFact, packed: Packed) -> Size:
    held: Size = sum([t.nbytes for t in packed.tensors])
    return x.nbytes + held + packed.scale_bytes


def _work(x: TensorFact, packed: Packed, macs: Size, also: Work, floating: bool = False) -> Work:
    products = contraction(torch.float32 if floating else torch.int8, macs)
    return Work(macs, products.flops + also.flops, read_bytes=_read(x, packed))


def _added(packed: Packed) -> Scalars:
    """The bias of a result in floating point."""
    return Scalars(add=1) if packed.biased else Scalars()


def _from_floats(y: TensorFact, x: TensorFact, packed: Packed) -> Work:
    """Activations quantised as they come, and the result made floats again."""
    return Work(flops=as_it_comes(x.numel, y.numel, packed.biased))


def as_it_comes(given: Size, made: Size, biased: bool) -> Size:
    """The flops around one product of integers: of its input, whose range is looked for, and of its result with a bias.

    >>> as_it_comes(5, 3, True)  # 4 + 4 for the range, 10 for scale and zero point, 5 for each input, 3 for each result
    52
    """
    seen = (Scalars(add=2 * (given - 1)) + _CHOSEN + QUANTISED * given).work(1, torch.float32)
    result = (DEQUANTISED + (Scalars(add=1) if biased else Scalars())).work(made, torch.float32)
    return seen.flops + result.flops


# -- linear layers ------------------------------------------------------------------------------------------------------
def linear(scope: Scope, x: TensorFact, packed: Packed, *_: Any, **__: Any) -> TensorFact:
    """x (*, K) and a weight of (N, K) -> (*, N)."""
    n, k = packed.weight.shape
    require(scope, x.shape[-1], k, "quantized linear: inner sizes must match", x.shape, (n, k))
    return x.new((*x.shape[:-1], n))


def _linear_cost(y: TensorFact, x: TensorFact, packed: Packed, *_: Any, **__: Any) -> Work:
    return _work(x, packed, y.numel * x.shape[-1], SCALED_ANEW.work(y.numel, torch.float32))


def _dynamic_cost(y: TensorFact, x: TensorFact, packed: Packed, *_: Any, **__: Any) -> Work:
    return _work(x, packed, y.numel * x.shape[-1], _from_floats(y, x, packed))


def _half_cost(y: TensorFact, x: TensorFact, packed: Packed, *_: Any, **__: Any) -> Work:
    """Weights in half precision, products of floats."""
    return _work(x, packed, y.numel * x.shape[-1], _added(packed).work(y.numel, torch.float32), floating=True)


# -- convolutions -------------------------------------------------------------------------------------------------------
_CONVOLUTIONS = {entry.name: entry for entry in conv.OPS}


def _convolution(spatial: int, transposed: bool) -> Callable[..., TensorFact]:
    plain = _CONVOLUTIONS[f"conv{'_transpose' if transposed else ''}{spatial}d"]

    def shape(scope: Scope, x: TensorFact, packed: Packed, *_: Any, **__: Any) -> TensorFact:
        weight = packed.weight.shape
        if len(weight) == spatial + 3:  # that of a one-dimensional convolution has a dimension of 1 before its last
            weight = (*weight[:2], *weight[3:])
        told = dict(packed.settings)
        sizes = {n: told[n][-spatial:] for n in ("stride", "padding", "dilation")}
        if transposed:
            sizes["output_padding"] = told["output_padding"][-spatial:]
        floats = TensorFact(x.shape, torch.float32, x.device), TensorFact(weight, torch.float32, x.device)
        y = plain.shape(scope, *floats, None, groups=told["groups"], **sizes)
        assert isinstance(y, TensorFact)
        return TensorFact(y.shape, x.dtype, x.device, _strides(y.shape) if y.ndim == spatial + 2 else None)

    return shape


def _strides(shape: tuple[Size, ...]) -> tuple[Size, ...] | None:
    """As its kernels write: channels last, in one dimension as in two of which one is 1."""
    if len(shape) > 3:
        return channels_last_layout(shape)
    flat = channels_last_layout((*shape[:2], 1, shape[2]))
    return flat and (*flat[:2], flat[3])


def _convolution_macs(spatial: int, transposed: bool) -> Callable[[TensorFact, TensorFact, Any], Size]:
    def macs(y: TensorFact, x: TensorFact, packed: Packed) -> Size:
        held = x if transposed else y
        positions = prod(held.shape[-spatial:]) * (held.shape[0] if held.ndim == spatial + 2 else 1)
        numel: Size = packed.weight.numel
        return numel * positions

    return macs


def _convolutions() -> list[Op]:
    found = []
    for spatial in (1, 2, 3):
        for transposed in (False, True):
            shape, macs = _convolution(spatial, transposed), _convolution_macs(spatial, transposed)
            stem = f"quantized.conv{'_transpose' if transposed else ''}{spatial}d"

            def cost(y: TensorFact, x: TensorFact, packed: Packed, *_: Any, macs: Any = macs, **__: Any) -> Work:
                return _work(x, packed, macs(y, x, packed), SCALED_ANEW.work(y.numel, torch.float32))

            def dynamic(y: TensorFact, x: TensorFact, packed: Packed, *_: Any, macs: Any = macs, **__: Any) -> Work:
                return _work(x, packed, macs(y, x, packed), _from_floats(y, x, packed))

            names = (stem,) if transposed else (stem, f"{stem}_relu")
            found.append(op(*names, shape=shape, cost=cost, kind="convolution", differentiable=False))
            found.append(
                op(
                    f"{stem}_dynamic", shape=shape, cost=dynamic, kind="convolution", differentiable=False, quantises="uint8"
                )
            )  # fmt: skip
    return found


# -- embeddings ---------------------------------------------------------------------------------------------------------
def embedding(scope: Scope, packed: Packed, indices: TensorFact, *_: Any, **__: Any) -> TensorFact:
    """indices (*) and a table of rows of D -> (*, D)."""
    return indices.new((*indices.shape, packed.weight.shape[1]), torch.float32)


def _embedding_cost(y: TensorFact, packed: Packed, indices: TensorFact, *_: Any, **__: Any) -> Work:
    return Work(flops=DEQUANTISED.work(y.numel, torch.float32).flops, read_bytes=indices.nbytes + y.numel)


def bag(
    scope: Scope, packed: Packed, indices: TensorFact, offsets: TensorFact | None = None, *args: Any, **options: Any
) -> TensorFact:  # fmt: skip
    """indices (B, *) or (*) with B offsets -> (B, D)."""
    width = packed.weight.shape[1]
    if indices.ndim == 2:
        return indices.new((indices.shape[0], width), torch.float32)
    if offsets is None:
        raise ShapeError(f"embedding_bag: indices of shape {shape_text(indices.shape)} need offsets")
    last = bool(options.get("include_last_offset", args[-1] if len(args) >= 6 else False))
    return indices.new((offsets.shape[0] - last, width), torch.float32)


def _bag_cost(y: TensorFact, packed: Packed, indices: TensorFact, *_: Any, **__: Any) -> Work:
    rows = indices.numel * y.shape[1]
    flops = (DEQUANTISED + Scalars(add=1)).work(rows, torch.float32).flops
    return Work(flops=flops, read_bytes=indices.nbytes + rows)


# -- elements -----------------------------------------------------------------------------------------------------------
def quantised(scope: Scope, x: TensorFact, scale: Any, zero_point: Any, *rest: Any, dtype: Any = None, **_: Any) -> TensorFact:
    """x in the integers of the dtype, which comes last."""
    return dense_like(x, dtype or rest[-1])


def _quantised_cost(y: TensorFact, x: TensorFact, scale: Any, *_: Any, **__: Any) -> Work:
    scales = scale.numel if isinstance(scale, TensorFact) else 1
    return (QUANTISED * x.numel + Scalars(div=1) * scales).work(1, torch.float32)


def chosen(scope: Scope, x: TensorFact, dtype: torch.dtype, reduce_range: bool = False) -> TensorFact:
    """x quantised by its own minimum and maximum."""
    return dense_like(x, dtype)


def _chosen_cost(y: TensorFact, x: TensorFact, *_: Any, **__: Any) -> Work:
    return (Scalars(add=2 * (x.numel - 1)) + _CHOSEN + QUANTISED * x.numel).work(1, torch.float32)


def dequantised(scope: Scope, x: TensorFact) -> TensorFact:
    """The floats a quantised tensor stands for; a tensor of floats as it is."""
    return x if x.dtype.is_floating_point else dense_like(x, torch.float32)


def _dequantised_cost(y: TensorFact, x: TensorFact) -> Work:
    return Work() if x.dtype.is_floating_point else DEQUANTISED.work(x.numel, torch.float32)


def integers(scope: Scope, x: TensorFact) -> TensorFact:
    """The integers of a quantised tensor."""
    return dense_like(x, _INTEGERS.get(x.dtype, torch.int8))


_INTEGERS = {torch.qint8: torch.int8, torch.quint8: torch.uint8, torch.qint32: torch.int32}


def both(scope: Scope, a: Any, b: Any, *_: Any, **__: Any) -> TensorFact:
    """Two quantised tensors, or one and a number, element by element."""
    if not isinstance(a, TensorFact) or not isinstance(b, TensorFact):
        return dense_like(a if isinstance(a, TensorFact) else b)
    if a.shape == b.shape:
        return dense_like(a)
    return a.new(broadcast(scope, "quantized add", a.shape, b.shape))


def _both_cost(y: TensorFact, a: Any, b: Any, *_: Any, **__: Any) -> Work:
    operands = sum([isinstance(x, TensorFact) for x in (a, b)])
    return (DEQUANTISED * operands + Scalars(add=1) + QUANTISED).work(y.numel, torch.float32)


def _joined_cost(y: TensorFact, *_: Any, **__: Any) -> Work:
    return (DEQUANTISED + QUANTISED).work(y.numel, torch.float32)


def joined(scope: Scope, tensors: Any, dim: int, *_: Any, **__: Any) -> Any:
    """Quantised tensors one after the other."""
    return _CAT.shape(scope, tensors, dim)


_CAT = next(entry for entry in joining.OPS if "cat" in entry.names)

OPS: tuple[Op, ...] = (
    op("quantized.linear", "quantized.linear_relu", shape=linear, cost=_linear_cost, kind="linear", differentiable=False),
    op(
        "quantized.linear_dynamic", "quantized.linear_relu_dynamic", shape=linear, cost=_dynamic_cost, kind="linear",
        differentiable=False, quantises="uint8",
    ),
    op(
        "quantized.linear_dynamic_fp16", "quantized.linear_relu_dynamic_fp16", shape=linear, cost=_half_cost, kind="linear",
        differentiable=False,
    ),
    *_convolutions(),
    op("quantized.embedding_byte", "quantized.embedding_4bit", shape=embedding, cost=_embedding_cost, differentiable=False),
    op("quantized.embedding_bag_byte", "quantized.embedding_bag_4bit", shape=bag, cost=_bag_cost, differentiable=False),
    op(
        "quantized.add", "quantized.add_relu", "quantized.mul", "quantized.mul_relu", "quantized.add_scalar",
        "quantized.add_scalar_relu", "quantized.mul_scalar", "quantized.mul_scalar_relu", shape=both, cost=_both_cost,
        differentiable=False,
    ),
    op("quantized.cat", "quantized.cat_relu", shape=joined, cost=_joined_cost, differentiable=False),
    op("quantize_per_tensor", "quantize_per_channel", shape=quantised, cost=_quantised_cost, differentiable=False),
    op("quantize_per_tensor_dynamic", shape=chosen, cost=_chosen_cost, differentiable=False),
    op("dequantize", shape=dequantised, cost=_dequantised_cost, differentiable=False),
    op("int_repr", shape=integers, cost=Zero("the integers are there", moves=True), differentiable=False),
)  # fmt: skip
