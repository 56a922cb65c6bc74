"""Functions that torch's C++ takes apart otherwise for a stand-in, or wants numbers for, one call each.

A real step at two sizes that are not the hints says what is alive at most and what is saved, torch's counter the FLOPs, and no
size is pinned that the forward keeps. ``python -m benchmarks.training --family functions`` has some four hundred."""

from __future__ import annotations

import pytest

from benchmarks.steps.functions import FUNCTIONS, compared
from fxcount.torch_private import VERSION

SAMPLE = (
    # composites that formulas of derivatives call
    "torch.nan_to_num", "torch.trace", "linalg.slogdet", "linalg.matrix_exp",
    # written in place, or not
    "torch.aminmax dim", "F.binary_cross_entropy both", "F.bce_with_logits both", "F.bce_with_logits pos both",
    "F.bce_with_logits weight pos",
    # memory that a result keeps
    "F.fold", "F.unfold",
    # C++ wants numbers
    "torch.quantile", "torch.quantile dim", "torch.quantile kept", "torch.quantile several", "torch.quantile nearest",
    "torch.quantile midpoint", "torch.nanquantile dim", "torch.nanquantile several", "torch.cov", "torch.corrcoef",
    "torch.gradient", "torch.take_along_dim", "torch.take_along_dim broadcast", "torch.multi_dot 2", "torch.multi_dot 4",
    "torch.multi_dot vectors", "linalg.multi_dot", "torch.kron", "F.affine_grid", "F.affine_grid 3d", "torch.stft",
    "torch.stft hop", "torch.stft uncentred", "torch.stft 1d", "torch.stft short window", "torch.stft real",
)  # fmt: skip


@pytest.mark.skipif(VERSION < (2, 13), reason="the table is held to one torch; older ones take some of them apart otherwise")
@pytest.mark.parametrize("name", SAMPLE)
def test_a_step_holds_what_a_real_one_holds(name: str) -> None:
    assert {key: pair for key, pair in compared(FUNCTIONS[name]).items() if pair[0] != pair[1]} == {}


@pytest.mark.skipif(VERSION < (2, 13), reason="as above")
@pytest.mark.parametrize("name", ["torch.istft", "torch.istft length", "vocoder"])
def test_a_transform_back_is_plain_eagers(name: str) -> None:
    """A tracker sees one byte more: of a check."""
    found = compared(FUNCTIONS[name])
    assert {key: found[key][0] - found[key][1] for key in ("pinned", "peak", "saved", "backward_flops")} == dict.fromkeys(
        ("pinned", "peak", "saved", "backward_flops"), 0
    )
