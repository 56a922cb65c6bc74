"""torchstat: MAdd, Flops, bytes read and written of modules that hold no other module, at a batch of 1.

Its hooks still run; its report crashes with pandas 2 and later (``DataFrame.append``), so its totals are those of the
functions behind the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from fxcount.ops.core.fact import TensorFact
from fxcount.report.views.conventions.convention import Convention, Item, Mistake
from fxcount.report.views.conventions.modules import ModuleSite, batch_size
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Counted
from fxcount.report.views.conventions.tables import from_modules
from fxcount.symbolic import Size, floordiv, prod

__all__ = ["CONVENTIONS"]

_RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.ELU, nn.LeakyReLU)
Quantity = Callable[[ModuleSite, TensorFact, TensorFact, Size], Counted | None]


def _sample(t: TensorFact) -> Size:
    return prod(t.shape[1:]) if t.ndim > 1 else t.numel


def _features(t: TensorFact) -> Size:
    """Of a row of a Linear: a vector is one row without a batch."""
    return t.shape[1] if t.ndim > 1 else t.shape[0]


def _samples(t: TensorFact, batch: Size) -> Size:
    """How many of the model's samples a tensor holds; a vector or a number has no batch, and is one."""
    return floordiv(t.shape[0], batch) if t.ndim > 1 else 1


def _per_sample(t: TensorFact, batch: Size) -> Size:
    return floordiv(t.numel, batch) if t.ndim > 1 else t.numel


def _fan_in(site: ModuleSite) -> Size:
    shape = site.parameters["weight"].shape
    if issubclass(site.kind, nn.ConvTranspose2d):
        op = site.op("conv")
        return prod(shape[2:]) * (shape[0] // (op.arg(6, "groups", 1) if op is not None else 1))
    return prod(shape[1:])


def _window(site: ModuleSite) -> Size:
    op = site.op("max_pool") or site.op("avg_pool")
    k = op.arg(1, "kernel_size") if op is not None else 1
    pair = tuple(k) if isinstance(k, (tuple, list)) else (k,)
    return prod(pair if len(pair) == 2 else pair * 2)


def _madd(site: ModuleSite, x: TensorFact, y: TensorFact, batch: Size) -> Counted | None:
    kind, bias = site.kind, "bias" in site.parameters
    if issubclass(kind, (nn.Conv2d, nn.ConvTranspose2d)):
        places = prod((x if issubclass(kind, nn.ConvTranspose2d) else y).shape[2:]) * y.shape[1]
        return Counted(places * (2 * _fan_in(site) - 1 + bias), "products, their sums, and the bias")
    if issubclass(kind, nn.BatchNorm2d):
        return Counted(4 * _sample(x), "4 per element")
    if issubclass(kind, nn.MaxPool2d):
        return Counted((_window(site) - 1) * _sample(y), "comparisons of each window")
    if issubclass(kind, nn.AvgPool2d):
        return Counted(_window(site) * _sample(y), "sums and division of each window")
    if issubclass(kind, (nn.ReLU, nn.ReLU6)):
        return Counted(_sample(x), "1 per element")
    if issubclass(kind, nn.Softmax):
        return Counted(3 * _sample(x) - 1, "exp, sum and division")
    if issubclass(kind, nn.Linear):
        return Counted(_features(y) * (2 * _features(x) - 1), "products and their sums, no bias")
    return None


def _flops(site: ModuleSite, x: TensorFact, y: TensorFact, batch: Size) -> Counted | None:
    kind = site.kind
    if issubclass(kind, nn.Conv2d):
        return Counted(_per_sample(y, batch) * (_fan_in(site) + ("bias" in site.parameters)), "products, and the bias")
    if issubclass(kind, nn.BatchNorm2d):
        n = 2 if "weight" in site.parameters else 1
        return Counted(_per_sample(x, batch) * n, f"{n} per element")
    if issubclass(kind, (nn.AvgPool2d, nn.MaxPool2d, *_RECTIFIERS, nn.PReLU)):
        return Counted(_per_sample(x, batch), "1 per input element")
    if issubclass(kind, nn.Upsample):
        return Counted(_samples(x, batch) * prod(y.shape[2:]), "1 per output place: channels are left out")
    if issubclass(kind, nn.Linear):
        return Counted(_samples(x, batch) * _features(x) * _features(y), "products")
    return None


def _read(site: ModuleSite, x: TensorFact, y: TensorFact, batch: Size) -> Counted | None:
    samples = _samples(x, batch)
    trainable = sum(p.numel for p in site.parameters.values() if p.requires_grad)
    if issubclass(site.kind, (*_RECTIFIERS, nn.AvgPool2d, nn.MaxPool2d)):
        return Counted(samples * _sample(x) * x.itemsize, "the input")
    if issubclass(site.kind, (nn.Conv2d, nn.Linear, nn.PReLU)):
        return Counted(samples * (_sample(x) + trainable) * x.itemsize, "the input and the trainable parameters")
    if issubclass(site.kind, nn.BatchNorm2d):
        return Counted(samples * (_sample(x) + 2 * x.shape[1]) * x.itemsize, "the input and two numbers per channel")
    return None


def _written(site: ModuleSite, x: TensorFact, y: TensorFact, batch: Size) -> Counted | None:
    known = (*_RECTIFIERS, nn.PReLU, nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.AvgPool2d, nn.MaxPool2d)
    return Counted(_per_sample(y, batch) * x.itemsize, "the output") if issubclass(site.kind, known) else None


def _items(quantity: Quantity, records: Records) -> Iterator[Item]:
    batch = batch_size(records.trace)

    def rule(site: ModuleSite) -> Counted | None:
        x, y = site.x, site.y
        if not site.leaf or not site.last or x is None or y is None:
            return None
        return quantity(site, x, y, batch)

    for item in from_modules(records, rule):
        assert item.alike is not None
        yield replace(item, alike=replace(item.alike, turns=1))  # of a loop the last step


_COMMON: dict[str, Any] = {"per": "sample", "versions": "torchstat 0.0.7"}
_EXCLUDED = "every other module; functional calls; all but the last call of a module"
_LAST = Mistake("a module called twice counts once", "each call overwrites the numbers of the one before")
_FUNCTIONAL = Mistake("ignores functional ops", "only modules without children are seen")
_CRASH = Mistake("crashes today", "its report needs DataFrame.append, which pandas 2 dropped; its hooks count", copied=False)
_SEQUENCES = Mistake("a Linear on a sequence crashes it", "it asserts two dimensions; the formula is applied", copied=False)
_MISTAKES = (_LAST, _FUNCTIONAL, _CRASH, _SEQUENCES)

CONVENTIONS = (
    Convention(
        "torchstat-madd", "torchstat.stat(), Total MAdd", "MAdd", 2, source="torchstat/compute_madd.py",
        includes="Conv2d, ConvTranspose2d, Linear: products and sums; BatchNorm2d 4, ReLU 1 per element; 2-d pooling, Softmax",
        excludes=_EXCLUDED, items=partial(_items, _madd), mistakes=_MISTAKES, **_COMMON,
    ),
    Convention(
        "torchstat-flops", "torchstat.stat(), Total Flops", "FLOP", 1, source="torchstat/compute_flops.py",
        includes="Conv2d with bias, Linear (1 per MAC); BatchNorm2d 2, ReLU family and 2-d pooling 1 per element; Upsample",
        excludes=_EXCLUDED, items=partial(_items, _flops),
        mistakes=(
            Mistake("Flops is half of MAdd", "a product with its sum is one, in MAdd two"),
            Mistake("Upsample leaves out channels", "the first sample is taken for the output"), *_MISTAKES,
        ), **_COMMON,
    ),
    Convention(
        "torchstat-memread", "torchstat.stat(), MemRead(B)", "byte", 0, source="torchstat/compute_memory.py",
        includes="inputs and parameters of ReLU family, PReLU, Conv2d, BatchNorm2d, Linear, 2-d pooling", excludes=_EXCLUDED,
        items=partial(_items, _read),
        mistakes=(Mistake("frozen parameters are not read", "only trainable ones are counted"), *_MISTAKES), **_COMMON,
    ),
    Convention(
        "torchstat-memwrite", "torchstat.stat(), MemWrite(B)", "byte", 0, source="torchstat/compute_memory.py",
        includes="outputs of ReLU family, PReLU, Conv2d, BatchNorm2d, Linear, 2-d pooling", excludes=_EXCLUDED,
        items=partial(_items, _written), mistakes=_MISTAKES, **_COMMON,
    ),
)  # fmt: skip
