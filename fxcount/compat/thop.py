"""``profile`` and ``clever_format`` of thop.

Work is counted by thop's own rules (``report.count("thop")``); parameters are all of the model's, each once, where thop knows
only those of module classes it has a rule for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from fxcount.compat.analysis import analysed, as_given, located
from fxcount.errors import InputError
from fxcount.ops.core.fact import TensorFact
from fxcount.report import Report
from fxcount.symbolic import Expr, Size, sum_, to_sympy
from fxcount.trace.inputs.specs import parse_inputs
from fxcount.trace.tape import ModuleCall

__all__ = ["clever_format", "profile"]

Rule = Callable[..., None]


def profile(
    model: nn.Module,
    inputs: Iterable[Any] = (),
    custom_ops: Mapping[type[nn.Module], Rule] | None = None,
    verbose: bool = True,
    ret_layer_info: bool = False,
    report_missing: bool = False,
) -> Any:
    """Work by thop's rules and parameters of a model, as floats; a drop-in for ``thop.profile``.

    ``inputs`` are the model's positional arguments: tensors, whose data are not read, or shapes (``"B,3,H,W"``; with symbols
    the work is a sympy formula). ``custom_ops`` are rules ``f(module, inputs, output)`` that add to ``module.total_ops``, by
    exact class; they get tensors on ``meta``. With ``ret_layer_info`` a third result has ``(work, parameters, children)`` for
    each submodule. ``report_missing`` prints the classes that no rule covers.

    >>> profile(nn.Conv2d(3, 8, 3, bias=False), inputs=(torch.empty(1, 3, 9, 7),))
    (7560.0, 216.0)
    """
    args = tuple(parse_inputs(x) if isinstance(x, (str, tuple, list)) else as_given(x) for x in inputs)
    report = analysed(model, args, {})
    rules = dict(custom_ops or {})
    work = _work(report, model, rules)
    if verbose:
        called = {m.kind for m in report.trace.modules}
        for kind, rule in rules.items():
            if kind in called:
                print(f"[INFO] Customize rule {rule.__qualname__}() {kind}.")
    if report_missing:
        for name in sorted(_missing(report, work)):
            print(f"[WARN] Cannot find rule for {name}. Treat it as zero Macs and zero Params.")
    total = _number(sum_([n for _, n in work]))
    parameters = float(report.params.total)
    return (total, parameters, _layers(model, work)) if ret_layer_info else (total, parameters)


def clever_format(nums: Any, format: str = "%.2f") -> Any:
    """Numbers with K, M, G or T; one text for one number.

    >>> clever_format([4133742592.0, 25557032.0], "%.3f"), clever_format(320)
    (('4.134G', '25.557M'), '320.00B')
    """
    texts = []
    for n in nums if isinstance(nums, Iterable) else [nums]:
        scale, unit = next(((s, u) for s, u in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")) if n > s), (1, "B"))
        texts.append(format % (n / scale) + unit)
    return texts[0] if len(texts) == 1 else tuple(texts)


def _work(report: Report, model: nn.Module, rules: Mapping[type[nn.Module], Rule]) -> list[tuple[ModuleCall, Size]]:
    """What each module call counts; inside a module with a rule of the user's nothing else does."""
    modules = {id(m): m for m in model.modules()}
    own = [m for m in report.trace.modules if m.kind in rules and m.module_id in modules]
    covered = _below(report, {m.index for m in own})
    found: list[tuple[ModuleCall, Size]] = [(m, n) for m, _, n in located(report, "thop") if m.index not in covered]
    for m in own:
        if m.parent not in covered:
            module = modules[m.module_id]
            found.append((m, _asked(module, m, rules[type(module)])))
    return found


def _below(report: Report, roots: set[int]) -> set[int]:
    """These module calls and all inside them."""
    found: set[int] = set()
    for m in report.trace.modules:
        if m.index in roots or m.parent in found:
            found.add(m.index)
    return found


def _asked(module: nn.Module, call: ModuleCall, rule: Rule) -> int:
    """What the user's rule adds to ``module.total_ops``."""
    x = tuple(_meta(f) for f in call.inputs)
    y = tuple(_meta(f) for f in call.outputs)
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


def _meta(fact: TensorFact) -> torch.Tensor:
    symbols = [s for s in fact.shape if isinstance(s, Expr)]
    if symbols:
        raise InputError(f"a rule for thop cannot be asked about the size {symbols[0]}", hint="give inputs without symbols")
    return torch.empty(fact.shape, dtype=fact.dtype, device="meta")  # type: ignore[arg-type]


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
