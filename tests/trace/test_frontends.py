"""Other ways in: each graph of a model gives what the model's own Python code gives, and what torch's counter counts."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.fx.experimental.proxy_tensor import make_fx

import fxcount
from fxcount.errors import InputError
from fxcount.torch_private import VERSION
from tests.oracles import counted_flops
from tests.trace.frontend_zoo import MODELS, exported, tensors, unlifted

# torch's export warns of its own internals
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")
] + [pytest.mark.filterwarnings("ignore:The .grad attribute")]  # fmt: skip


def totals(report: fxcount.Report, values: dict[str, int] | None = None) -> tuple[Any, ...]:
    r = report.at(**values) if values else report
    work = (r.macs, r.flops, r.transcendentals)
    if any(c.op.name in ("scalar_tensor", "setitem", "fill_") for c in report.trace.calls):
        return work  # export writes a number into a slice by way of a tensor of one element, or (since 2.15) fills it
    return *work, r.read_bytes, r.write_bytes


def owners(report: fxcount.Report) -> tuple[int, ...]:
    p = report.params
    return p.total, p.trainable, p.frozen, p.shared, p.dead, p.bytes, p.buffers


def tree(report: fxcount.Report) -> list[tuple[str, str, int]]:
    """Module calls that do something: a graph does not know of those that return their input."""
    return [
        (m.path, m.class_name, m.number)
        for m, call in zip(report.by_module(), report.trace.modules, strict=True)
        if call.stop > call.start
    ]


# -- exported programs ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", MODELS)
def test_exported_program_is_the_model(name: str) -> None:
    case = MODELS[name]
    model, eager, program = exported(name)
    report = fxcount.analyze(program, *case.args, **case.kwargs)
    assert report.frontend == "export"
    assert report.uncounted == ()
    assert report.macs == eager.macs
    for values in case.sizes:
        assert totals(report, dict(values)) == totals(eager, dict(values))
        args, kwargs = tensors(case, values)
        assert 2 * report.at(**values).macs == counted_flops(deepcopy(model), *args, **kwargs)
    assert owners(report) == owners(eager)
    assert tree(report) == tree(eager)
    assert report.trace.model_name == type(model).__name__


@pytest.mark.parametrize("name", MODELS)
def test_exported_program_without_inputs_has_its_own_symbols(name: str) -> None:
    case = MODELS[name]
    _, eager, program = exported(name)
    report = fxcount.analyze(program)
    assert len(report.symbols) == len(case.dynamic)
    hint = {"B": 2, "H": 64, "W": 96, "S": 13}
    assert totals(report, report.symbols) == totals(eager, {k: hint[k] for k in eager.symbols})


@pytest.mark.parametrize("name", MODELS)
def test_unlifted_module_of_an_exported_program(name: str) -> None:
    """``program.module()`` is a graph module with parameters as attributes and a tree of inputs."""
    case = MODELS[name]
    _, eager, program = exported(name)
    report = fxcount.analyze(unlifted(program), *case.args, **case.kwargs)
    assert report.frontend == "graph"
    assert totals(report, dict(case.sizes[0])) == totals(eager, dict(case.sizes[0]))
    assert owners(report) == owners(eager)
    assert tree(report) == tree(eager)


@pytest.mark.parametrize("name", ["vit", "bert"])
def test_decomposed_program(name: str) -> None:
    """Core ATen ops cost other flops here and there (a softmax that guards against empty rows), but not other macs.

    Since 2.14 a dropout that does nothing leaves no node behind, so that the graph cannot know of its module.
    """
    case = MODELS[name]
    model, eager, program = exported(name)
    decomposed = program.run_decompositions()
    report = fxcount.analyze(decomposed, *case.args, **case.kwargs)
    assert report.uncounted == ()
    for values in case.sizes:
        args, kwargs = tensors(case, values)
        assert 2 * report.at(**values).macs == counted_flops(deepcopy(model), *args, **kwargs)
    assert owners(report) == owners(eager)
    mentioned = {path for n in decomposed.graph.nodes for path, _ in n.meta.get("nn_module_stack", {}).values()}
    assert tree(report) == [row for row in tree(eager) if row[0] in mentioned]
    assert {kind for path, kind, _ in tree(eager) if path not in mentioned} <= {"Dropout"}


def test_decomposed_products_with_a_vector() -> None:
    """Each element of the result becomes n products and n - 1 sums; 5 elements of the matrix's product, 1 of the vectors'."""

    class Products(torch.nn.Module):
        def forward(self, matrix: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return matrix @ a, a @ b

    program = torch.export.export(Products(), (torch.zeros(5, 7), torch.zeros(7), torch.zeros(7)))
    whole, parts = fxcount.analyze(program), fxcount.analyze(program.run_decompositions())
    assert (whole.macs, whole.flops) == (6 * 7, 2 * 6 * 7)
    assert (parts.macs, parts.flops) == (0, 6 * (7 + 6))


def test_sources_are_lines_of_the_model() -> None:
    _, eager, program = exported("resnet18")
    files = {op.source.rpartition(":")[0] for op in fxcount.analyze(program).ops}
    assert files == {op.source.rpartition(":")[0] for op in eager.ops}


class Net(nn.Module):
    """A tied head, an unused layer, a buffer, a region without gradients, running statistics, a keyword input."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.mix = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight
        self.idle = nn.Linear(3, 3)
        self.register_buffer("scale", torch.ones(6))
        self.still = nn.Linear(6, 6)

    def forward(self, ids: torch.Tensor, *, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.mix(self.embed(ids)) * self.scale
        with torch.no_grad():
            still = self.still(x)
        x = self.norm(x.transpose(1, 2).contiguous()).transpose(1, 2) + still
        return {"logits": self.head(x * mask[..., None]), "pooled": x.reshape(x.shape[0], -1)}


def program_of(model: nn.Module) -> Any:
    batch, length = Dim("batch", max=64), Dim("length", min=3)
    shapes = {"ids": {0: batch, 1: length}, "mask": {0: batch, 1: length}}
    return export(model, (torch.zeros(3, 5, dtype=torch.long),), {"mask": torch.ones(3, 5)}, dynamic_shapes=shapes)


@pytest.fixture(scope="module")
def net() -> tuple[nn.Module, Any]:
    model = Net()
    return model, program_of(model)


def test_names_and_ranges_of_dimensions(net: tuple[nn.Module, Any]) -> None:
    model, program = net
    report = fxcount.analyze(program)
    eager = fxcount.analyze(model, "i64[batch,length]", mask="f32[batch,length]")
    assert report.symbols == {"batch": 3, "length": 5}
    assert totals(report) == totals(eager)
    assert [str(a) for a in report.assumptions if a.kind == "declared"] == ["batch <= 64", "length >= 3"]
    with pytest.raises(fxcount.AssumptionError, match="batch <= 64"):
        report.at(batch=65, length=5)


def test_states_keep_their_names_and_fates(net: tuple[nn.Module, Any]) -> None:
    model, program = net
    report = fxcount.analyze(program)
    rows = {r.name: r for r in report.params.all_rows}
    assert rows["embed.weight"].names == ("embed.weight", "head.weight")
    assert {r.name for r in report.params.rows("dead")} == {"idle.weight", "idle.bias", "still.weight", "still.bias"}
    assert {n for n, p in model.named_parameters()} == set(rows)
    assert fxcount.find_unused_parameters(program) == fxcount.find_unused_parameters(model, "i64[B,S]", mask="f32[B,S]")
    dead = ["idle.weight", "idle.bias", "still.weight", "still.bias"]
    assert fxcount.find_unused_parameters(program, outputs="logits") == dead


def test_training_decomposed_writes_its_statistics(net: tuple[nn.Module, Any]) -> None:
    model, program = net
    report = fxcount.analyze(program.run_decompositions())
    assert report.uncounted == ()
    assert report.flops == fxcount.analyze(model, "i64[batch,length]", mask="f32[batch,length]").flops
    written = {v.name for c in report.trace.calls if c.mutated for v in c.operands if v.origin == "buffer"}
    assert written == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert model.norm.num_batches_tracked == 0


def test_the_graph_of_the_report_computes_the_model() -> None:
    model = Net().eval()
    report = fxcount.analyze(program_of(model))
    ids, mask = torch.randint(11, (7, 4)), torch.rand(7, 4)
    expected = model(ids, mask=mask)
    found = report.graph_module(ids, mask)
    assert set(found) == set(expected)
    for key in expected:
        torch.testing.assert_close(found[key], expected[key])


@pytest.mark.skipif(VERSION < (2, 9), reason="files of an older torch are read with trust=True alone")
def test_file(net: tuple[nn.Module, Any], tmp_path: Path) -> None:
    """A file keeps neither the identity of tied parameters nor the names of dimensions; both can be had back."""
    _, program = net
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    for given in (path, str(path)):
        report = fxcount.analyze(given, "i64[batch,length]", mask="f32[batch,length]")
        assert report.frontend == "export"
        assert totals(report) == totals(fxcount.analyze(program))
        assert owners(report) == owners(fxcount.analyze(program))
        assert report.symbols == {"batch": 3, "length": 5}
    assert tree(fxcount.analyze(path)) == tree(fxcount.analyze(program))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(fxcount.InputError, match="no file"):
        fxcount.analyze(tmp_path / "missing.pt2")
    (tmp_path / "text.pt2").write_text("not a program")
    with pytest.raises(fxcount.InputError, match="cannot be loaded"):
        fxcount.analyze(tmp_path / "text.pt2")


def test_derived_dimensions_and_positional_names() -> None:
    h = Dim("h")
    program = export(nn.Conv2d(3, 5, 4, stride=4), (torch.zeros(2, 3, 8, 12),), dynamic_shapes=({2: 4 * h},))
    report = fxcount.analyze(program)
    assert report.symbols == {"h": 2}
    # one output pixel for every 4x4 patch: 2 images * h rows * 3 columns * 5 channels * (3*4*4) multiply-accumulates
    assert report.macs == 2 * 3 * 5 * 48 * report.macs.free_symbols.pop()


def test_inputs_that_do_not_fit_the_program(net: tuple[nn.Module, Any]) -> None:
    _, program = net
    with pytest.raises(fxcount.InputError, match="2 tensors"):
        fxcount.analyze(program, "i64[B,S]")
    with pytest.raises(fxcount.InputError, match="dimensions"):
        fxcount.analyze(program, "i64[B,S,3]", mask="f32[B,S]")
    with pytest.raises(fxcount.InputError, match="no keyword input"):
        fxcount.analyze(program, "i64[B,S]", masks="f32[B,S]")
    with pytest.raises(fxcount.InputError, match="elsewhere"):
        fxcount.analyze(program, "i64[B,S]", mask="f32[B,T]")
    static = export(nn.Linear(5, 7), (torch.zeros(3, 5),))
    with pytest.raises(fxcount.InputError, match="size 0 of the graph's input input is 3, not B"):
        fxcount.analyze(static, "B,5")
    assert fxcount.analyze(static, "3,5").macs == 3 * 5 * 7


@pytest.mark.skipif(VERSION < (2, 9), reason="torch.export takes no integer as a symbol")
def test_higher_order_regions_and_integers_of_a_program() -> None:
    """Checkpoints, autocast, ``torch.cond`` on a size, sizes that data decide, an integer input: as in Python."""

    class Regions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 7)

        def forward(self, x: torch.Tensor, n: int) -> torch.Tensor:
            x = x[x.sum(-1) > 0]
            y = torch.utils.checkpoint.checkpoint(self.layer, x, use_reentrant=False)
            with torch.autocast("cpu", torch.bfloat16):
                y = y + self.layer(x).float()
            return y.sum() * torch.ones(n)

    program = export(Regions(), (torch.randn(4, 5), 3), dynamic_shapes=({0: Dim.AUTO}, Dim.AUTO))
    report = fxcount.analyze(program)
    rows, count = next(n for n in report.symbols if n.startswith("nonzero")), report.trace.values_out()[0].fact.shape[0]
    others = {n: 11 for n in report.symbols if n not in (rows, str(count))}
    small, large = (report.at(**{rows: 3, str(count): n}, **others) for n in (5, 13))
    assert small.macs == large.macs == 2 * 3 * 35
    assert large.flops - small.flops == 13 - 5
    assert {d for c in report.trace.calls if c.op.name == "linear" for d in (c.outputs[0].fact.dtype,)} == {
        torch.float32, torch.bfloat16
    }  # fmt: skip


# -- graph modules ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["resnet18", "convnext", "mobilenet_v3"])
def test_symbolically_traced_graph(name: str) -> None:
    case = MODELS[name]
    model, eager, _ = exported(name)
    report = fxcount.analyze(torch.fx.symbolic_trace(model), *case.args)
    assert report.frontend == "graph"
    assert totals(report) == totals(eager)
    assert owners(report) == owners(eager)
    assert {m for m, _, _ in tree(report)} == {m for m, _, _ in tree(eager)}
    assert report.memory.peak == eager.memory.peak


def test_graph_with_shapes_needs_no_inputs() -> None:
    def f(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ w).sum(-1)

    graph = make_fx(f, tracing_mode="symbolic")(torch.ones(3, 5), torch.ones(5, 7))
    report = fxcount.analyze(graph)
    assert sorted(report.symbols.values()) == [3, 5, 7]
    assert report.at(**report.symbols).flops == 2 * 3 * 5 * 7 + 3 * 7 + 3 * 6
    renamed = fxcount.analyze(graph, "N,K", "K,M")
    assert str(renamed.macs) == "K*M*N"


def test_graph_without_shapes_asks_for_them() -> None:
    graph = torch.fx.symbolic_trace(nn.Linear(5, 7))
    with pytest.raises(fxcount.InputError, match="does not say the shape of its input"):
        fxcount.analyze(graph)
    with pytest.raises(fxcount.InputError, match="takes 1 inputs"):
        fxcount.analyze(graph, "B,5", "B,5")
    assert fxcount.analyze(graph, input="B,5").at(B=3).macs == 105


def test_shared_leaf_modules_and_defaults_of_a_graph() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 5)
            self.bias = nn.Parameter(torch.zeros(5))

        def forward(self, x: torch.Tensor, y: Any = None) -> torch.Tensor:
            return self.layer(self.layer(x)) + self.bias

    report = fxcount.analyze(torch.fx.symbolic_trace(Twice()), "B,5")
    assert [(m.path, m.number) for m in report.by_module()] == [("", 1), ("layer", 1), ("layer", 2)]
    assert (report.params.total, report.at(B=3).macs) == (35, 150)


# -- wrappers ------------------------------------------------------------------------------------------------------------
def test_compiled_models_are_unwrapped() -> None:
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU())
    plain = fxcount.analyze(net, "B,5")
    compiled = fxcount.analyze(torch.compile(net), "B,5")
    assert totals(compiled) == totals(plain)
    assert [r.names for r in compiled.params.all_rows] == [("0.weight",), ("0.bias",)]


@pytest.mark.usefixtures("fresh_dynamo")
def test_compiled_parts_run_as_python() -> None:
    """Nothing is compiled by an analysis, and what was compiled still is afterwards."""

    def refuse(graph: Any, inputs: Any) -> Any:
        raise AssertionError("compiled")

    net = nn.Sequential(torch.compile(nn.Linear(5, 7), backend=refuse), nn.Linear(7, 2))
    net[1].compile(backend=refuse)
    assert fxcount.analyze(net, "B,5").at(B=3).macs == 3 * (35 + 14)
    with pytest.raises(Exception, match="compiled"):
        net(torch.zeros(3, 5))


def test_data_parallel_keeps_the_names_its_user_sees() -> None:
    net = nn.DataParallel(nn.Sequential(nn.Linear(5, 7)))
    report = fxcount.analyze(net, "B,5")
    assert [r.name for r in report.params.all_rows] == [n for n, _ in net.named_parameters()]
    assert [(m.path, m.class_name) for m in report.by_module()] == [
        ("", "DataParallel"), ("module", "Sequential"), ("module.0", "Linear")
    ]  # fmt: skip


def test_distributed_data_parallel(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        net = nn.parallel.DistributedDataParallel(nn.Linear(5, 7))
        report = fxcount.analyze(net, "B,5")
    finally:
        torch.distributed.destroy_process_group()
    assert report.at(B=3).macs == 105
    assert [r.name for r in report.params.all_rows] == ["module.weight", "module.bias"]


# -- the way out ----------------------------------------------------------------------------------------------------------
class Mapped(nn.Module):
    """``torch.vmap`` over a module: no rule follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 7, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.vmap(lambda row: self.layer(row), in_dims=1)(x)
        return found


@pytest.fixture
def untraceable(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A model the tracer gives up on, for a reason that ``torch.export`` does not share."""
    from fxcount.trace import frontends

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise fxcount.UnsupportedError("the tracer cannot follow this", where="net.py:3")

    monkeypatch.setattr(frontends, "trace_model", refuse)
    return Mapped()


@pytest.mark.skipif(VERSION < (2, 9), reason="torch.export does not follow this vmap either")
def test_what_the_tracer_cannot_follow_is_exported(untraceable: nn.Module) -> None:
    report = fxcount.analyze(untraceable, "B,S,5")
    assert report.frontend == "export"
    assert report.at(B=3, S=11).macs == 3 * 11 * 35
    assert [r.name for r in report.params.all_rows] == ["layer.weight"]
    assert any("cannot follow this at net.py:3" in note for note in report.trace.notes)
    with pytest.raises(fxcount.UnsupportedError, match="cannot follow"):
        fxcount.analyze(untraceable, "B,S,5", frontend="trace")


def test_export_on_request_pins_what_export_specialises() -> None:
    class Pinned(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum() * torch.ones(int(x.shape[1]))

    model = Pinned()
    report = fxcount.analyze(model, "B,S", hints={"S": 13}, frontend="export")
    pins = [a for a in report.assumptions if a.kind == "pin"]
    assert [str(a).partition(" (")[0] for a in pins] == ["S == 13"]
    assert pins[0].reason == "torch.export specialised it"
    assert report.at(B=3, S=13).flops == 3 * 13 - 1 + 13
    with pytest.raises(fxcount.AssumptionError):
        report.at(B=3, S=14, extend=False)
    assert report.at(B=3, S=14).flops == 3 * 14 - 1 + 14  # specialised again


def test_a_models_own_error_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("mine")

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("exported")

    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(ValueError, match="mine"):
        fxcount.analyze(Broken(), "B,5")


def test_both_ways_fail(untraceable: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("export cannot either")

    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(fxcount.UnsupportedError, match="the tracer cannot follow this") as caught:
        fxcount.analyze(untraceable, "B,S,5")
    assert any("export cannot either" in note for note in caught.value.__notes__)


def test_what_is_no_model() -> None:
    with pytest.raises(fxcount.InputError, match="wants an nn"):
        fxcount.analyze(7, "B,5")
    with pytest.raises(fxcount.InputError, match="unknown front end"):
        fxcount.analyze(nn.Linear(5, 7), "B,5", frontend="magic")  # type: ignore[arg-type]


class Decides(nn.Module):
    """The sine of every element, or its cosine, and a cosine of the whole: which, a remainder of sizes says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = (x.shape[0] * x.shape[2]) % 5
        y = x.sin() if left == 3 else x
        return y.cos() if left > 1 else y


def test_decisions_that_export_recorded_are_assumed() -> None:
    """torch keeps them beside the graph, and not among the ranges of its symbols."""
    auto = torch.export.Dim.AUTO
    program = torch.export.export(Decides(), (torch.empty(2, 4, 49),), dynamic_shapes=({0: auto, 2: auto},))
    for report in (
        fxcount.analyze(program, "B,4,H", hints={"B": 2, "H": 49}),
        fxcount.analyze(Decides(), "B,4,H", hints={"B": 2, "H": 49}, frontend="export"),
    ):
        for b, h in ((2, 49), (2, 44), (3, 11), (2, 50), (3, 7), (9, 2), (4, 4)):
            plain = 4 * b * h * (((b * h) % 5 == 3) + ((b * h) % 5 > 1))
            try:
                at = report.at(B=b, H=h, extend=False)
            except fxcount.AssumptionError:
                assert b * h % 5 != 3
                continue
            assert at.transcendentals == plain == 8 * b * h
    with pytest.raises(InputError, match="== 3, which these are not"):
        fxcount.analyze(program, "2,4,50")


@pytest.mark.parametrize("function", [lambda *n: torch.sym_sum(n), lambda *n: torch.sym_ite(n[0] > 3, n[0] + n[1], 2 * n[1])])
def test_functions_of_torch_for_sizes_are_followed(function: Any) -> None:
    class Sums(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_ones(function(*x.shape))

    report = fxcount.analyze(Sums(), "B,H", hints={"B": 7, "H": 5})
    assert report.frontend == "trace"
    assert str(report.trace.values_out()[0].fact.shape[0]) == "B + H"


@pytest.mark.parametrize(
    ("make", "hints", "elsewhere"),
    [
        (lambda x: torch.diagonal(x, x.shape[1] - x.shape[2], 1, 2), {"H": 11, "W": 7}, {"H": 5, "W": 5}),
        (lambda x: x @ x, {"H": 5, "W": 5}, {"H": 5, "W": 7}),
        (lambda x: x.relu() if x.shape[1] == 2 * x.shape[2] else x, {"H": 14, "W": 7}, {"H": 15, "W": 7}),
        (lambda x: x.relu() if x.shape[1] % 2 == 0 else x, {"H": 14, "W": 7}, {"H": 15, "W": 7}),
    ],
)
def test_what_export_makes_of_two_sizes_is_assumed(make, hints, elsewhere):
    """torch.export writes one size by another where the model needs them to go together: ``H`` becomes ``s0 + 4``."""

    class Net(nn.Module):
        def forward(self, x):
            return make(x)

    report = fxcount.analyze(Net(), "B,H,W", hints={"B": 3, **hints}, frontend="export")
    at = {"B": 3, **hints}
    assert report.at(**at, extend=False).flops == fxcount.analyze(Net(), tuple(at.values())).flops
    with pytest.raises(fxcount.AssumptionError):
        report.at(B=3, **elsewhere, extend=False)
