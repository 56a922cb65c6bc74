"""Why a parameter is dead: the first link that is missing between it and a gradient from the outputs.

Dead is what has no effect on the outputs, and what asks for a gradient and gets none. Each cause is stated with the
module or call where the link is missing, and its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal

from fxcount.dataclass import dataclass
from fxcount.passes.gradients import SHAPE, Path, Reach
from fxcount.passes.uses import Use, upwards, uses_of
from fxcount.trace.tape import Call, Declared, Trace
from fxcount.trace.tracer.ledger import SIZE_QUERIES

__all__ = ["Cause", "Death", "Liveness"]

Cause = Literal["module never called", "never used", "no path to an output", "shape only", "no gradient", "shadowed"]

_ORIGINAL = re.compile(r"(.*\.)?parametrizations\.(\w+)\.original\d*$")


@dataclass(frozen=True, slots=True)
class Death:
    """``cause``: the kind; ``reason``: the sentence, with the module or op and its line."""

    cause: Cause
    reason: str


class Liveness:
    """Finds the cause for parameters and buffers of one trace."""

    def __init__(self, trace: Trace, reached: Reach) -> None:
        self.trace = trace
        self.reached = reached

    @cached_property
    def uses(self) -> Mapping[str, Sequence[Use]]:
        """The uses of each parameter and buffer, by its first name: only where some get no gradient, or to be told."""
        return uses_of(self.trace)

    @cached_property
    def called(self) -> set[str]:
        """Paths of the modules that are called."""
        return {m.path for m in self.trace.modules}

    @cached_property
    def alive(self) -> set[str]:
        """These, and what contains them: a list of modules is never called itself."""
        return {ancestor for path in self.called for ancestor in upwards(path)}

    def death_of(self, d: Declared) -> Death | None:
        """Why it is dead; ``None`` if it is not. A model that gives no gradient at all is judged by its data, and a trace that
        was not done to its end says nothing of it."""
        name = d.names[0]
        if self.trace.ended or name in self.reached.gradient:
            return None
        used_by = self.uses.get(name)
        if not used_by:
            return self._unused(d)
        if d.kind == "buffer" and self.reached.feeds_gradient(name, used_by[0].call):
            return None
        path = self.reached.paths.get(name)
        if path is None:
            last = f"last used by {used_by[-1]}"
            return Death("no path to an output", f"what is computed from it does not reach an output; {last}")
        if path.level == SHAPE:
            return Death("shape only", f"it reaches the outputs only as a shape: {self._at(path.stop, 'asks it for no more')}")
        if d.requires_grad and self.reached.gradient:
            return Death("no gradient", f"it reaches the outputs without a gradient: {self._stop(path)}")
        return None

    def _unused(self, d: Declared) -> Death:
        owners = [n.rpartition(".")[0] for n in d.names]
        called = [o for o in owners if o in self.called]
        if d.shadowed_by:
            return Death("shadowed", f"shadowed by the plain attribute {d.shadowed_by}, which is computed with in its place")
        original = _ORIGINAL.match(d.names[0]) if "parametrizations." in d.names[0] else None
        if original and (original[1] or "").rstrip(".") in self.called:
            derived = f"{original[1] or ''}{original[2]}"
            return Death("shadowed", f"shadowed: {derived} is not computed from it by its parametrization")
        query = self.trace.queries.get(d.names[0])
        if query is not None and (query[0] in SIZE_QUERIES or called):
            place = f" at {query[1]}" if query[1] else ""
            return Death("shape only", f"only its {query[0].strip('_')} is read{place}; no op uses it")
        if called:
            return Death("never used", f"module {called[0] or self.trace.model_name} is called, but no op uses it")
        return Death("module never called", self._never_called(owners))

    def _never_called(self, owners: Iterable[str]) -> str:
        """Name the outermost module on the way to it of which nothing is called."""
        outermost = sorted({self._outermost(owner) for owner in owners})
        return f"module {outermost[0] or self.trace.model_name} is never called" + (
            f" (nor {', '.join(outermost[1:])})" if outermost[1:] else ""
        )

    def _outermost(self, path: str) -> str:
        dead = [p for p in upwards(path) if p not in self.alive]
        return dead[-1] if dead else path

    def _stop(self, path: Path) -> str:
        call = path.stop
        if call is None:
            return "a write that autograd does not see brings it there"
        for f in self.trace.custom_functions:
            if f.start <= call.index < f.stop:
                within = "a reentrant checkpoint" if f.name == "checkpoint" else f.name
                why = "whose backward gives it none" if f.inputs else "no input of which asks for one"
                return self._at(call, f"runs in {within}, {why},")
        return self._at(call, "passes none on" if call.grad_enabled else "runs under no_grad")

    def _at(self, call: Call | None, does: str) -> str:
        """``detach in blocks.0 passes none on at net.py:17``"""
        if call is None:
            return f"an op {does}"
        module = self.trace.modules[call.module].path if call.module >= 0 else ""
        return f"{call.op.name}{f' in {module}' if module else ''} {does}{f' at {call.source}' if call.source else ''}"
