"""Counts by module and by operator."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from torch import nn

from fxcount.compat.analysis import analysed, as_given, located
from fxcount.compat.fvcore.operands import operands_of
from fxcount.ops import Op
from fxcount.report import Report
from fxcount.symbolic import Expr, Size, to_sympy
from fxcount.trace.inputs.specs import parse_inputs
from fxcount.trace.tape import Call, ModuleCall

__all__ = ["ActivationCountAnalysis", "FlopCountAnalysis", "activation_count", "flop_count"]

Handle = Callable[[list[Any], list[Any]], Any]
_Self = TypeVar("_Self", bound="_Analysis")
_LOGGER = logging.getLogger(__name__)

# ops that do arithmetic and that fvcore ignores all the same
_IGNORED = frozenset(
    f"aten::{n}" for n in "relu relu_ clamp clamp_ max floor floor_divide remainder dropout dropout_ eq ge gt".split()
)


@dataclass(slots=True)
class _Counts:
    """Counts and unsupported ops of every module, by operator; modules that no call reached."""

    counts: dict[str, Counter[str]]
    unsupported: dict[str, Counter[str]]
    uncalled: set[str] = field(default_factory=set)


class _Analysis:
    """What both counters share. The trace is made when the first result is asked for."""

    convention = ""

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        """``inputs``: a tensor or a tuple of the model's positional arguments; a shape (``"B,3,H,W"``) stands for a tensor."""
        self._model = model
        self._inputs = inputs
        self._handles: dict[str, Handle] = {}
        self._ignored: set[str] = set()
        self._only_own = False
        self._ancestors = "owner"
        self._warn_unsupported = self._warn_uncalled = True
        self._stats: _Counts | None = None
        self._names: dict[str, str] = {}
        first: dict[int, str] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            self._names[name] = first.setdefault(id(module), name)

    @cached_property
    def report(self) -> Report:
        """fxcount's own report of the call."""
        given = self._inputs if isinstance(self._inputs, tuple) else (self._inputs,)
        return analysed(self._model, tuple(_spec(x) for x in given), {}, training=None)

    def total(self, module_name: str = "") -> Any:
        """The count of a module (default: of the model): an int, or a sympy formula of the inputs' symbols."""
        return _public(sum(self._analyse().counts[self.canonical_module_name(module_name)].values()))

    def by_operator(self, module_name: str = "") -> Counter[str]:
        """The counts of a module by operator."""
        return _public_counter(self._analyse().counts[self.canonical_module_name(module_name)])

    def by_module_and_operator(self) -> dict[str, Counter[str]]:
        """The counts of every module by operator."""
        return {name: _public_counter(c) for name, c in self._analyse().counts.items()}

    def by_module(self) -> Counter[str]:
        """The count of every module."""
        return _public_counter(Counter({name: sum(c.values()) for name, c in self._analyse().counts.items()}))

    def unsupported_ops(self, module_name: str = "") -> Counter[str]:
        """How often each op that does arithmetic and has no handle occurs in a module."""
        return self._analyse().unsupported[self.canonical_module_name(module_name)]

    def uncalled_modules(self) -> set[str]:
        """Names of the modules that run no op."""
        return self._analyse().uncalled

    def set_op_handle(self: _Self, *args: Any, **kwargs: Handle | None) -> _Self:
        """Count ops by handles of your own: pairs of a name (``"aten::batch_norm"``) and ``f(inputs, outputs)``, which returns
        a number or a Counter; ``None`` ignores the op."""
        if len(args) % 2:
            raise TypeError("set_op_handle should be called with pairs of names and handles!")
        for name, handle in (*zip(args[::2], args[1::2]), *kwargs.items()):
            self._handles.pop(name, None)
            self._ignored.discard(name)
            if handle is None:
                self._ignored.add(name)
            else:
                self._handles[name] = handle
        self._stats = None
        return self

    def clear_op_handles(self: _Self) -> _Self:
        """Forget all handles, fvcore's own too."""
        self._handles, self._ignored, self._only_own, self._stats = {}, set(), True, None
        return self

    def canonical_module_name(self, name: str) -> str:
        """The first of the names of a module; raises KeyError for what names none."""
        if name not in self._names:
            raise KeyError("Requested module name is not among the descendants of the analyzed model.")
        return self._names[name]

    def copy(self: _Self, new_model: nn.Module | None = None, new_inputs: Any = None) -> _Self:
        """The same settings for another model or other inputs."""
        made = type(self)(new_model or self._model, self._inputs if new_inputs is None else new_inputs)
        made._handles, made._ignored, made._only_own = dict(self._handles), set(self._ignored), self._only_own
        made._ancestors, made._warn_unsupported = self._ancestors, self._warn_unsupported
        made._warn_uncalled = self._warn_uncalled
        return made

    def tracer_warnings(self: _Self, mode: str) -> _Self:
        """Accepted; no tracer of torch runs, so there are no warnings of it."""
        if mode not in ("all", "no_tracer_warning", "none"):
            raise ValueError(f"Unrecognized tracer warning mode {mode}.")
        return self

    def unsupported_ops_warnings(self: _Self, enabled: bool) -> _Self:
        """Whether unsupported ops are logged."""
        self._warn_unsupported = enabled
        return self

    def uncalled_modules_warnings(self: _Self, enabled: bool) -> _Self:
        """Whether modules that run no op are logged."""
        self._warn_uncalled = enabled
        return self

    def ancestor_mode(self: _Self, mode: str) -> _Self:
        """``"owner"``: an op counts for the modules that own the one that calls it; ``"caller"``: for those that run."""
        if mode not in ("owner", "caller"):
            raise ValueError(f"Unrecognized ancestor mode {mode}.")
        self._ancestors, self._stats = mode, None
        return self

    def _analyse(self) -> _Counts:
        if self._stats is not None:
            return self._stats
        names = list(dict.fromkeys(self._names.values()))
        found = _Counts({n: Counter() for n in names}, {n: Counter() for n in names})
        seen: set[str] = set()
        known: set[int] = set()
        if not self._only_own:
            for m, item, n in located(self.report, self.convention):
                kind = _kind(self.report.trace.calls[item.calls.start].op)
                known.add(item.calls.start)
                if kind not in self._ignored and kind not in self._handles:
                    self._add(found.counts, m, _simple(kind), n)
        for call in self.report.trace.calls:
            m = self.report.trace.modules[call.module]
            seen |= self._around(m)
            self._own_or_unsupported(found, call, m, call.index in known)
        found.uncalled = set(names) - seen - {""}
        self._stats = found
        self._log(found)
        return found

    def _own_or_unsupported(self, found: _Counts, call: Call, m: ModuleCall, known: bool) -> None:
        kind = _kind(call.op)
        handle = self._handles.get(kind)
        if handle is not None:
            result = handle(*operands_of(call))
            for name, n in (result.items() if isinstance(result, dict) else ((_simple(kind), result),)):
                self._add(found.counts, m, name, n)
        elif not known and kind not in self._ignored and kind not in _IGNORED and self._does_arithmetic(call):
            for name in self._around(m):
                found.unsupported[name][kind] += 1

    def _does_arithmetic(self, call: Call) -> bool:
        return self.report.costs.of(call).flops != 0 or call in self.report.uncounted

    def _around(self, m: ModuleCall) -> set[str]:
        """Names of the modules an op directly inside this call counts for."""
        names = {""}
        if self._ancestors == "caller":
            modules = self.report.trace.modules
            at = m.index
            while at >= 0:
                names.add(modules[at].path)
                at = modules[at].parent
        else:
            parts = m.path.split(".")
            names.update(".".join(parts[:k]) for k in range(len(parts) + 1))
        return {self._names[n] for n in names if n in self._names}

    def _add(self, counts: dict[str, Counter[str]], m: ModuleCall, operator: str, n: Size) -> None:
        for name in self._around(m):
            counts[name][operator] = counts[name][operator] + n  # type: ignore[assignment]

    def _log(self, found: _Counts) -> None:
        if self._warn_unsupported:
            for op, times in found.unsupported[""].items():
                _LOGGER.warning("Unsupported operator %s encountered %d time(s)", op, times)
        if self._warn_uncalled and found.uncalled:
            _LOGGER.warning("Modules that run no op: %s", ", ".join(sorted(found.uncalled)))


class FlopCountAnalysis(_Analysis):
    """Flops as fvcore counts them (one for each multiply-accumulate), by module and by operator.

    >>> flops = FlopCountAnalysis(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(280, 5)), "1,3,9,7")
    >>> flops.total(), flops.total("2"), dict(flops.by_operator())
    (8960, 1400, {'conv': 7560, 'linear': 1400})
    """

    convention = "fvcore"


class ActivationCountAnalysis(_Analysis):
    """Elements of the results of convolutions and matrix products, as fvcore counts activations.

    >>> ActivationCountAnalysis(nn.Conv2d(3, 8, 3), "B,3,9,7").total()
    280*B
    """

    convention = "fvcore-activations"


def flop_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: dict[str, Handle | None] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Gigaflops of each operator, and the operators without a handle."""
    analysis = FlopCountAnalysis(model, inputs).set_op_handle(**(supported_ops or {}))
    return defaultdict(float, {op: n / 1e9 for op, n in analysis.by_operator().items()}), analysis.unsupported_ops()


def activation_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: dict[str, Handle | None] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Millions of activations of each operator, and the operators without a handle."""
    analysis = ActivationCountAnalysis(model, inputs).set_op_handle(**(supported_ops or {}))
    return defaultdict(float, {op: n / 1e6 for op, n in analysis.by_operator().items()}), analysis.unsupported_ops()


def _spec(given: Any) -> Any:
    return parse_inputs(given) if isinstance(given, str) else as_given(given)


def _kind(op: Op) -> str:
    """The name a node of a ``torch.jit`` trace has; the op's own if it has no schema."""
    known = op.torchs
    return "aten::_convolution" if known.kind == "convolution" else known.schema or op.name


def _simple(kind: str) -> str:
    return "conv" if kind == "aten::_convolution" else kind.removeprefix("aten::")


def _public(n: Any) -> Any:
    return to_sympy(n) if isinstance(n, Expr) else n


def _public_counter(counts: Counter[str]) -> Counter[str]:
    return Counter({name: _public(n) for name, n in counts.items()})
