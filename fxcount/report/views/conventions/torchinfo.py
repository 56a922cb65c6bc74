"""torchinfo's mult-adds: parameters of each layer times its output, for modules that hold no other module."""

from __future__ import annotations

from collections.abc import Iterator

from fxcount.report.views.conventions.convention import Convention, Item, Mistake
from fxcount.report.views.conventions.modules import ModuleSite
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Counted
from fxcount.report.views.conventions.tables import from_modules
from fxcount.symbolic import Size, prod

__all__ = ["CONVENTIONS"]


def _layer(site: ModuleSite) -> Counted | None:
    if not site.leaf or not site.parameters or site.y is None or not site.y.shape:
        return None
    shape = site.y.shape
    convolution = "Conv" in site.call.class_name
    total: Size = 0
    for name, parameter in site.parameters.items():
        if name in ("weight", "bias"):
            total = total + parameter.numel * (prod([shape[0], *shape[2:]]) if convolution else shape[0])
        elif "weight" in name or "bias" in name:
            total = total + parameter.numel * prod(shape[:2])
    return Counted(total, "parameters x batch x places" if convolution else "parameters x first size of the output")


def _items(records: Records) -> Iterator[Item]:
    return from_modules(records, _layer)


CONVENTIONS = (
    Convention(
        "torchinfo", "torchinfo.summary().total_mult_adds", "MAC", 1, "batch", "torchinfo 1.8.0",
        "torchinfo/layer_info.py: LayerInfo.calculate_macs; torchinfo/model_statistics.py",
        "weights and biases of modules without children: for Conv classes times batch and output places, else times the batch",
        "modules that hold modules (MultiheadAttention), parameters of other names, everything functional",
        _items,
        (
            Mistake("ignores functional ops", "attention, @, einsum and F.conv2d count 0"),
            Mistake("a Linear on a sequence counts once", "its parameters are multiplied by the batch, not by the positions"),
            Mistake("biases and norm weights are mult-adds", "one for each parameter and sample"),
            Mistake("MultiheadAttention is 0", "it holds a module, and its projections are no module calls"),
            Mistake("transposed convolution at its output", "its work is per input element"),
        ),
    ),
)  # fmt: skip
