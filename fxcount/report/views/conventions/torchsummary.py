"""torchsummary's sizes in bytes: four bytes for every number, whatever its dtype."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from fxcount.report.views.conventions.convention import Convention, Item, Mistake
from fxcount.report.views.conventions.modules import ModuleSite
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Counted
from fxcount.report.views.conventions.tables import from_modules
from fxcount.symbolic import Size, prod

__all__ = ["CONVENTIONS"]

_BYTES = 4


def _is_layer(site: ModuleSite) -> bool:
    """Every module call but the model's own and those of containers."""
    return bool(site.call.depth) and not issubclass(site.kind, (nn.Sequential, nn.ModuleList)) and site.y is not None


def _weights(site: ModuleSite) -> Counted | None:
    held = sum([p.numel for name, p in site.parameters.items() if name in ("weight", "bias")])
    return Counted(held, "weight and bias") if _is_layer(site) else None


def _weight_bytes(site: ModuleSite) -> Counted | None:
    found = _weights(site)
    return None if found is None else Counted(_BYTES * found.count, found.rule)


def _output(site: ModuleSite) -> Counted | None:
    if not _is_layer(site) or site.y is None:
        return None
    return Counted(2 * _BYTES * _sample(site.y.shape), "output, twice for gradients")


def _sample(shape: tuple[Size, ...]) -> Size:
    return prod(shape[1:])


def _parameters(records: Records) -> Iterator[Item]:
    return from_modules(records, _weights)


def _forward(records: Records) -> Iterator[Item]:
    return from_modules(records, _output)


def _total(records: Records) -> Iterator[Item]:
    for value in records.trace.inputs:
        yield Item("input", None, _BYTES * _sample(value.fact.shape), "input")
    yield from _forward(records)
    yield from from_modules(records, _weight_bytes)


_COMMON: dict[str, Any] = {
    "per_mac": 0, "per": "sample", "versions": "torchsummary 1.5.1", "source": "torchsummary/torchsummary.py: summary",
}  # fmt: skip
_TWICE = Mistake("a module called twice has its parameters twice", "they are added for each call")
_NAMES = Mistake("only weight and bias are parameters", "LSTM, MultiheadAttention and own parameters are left out")
_PARENTS = Mistake("outputs of nested modules count again", "a block's output is added to that of its last layer")
_TUPLES = Mistake(
    "several outputs or inputs", "shapes of several are multiplied with each other; a list as input crashes it (DenseNet)",
    copied=False,
)  # fmt: skip

CONVENTIONS = (
    Convention(
        "torchsummary-params", "torchsummary.summary(), Total params", "element", items=_parameters,
        includes="weight and bias of every module call", excludes="parameters of other names, the model's own",
        mistakes=(_TWICE, _NAMES), **_COMMON,
    ),
    Convention(
        "torchsummary-forward", "torchsummary.summary(), Forward/backward pass size", "byte", items=_forward,
        includes="outputs of all module calls except Sequential, ModuleList and the model, twice, 4 bytes per element",
        excludes="outputs of functional ops", mistakes=(_PARENTS, _TUPLES), **_COMMON,
    ),
    Convention(
        "torchsummary", "torchsummary.summary(), Estimated Total Size", "byte", items=_total,
        includes="inputs, outputs of all module calls twice, weight and bias; 4 bytes per element",
        excludes="outputs of functional ops", mistakes=(_TWICE, _NAMES, _PARENTS, _TUPLES), **_COMMON,
    ),
)  # fmt: skip
