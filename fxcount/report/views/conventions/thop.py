"""thop (pytorch-OpCounter): forward hooks on modules of exactly the listed classes; functional calls are not seen."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from fxcount.report.views.conventions.convention import Convention, Evaluate, Item, Mistake
from fxcount.report.views.conventions.modules import ModuleRule, ModuleSite
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.recurrent import LAYERS, layer_counts
from fxcount.report.views.conventions.sites import Counted
from fxcount.report.views.conventions.tables import from_modules
from fxcount.symbolic import Size, floordiv, prod

__all__ = ["CONVENTIONS", "affine", "softmax_counts", "upsample_mode"]

_UPSAMPLE = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 224 + 35}


def _conv(site: ModuleSite) -> Counted | None:
    op, y = site.op("conv"), site.y
    if op is None or y is None:
        return None
    w = op.tensor(1, "weight").shape
    if "transpose" in op.name:
        groups = op.arg(6, "groups", 1)
        return Counted(y.numel * floordiv(w[0], groups) * prod(w[2:]), "numel(output) x fan-in: the output of a transposed one")
    return Counted(y.numel * w[1] * prod(w[2:]), "numel(output) x fan-in")


def _linear(site: ModuleSite) -> Counted | None:
    weight = site.parameters.get("weight")
    if weight is None or site.y is None:
        return None
    return Counted(site.y.numel * weight.shape[1], "numel(output) x in_features")


def affine(site: ModuleSite) -> bool:
    """Whether a normalisation has weights."""
    return "weight" in site.parameters


def _norm(site: ModuleSite) -> Counted | None:
    n = 4 if affine(site) else 2
    return Counted(site.x.numel * n, f"{n} per element") if site.x is not None else None


def softmax_counts(site: ModuleSite) -> tuple[Size, Size] | None:
    """Rows and elements of a softmax."""
    op = site.op("softmax") or site.op("log_softmax")
    if op is None:
        return None
    x = op.x
    return (prod([*x.shape]) if x.ndim == 0 else floordiv(x.numel, x.shape[op.arg(1, "dim")])), x.numel


def _softmax(site: ModuleSite) -> Counted | None:
    found = softmax_counts(site)
    return Counted(3 * found[1] - found[0], "exp, sum and division") if found else None


def _per_output(site: ModuleSite) -> Counted | None:
    return Counted(site.y.numel, "1 per output element") if site.y is not None else None


def _prelu(site: ModuleSite) -> Counted | None:
    return Counted(site.x.numel, "1 per element") if site.x is not None else None


def _adaptive(site: ModuleSite) -> Counted | None:
    x, y = site.x, site.y
    if x is None or y is None:
        return None
    inside, outside = x.shape[2:], y.shape[2:]

    def numeric(at: Evaluate) -> int:
        kernel = 1.0
        for i, o in zip(inside, outside, strict=True):
            kernel *= at(i) / at(o)
        return int((kernel + 1) * at(y.numel))

    return Counted(prod(y.shape[:2]) * prod(inside) + y.numel, "1 per input and 1 per output element", numeric)


def upsample_mode(site: ModuleSite) -> str:
    """``nearest``, ``bilinear``, ... as ``nn.Upsample`` names it; empty if unknown."""
    op = site.op("upsample") or site.op("_upsample")
    return op.name.removeprefix("_").removeprefix("upsample_").rstrip("123d") if op is not None else ""


def _upsample(site: ModuleSite) -> Counted | None:
    n = _UPSAMPLE.get(upsample_mode(site), 0)
    return Counted(site.y.numel * n, f"{n} per output element") if site.y is not None else None


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d,
    nn.InstanceNorm3d,
)  # fmt: skip
_RULES: dict[type, ModuleRule] = {
    **dict.fromkeys(_CONVOLUTIONS, _conv), **dict.fromkeys(_NORMS, _norm), nn.Linear: _linear, nn.PReLU: _prelu,
    nn.Softmax: _softmax, **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _per_output),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d), _upsample),
    **dict.fromkeys(LAYERS, layer_counts),
}  # fmt: skip


def _rule(site: ModuleSite) -> Counted | None:
    rule = _RULES.get(site.kind)
    return rule(site) if rule is not None else None


def _items(records: Records) -> Iterator[Item]:
    return from_modules(records, _rule)


CONVENTIONS = (
    Convention(
        "thop", "thop.profile()[0]", "MAC", 1, "batch", "thop 0.1.1",
        "thop/profile.py: register_hooks; thop/vision/basic_hooks.py, calc_func.py; thop/rnn_hooks.py",
        "modules Conv, Linear, RNN, LSTM, GRU (1 per MAC); batch, layer and instance norm 4 per element (2 without weights); "
        "average pooling, Softmax, PReLU, Upsample",
        "bias; GroupNorm, MultiheadAttention, Embedding; every functional call (F.conv2d, @, einsum, attention); subclasses",
        _items,
        (
            Mistake("ignores functional ops", "only calls of registered module classes are seen"),
            Mistake("ignores subclasses", "the class must be exactly the registered one"),
            Mistake("transposed convolution at its output", "its work is per input element"),
            Mistake("norms count twice", "2 per element, doubled with weights, in a number called MACs"),
            Mistake("unbatched sequence", "its width is taken for the batch", copied=False),
            Mistake("shared module", "with two parents it is hooked twice and added twice", copied=False),
        ),
    ),
)  # fmt: skip
