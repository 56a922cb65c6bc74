"""``get_model_complexity_info`` of ptflops, with the numbers of both its back ends (``report.count("ptflops")``)."""

from __future__ import annotations

from fxcount.compat.ptflops.flops_counter import FLOPS_BACKEND, get_model_complexity_info
from fxcount.compat.ptflops.utils import flops_to_string, params_to_string

__all__ = ["FLOPS_BACKEND", "flops_to_string", "get_model_complexity_info", "params_to_string"]
