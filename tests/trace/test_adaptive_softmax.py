"""``nn.AdaptiveLogSoftmaxWithLoss``: rows of each cluster are sizes that data decide, and add up."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fxcount

CUTOFFS = [5, 11, 17]


def layer(**options: bool) -> nn.Module:
    torch.manual_seed(3)
    return nn.AdaptiveLogSoftmaxWithLoss(8, 23, CUTOFFS, div_value=2.0, **options)


def in_each(targets: list[int]) -> list[int]:
    ends = [*CUTOFFS, 23]
    return [sum(low <= t < high for t in targets) for low, high in zip([0, *ends], ends)]


@pytest.mark.parametrize("targets", [[0, 4, 5, 16, 17, 22, 22], [1, 6, 12, 18], [0, 7, 8, 9, 10, 13, 14, 15, 20, 21, 22]])
def test_symbolic_targets_are_those_of_a_run(targets: list[int]) -> None:
    """macs of what a run with these targets multiplies: the head for all rows, each tail for its own."""
    module = layer()
    report = fxcount.analyze(module, "B,8", "i64[B]")
    known = fxcount.analyze(module, torch.randn(len(targets), 8), torch.tensor(targets))
    rows = in_each(targets)
    head, tails = 8 * (5 + 3), [8 * 4 + 4 * 6, 8 * 2 + 2 * 6, 8 * 1 + 1 * 6]
    expected = head * len(targets) + sum(n * tail for n, tail in zip(rows[1:], tails))
    counts = {f"nonzero_{i}": n for i, n in enumerate(rows, 1)}
    assert report.at(B=len(targets), **counts).macs == known.macs == expected
    assert report.at(B=len(targets), **counts).flops == known.flops


def test_rows_add_up() -> None:
    report = fxcount.analyze(layer(), "B,8", "i64[B]")
    assert len(report.unbacked) == 4
    with pytest.raises(fxcount.FxcountError):
        report.at(B=7, nonzero_1=1, nonzero_2=1, nonzero_3=1, nonzero_4=1)


def test_the_graph_is_the_layer() -> None:
    module = layer(head_bias=True)
    report = fxcount.analyze(module, "B,8", "i64[B]")
    x, targets = torch.randn(9, 8), torch.tensor([0, 22, 4, 5, 10, 11, 16, 17, 3])
    found, expected = report.graph_module(x, targets), module(x, targets)
    torch.testing.assert_close(tuple(found), tuple(expected))
