"""A graph module's code is written when somebody first asks for it, and then it is as any other's."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.fx

import fxcount


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).relu()


X = torch.arange(21.0).reshape(7, 3)


def _lowered() -> tuple[torch.Tensor, torch.fx.GraphModule]:
    model = Net()
    module = fxcount.analyze(model, "B,3").graph_module
    assert isinstance(module, torch.fx.GraphModule)
    assert "_code" not in vars(module)
    return model(X), module


class Around(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(x)


WAYS: dict[str, Callable[[torch.fx.GraphModule], Any]] = {
    "called": lambda m: m(X),
    "forward": lambda m: m.forward(X),
    "forward of the class": lambda m: type(m).forward(m, X),
    "inside another": lambda m: Around(m)(X),
    "copied": lambda m: copy.deepcopy(m)(X),
    "copied after a call": lambda m: copy.deepcopy(WAYS["called"](m) is None or m)(X),
    "pickled": lambda m: pickle.loads(pickle.dumps(m))(X),
    "traced by fx": lambda m: torch.fx.symbolic_trace(m)(X),
    "traced by fx inside another": lambda m: torch.fx.symbolic_trace(Around(m))(X),
    "interpreted": lambda m: torch.fx.Interpreter(m).run(X),
    "compiled": lambda m: torch.compile(m, backend="eager")(X),
    "compiled inside another": lambda m: torch.compile(Around(m), backend="eager")(X),
    "analysed and run": lambda m: fxcount.analyze(m, "B,3").graph_module(X),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_computes_the_same_however_it_is_asked_first(way: str) -> None:
    wanted, module = _lowered()
    found = WAYS[way](module)
    found = found[0] if isinstance(found, tuple) else found
    torch.testing.assert_close(found, wanted)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_it_can_be_scripted() -> None:
    wanted, module = _lowered()
    assert "relu" in module.code
    torch.testing.assert_close(torch.jit.script(module)(X), wanted)


def test_code_that_is_asked_for_is_torchs_own() -> None:
    _, module = _lowered()
    plain = torch.fx.GraphModule(module, module.graph, class_name="Net")
    assert module.code == plain.code
    assert str(_lowered()[1]) == str(plain)


def test_two_of_them_do_not_mix() -> None:
    wanted, first = _lowered()
    second = fxcount.analyze(torch.nn.ReLU(), "B,3").graph_module
    torch.testing.assert_close(second(X), X)
    torch.testing.assert_close(first(X), wanted)


def test_a_changed_graph_is_written_anew() -> None:
    wanted, module = _lowered()
    for node in module.graph.nodes:
        if node.op == "call_method" and node.target == "relu":
            node.target = "neg"
    module.recompile()
    assert ".neg()" in module.code
    torch.testing.assert_close(module(X).neg().relu(), wanted)
