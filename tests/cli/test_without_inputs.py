"""Models without inputs: those that the library knows, a guess that says so, and parameters without a trace."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import fxcount
from fxcount.adapters.guess import guessed
from fxcount.passes.untraced import parameters
from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 5, 1), "B,3,L"), (nn.Conv2d(3, 5, 1), "B,3,H,W"), (nn.Conv3d(3, 5, 1), "B,3,T,H,W"),
        (nn.Linear(3, 5), "B,3"),
        (nn.Embedding(7, 5), "i64[B,S]"), (nn.LSTM(3, 5), "S,B,3"), (nn.GRU(3, 5, batch_first=True), "B,S,3"),
    ],
)  # fmt: skip
def test_the_first_layer_tells(layer: nn.Module, shape: str) -> None:
    """And the model takes what is guessed."""
    found = guessed(nn.Sequential(nn.Identity(), layer))
    assert found is not None
    assert found.inputs == (shape,)
    assert fxcount.analyze(layer, *found.inputs).params.total == sum(p.numel() for p in layer.parameters())


def test_nothing_is_guessed_where_nothing_tells() -> None:
    assert guessed(nn.Bilinear(3, 4, 5)) is None
    assert guessed(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 5, 1))) is None
    assert guessed(nn.ReLU()) is None
    assert guessed(lambda x: x) is None
    assert guessed(nn.MultiheadAttention(4, 2)) is None


def test_a_guess_is_marked(shell: Shell) -> None:
    done = shell("user_nets.py:Small")
    assert done.status == 0
    assert done.err == "fxcount: no inputs were given: B,3 is guessed from the first layer, inner: Linear\n"
    assert "25*B" in done.out
    assert shell("user_nets.py:Small", "B,3").err == ""
    assert shell("demo").err == ""


def test_parameters_without_a_trace(shell: Shell) -> None:
    done = shell("params", "torch.nn:Bilinear(3,4,5)")
    assert done.status == 0
    assert "nothing was traced" in done.err
    assert "65 parameters" in done.out  # 5*3*4 + 5
    assert "dead:" not in done.out
    for question in (["--state", "dead"], ["--fail-on", "dead"], ["--outputs", "0"], ["--modes"]):
        assert shell("params", "torch.nn:Bilinear(3,4,5)", *question).status == 2
    found = json.loads(shell("params", "torch.nn:Bilinear(3,4,5)", "--json").out)
    assert (found["total"], found["dead"]) == (65, 0)
    assert shell("params", "user_nets.py:Small").status == 0


def test_what_a_model_holds_is_what_a_trace_says_it_holds() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.norm = nn.Linear(6, 6), nn.Linear(6, 6), nn.BatchNorm1d(6)
            self.b.weight = self.a.weight
            self.small = nn.Parameter(torch.ones(7, dtype=torch.float16), requires_grad=False)

        def forward(self, x):
            return self.norm(self.b(self.a(x))) * self.small.float().sum()

    net = Net()
    held, traced = parameters(net), fxcount.analyze(net, "B,6").params
    for name in ("total", "trainable", "frozen", "shared", "bytes", "bytes_by_dtype", "buffers", "buffer_bytes"):
        assert getattr(held, name) == getattr(traced, name), name
    assert [g.names for g in held.groups] == [g.names for g in traced.groups]
    assert [r.name for r in held.rows("shared")] == ["a.weight"]


# -- in Python ----------------------------------------------------------------------------------------------------------
def test_a_guess_is_marked_wherever_it_is_shown(shell: Shell) -> None:
    """In the table, the JSON, at other sizes, in a file that is read again, in the row of a sweep."""
    why = "the first layer, 0: Linear"
    report = fxcount.analyze(nn.Sequential(nn.Linear(3, 5), nn.ReLU()))
    assert report.macs == fxcount.analyze(nn.Linear(3, 5), "B,3").macs
    for each in (report, report.at(B=7), fxcount.load(report.to_json())):
        assert f"inputs  guessed from {why}" in str(each)
        assert [i["guessed"] for i in each.to_dict()["inputs"]] == [why]
    given = fxcount.analyze(nn.Sequential(nn.Linear(3, 5), nn.ReLU()), "B,3")
    assert "guessed" not in str(given)
    assert not ["guessed" for i in given.to_dict()["inputs"] if "guessed" in i]
    done = shell("user_nets.py:Small", "--json")
    assert json.loads(done.out)["inputs"][0]["guessed"] == "the first layer, inner: Linear"
    assert "guessed from the first layer" in shell("user_nets.py:Small").out
    (row,) = fxcount.sweep(["user_nets.py:Small"]).rows
    assert row.inputs == "x=f32[B,3] (guessed from the first layer, inner: Linear)"


def test_what_libraries_tell() -> None:
    timm, torchvision = pytest.importorskip("timm"), fxcount.adapters.load.library("torchvision")
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        models = [
            timm.create_model("resnet10t"), timm.create_model("vit_tiny_patch16_224"), torchvision.models.resnet18(),
            torchvision.models.video.r3d_18(),
            transformers.GPT2Model(transformers.GPT2Config(n_layer=1, n_embd=24, n_head=3, vocab_size=29)),
        ]  # fmt: skip
    found = [guessed(model) for model in models]
    assert [(f.args, list(f.kwargs)) for f in found if f is not None] == [
        (("B,3,H,W",), []), (("B,3,224,224",), []), (("B,3,H,W",), []), (("B,3,T,H,W",), []), ((), ["input_ids"]),
    ]  # fmt: skip
    assert [f.because for f in found if f is not None] == [
        "its pretrained_cfg", "its pretrained_cfg", "torchvision, whose models take images",
        "torchvision, whose models take films", "its config, GPT2Config",
    ]  # fmt: skip
    report = fxcount.analyze(models[-1].eval())
    assert report.trace.guessed_inputs == "its config, GPT2Config"
    assert set(report.symbols) == {"B", "S"}


def test_a_model_alone_is_what_it_holds() -> None:
    net = nn.Bilinear(3, 4, 5)
    report = fxcount.analyze(net)
    assert (report.params.total, report.params.bytes, report.params.dead) == (65, 260, 0)  # 5*3*4 + 5
    assert "nothing was traced" in str(report)
    found = report.to_dict()
    assert (found["totals"], found["programs"], found["ops"]) == ({}, {}, [])
    assert found["params"]["total"] == 65
    loaded = fxcount.load(report.to_json())
    assert loaded == report
    assert str(loaded) == str(report)
    for asked in ("macs", "flops", "memory", "ops", "at", "curve", "to_html", "to_svg", "to_networkx", "count", "show"):
        for each in (report, loaded):
            with pytest.raises(fxcount.InputError, match=r"nothing was traced(.|\n)*give inputs"):
                getattr(each, asked)
    assert report.to_csv("params").count("\n") == 3
    for rows in ("ops", "modules", "kinds", "layers", "classes"):
        with pytest.raises(fxcount.InputError, match="nothing was traced"):
            report.to_csv(rows)


def test_every_format_of_a_model_alone_is_of_its_parameters_or_refused() -> None:
    """A format that is added later must not show an empty trace."""
    report = fxcount.analyze(nn.Bilinear(3, 4, 5))
    for name, each in fxcount.report.FORMATS.items():
        if each.shows == "rows" or name in ("dict", "json"):
            continue
        with pytest.raises(fxcount.InputError, match="nothing was traced"):
            getattr(report, f"to_{name}")


def test_a_guess_that_does_not_fit_leaves_the_parameters() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.out = nn.Conv2d(3, 5, 3), nn.Linear(7, 11)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.conv(x).flatten(1))

    report = fxcount.analyze(Flat())
    assert report.params.total == 5 * 27 + 5 + 7 * 11 + 11
    assert "those guessed from the first layer, conv: Conv2d, B,3,H,W, do not fit (linear:" in str(report)
    with pytest.raises(fxcount.InputError):
        _ = report.macs


def test_what_needs_no_inputs_is_called() -> None:
    class Makes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 5))

        def forward(self) -> torch.Tensor:
            return self.weight.sum(0)

    assert fxcount.analyze(Makes()).flops == 2 * 5
    with pytest.raises(fxcount.InputError, match="missing a required argument"):
        fxcount.analyze(nn.ReLU())  # holds nothing to tell of


def test_the_command_line_without_inputs(shell: Shell) -> None:
    done = shell("torch.nn:Bilinear(3,4,5)")
    assert done.status == 0
    assert "65 parameters" in done.out
    assert "nothing was traced" in done.out
    assert json.loads(shell("torch.nn:Bilinear(3,4,5)", "--json").out)["totals"] == {}
    refused = shell("curve", "torch.nn:Bilinear(3,4,5)", "--over", "B=1:3")
    assert refused.status == 2
    assert "nothing was traced" in refused.err


# -- an error in the middle -----------------------------------------------------------------------------------------------
class Breaks(nn.Module):
    """The second of three layers does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 5), nn.Linear(7, 5), nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(x).relu()))


class Raises(Breaks):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if x.shape[1] > 3:
            raise KeyError("my own mistake")
        return x


@pytest.mark.parametrize("kind", [Breaks, Raises])
def test_an_error_has_what_was_traced_before_it(kind: type[nn.Module]) -> None:
    with pytest.raises((fxcount.ShapeError, KeyError)) as caught:
        fxcount.analyze(kind(), "B,3")
    partial = caught.value.partial
    assert isinstance(partial, fxcount.Report)
    assert partial.macs == fxcount.analyze(nn.Linear(3, 5), "B,3").macs
    assert partial.at(B=7).macs == 7 * 3 * 5
    assert partial.params.total == 20 + 40 + 30
    assert partial.params.dead == 0  # nobody can say
    assert "ended   after" in str(partial)
    assert "first: Linear" in str(partial)
    assert "third" not in str(partial).partition("ended")[0]
    loaded = fxcount.load(partial.to_json())
    assert loaded == partial
    assert str(loaded) == str(partial)
    with pytest.raises(fxcount.UnsupportedError, match="not traced to its end"):
        _ = partial.graph_module


def test_an_error_before_the_first_op_has_nothing() -> None:
    with pytest.raises(fxcount.ShapeError) as caught:
        fxcount.analyze(nn.Linear(3, 5), "B,4")
    assert caught.value.partial is None


def test_a_step_that_fails_has_its_forward() -> None:
    with pytest.raises(fxcount.FxcountError) as caught:
        fxcount.training_step(Breaks(), "B,3")
    assert caught.value.partial.macs == fxcount.analyze(nn.Linear(3, 5), "B,3").macs


def test_errors_of_the_table_are_of_the_model_itself(shell: Shell) -> None:
    """The command line prints the error, and the table up to it where tables go; nothing of it where a program reads."""
    done = shell("user_nets.py:Breaks", "B,3")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "linear: x (B, 5) has 5 features" in done.err
    assert "first: Linear" in done.out
    assert "ended   after 1 op: linear" in done.out
    for words in (["--json"], ["-o", "x.csv"]):
        assert shell("user_nets.py:Breaks", "B,3", *words).out == ""


def test_a_partial_report_keeps_nothing_alive() -> None:
    import gc
    import weakref

    class Big(Breaks):
        pass

    model = Big()
    gone = weakref.ref(model)
    try:
        fxcount.analyze(model, "B,3")
    except fxcount.ShapeError as error:
        partial = error.partial
    del model
    gc.collect()
    assert gone() is None
    assert partial.at(B=3).macs == 3 * 15
