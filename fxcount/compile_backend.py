"""A backend for ``torch.compile`` that counts: one report for each graph that dynamo captures, run eagerly afterwards.

>>> import torch, fxcount
>>> reports = fxcount.CompileReports()
>>> net = torch.compile(torch.nn.Linear(5, 7), backend=reports)
>>> _ = net(torch.zeros(3, 5))
>>> [r.macs for r in reports]
[105]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, Token
from typing import Any, overload

import torch
from torch.fx import GraphModule

from fxcount.errors import InputError
from fxcount.passes import cost
from fxcount.report import Report
from fxcount.trace.frontends.blocks import clean_path
from fxcount.trace.frontends.graph import graph_program
from fxcount.trace.frontends.sizes import source_name

__all__ = ["CompileReports", "backend"]


class CompileReports(Sequence[Report]):
    """The reports of the graphs that were compiled with it as ``backend``, in order.

    Graph breaks give several graphs, and so does another shape that makes dynamo compile again. With ``dynamic=True`` (or
    once dynamo has seen two sizes) a report is symbolic, in dynamo's own symbols. Parameters and modules keep their names;
    parameters that no graph uses are unknown to dynamo.

    As a context manager it collects what ``backend=fxcount.backend`` compiles inside.
    """

    def __init__(self) -> None:
        self._reports: list[Report] = []
        self._tokens: list[Token[CompileReports | None]] = []

    def __call__(self, graph: GraphModule, example_inputs: Sequence[Any], **options: Any) -> Callable[..., Any]:
        """What dynamo calls: count the graph, and run it as it is."""
        states, known = _owned(graph, example_inputs)
        trace = graph_program(graph, states=states, known=known).trace("graph")
        self._reports.append(Report(trace, cost(trace)))
        return graph.forward

    @overload
    def __getitem__(self, index: int) -> Report: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Report]: ...
    def __getitem__(self, index: int | slice) -> Report | Sequence[Report]:
        return self._reports[index]

    def __len__(self) -> int:
        return len(self._reports)

    def __iter__(self) -> Iterator[Report]:
        return iter(self._reports)

    def __str__(self) -> str:
        return "\n\n".join([f"graph {i + 1} of {len(self)}\n{r}" for i, r in enumerate(self)])

    def __enter__(self) -> CompileReports:
        self._tokens.append(_COLLECTING.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        _COLLECTING.reset(self._tokens.pop())


_COLLECTING: ContextVar[CompileReports | None] = ContextVar("fxcount_compile_reports", default=None)


def backend(graph: GraphModule, example_inputs: Sequence[Any], **options: Any) -> Callable[..., Any]:
    """``torch.compile(model, backend=fxcount.backend)``, run inside ``with fxcount.CompileReports() as reports:``.

    Raises :class:`~fxcount.errors.InputError` outside of one: the reports would go nowhere.

    >>> import torch, fxcount
    >>> with fxcount.CompileReports() as reports:
    ...     _ = torch.compile(torch.nn.Linear(5, 11), backend=fxcount.backend)(torch.zeros(3, 5))
    >>> reports[0].macs
    165
    """
    collecting = _COLLECTING.get()
    if collecting is None:
        raise InputError(
            "fxcount.backend has nowhere to put its reports",
            hint="call the compiled model inside `with fxcount.CompileReports() as reports:`, or give the collector itself "
            "as the backend",
        )
    return collecting(graph, example_inputs, **options)


def _owned(
    graph: GraphModule, example_inputs: Sequence[Any]
) -> tuple[dict[str, tuple[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """Placeholders that are parameters or buffers of the model, with name and tensor, and those that are Python numbers
    of the model in the shape of a tensor: dynamo passes both as inputs."""
    placeholders = [n for n in graph.graph.nodes if n.op == "placeholder"]
    states: dict[str, tuple[str, torch.Tensor]] = {}
    known: dict[str, torch.Tensor] = {}
    for node, example in zip(placeholders, example_inputs, strict=True):
        argument = node.meta.get("grapharg")
        source = source_name(argument.source) if argument is not None and argument.source is not None else ""
        owned = "._parameters[" in source or "._buffers[" in source
        if not isinstance(example, torch.Tensor):
            continue
        if owned or isinstance(example, torch.nn.Parameter):
            states[node.name] = (clean_path(source) if owned else node.name, example)
        elif getattr(argument, "pass_arg_as_tensor", False):
            known[node.name] = example
    return states, known
