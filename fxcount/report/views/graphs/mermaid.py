"""The graph as a flowchart of Mermaid: boxes of ops and collapsed modules, and arrows where data go.

It is that of :func:`~fxcount.report.views.graphs.network.to_networkx` without parameters, made of the trace itself: nothing
is written down that is not drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.collapse import Collapsed
from fxcount.report.views.graphs.edges import FLOW, Edge, flow_edges, shared_states
from fxcount.report.views.graphs.nodes import Plain, declared_id, keeps_apart, plainly
from fxcount.report.views.graphs.outputs import named_outputs
from fxcount.report.views.units import count_text
from fxcount.symbolic import Size, evaluate
from fxcount.trace.tape import Trace, Value
from fxcount.trace.torch_patch.active import no_collection
from fxcount.wording import shortened, visible

__all__ = ["to_mermaid"]

_SHORT = 40


def to_mermaid(report: ReportData, depth: int | None = 1) -> str:
    """A flowchart of Mermaid, which GitHub draws in Markdown: modules ``depth`` levels below the model as one node each.

    >>> import torch, fxcount
    >>> print(to_mermaid(fxcount.analyze(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU()), "7,3")))
    flowchart TD
      n0(["input: 7, 3"])
      n1["0: Linear<br/>105 macs, 20 params"]
      n2["1: ReLU"]
      n3(["0: 7, 5"])
      n0 --> n1
      n1 --> n2
      n2 --> n3
    <BLANKLINE>
    """
    trace, plain = report.trace, plainly(report)
    with no_collection():
        flow = list(flow_edges(trace, plain))
        collapsed = None if depth is None else Collapsed(report, depth, flow)
        boxes = dict(_boxes(report, collapsed, plain))
        ids = {node: f"n{i}" for i, node in enumerate(boxes)}
        arrows = _arrows(trace, ids, flow, None if collapsed is None else collapsed.into)
    lines = ["flowchart TD", *[f"  {ids[node]}{box}" for node, box in boxes.items()]]
    lines += [f"  {ids[source]} --> {ids[node]}" for node in boxes for source in arrows.get(node, ())]
    return "\n".join([*lines, ""])


def _boxes(report: ReportData, collapsed: Collapsed | None, plain: Plain) -> Iterator[tuple[str, str]]:
    """Each node that is drawn, and its box with what stands in it."""
    trace, costs = report.trace, report.costs
    for v in trace.inputs:
        yield f"input:{v.name}", _round(v.name, v, plain)
    gone: Mapping[str, str] = {}
    if collapsed is not None:
        gone = collapsed.into
        for i in collapsed.calls:
            m = trace.modules[i]
            macs, params = costs.sum(trace.calls[m.start : m.stop]).macs, collapsed.counts[f"call:{i}"]["parameters"]
            yield f"call:{i}", _box(report, f"{m.path or 'model'}: {m.class_name}", macs, params)
    known: dict[int, str] = {}  # boxes of ops, by their signatures
    for call in trace.calls:
        node, name, signature = f"op:{call.index}", call.op.name, id(call.signature)
        if node in gone:
            continue
        if signature not in known:
            known[signature] = _box(report, name, costs.by_signature[signature].macs)
        yield node, known[signature]
        if keeps_apart(call):
            yield from ((f"result:{call.index}.{i}", _box(report, f"{name}[{i}]")) for i in range(len(call.outputs)))
    for name, v in named_outputs(trace.outputs):
        yield f"output:{name}", _round(name, v, plain)


def _box(report: ReportData, title: str, macs: Size = 0, params: int = 0) -> str:
    counted = {"macs": evaluate(macs, report.sizes), "params": params}
    counts = ", ".join([f"{count_text(n)} {what}" for what, n in counted.items() if n])
    return f'["{_text(title)}{f"<br/>{counts}" if counts else ""}"]'


def _round(name: str, v: Value, plain: Plain) -> str:
    return f'(["{_text(name)}: {_text(", ".join([str(plain(s)) for s in v.fact.shape]))}"])'


def _arrows(trace: Trace, drawn: Iterable[str], flow: Iterable[Edge], into: Mapping[str, str] | None) -> dict[str, list[str]]:
    """The nodes from which data go to each node: in the order of the flow, or of the nodes, where some stand for others."""
    edges = [(e[0], e[0], e[1], e[2]["kind"] in FLOW) for e in (*flow, *shared_states(trace))]
    if into is not None:
        edges = [(s, a, b, flows) for s, _, t, flows in edges if (a := into.get(s, s)) != (b := into.get(t, t))]
    nodes = set(drawn)
    edges = [e for e in edges if e[1] in nodes and e[2] in nodes]
    if into is not None:
        states = [declared_id(d) for kind in ("parameter", "buffer") for d in trace.declared if d.kind == kind]
        held = [f"input:{v.name}" for v in trace.inputs] + states + [f"constant:{s.value.name}" for s in trace.states]
        places = {node: (0, place) for place, node in enumerate(held)}
        edges.sort(key=lambda e: places.get(e[0]) or _place(e[0]))
    met: dict[str, dict[str, bool]] = {}
    for _, source, target, flows in edges:
        sources = met.setdefault(target, {})
        sources[source] = flows or sources.get(source, False)
    return {target: [source for source, flows in found.items() if flows] for target, found in met.items()}


def _place(node: str) -> tuple[int, ...]:
    """That of an op, ``op:7``, or of one of its results, ``result:7.0``, after all that is given and held."""
    return (1, *map(int, node.partition(":")[2].split(".")))


def _text(text: str) -> str:
    """Text for a label in quotes: what has a meaning there as Mermaid's codes of characters."""
    return "".join(f"#{ord(c)};" if c in '"#<>&`' else c for c in visible(shortened(text, _SHORT)))
