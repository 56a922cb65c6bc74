"""Layers and activations of torch.ao on quantised tensors: results against plain runs, work against the float layer between a
dequantisation (2 an element) and a quantisation (5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import ShapeError
from fxcount.ops.quantise import layers
from fxcount.torch_private import VERSION
from tests.ops.harness import T, rule_result, work

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated.*"),
    pytest.mark.filterwarnings("ignore:.*TypedStorage.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*quantized tensor creation functions.*:UserWarning"),
]
Q = torch.ops.quantized
N, C, H, W = 2, 6, 5, 7
n = N * C * H * W

# what is called, and the flops beside n dequantised and n quantised elements, by hand
CASES: dict[str, tuple[Callable[..., Any], int]] = {
    "quantized.hardswish": (lambda net, q: Q.hardswish(q, 0.1, 3), 5 * n),  # x * min(max(x + 3, 0), 6) / 6
    "quantized.leaky_relu": (lambda net, q: Q.leaky_relu(q, 0.1, False, 0.1, 3), 2 * n),  # a comparison, a product
    "quantized.prelu": (lambda net, q: Q.prelu(q, net.slope_q, 0.1, 3), 2 * n),
    "quantized.elu": (lambda net, q: Q.elu(q, 0.1, 3, 1.5, 1.0, 1.0), 5 * n),  # a comparison, expm1, three factors
    "quantized.celu": (lambda net, q: Q.celu(q, 0.1, 3, 1.5), 4 * n),  # a comparison, a division, expm1, a factor
    "quantized.sigmoid": (lambda net, q: Q.sigmoid(q, 0.1, 3), n),
    "quantized.softmax": (lambda net, q: Q.softmax(q, 1, 0.1, 3), 5 * n - 2 * n // C),  # n - r maxima and additions, 3 n more
    # a product and an addition; of each channel sqrt(var + eps), w / that, b - mean * that
    "quantized.batch_norm2d": (lambda net, q: Q.batch_norm2d(q, net.w, net.b, net.m, net.v, 1e-5, 0.1, 3), 2 * n + 6 * C),
    "quantized.batch_norm2d_relu": (
        lambda net, q: Q.batch_norm2d_relu(q, net.w, net.b, net.m, net.v, 1e-5, 0.1, 3), 2 * n + 6 * C
    ),
    # mean and variance of each of r groups, as with floats: 5 n + 3 r, and n for each of weight and bias
    "quantized.layer_norm": (lambda net, q: Q.layer_norm(q, [W], net.lw, net.lb, 1e-5, 0.1, 3), 7 * n + 3 * N * C * H),
    "quantized.group_norm": (lambda net, q: Q.group_norm(q, 3, net.w, net.b, 1e-5, 0.1, 3), 7 * n + 3 * N * 3),
    "quantized.instance_norm": (lambda net, q: Q.instance_norm(q, net.w, net.b, 1e-5, 0.1, 3), 7 * n + 3 * N * C),
}  # fmt: skip
LIMITS: dict[str, Callable[..., Any]] = {
    "quantized.threshold": lambda net, q: Q.threshold(q, 0.2, 0.3),
    "quantized.clamp": lambda net, q: Q.clamp(q, 0.1, 0.5),
    "quantized.relu6": lambda net, q: Q.relu6(q),
    "quantized.dropout": lambda net, q: Q.dropout(q, 0.1, 3),
}


class Net(nn.Module):
    def __init__(self, does: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.does = does
        for name, size in (("w", C), ("b", C), ("m", C), ("v", C), ("lw", W), ("lb", W)):
            self.register_buffer(name, torch.rand(size) + 0.5)
        self.slope = torch.rand(C) * 0.2

    @property
    def slope_q(self) -> torch.Tensor:
        return torch.quantize_per_tensor(self.slope, 0.01, 0, torch.quint8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = torch.quantize_per_tensor(x, 0.05, 100, torch.quint8)
        result: torch.Tensor = self.does(self, q).dequantize()
        return result


def _counted(does: Callable[..., Any]) -> tuple[int, torch.Tensor, torch.Tensor]:
    """flops of the layer alone, the graph's result and the model's."""
    net, x = Net(does), torch.randn(N, C, H, W)
    report = fxcount.analyze(net, "B,6,H,7")
    assert report.uncounted == ()
    others = 5 * n + 1 + 2 * n  # quantised before, dequantised after
    if "slope_q" in does.__code__.co_names:
        others += 5 * C + 1
    return int(report.at(B=N, H=H).flops) - others, report.graph_module(x), net(x)


@pytest.mark.parametrize("name", CASES)
def test_a_layer(name: str) -> None:
    does, between = CASES[name]
    flops, found, expected = _counted(does)
    assert flops == 7 * n + between
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_compared_as_integers(name: str) -> None:
    flops, found, expected = _counted(LIMITS[name])
    assert flops == 0
    torch.testing.assert_close(found, expected)


def test_a_product_of_two() -> None:
    """macs of integers; the result scaled anew, 5 an element."""
    net = Net(lambda net, q: Q.matmul(q, q.transpose(2, 3), 0.5, 100))
    report = fxcount.analyze(net, "B,6,H,7")
    assert str(report.macs) == "42*B*H**2"
    products = N * C * H * H
    assert report.at(B=N, H=H).flops == 5 * n + 1 + 5 * products + 2 * products
    x = torch.randn(N, C, H, W)
    torch.testing.assert_close(report.graph_module(x), net(x))


def test_every_op_has_a_case() -> None:
    listed = {name for entry in layers.OPS for name in entry.names}
    same = {f"quantized.batch_norm{d}{relu}" for d in ("", "1d", "3d") for relu in ("", "_relu")}
    assert listed == {*CASES, *LIMITS, *same, "quantized.matmul"}


def test_channels_that_do_not_fit() -> None:
    q = torch.quint8
    with pytest.raises(ShapeError, match="batch_norm"):
        rule_result(Q.batch_norm2d, T("B,6,H,W", q), T("5"), T("5"), T("5"), T("5"), 1e-5, 0.1, 3)
    with pytest.raises(ShapeError, match="groups"):
        rule_result(Q.group_norm, T("B,6,H,W", q), 4, None, None, 1e-5, 0.1, 3)


# -- weights of four bits -------------------------------------------------------------------------------------------------
aten, I32, U8 = torch.ops.aten, torch.int32, torch.uint8


@pytest.mark.skipif(not hasattr(torch.ops.aten, "_dyn_quant_pack_4bit_weight"), reason="this torch has no such op")
def test_weights_of_four_bits_are_packed() -> None:
    weight = torch.randint(0, 15, (32, 64), dtype=I32)
    found, _ = rule_result(aten._convert_weight_to_int4pack_for_cpu.default, T("32,64", I32), 8)
    assert (found.shape, found.dtype) == ((32, 32), U8)
    assert aten._convert_weight_to_int4pack_for_cpu(weight, 8).shape == found.shape
    tiles, _ = rule_result(aten._convert_weight_to_int4pack.default, T("24,64", U8), 2)
    assert tiles.shape == aten._convert_weight_to_int4pack(torch.empty(24, 64, dtype=U8, device="meta"), 2).shape
    biased = VERSION >= (2, 10)  # before, torch's meta takes a bias and has no room for it, while its kernel refuses it
    bias = T("32") if biased else None
    row, _ = rule_result(aten._dyn_quant_pack_4bit_weight.default, T("32,24", U8), T("32,1"), bias, 48, 48, 32)
    with torch.device("meta"):
        given = torch.zeros(32, 24, dtype=U8), torch.zeros(32, 1), torch.zeros(32) if biased else None
    packed = aten._dyn_quant_pack_4bit_weight(*given, 48, 48, 32)
    assert (row.shape, row.dtype) == (packed.shape, packed.dtype)


@pytest.mark.skipif(not hasattr(torch.ops.aten, "_dyn_quant_matmul_4bit"), reason="this torch has no such op")
def test_a_product_with_them() -> None:
    """M rows of K inputs and N outputs, in blocks of 16: per row minimum and maximum of K, 10 for scale and zero point, 5 to
    quantise an element; per result a scale for each block, and the sum over blocks."""
    m, k, outputs, block = 3, 48, 32, 16
    found = work(aten._dyn_quant_matmul_4bit.default, T("B,48"), T("816"), block, k, outputs, values={"B": m})
    assert found["macs"] == m * k * outputs
    blocks = k // block
    assert found["flops"] == m * (2 * (k - 1) + 10 + 5 * k) + m * outputs * (2 * blocks - 1)
    y, _ = rule_result(aten._dyn_quant_matmul_4bit.default, T("B,48"), T("816"), block, k, outputs)
    assert [str(s) for s in y.shape] == ["B", "32"]
