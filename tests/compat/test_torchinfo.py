"""``fxcount.summary`` beside torchinfo: the same text where torchinfo is right, the right numbers where it is not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fxcount
from fxcount.compat.torchinfo import ColumnSettings, RowSettings, SummaryError, Units, clear_cached_forward_pass
from tests.compat.peers import Blocks, Digits, Sentences, Thrice, Tied, Two, peer, printed, torchvision_model

ALL = ["input_size", "output_size", "kernel_size", "num_params", "params_percent", "mult_adds", "trainable"]
IDS = torch.zeros(2, 300, dtype=torch.long)


def plain(text: object) -> str:
    """torchinfo's text with the units it means (``(M)``), which Python 3.11 made ``(Units.MEGABYTES)``."""
    return str(text).replace("Units.MEGABYTES", "M").replace("Units.GIGABYTES", "G").replace("Units.TERABYTES", "T")


CALLS: list[tuple[Callable[[], nn.Module], dict[str, Any]]] = [
    (Digits, {"input_size": (16, 1, 28, 28)}),
    (Digits, {"input_size": (16, 1, 28, 28), "col_names": ALL, "row_settings": ["ascii_only", "depth", "var_names"]}),
    (Digits, {"input_size": [16, 1, 28, 28], "col_names": ALL, "row_settings": [], "col_width": 16}),
    (Digits, {"input_size": (1, 28, 28), "batch_dim": 0, "col_names": ALL}),
    (Digits, {"input_data": torch.zeros(4, 1, 28, 28), "mode": "train", "col_names": ALL, "depth": 0}),
    (Digits, {}),
    (Blocks, {"col_names": ["kernel_size", "num_params", "params_percent", "trainable"], "row_settings": ["var_names"]}),
    (Blocks, {"input_size": (3, 5), "col_names": ALL, "depth": 4, "row_settings": ["var_names", "depth"]}),
    (Blocks, {"input_size": (3, 5), "depth": 4, "verbose": 2}),
    (Sentences, {"input_size": (7, 9), "dtypes": [torch.long], "col_names": ALL[:-2], "verbose": 2}),
    (Thrice, {"input_size": (2, 8, 9, 7), "col_names": ALL}),
    (Thrice, {"input_size": (2, 8, 9, 7), "row_settings": ["hide_recursive_layers", "depth"]}),
    (Two, {"input_size": [(1, 300), (1, 300)], "dtypes": [torch.float, torch.long], "col_names": ALL}),
    (Two, {"input_data": {"x1": torch.zeros(2, 300), "x2": IDS}, "col_names": ALL}),
    (Two, {"input_data": [torch.zeros(2, 300)], "x2": IDS, "col_names": ALL}),
    (lambda: nn.LSTM(5, 7, bidirectional=True, batch_first=True), {"input_size": (3, 11, 5), "col_names": ALL}),
    (lambda: nn.GRU(5, 7, num_layers=2), {"input_size": (11, 3, 5), "col_names": ALL}),
]


@pytest.mark.parametrize(("build", "options"), CALLS)
def test_text_equals_torchinfos(build: Callable[[], nn.Module], options: dict[str, Any]) -> None:
    torchinfo = peer("torchinfo")
    model = build()
    expected = plain(printed(lambda: torchinfo.summary(model, **options)))
    found = printed(lambda: fxcount.summary(model, **options))
    if build is Sentences:  # its mult-adds differ, see below
        found, expected = (_without(text, "Total mult-adds") for text in (found, expected))
    assert found == expected


def _without(text: str, label: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(label))


FIELDS = ("total_params", "trainable_params", "total_mult_adds", "total_output_bytes", "total_param_bytes")
ROW_FIELDS = (
    "class_name", "var_name", "depth", "depth_index", "is_recursive", "executed", "is_leaf_layer", "input_size", "output_size",
    "kernel_size", "num_params", "trainable_params", "param_bytes", "output_bytes", "trainable",
)  # fmt: skip


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", "squeezenet1_0"])
def test_fields_and_text_of_torchvision_models(name: str) -> None:
    torchinfo = peer("torchinfo")
    model = torchvision_model(name)
    options: dict[str, Any] = {"input_size": (2, 3, 64, 96), "col_names": ALL, "depth": 6, "verbose": 0}
    expected, found = torchinfo.summary(model, **options), fxcount.summary(model, **options)
    assert str(found) == plain(expected)
    assert [getattr(found, f) for f in FIELDS] == [getattr(expected, f) for f in FIELDS]
    assert found.total_input == 2 * 3 * 64 * 96 * 4
    assert found.input_size == expected.input_size
    for ours, theirs in zip(found.summary_list, expected.summary_list, strict=True):
        assert [getattr(ours, f) for f in ROW_FIELDS] == [getattr(theirs, f) for f in ROW_FIELDS]
        if ours.is_leaf_layer:
            assert ours.macs == theirs.macs
        assert [c.class_name for c in ours.children] == [c.class_name for c in theirs.children]
        assert ours.leftover_params() == (theirs.num_params if theirs.is_leaf_layer else theirs.leftover_params())


@pytest.mark.parametrize(
    "options",
    [
        {"input_size": "1,28,28"}, {"input_size": ()}, {"input_size": (1, -28, 28)},
        {"input_size": (1, 1, 28, 28), "col_width": 0}, {"input_size": (1, 1, 28, 28), "verbose": 3},
        {"input_size": (1, 1, 28, 28), "input_data": torch.zeros(1, 1, 28, 28)}, {"col_names": ["mult_adds"]},
        {"input_size": (1, 1, 28, 28), "col_names": ["nonsense"]}, {"input_size": (1, 1, 28, 28), "mode": "nonsense"},
        {"input_size": (1, 1, 28, 28), "row_settings": ["nonsense"]},
    ],
)  # fmt: skip
def test_mistaken_calls_fail_as_with_torchinfo(options: dict[str, Any]) -> None:
    torchinfo = peer("torchinfo")
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever torchinfo raises is the expected value
        torchinfo.summary(Digits(), **options)
    with pytest.raises(theirs.type) as ours:
        fxcount.summary(Digits(), **options)
    assert str(ours.value).splitlines()[0][:30] == str(theirs.value).splitlines()[0][:30]


def test_a_model_that_fails_is_a_runtime_error_with_its_cause() -> None:
    with pytest.raises(SummaryError, match="Digits") as caught:
        fxcount.summary(Digits(), input_size=(1, 3, 28, 28), verbose=0)
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value.__cause__, fxcount.ShapeError)
    assert "peers.py" in str(caught.value)


def test_the_model_keeps_its_mode_and_nothing_is_printed() -> None:
    model = Blocks()
    model.layers[0].eval()
    before = [m.training for m in model.modules()]
    assert printed(lambda: fxcount.summary(model, input_size=(3, 5), verbose=0)) == ""
    assert [m.training for m in model.modules()] == before


# -- what scripts for torchinfo also use ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "dtypes", [[torch.FloatTensor, torch.LongTensor], ["torch.FloatTensor", "torch.LongTensor"], [torch.float, torch.long]]
)
def test_dtypes_of_all_kinds(dtypes: list[Any]) -> None:
    torchinfo = peer("torchinfo")
    options: dict[str, Any] = {"input_size": [(1, 300), (1, 300)], "dtypes": dtypes, "verbose": 0}
    assert str(fxcount.summary(Two(), **options)) == plain(torchinfo.summary(Two(), **options))
    with pytest.raises(TypeError, match="'nonsense'"):
        fxcount.summary(Two(), **{**options, "dtypes": ["nonsense"] * 2})


def test_all_columns_are_those_of_torchinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    torchinfo = peer("torchinfo")
    monkeypatch.setattr(Digits, "to", None)  # the model does not run: nothing moves it, and its data stay
    assert [c.value for c in ColumnSettings] == [c.value for c in torchinfo.ColumnSettings]
    asked: dict[str, Any] = {"input_size": (2, 1, 28, 28), "verbose": 0}
    found = str(fxcount.summary(Digits(), col_names=list(ColumnSettings), **asked))
    monkeypatch.undo()
    assert found == plain(torchinfo.summary(Digits(), col_names=list(torchinfo.ColumnSettings), **asked))


@pytest.mark.parametrize("build", [Digits, Blocks, Thrice])
def test_methods_of_rows_and_formatting(build: Callable[[], nn.Module]) -> None:
    torchinfo = peer("torchinfo")
    size = {Digits: (2, 1, 28, 28), Blocks: (3, 5), Thrice: (2, 8, 9, 7)}[build]
    model = build()
    theirs, ours = (m.summary(model, input_size=size, col_names=ALL, verbose=0) for m in (torchinfo, fxcount))
    total = theirs.total_params
    for expected, found in zip(theirs.summary_list, ours.summary_list, strict=True):
        assert repr(found) == repr(expected)
        assert found.get_layer_name(True, True) == expected.get_layer_name(True, True)
        for deepest in (False, True):
            assert found.num_params_to_str(deepest) == expected.num_params_to_str(deepest)
            assert found.params_percent(total, deepest, 3) == expected.params_percent(total, deepest, 3)
            if found.is_leaf_layer:  # torchinfo shows no sum for a container that is never called
                assert found.macs_to_str(deepest) == expected.macs_to_str(deepest)
                row = theirs.formatting.layer_info_to_row(expected, deepest, total)
                assert ours.formatting.layer_info_to_row(found, deepest, total) == row
        assert found.get_param_count(model, "w", torch.zeros(3, 5)) == (15, "w")
        again = type(found)(found.var_name, found.module, found.depth)
        again.output_size = found.output_size
        again.calculate_macs()
        if found.is_leaf_layer:
            assert again.macs == expected.macs
    for name in ("header_row", "get_total_width"):
        assert getattr(ours.formatting, name)() == getattr(theirs.formatting, name)()
    assert [ours.formatting.get_start_str(d) for d in range(4)] == [theirs.formatting.get_start_str(d) for d in range(4)]
    assert ours.formatting.str_(None) == theirs.formatting.str_(None) == "--"
    assert ours.formatting.ascii_only is theirs.formatting.ascii_only is False


def test_functions_beside_the_rows() -> None:
    peer("torchinfo")
    theirs = importlib.import_module("torchinfo.layer_info")
    ours = importlib.import_module("fxcount.compat.torchinfo.layer_info")
    half = torch.zeros(2, 3, dtype=torch.half)
    packed = nn.utils.rnn.pack_padded_sequence(torch.zeros(3, 2, 5), torch.tensor([3, 1]))
    for given in (None, half, (half, None), [half], {"a": torch.zeros(7), "b": half}, np.ones((2, 3)), packed, [], [[[half]]]):
        assert ours.LayerInfo.calculate_size(given, None) == theirs.LayerInfo.calculate_size(given, None)
    for given in (half, [half, half], [[half]]):
        assert ours.LayerInfo.calculate_size(given, 0) == theirs.LayerInfo.calculate_size(given, 0)
    for wrong in ("text", 3):
        with pytest.raises(TypeError):
            theirs.LayerInfo.calculate_size(wrong, None)
        with pytest.raises(TypeError):
            ours.LayerInfo.calculate_size(wrong, None)
    assert ours.prod([2, [3, (5,)]]) == theirs.prod([2, [3, (5,)]]) == 30
    module = nn.Sequential(nn.Linear(3, 5))
    assert ours.rgetattr(module, "0.weight") is theirs.rgetattr(module, "0.weight") is module[0].weight
    assert ours.rgetattr(module, "0.nothing") is theirs.rgetattr(module, "0.nothing") is None


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_scripted_model_has_the_rows_of_the_model_it_was() -> None:
    whole = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Sequential(nn.BatchNorm2d(5), nn.ReLU()))
    part = nn.Sequential(nn.Conv2d(3, 5, 3), torch.jit.script(whole[1]))
    for model in (torch.jit.script(whole), part):
        training = [m.training for m in model.modules()]
        found, expected = (fxcount.summary(m, input_size=("B", 3, 9, 7), col_names=ALL[1:], verbose=0) for m in (model, whole))
        for mine, other in zip(found.summary_list, expected.summary_list, strict=True):
            assert [getattr(mine, f) for f in ROW_FIELDS[:9]] == [getattr(other, f) for f in ROW_FIELDS[:9]]
            assert (mine.num_params, mine.macs) == (other.num_params, other.macs)
        assert (found.total_params, found.total_mult_adds) == (expected.total_params, expected.total_mult_adds)
        assert [m.training for m in model.modules()] == training
    assert fxcount.summary(part, verbose=0).total_params == 3 * 5 * 9 + 5 + 2 * 5


def test_lazy_modules_count_what_they_become_and_stay_lazy() -> None:
    torchinfo = peer("torchinfo")

    def build() -> nn.Module:
        return nn.Sequential(nn.LazyConv2d(5, 3), nn.Flatten(), nn.Sequential(nn.LazyLinear(7, bias=False)))

    model = build()
    found, expected = (m.summary(net, input_size=(2, 3, 9, 7), col_names=ALL, verbose=0)
                       for m, net in ((fxcount, model), (torchinfo, build())))  # fmt: skip
    assert str(found) == plain(expected)
    assert found.summary_list[0].num_params == 3 * 5 * 9 + 5 + 5 * 7 * 5 * 7
    assert type(model[0]) is nn.LazyConv2d
    assert fxcount.summary(model, verbose=0).total_params == 0


class Gives(nn.Module):
    """Returns what it is told to."""

    def __init__(self, what: Callable[[nn.Module, torch.Tensor], Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 8))
        self.what = what

    def forward(self, x: torch.Tensor) -> Any:
        return self.what(self, x)


@pytest.mark.parametrize(
    "what",
    [
        lambda m, x: m.weight, lambda m, x: {"a": x, "b": x.sum(0)}, lambda m, x: [x, None], lambda m, x: ({"a": [x]},),
        lambda m, x: x.detach().cpu().numpy(), lambda m, x: "text", lambda m, x: nn.Linear,
    ],
)  # fmt: skip
def test_whatever_a_layer_returns(what: Callable[[nn.Module, torch.Tensor], Any]) -> None:
    torchinfo = peer("torchinfo")
    asked: dict[str, Any] = {"input_size": (3, 5), "col_names": ALL, "verbose": 0}
    model = nn.Sequential(Gives(what))
    try:
        expected = plain(torchinfo.summary(model, **asked))
    except RuntimeError:
        with pytest.raises(RuntimeError, match="unsupported input or output type"):
            fxcount.summary(model, **asked)
        return
    found = str(fxcount.summary(model, **asked))
    differs = ("Total mult-adds", "Unused params", "Params size", "Estimated Total")  # a weight no output depends on
    shapes = [[line[:90] for line in text.splitlines() if not line.startswith(differs)] for text in (found, expected)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("nothing", [None, [], {}, ({},)])
def test_a_layer_that_returns_no_tensor(nothing: Any) -> None:
    """torchinfo fails at a weight without an output size."""
    found = quiet(nn.Sequential(Gives(lambda m, x: nothing)), 3, 5)
    assert found.summary_list[1].output_size == []
    assert found.total_params == 4 * 8


def test_arrays_of_numpy() -> None:
    torchinfo = peer("torchinfo")

    class Arrays(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            assert isinstance(x, np.ndarray)
            return self.layer(torch.from_numpy(x)).detach().numpy()

    asked: dict[str, Any] = {"input_data": np.ones((5, 3), dtype=np.float32), "verbose": 0}
    assert str(fxcount.summary(Arrays(), **asked)) == plain(torchinfo.summary(Arrays(), **asked))


def test_units_and_groups() -> None:
    found = quiet(nn.Conv2d(4, 6, 3, groups=2, bias=False), 2, 4, 9, 7, col_names=["groups", "mult_adds"])
    assert str(found).splitlines()[3].split() == ["Conv2d", "2", f"{2 * 6 * 7 * 5 * 2 * 9:,}"]
    assert "Params size (MB): 0.00" in str(found)
    found.formatting.params_size_units = Units.AUTO
    assert "Params size (B): 432" in str(found)  # 6 * 2 * 9 numbers of 4 bytes
    assert "Forward/backward pass size (kB): 3.36" in str(found)  # 2 * 6 * 7 * 5 numbers, and as many gradients
    found.formatting.params_size_units = Units.KILOBYTES
    found.formatting.params_count_units = Units.KILOBYTES
    assert "Params size (kB): 0.43" in str(found)
    assert "Total params (k): 0.11" in str(found)
    same = fxcount.summary(nn.Dropout(), input_size=(3, 5), mode="same", verbose=0)
    assert [c.op.name for c in same.report.trace.calls] == ["dropout"]
    clear_cached_forward_pass()


# -- where torchinfo is mistaken ----------------------------------------------------------------------------------------
def quiet(model: nn.Module, *size: Any, **options: Any) -> Any:
    return fxcount.summary(model, input_size=size, verbose=0, **options)


def test_a_tied_weight_is_one_parameter() -> None:
    found = quiet(Tied(), 2, 7, dtypes=[torch.long])
    assert (found.total_params, found.trainable_params, found.total_param_bytes) == (31 * 11, 31 * 11, 4 * 31 * 11)
    assert "(shared)" in str(found).splitlines()[5]
    assert found.total_mult_adds == 2 * 7 * 11 * 31  # the head; a lookup multiplies nothing


@pytest.mark.parametrize("size", [(1, 512, 512), (1, 1, 512, 512)])
def test_a_convolution_without_a_batch(size: tuple[int, ...]) -> None:
    assert quiet(nn.Conv2d(1, 1, 3, padding=1, bias=False), *size).total_mult_adds == 9 * 512 * 512


def test_transposed_weight_normalised_and_functional_work() -> None:
    # a transposed convolution multiplies at its 5 * 7 inputs, and adds its bias at the 11 * 15 outputs
    assert quiet(nn.ConvTranspose2d(3, 2, 3, 2), 1, 3, 5, 7).total_mult_adds == 3 * 5 * 7 * 2 * 9 + 2 * 11 * 15
    normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 5, 3, bias=False))
    assert quiet(normed, 2, 3, 13).total_mult_adds == 2 * 5 * 11 * 3 * 3
    # 13 tokens of width 8: the projections of q, k, v and of the output with their biases, scores and their products with v
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    found = fxcount.summary(attention, input_data=[torch.zeros(1, 13, 8)] * 3, verbose=0)
    assert found.total_mult_adds == 4 * (13 * 8 * 8 + 13 * 8) + 2 * 13 * 13 * 8


def test_a_linear_on_a_sequence() -> None:
    assert quiet(nn.Linear(5, 3), 2, 7, 5).total_mult_adds == 2 * 7 * (5 * 3 + 3)


def test_a_pruned_weight_counts_what_the_mask_leaves() -> None:
    from torch.nn.utils import prune

    model = nn.Sequential(nn.Conv2d(1, 10, 5), nn.ReLU())
    prune.random_unstructured(model[0], "weight", amount=100)
    found = quiet(model, 1, 1, 9, 9)
    assert (found.total_params, found.total_mult_adds) == (150 + 10, (150 + 10) * 5 * 5)
    assert peer("torchinfo").summary(model, input_size=(1, 1, 9, 9), verbose=0).total_mult_adds == found.total_mult_adds


def test_parameters_of_a_module_with_submodules_have_a_size() -> None:
    found = quiet(Blocks(), 3, 5)
    assert found.total_param_bytes == 4 * found.total_params == 4 * sum(p.numel() for p in Blocks().parameters())


# -- beyond torchinfo -----------------------------------------------------------------------------------------------------
def test_formulas_in_the_cells() -> None:
    found = quiet(Digits(), "B", 1, 28, 28, col_names=ALL)
    at = fxcount.summary(Digits(), input_size=(16, 1, 28, 28), verbose=0)
    assert found.report.at(B=16).size(found.total_mult_adds) == at.total_mult_adds
    assert found.summary_list[1].output_size[1:] == [10, 24, 24]
    assert "149760*B" in str(found)  # 250 weights and 10 biases at 24 * 24 places
    lines = str(found).splitlines()
    assert len({line.index(cell) for line, cell in ((lines[1], "Mult-Adds"), (lines[4], "149760*B"))}) == 1


def test_more_columns() -> None:
    extra = ["flops", "madd", "read_bytes", "write_bytes", "output_bytes", "time_percent", "measured_percent"]
    found = quiet(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False)), 1, 1, 8, 8, col_names=extra)
    row = str(found).splitlines()[4].split()
    # 64 results of 9 products: 9 + 8 operations each, 9 + 9 if the sum starts at zero; 4 bytes for each of 64 + 9 and 64
    assert row[2:7] == [f"{64 * 18:,}", f"{64 * 17:,}", str(4 * 73), str(4 * 64), str(4 * 64)]
    assert row[7] == "100.00%"
    assert 0 < float(row[8].rstrip("%")) <= 100


def test_unused_parameters_are_named() -> None:
    class Net(Thrice):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Linear(3, 2)

    found = quiet(Net(), 2, 8, 9, 7)
    assert "Unused params: 8 (idle.weight, idle.bias)" in str(found)


def test_columns_are_torchinfos_and_more() -> None:
    torchinfo = peer("torchinfo")
    assert {c.value for c in torchinfo.ColumnSettings} <= {c.value for c in ColumnSettings.__members__.values()}
    assert {c.value for c in torchinfo.RowSettings} == {c.value for c in RowSettings}
