"""torch's own counter and the numbers torchvision publishes: matrix products and convolutions as the dispatcher sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from fxcount.report.views.conventions.convention import Convention, Evaluate, Item, Mistake
from fxcount.report.views.conventions.einsum import dispatched_macs
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Counted, Site
from fxcount.symbolic import Size, floordiv

__all__ = ["CONVENTIONS"]

# Contractions whose kernels have no formula in the counter's registry.
_NO_FORMULA = frozenset({
    "mv", "addmv", "dot", "addbmm", "bilinear", "_trilinear", "linalg.vecdot", "conv_tbc", "_int_mm", "_sparse_mm",
    "_sparse_addmm", "sparse_sampled_addmm", "_grouped_mm",
})  # fmt: skip

_NO_FORMULA_IN_PLACE = frozenset({"addmm_", "baddbmm_"})  # kernels of their own, of which the registry has none
_MAY_BE_VECTORS = {"matmul": "other", "linear": "weight"}


def _is_by_vector(site: Site) -> bool:
    """Whether a product becomes ``mv`` or ``dot``: ``torch.matmul`` takes all leading dimensions of the other operand for rows
    where that is a view, or the vector wants a gradient."""
    if site.name not in _MAY_BE_VECTORS:
        return False
    x, other = site.x, site.tensor(1, _MAY_BE_VECTORS[site.name])
    if other.ndim == 1:
        shape, strides, vector = x.shape, x.stride(), 1
    elif x.ndim == 1 and other.ndim > 2:  # from the left: by the transpose
        swapped = [*range(other.ndim - 2), -1, -2]
        shape, strides = (tuple([values[d] for d in swapped]) for values in (other.shape, other.stride()))
        vector = 0
    else:
        return False
    dense = all([s == t * n for s, t, n in zip(strides[:-2], strides[1:-1], shape[1:-1], strict=False)])
    return len(shape) < 3 or site.trained[vector] or dense


def _products(site: Site) -> Size:
    """Products that become mm, bmm, addmm, baddbmm, convolution or attention kernels; a complex one counts as one, in a
    convolution as three."""
    if site.name.rstrip("_") in _NO_FORMULA or site.name in _NO_FORMULA_IN_PLACE:
        return 0
    if _is_by_vector(site):
        return 0
    if not site.out.dtype.is_complex:
        return site.macs
    return floordiv(site.macs * (_REAL_CONVOLUTIONS if site.op.kind == "convolution" else 1), 4)


_REAL_CONVOLUTIONS = 3  # that a complex one is made of


def _items(records: Records, per_mac: int, excluded: frozenset[str] = frozenset()) -> Iterator[Item]:
    for alike in records.ops:
        site, cost, op = alike.site, records.cost(alike), records.op(alike)
        if op.flop_formula and per_mac == 2 and cost.flops != 0:
            yield Item(op.name, alike, cost.flops, "the formula registered for it")
        if cost.macs == 0 or op.flop_formula:
            continue
        found = Counted(_products(site) * per_mac, "products of mm, bmm, addmm, convolution, attention")
        if site.name == "einsum":  # over subscripts of size 1 it is a multiplication
            found = replace(found, numeric=partial(_einsum, site, per_mac))
        if found.count == 0 or site.name in excluded:
            found = Counted(0, "no formula for this kernel")
        yield Item(site.op.name, alike, found.count, found.rule, found.numeric)


def _einsum(site: Site, per_mac: int, at: Evaluate) -> int:
    return dispatched_macs(site, at) * per_mac


def _torch(records: Records) -> Iterator[Item]:
    return _items(records, 2)


def _torchvision(records: Records) -> Iterator[Item]:
    return _items(records, 1, frozenset({"baddbmm", "baddbmm_"}))


CONVENTIONS = (
    Convention(
        "torch", "torch.utils.flop_counter.FlopCounterMode", "FLOP", 2, "batch", "torch 2.13",
        "torch/utils/flop_counter.py: mm_flop, addmm_flop, bmm_flop, baddbmm_flop, conv_flop, sdpa_flop",
        "convolution, matrix products and attention, 2 per multiply-accumulate",
        "bias, normalisation, activation, softmax, pooling, everything elementwise",
        _torch,
        (
            Mistake("matrix-vector products are 0", "mv, addmv, dot, vecdot, addbmm, bilinear and conv_tbc have no formula"),
            Mistake("products of groups are 0", "_grouped_mm, by which experts are computed, has no formula"),
            Mistake("products in place are 0", "addmm_ and baddbmm_ are kernels without a formula"),
            Mistake(
                "a complex convolution counts three times", "it is made of three real ones; another complex product counts once"
            ),
            Mistake("einsum over sizes of 1 is 0", "it multiplies where it need not sum, and a multiplication has no formula"),
            Mistake(
                "attention is 0 on the CPU",
                "the CPU's fused attention, LSTM and MultiheadAttention kernels have no formula; counted here, as on meta "
                "and CUDA tensors",
                copied=False,
            ),
        ),
    ),
    Convention(
        "torchvision", "torchvision weights' meta['_ops'] (published in units of 1e9)", "MAC", 1, "batch", "torchvision 0.28",
        "WeightsEnum.meta['_ops'], made by a dispatch mode over mm, matmul, addmm, bmm and convolution at batch 1",
        "convolution and matrix products, attention included, 1 per multiply-accumulate",
        "bias, normalisation, activation, softmax, pooling, everything elementwise; baddbmm",
        _torchvision,
        (Mistake("matrix-vector products are 0", "mv, addmv, dot and vecdot are not in its list of kernels"),),
    ),
)  # fmt: skip
