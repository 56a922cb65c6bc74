"""``fxcount graph``: the file it writes, the line it prints, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import pytest

import fxcount
from fxcount.cli.main import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("ending", ["json", "dot", "graphml", "gexf"])
def test_each_format_is_written(ending: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "demo", "-o", f"demo.{ending}", "--depth", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    text = (here / f"demo.{ending}").read_text("utf-8")
    read = {
        "json": lambda: nx.node_link_graph(json.loads(text), edges="edges"),
        "graphml": lambda: nx.read_graphml(here / "demo.graphml", force_multigraph=True),
        "gexf": lambda: nx.read_gexf(here / "demo.gexf"),
    }
    if ending == "dot":
        assert text.startswith('digraph "Demo" {')
        assert captured.out.endswith("written to demo.dot\n")
        return
    graph = read[ending]()
    assert captured.out == f"{len(graph)} nodes and {graph.number_of_edges()} edges written to demo.{ending}\n"
    assert "module:unused" in graph


def test_the_file_is_a_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "demo", "-o", "demo.json", "--at", "B=3,H=32,W=40"]) == 0
    assert main(["demo", "--at", "B=3,H=32,W=40"]) == 0
    table = capsys.readouterr().out.partition("\n")[2]
    assert str(fxcount.load_report("demo.json")) == table.rstrip("\n")


def test_dash_prints(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "demo", "-o", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["graph"]["model"] == "Demo"
    assert main(["graph", "demo", "-o", "-", "--format", "dot", "--depth", "0"]) == 0
    assert '"call:0"' in capsys.readouterr().out
    assert list(here.iterdir()) == []


def test_format_goes_before_the_ending(here: Path) -> None:
    assert main(["graph", "demo", "-o", "demo.txt", "--format", "dot"]) == 0
    assert (here / "demo.txt").read_text("utf-8").startswith("digraph")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "demo.png"], "'demo.png' ends in no format of graphs"),
        (["-o", "demo"], "use one of .json, .dot, .graphml, .gexf"),
        (["-o", "no/such/place.dot"], "cannot write 'no/such/place.dot'"),
        (["-o", "demo.dot", "--depth", "-1"], "depth must be an integer of at least 0"),
    ],
)
def test_errors_are_one_line(words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "demo", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("fxcount: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(here.iterdir()) == []
