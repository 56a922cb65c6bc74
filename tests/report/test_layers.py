"""Layers and the roofline: sizes by hand, estimates against the definition of the model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fxcount
from fxcount.report.data.layers import layers
from fxcount.report.data.roofline import A100, Machine
from tests.zoo import analysed

# one operation a second, a thousand bytes a second; half precision four times as fast
SLOW = Machine("slow", 1000.0, {torch.float32: 1.0, torch.float16: 4.0})


def test_a_layer_of_each_kind() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, (3, 1)), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(45, 7, bias=False))
    found = {layer.path: layer for layer in layers(fxcount.analyze(model, "2,3,8,7"))}
    assert [layer.class_name for layer in found.values()] == ["Sequential", "Conv2d", "MaxPool2d", "Flatten", "Linear"]
    assert {path: layer.kernel_size for path, layer in found.items()} == {"": (), "0": (3, 1), "1": (2, 2), "2": (), "3": ()}
    assert (found["0"].inputs[0].shape, found["0"].outputs[0].shape) == ((2, 3, 8, 7), (2, 5, 6, 7))
    results = 2 * 5 * 6 * 7
    conv, linear = found["0"].total, found["3"].total
    assert (conv.macs, conv.bias_adds, conv.sums) == (9 * results, results, results)
    assert conv.madds == results * (9 + 8 + 1)  # 9 products, their 8 sums and the bias
    assert (linear.macs, linear.bias_adds, linear.madds) == (2 * 45 * 7, 0, 2 * 7 * (45 + 44))
    assert found[""].total.macs == conv.macs + linear.macs
    assert found[""].own.macs == 0


def test_a_recurrent_layer_applies_its_biases_where_its_weights_are() -> None:
    (layer,) = layers(fxcount.analyze(nn.LSTM(5, 7, batch_first=True), "B,S,5"))
    positions = fxcount.analyze(nn.Identity(), "B,S").trace.inputs[0].fact.numel
    assert layer.total.bias_adds == 2 * 4 * 7 * positions


def test_estimates_are_the_longer_of_arithmetic_and_traffic() -> None:
    model = nn.Sequential(nn.Linear(500, 3, bias=False), nn.ReLU())
    linear, relu = layers(fxcount.analyze(model, "1,500"), SLOW)[1:]
    assert linear.total.seconds == pytest.approx(2 * 1500)  # 3000 operations against 8 kB
    assert relu.total.seconds == pytest.approx(3)  # 3 operations against 24 bytes
    half = layers(fxcount.analyze(model.half(), "1,500"), SLOW)[1]
    assert half.total.seconds == pytest.approx(2 * 1500 / 4)
    copy = layers(fxcount.analyze(nn.Sequential(nn.ReLU()), "1,4000"), Machine("", 1.0, {torch.float32: 1e9}))[1]
    assert copy.total.seconds == pytest.approx(2 * 4 * 4000)


@pytest.mark.parametrize("name", ["resnet50", "swin_t", "bert"])
def test_own_work_adds_up(name: str) -> None:
    report = analysed(name)
    found = layers(report, A100)
    assert sum(layer.own.seconds for layer in found) == pytest.approx(found[0].total.seconds)
    at = {**report.symbols, "B": 5}
    numbers = report.at(**at)
    total = found[0].total.cost
    assert [numbers.size(sum(getattr(layer.own.cost, q) for layer in found)) for q in ("macs", "flops", "read_bytes")] == [
        numbers.size(getattr(total, q)) for q in ("macs", "flops", "read_bytes")
    ]
    assert numbers.size(total.macs) == numbers.macs


def test_pooling_of_regions_has_no_kernel() -> None:
    class Regions(nn.Module):
        def forward(self, x: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
            pooled: torch.Tensor = torch.ops.torchvision.roi_pool(x, boxes, 1.0, 3, 3)[0]
            return pooled

    (layer,) = layers(fxcount.analyze(Regions(), "2,5,11,13", "7,5"))
    assert layer.kernel_size == ()
