"""Quantised operations of torch.ao: sizes, dtypes, layout and values against torch's own run; macs of integers against the
definition, flops against the scalar formula of the file, written out here."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.ao import quantization as ao
from torch.ao.nn import quantized as nnq
from torch.ao.nn.quantized import dynamic as nnqd

import fxcount
from fxcount.ops.quantise import recurrent

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


class Net(nn.Module):
    """A quantised layer between quantise and dequantise."""

    def __init__(self, layer: Any, does: Callable[..., Any] = lambda layer, x: layer(x)) -> None:
        super().__init__()
        self.layer, self.does = layer, does

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.does(self.layer, torch.quantize_per_tensor(x, 0.1, 3, torch.quint8)).dequantize()


LAYERS: dict[str, tuple[Callable[[], Any], str, dict[str, int], int, int]] = {
    # layer, input, sizes, macs, elements of the result
    "linear": (lambda: nnq.Linear(7, 5), "B,7", {"B": 3}, 3 * 35, 15),
    "linear of three": (lambda: nnq.Linear(7, 5), "B,S,7", {"B": 3, "S": 11}, 33 * 35, 165),
    "linear_relu": (lambda: torch.ao.nn.intrinsic.quantized.LinearReLU(7, 5), "B,7", {"B": 3}, 3 * 35, 15),
    "conv1d": (lambda: nnq.Conv1d(4, 6, 3, stride=2, padding=1), "B,4,L", {"B": 3, "L": 11}, 3 * 6 * 6 * 4 * 3, 3 * 36),
    "conv2d": (lambda: nnq.Conv2d(3, 5, 3, padding=1), "B,3,H,W", {"B": 2, "H": 7, "W": 11}, 2 * 77 * 5 * 27, 2 * 77 * 5),
    "groups": (lambda: nnq.Conv2d(4, 6, (3, 5), (2, 1), groups=2), "B,4,H,W", {"B": 2, "H": 7, "W": 11}, 2 * 21 * 6 * 30, 252),
    "dilated": (lambda: nnq.Conv2d(3, 5, 3, dilation=2), "B,3,H,W", {"B": 2, "H": 7, "W": 11}, 2 * 21 * 5 * 27, 210),
    "conv3d": (lambda: nnq.Conv3d(3, 5, 3), "B,3,T,H,W", {"B": 2, "T": 5, "H": 7, "W": 5}, 2 * 45 * 5 * 81, 450),
    "transposed": (
        lambda: nnq.ConvTranspose2d(3, 5, 3, stride=2, output_padding=1), "B,3,H,W", {"B": 2, "H": 5, "W": 7},
        2 * 35 * 3 * 5 * 9, 2 * 5 * 12 * 16,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    """Quantise 5 an element and 1 division, the layer 5 an element of its result, dequantise 2."""
    make, spec, sizes, macs, n = LAYERS[name]
    net = Net(make())
    x = torch.randn([sizes.get(s, int(s) if s.isdecimal() else 0) for s in spec.split(",")])
    run = net(x)
    assert run.numel() == n
    report = fxcount.analyze(net, spec)
    assert not report.assumptions or all(a.kind != "pin" for a in report.assumptions)
    at = report.at(**sizes)
    assert (at.macs, at.flops) == (macs, 5 * x.numel() + 1 + 5 * n + 2 * n)
    assert list(at.macs_by_dtype) == ["uint8 x int8"]
    assert at.uncounted == ()
    torch.testing.assert_close(report.graph_module(x), run)
    inside = fxcount.analyze(Net(net.layer, lambda layer, q: layer(q).int_repr().flatten(1)), spec)
    assert inside.at(**sizes).memory.outputs == 4 * n  # ``dequantize`` of a layout that ``flatten`` took


def test_the_layout_of_results() -> None:
    for make, spec, sizes, *_ in LAYERS.values():
        layer = make()
        q = torch.quantize_per_tensor(
            torch.randn([sizes.get(s, int(s) if s.isdecimal() else 0) for s in spec.split(",")]), 0.1, 3, torch.quint8
        )
        report = fxcount.analyze(Net(layer, lambda layer, x: layer(x)), ",".join(map(str, q.shape)))
        made = next(c.outputs[0].fact for c in report.trace.calls if c.op.kind)
        assert (made.shape, made.stride(), made.dtype) == (tuple(layer(q).shape), layer(q).stride(), layer(q).dtype)


ELEMENTS: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "add": (lambda f, x: f.add(x, x), 10), "mul": (lambda f, x: f.mul(x, x), 10),
    "add_relu": (lambda f, x: f.add_relu(x, x), 10),
    "add_scalar": (lambda f, x: f.add_scalar(x, 0.5), 8), "mul_scalar": (lambda f, x: f.mul_scalar(x, 0.5), 8),
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTS)
def test_elements(name: str) -> None:
    does, each = ELEMENTS[name]
    net = Net(nnq.QFunctional(), does)
    x = torch.randn(3, 7)
    report = fxcount.analyze(net, "B,7")
    assert report.at(B=3).flops == 21 * (5 + each + 2) + 1
    torch.testing.assert_close(report.graph_module(x), net(x))


def test_joined_pooled_and_averaged() -> None:
    def does(f: Any, x: Any) -> Any:
        y = nn.functional.max_pool2d(f.cat([x, x], 1), 2)
        return nn.functional.adaptive_avg_pool2d(y.relu(), 1).mean((2, 3))

    net = Net(nnq.QFunctional(), does)
    x = torch.randn(2, 3, 8, 8)
    report = fxcount.analyze(net, "B,3,H,W")
    assert report.at(B=2, H=8, W=8).memory.outputs == net(x).nbytes
    torch.testing.assert_close(report.graph_module(x), net(x))


# -- dynamic ------------------------------------------------------------------------------------------------------------
def test_dynamic_linear() -> None:
    """Minimum and maximum of x, scale and zero point 10, quantise 5 an element, the result 2 and its bias 1."""
    net = ao.quantize_dynamic(nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3, bias=False)), {nn.Linear})
    x = torch.randn(11, 7)
    report = fxcount.analyze(net, "B,7")
    at = report.at(B=11)
    assert at.macs_by_dtype == {"uint8 x int8": 11 * 50}
    first, second = 2 * (77 - 1) + 10 + 5 * 77 + 3 * 55, 2 * (55 - 1) + 10 + 5 * 55 + 2 * 33
    assert at.flops == first + 55 + second
    torch.testing.assert_close(report.graph_module(x), net(x))
    held = {b.name: b.nbytes for b in report.params.buffer_rows}
    assert held["0._packed_params._packed_params.weight"] == 35 + 16  # integers, a scale of 8 bytes and a zero point of 8
    assert held["0._packed_params._packed_params.bias"] == 20
    assert {b.state for b in report.params.buffer_rows} == {"read"}
    assert report.params.total == sum(p.numel() for p in net.parameters()) == 0


def _convolution(room: Any, name: str) -> tuple[Any, torch.Tensor, int, int, int]:
    """A layer of 3 channels to 5 with a window of 2, x, elements of x and of the result, macs."""
    dims = int(name[-2])
    kind = "ConvTranspose" if "transpose" in name else "Conv"
    x = torch.randn(2, 3, *(7, 5, 6)[:dims])
    n = getattr(nn, f"{kind}{dims}d")(3, 5, 2)(x).numel()
    macs = (x.numel() * 5 if "transpose" in name else n * 3) * 2**dims
    return getattr(room, f"{kind}{dims}d")(3, 5, 2), x, x.numel(), n, macs


_CONVOLUTIONS = [f"quantized.{kind}{n}d" for kind in ("conv", "conv_transpose") for n in (1, 2, 3)]


@pytest.mark.parametrize("name", [f"{name}_dynamic" for name in _CONVOLUTIONS])
def test_dynamic_convolutions(name: str) -> None:
    layer, x, m, n, macs = _convolution(nnqd, name.removesuffix("_dynamic"))
    report = fxcount.analyze(nn.Sequential(layer), "B,3," + ",".join(map(str, x.shape[2:])))
    at = report.at(B=2)
    assert (at.macs, at.flops) == (macs, 2 * (m - 1) + 10 + 5 * m + 3 * n)
    assert layer(x).numel() == n
    assert [c.op.name for c in report.trace.calls] == [name]


@pytest.mark.parametrize("name", _CONVOLUTIONS)
def test_convolutions_of_all_ranks(name: str) -> None:
    layer, x, m, n, macs = _convolution(nnq, name)
    at = fxcount.analyze(Net(layer), "B,3," + ",".join(map(str, x.shape[2:]))).at(B=2)
    assert (at.macs, at.flops) == (macs, 5 * m + 1 + 5 * n + 2 * n)


def test_a_scale_chosen_as_it_comes() -> None:
    """Minimum and maximum, scale and zero point 10, quantise 5 an element, dequantise 2."""
    net = Net(nn.Identity())
    net.forward = lambda x: torch.quantize_per_tensor_dynamic(x, torch.quint8, False).dequantize()
    assert fxcount.analyze(net, "B,7").at(B=3).flops == 2 * (21 - 1) + 10 + 5 * 21 + 2 * 21


def test_half_precision_weights() -> None:
    net = ao.quantize_dynamic(nn.Sequential(nn.Linear(7, 5)), {nn.Linear}, dtype=torch.float16)
    at = fxcount.analyze(net, "B,7").at(B=11)
    assert at.macs_by_dtype == {"f32 x f16": 11 * 35}
    assert at.flops == 2 * 11 * 35 + 55
    assert at.params.buffer_bytes == 35 * 2 + 20


def test_embeddings() -> None:
    table, bag = nnq.Embedding(10, 8), nnq.EmbeddingBag(10, 8, mode="sum")
    for layer, spec, elements, each in ((table, "i64[B,4]", 4 * 8, 2), (bag, "i64[B,4]", 4 * 8, 3)):
        net = nn.Sequential(layer)
        report = fxcount.analyze(net, spec)
        x = torch.randint(0, 10, (5, 4))
        assert report.at(B=5).flops == 5 * elements * each
        assert report.at(B=5).memory.outputs == net(x).nbytes
        torch.testing.assert_close(report.graph_module(x), net(x))


def test_equal_layers_share_a_signature() -> None:
    net = nn.Sequential(*[nnq.Linear(5, 5) for _ in range(7)])
    report = fxcount.analyze(Net(net), "B,5")
    assert len({id(c.signature) for c in report.trace.calls if c.op.kind == "linear"}) == 1
    assert report.at(B=3).macs == 7 * 75


def test_a_saved_report_keeps_what_is_held() -> None:
    net = ao.quantize_dynamic(nn.Sequential(nn.Linear(7, 5)), {nn.Linear})
    report = fxcount.analyze(net, "B,7")
    again = pickle.loads(pickle.dumps(report))
    assert again.macs_by_dtype == report.macs_by_dtype
    assert again.params.buffer_bytes == report.params.buffer_bytes == 35 + 16 + 20


# -- packed by hand -----------------------------------------------------------------------------------------------------
class FourBits(nn.Module):
    """Two weights in each byte, unpacked by shifts as bitsandbytes-like layers do; a scale for each group of 8."""

    def __init__(self, k: int, n: int) -> None:
        super().__init__()
        self.register_buffer("packed", torch.randint(0, 256, (n, k // 2), dtype=torch.uint8))
        self.register_buffer("scales", torch.ones(n, k // 8, 1, dtype=torch.bfloat16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.stack((self.packed & 0xF, self.packed >> 4), dim=-1).flatten(1)
        weight = (pairs.to(torch.bfloat16) - 8).unflatten(1, (-1, 8)) * self.scales
        return nn.functional.linear(x, weight.flatten(1))


@pytest.mark.skipif(not hasattr(torch.ops.aten, "_dyn_quant_matmul_4bit"), reason="this torch has no such op")
def test_weights_packed_in_bytes() -> None:
    net = FourBits(24, 5)
    x = torch.randn(3, 24, dtype=torch.bfloat16)
    report = fxcount.analyze(net, "bf16[B,24]")
    assert report.at(B=3).macs_by_dtype == {"bf16 x bf16": 3 * 120}  # what is multiplied are floats made of them
    assert report.at(B=3).flops == 2 * 3 * 120 + 120 + 120  # minus 8, times scale
    assert report.params.buffer_bytes == 5 * 12 + 5 * 3 * 2
    torch.testing.assert_close(report.graph_module(x), net(x))


CHOICE = 10  # of scale and zero point: 8 additions and 2 divisions
RECURRENT: dict[str, tuple[Any, dict[str, Any], str, int, int]] = {
    # layer, options, input, gates, scalars inside of a cell for each hidden unit: sums of both products, gates and state
    "lstm": (nn.LSTM, {}, "T,N,7", 4, 4 + 1 + 3 + 5),
    "lstm batch first": (nn.LSTM, {"batch_first": True}, "N,T,7", 4, 13),
    "lstm both ways, two layers": (nn.LSTM, {"num_layers": 2, "bidirectional": True}, "T,N,7", 4, 13),
    "gru": (nn.GRU, {"num_layers": 2}, "T,N,7", 3, 3 + 2 + 2 + 3),
    "lstm cell": (nn.LSTMCell, {}, "N,7", 4, 13),
    "gru cell": (nn.GRUCell, {}, "N,7", 3, 10),
    "tanh cell": (nn.RNNCell, {}, "N,7", 1, 2),
    "relu cell": (nn.RNNCell, {"nonlinearity": "relu"}, "N,7", 1, 2),
}


def around(given: int, made: int) -> int:
    """Scalars around one product: its input's range, scale and values, its result as floats with a bias."""
    return 2 * (given - 1) + CHOICE + 5 * given + 3 * made


@pytest.mark.parametrize("name", RECURRENT)
def test_dynamic_recurrent_layers(name: str) -> None:
    """quantized_lstm, quantized_gru, and the cells: quantized_lstm_cell, quantized_gru_cell, quantized_rnn_tanh_cell,
    quantized_rnn_relu_cell."""
    kind, options, spec, gates, inside = RECURRENT[name]
    hidden, layers, ways = 11, options.get("num_layers", 1), 2 if options.get("bidirectional") else 1
    model = ao.quantize_dynamic(nn.Sequential(kind(7, hidden, **options)), {kind})
    report = fxcount.analyze(model, spec)
    n = 3
    for t in (5, 13) if "T" in spec else (1,):
        at = report.at(**({"N": n, "T": t} if "T" in spec else {"N": n}))
        widths = [7 if layer == 0 else ways * hidden for layer in range(layers) for _ in range(ways)]
        assert at.macs == sum(t * n * gates * hidden * (w + hidden) for w in widths)
        assert at.macs_by_dtype == {"uint8 x int8": at.macs}
        made = n * gates * hidden
        other = sum(around(t * n * w, t * made) + t * around(n * hidden, made) for w in widths)
        assert at.flops == other + len(widths) * t * n * hidden * inside
    x = torch.randn([{"N": n, "T": 5}.get(s, 7) for s in spec.split(",")])
    found, expected = report.graph_module(x), model(x)
    torch.testing.assert_close(found, expected)
    weights = sum(gates * hidden * (w + hidden) for w in widths)
    rows = report.params.buffer_rows
    # of each of the two products: a byte for each weight, 16 for scale and zero point, biases as floats
    assert sum(b.nbytes for b in rows) == weights + len(widths) * 2 * (16 + 4 * gates * hidden)


def test_observed_models() -> None:
    """A model prepared for calibration: its own work, whatever the observers see."""
    model = nn.Sequential(ao.QuantStub(), nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), ao.DeQuantStub()).eval()
    model.qconfig = ao.get_default_qconfig("x86")  # type: ignore[assignment]
    report = fxcount.analyze(ao.prepare(model), "B,3,H,W")
    assert report.at(B=2, H=11, W=13).macs == 2 * 9 * 11 * 4 * 27
    assert any("HistogramObserver" in note for note in report.trace.notes)
    assert {str(a) for a in report.assumptions} == {"H >= 3", "W >= 3"}


def test_recurrent_ops_are_all_compared() -> None:
    """By the layers above, each against torch's own run."""
    from tests.ops.test_every_op import ELSEWHERE  # which imports this file

    assert {entry.name for entry in recurrent.OPS} == set(ELSEWHERE["test_packed.test_dynamic_recurrent_layers"].split())
