"""``profile``: rules of thop, and of the user, on the calls of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from fxcount.compat.analysis import analysed, as_given, below, located, tensors_of
from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.report import Report
from fxcount.symbolic import Expr, Size, sum_, to_sympy
from fxcount.trace.inputs.specs import parse_inputs
from fxcount.trace.tape import ModuleCall

__all__ = ["Rules", "profile", "profiled"]

Rule = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose rules count: a convention, whether a user's rule for a class holds for its subclasses, and whether it adds to
    what the modules inside count or replaces that (but at the model itself, to which thop always adds)."""

    convention: str
    subclasses: bool
    adds: bool

    def own(self, kind: type[nn.Module] | None, custom: Mapping[type[nn.Module], Rule]) -> Rule | None:
        """The user's rule for a class."""
        if kind is None or not self.subclasses:
            return custom.get(kind) if kind is not None else None
        return next((custom[c] for c in kind.__mro__ if c in custom), None)


def profile(
    model: nn.Module,
    inputs: Any = (),
    custom_ops: Mapping[type[nn.Module], Rule] | None = None,
    verbose: bool = True,
    ret_layer_info: bool = False,
    report_missing: bool = False,
    stride: Any = None,
) -> Any:
    """Work by thop's rules and parameters of a model, as floats; a drop-in for ``thop.profile``.

    ``inputs`` are the model's positional arguments: tensors, whose data are not read, or shapes (``"B,3,H,W"``; with symbols
    the work is a sympy formula). A tensor or a text alone is the only argument. ``custom_ops`` are rules
    ``f(module, inputs, output)`` that add to ``module.total_ops``, by exact class; they get tensors on ``meta``. With
    ``ret_layer_info`` a third result has ``(work, parameters, children)`` for each submodule. ``report_missing`` prints the
    classes that no rule covers. ``stride`` is ultralytics-thop's, and is accepted: work is counted at the size of the inputs.

    >>> profile(nn.Conv2d(3, 8, 3, bias=False), inputs=(torch.empty(1, 3, 9, 7),))
    (7560.0, 216.0)
    """
    return profiled(_RULES, model, inputs, custom_ops, verbose, ret_layer_info, report_missing)


_RULES = Rules("thop", subclasses=False, adds=False)


def profiled(
    rules: Rules, model: nn.Module, inputs: Any, custom_ops: Mapping[type[nn.Module], Rule] | None, verbose: bool,
    ret_layer_info: bool, report_missing: bool,
) -> Any:  # fmt: skip
    """What ``profile`` returns, by the rules of one of the two tools."""
    given = (inputs,) if isinstance(inputs, (torch.Tensor, np.ndarray, str)) else inputs
    args = tuple(parse_inputs(x) if isinstance(x, (str, tuple, list)) else as_given(x) for x in given)
    report = analysed(model, args, {})
    custom = dict(custom_ops or {})
    work = _work(report, model, rules, custom)
    if verbose:
        for kind in dict.fromkeys(m.kind for m in report.trace.modules if m.kind is not None):
            rule = rules.own(kind, custom)
            if rule is not None:
                print(f"[INFO] Customize rule {getattr(rule, '__qualname__', rule)}() {kind}.")
    if report_missing:
        for name in sorted(_missing(report, work)):
            print(f"[WARN] Cannot find rule for {name}. Treat it as zero Macs and zero Params.")
    total = _number(sum_([n for _, n in work]))
    parameters = float(report.params.total)
    return (total, parameters, _layers(model, work)) if ret_layer_info else (total, parameters)


def _work(
    report: Report, model: nn.Module, rules: Rules, custom: Mapping[type[nn.Module], Rule]
) -> list[tuple[ModuleCall, Size]]:
    """What each module call counts, by the user's rule for its class if there is one."""
    modules = {id(m): m for m in model.modules()}
    own = {
        m.index: rule for m in report.trace.modules
        if m.module_id in modules and (rule := rules.own(m.kind, custom)) is not None
    }  # fmt: skip
    inside = below(report, {i for i in own if rules.adds or report.trace.modules[i].parent >= 0})
    found: list[tuple[ModuleCall, Size]] = []
    for m, _, whole, n in located(report, rules.convention):
        hidden = m.index in inside and not (rules.adds and whole)
        if m.index not in own and not hidden:
            found.append((m, n))
    for index, rule in own.items():
        m = report.trace.modules[index]
        if rules.adds or m.parent not in inside:
            found.append((m, _asked(modules[m.module_id], m, rule)))
    return found


def _asked(module: nn.Module, call: ModuleCall, rule: Rule) -> int:
    """What the user's rule adds to ``module.total_ops``."""
    x, y = tensors_of(call)
    with _counter(module):
        rule(module, x, y[0] if len(y) == 1 else y)
        total: Any = module.total_ops
        return int(total.item() if isinstance(total, torch.Tensor) else total)


@contextmanager
def _counter(module: nn.Module) -> Iterator[None]:
    if hasattr(module, "total_ops") or hasattr(module, "total_params"):
        raise InputError(
            f"{type(module).__name__} has an attribute total_ops or total_params of its own",
            hint="rename it: rules for thop add to attributes of these names",
        )
    try:
        module.register_buffer("total_ops", torch.zeros(1, dtype=torch.float64, device="cpu"))
        module.register_buffer("total_params", torch.zeros(1, dtype=torch.float64, device="cpu"))
        yield
    finally:
        for name in ("total_ops", "total_params"):
            module._buffers.pop(name, None)
            module._non_persistent_buffers_set.discard(name)


def _missing(report: Report, work: list[tuple[ModuleCall, Size]]) -> set[str]:
    counted = {m.class_name for m, _ in work}
    parents = {m.parent for m in report.trace.modules}
    return {
        m.class_name for m in report.trace.modules
        if m.index not in parents and m.class_name not in counted and m.class_name not in _ZERO
    }  # fmt: skip


_ZERO = frozenset({"Sequential", "ReLU", "ReLU6", "Dropout", "ZeroPad2d", "PixelShuffle", *(
    f"{kind}MaxPool{n}d" for kind in ("", "Adaptive") for n in (1, 2, 3)
)})  # fmt: skip


def _layers(model: nn.Module, work: list[tuple[ModuleCall, Size]]) -> dict[str, Any]:
    by_id: dict[int, list[Size]] = {}
    for m, n in work:
        by_id.setdefault(m.module_id, []).append(n)

    def walk(module: nn.Module) -> dict[str, Any]:
        return {
            name: (
                _number(sum_([n for m in child.modules() for n in by_id.get(id(m), ())])),
                float(sum(p.numel() for p in child.parameters())),
                walk(child),
            )
            for name, child in module.named_children()
        }

    return walk(model)


def _number(n: Size) -> Any:
    return to_sympy(n) if isinstance(n, Expr) else float(n)
