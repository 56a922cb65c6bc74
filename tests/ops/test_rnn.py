"""Recurrent layers: shapes, strides and held bytes against torch on the CPU, macs against a derivation, work against
the formulas of the documentation written as loops that count."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops.contraction.rnn import OPS
from tests.ops.cases import uncovered
from tests.ops.harness import Counted, T, check, counted, rule_result, work
from tests.ops.tracker import assert_held

VF = torch._VF
GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
LAYERED = [getattr(VF, kind) for kind in GATES]
CELLS = [getattr(VF, f"{kind}_cell") for kind in GATES]
HIDDEN, INPUT = 12, 8


def weights(kind: str, layers: int = 1, directions: int = 1, biases: bool = True, proj: int = 0) -> list[T]:
    gates, returned = GATES[kind] * HIDDEN, proj or HIDDEN
    found = []
    for layer in range(layers):
        width = INPUT if layer == 0 else directions * returned
        one = [f"{gates},{width}", f"{gates},{returned}"]
        one += [f"{gates}"] * 2 if biases else []
        one += [f"{proj},{HIDDEN}"] if proj else []
        found += [T(shape, tied="a state as wide as the cell") for _ in range(directions) for shape in one]
    return found


def arguments(
    kind: str, layers: int = 1, bidirectional: bool = False, batch_first: bool = False, biases: bool = True,
    proj: int = 0, dropout: float = 0.0, train: bool = False, packed: str = "",
) -> tuple[Any, ...]:  # fmt: skip
    directions = 2 if bidirectional else 1
    state = T(f"{layers * directions},B,{proj or HIDDEN}")
    hx = [state, T(f"{layers * directions},B,{HIDDEN}")] if kind == "lstm" else state
    x = T(f"B,S,{INPUT}") if batch_first else T(f"S,B,{INPUT}")
    tail = (hx, weights(kind, layers, directions, biases, proj), biases, layers, dropout, train, bidirectional)
    return (T(f"{packed},{INPUT}"), T("S", torch.int64), *tail) if packed else (x, *tail, batch_first)


SETTINGS = [
    {},
    {"batch_first": True},
    {"layers": 2},
    {"bidirectional": True},
    {"layers": 3, "bidirectional": True, "batch_first": True},
    {"layers": 2, "batch_first": True},
]


@pytest.mark.parametrize("settings", [*SETTINGS, {"biases": False}, {"layers": 2, "dropout": 0.5, "train": True}])
@pytest.mark.parametrize("kind", GATES)
def test_shape_and_strides(kind: str, settings: dict[str, Any]) -> None:
    check(getattr(VF, kind), *arguments(kind, **settings), device="cpu")


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_shape_with_a_projection() -> None:
    check(VF.lstm, *arguments("lstm", layers=2, bidirectional=True, proj=5), device="cpu")


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("kind", GATES)
def test_bytes_held(kind: str, settings: dict[str, Any]) -> None:
    assert_held(getattr(VF, kind), *arguments(kind, **settings))


@pytest.mark.parametrize("name", [f"{kind}_cell" for kind in GATES])
def test_cells(name: str) -> None:
    kind = name.removesuffix("_cell")
    state = T(f"B,{HIDDEN}")
    hx = [state, state] if kind == "lstm" else state
    for biases in (True, False):
        args = (T(f"B,{INPUT}"), hx, *weights(kind, biases=biases))
        check(getattr(VF, name), *args, device="cpu")
        assert_held(getattr(VF, name), *args)


def test_every_op_has_a_case() -> None:
    assert not uncovered(OPS, [*LAYERED, *CELLS], ["_pack_padded_sequence", "_pad_packed_sequence"])


def test_macs_of_a_known_lstm() -> None:
    """LSTM(8, 12) on x (7, 3, 8): 7*3 steps, 4 gates of 12 units with 8 + 12 inputs: 7*3 * 4*12 * 20 = 20160."""
    assert work(VF.lstm, *arguments("lstm"), values={"S": 7, "B": 3})["macs"] == 20160
    # a second layer has 12 inputs: + 7*3 * 4*12 * 24; the other direction doubles all, and the second layer then has 24
    assert work(VF.lstm, *arguments("lstm", layers=2), values={"S": 7, "B": 3})["macs"] == 20160 + 24192
    both = arguments("lstm", layers=2, bidirectional=True)
    assert work(VF.lstm, *both, values={"S": 7, "B": 3})["macs"] == 2 * (20160 + 7 * 3 * 4 * 12 * 36)
    # a projection to 5: 4*12 * (8 + 5) + 12*5
    assert work(VF.lstm, *arguments("lstm", proj=5), values={"S": 7, "B": 3})["macs"] == 21 * (48 * 13 + 60)


def _products(x: list[Counted], rows: Any, tally: Counter[str]) -> list[Counted]:
    found = []
    for row in rows:
        total = Counted(0, tally)
        for a, b in zip(x, row, strict=True):
            total = total.fma(a, b)
        found.append(total + 0.1)  # the bias
    return found


def _step(kind: str, x: list[Counted], h: list[Counted], c: list[Counted], tally: Counter[str]) -> list[Counted]:
    size = len(h)
    w_ih, w_hh = counted(tally, GATES[kind] * size, len(x)), counted(tally, GATES[kind] * size, size)
    a, b = _products(x, w_ih, tally), _products(h, w_hh, tally)
    result = []
    for unit in range(size):
        ours = [(a[g * size + unit], b[g * size + unit]) for g in range(GATES[kind])]
        if kind == "lstm":
            i, f, g, o = (p + q for p, q in ours)
            state = f.call("sigmoid") * c[unit] + i.call("sigmoid") * g.call("tanh")
            result.append(o.call("sigmoid") * state.call("tanh"))
        elif kind == "gru":
            r, z = ((p + q).call("sigmoid") for p, q in ours[:2])
            n = (ours[2][0] + r * ours[2][1]).call("tanh")
            result.append(n + z * (h[unit] - n))
        else:
            total = ours[0][0] + ours[0][1]
            result.append(total.call("tanh") if kind == "rnn_tanh" else total if total > 0.0 else Counted(0, tally))
    return result


@pytest.mark.parametrize("kind", GATES)
def test_work_by_definition(kind: str) -> None:
    tally: Counter[str] = Counter()
    for _ in range(3):
        h = counted(tally, HIDDEN)
        for _ in range(5):
            h = _step(kind, counted(tally, INPUT), h, counted(tally, HIDDEN), tally)
    expected = {name: tally[name] for name in ("macs", "flops", "transcendentals")}
    values = {"S": 5, "B": 3}
    assert work(getattr(VF, kind), *arguments(kind), values=values) == expected
    assert work(getattr(VF, kind), *arguments(kind, batch_first=True), values=values) == expected
    packed = arguments(kind, packed="S*B")
    assert work(getattr(VF, kind), *packed, values=values) == expected
    state = T(f"B,{HIDDEN}")
    cell = (T(f"B,{INPUT}"), [state, state] if kind == "lstm" else state, *weights(kind))
    one_step = work(getattr(VF, f"{kind}_cell"), *cell, values=values)
    assert one_step == {name: n // 5 for name, n in expected.items()}


def test_dropout_is_work_in_training_only() -> None:
    quiet = work(VF.gru, *arguments("gru", layers=2, dropout=0.5))
    assert quiet == work(VF.gru, *arguments("gru", layers=2))
    noisy = work(VF.gru, *arguments("gru", layers=2, dropout=0.5, train=True), values={"S": 5, "B": 3})
    quiet = work(VF.gru, *arguments("gru", layers=2), values={"S": 5, "B": 3})
    assert noisy["flops"] - quiet["flops"] == 2 * 5 * 3 * HIDDEN  # between the two layers


@pytest.mark.parametrize("kind", GATES)
def test_packed_shape(kind: str) -> None:
    lengths = torch.tensor([7, 5, 2])
    data, sizes = VF._pack_padded_sequence(torch.zeros(7, 3, INPUT), lengths, False)
    _, _, *tail = arguments(kind, layers=2, bidirectional=True, packed="14")
    concrete = [[torch.zeros(t.shape) for t in group] if isinstance(group, list) else group for group in _zeros(tail)]
    expected = getattr(VF, kind)(data, sizes, *concrete)
    got, scope = rule_result(
        getattr(VF, kind), *arguments(kind, layers=2, bidirectional=True, packed="14"), hint={"B": 3, "S": 7}
    )
    assert [tuple(map(scope.hint, f.shape)) for f in got] == [tuple(t.shape) for t in expected]


def _zeros(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_zeros(t) for t in tree]
    return tree.real({"B": 3, "S": 7}, "cpu") if isinstance(tree, T) else tree


def test_packing_needs_the_lengths() -> None:
    x, lengths = T(f"S,B,{INPUT}"), torch.tensor([7, 5, 2])
    (data, sizes), _ = rule_result(VF._pack_padded_sequence, x, lengths, False, hint={"S": 7, "B": 3})
    real = VF._pack_padded_sequence(torch.zeros(7, 3, INPUT), lengths, False)
    assert [data.shape, sizes.shape] == [tuple(t.shape) for t in real]
    with pytest.raises(DataDependentError, match="lengths"):
        rule_result(VF._pack_padded_sequence, x, T("B", torch.int64), False)


@pytest.mark.parametrize(("batch_first", "total"), [(False, -1), (True, 9)])
def test_padding_needs_the_batch_sizes(batch_first: bool, total: int) -> None:
    data, sizes = VF._pack_padded_sequence(torch.zeros(7, 3, INPUT), torch.tensor([7, 5, 2]), False)
    (y, lengths), _ = rule_result(VF._pad_packed_sequence, T(f"14,{INPUT}"), sizes, batch_first, 0.0, total)
    real = VF._pad_packed_sequence(data, sizes, batch_first, 0.0, total)
    assert [(y.shape, y.stride()), (lengths.shape, (1,))] == [(tuple(t.shape), t.stride()) for t in real]
    with pytest.raises(DataDependentError, match="batch_sizes"):
        rule_result(VF._pad_packed_sequence, T(f"14,{INPUT}"), T("S", torch.int64), batch_first, 0.0, total)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: T("S,B,7")}, "input width"),
        ({0: T("S,8")}, "3 dimensions"),
        ({1: [T("1,5,12"), T("1,5,12")]}, "batch"),
        ({1: [T("2,B,12"), T("2,B,12")]}, "states"),
        ({4: 2}, "weights for 2 layers"),
        ({2: [T("48,8"), T("48,11"), T("48"), T("48")]}, "state width"),
        ({2: [T("36,8"), T("36,12"), T("36"), T("36")]}, "hidden width"),
    ],
)
def test_errors(change: dict[int, Any], message: str) -> None:
    args = list(arguments("lstm"))
    for at, value in change.items():
        args[at] = value
    with pytest.raises(ShapeError, match=message):
        rule_result(VF.lstm, *args)


def test_cell_errors() -> None:
    with pytest.raises(ShapeError, match="input width"):
        rule_result(VF.gru_cell, T("B,7"), T("B,12"), *weights("gru"))
    with pytest.raises(ShapeError, match="width"):
        rule_result(VF.gru_cell, T("B,8"), T("B,11"), *weights("gru"))
