"""Drop-ins for other tools: existing scripts change one import and get fxcount's numbers.

===============================  =====================================================================================
``fxcount.compat.torchinfo``     ``summary`` (also ``fxcount.summary``)
``fxcount.compat.torchsummary``  ``summary``, ``summary_string``
``fxcount.compat.thop``          ``profile``, ``clever_format``; ``fxcount.compat.ultralytics_thop`` of its successor
``fxcount.compat.fvcore``        ``FlopCountAnalysis``, ``ActivationCountAnalysis``, ``flop_count_table``, ...
``fxcount.compat.ptflops``       ``get_model_complexity_info``
``fxcount.compat.calflops``      ``calculate_flops``, ``calculate_flops_hf``
===============================  =====================================================================================

``docs/peers.md`` says how the tools' own tests go with the import changed. The model never runs and is left as it was found;
a model on ``meta`` allocates nothing.
"""

from __future__ import annotations
