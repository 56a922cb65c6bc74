"""``calculate_flops`` of calflops, with its numbers (``report.count("calflops")`` and ``"calflops-macs"``)."""

from __future__ import annotations

from fxcount.compat.calflops.flops_counter import calculate_flops
from fxcount.compat.calflops.flops_counter_hf import calculate_flops_hf
from fxcount.compat.calflops.utils import flops_to_string, macs_to_string, params_to_string

__all__ = ["calculate_flops", "calculate_flops_hf", "flops_to_string", "macs_to_string", "params_to_string"]
