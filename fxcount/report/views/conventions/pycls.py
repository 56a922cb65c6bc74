"""pycls' complexity, the flops and activations of the RegNet papers: convolutions and linear layers by formula."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fxcount.report.views.conventions.convention import Convention, Item, Mistake
from fxcount.report.views.conventions.modules import batch_size
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Counted, Rules, Site
from fxcount.report.views.conventions.tables import from_ops
from fxcount.symbolic import floordiv

__all__ = ["CONVENTIONS"]


def _contraction(site: Site) -> Counted:
    """The items divide by the batch; a bias is added once, wherever it is used."""
    return Counted(site.macs, "products")


def _outputs(site: Site) -> Counted:
    return Counted(site.out.numel, "output elements")


_FLOPS = Rules({"conv2d": _contraction, "linear": _contraction})
_ACTIVATIONS = Rules({"conv2d": _outputs, "linear": _outputs, "max_pool2d": _outputs})


def _flops(records: Records) -> Iterator[Item]:
    batch = batch_size(records.trace)
    for item in from_ops(records, _FLOPS):
        facts: tuple[Any, ...] = item.alike.site.args if item.alike is not None else ()
        bias = facts[2].numel if len(facts) > 2 and facts[2] is not None else 0
        yield Item(item.kind, item.alike, floordiv(item.count, batch) + bias, "products, and out_channels once with a bias")


def _activations(records: Records) -> Iterator[Item]:
    batch = batch_size(records.trace)
    for item in from_ops(records, _ACTIVATIONS):
        yield Item(item.kind, item.alike, floordiv(item.count, batch), item.rule)


_COMMON: dict[str, Any] = {"per": "sample", "versions": "pycls 0.1.1"}

CONVENTIONS = (
    Convention(
        "pycls", "pycls.core.net.complexity()['flops']", "FLOP", 1, source="pycls/core/net.py: complexity_conv2d",
        includes="2-d convolutions and linear layers (1 per MAC)", excludes="norms, activations, pooling", items=_flops,
        mistakes=(Mistake("a bias counts once", "out_channels are added once, not for every place"),), **_COMMON,
    ),
    Convention(
        "pycls-activations", "pycls.core.net.complexity()['acts']", "element", 0, source="pycls/core/net.py: complexity_conv2d",
        includes="output elements of 2-d convolutions, linear layers and max pooling", excludes="outputs of everything else",
        items=_activations, **_COMMON,
    ),
)  # fmt: skip
