"""What views do, counted: equal parts of a model are worked out once."""

from __future__ import annotations

import dis
import json
from collections import Counter
from types import CodeType
from typing import Any

import networkx as nx
import pytest
import torch

import fxcount
from fxcount.passes.cost import CallCost
from fxcount.report.views.conventions import CONVENTIONS, records
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.graphs.edges import FLOW
from fxcount.report.views.graphs.nodelink import to_node_link
from fxcount.report.views.html import piece
from fxcount.symbolic import sympy_
from fxcount.trace import tape


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(5)
        self.up, self.down = torch.nn.Linear(5, 11), torch.nn.Linear(11, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.up(self.norm(x)).relu())


def _report(blocks: int) -> fxcount.Report:
    return fxcount.analyze(torch.nn.Sequential(*[Block() for _ in range(blocks)]), "B,S,5")


def _counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> Counter[str]:
    """How often a function is called."""
    found: Counter[str] = Counter()
    original = getattr(owner, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        found[name] += 1
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, staticmethod(counting) if isinstance(owner, type) else counting)
    return found


@pytest.mark.parametrize("view", ["to_json", "to_networkx", "by_module"])
def test_equal_modules_are_added_up_once(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = _report(3), _report(30)
    found = _counted(monkeypatch, CallCost, "weighted")
    getattr(few, view)()
    first = found.total()
    getattr(many, view)()
    assert 0 < found.total() - first <= first


def test_conventions_share_what_they_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them see each kind of call once, however many conventions ask and however many blocks there are."""
    report = _report(30)
    found = _counted(monkeypatch, records, "site_of")
    rows = report.conventions()
    assert len(rows) > 20
    kinds = {(id(c.signature), c.written) for c in report.trace.calls}
    assert 0 < found.total() <= len(kinds) == 5


def test_conventions_count_a_kind_of_call_once() -> None:
    """Equal blocks are one item, which stands for so many calls."""
    for convention in CONVENTIONS.values():
        few, many = [list(convention.items(Records(r.trace, r.costs))) for r in (_report(3), _report(30))]
        assert len(few) == len(many)
        assert sum([item.times for item in few if item.alike]) * 10 == sum([item.times for item in many if item.alike])


def test_a_line_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    report = _report(30)
    tape._line.cache_clear()
    assert all([str(c.source).startswith(__file__) for c in report.trace.calls])
    info = tape._line.cache_info()
    assert (info.misses, info.hits) == (5, 29 * 5)  # norm, up, relu, down, +


def test_lines_are_those_of_the_code() -> None:
    code: CodeType = Block.forward.__code__
    lines = {i.offset: i.positions.lineno for i in dis.get_instructions(code) if i.positions is not None}
    assert len(set(lines.values())) > 1 or len(lines) > 5
    for offset, line in lines.items():
        assert tape.Instruction(code, offset).line == (line or code.co_firstlineno)


@pytest.mark.parametrize("sizes", [{}, {"B": 2, "S": 7}, {"B": 2}])
def test_node_link_is_that_of_networkx(sizes: dict[str, int]) -> None:
    report = _report(2)
    report = report.at(**sizes) if sizes else report
    graph = nx.node_link_data(report.to_networkx(), edges="edges")
    found = to_node_link(report)
    assert json.dumps({key: found[key] for key in graph}) == json.dumps(graph)


def test_several_edges_between_two_nodes_are_numbered_as_by_networkx() -> None:
    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.view(-1)
            y.add_(1)
            return torch.cat([y, y, x.view(-1)])

    report = fxcount.analyze(Twice(), "B,3")
    graph = nx.node_link_data(report.to_networkx(), edges="edges")
    assert max(edge["key"] for edge in graph["edges"]) > 0
    found = to_node_link(report)
    assert json.dumps({key: found[key] for key in graph}) == json.dumps(graph)


def test_sizes_are_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of thirty equal blocks ask for the sizes of one."""
    from fxcount.report.data import report as home

    few, many = _report(3).at(B=2, S=7), _report(30).at(B=2, S=7)
    found = _counted(monkeypatch, home, "evaluate")
    rows = len(few.ops)
    first = found.total()
    assert len(many.ops) == 10 * rows
    assert 0 < found.total() - first == first


@pytest.mark.parametrize("depth", [0, 1, 2, None])
def test_a_flowchart_makes_no_graph(depth: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn is written down at once, and not looked for in a graph of all there is."""
    report = _report(3)
    monkeypatch.setattr(nx, "MultiDiGraph", None)
    assert report.to_mermaid(depth).startswith("flowchart TD\n")


@pytest.mark.parametrize("depth", [0, 1, 2, None])
def test_a_flowchart_draws_the_arrows_of_the_graph(depth: int | None) -> None:
    """Of each box those of the graph, in its order."""
    graph = _report(3).to_networkx(depth)
    shown = [n for n, a in graph.nodes(data=True) if a["kind"] in ("input", "op", "output") or a.get("collapsed")]
    ids = {node: f"n{i}" for i, node in enumerate(shown)}
    arrows = [
        f"  {ids[source]} --> {ids[node]}" for node in shown
        for source in dict.fromkeys([s for s, _, kind in graph.in_edges(node, data="kind") if kind in FLOW and s in ids])
    ]  # fmt: skip
    assert len(arrows) > 0
    assert [line for line in _report(3).to_mermaid(depth).splitlines() if " --> " in line] == arrows


def test_the_page_describes_a_tensor_of_a_kind_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many blocks there are."""
    said: list[Any] = []
    original = piece._Writer._said
    monkeypatch.setattr(piece._Writer, "_said", lambda self, size: said.append(size) or original(self, size))
    _report(3).to_html()
    few = len(said)
    _report(30).to_html()
    assert 0 < len(said) - few <= few


def test_what_formulas_share_is_made_a_formula_of_sympys_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded sizes occur in every row."""
    net = torch.nn.Sequential(*[torch.nn.Conv2d(3, 3, 3, stride=2, padding=1) for _ in range(3)], torch.nn.Conv2d(3, 5, 1))
    report = fxcount.analyze(net, "B,3,H,W")
    found = _counted(monkeypatch, sympy_, "_atom")
    assert len(report.by_module()) == 5
    report.conventions()
    assert found.total() == 3 * 2  # ceil(H/2), ceil(H/4), ceil(H/8), and those of W
