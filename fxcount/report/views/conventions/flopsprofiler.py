"""DeepSpeed's flops profiler and calflops, which grew from it: patched functions of ``torch.nn.functional`` and ``torch``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fxcount.ops.core.fact import TensorFact
from fxcount.report.views.conventions.convention import Convention, Item, Mistake
from fxcount.report.views.conventions.einsum import numpy_cost
from fxcount.report.views.conventions.elementwise import (
    POOLS,
    front_aligned,
    if_function,
    named,
    per_input,
    scaled_size,
    unless_operator,
)
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.recurrent import LAYERS, gate_counts
from fxcount.report.views.conventions.sites import Counted, OpRule, Rules, Site
from fxcount.report.views.conventions.tables import from_modules, from_ops
from fxcount.symbolic import Size, floordiv, prod

__all__ = ["CONVENTIONS"]

Macs = Callable[[Site], Size]


def _linear_macs(site: Site) -> Size:
    return site.x.numel * site.tensor(1, "weight").shape[0]


def _matmul_macs(site: Site) -> Size:
    return site.x.numel * site.tensor(1, "other").shape[-1]


def _addmm_macs(site: Site) -> Size:
    return site.tensor(1, "mat1").numel * site.tensor(2, "mat2").shape[-1]


def _conv_macs(site: Site) -> Size:
    w = site.tensor(1, "weight")
    return site.x.shape[0] * w.numel * prod(_places(site))


def _places(site: Site) -> tuple[Size, ...]:
    """The output's sizes; for ``padding="same"`` with the padding rounded down on both sides."""
    if site.arg(4, "padding") != "same":
        return site.out.shape[2:]
    kernel, dilation = site.tensor(1, "weight").shape[2:], site.arg(5, "dilation", 1)
    steps = dilation if isinstance(dilation, (tuple, list)) else (dilation,) * len(kernel)
    return tuple(i - (d * (k - 1)) % 2 for i, d, k in zip(site.x.shape[2:], steps, kernel, strict=True))


def _attention_macs(site: Site) -> Size:
    q, k, v = (site.tensor(i, name) for i, name in enumerate(("query", "key", "value")))
    return prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])


def _convolved(site: Site) -> Counted:
    bias = site.x.shape[0] * site.tensor(1, "weight").shape[0] * prod(_places(site)) if site.arg(2, "bias") is not None else 0
    return Counted(2 * _conv_macs(site) + bias, "2 per product, 1 per output element with a bias")


def _transposed(site: Site, divided_twice: bool) -> tuple[Size, Size]:
    """macs and the flops of the bias. calflops takes weight.shape[1] for all output channels and divides by groups."""
    x, w, groups = site.x, site.tensor(1, "weight").shape, site.arg(6, "groups", 1)
    per_group = floordiv(w[1], groups) if divided_twice else w[1]
    macs = prod(x.shape) * per_group * prod(w[2:])
    if site.arg(2, "bias") is None:
        return macs, 0
    return macs, (x.shape[0] * w[1] * prod(_forward_places(site)) if divided_twice else site.out.numel)


def _forward_places(site: Site) -> list[Size]:
    kernel = site.tensor(1, "weight").shape[2:]
    x = site.x.shape[-len(kernel) :]
    stride, padding, dilation = (
        a if isinstance(a, (tuple, list)) else (a,) * len(x)
        for a in (site.arg(3, "stride", 1), site.arg(4, "padding", 0), site.arg(7, "dilation", 1))
    )
    return [
        floordiv(i + 2 * p - (d * (k - 1) + 1), s) + 1
        for i, k, s, p, d in zip(x, kernel, stride, padding, dilation, strict=True)
    ]


def _batch_norm(site: Site) -> Counted:
    affine = site.arg(1, "weight") is not None
    n = (4 if site.arg(5, "training") else 1) + affine
    return Counted(site.x.numel * n, f"{n} per element")


def _norm(affine_at: int) -> OpRule:
    def rule(site: Site) -> Counted:
        n = 5 if isinstance(site.arg(affine_at, "weight"), TensorFact) else 4
        return Counted(site.x.numel * n, f"{n} per element")

    return rule


def _interpolated(site: Site, scales: bool) -> Counted:
    scaled = scaled_size(site)
    if scaled is None:
        return Counted(prod(site.out.shape[2:]), "1 per output place: batch and channels are left out")
    if not scales:
        return Counted(site.x.numel, "1 per input element: the scale factors are computed and dropped")
    numel, factors = scaled
    return Counted(site.out.numel, "numel(input) x scale factors", lambda at: int(at(numel) * math.prod(factors)))


def _doubled(macs: Macs) -> OpRule:
    return lambda site: Counted(2 * macs(site), "2 per product")


def _addmm(site: Site) -> Counted:
    return Counted(2 * _addmm_macs(site) + site.x.numel, "2 per product, 1 per added element")


def _einsum(site: Site) -> Counted:
    return numpy_cost(site, 1)


def _per_output(site: Site) -> Counted:
    return Counted(site.out.numel, "1 per output element")


_ACTIVATIONS = ("relu", "prelu", "elu", "leaky_relu", "relu6", "silu", "gelu", "softmax")
_RESIZES = tuple(
    f"upsample_{k}" for k in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "bicubic2d", "trilinear3d")
)
_TRANSPOSED = tuple(f"conv_transpose{n}d" for n in (1, 2, 3))


def _flops(deepspeed: bool) -> dict[str, OpRule]:
    def transposed(site: Site) -> Counted:
        macs, bias = _transposed(site, not deepspeed)
        return Counted(2 * macs + bias, "2 per product, 1 per output element with a bias")

    common: dict[str, OpRule] = {
        **named((*_ACTIVATIONS, *POOLS), per_input), "linear": _doubled(_linear_macs),
        **dict.fromkeys(("conv1d", "conv2d", "conv3d"), if_function(_convolved)), **dict.fromkeys(_TRANSPOSED, transposed),
        "batch_norm": _batch_norm, "layer_norm": _norm(2), "group_norm": _norm(2), "instance_norm": _norm(1),
        **dict.fromkeys(_RESIZES, partial(_interpolated, scales=deepspeed)), "einsum": _einsum,
    }  # fmt: skip
    product = _doubled(_matmul_macs)
    if deepspeed:
        return common | {
            **dict.fromkeys(("matmul", "mm", "bmm"), product), "addmm": _addmm, "baddbmm": if_function(_addmm),
            "mul": unless_operator(_per_output), "add": unless_operator(_per_output),
            "scaled_dot_product_attention": _doubled(_attention_macs),
        }  # fmt: skip
    return common | {
        "matmul": unless_operator(product), "addmm": _addmm, "baddbmm": if_function(_addmm),
        "mul": unless_operator(front_aligned), "add": unless_operator(front_aligned),
    }  # fmt: skip


def _macs(deepspeed: bool) -> dict[str, OpRule]:
    def counted(macs: Macs) -> OpRule:
        return lambda site: Counted(macs(site), "products")

    common: dict[str, OpRule] = {
        "linear": counted(_linear_macs), **dict.fromkeys(("conv1d", "conv2d", "conv3d"), counted(_conv_macs)),
        **dict.fromkeys(_TRANSPOSED, counted(lambda site: _transposed(site, not deepspeed)[0])),
        "addmm": counted(_addmm_macs), "baddbmm": if_function(counted(_addmm_macs)),
    }  # fmt: skip
    if deepspeed:
        return common | {
            **dict.fromkeys(("matmul", "mm", "bmm"), counted(_matmul_macs)),
            "scaled_dot_product_attention": counted(_attention_macs),
        }
    return common | {"matmul": unless_operator(counted(_matmul_macs))}


def _flop_items(rules: Rules, records: Records) -> Iterator[Item]:
    yield from from_ops(records, rules)
    yield from from_modules(records, lambda site: gate_counts(site, 2) if site.kind in LAYERS else None)


def _mac_items(rules: Rules, records: Records) -> Iterator[Item]:
    return from_ops(records, rules)


_EXCLUDED = "x + y and x * y; methods of activations; sigmoid, tanh, hardswish, mean and other ops that are not patched"
_COMMON_FLOPS: dict[str, Any] = {
    "quantity": "FLOP", "per_mac": 2, "per": "batch",
    "includes": "linear, conv, matrix products (2 per MAC), convolution biases; batch norm 2, layer and group norm 5 per "
    "element; activations, softmax, pooling 1 per input element; torch.add, torch.mul; einsum; RNN modules",
}  # fmt: skip
_COMMON_MACS: dict[str, Any] = {
    "quantity": "MAC", "per_mac": 1, "per": "batch", "includes": "linear, conv and matrix products",
    "excludes": "einsum, RNN modules, everything elementwise",
}  # fmt: skip
_CALFLOPS: dict[str, Any] = {
    "versions": "calflops 0.3.2", "source": "calflops/pytorch_ops.py: _patch_functionals, _patch_tensor_methods",
}  # fmt: skip
_DEEPSPEED: dict[str, Any] = {
    "versions": "deepspeed 0.19.8",
    "source": "deepspeed/profiling/flops_profiler/profiler.py: _patch_functionals, _patch_tensor_methods",
}
_NO_BIAS = Mistake("the bias of a linear is 0", "that of a convolution is counted")
_EINSUM = Mistake("einsum keeps four digits", "the cost is read from text that numpy prints with 4 significant digits")
_NO_EINSUM = Mistake("macs leave out einsum and RNN", "their flops are counted, their macs are 0")
_RESIZE = Mistake("interpolate to a size leaves out batch and channels", "prod(size) is taken for the elements")
_OPERATORS = Mistake("x @ y is 0", "only torch.matmul is patched; bmm, mm and attention are not")
_GROUPS = Mistake("transposed convolution with groups", "channels are divided by groups twice")
_SHARED = Mistake("shared module", "a module with two parents is added twice", copied=False)
_FRONT = Mistake("broadcast from the front", "add and mul pair dimensions from the first, not from the last")
_KEPT = Mistake(
    "functions kept by reference are not seen", "TransformerEncoderLayer took F.relu before it was patched", copied=False
)

CONVENTIONS = (
    Convention(
        "calflops", "calflops.calculate_flops()[0]", **_COMMON_FLOPS, **_CALFLOPS,
        items=partial(_flop_items, Rules(_flops(False))),
        excludes=f"attention, @, bmm, mm; {_EXCLUDED}",
        mistakes=(_OPERATORS, _NO_BIAS, _RESIZE, _GROUPS, _EINSUM, _FRONT, _SHARED, _KEPT),
    ),
    Convention(
        "calflops-macs", "calflops.calculate_flops()[1]", **_COMMON_MACS, **_CALFLOPS,
        items=partial(_mac_items, Rules(_macs(False))),
        mistakes=(_OPERATORS, _NO_EINSUM, _GROUPS, _SHARED),
    ),
    Convention(
        "deepspeed", "deepspeed get_model_profile()[0]", **_COMMON_FLOPS, **_DEEPSPEED,
        items=partial(_flop_items, Rules(_flops(True))), excludes=_EXCLUDED, mistakes=(_NO_BIAS, _RESIZE, _EINSUM, _KEPT),
    ),
    Convention(
        "deepspeed-macs", "deepspeed get_model_profile()[1]", **_COMMON_MACS, **_DEEPSPEED,
        items=partial(_mac_items, Rules(_macs(True))), mistakes=(_NO_EINSUM,),
    ),
)  # fmt: skip
