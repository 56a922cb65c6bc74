"""What can be limited, by name: read by the command line and by files before anything heavy loads."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["QUANTITIES", "STEP"]

QUANTITIES: Mapping[str, str] = MappingProxyType({
    "params": "unique parameters", "trainable": "trainable parameters", "param_bytes": "bytes of the parameters",
    "macs": "multiply-accumulates", "flops": "floating-point operations", "transcendentals": "exp, log, tanh and the like",
    "read_bytes": "bytes read", "write_bytes": "bytes written", "activation_bytes": "bytes of all results",
    "peak": "largest number of bytes alive at one moment of inference, parameters and buffers not counted",
    "memory": "the same with parameters and buffers",
    "train_flops": "FLOPs of forward and backward of a training step",
    "train_peak": "largest number of bytes alive in forward and backward, gradients included, parameters not",
    "train_memory": "largest number of bytes alive in a training step, everything included",
})  # fmt: skip
"""What can be limited."""

STEP = frozenset({"train_flops", "train_peak", "train_memory"})
"""Those of a training step."""
