"""Graphs as text: what JSON brings back, what networkx reads of the others, what DOT is made of."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch
from torch import nn

import fxcount
from fxcount.ops import TensorFact, Work
from fxcount.report.graphs import load_report, schema
from fxcount.report.views.conventions import CONVENTIONS
from fxcount.report.views.graphs.codec import Decoder, Encoder
from fxcount.report.views.graphs.markup import flattened
from fxcount.trace.tape import Source, Trace
from tests.zoo import CASES, analysed

ROUND_TRIPS = (
    "resnet50", "densenet121", "convnext_tiny", "swin_t", "vit_b_16", "googlenet", "timm_pit", "timm_mobilevit", "llama_cached",
    "bert", "gpt2", "t5", "whisper",
)  # fmt: skip


def _plain(x: Any) -> Any:
    """Rows of a pass, comparable: a place in the code is its file and line."""
    if isinstance(x, Source):
        return str(x)
    if isinstance(x, (tuple, list)):
        return [_plain(y) for y in x]
    if isinstance(x, dict):
        return {k: _plain(v) for k, v in x.items()}
    if dataclasses.is_dataclass(x):
        return {f.name: _plain(getattr(x, f.name)) for f in dataclasses.fields(x)}
    return x


def _same(a: fxcount.Report, b: fxcount.Report) -> None:
    assert a.to_dict() == b.to_dict()
    assert str(a) == str(b)
    assert a.peaks == b.peaks
    for rows in ("all_rows", "groups", "buffer_rows"):
        assert _plain(getattr(a.params, rows)) == _plain(getattr(b.params, rows))
    for convention in CONVENTIONS:
        assert a.count(convention) == b.count(convention), convention


# -- JSON -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_json_brings_the_same_report_back(name: str) -> None:
    report = analysed(name)
    text = report.to_graph_json()
    loaded = load_report(text)
    _same(loaded, report)
    assert loaded.to_graph_json() == text
    sizes = CASES[name].sizes[0]
    at = report.at(**sizes)
    assert loaded.at(**sizes).to_dict() == at.to_dict()
    assert loaded.at(**sizes).memory == at.memory


def test_a_report_with_numbers_stays_one() -> None:
    at = analysed("resnet18").at(B=3, H=97, W=163)
    loaded = load_report(at.to_graph_json())
    assert loaded.values == {"B": 3, "H": 97, "W": 163}
    _same(loaded, at)
    assert loaded.at(B=5, H=64, W=64).macs == at.at(B=5, H=64, W=64).macs


@pytest.mark.parametrize("depth", [None, 1])
def test_networkx_reads_the_json(depth: int | None) -> None:
    report = analysed("resnet18")
    graph = nx.node_link_graph(json.loads(report.to_graph_json(depth)), edges="edges")
    assert nx.utils.graphs_equal(graph, report.to_networkx(depth))
    _same(load_report(report.to_graph_json(depth)), report)


@pytest.mark.skipif(importlib.util.find_spec("jsonschema") is None, reason="jsonschema is not installed")
@pytest.mark.parametrize(("name", "depth"), [("resnet18", 2), ("llama_cached", None), ("t5", 1)])
def test_json_follows_its_schema(name: str, depth: int | None) -> None:
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    data = json.loads(analysed(name).to_graph_json(depth))
    assert not [error.message for error in validator.iter_errors(data)]
    data["report"]["calls"][0]["module"] = "0"
    data["nodes"][0]["colour"] = "red"
    assert len(list(validator.iter_errors(data))) == 2


def test_the_schema_knows_every_kind_of_node_and_edge() -> None:
    found = schema()["properties"]
    graph = analysed("t5").to_networkx()
    kinds = {option["properties"]["kind"]["const"] for option in found["nodes"]["items"]["oneOf"]}
    assert {kind for _, kind in graph.nodes(data="kind")} <= kinds
    edges = {k for option in found["edges"]["items"]["oneOf"] for k in option["properties"]["kind"]["enum"]}
    assert {kind for *_, kind in graph.edges(data="kind")} <= edges


def test_the_file_holds_every_field_of_a_trace() -> None:
    """A field added to the tape must come back, too. ``input_tree`` are the user's own objects, ``unseen`` is for
    the front end alone: the notes say what came of it. A file has no model that ``fingerprint`` could tell again."""
    report = fxcount.analyze(nn.LSTM(3, 5), "S,B,3")
    loaded = load_report(report.to_graph_json())
    fields = {f.name for f in dataclasses.fields(Trace)} - {"input_tree", "executable", "unseen", "fingerprint"}
    further = {"at", "fixed", "because", "guessed", "facts", "values", "sources", "ops"}
    written = json.loads(report.to_graph_json())["report"].keys() - further
    assert written == fields - {"model_name"} | {"model"}
    for name in fields - {"scope", "calls", "modules", "states", "signatures", "inputs", "outputs", "declared"}:
        assert _plain(getattr(loaded.trace, name)) == _plain(getattr(report.trace, name)), name


def test_assumptions_are_checked_as_before() -> None:
    report = analysed("densenet121")
    loaded = load_report(report.to_graph_json())
    assert loaded.assumptions == report.assumptions
    sizes = {"B": 1, "H": 7, "W": 224}
    with pytest.raises(fxcount.AssumptionError) as before:
        report.at(**sizes, extend=False)
    with pytest.raises(fxcount.AssumptionError) as after:
        loaded.at(**sizes, extend=False)
    assert str(after.value) == str(before.value)
    assert loaded.at(B=1, H=224).symbols == {"W": report.symbols["W"]}


def test_sizes_that_data_decide_come_back() -> None:
    class Kept(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[x > 0] * 2

    report = fxcount.analyze(Kept(), "B,7")
    loaded = load_report(report.to_graph_json())
    assert [str(u) for u in loaded.unbacked] == [str(u) for u in report.unbacked] != []
    assert loaded.at(B=5).flops == report.at(B=5).flops


def test_ops_of_ones_own_and_unknown_ones_keep_what_was_counted() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(torch.special.airy_ai(x))

    own = fxcount.rule(torch.relu, shape=lambda scope, tensor: tensor, cost=lambda y, x: Work(flops=17 * x.numel))
    report = fxcount.analyze(Net(), "B,5", rules=[own])
    loaded = load_report(report.to_graph_json())
    assert loaded.to_dict() == report.to_dict()
    assert loaded.at(B=3).flops == 17 * 3 * 5 + (report.at(B=3).flops - 17 * 3 * 5)
    assert [c.op.name for c in loaded.uncounted] == [c.op.name for c in report.uncounted]
    assert loaded.to_graph_json() == report.to_graph_json()
    assert loaded.trace.calls[-1].op.differentiable
    with pytest.raises(fxcount.UnsupportedError, match="has no code"):
        loaded.trace.calls[-1].op.shape(None, TensorFact((3,), torch.float32))


def test_what_is_not_in_the_file_says_so() -> None:
    loaded = load_report(fxcount.analyze(nn.Linear(3, 5), "B,3").to_graph_json())
    with pytest.raises(fxcount.UnsupportedError, match="neither tensors nor code"):
        _ = loaded.graph_module


def test_files_and_dicts_are_read(tmp_path: Path) -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,3")
    path = tmp_path / "linear.json"
    path.write_text(report.to_graph_json(indent=1), encoding="utf-8")
    for source in (path, str(path), json.loads(report.to_graph_json())):
        assert load_report(source).to_dict() == report.to_dict()


def _damaged(change: str) -> str:
    data = json.loads(fxcount.analyze(nn.Linear(3, 5), "B,3").to_graph_json())
    if change == "schema":
        data["fxcount"]["schema"] = 99
    elif change == "table":
        data["report"]["facts"] = []
    elif change == "dtype":
        data["report"]["facts"][0]["dtype"] = "nn"
    elif change == "tree":
        data["report"]["calls"][0]["args"] = {"$unheard": 1}
    elif change == "module":
        data["report"]["modules"][0]["base"] = "init"
    else:
        del data["report"]
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [("schema", "schema 99"), ("table", "damaged"), ("dtype", "no dtype"), ("tree", "damaged"), ("module", "no module class"),
     ("report", "holds no report")],
)  # fmt: skip
def test_damaged_files_are_refused(change: str, message: str) -> None:
    with pytest.raises(fxcount.InputError, match=message):
        load_report(_damaged(change))


@pytest.mark.parametrize("source", ["{", "no/such/file.json", "{}", '{"nodes": []}'])
def test_other_files_are_refused(source: str) -> None:
    with pytest.raises(fxcount.InputError, match=r"not JSON|cannot read|holds no report"):
        load_report(source)


@pytest.mark.parametrize(
    "tree",
    [
        None, True, 3, 2**80, "text", 1.5, -0.0, float("inf"), 2 - 3j, complex("nan+1j"), [1, [2]], (1, (2.0,)), (), {},
        {1: (2,), "a": [3]}, slice(1, None, -1), Ellipsis, torch.float16, torch.device("meta"), torch.strided,
        torch.channels_last, float, bool,
    ],
)  # fmt: skip
def test_argument_trees_come_back(tree: Any) -> None:
    plain = json.loads(json.dumps(Encoder().tree(tree), allow_nan=False))
    back = Decoder([], []).tree(plain)
    assert type(back) is type(tree)
    assert repr(back) == repr(tree)


def test_objects_of_the_models_own_are_named() -> None:
    class Config:
        pass

    found = Decoder([], []).tree(Encoder().tree([Config()]))
    assert found[0].class_name.endswith("Config")
    assert Encoder().tree(found) == Encoder().tree([Config()])


# -- GraphML and GEXF -------------------------------------------------------------------------------------------------
def _report(large: bool) -> fxcount.Report:
    report = analysed("t5")
    return report.at(B=2**40, S=77, T=19) if large else report


@pytest.mark.parametrize("large", [False, True])
def test_networkx_reads_the_graphml(large: bool) -> None:
    report = _report(large)
    back = nx.parse_graphml(report.to_graphml(), force_multigraph=True)
    flat = flattened(report.to_networkx())
    for added in ("edge_default", "node_default"):
        assert back.graph.pop(added) == {}
    assert nx.utils.graphs_equal(back, flat)


@pytest.mark.parametrize("large", [False, True])
def test_networkx_reads_the_gexf(large: bool) -> None:
    report = _report(large)
    back = nx.read_gexf(io.BytesIO(report.to_gexf().encode()))
    flat = flattened(report.to_networkx())
    assert dict(back.nodes(data=True)) == dict(flat.nodes(data=True))

    def edges(graph: Any) -> list[Any]:
        found = [(s, t, sorted((k, v) for k, v in a.items() if k != "id")) for s, t, a in graph.edges(data=True)]
        return sorted(found, key=repr)

    assert edges(back) == edges(flat)


def test_large_integers_are_exact_text_beside_a_double() -> None:
    report = fxcount.analyze(nn.Sequential(nn.Linear(3, 5), nn.ReLU()), "B,3").at(B=2**64 + 1)
    nodes = nx.parse_graphml(report.to_graphml(), force_multigraph=True).nodes
    assert int(nodes["op:0"]["macs_exact"]) == 15 * (2**64 + 1) != nodes["op:0"]["macs"]
    assert nodes["op:0"]["macs"] == float(15 * (2**64 + 1))
    assert (nodes["op:1"]["macs"], nodes["op:1"]["macs_exact"]) == (0.0, "0")
    assert json.loads(nodes["op:0"]["shapes"]) == [[2**64 + 1, 5]]
    assert nodes["parameter:0.weight"]["elements"] == 15


def test_texts_that_xml_cannot_hold() -> None:
    graph = nx.MultiDiGraph(note="a\x00b<&>")
    assert flattened(graph).graph == {"note": "a\\x00b<&>"}


# -- DOT --------------------------------------------------------------------------------------------------------------
def _statements(dot: str) -> tuple[set[str], list[tuple[str, str]]]:
    """Node ids and edges of a DOT text, which must be balanced."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: m[0].replace("{", "(").replace("}", ")"), dot)
    assert text.count("{") == text.count("}")
    quoted = r'"((?:[^"\\]|\\.)*)"'
    nodes = re.findall(rf"^ *{quoted} \[", dot, re.MULTILINE)
    assert len(nodes) == len(set(nodes))
    return set(nodes), re.findall(rf"^ *{quoted} -> {quoted}", dot, re.MULTILINE)


@pytest.mark.parametrize("depth", [None, 0, 1, 2])
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "t5"])
def test_dot_draws_what_the_graph_holds(name: str, depth: int | None) -> None:
    report = analysed(name)
    graph = report.to_networkx(depth)
    nodes, edges = _statements(report.to_dot(depth))
    drawn = {n for n in nodes if not n.startswith("legend:")}
    assert all(end in nodes for edge in edges for end in edge)
    assert drawn <= set(graph.nodes)
    hidden = {graph.nodes[n]["kind"] for n in set(graph.nodes) - drawn}
    assert hidden <= {"module", "module_call"}  # modules are clusters
    flowing = {(s, t) for s, t, kind in graph.edges(data="kind") if kind in ("data", "parameter", "write")}
    assert flowing <= set(edges)
    assert report.to_dot(depth) == report.to_dot(depth)


GOLDEN = """\
digraph "Net" {
  graph [rankdir="TB", compound="true", fontname="Helvetica", newrank="true"];
  node [fontname="Helvetica", fontsize="10", style="filled"];
  edge [fontname="Helvetica", fontsize="8", color="#666666"];
  "input:x" [label="x", shape="invhouse", fillcolor="#d5f0d0"];
  "parameter:a.weight" [label="a.weight\\n3, 3", shape="ellipse", fillcolor="#ffd24d", peripheries="2"];
  "alias:b.weight" [label="b.weight", shape="note", fillcolor="#ffe9a8"];
  subgraph "cluster_call:0" {
    graph [label="Net", style="rounded", color="#9aa5b1", fontsize="11"];
    "parameter:c.weight" [label="c.weight\\n2, 3\\ndead: module c is never called", shape="ellipse", fillcolor="#ffd6d6", \
color="#c00000", fontcolor="#c00000", style="filled,dashed", penwidth="2"];
    subgraph "cluster_call:1" {
      graph [label="a\\nLinear", style="rounded", color="#9aa5b1", fontsize="11"];
      "op:0" [label="linear", shape="box", fillcolor="#ffffff"];
    }
    subgraph "cluster_call:2" {
      graph [label="b\\nLinear", style="rounded", color="#9aa5b1", fontsize="11"];
      "op:1" [label="linear", shape="box", fillcolor="#ffffff"];
    }
  }
  "output:0" [label="0", shape="house", fillcolor="#d5f0d0"];
  "input:x" -> "op:0" [label="B, 3"];
  "parameter:a.weight" -> "op:0" [label="weight", color="#4477bb"];
  "parameter:a.weight" -> "op:1" [label="weight", color="#4477bb"];
  "alias:b.weight" -> "parameter:a.weight" [style="dashed", arrowhead="none"];
  "op:0" -> "op:1" [label="B, 3"];
  "op:1" -> "output:0" [label="B, 3"];
"""


def test_dot_of_a_small_net() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(3, n, bias=False) for n in (3, 3, 2))
            self.b.weight = self.a.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    dot = fxcount.analyze(Net(), "B,3").to_dot()
    assert dot.partition('  subgraph "cluster_legend"')[0] == GOLDEN
    assert '"legend:dead parameter"' in dot


def test_calls_of_one_module_are_linked() -> None:
    linear = nn.Linear(3, 3)
    dot = fxcount.analyze(nn.Sequential(linear, nn.ReLU(), linear), "B,3").to_dot(depth=1)
    assert re.search(r'"call:1" -> "call:3" \[label="same module"', dot)


def test_names_are_escaped() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_parameter('we"i\\rd\n', nn.Parameter(torch.zeros(3)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self._parameters['we"i\\rd\n']

    report = fxcount.analyze(Net(), "B,3")
    nodes, _ = _statements(report.to_dot())
    assert r"parameter:we\"i\\rd\n" in nodes
    assert 'parameter:we"i\\rd\n' in nx.parse_graphml(report.to_graphml(), force_multigraph=True)


def test_groups_of_a_loaded_report_with_a_rule_of_the_users() -> None:
    doubled = fxcount.rule(torch.erfinv, shape=lambda scope, x: x, cost=lambda y, x: Work(flops=2 * x.numel))

    class Derived(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(5, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, torch.erfinv(self.w))

    report = fxcount.analyze(Derived(), "B,3", rules=[doubled])
    loaded = load_report(report.to_graph_json())
    assert [(g.kind, g.names, g.derived) for g in loaded.params.groups] == [
        (g.kind, g.names, g.derived) for g in report.params.groups
    ]
    assert [g.kind for g in report.params.groups] == ["parametrization"]


def test_the_order_of_edges_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "import torch, fxcount\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        for kind in (torch.nn.ReLU, torch.nn.GELU, torch.nn.Sigmoid, torch.nn.Tanh):\n"
        "            x = kind()(x)\n"
        "        return x\n"
        "print(fxcount.analyze(Net(), 'B,3').to_graph_json())\n"
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert texts[0] == texts[1]


def test_calls_keep_how_and_where_they_are_written() -> None:
    report = analysed("bert")
    loaded = load_report(report.to_graph_json())
    assert {c.written for c in report.trace.calls} == {"function", "method", "operator"}
    for ours, theirs in zip(report.trace.calls, loaded.trace.calls, strict=True):
        assert (ours.written, ours.source) == (theirs.written, theirs.source)
        assert theirs.source is None or type(theirs.source) is Source
