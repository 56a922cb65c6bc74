"""Nets on which other tools miscount: fxcount's numbers are the ones derived by hand, and the document shows them."""

from __future__ import annotations

import re

import pytest
import sympy
import torch

import fxcount
from benchmarks.parameter_tools import TOOLS, ask
from benchmarks.parameters import BEGIN, DOCUMENT, END, Asked, findings, row_of, table_rows
from benchmarks.peer_nets import NETS, PeerNet

TABLES = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
each_net = pytest.mark.parametrize("net", NETS, ids=lambda net: net.name)


def analysed(net: PeerNet) -> fxcount.Report:
    with net.mode():
        return fxcount.analyze(net.model(), net.spec)


@each_net
def test_parameters(net: PeerNet) -> None:
    params = analysed(net).params
    assert (params.total, params.dead, params.frozen, params.shared) == (net.params, net.dead, net.frozen, net.shared)
    assert params.trainable == net.params - net.frozen


@each_net
def test_macs_as_a_formula(net: PeerNet) -> None:
    symbols = {name: sympy.Symbol(name, positive=True, integer=True) for name in net.sizes}
    assert sympy.expand(analysed(net).macs - sympy.sympify(net.macs, locals=symbols)) == 0


@each_net
def test_concrete_sizes_give_the_formulas_numbers(net: PeerNet) -> None:
    """Also without symbols, where the model sees plain integers."""
    with net.mode():
        report = fxcount.analyze(net.model(), net.example())
    assert report.macs == net.number(net.macs)


@each_net
def test_the_nets_ask_for_gradients_where_they_should(net: PeerNet) -> None:
    """Dead is what a real backward leaves without a gradient, of the parameters that ask for one."""
    model = net.model()
    result = model(net.example())
    leaf = result[0] if isinstance(result, tuple) else result
    leaf.sum().backward()
    elements = sum(p.numel() for p in model.parameters() if p.requires_grad and p.grad is None)
    assert elements == net.dead


@each_net
def test_the_model_is_left_as_it_was(net: PeerNet) -> None:
    answer = ask(TOOLS["fxcount"], net)
    assert (answer.params, answer.macs, answer.changed, answer.error) == (net.params, net.number(net.macs), False, "")


def test_a_tool_that_runs_the_model_is_caught() -> None:
    """The running mean moves when the model runs: what marks a tool in the document does see it."""

    def run(model: torch.nn.Module, net: PeerNet) -> tuple[int, int]:
        model(net.example())
        return 0, 0

    (net,) = (n for n in NETS if "running mean" in n.name)
    assert ask(run, net).changed


def test_what_a_tool_raises_is_its_answer() -> None:
    def fails(model: torch.nn.Module, net: PeerNet) -> tuple[int, int]:
        raise ValueError(f"cannot do {object()}")

    assert ask(fails, NETS[0]).error == "ValueError: cannot do <object object>"


@pytest.mark.parametrize(("heading", "quantity"), [("### Parameters", "params"), ("### Multiply-accumulates", "macs")])
def test_document_has_these_nets_with_fxcounts_numbers(heading: str, quantity: str) -> None:
    shown = cells(heading)
    assert [row[0] for row in shown[1:]] == [net.name for net in NETS]
    assert shown[0] == table_rows(quantity, [])[0]
    for net, row in zip(NETS, shown[1:]):
        assert row[:3] == row_of(Asked(net, {"fxcount": ask(TOOLS["fxcount"], net)}), quantity, ["fxcount"])


def test_document_names_what_fxcount_names() -> None:
    head, rows = findings()
    assert cells("### What fxcount says besides") == [head, *rows]


def cells(heading: str) -> list[list[str]]:
    """The table under a heading of the document, without its rule."""
    lines = [line for line in TABLES.partition(heading)[2].partition("###")[0].splitlines() if line.startswith("|")]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in lines]
    return [rows[0], *rows[2:]]
