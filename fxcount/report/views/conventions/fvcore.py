"""fvcore's flops and activations: a handle for each op of a ``torch.jit`` trace.

One multiply-accumulate is one flop. Ops without a handle count 0 and are listed by fvcore as unsupported; attention
(``scaled_dot_product_attention``) is among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fxcount.ops.core.fact import TensorFact
from fxcount.report.views.conventions.convention import Convention, Item, Mistake
from fxcount.report.views.conventions.einsum import equation_of, numpy_cost
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Counted, OpRule, Rules, Site
from fxcount.report.views.conventions.tables import from_ops
from fxcount.symbolic import prod

__all__ = ["CONVENTIONS"]

_EXACT_EINSUM = ("abc,abd->acd", "abc,adc->adb")
_CELLS = ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
_CONVOLUTIONS = tuple(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3))


def _conv(site: Site) -> Counted | None:
    x, w = site.tensor(0, "input"), site.tensor(1, "weight")
    if isinstance(site.arg(4, "padding"), str):
        return Counted(0, "padding given as a word: aten::_convolution_mode has no handle")
    places = (x if "transpose" in site.name else site.out).shape[2:]
    return Counted(x.shape[0] * w.numel * prod(places), "batch x numel(weight) x places")


def _linear(site: Site) -> Counted:
    x, w = site.tensor(0, "input"), site.tensor(1, "weight")
    return Counted(x.numel * (w.shape[0] if w.ndim == 2 else 1), "numel(input) x out_features")


def _matmul(site: Site) -> Counted:
    x, other = site.tensor(0, "input"), site.tensor(1, "other")
    return Counted(x.numel * other.shape[-1], "numel(first) x columns(second)")


def _addmm(site: Site) -> Counted:
    a, b = site.tensor(1, "mat1"), site.tensor(2, "mat2")
    return Counted(a.numel * b.shape[1], "numel(first) x columns(second)")


def _einsum(site: Site) -> Counted:
    if equation_of(site)[0] in _EXACT_EINSUM:
        return Counted(site.macs, "products")
    return numpy_cost(site, 2)


def _cell(site: Site) -> Counted:
    """A cell is two aten::linear in the trace."""
    return Counted(site.macs, "products")


def _cell_activations(site: Site) -> Counted:
    hidden = site.tensor(2, "w_ih")
    return Counted(2 * site.x.shape[0] * hidden.shape[0], "output elements of both products")


def _batch_norm(site: Site) -> Counted:
    affine = site.arg(1, "weight") is not None
    if site.arg(5, "training"):
        return _norm_counted(site, affine)
    return Counted(site.tensor(0, "input").numel * (2 if affine else 1), f"{2 if affine else 1} per element, statistics known")


def _norm(affine_at: int, name: str = "weight") -> OpRule:
    return lambda site: _norm_counted(site, isinstance(site.arg(affine_at, name), TensorFact))


def _norm_counted(site: Site, affine: bool) -> Counted:
    return Counted(site.tensor(0, "input").numel * (5 if affine else 4), f"{5 if affine else 4} per element")


def _per_input(site: Site) -> Counted:
    return Counted(site.tensor(0, "input").numel, "1 per input element")


def _per_output(n: int) -> OpRule:
    return lambda site: Counted(site.out.numel * n, f"{n} per output element")


def _activation(site: Site) -> Counted | None:
    if site.name.startswith("conv") and isinstance(site.arg(4, "padding"), str):
        return None
    return Counted(site.out.numel, "output elements")


_FLOPS = Rules({
    **dict.fromkeys((*_CONVOLUTIONS, "convolution"), _conv),
    "linear": _linear, "matmul": _matmul, "mm": _matmul, "bmm": _matmul, "addmm": _addmm, "einsum": _einsum,
    "batch_norm": _batch_norm, "group_norm": _norm(2), "layer_norm": _norm(2), "instance_norm": _norm(1),
    "upsample_nearest2d": _per_output(1), "upsample_bilinear2d": _per_output(4), "grid_sampler": _per_output(4),
    "adaptive_avg_pool2d": _per_input, **dict.fromkeys(_CELLS, _cell),
})  # fmt: skip
_ACTIVATIONS = Rules({
    **dict.fromkeys((*_CONVOLUTIONS, "convolution", "linear", "matmul", "bmm", "addmm", "einsum"), _activation),
    **dict.fromkeys(_CELLS, _cell_activations),
})


def _flops(records: Records) -> Iterator[Item]:
    return _traced(from_ops(records, _FLOPS))


def _activations(records: Records) -> Iterator[Item]:
    return _traced(from_ops(records, _ACTIVATIONS))


def _traced(items: Iterator[Item]) -> Iterator[Item]:
    """What torch.jit sees: nothing inside of a ``torch.autograd.Function``, nor of a function that it has compiled."""
    return (item for item in items if item.alike is None or {"checkpoint"}.issuperset(item.alike.site.functions))


_COMMON: dict[str, Any] = {"per": "batch", "versions": "fvcore 0.1.5"}

CONVENTIONS = (
    Convention(
        "fvcore", "fvcore.nn.FlopCountAnalysis.total()", "FLOP", 1, **_COMMON,
        source="fvcore/nn/flop_count.py: _DEFAULT_SUPPORTED_OPS; fvcore/nn/jit_handles.py",
        includes="conv, linear, matmul, mm, bmm, addmm, einsum (1 per MAC); batch norm 2, layer and group norm 5 per element; "
        "adaptive_avg_pool2d 1 per input element; upsampling 1 (nearest) or 4 (bilinear), grid_sampler 4 per output element",
        excludes="bias, activations, softmax, other pooling, elementwise arithmetic; ops without a handle",
        items=_flops,
        mistakes=(
            Mistake("attention is 0", "scaled_dot_product_attention, lstm, gru, baddbmm, mv have no handle"),
            Mistake("einsum keeps four digits", "the cost is read from text that numpy prints with 4 significant digits"),
            Mistake("einsum without a sum is halved", "an outer product of n elements is n/2 flops"),
            Mistake("matmul ignores broadcasting", "numel of the first operand is taken before it is broadcast"),
            Mistake("padding='same' is 0", "aten::_convolution_mode has no handle"),
            Mistake("custom functions are 0", "torch.jit does not see inside of a torch.autograd.Function"),
            Mistake(
                "scripted functions are 0",
                "prim::CallFunction, a call of what torch.jit compiled, has no handle; fxcount's own macs follow it",
            ),
            Mistake("a convolution without a batch dimension", "the channels are taken for the batch"),
        ),
    ),
    Convention(
        "fvcore-activations", "fvcore.nn.ActivationCountAnalysis.total()", "element", 0, **_COMMON,
        source="fvcore/nn/activation_count.py: _DEFAULT_SUPPORTED_OPS",
        includes="output elements of conv, linear, matmul, bmm, addmm and einsum",
        excludes="outputs of every other op, mm and attention among them",
        items=_activations,
    ),
)  # fmt: skip
