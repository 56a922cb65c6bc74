"""The comparison the project began with: what four other tools got wrong in three nets of one or two convolutions."""

from __future__ import annotations

import pytest
from torch import nn

import fxcount
from benchmarks.founding import Both, Twice, Unused

# One convolution: 9 multiply-accumulates for each of 512*512 results.
ONE = 9 * 512 * 512
NETS = [(Both, 18, 0, 2 * ONE, 2), (Twice, 9, 0, 2 * ONE, 2), (Unused, 18, 9, ONE, 1)]
INPUTS = ["1,512,512", "1,1,512,512", "B,1,512,512", "B,1,H,W", "1,H,W"]


@pytest.mark.parametrize("given", INPUTS)
@pytest.mark.parametrize(("build", "params", "dead", "macs", "convs"), NETS, ids=[n[0].__name__ for n in NETS])
def test_parameters_and_work(build: type[nn.Module], params: int, dead: int, macs: int, convs: int, given: str) -> None:
    report = fxcount.analyze(build(), given)
    assert (report.params.total, report.params.dead, report.params.trainable) == (params, dead, params)
    report = report.at(**{name: {"B": 1, "H": 512, "W": 512}[name] for name in report.symbols})
    assert report.macs == macs
    assert report.flops == 2 * macs
    assert report.memory.activations == convs * 4 * 512 * 512
    # every result is alive beside its operand; the input is held by the caller, the first result by nobody
    assert report.memory.peak == (1 + convs) * 4 * 512 * 512
    assert report.read_bytes == convs * 4 * (512 * 512 + 9)
    assert report.write_bytes == convs * 4 * 512 * 512


def test_the_unused_one_is_named() -> None:
    report = fxcount.analyze(Unused(), "1,512,512")
    (row,) = report.params.rows("dead")
    assert row.name == "conv2.weight"
    assert "conv2 is never called" in row.reason
    assert "conv2.weight" in str(report)


def test_the_shared_one_is_one_parameter_and_two_calls() -> None:
    report = fxcount.analyze(Twice(), "1,512,512")
    (row,) = report.params.rows()
    assert (row.name, row.uses, row.dead) == ("conv1.weight", 2, False)
    calls = [(r.path, r.number, r.cost.macs) for r in report.by_module() if r.path]
    assert calls == [("conv1", 1, ONE), ("conv1", 2, ONE)]
    assert "(call 2)" in str(report)
