"""Counts by module and by operator."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import field
from functools import cached_property, partial
from typing import Any, TypeVar

from torch import nn

from fxcount.compat.analysis import analysed, as_given, followed, located
from fxcount.compat.fvcore.jit_handles import Handle
from fxcount.compat.fvcore.operands import Operand, kind_of, operands_of, operands_of_function
from fxcount.dataclass import dataclass
from fxcount.report import Report
from fxcount.symbolic import Expr, Size, to_sympy
from fxcount.trace.inputs.specs import parse_inputs
from fxcount.trace.tape import Call, CustomFunction, ModuleCall

__all__ = ["JitModelAnalysis"]

_Self = TypeVar("_Self", bound="JitModelAnalysis")
_LOGGER = logging.getLogger(__name__)

# ops that do arithmetic and that fvcore ignores all the same
_IGNORED = frozenset(
    f"aten::{n}" for n in "relu relu_ clamp clamp_ max floor floor_divide remainder dropout dropout_ eq ge gt".split()
)
_WITHOUT_HANDLE = frozenset({"aten::_convolution_mode"})  # counted as 0 by the convention, and unsupported here


@dataclass(slots=True)
class _Counts:
    """Counts and unsupported ops of every module, by operator; modules that no call reached."""

    counts: dict[str, Counter[str]]
    unsupported: dict[str, Counter[str]]
    uncalled: set[str] = field(default_factory=set)


class JitModelAnalysis:
    """A count by module and by operator, from handles given to :meth:`set_op_handle`; counters of flops and activations have
    their own besides. The trace is made when the first result is asked for.

    >>> found = JitModelAnalysis(nn.Sequential(nn.Linear(3, 5), nn.ReLU()), "2,3").set_op_handle("aten::relu", lambda x, y: 7)
    >>> found.by_module()
    Counter({'': 7, '1': 7, '0': 0})
    """

    convention = ""  # whose numbers count where no handle was given; none of them for ""

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        """``inputs``: a tensor or a tuple of the model's positional arguments; a shape (``"B,3,H,W"``) stands for a tensor."""
        self._model = model
        self._inputs = inputs
        self._handles: dict[str, Handle] = {}
        self._ignored: set[str] = set()
        self._only_own = not self.convention
        self._ancestors = "owner"
        self._enable_warn_unsupported_ops = self._enable_warn_uncalled_mods = True
        self._warn_trace = "no_tracer_warning"
        self._stats: _Counts | None = None
        self._names: dict[str, str] = {}
        self._modules = dict(model.named_modules(remove_duplicate=False))
        first: dict[int, str] = {}
        for name, module in self._modules.items():
            self._names[name] = first.setdefault(id(module), name)

    @cached_property
    def report(self) -> Report:
        """fxcount's own report of the call."""
        given = self._inputs if isinstance(self._inputs, tuple) else (self._inputs,)
        with warnings.catch_warnings():
            if self._warn_trace == "none":
                warnings.simplefilter("ignore")
            with followed(self._model) as model:
                return analysed(model, tuple(_spec(x) for x in given), {}, training=None)

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
        made._ancestors, made._warn_trace = self._ancestors, self._warn_trace
        made._enable_warn_unsupported_ops = self._enable_warn_unsupported_ops
        made._enable_warn_uncalled_mods = self._enable_warn_uncalled_mods
        return made

    def tracer_warnings(self: _Self, mode: str) -> _Self:
        """``"none"`` hides what the model warns of while it is traced; no tracer of torch runs that warns."""
        if mode not in ("all", "no_tracer_warning", "none"):
            raise ValueError(f"Unrecognized tracer warning mode {mode}.")
        self._warn_trace = mode
        return self

    def unsupported_ops_warnings(self: _Self, enabled: bool) -> _Self:
        """Whether unsupported ops are logged."""
        self._enable_warn_unsupported_ops = enabled
        return self

    def uncalled_modules_warnings(self: _Self, enabled: bool) -> _Self:
        """Whether modules that run no op are logged."""
        self._enable_warn_uncalled_mods = enabled
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
        hidden = [range(f.start, f.stop) for f in self._functions()]
        if not self._only_own:
            for m, start, _, n in located(self.report, self.convention):
                kind = kind_of(self.report.trace.calls[start])
                if kind in _WITHOUT_HANDLE:
                    continue
                known.add(start)
                if kind not in self._ignored and kind not in self._handles:
                    self._add(found.counts, m, _simple(kind), n)
        for call in self.report.trace.calls:
            m = self.report.trace.modules[call.module]
            seen |= self._around(m)
            if not any([call.index in inside for inside in hidden]):
                self._count(found, kind_of(call), m, partial(operands_of, call), self._is_supported(call, known))
        for f in self._functions():
            m = self._caller(f)
            seen |= self._around(m)
            kind = "prim::CallFunction" if f.is_scripted else f"prim::PythonOp.{f.name}"
            self._count(found, kind, m, partial(operands_of_function, f), False)
        found.uncalled = set(names) - seen - {""}
        self._stats = found
        self._log(found)
        return found

    def _functions(self) -> Iterator[CustomFunction]:
        """Calls of an ``autograd.Function`` or of a compiled function, a node each. ``torch.jit`` sees no op inside of either,
        and no further node inside of the latter."""
        stop = -1
        outer_first = self.report.trace.functions[::-1]  # of two with the same calls
        for f in sorted(outer_first, key=lambda f: (f.start, -f.stop)):
            if f.name != "checkpoint" and f.start >= stop:
                stop = f.stop if f.is_scripted else stop
                yield f

    def _caller(self, function: CustomFunction) -> ModuleCall:
        """The module call in which a function was called."""
        modules = self.report.trace.modules
        return next(m for m in reversed(modules) if m.start <= function.start and function.stop <= m.stop)

    def _count(
        self, found: _Counts, kind: str, m: ModuleCall, operands: Callable[[], tuple[list[Operand], list[Operand]]], known: bool
    ) -> None:
        """One node by the handle for its kind; if there is none it is unsupported, unless it is ``known`` or ignored."""
        handle = self._handles.get(kind)
        if handle is not None:
            result = handle(*operands())
            for name, n in (result.items() if isinstance(result, dict) else ((_simple(kind), result),)):
                self._add(found.counts, m, name, n)
        elif not known and kind not in self._ignored and kind not in _IGNORED:
            for name in self._around(m):
                found.unsupported[name][kind] += 1

    def _is_supported(self, call: Call, known: set[int]) -> bool:
        """Whether a call counts already, or does no arithmetic."""
        return call.index in known or not self._does_arithmetic(call)

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
        if self._enable_warn_unsupported_ops:
            for op, times in found.unsupported[""].items():
                _LOGGER.warning("Unsupported operator %s encountered %d time(s)", op, times)
        uncalled = [name for name in sorted(found.uncalled) if type(self._modules[name]).forward not in _NO_FORWARD]
        if self._enable_warn_uncalled_mods and uncalled:
            _LOGGER.warning(
                "Modules that were never called, and run no op: %s. They may be unused, or what calls their forward() or other "
                "methods counts for them", ", ".join(uncalled),
            )  # fmt: skip


_NO_FORWARD = frozenset(kind.forward for kind in (nn.ModuleList, nn.ModuleDict, nn.Module, nn.Identity))


def _spec(given: Any) -> Any:
    return parse_inputs(given) if isinstance(given, str) else as_given(given)


def _simple(kind: str) -> str:
    return "conv" if kind == "aten::_convolution" else (kind.partition("::")[2] or kind)


def _public(n: Any) -> Any:
    return to_sympy(n) if isinstance(n, Expr) else n


def _public_counter(counts: Counter[str]) -> Counter[str]:
    return Counter({name: _public(n) for name, n in counts.items()})
