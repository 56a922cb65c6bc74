"""The drop-ins for fvcore's counters and tables beside fvcore itself."""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.compat import fvcore as ours
from tests.compat.peers import Blocks, Thrice, Tied, peer, printed, torchvision_model


class Readme(nn.Module):
    """The model of the docstrings of fvcore."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1000, 10)
        self.conv = nn.Conv2d(3, 10, 1)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.act(self.conv(x)).flatten(1))


class Nested(nn.Module):
    """Modules inside modules, one of them shared under two names, one never called, one with a single child."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = nn.Sequential(nn.Sequential(nn.Linear(5, 5), nn.LayerNorm(5)))
        self.again = self.outer[0][0]
        self.idle = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.again(self.outer(x)) + x


CASES: list[tuple[type[nn.Module], torch.Tensor]] = [
    (Readme, torch.zeros(1, 3, 10, 10)), (Nested, torch.zeros(2, 5)), (Thrice, torch.zeros(1, 8, 9, 7)),
    (Blocks, torch.zeros(3, 5)), (Tied, torch.zeros(2, 7, dtype=torch.long)),
]  # fmt: skip


def pair(model: nn.Module, x: torch.Tensor, kind: str = "FlopCountAnalysis") -> tuple[Any, Any]:
    model.eval()
    theirs, mine = getattr(peer("fvcore.nn"), kind)(model, x), getattr(ours, kind)(model, x)
    for analysis in (theirs, mine):
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return theirs, mine


def cells(table: str) -> list[list[str]]:
    """A table without its blanks: today's tabulate drops the indentation fvcore asks for."""
    return [[cell.strip(" :-") for cell in line.split("|")] for line in table.splitlines()]


@pytest.mark.parametrize("kind", ["FlopCountAnalysis", "ActivationCountAnalysis"])
@pytest.mark.parametrize(("build", "x"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_counts_equal_fvcores(build: type[nn.Module], x: torch.Tensor, kind: str) -> None:
    theirs, mine = pair(build(), x, kind)
    assert mine.total() == theirs.total()
    assert mine.by_module_and_operator() == theirs.by_module_and_operator()
    assert mine.by_module() == theirs.by_module()
    assert mine.uncalled_modules() == theirs.uncalled_modules()
    for name in theirs.by_module():
        assert mine.total(name) == theirs.total(name)
        assert mine.by_operator(name) == theirs.by_operator(name)


@pytest.mark.parametrize(("build", "x"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_texts_equal_fvcores(build: type[nn.Module], x: torch.Tensor) -> None:
    fvcore = peer("fvcore.nn")
    model = build()
    theirs, mine = pair(model, x)
    acts, my_acts = pair(model, x, "ActivationCountAnalysis")
    assert cells(ours.flop_count_table(mine)) == cells(fvcore.flop_count_table(theirs))
    mixed = {"max_depth": 1, "show_param_shapes": False}
    assert cells(ours.flop_count_table(mine, activations=my_acts, **mixed)) == cells(
        fvcore.flop_count_table(theirs, activations=acts, **mixed)
    )
    assert ours.flop_count_str(mine, my_acts) == fvcore.flop_count_str(theirs, acts)
    assert dict(ours.parameter_count(model)) == dict(fvcore.parameter_count(model))
    assert cells(ours.parameter_count_table(model)) == cells(fvcore.parameter_count_table(model))


def test_a_torchvision_model() -> None:
    fvcore = peer("fvcore.nn")
    model = torchvision_model("resnet18")
    theirs, mine = pair(model, torch.zeros(1, 3, 64, 96))
    assert mine.by_module_and_operator() == theirs.by_module_and_operator()
    assert mine.unsupported_ops() == theirs.unsupported_ops()
    assert cells(ours.flop_count_table(mine)) == cells(fvcore.flop_count_table(theirs))
    assert ours.flop_count_str(mine) == fvcore.flop_count_str(theirs)


def test_examples_of_the_docstrings() -> None:
    flops = ours.FlopCountAnalysis(Readme(), (torch.zeros(1, 3, 10, 10),))
    assert (flops.total(), flops.total("fc")) == (13000, 10000)
    assert flops.by_module() == Counter({"": 13000, "fc": 10000, "conv": 3000, "act": 0})
    acts = ours.ActivationCountAnalysis(Readme(), (torch.zeros(1, 3, 10, 10),))
    assert (acts.total(), acts.total("fc")) == (1010, 10)
    gigaflops, skipped = ours.flop_count(Readme(), (torch.zeros(1, 3, 10, 10),))
    assert dict(gigaflops) == {"conv": 3e-6, "linear": 1e-5}
    assert not skipped
    assert dict(ours.activation_count(Readme(), (torch.zeros(1, 3, 10, 10),))[0]) == {"conv": 1e-3, "linear": 1e-5}


def test_handles_of_ones_own() -> None:
    peer("fvcore.nn")
    from fvcore.nn.jit_handles import generic_activation_jit, get_shape

    def handle(inputs: list[Any], outputs: list[Any]) -> int:
        return 7 * len(get_shape(inputs[0])) + get_shape(outputs[0])[0]

    theirs, mine = pair(Nested(), torch.zeros(2, 5))
    theirs.set_op_handle("aten::layer_norm", lambda *_: Counter())  # None is to do this, and does not where there is a handle
    mine.set_op_handle("aten::layer_norm", None)
    for analysis in (theirs, mine):
        analysis.set_op_handle("aten::add", handle)
    assert mine.by_module_and_operator() == theirs.by_module_and_operator()
    assert mine.by_operator()["add"] == 7 * 2 + 2
    copies = [analysis.copy(new_inputs=torch.zeros(3, 5)) for analysis in (theirs, mine)]
    assert copies[1].by_operator() == copies[0].by_operator()
    for analysis in (theirs, mine):
        analysis.clear_op_handles().set_op_handle(**{"aten::linear": generic_activation_jit("line")})
    assert mine.by_module_and_operator() == theirs.by_module_and_operator()
    assert mine.by_operator() == Counter({"line": 20})
    callers = [analysis.copy().ancestor_mode("caller") for analysis in (theirs, mine)]
    assert callers[1].by_module_and_operator() == callers[0].by_module_and_operator() != mine.by_module_and_operator()
    with pytest.raises(TypeError, match="pairs"):
        mine.set_op_handle("aten::add")


def products(x: torch.Tensor) -> torch.Tensor:
    return x @ x + x


class Compiled(nn.Module):
    """Functions that TorchScript has compiled: before, while the model runs, one in another, by running it, in a submodule."""

    def __init__(self, inner: bool = True) -> None:
        super().__init__()
        self.scripted, self.traced = torch.jit.script(products), torch.jit.trace(products, torch.ones(3, 3))
        self.linear = nn.Linear(7, 7)
        self.inner = Compiled(inner=False) if inner else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = torch.jit.script(products)
        return self.inner(self.linear(self.scripted(x) * made(x))) @ self.traced(x)  # type: ignore[no-any-return]


QUIET = pytest.mark.filterwarnings("ignore:.torch.jit.(script|trace)", "ignore::torch.jit.TracerWarning")


@QUIET
@pytest.mark.parametrize("kind", ["FlopCountAnalysis", "ActivationCountAnalysis"])
def test_what_torchscript_compiled_is_one_unsupported_node(kind: str) -> None:
    theirs, mine = pair(Compiled(), torch.ones(7, 7), kind)
    assert mine.by_module_and_operator() == theirs.by_module_and_operator()
    assert mine.unsupported_ops()["prim::CallFunction"] == 6
    for name in ("", "linear", "inner", "inner.linear"):
        assert mine.unsupported_ops(name) == theirs.unsupported_ops(name)
    for analysis in (theirs, mine):
        analysis.set_op_handle("prim::CallFunction", seen)
    assert mine.by_operator() == theirs.by_operator()
    assert "prim::CallFunction" not in mine.unsupported_ops()


@QUIET
def test_fxcount_itself_counts_what_torchscript_compiled() -> None:
    report = fxcount.analyze(Compiled(), "7,7")
    assert report.macs == (6 + 4) * 7**3  # products inside of compiled functions, and outside
    assert report.count("fvcore") == 4 * 7**3
    assert fxcount.load_report(report.to_json()).count("fvcore") == 4 * 7**3
    assert report.params.dead == 0


class Outer(torch.autograd.Function):
    """Calls another function, and one that is compiled."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, compiled: Any) -> torch.Tensor:
        return Doubled.apply(x, x) + compiled(x) if compiled else Doubled.apply(x, x)


@QUIET
@pytest.mark.parametrize("compiled", [True, False])
def test_functions_within_functions_are_nodes_but_not_within_compiled_ones(compiled: bool) -> None:
    inner = torch.jit.script(products) if compiled else None
    whole = torch.jit.trace(lambda x: Outer.apply(x, None), torch.ones(3, 3))

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Outer.apply(x, inner) @ whole(x)

    theirs, mine = pair(Net(), torch.ones(7, 7))
    assert mine.by_module_and_operator() == theirs.by_module_and_operator()
    nodes = {"prim::PythonOp.Outer": 1, "prim::PythonOp.Doubled": 1, "prim::CallFunction": 1 + compiled}
    assert mine.unsupported_ops() == theirs.unsupported_ops() == nodes


@QUIET
def test_a_compiled_submodule_counts_where_fvcore_refuses_it() -> None:
    theirs, mine = pair(nn.Sequential(torch.jit.script(nn.Linear(7, 5)), nn.Linear(5, 3)), torch.ones(2, 7))
    with pytest.raises(RuntimeError, match="ScriptModules"):
        theirs.total()
    assert mine.by_module() == {"": 100, "0": 70, "1": 30}


class Doubled(torch.autograd.Function):
    """A function of the user's, with a product inside that torch.jit does not see."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return 2 * (x @ w)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        raise NotImplementedError


class Nodes(nn.Module):
    """Ops whose operands a node orders in another way than a call does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.same = nn.Conv1d(6, 6, 3, padding="same")
        self.up = nn.ConvTranspose2d(6, 2, (3, 2), stride=(2, 1), output_padding=(1, 0), bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.weight = nn.Parameter(torch.ones(5, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(self.norm(x))
        y = self.up(y) + self.same(y.flatten(2)).sum()
        y = torch.einsum("bchw,bkhw->bck", y, y[:, :1]) + torch.layer_norm(y, [5], eps=1e-3).mean()
        return Doubled.apply(y.new_ones(3, 5), self.weight) + torch.add(y.sum(), y.sum(), alpha=2)


def seen(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """All a handle can ask of a node."""
    found: Counter[str] = Counter()
    for i, v in enumerate(inputs):
        if v.isCompleteTensor():
            found[f"{i}: {v.type().sizes()}"] += 1
        elif list(v.node().inputs()):
            found[f"{i}: {[p.type().sizes() if p.isCompleteTensor() else p.toIValue() for p in v.node().inputs()]}"] += 1
        elif isinstance(v.toIValue(), (bool, int, str)):
            found[f"{i}: {v.toIValue()}"] += 1
    found[f"out: {[o.type().sizes() for o in outputs]}"] += 1
    return found


@pytest.mark.parametrize("kind", ["_convolution", "einsum", "batch_norm", "layer_norm", "add", "flatten", "new_ones"])
def test_handles_get_what_a_node_of_torch_jit_has(kind: str) -> None:
    theirs, mine = pair(Nodes(), torch.zeros(2, 4, 9, 7))
    for analysis in (theirs, mine):
        analysis.set_op_handle(f"aten::{kind}", seen)
    assert theirs.by_operator()
    differs = {"_convolution": range(9, 13), "new_ones": range(2, 6)}.get(kind, range(0))  # flags of cuDNN; dtypes as numbers
    found, expected = (
        {text: n for text, n in analysis.by_operator().items() if text.partition(":")[0] not in map(str, differs)}
        for analysis in (mine, theirs)
    )
    assert found == expected


def test_functions_of_the_users_are_nodes() -> None:
    theirs, mine = pair(Nodes(), torch.zeros(2, 4, 9, 7))
    assert mine.total() == theirs.total()
    assert mine.unsupported_ops()["prim::PythonOp.Doubled"] == 1 == theirs.unsupported_ops()["prim::PythonOp.Doubled"]
    assert mine.unsupported_ops()["aten::_convolution_mode"] == 1 == theirs.unsupported_ops()["aten::_convolution_mode"]
    for analysis in (theirs, mine):
        analysis.set_op_handle("prim::PythonOp.Doubled", lambda inputs, outputs: 42)
    assert mine.by_operator() == theirs.by_operator()
    assert mine.by_operator()["PythonOp.Doubled"] == 42
    assert mine.report.count("fvcore") == theirs.total() - 42


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_function_on_plain_tensors_is_a_node_too(requires_grad: bool) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Doubled.apply(x, x.t())

    theirs, mine = pair(Net(), torch.zeros(3, 5, requires_grad=requires_grad))
    assert mine.unsupported_ops() == Counter({"prim::PythonOp.Doubled": 1})
    assert mine.total() == theirs.total() == 0
    assert theirs.unsupported_ops()["prim::PythonOp.Doubled"] == 1
    assert mine.report.macs == 3 * 5 * 3


def test_handles_of_fvcores_names() -> None:
    """On nodes of torch.jit as fvcore's own, and on ours as on those."""
    theirs = importlib.import_module("fvcore.nn.jit_handles") if peer("fvcore.nn") else None
    mine = importlib.import_module("fxcount.compat.fvcore.jit_handles")
    supported = importlib.import_module("fvcore.nn.flop_count")._DEFAULT_SUPPORTED_OPS
    own = importlib.import_module("fxcount.compat.fvcore.flop_count")._DEFAULT_SUPPORTED_OPS
    assert own.keys() == supported.keys()
    model = nn.ModuleList([Nodes(), Readme(), Nested()])
    for net, x in zip(model, (torch.zeros(2, 4, 9, 7), torch.zeros(1, 3, 10, 10), torch.zeros(2, 5))):
        expected, found = pair(net, x)
        base = expected.copy().clear_op_handles().set_op_handle(**own)  # our handles on nodes of torch.jit
        assert base.by_operator() == expected.by_operator()
        found.clear_op_handles().set_op_handle(**own)  # on our operands
        assert found.by_operator() == expected.by_operator()
    assert ours.JitModelAnalysis(Nested(), "2,5").total() == 0
    assert mine.conv_flop_count((2, 3, 5, 7), (3, 4, 2, 2), (2, 4, 6, 8), True) == theirs.conv_flop_count(
        (2, 3, 5, 7), (3, 4, 2, 2), (2, 4, 6, 8), True
    )
    symbolic = ours.FlopCountAnalysis(nn.Conv2d(3, 8, 3, padding=1), "B,3,H,W").clear_op_handles().set_op_handle(**own)
    assert str(symbolic.total()) == "216*B*H*W"


def test_wrong_names_and_modes(caplog: pytest.LogCaptureFixture) -> None:
    flops = ours.FlopCountAnalysis(Nested(), torch.zeros(2, 5))
    assert flops.canonical_module_name("again") == "outer.0.0"
    with pytest.raises(KeyError):
        flops.total("nowhere")
    with pytest.raises(ValueError, match="ancestor mode"):
        flops.ancestor_mode("uncle")
    with pytest.raises(ValueError, match="warning mode"):
        flops.tracer_warnings("loud")
    with caplog.at_level(logging.WARNING):
        assert flops.unsupported_ops() == Counter({"aten::add": 1})
    assert "aten::add encountered 1 time" in caplog.text
    assert "idle" in caplog.text
    assert printed(flops.total) == ""


def test_formulas() -> None:
    flops = ours.FlopCountAnalysis(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1)), "B,3,H,W")
    assert str(flops.total("0")) == "216*B*H*W"
    assert "216*B*H*W" in ours.flop_count_table(flops)
