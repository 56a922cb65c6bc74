"""Tracing: from an ``nn.Module`` and input specifications to a :class:`~fxcount.trace.tape.Trace`."""

from __future__ import annotations

from fxcount.trace.run import trace_model
from fxcount.trace.tape import Call, ModuleCall, Signature, Trace, Value

__all__ = ["Call", "ModuleCall", "Signature", "Trace", "Value", "trace_model"]
