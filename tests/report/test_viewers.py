"""Files for other tools: opened by the tool where it is installed, else held to what the tool reads."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.report.data.rows import COUNTS


class Net(nn.Module):
    """A module called twice, a tied weight, a dead layer, a split with two results, and names that need escapes."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
        self.add_module('odd "name"; <b>', nn.Linear(3, 5))
        self.tied = nn.Linear(6, 6)
        self.tied.weight = self.block[0].weight
        self.idle = nn.Linear(7, 7)

    def forward(self, x):
        left, right = self.tied(self.block(self.block(x))).chunk(2, dim=-1)
        return self._modules['odd "name"; <b>'](left) + right.sum()


MODEL = Net()
REPORT = fxcount.analyze(MODEL, "B,6")
AT = REPORT.at(B=11)


def _totals(report: Any) -> dict[str, int]:
    return {name: int(getattr(report, name)) for name in COUNTS}


@pytest.mark.parametrize("depth", [None, 1])
def test_model_explorer(depth: int | None) -> None:
    """As its graph_builder.py declares them: a collection of graphs whose edges name nodes."""
    found = json.loads(AT.to_explorer(depth))
    graph, = found["graphs"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert len(nodes) == len(graph["nodes"])
    for node in graph["nodes"]:
        assert node.keys() == {"id", "label", "namespace", "attrs", "incomingEdges", "outputsMetadata"}
        assert all(isinstance(a["key"], str) and isinstance(a["value"], str) for a in node["attrs"])
        for edge in node["incomingEdges"]:
            assert edge.keys() == {"sourceNodeId", "sourceNodeOutputId", "targetNodeInputId"}
            assert edge["sourceNodeId"] in nodes
            assert all(isinstance(part, str) for part in edge.values())
        for item in node["outputsMetadata"]:
            assert isinstance(item["id"], str)
    if depth is None:
        assert nodes["op:0"]["namespace"] == "block/0"
    data = json.loads(AT.to_explorer_data("macs", depth))[graph["id"]]
    assert data["results"].keys() <= nodes.keys()
    assert sum(r["value"] for r in data["results"].values()) == AT.macs


def test_model_explorers_own_classes_take_it() -> None:
    spec = importlib.util.find_spec("model_explorer")
    if spec is None or spec.origin is None:
        pytest.skip("model_explorer is not installed")
    home = Path(spec.origin).parent / "graph_builder.py"
    alone = importlib.util.spec_from_file_location("graph_builder", home)
    assert alone is not None
    assert alone.loader is not None
    builder = importlib.util.module_from_spec(alone)
    sys.modules["graph_builder"] = builder  # as dataclasses ask for
    alone.loader.exec_module(builder)
    graph, = json.loads(AT.to_explorer())["graphs"]
    for node in graph["nodes"]:
        edges = [builder.IncomingEdge(**e) for e in node.pop("incomingEdges")]
        builder.GraphNode(**node, incomingEdges=edges)


@pytest.mark.parametrize("depth", [None, 1])
def test_netron(depth: int | None) -> None:
    """As netron's message.js reads it: the signature first, and values by their number."""
    text = REPORT.to_netron(depth)
    assert text.startswith('{"signature": "netron:')
    graph, = json.loads(text)["graphs"]
    count = len(graph["values"])
    for node in graph["nodes"]:
        assert node["type"]["name"]
        for argument in (*node["inputs"], *node["outputs"]):
            assert all(0 <= v < count for v in argument["value"])
    held = {v["name"] for v in graph["values"] if "initializer" in v}
    if depth is None:
        assert {"block.0.weight", "tied.bias"} <= held
    assert [i["name"] for i in graph["inputs"]] == ["x"]
    made = {v for node in graph["nodes"] for o in node["outputs"] for v in o["value"]}
    assert all(v in made for o in graph["outputs"] for v in o["value"])


def test_netron_opens_it(tmp_path: Path) -> None:
    """Its own reader, run by Node."""
    spec = importlib.util.find_spec("netron")
    if spec is None or spec.origin is None or shutil.which("node") is None:
        pytest.skip("netron or node is not installed")
    (tmp_path / "message.mjs").write_bytes((Path(spec.origin).parent / "message.js").read_bytes())
    (tmp_path / "net.json").write_text(REPORT.to_netron(), encoding="utf-8")
    script = """
        import { ModelFactory } from './message.mjs'; import fs from 'fs';
        const data = fs.readFileSync('net.json'); let value = null;
        const context = { stream: { length: data.length, peek: (n) => data.subarray(0, n) },
          peek: async () => JSON.parse(data), set: (type, v) => { value = v; return type; }, get value() { return value; } };
        const factory = new ModelFactory();
        if (await factory.match(context) !== 'message') throw new Error('no match');
        const model = await factory.open(context);
        console.log(model.modules[0].nodes.length, model.modules[0].inputs.length, model.modules[0].outputs.length);
    """
    (tmp_path / "open.mjs").write_text(script)
    done = subprocess.run(["node", "open.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(REPORT.ops)), "1", "1"]


@pytest.mark.parametrize("depth", [None, 1])
def test_graphdef_is_read_by_tensorboards_protobuf(depth: int | None) -> None:
    graph_pb2 = pytest.importorskip("tensorboard.compat.proto.graph_pb2")
    text_format = pytest.importorskip("google.protobuf.text_format")
    graph = text_format.Parse(REPORT.to_graphdef(depth), graph_pb2.GraphDef())
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    for node in graph.node:
        assert set(node.input) <= set(names)
        shapes = node.attr["_output_shapes"].list.shape
        assert all(d.size == -1 or d.size > 0 for shape in shapes for d in shape.dim)
    if depth is None:
        ops = [n for n in graph.node if "flops" in n.attr]
        assert len(ops) == sum(bool(row.flops) or bool(row.macs) for row in REPORT.ops) or ops


def test_graphdef_names_are_tensorflows() -> None:
    import re

    names = re.findall(r'^  name: "(.*)"$', REPORT.to_graphdef(), re.MULTILINE)
    assert names
    assert all(re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\\/-]*", name) for name in names)
    assert len(set(names)) == len(names)


def test_speedscope_weighs_every_op() -> None:
    """As its file-format-schema.json asks: samples and weights of one length, frames by number, the end value their sum."""
    found = json.loads(AT.to_speedscope())
    assert found["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = found["shared"]["frames"]
    assert [p["name"] for p in found["profiles"]] == ["macs", "flops", "read_bytes", "write_bytes"]
    for profile in found["profiles"]:
        assert profile["type"] == "sampled"
        assert profile["unit"] in ("none", "bytes", "nanoseconds", "microseconds", "milliseconds", "seconds")
        assert len(profile["samples"]) == len(profile["weights"]) == len(AT.ops)
        assert all(0 <= f < len(frames) for stack in profile["samples"] for f in stack)
        assert sum(profile["weights"]) == profile["endValue"] == _totals(AT)[profile["name"]]
    assert all(isinstance(f["name"], str) and isinstance(f.get("line", 1), int) for f in frames)


def test_folded_stacks_add_up_by_module() -> None:
    for count in ("macs", "flops", "read_bytes"):
        lines = [line.rpartition(" ") for line in AT.to_folded(count).splitlines()]
        assert sum(int(n) for _, _, n in lines) == _totals(AT)[count]
        assert len({stack for stack, _, _ in lines}) == len(lines)
    block = sum(int(n) for stack, _, n in (line.rpartition(" ") for line in AT.to_folded().splitlines()) if ";block: " in stack)
    assert block == 2 * 36 * 11  # called twice
    with pytest.raises(fxcount.InputError, match="have no 'time'"):
        AT.to_folded("time")


@pytest.mark.parametrize("depth", [None, 0, 1, 2])
def test_mermaid_is_a_flowchart_of_plain_lines(depth: int | None) -> None:
    import re

    head, *lines = AT.to_mermaid(depth).splitlines()
    assert head == "flowchart TD"
    node, edge = r'  n\d+(\(\[".*"\]\)|\[".*"\])', r"  n\d+ --> n\d+"
    assert all(re.fullmatch(node, line) or re.fullmatch(edge, line) for line in lines)
    for line in lines:
        if '"' in line:
            label = line[line.index('"') + 1 : line.rindex('"')]
            assert '"' not in label
            assert "<" not in label.replace("<br/>", "")
    ids = {line.split("[")[0].split("(")[0].strip() for line in lines if '"' in line}
    assert {part for line in lines if "-->" in line for part in line.split() if part != "-->"} <= ids


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dot_is_read_by_graphviz() -> None:
    if shutil.which("dot") is None:
        pydot = pytest.importorskip("pydot")
        assert pydot.graph_from_dot_data(REPORT.to_dot())
        return
    subprocess.run(["dot", "-Tcanon"], input=REPORT.to_dot(), text=True, check=True, capture_output=True)


@pytest.mark.parametrize(
    "suffix", ["explorer.json", "netron.json", "pbtxt", "mmd", "speedscope.json", "folded", "dot", "html", "json"]
)
def test_every_ending_on_the_command_line(suffix: str, tmp_path: Path) -> None:
    from fxcount.cli.main import main

    path = tmp_path / f"net.v1.{suffix}"
    assert main(["demo", "2,3,32,32", "-o", str(path)]) == 0
    assert path.stat().st_size > 100
    if suffix == "json":
        assert fxcount.load(path).macs == fxcount.analyze(fxcount.load_model("demo"), "2,3,32,32").macs


def test_both_jsons_are_read_back() -> None:
    """One schema: what ``--json`` prints, ``to_json`` and ``to_graph_json`` write, with the pieces."""

    class Branches(nn.Module):
        def forward(self, x):
            return x @ x.mT if x.shape[1] > 8 else x + 1

    model = Branches()
    report = fxcount.analyze(model, "B,S,5", hints={"S": 16})
    report.at(B=2, S=7)
    for text in (report.to_json(), report.to_graph_json()):
        loaded = fxcount.load(text)
        assert loaded == report
        assert loaded.at(B=2, S=11).macs == 2 * 5 * 11 * 11
        assert loaded.at(B=2, S=7).flops == 2 * 7 * 5  # of the other piece
        assert fxcount.load(loaded.to_json()) == report
    there = fxcount.load(report.at(B=2, S=11).to_json())
    assert there.macs == 1210
    assert torch.nn is nn
