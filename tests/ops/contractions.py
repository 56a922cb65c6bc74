"""Torch's own count of the floating-point operations of contractions, from tensors of the case's device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.ops.cases import Case
from tests.ops.harness import SIZES, _map, real


def torch_flops(case: Case, values: Mapping[str, int] = SIZES[2]) -> int:
    """Two per multiply-accumulate, of the ATen products the call comes down to."""
    args, kwargs = (_map(tree, lambda x: real(x, values, case.on)) for tree in (case.args, case.kwargs))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        case.func(*args, **kwargs)
    return int(counter.get_total_flops())
