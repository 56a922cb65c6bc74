"""Names that hold any character: of classes, modules, parameters, buffers, outputs and ops. Every format is valid, no
terminal is written to in control characters, and one that shows few characters gets others in their place."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest
import torch
from torch import nn

import fxcount
from fxcount.cli.main import main
from fxcount.ops import Work
from fxcount.report.views.tables import ROWS

NAMES = {
    "null": "a\x00b", "surrogate": "a\ud800b", "line": "a\nb", "return": "a\rb", "escape": "a\x07\x1b[31mb",
    "right_to_left": "a\u202eb\u200f", "separator": "a\u2028b", "quotes": "a\"b'c\\", "markup": "<a>&]]>", "pipe": "a|b`c`*_",
    "tex": "a_b%$#&{}~^\\", "comma": "a,b;c\td", "no_character": "a\ufffeb\uffff", "emoji": "a\U0001f600b", "blank": " ",
    "isolate": "\u2066x\u2069", "c1": "a\x85\x9bb", "braces": "}{", "dashes": "--", "tab": "\t",
}  # fmt: skip


def doubled(x: torch.Tensor) -> torch.Tensor:
    return x + x


class Named(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        inner = nn.Sequential()
        inner._modules[name] = nn.Linear(3, 5)
        self._modules[name] = inner
        self._parameters[name + "w"] = nn.Parameter(torch.zeros(5))
        self._parameters[name + "dead"] = nn.Parameter(torch.zeros(5))
        self._buffers[name + "b"] = torch.zeros(5)

    def forward(self, x: Any) -> Any:
        y = self._modules[self.name](x) * self._parameters[self.name + "w"] + self._buffers[self.name + "b"]
        return {self.name: custom(y)}


def custom(x: torch.Tensor) -> torch.Tensor:
    return torch.special.expit(x)


def analysed(name: str) -> fxcount.Report:
    model = Named(name)
    if "\x00" not in name and "\ud800" not in name:  # Python refuses these as names of classes
        model.__class__ = type(name, (Named,), {})
    shape, cost = (lambda scope, x: x), (lambda y, x: Work(flops=7 * y.numel))
    op = fxcount.rule(torch.special.expit, shape=shape, cost=cost)
    object.__setattr__(op, "name", name)  # as of a function that was renamed
    return fxcount.analyze(model, "B,3", rules=[op])


def shown(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_valid(name: str) -> None:
    report = analysed(NAMES[name])
    for text in (report.to_json(), report.to_graph_json()):
        text.encode("ascii")
        assert json.loads(text)
    assert fxcount.load(json.loads(report.to_graph_json())).to_dict() == report.to_dict()
    for rows in ROWS:
        table = list(csv.reader(io.StringIO(report.to_csv(rows), newline=""), strict=True))
        assert {len(line) for line in table} == {len(table[0])}
        assert len(table) == len(report.to_pandas(rows)) + 1
        report.to_csv(rows).encode("utf-8")
        lines = report.to_markdown(rows).splitlines()
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}) == 1
        assert len(lines) == len(table) + 1
        assert shown(report.to_markdown(rows))
        tex = report.to_latex(rows).splitlines()
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in tex if line.endswith(r"\\")}) == 1
        assert len(tex) == len(table) + 5
    dot = report.to_dot()
    dot.encode("utf-8")
    assert shown(dot)
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", dot)  # nothing of a name is outside of a quoted text
    assert re.fullmatch(r"[\w\s{}\[\]=,;>-]*", outside)


@pytest.mark.parametrize("name", NAMES)
def test_xml_is_read_back(name: str) -> None:
    report = analysed(NAMES[name])
    nodes = len(report.to_networkx())
    graphml, gexf = report.to_graphml().encode("utf-8"), report.to_gexf().encode("utf-8")
    for text in (graphml, gexf):
        assert len([e for e in ElementTree.fromstring(text).iter() if e.tag.endswith("}node")]) == nodes
    assert len(nx.read_graphml(io.BytesIO(graphml), force_multigraph=True)) == nodes
    assert len(nx.read_gexf(io.BytesIO(gexf))) == nodes


@pytest.mark.parametrize("name", NAMES)
def test_texts_show_what_they_hold(name: str) -> None:
    report = analysed(NAMES[name])
    assert shown(str(report))
    assert shown(repr(report))
    row = next(line for line in report.table(None).splitlines() if ": Linear" in line)
    assert row.split(": Linear")[1].split()  # on one line with its numbers
    with pytest.raises(fxcount.FxcountError) as caught:
        fxcount.analyze(Named(NAMES[name]), "B,4")
    assert shown(str(caught.value))


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_terminals_with_few_characters(encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hostile_nets.py").write_text(
        "from torch import nn\ndef build():\n    m = nn.Sequential()\n"
        "    for name in ('gr\\u00f6\\u00dfe', '\\u4e2d', '\\ud800', '\\x1b[2J', '\\u202e'):\n"
        "        m._modules[name] = nn.Linear(3, 3)\n    return m\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    print(analysed("gr\xf6\xdfe \u4e2d"))  # before the command line is there: as a user prints it
    for command in ([], ["params"], ["conventions"]):
        assert main([*command, "hostile_nets:build", "B,3"]) == 0
    assert main(["graph", "hostile_nets:build", "B,3", "-o", "-", "--format", "dot"]) == 0
    assert main(["hostile_nets:build", "B,4\u4e2d"]) == 2
    assert main(["hostile_nets:\u4e2d\x1b[2J", "B,3"]) == 2
    for stream in (out, err):
        stream.flush()
        text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert text
        assert shown(text)


def test_symbols_in_letters_of_any_script(monkeypatch: pytest.MonkeyPatch) -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "h\xf6he,3")
    assert str(report.macs) == "15*h\xf6he"
    assert report.at(höhe=7).macs == 105
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert r"15*h\xf6he" in str(report)
