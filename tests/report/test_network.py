"""The graph of a report: what is in it, and that questions asked of it have the answers the passes give."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fxcount
from fxcount.report.views.graphs import flow
from fxcount.report.views.graphs.network import laid_out
from tests.passes.test_gradients import BODIES, Net
from tests.zoo import CASES, analysed


class Small(nn.Module):
    """One of each: a tied weight, a dead layer, a buffer, a module called twice, a write in place, a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 5)
        self.mix = nn.Linear(5, 5, bias=False)
        self.head = nn.Linear(5, 11, bias=False)
        self.head.weight = self.embed.weight
        self.idle = nn.Linear(3, 2)
        self.register_buffer("scale", torch.ones(5))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        x = self.mix(self.mix(x))
        x.mul_(self.scale)
        return self.head(x) + torch.ones(11)


def _kinds(items: Any) -> dict[str, int]:
    return dict(Counter(kind for *_, kind in items))


@pytest.fixture(scope="module")
def small() -> nx.MultiDiGraph:
    return fxcount.analyze(Small(), "i64[B,S]").to_networkx()


def test_nodes_of_a_small_net(small: nx.MultiDiGraph) -> None:
    assert _kinds(small.nodes(data="kind")) == {
        "input": 1,
        "parameter": 4,  # embed.weight, mix.weight, idle.weight, idle.bias
        "alias": 1,  # head.weight
        "buffer": 1,
        "module": 5,  # the model, embed, mix, head, idle
        "module_call": 5,  # the model, embed, mix twice, head
        "op": 7,  # embedding, linear, linear, mul_, linear, ones, add
        "output": 1,
    }


def test_edges_of_a_small_net(small: nx.MultiDiGraph) -> None:
    assert _kinds(small.edges(data="kind")) == {
        # ids -> embedding -> linear -> linear -> mul_ <- scale; mul_ -> linear -> add <- ones; add -> output
        "data": 4 + 1 + 2 + 1 + 1,
        "parameter": 4,  # embed.weight twice, mix.weight twice
        "view": 1,  # mul_ writes to the memory of the second linear
        "alias": 1,
        "call": 5,
        # modules: 4 under the model; state: 4 parameters, 1 further name, 1 buffer; calls: 4 under the model;
        # ops: 4 layers in their calls, and mul_, ones, add in the model's
        "contains": 4 + 6 + 4 + 7,
    }
    uses = [(t, edge["argument"]) for _, t, edge in small.out_edges("parameter:embed.weight", data=True)]
    assert uses == [("op:0", "weight"), ("op:4", "weight")]
    (written,) = [edge for edge in small.out_edges("buffer:scale", data=True) if edge[2]["kind"] == "data"]
    assert written[1:] == (
        "op:3",
        {"kind": "data", "gradient": False, "argument": "other", "shape": [5], "dtype": "float32", "nbytes": 20},
    )


@pytest.mark.parametrize("depth", [None, 1])
def test_what_is_written_without_networkx_is_the_same_graph_in_the_same_order(depth: int | None) -> None:
    report = fxcount.analyze(Small(), "i64[B,7]")
    graph = report.to_networkx(depth)
    nodes, between = laid_out(report, depth)
    costs = {"macs", "flops", "transcendentals", "read_bytes", "write_bytes"} if depth is None else set()  # are not drawn
    expected = [(node, {k: v for k, v in attributes.items() if k not in costs}) for node, attributes in graph.nodes(data=True)]
    assert list(nodes.items()) == expected
    listed = [(s, t, edge) for s, targets in between.items() for t, found in targets.items() for edge in found]
    assert listed == list(graph.edges(data=True))


@pytest.mark.parametrize("depth", [None, 1])
def test_networkx_itself_would_have_made_the_graph_so(small: nx.MultiDiGraph, depth: int | None) -> None:
    report = fxcount.analyze(Small(), "i64[B,S]")
    graph, made = report.to_networkx(depth), nx.MultiDiGraph()
    made.graph.update(graph.graph)
    for node, attributes in graph.nodes(data=True):
        made.add_node(node, **attributes)
    for source, target, attributes in graph.edges(data=True):
        made.add_edge(source, target, **attributes)
    assert nx.utils.graphs_equal(made, graph)
    assert {node: dict(graph.pred[node]) for node in graph} == {node: dict(made.pred[node]) for node in graph}
    graph.add_edge("module:", "module:", kind="mine")
    graph.remove_node("input:ids" if depth is None else "output:0")
    assert graph.number_of_edges() == sum(graph.in_degree[node] for node in graph)
    pickle.loads(pickle.dumps(graph))


def test_a_graph_is_the_users_to_change() -> None:
    report = fxcount.analyze(nn.Sequential(*[nn.Linear(5, 5, bias=False) for _ in range(3)]), "B,5")
    graph, untouched = report.to_networkx(), report.to_networkx()
    for attributes in [*dict(graph.nodes(data=True)).values(), *[a for *_, a in graph.edges(data=True)]]:
        assert "mine" not in attributes
        attributes["mine"] = True
        for part in attributes.values():
            for each in [part, *part] if isinstance(part, list) else ():
                if isinstance(each, list):
                    assert "mine" not in each
                    each.append("mine")
    assert nx.utils.graphs_equal(report.to_networkx(), untouched)


def test_attributes_are_formulas_until_sizes_are_given() -> None:
    report = fxcount.analyze(Small(), "i64[B,S]")
    assert report.to_networkx().nodes["op:1"]["macs"] == "25*B*S"  # 5 by 5 weights for each token
    assert report.to_networkx().nodes["op:1"]["shapes"] == [["B", "S", 5]]
    graph = report.at(B=2**70, S=3).to_networkx()
    assert graph.nodes["op:1"]["macs"] == 75 * 2**70
    assert graph.nodes["op:1"]["shapes"] == [[2**70, 3, 5]]
    assert graph.graph["at"] == {"B": 2**70, "S": 3}


def _plain(value: Any) -> bool:
    if isinstance(value, (list, dict)):
        return all(map(_plain, value if isinstance(value, list) else value.values()))
    return type(value) in (str, int, bool)


def test_attributes_are_plain(small: nx.MultiDiGraph) -> None:
    for attributes in (*(a for _, a in small.nodes(data=True)), *(a for *_, a in small.edges(data=True)), small.graph):
        assert all(map(_plain, attributes.values())), attributes
    assert nx.utils.graphs_equal(pickle.loads(pickle.dumps(small)), small)


# -- questions --------------------------------------------------------------------------------------------------------
def _reaching(graph: nx.MultiDiGraph) -> set[str]:
    outputs = [node for node, kind in graph.nodes(data="kind") if kind == "output"]
    return {node for output in outputs for node in nx.ancestors(graph, output)} | set(outputs)


def _dead(graph: nx.MultiDiGraph) -> set[str]:
    """Docs: no path to an output, or a gradient is asked for that does not come, in a model that gives any."""
    data, trained = _reaching(flow(graph)), _reaching(flow(graph, gradient=True))
    parameters = {node: a for node, a in graph.nodes(data=True) if a["kind"] == "parameter"}
    gives = any(node in trained for node in parameters)
    return {
        a["name"] for node, a in parameters.items()
        if node not in trained and (node not in data or (gives and a["requires_grad"]))
    }  # fmt: skip


def _shared(graph: nx.MultiDiGraph) -> dict[str, set[str]]:
    """Docs: parameters with further names."""
    found: dict[str, set[str]] = {}
    for source, target, kind in graph.edges(data="kind"):
        if kind == "alias" and target.startswith("parameter:"):
            found.setdefault(graph.nodes[target]["name"], set()).add(graph.nodes[source]["name"])
    return found


def _agrees(report: fxcount.Report) -> None:
    graph = report.to_networkx()
    rows = report.params.rows()
    assert _dead(graph) == {r.name for r in rows if r.dead}
    trained = _reaching(flow(graph, gradient=True))
    assert {r.name for r in rows if f"parameter:{r.name}" in trained} == {r.name for r in rows if r.gets_gradient}
    assert _shared(graph) == {r.name: set(r.names[1:]) for r in rows if len(r.names) > 1}
    for row in rows:
        uses = [
            (target, edge.get("argument", "")) for _, target, edge in graph.out_edges(f"parameter:{row.name}", data=True)
            if edge["kind"] == "parameter"
        ]  # fmt: skip
        ops = [(f"op:{u.call}", u.argument) for u in row.used_by if u.op != "output"]
        assert sorted(u for u in uses if u[0].startswith("op:")) == sorted(ops)


@pytest.mark.parametrize("name", ["resnet50", "googlenet", "swin_t", "llama", "bert", "gpt2", "t5", "whisper"])
def test_queries_agree_with_the_passes(name: str) -> None:
    _agrees(analysed(name))


def test_queries_agree_with_the_passes_in_training() -> None:
    with torch.device("meta"):
        _agrees(fxcount.analyze(CASES["googlenet"].build().train(), "B,3,H,W"))


def test_tied_weights_of_t5_are_found() -> None:
    """T5 holds one embedding under four names: shared, encoder, decoder and head."""
    assert _shared(analysed("t5").to_networkx()) == {
        "shared.weight": {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}
    }


class Dying(nn.Module):
    """Parameters that end in every way a gradient, or more, can end."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("live", "detached", "silent", "shape", "lost", "written", "beside"):
            setattr(self, name, nn.Parameter(torch.zeros(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * self.live + (x * self.detached).detach()
        with torch.no_grad():
            x = x + self.silent
        x = x + torch.zeros_like(self.shape)
        F.relu(x * self.lost)
        y = torch.zeros(2, 3)
        y[0] = self.written
        return x + y[1] + y[0] + torch.ones(3).add_(self.beside)


def test_queries_agree_with_autograd() -> None:
    model = Dying()
    report = fxcount.analyze(model, "B,3")
    _agrees(report)
    model(torch.randn(2, 3)).sum().backward()
    graph = report.to_networkx()
    trained = _reaching(flow(graph, gradient=True))
    named = dict(model.named_parameters())
    assert {n for n in named if f"parameter:{n}" in trained} == {n for n, p in named.items() if p.grad is not None}
    data = _reaching(flow(graph))
    assert {n for n in named if f"parameter:{n}" not in data} == {"shape", "lost"}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_queries_agree_with_the_passes_on_hand_made_models(body: Any) -> None:
    """Which are held to autograd where they come from."""
    report = fxcount.analyze(Net(body), "B,5", hints={"B": 7})
    _agrees(report)
    assert fxcount.load_report(report.to_graph_json()).to_dict() == report.to_dict()


def test_results_of_one_operand_each_are_not_mixed_up() -> None:
    """Nothing of the second operand is in the first result."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(3, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first, _ = torch.broadcast_tensors(self.a * x, self.b * 2)
            return first

    report = fxcount.analyze(Net(), "5,")
    _agrees(report)
    graph = report.to_networkx()
    assert _dead(graph) == {"b"}
    assert [(s, t) for s, t, kind in graph.edges(data="kind") if kind == "contains" and s.startswith("op:")] == [
        ("op:2", "result:2.0"), ("op:2", "result:2.1"),
    ]  # fmt: skip
    assert not [node for node in report.to_networkx(depth=0) if node.startswith("result:")]


def test_a_function_of_its_own_backward_passes_gradients() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            return grad * 2

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Double.apply(self.linear(x))

    report = fxcount.analyze(Net(), "B,3")
    _agrees(report)
    assert not _dead(report.to_networkx())


def test_views_and_aliases() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            whole = torch.zeros(6)
            self.first, self.second = nn.Parameter(whole[:2]), nn.Parameter(whole[2:])
            self.block = nn.Linear(4, 4)
            self.again = self.block

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.again(x[:, 2:] + self.second).view(-1, 2, 2)

    graph = fxcount.analyze(Net(), "B,6").to_networkx()
    pairs = {kind: {(s, t) for s, t, k in graph.edges(data="kind") if k == kind} for kind in ("view", "alias")}
    assert ("parameter:second", "parameter:first") in pairs["view"]
    assert ("op:0", "input:x") in pairs["view"]  # the slice
    assert pairs["alias"] == {
        ("module:again", "module:block"), ("alias:again.weight", "parameter:block.weight"),
        ("alias:again.bias", "parameter:block.bias"),
    }  # fmt: skip


# -- depth ------------------------------------------------------------------------------------------------------------
def test_the_whole_model_as_one_node() -> None:
    graph = fxcount.analyze(Small(), "i64[B,S]").to_networkx(depth=0)
    kinds = _kinds(graph.nodes(data="kind"))
    assert (kinds["module_call"], kinds.get("op", 0)) == (1, 0)
    assert graph.nodes["call:0"]["parameters"] == 25  # mix; the shared and the dead ones are apart
    assert graph.nodes["module:idle"]["dead_parameters"] == 8  # 2 by 3 and 2
    assert "parameter:embed.weight" in graph


@pytest.mark.parametrize("name", ["resnet18", "t5", "llama_cached"])
@pytest.mark.parametrize("depth", [0, 1, 2, 3, 99])
def test_collapsing_keeps_work_parameters_and_paths(name: str, depth: int) -> None:
    report = analysed(name)
    report = report.at(**{symbol: hint + 32 for symbol, hint in report.symbols.items()})
    full, graph = report.to_networkx(), report.to_networkx(depth)
    nodes = graph.nodes(data=True)
    assert all(a["depth"] <= depth for _, a in nodes if a["kind"] == "module_call")
    collapsed = {n for n, a in nodes if a["kind"] == "module_call" and a["collapsed"]}
    assert sum(a["macs"] for n, a in nodes if a["kind"] == "op" or n in collapsed) == report.macs
    elements = sum(a["elements"] for _, a in nodes if a["kind"] == "parameter")
    assert elements + sum(graph.nodes[n]["parameters"] for n in collapsed) == sum(r.numel for r in report.params.rows())
    for output in [n for n, a in nodes if a["kind"] == "output"]:
        kept = nx.ancestors(flow(full), output) & graph.nodes
        assert nx.ancestors(flow(graph), output) >= kept  # more, as what goes into a node may come out of it anywhere
    if depth == 99:
        assert nx.utils.graphs_equal(graph, full)


def test_collapsed_modules_hide_what_is_in_them() -> None:
    graph = analysed("resnet18").to_networkx(depth=1)
    labels = [a["path"] for _, a in graph.nodes(data=True) if a["kind"] == "module_call" and a["collapsed"]]
    assert labels == ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"]
    assert not [n for n, kind in graph.nodes(data="kind") if kind in ("parameter", "buffer")]
    assert "module:layer1.0" not in graph


@pytest.mark.parametrize("depth", [-1, 1.5, True])
def test_depth_is_a_count(depth: Any) -> None:
    with pytest.raises(fxcount.InputError, match="depth must be an integer"):
        fxcount.analyze(nn.Linear(3, 5), "B,3").to_networkx(depth)
