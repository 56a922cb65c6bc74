"""What the trace knows of each call: where it is, what it made, on which storage; and what may be given as an input."""

from __future__ import annotations

import dataclasses
import pickle
from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.passes import cost, memory, parameters
from fxcount.symbolic import evaluate
from fxcount.trace import Call, trace_model
from fxcount.trace.tape import Source


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        return y.tanh()


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Inner()
        self.blocks = nn.ModuleList([self.first, Inner()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.first(x).exp()


def calls_of(model: nn.Module, *args: Any, **kwargs: Any) -> list[Call]:
    return fxcount.analyze(model, *args, **kwargs).trace.calls


def test_module_path_and_call_number() -> None:
    """A module under two names goes by the first; its second call is number 2."""
    trace = fxcount.analyze(Outer(), "B,5").trace
    places = [(c.op.name, trace.modules[c.module].path, trace.modules[c.module].number) for c in trace.calls]
    assert places == [
        ("linear", "first.linear", 1), ("tanh", "first", 1), ("linear", "blocks.1.linear", 1), ("tanh", "blocks.1", 1),
        ("linear", "first.linear", 2), ("tanh", "first", 2), ("exp", "", 1),
    ]  # fmt: skip


def test_module_calls_nest() -> None:
    trace = fxcount.analyze(Outer(), "B,5").trace
    for index, m in enumerate(trace.modules):
        assert m.index == index
        assert 0 <= m.start <= m.stop <= len(trace.calls)
        if m.parent >= 0:
            parent = trace.modules[m.parent]
            assert (m.depth, parent.start <= m.start, m.stop <= parent.stop) == (parent.depth + 1, True, True)
    inner = trace.modules[1]
    assert [str(f.shape) for f in (*inner.inputs, *inner.outputs)] == ["(B, 5)", "(B, 5)"]


def test_source_lines_are_those_of_the_model() -> None:
    """Ops of a torch module have the line of the user that called it; lines of the innermost user frame otherwise."""
    inner, outer = Inner.forward.__code__.co_firstlineno, Outer.forward.__code__.co_firstlineno
    places = [(str(c.source).rpartition(":")) for c in calls_of(Outer(), "B,5")]
    assert {file for file, _, _ in places} == {__file__}
    assert [int(line) for _, _, line in places] == [inner + 1, inner + 2] * 3 + [outer + 3]


def test_lines_of_statements_that_span_several() -> None:
    class Spread(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.add(
                x.sin(),
                x.cos(),
            )

    start = Spread.forward.__code__.co_firstlineno
    lines = {c.op.name: int(str(c.source).rpartition(":")[2]) for c in calls_of(Spread(), "B,5")}
    assert lines == {"sin": start + 2, "cos": start + 3, "add": start + 1}


def test_views_and_in_place_ops_share_a_storage() -> None:
    class Views(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            copy = x.clone()
            row = copy[:, 1]
            row.add_(1)
            flat = copy.reshape(-1)
            other = copy.mT.reshape(-1)  # a copy: the transpose is not dense
            copy[:, 0] = 3
            same = copy.to(copy.dtype)
            wide = copy[:, None].expand(-1, 7, -1, -1)
            parts = copy.split(2, dim=1)
            return x, copy, row, flat, other, same, wide, *parts

    trace = fxcount.analyze(Views(), "B,4,5").trace
    x, copy, *others = [v.storage for v in trace.values_out()]
    row, flat, other, same, wide, *parts = others
    assert row == flat == same == wide == copy
    assert set(parts) == {copy}
    assert len({x, copy, other}) == 3
    written = [c for c in trace.calls if c.mutated]
    assert [c.mutated for c in written] == [(copy,)] * 2
    assert [s.origin for s in trace.storages] == ["input", "op", "op"]


def test_storage_bytes_are_those_of_the_memory_not_of_the_view() -> None:
    class Slices(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 2)[:, :1]

    memory = fxcount.analyze(Slices(), "B,97").memory
    assert str(memory.activations) == "388*B"


class Net(nn.Module):
    """Convolution, normalisations, attention written out, a linear layer: what autocast treats differently."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.group = nn.GroupNorm(2, 8)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        y = self.conv(x)
        t = self.group(y).flatten(2).mT
        n = self.norm(t)
        q, k, v = self.qkv(n).chunk(3, -1)
        scores = q @ k.mT / 8**0.5
        weights = scores.softmax(-1)
        mixed = torch.bmm(weights, v)
        out = self.out(mixed + t)
        return [y, t, n, q, scores, weights, mixed, out, out.exp(), out.sum(), torch.cat([out, out.float()])]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_as_a_real_run_does_it(dtype: torch.dtype) -> None:
    """Dtypes, multiply-accumulates and memory of the results, against torch on the CPU."""
    model, x = Net().eval(), torch.randn(2, 3, 5, 7)
    with torch.autocast("cpu", dtype), torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            real = model(x)
        report = fxcount.analyze(model, "B,3,H,W")
    values = {"B": 2, "H": 5, "W": 7}
    assert [v.fact.dtype for v in report.trace.values_out()] == [t.dtype for t in real]
    assert 2 * report.at(**values).macs == counter.get_total_flops()
    for value, tensor in zip(report.trace.values_out(), real, strict=True):
        assert evaluate(value.fact.nbytes, values) == tensor.nbytes


def test_autocast_inside_a_model_is_seen() -> None:
    class Casts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 7)

        def forward(self, x: torch.Tensor) -> Any:
            with torch.autocast("cpu", torch.bfloat16):
                y = self.linear(x)
                with torch.autocast("cpu", enabled=False):
                    z = self.linear(x)
            return y, z, self.linear(x)

    assert [v.fact.dtype for v in fxcount.analyze(Casts(), "B,5").trace.values_out()] == [
        torch.bfloat16, torch.float32, torch.float32,
    ]  # fmt: skip


@pytest.mark.parametrize("training", [False, True])
def test_modes(training: bool) -> None:
    """Dropout works only in training: its multiplications and its mask's bytes are there, or are not."""
    model = nn.Sequential(nn.Linear(5, 7), nn.Dropout(0.3)).train(training)
    report = fxcount.analyze(model, "B,5").at(B=3)
    linear = fxcount.analyze(model[0], "B,5").at(B=3)
    assert (report.flops > linear.flops) == training
    assert report.macs == linear.macs


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.float32])
def test_inputs_take_the_models_dtype_and_device(dtype: torch.dtype) -> None:
    with torch.device("meta"):
        model = nn.Linear(5, 7).to(dtype)
    report = fxcount.analyze(model, "B,5")
    (given,) = report.trace.inputs
    assert (given.fact.dtype, given.fact.device.type) == (dtype, "meta")
    assert report.at(B=3).read_bytes == dtype.itemsize * (3 * 5 + 35 + 7)


def test_integer_work_is_no_floating_point_work() -> None:
    class Integers(nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return (ids * 2 + 1).cumsum(-1).clamp(0, 7) // 3

    report = fxcount.analyze(Integers(), "i64[B,S]")
    assert (report.macs, report.flops) == (0, 0)
    assert report.at(B=3, S=5).memory.outputs == 8 * 15


Pair = namedtuple("Pair", ["left", "right"])


class Nested(nn.Module):
    """Takes tensors out of every container and plain values beside them."""

    def forward(self, batch: Any, *, scale: float = 1.0, mode: str = "plain", extra: Any = None) -> Any:
        total = sum(t.sum() for t in tree_leaves(batch) if isinstance(t, torch.Tensor)) * scale
        if mode != "plain":
            total = total + 1
        return {"total": total, "extra": [extra, (extra,)]}


NESTED: list[tuple[Any, dict[str, Any], list[str], list[tuple[Any, ...]]]] = [
    ("B,5", {}, ["batch"], [("B", 5)]),
    (("B", 3, 5), {}, ["batch"], [("B", 3, 5)]),
    ([7, 3, 5], {}, ["batch"], [(7, 3, 5)]),
    (["B,5", "C,5"], {}, ["batch[0]", "batch[1]"], [("B", 5), ("C", 5)]),
    ({"a": "B,5", "b": ["i64[B]", "b8[3]"]}, {}, ["batch['a']", "batch['b'][0]", "batch['b'][1]"], [("B", 5), ("B",), (3,)]),
    (Pair("B,5", ("B", 3)), {}, ["batch.left", "batch.right"], [("B", 5), ("B", 3)]),
    ("f32[2*h,3,h*h]", {"scale": 0.5, "mode": "other"}, ["batch"], [("2*h", 3, "h**2")]),
    ("B,5", {"extra": "bf16[B,7]"}, ["batch", "extra"], [("B", 5), ("B", 7)]),
    (torch.zeros(3, 5), {"extra": None}, ["batch"], [(3, 5)]),
    ([torch.zeros(3, device="meta"), "B,5", 2.5, None], {}, ["batch[0]", "batch[1]"], [(3,), ("B", 5)]),
    ("f32[]", {}, ["batch"], [()]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "named", "names", "shapes"), NESTED)
def test_inputs_of_every_kind(given: Any, named: dict[str, Any], names: list[str], shapes: list[tuple[Any, ...]]) -> None:
    trace = fxcount.analyze(Nested(), given, **named).trace
    assert [tuple(s if isinstance(s, int) else str(s) for s in v.fact.shape) for v in trace.inputs] == shapes
    assert [v.name for v in trace.inputs] == names


def test_plain_values_reach_the_model_as_they_are() -> None:
    marker = object()
    seen: list[Any] = []

    class Sees(nn.Module):
        def forward(self, x: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
            seen.extend([*rest, *named.values()])
            return x

    fxcount.analyze(Sees(), "B,5", 3, "text", None, flag=True, thing=marker, dtype=torch.float16)
    assert seen == [3, "text", None, True, marker, torch.float16]


def test_a_tensor_gives_shape_dtype_device_and_layout() -> None:
    x = torch.zeros(2, 3, 5, 7, dtype=torch.float64).to(memory_format=torch.channels_last)
    (given,) = fxcount.analyze(nn.Identity(), x).trace.inputs
    assert (given.fact.shape, given.fact.dtype, given.fact.device.type) == ((2, 3, 5, 7), torch.float64, "cpu")
    assert tuple(given.fact.stride()) == x.stride()


def test_default_hints_are_the_documented_ones() -> None:
    class Reads(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x

    symbols = fxcount.analyze(Reads(), "B,3,H,W", "i64[N,S,L,T,Q,R]").symbols
    assert {k: symbols[k] for k in "BNHWSLT"} == {"B": 2, "N": 2, "H": 224, "W": 224, "S": 128, "L": 128, "T": 128}
    assert len({symbols["Q"], symbols["R"]}) == 2
    assert fxcount.analyze(nn.Identity(), "B,3,32*h,32*w").symbols == {"B": 2, "h": 7, "w": 7}


def test_decisions_follow_the_hints() -> None:
    class Decides(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.shape[0] >= 11 else x

    big, small = (fxcount.analyze(Decides(), "B,5", hints={"B": b}) for b in (11, 7))
    assert (str(big.flops), small.flops) == ("5*B", 0)
    assert ([str(a) for a in big.assumptions], [str(a) for a in small.assumptions]) == (["B >= 11"], ["B <= 10"])


@pytest.mark.parametrize("grad", [False, True])
def test_gradients_are_followed(grad: bool) -> None:
    """Results require one if a parameter or an input of theirs does, and if the caller left gradients on."""

    class Splits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 5)

        def forward(self, x: torch.Tensor) -> Any:
            with torch.no_grad():
                fixed = self.linear(x)
            return self.linear(x), fixed, x * 2, self.linear(x).detach(), self.linear(x).argmax(-1)

    with torch.set_grad_enabled(grad):
        outputs = fxcount.analyze(Splits(), "B,5").trace.values_out()
        real = Splits()(torch.zeros(3, 5))
    assert [v.requires_grad for v in outputs] == [t.requires_grad for t in real]


def test_states_the_model_returns_are_outputs_of_the_graph() -> None:
    """A parameter, a buffer and a constant that no op touches are still results, and used."""

    class Returns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(5))
            self.register_buffer("table", torch.arange(7))

        def forward(self, x: torch.Tensor) -> Any:
            return {"y": x * 2, "states": [self.weight, self.table], "constant": torch.ones(3)}

    report, x = fxcount.analyze(Returns().eval(), "B,5"), torch.randn(3, 5)
    found = tree_leaves(report.graph_module(x))
    for a, b in zip(found, [x * 2, *report.graph_module.state_dict().values(), torch.ones(3)], strict=True):
        torch.testing.assert_close(a, b)
    assert report.params.dead == 0


@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_are_padded_to_the_longest(batch_first: bool) -> None:
    class Pads(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
            return torch.nn.utils.rnn.pad_sequence([a, b, c], batch_first=batch_first, padding_value=2.0)

    report = fxcount.analyze(Pads(), "P,5", "Q,5", "7,5")
    (fact,) = (v.fact for v in report.trace.values_out())
    assert not report.uncounted
    for p, q in ((3, 11), (13, 2), (1, 2)):
        inputs = torch.randn(p, 5), torch.randn(q, 5), torch.randn(7, 5)
        theirs = Pads()(*inputs)
        assert tuple(map(report.at(P=p, Q=q).size, fact.shape)) == tuple(theirs.shape)
        assert torch.equal(report.graph_module(*inputs), theirs)


def test_a_channel_that_is_only_repeated_is_not_channels_last() -> None:
    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.batch, self.group = nn.BatchNorm2d(3), nn.GroupNorm(3, 3)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            repeated = x.expand(-1, 3, -1, -1)
            return self.batch(repeated), self.group(repeated)

    model = Norms().eval()
    report = fxcount.analyze(model, "B,1,H,W").at(B=2, H=5, W=7)
    ours = [tuple(map(report.size, v.fact.stride())) for v in report.trace.values_out()]
    assert ours == [t.stride() for t in model(torch.randn(2, 1, 5, 7))]


@pytest.mark.parametrize("arguments", [{"hermitian": True}, (1e-15, True)], ids=["named", "positional"])
def test_the_inverse_of_a_hermitian_matrix_is_the_same_however_it_is_asked_for(arguments: Any) -> None:
    class Inverse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            named = arguments if isinstance(arguments, dict) else {}
            return torch.linalg.pinv(x, *(() if named else arguments), **named)

    assert fxcount.analyze(Inverse(), "N,N").at(N=6).flops == 11 * 6**3  # eigenvectors 9 N^3, two products of N^3
    with pytest.raises(fxcount.ShapeError):
        fxcount.analyze(Inverse(), "5,6")


@pytest.mark.parametrize("weight", ["4", "4,5,1"])
def test_weights_of_another_rank_are_refused(weight: str) -> None:
    class Counts(nn.Module):
        def forward(self, x: torch.Tensor, weight: torch.Tensor) -> Any:
            return torch.histogram(x, 3, weight=weight)

    with pytest.raises(fxcount.ShapeError, match="weights"):
        fxcount.analyze(Counts(), "4,5", weight + ("," if "," not in weight else ""))


class _Ways(nn.Module):
    """One op in the three ways it can be written, on three lines."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.mul(x, x)
        x = x.mul(x)
        return x * x


def test_a_call_knows_how_and_where_it_is_written() -> None:
    calls = calls_of(_Ways(), "B,5")
    first = _Ways.forward.__code__.co_firstlineno
    assert [c.written for c in calls] == ["function", "method", "operator"]
    assert [c.source.line - first for c in calls] == [1, 2, 3]
    assert {(c.source.file, c.source.function) for c in calls} == {(__file__, "forward")}


def test_a_place_that_is_pickled_is_plain() -> None:
    for call in calls_of(_Ways(), "B,5"):
        loaded = pickle.loads(pickle.dumps(call.source))
        assert type(loaded) is Source
        assert (loaded, hash(loaded), str(loaded)) == (call.source, hash(call.source), str(call.source))
        assert loaded != Source(loaded.file, loaded.line + 1, loaded.function)


def test_passes_leave_the_trace_as_it_is() -> None:
    trace = trace_model(nn.LSTM(3, 5), ("S,B,3",))

    def recorded() -> list[Any]:
        tables: list[list[Any]] = [trace.signatures, trace.calls, trace.modules]
        slots = [[id(getattr(row, name, None)) for name in type(row).__slots__] for table in tables for row in table]
        return [slots, [dataclasses.astuple(s) for s in trace.storages], len(trace.notes), len(trace.scope.assumptions)]

    before = recorded()
    cost(trace), memory(trace), parameters(trace)
    assert recorded() == before


def test_a_line_is_one_object_however_often_it_runs():
    class Net(torch.nn.Module):
        def forward(self, x):
            for _ in range(5):
                x = torch.relu(x)
            return torch.sin(x)

    calls = fxcount.analyze(Net(), "B,3").trace.calls
    places = [call.source for call in calls]
    assert len(calls) == 6
    assert len(set(map(id, places))) == 2
    assert {place.line for place in places[:5]} == {places[5].line - 1}
