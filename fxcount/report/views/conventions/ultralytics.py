"""ultralytics-thop: thop's successor; hooks found by base class, functional products outside of hooked modules counted too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from fxcount import torch_private
from fxcount.report.views.conventions.attention import ultralytics_attention
from fxcount.report.views.conventions.convention import Convention, Evaluate, Item, Mistake
from fxcount.report.views.conventions.modules import ModuleRule, ModuleSite, by_ancestor
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.recurrent import LAYERS, layer_counts
from fxcount.report.views.conventions.sites import Counted, Rules, Site
from fxcount.report.views.conventions.tables import from_modules, from_ops
from fxcount.report.views.conventions.thop import affine, softmax_counts, upsample_mode
from fxcount.symbolic import Size, ceildiv, floordiv, prod, sum_

__all__ = ["CONVENTIONS"]

_UPSAMPLE = {"linear": 5, "bilinear": 11, "bicubic": 259, "trilinear": 31}


def _contraction(site: ModuleSite) -> Counted | None:
    op = site.op("conv") or site.op("linear")
    return Counted(op.macs, "products") if op is not None else None


def _bilinear(site: ModuleSite) -> Counted | None:
    weight = site.parameters.get("weight")
    if weight is None or site.y is None:
        return None
    return Counted(site.y.numel * (weight.shape[1] + 1) * weight.shape[2], "numel(output) x (in1 + 1) x in2")


def _norm(site: ModuleSite) -> Counted | None:
    n = 4 if affine(site) else 2
    return Counted(site.x.numel * n, f"{n} per element") if site.x is not None else None


def _softmax(site: ModuleSite) -> Counted | None:
    found = softmax_counts(site)
    if found is None:
        return None
    also: Size = found[1] if issubclass(site.kind, nn.Softmin) else found[0] if issubclass(site.kind, nn.LogSoftmax) else 0
    return Counted(3 * found[1] - found[0] + also, "exp, sum and division")


def _prelu(site: ModuleSite) -> Counted | None:
    return Counted(site.x.numel, "1 per element") if site.x is not None else None


def _average(site: ModuleSite) -> Counted | None:
    """One addition for each element of a window that lies in the input (or its padding), one division per window."""
    op = site.op("avg_pool")
    if op is None:
        return None
    n = int(op.name.removeprefix("avg_pool")[0])
    x, y = op.x.shape, op.out
    kernel = _tuple(op.arg(1, "kernel_size"), n)
    stride = _tuple(op.arg(2, "stride") or kernel, n)
    padding = _tuple(op.arg(3, "padding", 0), n)
    counts_padding = op.arg(5, "count_include_pad", True)
    rest = prod(x[: len(x) - n])

    def numeric(at: Evaluate) -> int:
        windows = 1
        for size, out, k, s, p in zip(map(at, x[-n:]), map(at, y.shape[-n:]), kernel, stride, padding, strict=True):
            low, high = (-p, size + p) if counts_padding else (0, size)
            windows *= sum(max(min(i * s - p + k, high) - max(i * s - p, low), 0) for i in range(out))
        return at(rest) * windows + at(y.numel)

    return Counted(rest * prod(kernel) * prod(y.shape[-n:]) + y.numel, "1 per element of a window, 1 per window", numeric)


def _adaptive(site: ModuleSite) -> Counted | None:
    x, y = site.x, site.y
    if x is None or y is None:
        return None
    return Counted(prod(map(_windows, x.shape, y.shape)) + y.numel, "1 per element of a window, 1 per window")


def _windows(i: Size, o: Size) -> Size:
    """Sum of the widths of ``o`` adaptive windows over ``i`` elements."""
    if i == o or not isinstance(o, int):
        return o
    return sum_([ceildiv((j + 1) * i, o) - floordiv(j * i, o) for j in range(o)])


def _upsample(site: ModuleSite) -> Counted | None:
    n = _UPSAMPLE.get(upsample_mode(site), 0)
    return Counted(site.y.numel * n, f"{n} per output element") if site.y is not None else None


def _tuple(value: object, n: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) and len(value) == n else (_one(value),) * n


def _one(value: object) -> int:
    found = value[0] if isinstance(value, (tuple, list)) else value
    assert isinstance(found, int)
    return found


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_RULES: dict[type, ModuleRule] = {
    **dict.fromkeys((*_CONVOLUTIONS, nn.Linear), _contraction), nn.Bilinear: _bilinear, nn.PReLU: _prelu,
    **dict.fromkeys((torch_private.NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm), _norm),
    **dict.fromkeys((nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d), _softmax),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _average),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d), _upsample),
    **dict.fromkeys(LAYERS, lambda site: layer_counts(site, projections=True)),
    nn.MultiheadAttention: ultralytics_attention,
}  # fmt: skip


def _product(site: Site) -> Counted:
    return Counted(site.macs, "functional product")


def _matmul(site: Site) -> Counted:
    return Counted(site.out.numel * site.x.shape[-1], "functional product")


def _einsum(site: Site) -> Counted | None:
    operands = site.args[1] if len(site.args) == 2 and isinstance(site.args[1], (tuple, list)) else site.args[1:]
    if len(operands) != 2:
        return Counted(0, "einsum of other than two operands")
    return Counted(site.macs if site.macs != 0 else site.out.numel, "functional product")


_FUNCTIONAL = Rules({
    "matmul": _matmul, "bmm": _matmul, "linear": _matmul, "scaled_dot_product_attention": _product, "einsum": _einsum,
})  # fmt: skip


def _items(records: Records) -> Iterator[Item]:
    rules = {kind: by_ancestor(kind, _RULES) for kind in {alike.site.kind for alike in records.modules}}

    def hook(site: ModuleSite) -> Counted | None:
        rule = rules[site.kind]
        return None if rule is None else rule(site)

    yield from from_modules(records, hook)
    modules = records.trace.modules
    hooked: set[int] = set()
    for alike in records.modules:
        if rules[alike.site.kind] is not None:
            hooked.update(*[range(modules[i].start, modules[i].stop) for i in alike.calls])
    for item in from_ops(records, _FUNCTIONAL):
        outside = [i for i in item.calls if i not in hooked]
        if outside and item.alike is not None:
            yield replace(item, alike=replace(item.alike, calls=outside))


CONVENTIONS = (
    Convention(
        "ultralytics-thop", "thop.profile()[0] of ultralytics-thop", "MAC", 1, "batch", "ultralytics-thop 2.2.3",
        "thop/profile.py: register_hooks, functional_hooks; thop/vision/basic_hooks.py; thop/rnn_hooks.py",
        "Conv, Linear, Bilinear, RNN, MultiheadAttention modules and subclasses, functional matmul, bmm, linear, einsum, "
        "attention (1 per MAC); norms 4 per element (2 without weights); average pooling, softmax, upsampling, PReLU modules",
        "bias; functional convolutions, norms and pooling; mm, addmm, baddbmm; activations",
        _items,
        (
            Mistake("functional convolutions are 0", "F.conv2d outside of a Conv module is not in functional_hooks"),
            Mistake("norms count twice", "2 per element, doubled with weights, in a number called MACs"),
            Mistake("mm and addmm are 0", "only matmul, bmm, linear, einsum and attention are intercepted"),
        ),
    ),
)  # fmt: skip
