"""Rules of ``torch.vmap`` for ops whose own, in C++, want numbers for sizes.

Each does what torch's does: the mapped dimension is folded into the batch, or into the channels of a batch norm, and what has
one weight per sample is done in steps of which one multiplies with it. A rule that does not know a case leaves it to torch's.

Letters: E the mapped dimension, N batch, C channels
Source:  BatchRulesConvolution.cpp, BatchRulesNorm.cpp, BatchRulesModules.cpp, BatchRulesPooling.cpp of ATen's functorch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from fxcount import torch_private
from fxcount.training.sizes import is_symbolic

__all__ = ["by_own_rule", "mapped_cell", "mapped_linear"]


class _Level:
    """The innermost level of ``torch.vmap``: takes its dimension off tensors, and puts it on results."""

    def __init__(self, number: int, form_of: Callable[[Any], Any]) -> None:
        self._number = number
        self.form_of = form_of  # what to call for a function, below this level

    def front(self, x: Any) -> tuple[Any, bool]:
        """The tensor with the mapped dimension in front, and whether it has one."""
        if not isinstance(x, torch.Tensor) or not torch_private.is_batched(x):
            return x, False
        if torch_private.level_of(x) != self._number:
            return x, False
        inner, dim = torch_private.unwrap_batched(x, self._number)
        return (torch.movedim(inner, dim, 0) if dim else inner), True

    def wrapped(self, result: Any) -> Any:
        """Results whose first dimension is the mapped one."""
        if isinstance(result, (tuple, list)):
            return type(result)([self.wrapped(y) for y in result])
        return torch_private.add_batch_dim(result, 0, self._number)


def mapped_linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """``F.linear`` of mapped tensors as torch takes it apart: of rows of a batch one product with a bias. Its own code asks for
    plain sizes there."""
    if x.dim() != 3 or bias is None:
        return torch_private.nn_functions.linear(x, weight, bias)
    found = torch.addmm(bias, torch.reshape(x, (-1, x.shape[-1])), torch.t(weight))
    return torch.reshape(found, (*x.shape[:-1], weight.shape[0]))


Rule = Callable[..., Any]


def by_own_rule(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], form_of: Callable[[Any], Any]) -> Any:
    """The result of a call inside ``torch.vmap``, or ``NotImplemented``, where torch's own rule does as well.

    ``form_of`` gives what to call for a function whose C++ wants numbers even where nothing is mapped.
    """
    rule = RULES.get(func)
    if rule is None:
        return NotImplemented
    interpreter = torch_private.functorch_level()
    if interpreter.key() != _VMAP:
        return NotImplemented
    level = _Level(interpreter.level(), form_of)
    with interpreter.lower():
        given = [level.front(a) for a in args]
        if not is_symbolic(*[x for x, _ in given]) and not any([is_symbolic(*_parts(level, a)) for a in args]):
            return NotImplemented
        found = rule(level, given, kwargs)
    return found if found is NotImplemented else level.wrapped(found)


_VMAP = torch_private.TransformType.Vmap


def _parts(level: _Level, a: Any) -> list[Any]:
    """The tensors of a list, without their mapped dimensions."""
    return [level.front(x)[0] for x in a] if isinstance(a, (list, tuple)) else []


Given = list[tuple[Any, bool]]


def _alone(given: Given) -> bool:
    """Whether the first operand is mapped, and no other."""
    return given[0][1] and not any(is_mapped for _, is_mapped in given[1:])


def _unfolded(result: Any, e: Any, n: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return tuple([_unfolded(y, e, n) for y in result])
    return torch.reshape(result, (e, n, *result.shape[1:]))


def _samples(func: Any, spatial: int) -> Rule:
    """Ops that treat each sample alike, the samples being (N, C, ``spatial`` dimensions), or (C, ...) without a batch."""

    def rule(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
        if not _alone(given):
            return NotImplemented
        x, rest, call = given[0][0], [a for a, _ in given[1:]], level.form_of(func)
        if x.dim() == spatial + 2:
            return call(x, *rest, **kwargs)
        e, n = x.shape[:2]
        return _unfolded(call(torch.reshape(x, (e * n, *x.shape[2:])), *rest, **kwargs), e, n)

    return rule


def _scaled(y: Any, weight: tuple[Any, bool], bias: tuple[Any, bool], at: int) -> Any:
    """``y * weight + bias``, whose own dimensions are those of ``y`` from ``at`` on."""
    steps: tuple[Any, ...] = (torch.mul, torch.add)
    for step, (p, is_mapped) in zip(steps, (weight, bias)):
        if p is not None:
            own = p.shape[1:] if is_mapped else p.shape
            ones = [1] * (y.dim() - at - len(own))
            y = step(y, torch.reshape(p, (p.shape[0] if is_mapped else 1, *[1] * (at - 1), *own, *ones)))
    return y


def _nth(given: Given, i: int) -> tuple[Any, bool]:
    return given[i] if len(given) > i else (None, False)


def _layer_norm(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    (x, x_mapped), (shape, _), weight, bias = given[0], given[1], _nth(given, 2), _nth(given, 3)
    rest = [a for a, _ in given[4:]]
    if not x_mapped or kwargs:
        return NotImplemented
    if not (weight[1] or bias[1]):
        return torch.layer_norm(x, shape, weight[0], bias[0], *rest)
    return _scaled(torch.layer_norm(x, shape, None, None, *rest), weight, bias, x.dim() - len(shape))


def _group_norm(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    (x, x_mapped), (groups, _) = given[:2]
    if not x_mapped or kwargs:
        return NotImplemented
    e, n = x.shape[:2]
    y = torch.group_norm(torch.reshape(x, (e * n, *x.shape[2:])), groups, None, None, *[a for a, _ in given[4:]])
    return _scaled(_unfolded(y, e, n), _nth(given, 2), _nth(given, 3), 2)


def _batch_norm(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    """Of each sample of its own: E*C channels. Running statistics that it would write are left to torch's rule."""
    (x, x_mapped), weight, bias, mean, var, (training, _) = given[:6]
    if not x_mapped or kwargs or (training and mean[0] is not None):
        return NotImplemented
    e, n, c = x.shape[:3]
    channels = torch.reshape(torch.movedim(x, 0, 1), (n, e * c, *x.shape[3:]))
    stats = [
        None if s is None else torch.reshape(s if is_mapped else s.expand(e, c), (e * c,)) for s, is_mapped in (mean, var)
    ]
    plain = torch.ones((e * c,), dtype=x.dtype, device=x.device), torch.zeros((e * c,), dtype=x.dtype, device=x.device)
    normalise: Any = torch.batch_norm
    y = normalise(channels, *plain, *stats, training, *[a for a, _ in given[6:]])
    return _scaled(torch.movedim(torch.reshape(y, (n, e, c, *y.shape[2:])), 1, 0), weight, bias, 2)


def _pad(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    """By other elements of a sample; constants have a rule of torch's."""
    mode = given[2][0] if len(given) > 2 else kwargs.get("mode", "constant")
    if mode not in ("reflect", "replicate", "circular"):
        return NotImplemented
    return _samples(_NN.pad, len(given[1][0]) // 2)(level, given, kwargs)


def _cell(func: Any) -> Rule:
    """A step of a recurrent layer, of (N, width), whose weights are those of all samples."""

    def rule(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
        (x, _), (h, _), *weights = given
        if not (given[0][1] and given[1][1] and x.dim() == h.dim() == 3) or any(is_mapped for _, is_mapped in weights):
            return NotImplemented
        e, n = x.shape[:2]
        flat = [torch.reshape(t, (e * n, t.shape[2])) for t in (x, h)]
        return _unfolded(func(*flat, *[w for w, _ in weights], **kwargs), e, n)

    return rule


def _attention(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    """Of (N, heads, S, width): E*N samples."""
    mask = _nth(given, 3)[0] if len(given) > 3 else kwargs.get("attn_mask")
    operands = given[:3]
    if mask is not None or not all(is_mapped and x.dim() == 5 for x, is_mapped in operands):
        return NotImplemented
    e, n = operands[0][0].shape[:2]
    flat = [torch.reshape(x, (e * n, *x.shape[2:])) for x, _ in operands]
    attend: Any = torch.nn.functional.scaled_dot_product_attention
    return _unfolded(attend(*flat, *[a for a, _ in given[3:]], **kwargs), e, n)


def _cat(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    parts = [level.front(x) for x in given[0][0]]
    dim = given[1][0] if len(given) > 1 else kwargs.get("dim", 0)
    dims = {x.dim() - is_mapped for x, is_mapped in parts}
    if len(dims) != 1 or not isinstance(dim, int):
        return NotImplemented
    e = next((x.shape[0] for x, is_mapped in parts if is_mapped), None)
    if e is None:
        return NotImplemented
    each = [x if is_mapped else x.expand(e, *x.shape) for x, is_mapped in parts]
    return torch.cat(each, dim + 1 if dim >= 0 else dim)


def _instance_norm(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    """Without running statistics: a batch norm of one sample of E*N*C channels."""
    (x, x_mapped), weight, bias, mean, var, (own, _) = given[:6]
    if not x_mapped or kwargs or mean[0] is not None or var[0] is not None or not own:
        return NotImplemented
    channels = x.shape[0] * x.shape[1] * x.shape[2]
    plain = [make((channels,), dtype=x.dtype, device=x.device) for make in (torch.ones, torch.zeros)]
    normalise: Any = torch.batch_norm
    flat = torch.reshape(x, (1, channels, *x.shape[3:]))
    y = normalise(flat, *plain, None, None, True, *[a for a, _ in given[6:]])
    return _scaled(torch.reshape(y, x.shape), weight, bias, 2)


def _solve(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    """Of as many systems as the right sides, which are matrices or vectors, have batches for."""
    if len(given) != 2 or kwargs.get("out") is not None:
        return NotImplemented
    (a, a_mapped), (b, b_mapped) = given
    if not (a_mapped and b_mapped) or b.dim() not in (a.dim(), a.dim() - 1):
        return NotImplemented
    if b.dim() == a.dim():
        return torch.linalg.solve(a, b, **kwargs)
    return torch.linalg.solve(a, b.unsqueeze(-1), **kwargs).squeeze(-1)


def _starts(like: Any, e: Any, each: Any, dims: int) -> Any:
    """Where the part of each of E begins in a dimension that they were folded into, to be added to indices."""
    return torch.reshape(torch.arange(0, e * each, each, device=like.device), (e, *[1] * (dims - 1)))


def _index_add(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    if len(given) != 4 or not (given[0][1] and given[2][1] and given[3][1]):
        return NotImplemented
    (x, _), (dim, _), (index, _), (source, _) = given
    at = dim % (x.dim() - 1)
    e, each = x.shape[0], x.shape[at + 1]

    def folded(t: Any) -> Any:
        first = torch.movedim(t, at + 1, 1)
        return torch.reshape(first, (t.shape[0] * first.shape[1], *first.shape[2:]))

    rows = torch.reshape(index + _starts(index, e, each, 2), (-1,))
    y = torch.index_add(folded(x), 0, rows, folded(source), **kwargs)
    return torch.movedim(torch.reshape(y, (e, each, *y.shape[1:])), 1, at + 1)


def _embedding(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    """Of E tables, as rows of one."""
    (weight, weight_mapped), (index, index_mapped) = given[:2]
    if not (weight_mapped and index_mapped):
        return NotImplemented
    e, each, width = weight.shape
    rows = index + _starts(index, e, each, index.dim())
    return torch.embedding(torch.reshape(weight, (e * each, width)), rows)


def _nll(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    """The loss of each of E by steps, as torch's rule takes it."""
    (x, x_mapped), (target, target_mapped) = given[:2]
    (weight, _), (reduction, _), (ignored, _) = [_nth(given, i) for i in (2, 3, 4)]
    if not (x_mapped and target_mapped) or weight is not None or x.dim() != target.dim() + 1 or x.dim() < 3:
        return NotImplemented
    return _losses(x, target, 1 if reduction is None else reduction, -100 if ignored is None else ignored)


def _losses(x: Any, target: Any, reduction: int, ignored: int) -> Any:
    counted = target != ignored
    classes = torch.where(counted, target, 0)
    y = -torch.gather(x, 2, classes.unsqueeze(2)).squeeze(2)
    y = torch.where(counted, y, 0)
    if reduction == 0:
        return y
    others = tuple(range(1, y.dim()))
    total = y.sum(others)
    return total if reduction == 2 else total / counted.sum(others).to(x.dtype)


def _cross_entropy(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    (x, x_mapped), (target, _) = given[:2]
    smoothing = _nth(given, 5)[0]
    if not x_mapped or kwargs or smoothing or target.is_floating_point() or x.dim() < 3:
        return NotImplemented
    return _nll(level, [(torch.log_softmax(x, 2), True), *given[1:5]], kwargs)


def _product(x: Any, weight: Any, bias: Any) -> Any:
    found = torch.matmul(x, weight.t())
    return found if bias is None else found + bias


def mapped_cell(func: Any) -> Callable[..., Any]:
    """A step of a recurrent layer each of whose E has weights of its own, as torch takes it apart; any other as it is."""

    def form(x: Any, h: Any, *weights: Any, **kwargs: Any) -> Any:
        if len(weights) not in (2, 4) or kwargs or not all(torch_private.is_batched(w) for w in weights[:2]):
            return func(x, h, *weights, **kwargs)
        i, g = (_product(a, w, b) for a, w, b in zip((x, h), weights[:2], weights[2:] or (None, None), strict=True))
        if func is not torch.gru_cell:
            return (torch.tanh if func is torch.rnn_tanh_cell else torch.relu)(i + g)
        (reset, update, new), (own_reset, own_update, own_new) = i.chunk(3, -1), g.chunk(3, -1)
        kept = torch.sigmoid(own_update + update)
        made = torch.tanh(new + own_new * torch.sigmoid(own_reset + reset))
        return (h - made) * kept + made

    return form


def _gather(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    if len(given) != 3 or not (given[0][1] and given[2][1]):
        return NotImplemented
    (x, _), (dim, _), (index, _) = given
    return torch.gather(x, dim + 1 if dim >= 0 else dim, index, **kwargs)


def _bilinear(level: _Level, given: Given, kwargs: dict[str, Any]) -> Any:
    """A dimension in front of both operands is one more of their batch."""
    if kwargs or not (given[0][1] and given[1][1]) or any(is_mapped for _, is_mapped in given[2:]):
        return NotImplemented
    return level.form_of(torch.bilinear)(*[x for x, _ in given])


_F, _NN = torch.nn.functional, torch_private.nn_functions
_RESIZED = (("nearest", 1), ("linear", 1), ("nearest", 2), ("bilinear", 2), ("bicubic", 2), ("nearest", 3), ("trilinear", 3))
_SAMPLES: Mapping[Any, int] = {
    **{getattr(torch, f"max_pool{n}d"): n for n in (2, 3)}, torch.max_pool1d: 1, torch.avg_pool1d: 1,
    **{getattr(_NN, f"{kind}_pool{n}d{more}"): n for n in (2, 3) for kind, more in (("avg", ""), ("max", "_with_indices"))},
    torch.max_pool1d_with_indices: 1,
    **{getattr(_NN, f"adaptive_{kind}_pool{n}d"): n for n in (2, 3) for kind in ("avg", "max")},
    torch.adaptive_avg_pool1d: 1, torch.adaptive_max_pool1d: 1,
    **{getattr(torch, f"{name}{n}d"): n for n in (1, 2, 3) for name in ("conv", "conv_transpose")},
    **{getattr(_NN, f"upsample_{kind}{n}d"): n for kind, n in _RESIZED if hasattr(_NN, f"upsample_{kind}{n}d")},
    torch.pixel_shuffle: 2, torch.pixel_unshuffle: 2, _NN.im2col: 2,
}  # fmt: skip
"""Functions of samples, with the number of dimensions they have besides their channels."""

RULES: Mapping[Any, Rule] = MappingProxyType({
    **{f: _samples(f, n) for f, n in _SAMPLES.items()},
    torch.layer_norm: _layer_norm,
    torch.group_norm: _group_norm,
    torch.batch_norm: _batch_norm,
    _NN.pad: _pad,
    **{cell: _cell(cell) for cell in (torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell)},
    _F.scaled_dot_product_attention: _attention,
    torch.gather: _gather, torch.Tensor.gather: _gather,
    torch.cat: _cat, torch.concat: _cat, torch.concatenate: _cat,
    torch.instance_norm: _instance_norm,
    torch.linalg.solve: _solve,
    torch.index_add: _index_add, torch.Tensor.index_add: _index_add,
    torch.embedding: _embedding,
    torch.bilinear: _bilinear,
    _NN.nll_loss_nd: _nll, _NN.cross_entropy_loss: _cross_entropy,
})  # fmt: skip
