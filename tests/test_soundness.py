"""A sample of the nets of benchmarks/soundness.py: no formula is silently wrong, and the comparison would notice one."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

import fxcount
from benchmarks import soundness
from benchmarks.soundness import OBSERVERS, Net, compared, differences, survey, written


@pytest.mark.parametrize("seed", [11, 12])
def test_a_sample_of_nets(seed):
    found = []
    count = survey(range(13), seed=seed, sizes=6, say=found.append)
    assert found == []
    assert count["different"] == 0
    assert count["sizes admitted"] > 20


@pytest.mark.parametrize("start", range(6))
def test_a_sample_of_written_nets(start):
    """Every 120th of them, at few sizes; in whole they are run by the benchmark."""
    found = []
    count = compared(islice(written(seed=5, sizes=4), start, None, 120), say=found.append)
    assert found == []
    assert count["different"] == 0
    assert count["sizes admitted"] >= count["nets"] // 2 > 5


def test_a_wrong_formula_is_noticed(monkeypatch):
    """A size that lies: the branch taken at the hint is not assumed."""
    source = "n = H\nv = len(str(n))\nreturn s.wide(x) if v == 2 else s.narrow(x)"
    count = dict.fromkeys(("sizes admitted", "sizes refused"), 0)
    hints = {"B": 1, "H": 64, "W": 7}
    assert list(differences(source, hints, [(1, 7, 7), (1, 63, 7)], count)) == []
    assert count == {"sizes admitted": 1, "sizes refused": 2}
    monkeypatch.setattr("fxcount.symbolic.symint.in_message", lambda frame: True)  # no text pins
    (wrong,) = differences(source, hints, [(1, 7, 7), (1, 63, 7)], count)
    assert wrong.sizes == (1, 7, 7)
    assert wrong.formula != wrong.fresh
    assert wrong.torch[0] == 2 * 16 * 49


def test_every_observer_looks_at_something():
    """Each is an expression of the size; with plain numbers it gives a number or a bool."""
    assert len(OBSERVERS) > 110
    for observer in OBSERVERS:
        net = Net(f"n = H\nreturn {observer}")
        value = net.run(net, torch.empty(2, 4, 64, 3, device="meta"))
        assert isinstance(value, (int, float)) or hasattr(value, "item"), observer


def test_soundness_is_measured_on_one_piece():
    assert soundness._OWN_PIECE == {"extend": False}
    assert fxcount.Report.at.__doc__
