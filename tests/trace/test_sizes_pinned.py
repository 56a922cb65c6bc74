"""Models that run with plain integers only: their sizes are pinned; models that fail either way fail with their own error."""

from __future__ import annotations

import decimal
import json

import pytest
import torch

import fxcount


class Net(torch.nn.Module):
    def __init__(self, look):
        super().__init__()
        self.look = look
        self.head = torch.nn.Linear(4, 6, bias=False)

    def forward(self, x):
        self.look(x)
        return self.head(x)


def as_json(x):
    assert json.dumps({"size": x.shape[0]}) == f'{{"size": {json.loads(json.dumps(x.shape[0]))}}}'


@pytest.mark.parametrize("look", [as_json, lambda x: decimal.Decimal(x.shape[0])])
def test_what_takes_only_an_exact_int_pins(look):
    report = fxcount.analyze(Net(look), "B,4", hints={"B": 5})
    assert report.at(B=5).macs == 5 * 4 * 6
    assert [str(a) for a in report.assumptions] == ["B == 5 (pinned)"]
    assert "fails with symbolic sizes" in report.assumptions[0].reason
    assert any("pinned" in note for note in report.trace.notes)
    assert fxcount.analyze(Net(look), "7,4").macs == 7 * 4 * 6


def test_the_models_own_error_is_raised():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fxcount.analyze(Net(broken), "B,4")
