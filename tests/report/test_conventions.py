"""Conventions: against hand derivations, against the tools themselves where they are installed, and against their own laws."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sympy
import torch
import torch.nn.functional as F
from torch import nn
from torch._higher_order_ops import scan
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.cli.main import main
from fxcount.errors import InputError
from fxcount.ops import REGISTRY
from fxcount.report.views.conventions import CONVENTIONS, render
from fxcount.report.views.conventions.document import document
from fxcount.report.views.conventions.sites import Rules
from tests.oracles import counted_flops
from tests.report.conventions_tools import MODULES, TOOLS, undisturbed, which_thop
from tests.zoo import CASES, analysed, inputs


def _net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(150, 7)
    ).eval()


# x (2, 3, 11, 13) -> conv, norm, relu (2, 5, 11, 13): 1430 elements, 715 of a sample -> pool (2, 5, 5, 6): 300, 150 of a
# sample -> linear (2, 7). Products: conv 1430 * 3*3*3 = 38610, linear 2 * 150 * 7 = 2100, together 40710.
# Parameters: conv 135 + 5, norm 5 + 5, linear 1050 + 7, together 1207.
BY_HAND = {
    "fxcount": 40710,
    "torch": 2 * 40710,
    "torchvision": 40710,
    "fvcore": 40710 + 2 * 1430,
    "fvcore-activations": 1430 + 14,
    "thop": 40710 + 4 * 1430,
    "ultralytics-thop": 40710 + 4 * 1430,
    "ptflops": (38610 + 1430) + 2 * 1430 + 2 * 1430 + 2 * 1430 + (2100 + 14),  # relu and pool twice
    "ptflops-aten": 40710 + 1430 + 14,
    "torchinfo": 140 * 2 * 143 + 10 * 2 + 1057 * 2,
    "calflops": 2 * 40710 + 1430 + 2 * 1430 + 1430 + 1430,  # bias of the conv, norm, relu, pool
    "calflops-macs": 40710,
    "deepspeed": 2 * 40710 + 1430 + 2 * 1430 + 1430 + 1430,
    "deepspeed-macs": 40710,
    "pycls": 38610 // 2 + 5 + 150 * 7 + 7,
    "pycls-activations": 715 + 150 + 7,
    "torchstat-madd": 715 * (27 + 26 + 1) + 4 * 715 + 715 + 150 * 3 + 7 * (150 + 149),
    "torchstat-flops": 715 * (27 + 1) + 2 * 715 + 715 + 715 + 150 * 7,
    "torchstat-memread": 4 * ((429 + 140) + (715 + 2 * 5) + 715 + 715 + (150 + 1057)),
    "torchstat-memwrite": 4 * (715 + 715 + 715 + 150 + 7),
    "torchsummary-params": 1207,
    "torchsummary-forward": 2 * 4 * (715 + 715 + 715 + 150 + 150 + 7),  # the flattened output is one more
    "torchsummary": 4 * 429 + 2 * 4 * (3 * 715 + 2 * 150 + 7) + 4 * 1207,
}


@pytest.mark.parametrize("name", ["fxcount", *CONVENTIONS])
def test_every_convention_by_hand(name: str) -> None:
    assert fxcount.analyze(_net(), (2, 3, 11, 13)).count(name) == BY_HAND[name]


@pytest.mark.parametrize("name", list(CONVENTIONS))
def test_formulas_hold_at_numbers(name: str) -> None:
    report = fxcount.analyze(_net(), "B,3,2*h+1,13", hints={"B": 2, "h": 5}).at(B=2, h=5)
    assert report.count(name) == BY_HAND[name]


# --- a net for each known mistake -----------------------------------------------------------------


class Net(nn.Module):
    """A function of modules and an input."""

    def __init__(self, forward: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.held = nn.ModuleList(modules)
        self.function = forward
        self.unused = nn.Linear(2, 2)  # some tools want a parameter

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.held, x)


def _functions(_: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    y = torch.add(torch.matmul(x, x.mT), 1) + torch.bmm(x, x.mT).mul(2) * 3 + x.matmul(x.mT) + x @ x.mT
    y = F.softmax(F.relu(torch.baddbmm(y, x, x.mT)), -1)
    return torch.mul(x[:, :1, :1].expand(-1, 1, 7), y)


def _einsums(_: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    outer = torch.einsum("bi,bj->bij", x[:, :, 0], x[:, :, 0])
    return torch.einsum("bij,bkj->bik", x, x) + torch.einsum("bij,bj->bi", x, x[:, 0])[:, :, None] + outer


def _sequential(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(*modules, nn.PReLU())


NETS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "transposed": (_sequential(nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), nn.ConvTranspose2d(6, 4, 3, 2, groups=2)), (2, 4, 5, 7)),
    "same": (_sequential(nn.Conv2d(3, 5, 4, padding="same")), (2, 3, 7, 11)),
    "volume": (_sequential(nn.Conv3d(3, 5, 2), nn.BatchNorm3d(5), nn.MaxPool3d(2), nn.AdaptiveAvgPool3d(1)), (2, 3, 5, 7, 11)),
    "sequence": (_sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.GELU()), (2, 7, 3)),
    "norms": (
        _sequential(
            nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True), nn.BatchNorm2d(4, affine=False)
        ),
        (2, 4, 5, 7),
    ),
    "activations": (
        _sequential(
            nn.ReLU(), nn.ReLU6(), nn.ELU(), nn.LeakyReLU(), nn.SiLU(), nn.Softmax(1), nn.Hardswish(), nn.LogSoftmax(1)
        ),
        (2, 4, 5, 7),
    ),
    "pools": (
        _sequential(
            nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AdaptiveAvgPool2d(2)
        ),
        (2, 4, 17, 23),
    ),
    "resized": (
        _sequential(nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=1.7, mode="bilinear"), nn.Upsample(size=(9, 13))),
        (2, 4, 5, 7),
    ),
    "lstm": (Net(lambda m, x: m[0](x)[0], nn.LSTM(3, 5, 2, bidirectional=True)), (7, 2, 3)),
    "projected": (Net(lambda m, x: m[0](x)[0], nn.LSTM(3, 5, 2, proj_size=2)), (7, 2, 3)),
    "gru": (Net(lambda m, x: m[0](x)[0], nn.GRU(3, 5, 2, bias=False)), (7, 2, 3)),
    "cells": (Net(lambda m, x: m[2](m[1](m[0](x)))[0], nn.GRUCell(3, 5), nn.RNNCell(5, 4), nn.LSTMCell(4, 7)), (2, 3)),
    "attention": (
        Net(lambda m, x: m[0](x, x, x, need_weights=False)[0], nn.MultiheadAttention(6, 2, batch_first=True)), (2, 7, 6)
    ),
    "weights": (Net(lambda m, x: m[0](x, x, x)[0], nn.MultiheadAttention(6, 2)), (7, 2, 6)),
    "functions": (Net(_functions), (2, 7, 3)),
    "einsums": (Net(_einsums), (2, 7, 3)),
    "functional": (Net(lambda m, x: F.conv2d(x, m[0].weight, m[0].bias, padding=1), nn.Conv2d(3, 5, 3)), (2, 3, 7, 7)),
    "twice": (Net(lambda m, x: m[0](m[0](x)), nn.Conv2d(3, 3, 3, padding=1)), (2, 3, 7, 7)),
    "interpolated": (Net(lambda m, x: F.interpolate(F.interpolate(x, size=(9, 11)), scale_factor=(2, 1.5))), (2, 3, 7, 7)),
}  # fmt: skip

CRASHES = {("torchstat", "sequence"): AssertionError}  # documented: it asserts two dimensions
ONE_SAMPLE = ("torchstat",)  # run at a batch of 1
NO_TUPLES = ("torchstat", "torchsummary")  # their hooks read a tensor's size
WITH_TUPLES = ("lstm", "projected", "gru", "cells", "attention", "weights")
WITHOUT_MODULES = ("functions", "einsums", "functional", "interpolated")
MEGABYTES = ("torchsummary", "torchsummary-forward")


def _installed(tool: str) -> bool:
    if "thop" in tool:
        return which_thop() == tool
    return importlib.util.find_spec(MODULES[tool]) is not None


def _check(tool: str, model: nn.Module, shape: tuple[int, ...]) -> None:
    ours = fxcount.analyze(model, shape).count(tool)
    with undisturbed(model) as copied:
        theirs = TOOLS[tool](copied, torch.rand(shape))
    if tool in MEGABYTES:  # printed with two decimals
        assert theirs == pytest.approx(ours / 2**20, abs=0.0051)
    else:
        assert theirs == ours


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_itself_on_its_mistakes(tool: str, net: str) -> None:
    if not _installed(tool):
        pytest.skip(f"{tool} is not installed")
    family = tool.partition("-")[0]
    if (family in NO_TUPLES and net in WITH_TUPLES) or (family == "torchsummary" and net in WITHOUT_MODULES):
        pytest.skip(f"{family} fails on modules that return tuples and on models that call no module")
    model, shape = NETS[net]
    model.eval()
    if family in ONE_SAMPLE:
        shape = (1, *shape[1:])
    failure = CRASHES.get((family, net))
    if failure is not None:
        with pytest.raises(failure), undisturbed(model) as copied:
            TOOLS[tool](copied, torch.rand(shape))
        return
    _check(tool, model, shape)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_itself_on_a_cnn(tool: str) -> None:
    if not _installed(tool):
        pytest.skip(f"{tool} is not installed")
    _check(tool, CASES["mobilenet_v3_small"].on("cpu"), (1, 3, 65, 97))


def test_fvcore_itself_on_a_resnet() -> None:
    pytest.importorskip("fvcore")
    _check("fvcore", CASES["resnet18"].on("cpu"), (1, 3, 65, 97))


@pytest.mark.parametrize("tool", [t for t in TOOLS if not t.startswith(("torchstat", "torchsummary"))])
@pytest.mark.parametrize("name", ["vit", "swin"])
def test_the_tool_itself_on_a_transformer(tool: str, name: str) -> None:
    if not _installed(tool):
        pytest.skip(f"{tool} is not installed")
    models = importlib.import_module("torchvision").models
    model = (
        models.VisionTransformer(image_size=33, patch_size=11, num_layers=2, num_heads=2, hidden_dim=14, mlp_dim=26)
        if name == "vit"
        else models.SwinTransformer([2, 2], 12, [2, 2], [1, 3], [5, 5])
    )
    _check(tool, model.eval(), (3, 3, 33, 33))


def test_pycls_itself() -> None:
    """Its complexity knows only its own models: a RegNetY with squeeze and excitation."""
    pytest.importorskip("pycls")
    network, config = (importlib.import_module(f"pycls.core.{name}") for name in ("net", "config"))
    importlib.import_module("pycls.models.regnet")
    cfg = config.cfg
    for name, value in {"DEPTH": 16, "W0": 48, "WA": 27.89, "WM": 2.09, "GROUP_W": 8, "SE_ON": True}.items():
        setattr(cfg.REGNET, name, value)
    cfg.MODEL.NUM_CLASSES, cfg.TRAIN.IM_SIZE = 1000, 97
    model = sys.modules["pycls.models.regnet"].RegNet().eval()
    theirs = network.complexity(model)
    report = fxcount.analyze(model, "B,3,97,97").at(B=3)
    assert (report.count("pycls"), report.count("pycls-activations")) == (theirs["flops"], theirs["acts"])


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(torch, "_grouped_mm"), reason="this torch has no grouped products")
def test_products_of_groups_have_no_formula_in_torchs_counter() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(3, 32, 16, dtype=torch.bfloat16, device="meta"))

        def forward(self, x: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
            return torch._grouped_mm(x, self.weight, ends) @ self.weight[0].mT

    model = Experts()
    x, ends = (torch.empty(size, dtype=kind, device="meta") for size, kind in (((64, 32), torch.bfloat16), (3, torch.int32)))
    report = fxcount.analyze(model, "bf16[N,32]", "i32[3]", hints={"N": 64})
    assert report.at(N=64).count("torch") == counted_flops(model, x, ends) == 2 * 64 * 16 * 32  # of the second product alone
    assert report.at(N=64).macs == 2 * 64 * 16 * 32


@pytest.mark.parametrize("model", ["mobilenet_v3_small", "llama", "whisper"])
def test_torch_counts_on_meta(model: str) -> None:
    case = CASES[model]
    for sizes in case.sizes[:2]:
        kwargs = inputs(dict(case.kwargs), sizes, "meta")
        expected = counted_flops(case.on("meta"), *inputs(case.args, sizes, "meta"), **kwargs)
        assert analysed(model).at(**sizes).count("torch") == expected


@pytest.mark.parametrize("model", ["timm_mobilevit", "t5", "shufflenet_v2_x0_5"])
def test_differences_add_up(model: str) -> None:
    """Every convention: number = exact macs in its unit + its differences, as formulas and at numbers."""
    sizes = CASES[model].sizes[0]
    for report in (analysed(model), analysed(model).at(**sizes)):
        macs = report.size(report.costs.total.macs)
        for row in report.conventions():
            assert row.number - row.exact - sum((d.amount for d in row.differences), 0) == 0
            if row.convention.per == "batch":
                assert row.exact - macs * row.convention.per_mac == 0
            got = report.count(row.convention.name)
            assert got == (row.number if report.values is not None else fxcount.symbolic.to_sympy(row.number))


@pytest.mark.parametrize("model", ["mobilenet_v3_small", "timm_ghostnet", "bert"])
def test_formulas_and_numbers_agree(model: str) -> None:
    case = CASES[model]
    sizes = case.sizes[0]
    symbolic = analysed(model).at(**sizes)
    concrete = fxcount.analyze(case.on("meta"), *inputs(case.args, sizes, "meta"), **inputs(dict(case.kwargs), sizes, "meta"))
    for name in CONVENTIONS:
        assert symbolic.count(name) == concrete.count(name), name


def test_einsum_is_read_from_four_digits() -> None:
    """numpy prints 2 * 1234567 + 1 as 2.469e+06; half of that is 1234500. As a formula it is exact."""
    net = Net(lambda _, x: torch.einsum("ij,j->i", x, x[0]))
    report = fxcount.analyze(net, "N,1234567")
    assert report.count("fvcore") == 1234567 * sympy.Symbol("N", integer=True, positive=True)
    assert report.at(N=1).count("fvcore") == 1234500


def test_a_function_is_told_from_a_method_and_an_operator() -> None:
    """calflops patches torch.matmul and Tensor.matmul; ``@`` reaches neither."""
    for forward, expected in ((lambda _, x: x @ x, 0), (lambda _, x: x.matmul(x), 27), (lambda _, x: torch.matmul(x, x), 27)):
        assert fxcount.analyze(Net(forward), (3, 3)).count("calflops-macs") == expected


def test_an_unknown_name_names_the_others() -> None:
    with pytest.raises(InputError, match="did you mean 'fvcore'"):
        fxcount.analyze(_net(), (2, 3, 11, 13)).count("fvcor")


def test_a_mistake_is_stated_once_and_in_words() -> None:
    for c in CONVENTIONS.values():
        assert len({m.name for m in c.mistakes}) == len(c.mistakes)
        assert all([c.includes, c.excludes, c.source, c.versions, *(m.what for m in c.mistakes)])


# --- what is shown --------------------------------------------------------------------------------


def test_the_table() -> None:
    report = fxcount.analyze(_net(), (2, 3, 11, 13))
    text = render(report, report.conventions("fvcore", "thop"), details=True)
    assert text.splitlines()[:6] == [
        "Sequential: 40,710 exact MACs",
        "",
        "convention   number  unit                         off exact MACs by",
        "fvcore      43.57 k  FLOP (1 MAC = 1), per batch           +2.860 k",
        "      +2.860 k  batch_norm x1: 2 per element, statistics known",
        "    tool:       fvcore.nn.FlopCountAnalysis.total() (fvcore 0.1.5)",
    ]
    assert "    mistake:    ignores functional ops: only calls of registered module classes are seen" in text


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conventions", "demo", "--at", "B=2,H=64,W=64", "--tool", "fvcore", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["number"] == row["exact"] + sum(d["difference"] for d in row["differences"])
    assert main(["conventions", "demo", "--top", "1"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in shown for name in CONVENTIONS)
    assert main(["conventions", "demo", "--tool", "nothing"]) == 2


def test_the_documentation_is_that_of_the_code() -> None:
    """Write it anew with ``page.write_text(document())``."""
    page = Path(__file__).parents[2] / "docs" / "conventions.md"
    assert page.read_text(encoding="utf-8") == document()


class _Returns(nn.Module):
    """A layer whose module returns what the test asks for."""

    def __init__(self, what: Callable[[nn.Module, torch.Tensor], Any]) -> None:
        super().__init__()
        self.linear, self.what = nn.Linear(5, 3), what

    def forward(self, x: torch.Tensor) -> Any:
        return self.what(self.linear, x)


class _Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.inner(x)
        return x * 2


OUTPUTS: dict[str, Callable[[Any, torch.Tensor], Any]] = {
    "dict": lambda linear, x: {"logits": linear(x), "nested": {"list": [x, None, 3]}},
    "none": lambda linear, x: None,
    "number": lambda linear, x: x.shape[0],
    "sizes": lambda linear, x: x.shape,
    "nothing": lambda linear, x: (),
    "parameter": lambda linear, x: linear.weight,
    "parameters": lambda linear, x: {"weight": linear.weight, "bias": linear.bias, "y": linear(x)},
    "input": lambda linear, x: x,
    "text": lambda linear, x: "text",
    "module": lambda linear, x: linear,
}


@pytest.mark.parametrize("inside", [False, True], ids=["whole", "inside"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_every_tool_has_numbers_whatever_modules_return(name: str, inside: bool) -> None:
    model: nn.Module = _Returns(OUTPUTS[name])
    report = fxcount.analyze(_Around(model) if inside else model, "B,5")
    at = report.at(B=2) if report.symbols else report  # a model without ops has no symbol either
    assert {row.convention.name for row in at.conventions()} == set(CONVENTIONS)
    assert at.count("torch") == (2 * 2 * 3 * 5 if name in ("dict", "parameters") else 0)


VECTORS = {
    "torchstat-madd": 3 * (5 + 4),  # 5 products and 4 sums for each of 3 outputs
    "torchstat-flops": 3 * 5,
    "torchstat-memread": 4 * (5 + 15 + 3),
    "torchstat-memwrite": 4 * 3,
    "torch": 2 * 3 * 5,
    "fxcount": 3 * 5,
    "thop": 3 * 5,
    "fvcore": 3 * 5,
}
"""A linear layer of 5 features to 3 on one vector: what each tool's formula says of one row."""


def test_a_linear_of_a_vector() -> None:
    report = fxcount.analyze(nn.Linear(5, 3), "5,")
    assert {name: report.count(name) for name in VECTORS} == VECTORS


@pytest.mark.parametrize(
    ("layer", "spec"),
    [
        (nn.Conv1d(4, 6, 3), "4,L"), (nn.Conv2d(4, 6, 3), "4,H,W"), (nn.ConvTranspose2d(4, 6, 3), "4,H,W"),
        (nn.ConvTranspose1d(4, 6, 3), "4,L"), (nn.MaxPool2d(2), "4,H,W"), (nn.InstanceNorm2d(4), "4,H,W"),
        (nn.LSTM(4, 5), "T,4"), (nn.GRUCell(4, 5), "4,"), (nn.LayerNorm(4), "4,"), (nn.Softmax(0), "4,"),
        (nn.Embedding(5, 4), "i64[N]"), (nn.PReLU(), "4,"), (nn.ZeroPad2d(1), "4,H,W"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)  # fmt: skip
def test_layers_without_a_batch(layer: nn.Module, spec: str) -> None:
    report = fxcount.analyze(layer.eval(), spec)
    assert {row.convention.name for row in report.conventions()} == set(CONVENTIONS)


BY_VECTOR: dict[str, Callable[[Any, Any], Any]] = {
    "rows": lambda x, w: x @ w, "a matrix": lambda x, w: x[0] @ w, "permuted rows": lambda x, w: x.permute(1, 0, 2) @ w,
    "some of the rows": lambda x, w: x[:, 1:] @ w, "linear": lambda x, w: F.linear(x.transpose(0, 1), w),
    "from the left": lambda x, w: w @ x.mT, "from the left, permuted": lambda x, w: w @ x.transpose(0, 1).mT,
    "a row from the left": lambda x, w: w @ x[0].T, "expanded": lambda x, w: x[0, 0].expand(3, 4, 5) @ w,
}  # fmt: skip


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("name", BY_VECTOR)
def test_products_with_a_vector_are_what_torchs_counter_sees(name: str, trained: bool) -> None:
    """``torch.matmul`` makes an ``mv`` of some, which its counter does not know, and a ``bmm`` of others, which it does."""

    class ByVector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(5), requires_grad=trained)

        def forward(self, x: torch.Tensor) -> Any:
            return BY_VECTOR[name](x, self.w)

    report = fxcount.analyze(ByVector(), "B,S,5", hints={"B": 3, "S": 7})
    for b, s in ((3, 7), (2, 11)):
        with FlopCounterMode(display=False) as counter:
            ByVector()(torch.ones(b, s, 5))
        assert report.at(B=b, S=s).count("torch") == counter.get_total_flops()


def test_products_that_differ_in_what_wants_a_gradient_are_told_apart() -> None:
    """Two calls on equal shapes: one vector is trained, the other is not, and torch runs other kernels."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trained = nn.Parameter(torch.ones(5))
            self.register_buffer("fixed", torch.ones(5))

        def forward(self, x: torch.Tensor) -> Any:
            part = x[:, 1:]  # whose leading dimensions are no rows of one matrix
            return part @ self.trained + part @ self.fixed + part @ self.fixed

    with FlopCounterMode(display=False) as counter:
        Net()(torch.ones(3, 14, 5))
    assert fxcount.analyze(Net(), "B,S,5").at(B=3, S=14).count("torch") == counter.get_total_flops() == 2 * (2 * 3 * 13 * 5)


def test_a_module_stands_for_what_is_inside_it_once() -> None:
    """Attention holds a linear layer, and tools count one or both: the differences from the exact number add up all the same,
    and are those of one block, as often as it is called, wherever it stands."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(22, 2)
            self.up = nn.Linear(22, 22)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.matmul(self.up(self.attention(x, x, x)[0]), torch.ones(22, 22))

    one = fxcount.analyze(nn.Sequential(Block()), "S,B,22")
    three = fxcount.analyze(nn.Sequential(Block(), nn.Sequential(Block(), Block())), "S,B,22")
    for few, many in zip(one.conventions(), three.conventions(), strict=True):
        assert sympy.expand(sum([d.amount for d in many.differences]) - (many.number - many.exact)) == 0
        if few.convention.per_mac:
            assert sympy.expand(many.exact - 3 * few.exact) == 0
            assert {(d.kind, d.rule): 3 * d.calls for d in few.differences} == {
                (d.kind, d.rule): d.calls for d in many.differences
            }


def test_rules_are_named_after_ops_there_are() -> None:
    """Of every op the tool's rule is that under its names; only in-place variants may be missing."""
    found = [rules for rules in gc.get_objects() if type(rules) is Rules]
    assert len(found) >= 8
    for rules in found:
        known = [name for name in rules.by_name if name in REGISTRY.names]
        assert all(name.endswith("_") for name in rules.by_name.keys() - known)
        expected = {REGISTRY.named(name): rules.by_name[name] for name in known}
        for name in REGISTRY.names:
            assert rules.of(REGISTRY.named(name)) is expected.get(REGISTRY.named(name)), name


# -- loops of a symbolic number of steps, which are recorded once -------------------------------------------------------
class Cell(nn.Module):
    """Layers called in each step, one of them a container."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(5, 5, 3, padding=1)
        self.norm = nn.LayerNorm(5)
        self.inner = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 5))

    def forward(self, x: torch.Tensor) -> Any:
        def step(h: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            h = torch.relu(self.conv(h[..., None].expand(-1, -1, 4)).mean(-1) + t)
            h = self.inner(self.norm(h))
            return h, h.clone()

        return scan(step, x[0] * 1.0, x)[1]


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.pool = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> Any:
        def step(h: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            h = torch.relu(self.norm(self.conv(h)) + t)
            return h, torch.einsum("bchw,dc->bdhw", self.pool(h), self.conv.weight[:, :, 0, 0])

        return scan(step, x[0] * 1.0, x)[1]


def _at(formula: Any, steps: int) -> Any:
    found = sympy.sympify(formula)
    return found.subs(dict.fromkeys(found.free_symbols, steps))


@pytest.mark.parametrize(("build", "shape", "steps"), [(Cell, "{},7,5", 11), (Images, "{},2,3,8,6", 5)])
def test_a_loop_that_is_recorded_once_counts_as_its_steps_one_by_one(
    build: Callable[[], nn.Module], shape: str, steps: int
) -> None:
    model = build().eval()
    once = fxcount.analyze(model, shape.format("S"))
    assert any(s.times != 1 for s in once.trace.signatures)
    each = [(r.convention.name, r.number, r.exact) for r in fxcount.analyze(model, shape.format(steps)).conventions()]
    for report in (once, fxcount.load_report(once.to_graph_json())):
        rows = [(r.convention.name, _at(r.number, steps), _at(r.exact, steps)) for r in report.conventions()]
        assert rows == each
        assert [(r.convention.name, r.number, r.exact) for r in report.at(S=steps).conventions()] == each
