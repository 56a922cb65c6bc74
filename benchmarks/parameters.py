"""Parameters and multiply-accumulates of small nets as every counting tool has them, each tool run here and now.

``python benchmarks/parameters.py --write`` puts the tables into docs/parameters.md. The nets, with their numbers derived by
hand, are in peer_nets.py. A tool that raises is shown with what it raised.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fxcount
from benchmarks.parameter_tools import TOOLS, Answer, ask
from benchmarks.peer_nets import NETS, PeerNet
from benchmarks.tables import table

__all__ = ["DOCUMENT", "Asked", "findings", "row_of", "table_rows"]

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"
BEGIN, END = "<!-- tables: written by benchmarks/parameters.py -->", "<!-- end of tables -->"
PACKAGES = {"ptflops aten": "ptflops", "FlopCounterMode": "torch"}
NO_MACS, NO_PARAMS = ("torchsummary",), ("FlopCounterMode", "ptflops aten")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the tools say of a net."""

    net: PeerNet
    answers: Mapping[str, Answer]


def asked(net: PeerNet) -> Asked:
    """Every installed tool on a net."""
    present = [t for t in TOOLS if importlib.util.find_spec(PACKAGES.get(t, t))]
    return Asked(net, {tool: ask(TOOLS[tool], net) for tool in present})


def row_of(asked: Asked, quantity: str, tools: Sequence[str]) -> list[str]:
    """The net's name, its right number, then every tool's: in bold if it is wrong, with a dagger if the model was changed."""
    net = asked.net
    exact = net.params if quantity == "params" else net.number(net.macs)
    right = {exact} if quantity == "params" else {exact, exact + net.number(net.biases)}
    cells = [net.name, f"{exact}" if quantity == "params" or net.macs.isdigit() else f"{_formula(net.macs)} = {exact}"]
    for tool in tools:
        answer = asked.answers.get(tool)
        found = None if answer is None else answer.params if quantity == "params" else answer.macs
        if answer is None:
            cells.append("not installed")
        elif found is None:
            cells.append(answer.error or "-")
        else:
            cells.append((f"{found}" if found in right else f"**{found}**") + ("†" if answer.changed else ""))
    return cells


def _formula(text: str) -> str:
    return re.sub(r"(?<=[A-Z0-9])\*(?=[A-Z])", " ", text)


def table_rows(quantity: str, found: Sequence[Asked]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of one of the two tables of all tools."""
    silent = NO_PARAMS if quantity == "params" else NO_MACS
    tools = [t for t in TOOLS if t not in silent]
    return ["net", "right", *tools], [row_of(a, quantity, tools) for a in found]


def findings(nets: Sequence[PeerNet] = NETS) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of what fxcount names: dead and frozen parameters, and what is shared."""
    rows = []
    for net in nets:
        with net.mode():
            params = fxcount.analyze(net.model(), net.spec).params
        dead = "; ".join(f"{r.name}: {r.cause}" for r in params.rows("dead"))
        frozen = ", ".join(r.name for r in params.rows("frozen"))
        groups = "; ".join(f"{g.kind}: {', '.join(g.names)}" + (f", {g.calls} calls" if g.calls else "") for g in params.groups)
        buffers = "; ".join(f"buffer {b.name} {b.state}" for b in params.buffer_rows if b.state != "read")
        if dead or frozen or groups or buffers:
            rows.append([net.name, dead or "-", frozen or "-", "; ".join(filter(None, (groups, buffers))) or "-"])
    return ["net", "dead, and why", "frozen", "shared, derived, updated"], rows


def wrong(found: Sequence[Asked]) -> str:
    """How many nets each tool gets wrong, raises on, and changes."""
    rows = []
    for tool in TOOLS:
        mine = [(a.net, a.answers[tool]) for a in found if tool in a.answers]
        bad = [
            sum(x.params is not None and x.params != n.params for n, x in mine),
            sum(x.macs is not None and x.macs - n.number(n.macs) not in (0, n.number(n.biases)) for n, x in mine),
            sum(bool(x.error) for _, x in mine),
            sum(x.changed for _, x in mine),
        ]
        shown = [str(n) for n in bad]
        if tool in NO_PARAMS:
            shown[0] = "-"
        if tool in NO_MACS:
            shown[1] = "-"
        rows.append([tool, _version(tool), *shown])
    return table(["tool", "version", "parameters wrong", "MACs wrong", "raises", "changes the model"], rows)


def _version(tool: str) -> str:
    try:
        return importlib.metadata.version(PACKAGES.get(tool, tool)).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def tables(found: Sequence[Asked]) -> str:
    """All that stands between the markers of the document."""
    return "\n\n".join(
        [
            f"### How often each tool is wrong, of {len(found)} nets", wrong(found),
            "### Parameters", table(*table_rows("params", found)),
            "### Multiply-accumulates", table(*table_rows("macs", found)),
            "### What fxcount says besides", table(*findings()),
        ]
    )  # fmt: skip


def main() -> None:
    """Ask everyone; print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write into {DOCUMENT.name}")
    options = parser.parse_args()
    text = tables([asked(net) for net in NETS])
    if options.write:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
