"""ptflops: hooks on modules of listed classes, patched functions of torch; and its ATen back end."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from fxcount.ops.core.common import facts_in
from fxcount.report.views.conventions.attention import ptflops_attention
from fxcount.report.views.conventions.convention import Convention, Item, Mistake
from fxcount.report.views.conventions.elementwise import (
    POOLS,
    front_aligned,
    if_function,
    named,
    per_input,
    scaled_size,
    unless_operator,
)
from fxcount.report.views.conventions.modules import ModuleRule, ModuleSite
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.recurrent import LAYERS, gate_counts
from fxcount.report.views.conventions.sites import Counted, OpRule, Rules, Site
from fxcount.report.views.conventions.tables import from_modules, from_ops
from fxcount.symbolic import floordiv, prod, sum_

__all__ = ["CONVENTIONS"]


# --- modules --------------------------------------------------------------------------------------


def _conv(site: ModuleSite) -> Counted | None:
    op, y = site.op("conv"), site.y
    if op is None or y is None:
        return None
    bias = y.numel if "bias" in site.parameters else 0
    return Counted(op.macs + bias, "products, and 1 per output element with a bias")


def _linear(site: ModuleSite) -> Counted | None:
    weight, y = site.parameters.get("weight"), site.y
    if weight is None or y is None:
        return None
    return Counted(y.numel * (weight.shape[1] + ("bias" in site.parameters)), "products, and 1 per output element with a bias")


def _norm(site: ModuleSite) -> Counted | None:
    n = 2 if "weight" in site.parameters and not issubclass(site.kind, nn.LayerNorm) else 1
    return Counted(site.x.numel * n, f"{n} per element") if site.x is not None else None


def _per_input(site: ModuleSite) -> Counted | None:
    return Counted(site.x.numel, "1 per input element") if site.x is not None else None


def _per_output(site: ModuleSite) -> Counted | None:
    return Counted(site.y.numel, "1 per output element") if site.y is not None else None


def _upsample(site: ModuleSite) -> Counted | None:
    return Counted(prod(site.y.shape[1:]), "1 per output element of the first sample") if site.y is not None else None


def _classes(*names: str) -> tuple[type, ...]:
    return tuple(getattr(nn, f"{name}{n}d") for name in names for n in (1, 2, 3))


_MODULES: dict[type, ModuleRule] = {
    **dict.fromkeys(_classes("Conv", "ConvTranspose"), _conv), nn.Linear: _linear,
    **dict.fromkeys((nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6, nn.GELU), _per_output),
    **dict.fromkeys(_classes("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool"), _per_input),
    **dict.fromkeys((*_classes("BatchNorm", "InstanceNorm"), nn.GroupNorm, nn.LayerNorm), _norm), nn.Upsample: _upsample,
    **dict.fromkeys(LAYERS, lambda site: gate_counts(site, 1)), nn.MultiheadAttention: ptflops_attention,
}  # fmt: skip


# --- functions ------------------------------------------------------------------------------------


def _interpolate(site: Site) -> Counted:
    scaled = scaled_size(site)
    if scaled is None:
        return Counted(site.out.numel, "1 per output element")
    numel, factors = scaled
    if len(set(factors)) > 1:  # given as a tuple
        return Counted(numel * math.prod(map(int, factors)), "numel(input) x scale factors, each rounded down")
    return Counted(site.out.numel, "numel(input) x scale factors", lambda at: int(at(numel) * math.prod(factors)))


def _matmul(site: Site) -> Counted:
    return Counted(site.x.numel * site.tensor(1, "other").shape[-1], "numel(first) x columns(second)")


def _addmm(site: Site) -> Counted:
    added, a, b = site.tensor(0, "input"), site.tensor(1, "mat1"), site.tensor(2, "mat2")
    count = a.numel * b.shape[-1] + (added.numel if site.arg(3, "beta", 1) != 0 else 0)
    return Counted(count, "products, and 1 per added element")


_ACTIVATIONS = ("relu", "prelu", "elu", "relu6", "gelu", "silu", "softmax")
_FUNCTIONS = Rules({
    **named((*_ACTIVATIONS, *POOLS), per_input), "mul": unless_operator(front_aligned), "add": unless_operator(front_aligned),
    **dict.fromkeys(("matmul", "mm", "bmm"), unless_operator(_matmul)), "addmm": unless_operator(_addmm),
    "baddbmm": if_function(_addmm),
    **{f"upsample_{kind}": if_function(_interpolate) for kind in
       ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "bicubic2d", "trilinear3d")},
})  # fmt: skip


def _module(site: ModuleSite) -> Counted | None:
    rule = _MODULES.get(site.kind)
    return rule(site) if rule is not None else None


def _items(records: Records) -> Iterator[Item]:
    yield from from_modules(records, _module)
    for item in from_ops(records, _FUNCTIONS):
        yield Item(item.kind, item.alike, item.count, f"patched function: {item.rule}", item.numeric)


# --- the ATen back end ----------------------------------------------------------------------------


def _aten_conv(site: Site) -> Counted:
    bias = site.out.numel if site.arg(2, "bias") is not None else 0
    return Counted(site.macs + bias, "products, and 1 per output element with a bias")


def _aten_linear(site: Site) -> Counted:
    x, bias = site.x, site.arg(2, "bias")
    fused = bias is not None and (x.ndim == 2 or x.is_contiguous)
    return Counted(site.macs + (site.out.numel if fused else 0), "products, and the bias where it is fused (addmm)")


def _aten_addmm(site: Site) -> Counted:
    return Counted(site.macs + site.out.numel, "products, and 1 per output element")


def _aten_products(site: Site) -> Counted:
    vector = site.name == "matmul" and site.tensor(1, "other").ndim == 1
    return Counted(0 if vector else site.macs, "products")


def _aten_recurrent(site: Site) -> Counted:
    """Matrix products and their biases; an LSTM without a projection is one kernel on the CPU, without a handle."""
    tensors = facts_in((site.args[1:], site.kwargs))
    if site.name == "lstm" and not _projected(site):
        return Counted(0, "one kernel on the CPU: no handle")
    per_run = sum_([t.numel for t in tensors if t.ndim == 1])
    return Counted(site.macs + floordiv(site.x.numel, site.x.shape[-1]) * per_run, "products and biases")


def _projected(site: Site) -> bool:
    """Whether the weights of a layer are more than two matrices and their biases."""
    weights = site.arg(2, "params")
    rows = [w.shape[0] for w in weights if w.ndim == 2]
    return len(set(rows)) > 1


def _aten_other(what: str) -> OpRule:
    return lambda _: Counted(0, what)


_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
_ATEN = Rules({
    **dict.fromkeys(tuple(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)), _aten_conv),
    **dict.fromkeys(("matmul", "mm", "bmm", "einsum", "tensordot"), _aten_products),
    "linear": _aten_linear, "addmm": _aten_addmm,
    "scaled_dot_product_attention": _aten_other("fused attention has no handle"), "baddbmm": _aten_other("no handle"),
    **dict.fromkeys(_RECURRENT, _aten_recurrent),
})  # fmt: skip


def _aten_items(records: Records) -> Iterator[Item]:
    return from_ops(records, _ATEN)


CONVENTIONS = (
    Convention(
        "ptflops", "ptflops.get_model_complexity_info(backend='pytorch')[0]", "MAC", 1, "batch", "ptflops 0.7.5",
        "ptflops/pytorch_ops.py: MODULES_MAPPING, FUNCTIONAL_MAPPING, TENSOR_OPS_MAPPING; pytorch_engine.py",
        "Conv, Linear, RNN, MultiheadAttention modules with biases; norm, pooling, activation modules 1 or 2 per element; "
        "functional activations, pooling, softmax, interpolate; torch.matmul, mm, bmm, addmm, add, mul",
        "functional linear, conv, norms and attention; operators (@, +, *); einsum; subclasses",
        _items,
        (
            Mistake("activations and pooling count twice", "the module's hook and the patched function inside it both count"),
            Mistake("Upsample counts the first sample", "the hook takes output[0] for the output"),
            Mistake("operators are not seen", "x @ y, x + y and x * y count 0, torch.matmul(x, y) is counted"),
            Mistake("scale factors given as a tuple are rounded down", "1.5 counts as 1"),
            Mistake("broadcast from the front", "add and mul pair dimensions from the first, not from the last"),
            Mistake(
                "functions kept by reference are not seen", "TransformerEncoderLayer took F.relu before it was patched",
                copied=False,
            ),
            Mistake("attention of timm loses its projections", "their modules lie in a module that is counted", copied=False),
        ),
    ),
    Convention(
        "ptflops-aten", "ptflops.get_model_complexity_info(backend='aten')[0]", "MAC", 1, "batch", "ptflops 0.7.5",
        "ptflops/aten_ops.py: ATEN_OPS_MAPPING",
        "mm, bmm, addmm and convolution kernels, the bias of addmm and convolution",
        "everything else; the bias of a linear whose input is not contiguous, which is added by another kernel",
        _aten_items,
        (
            Mistake("attention is 0", "fused attention kernels and baddbmm have no handle"),
            Mistake("matrix-vector products are 0", "mv, dot and addmv have no handle"),
            Mistake("LSTM is 0 on the CPU", "its fused kernel has no handle; GRU and RNN become matrix products"),
        ),
    ),
)  # fmt: skip
