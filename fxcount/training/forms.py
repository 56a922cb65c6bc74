"""Composite ops whose C++ wants numbers for sizes, called in a form that takes formulas.

Shapes are those of the registry's own rules; what autograd saves is decided below, by the ops they are made of, which are the
ones that torch's own code would have called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import torch

from fxcount import torch_private
from fxcount.ops import TensorFact
from fxcount.ops.contraction.kernels import MASK_ALIGNMENT, WIDTH_ALIGNMENT, kernel_of
from fxcount.ops.spatial.resize import ALIGNED_RESIZERS, RESIZERS
from fxcount.training.composed import COMPOSED, SPELLED
from fxcount.training.derived import DERIVED
from fxcount.training.recurrent import CELLS, LAYERS, Packing, lengths_of, padded, recurrent_cells, recurrent_layers
from fxcount.training.sizes import is_symbolic

__all__ = ["FORMS", "NAMED"]


class Caller(Protocol):
    """The tracer, as far as a form asks."""

    is_plain: bool  # whether torch would see no tracker, under which it writes less in place
    placed: torch.device | None  # where the model is taken to lie, if not where it does

    def fact_of(self, x: Any) -> TensorFact:
        """What is known of a stand-in."""

    def data_of(self, x: Any) -> torch.Tensor | None:
        """The elements of a tensor, if they are known."""

    def literal(self, data: Any) -> Any:
        """A tensor of Python's numbers."""

    def shape_of(self, func: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
        """The shape of the result of an op, as a model would see it."""


def _resized(func: Callable[..., Any], aligned: bool) -> Callable[..., Any]:
    """``upsample_...`` of an output size or scale factors: the overload that takes the size."""

    def form(tracer: Caller, x: Any, output_size: Any, *rest: Any) -> Any:
        if not is_symbolic(x):
            return func(x, output_size, *rest)
        *corners, factors = rest if len(rest) > aligned else (*rest, None)
        size = tracer.shape_of(func, x, output_size, *rest)[2:]
        scales = [None] * len(size) if factors is None else list(factors)
        return getattr(torch.ops.aten, func.__name__).default(x, size, *corners, *scales)

    return form


def _instance_norm(
    tracer: Caller, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, use_input_stats: bool,
    momentum: float, eps: float, cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """``at::instance_norm``: batch norm of a batch of one, with a channel for each image's channel."""
    b, c = x.shape[0], x.shape[1]

    def repeated(t: Any) -> Any:
        return t if t is None else torch.Tensor.repeat(t, (b,))

    scale, shift, mean, var = map(repeated, (weight, bias, running_mean, running_var))
    dense = torch.Tensor.contiguous(x)
    seen = torch.Tensor.view(dense, (1, b * c, *x.shape[2:]))
    del dense
    out = torch.batch_norm(seen, scale, shift, mean, var, use_input_stats, momentum, eps, cudnn_enabled)
    del seen
    for running, own in ((running_mean, mean), (running_var, var)):
        if running is not None and use_input_stats:
            averaged = torch.mean(torch.Tensor.view(own, (b, c)), (0,))
            with torch.no_grad():
                torch.Tensor.copy_(running, averaged)
    return torch.Tensor.view(out, tuple(x.shape))


def _is_symbolic(*tensors: Any) -> bool:
    """Whether a form is needed; autocast casts, and caches, what the op as a whole is given."""
    return not torch_private.is_any_autocast_enabled() and is_symbolic(*tensors)


def _matmul(tracer: Caller, a: Any, b: Any) -> Any:
    """``at::matmul``: a stack of matrices by one matrix is folded into one product, others are a batch of products.

    Source: ``_matmul_impl`` of ATen's LinearAlgebra.cpp, which asks for plain sizes before torch 2.13.
    """
    if max(a.dim(), b.dim()) < 3 or min(a.dim(), b.dim()) < 1 or not _is_symbolic(a, b):
        return torch.ops.aten.matmul.default(a, b)
    if _folds(a, b):
        return _folded(a, b)
    if a.dim() == b.dim() == 3 and a.shape[0] != b.shape[0]:  # what is one matrix is not copied for each of the others
        if a.shape[0] == 1 and a.requires_grad:
            return _matmul(tracer, torch.squeeze(a, 0), b)
        if b.shape[0] == 1 and b.requires_grad:
            return _matmul(tracer, a, torch.squeeze(b, 0))
    return _batched(a, b)


def _folds(a: Any, b: Any) -> bool:
    larger, other = (a, b) if a.dim() >= b.dim() else (b.mT, a)
    if not (larger.dim() >= 3 and other.dim() <= 2):
        return False
    if other.requires_grad:
        return True
    if a.dim() == 2:
        return False
    shape, strides = larger.shape, larger.stride()
    return all([strides[i] == strides[i + 1] * shape[i + 1] for i in range(larger.dim() - 2)])


def _folded(a: Any, b: Any) -> Any:
    turned = b.dim() > a.dim()
    many = b.mT if turned else a
    one = b if not turned else torch.t(a) if a.dim() == 2 else a
    *outer, inner = many.shape
    flat = torch.reshape(many, (_product(outer), inner))
    if one.dim() == 1:
        return torch.ops.aten._unsafe_view(torch.mv(flat, one), outer)
    out = torch.ops.aten._unsafe_view(torch.mm(flat, one), [*outer, one.shape[1]])
    return torch.Tensor.contiguous(out.mT) if turned else out


def _batched(a: Any, b: Any) -> Any:
    is_vector = b.dim() == 1
    n, m = (a.shape[-2] if a.dim() > 1 else 1), a.shape[-1]
    k, p = (b.shape[-1], 1) if is_vector else (b.shape[-2], b.shape[-1])
    shapes: Any = torch.broadcast_shapes
    batch = list(shapes(a.shape[:-2], () if is_vector else b.shape[:-2]))
    count = _product(batch)
    left = torch.reshape(torch.Tensor.expand(a, [*batch, n, m]), (count, n, m))
    if is_vector:
        b = torch.unsqueeze(b, 1)
    right = torch.reshape(torch.Tensor.expand(b, [*batch, k, p]), (count, k, p))
    out = torch.bmm(left, right)
    kept = [*batch, *([n] if a.dim() > 1 else []), *([] if is_vector else [p])]
    return torch.ops.aten._unsafe_view(out, kept)


def _product(sizes: Iterable[Any]) -> Any:
    found: Any = 1
    for n in sizes:
        found = found * n
    return found


def _reversed_matmul(tracer: Caller, a: Any, b: Any) -> Any:
    return _matmul(tracer, b, a)


def _linear(tracer: Caller, x: Any, weight: Any, bias: Any = None) -> Any:
    """``at::linear``: one product with a bias where the input is contiguous, else ``matmul`` and a bias added in place.

    Source: ``linear`` of ATen's Linear.cpp. It makes a new sum for a tensor subclass, which a stand-in is and the real tensor
    is not, and under a tracker.
    """
    if x.dim() < 3 or weight.dim() != 2 or not _is_symbolic(x):
        return torch.ops.aten.linear.default(x, weight, bias)
    if bias is not None and bias.dim() == 1 and x.is_contiguous():
        *outer, inner = x.shape
        flat = torch.reshape(x, (_product(outer), inner))
        out = torch.addmm(bias, flat, torch.t(weight))
        return torch.Tensor.view(out, [*outer, weight.shape[0]])
    out = _matmul(tracer, x, torch.t(weight)) if _ASKS_FOR_NUMBERS else torch.matmul(x, torch.t(weight))
    if bias is None:
        return out
    return torch.Tensor.add_(out, bias) if tracer.is_plain else torch.add(out, bias)


_LSTM_MODE = 2  # the number ATen gives it


def _lstm(
    tracer: Caller, x: Any, hx: Any, params: Any, has_biases: Any, num_layers: Any, dropout: Any, train: Any,
    bidirectional: Any, batch_first: Any,
) -> Any:  # fmt: skip
    """``at::lstm`` of padded sequences, where oneDNN takes it: a kernel for each layer and direction.

    Source: ``mkldnn_rnn`` of ATen's native/mkldnn/RNN.cpp, which no stand-in with formulas for sizes is led to.
    """
    padded = isinstance(hx, (tuple, list)) and isinstance(num_layers, int)
    if not padded or not _is_symbolic(x) or not _onednn_takes(x, hx):
        return _layers_of(
            torch.lstm, tracer, x, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
        )  # fmt: skip
    directions = 2 if bidirectional else 1
    stride = 4 if has_biases else 2
    layer = torch.Tensor.contiguous(torch.transpose(x, 0, 1) if batch_first else x)
    hidden: list[Any] = []
    cells: list[Any] = []
    h, c = map(torch.Tensor.contiguous, hx)
    for number in range(num_layers):
        outputs = []
        for direction in range(directions):
            index = number * directions + direction
            weights = list(params[index * stride : (index + 1) * stride])
            if not has_biases:
                weights += [torch.zeros(w.shape, dtype=w.dtype, device=w.device) for w in weights]
            y, one_h, one_c, _ = torch.ops.aten.mkldnn_rnn_layer.default(
                layer, *weights, torch.select(h, 0, index), torch.select(c, 0, index), direction > 0, [], _LSTM_MODE,
                params[0].shape[0] // 4, num_layers, has_biases, bidirectional, batch_first, train,
            )  # fmt: skip
            outputs.append(y)
            hidden.append(one_h)
            cells.append(one_c)
        layer = outputs[0] if directions == 1 else torch.cat(outputs, -1)
        if dropout and train and number < num_layers - 1:
            layer = torch.dropout(layer, dropout, True)
    states = torch.stack(hidden, 0), torch.stack(cells, 0)
    return (torch.transpose(layer, 0, 1) if batch_first else layer, *states)


def _onednn_takes(x: Any, hx: Any) -> bool:
    """Source: ``use_mkldnn`` of ATen's RNN.cpp; without a projection."""
    one_dnn: Any = torch.backends.mkldnn
    kinds = x.device.type == "cpu" and x.dtype is torch.float32 and hx[0].shape[-1] == hx[1].shape[-1]
    return bool(kinds and one_dnn.is_available() and one_dnn.enabled)


def _layers_of(func: Any, tracer: Caller, *args: Any) -> Any:
    """Recurrent layers that no other library takes: of padded sequences ``(x, hx, params, has_biases, num_layers, dropout,
    train, bidirectional, batch_first)``, of packed ones ``(data, batch_sizes, hx, params, ...)`` without the last."""
    packed = isinstance(args[3], (tuple, list))
    sizes = tracer.data_of(args[1]) if packed else None
    if (packed and sizes is None) or not (packed or _is_symbolic(args[0])):
        return func(*args)
    x, hx, params, has_biases, _, dropout, train, both, *first = (args[0], *args[2:]) if packed else args
    return recurrent_layers(
        tracer, func, partial(_linear, tracer), x, hx, params, bool(has_biases), dropout if train else 0, both,
        bool(first and first[0]), None if sizes is None else sizes.tolist(),
    )  # fmt: skip


def _cell_of(func: Any, tracer: Caller, x: Any, hx: Any, *weights: Any) -> Any:
    if not _is_symbolic(x):
        return func(x, hx, *weights)
    return recurrent_cells(func, partial(_linear, tracer), x, hx, *weights)


def _packed(tracer: Caller, x: Any, lengths: Any, batch_first: bool) -> Any:
    if tracer.data_of(lengths) is None or not (x.requires_grad and torch.is_grad_enabled()):
        return torch_private.pack_sequence(x, lengths, batch_first)
    return Packing.apply(x, lengths, batch_first)  # type: ignore[no-untyped-call]


def _padded(tracer: Caller, data: Any, batch_sizes: Any, batch_first: bool, value: Any, total: int) -> Any:
    known = tracer.data_of(batch_sizes)
    if known is None:
        return torch_private.pad_sequence(data, batch_sizes, batch_first, value, total)
    sizes = known.tolist()
    return padded(data, sizes, batch_first, value, total), tracer.literal(lengths_of(sizes))


def _max_pool1d(
    tracer: Caller, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """``at::max_pool1d`` where it has a backward: in two dimensions, with indices."""
    if not _is_symbolic(x) or not (x.requires_grad and torch.is_grad_enabled()):
        return torch.max_pool1d(x, kernel, stride, padding, dilation, ceil_mode)
    given = (kernel, stride or kernel, padding, dilation)
    width, step, room, spread = [n[0] if isinstance(n, (tuple, list)) else n for n in given]
    y, _ = torch.ops.aten.max_pool2d_with_indices.default(
        torch.unsqueeze(x, -2), [1, width], [1, step], [0, room], [1, spread], ceil_mode
    )
    return torch.squeeze(y, -2)


# --- what torch does otherwise on a GPU, where the model is taken to lie there ---------------------------------------------


def _is_on_cuda(tracer: Caller, x: Any) -> bool:
    return tracer.placed is not None and tracer.placed.type == "cuda" and tracer.fact_of(x).device.type == "cuda"


def _dropout(tracer: Caller, input: Any, p: float, train: bool) -> Any:
    """``at::dropout``: on a GPU one kernel, which keeps a boolean mask. Source: ATen's native/Dropout.cpp."""
    if _is_on_cuda(tracer, input) and train and 0 < p < 1:
        return torch.native_dropout(input, p, train)[0]
    return torch.dropout(input, p, train)


_ATTEND: Any = torch.nn.functional.scaled_dot_product_attention


def _attention(
    tracer: Caller, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """``at::scaled_dot_product_attention``: the kernel that torch would choose on the device.

    Source: ``scaled_dot_product_attention`` of ATen's native/transformers/attention.cpp.
    """
    given, more = (query, key, value), {} if not enable_gqa else {"enable_gqa": True}
    kernel = "math"  # which is what C++ takes by itself, where the model does not lie on a GPU
    if _is_on_cuda(tracer, query):
        q, k, v = map(tracer.fact_of, given)
        mask_fact = None if attn_mask is None else tracer.fact_of(attn_mask)
        trained_mask = attn_mask is not None and attn_mask.requires_grad
        kernel = kernel_of(q, k, v, mask_fact, dropout_p, is_causal, enable_gqa, trained_mask)
    if kernel == "math":
        return _ATTEND(*given, attn_mask, dropout_p, is_causal, scale=scale, **more)
    if kernel == "flash":
        return _flash_attention(*given, dropout_p, is_causal, scale)
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        attn_mask = _as_bias(attn_mask, query.dtype)
    differentiates = torch.is_grad_enabled() and any([x.requires_grad for x in given])
    if kernel == "cudnn":
        found = torch.ops.aten._scaled_dot_product_cudnn_attention.default(
            *given, attn_mask, differentiates, dropout_p, is_causal, False, scale=scale
        )
    else:
        bias = None if attn_mask is None else _spread(attn_mask, query, key)
        found = torch.ops.aten._scaled_dot_product_efficient_attention.default(
            *given, bias, differentiates, dropout_p, is_causal, scale=scale
        )
    return found[0]


def _flash_attention(query: Any, key: Any, value: Any, dropout_p: float, is_causal: bool, scale: float | None) -> Any:
    """Heads are padded to the next width that the kernel works on."""
    width = query.shape[-1]
    missing = -width % WIDTH_ALIGNMENT
    given: Any = (query, key, value)
    if missing:
        scale = width**-0.5 if scale is None else scale
        given = tuple([torch.constant_pad_nd(x, [0, missing], 0.0) for x in given])
    out = torch.ops.aten._scaled_dot_product_flash_attention.default(*given, dropout_p, is_causal, False, scale=scale)[0]
    return torch.narrow(out, -1, 0, width) if missing else out


def _as_bias(mask: Any, dtype: torch.dtype) -> Any:
    """``convert_boolean_attn_mask``."""
    bias = torch.zeros_like(mask, dtype=dtype)
    torch.Tensor.masked_fill_(bias, torch.logical_not(mask), float("-inf"))
    return bias


def _spread(mask: Any, query: Any, key: Any) -> Any:
    """``preprocess_mask``: the mask for all heads, copied where its rows do not begin where the kernel can read."""
    length = key.shape[-2]
    whole = torch.Tensor.expand(mask, (*query.shape[:-1], length))
    missing = MASK_ALIGNMENT - length % MASK_ALIGNMENT
    if missing != MASK_ALIGNMENT:
        return torch.narrow(torch.constant_pad_nd(whole, [0, missing], 0.0), -1, 0, length)
    aligned = all([step % MASK_ALIGNMENT == 0 for step in whole.stride()[:-1]])
    return whole if aligned else torch.Tensor.contiguous(whole)


_ASKS_FOR_NUMBERS = torch_private.VERSION < (2, 13)
_PRODUCTS: Mapping[Any, Callable[..., Any]] = {
    torch.matmul: _matmul, torch.Tensor.matmul: _matmul, torch.Tensor.__matmul__: _matmul,
    torch.Tensor.__rmatmul__: _reversed_matmul,
}  # fmt: skip

_NN = torch_private.nn_functions

FORMS: Mapping[Any, Callable[..., Any]] = MappingProxyType({
    **{f: _resized(f, False) for f in map(_NN.__dict__.get, RESIZERS) if f is not None},
    **{f: _resized(f, True) for f in map(_NN.__dict__.get, ALIGNED_RESIZERS) if f is not None},
    torch.instance_norm: _instance_norm,
    **{func: partial(_layers_of, func) for func in LAYERS},
    **{func: partial(_cell_of, func) for func in CELLS},
    torch.lstm: _lstm,
    torch.max_pool1d: _max_pool1d,
    torch.dropout: _dropout,
    _ATTEND: _attention,
    torch_private.pack_sequence: _packed,
    torch_private.pad_sequence: _padded,
    _NN.linear: _linear,
    **DERIVED,
    **COMPOSED,
    **(_PRODUCTS if _ASKS_FOR_NUMBERS else {}),
})  # fmt: skip
"""For each function that needs one, its form: ``form(tracer, *args)``."""

NAMED = frozenset({torch.dropout, _ATTEND, *DERIVED, *SPELLED})
"""Those whose arguments have the names that torch's have."""
