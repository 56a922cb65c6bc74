"""The counters and tables of ``fvcore.nn``, with fvcore's numbers (``report.count("fvcore")``).

The model is traced by fxcount and not by ``torch.jit``, so control flow is no obstacle and sizes may be symbols. Handles given
to ``set_op_handle`` get objects with the methods of ``torch._C.Value`` that handles use. ``unsupported_ops`` lists the ops
that do arithmetic fvcore has no handle for; fvcore lists some that do none as well.
"""

from __future__ import annotations

from fxcount.compat.fvcore.activation_count import ActivationCountAnalysis, activation_count
from fxcount.compat.fvcore.flop_count import FlopCountAnalysis, flop_count
from fxcount.compat.fvcore.jit_analysis import JitModelAnalysis
from fxcount.compat.fvcore.parameter_count import parameter_count, parameter_count_table
from fxcount.compat.fvcore.print_model_statistics import flop_count_str, flop_count_table

__all__ = [
    "ActivationCountAnalysis",
    "FlopCountAnalysis",
    "JitModelAnalysis",
    "activation_count",
    "flop_count",
    "flop_count_str",
    "flop_count_table",
    "parameter_count",
    "parameter_count_table",
]
