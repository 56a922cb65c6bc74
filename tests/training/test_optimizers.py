"""Steps of torch's own optimizers: gradients, states and temporaries of a first and a later step, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import optim
from torch.utils._pytree import tree_leaves

import fxcount
from fxcount.errors import InputError, UnsupportedError
from fxcount.training.optimizers import OPTIMIZERS
from tests.training import real
from tests.training.nets import Perceptron

_SGD = partial(optim.SGD, lr=0.1)
MAKERS: dict[str, Callable[[Any], Any]] = {
    **OPTIMIZERS,
    "sgd foreach": partial(_SGD, foreach=True), "momentum foreach": partial(_SGD, momentum=0.9, foreach=True),
    "adam foreach": partial(optim.Adam, foreach=True), "adamw fused": partial(optim.AdamW, fused=True),
    "sgd fused": partial(_SGD, fused=True), "momentum fused": partial(_SGD, momentum=0.9, fused=True),
    "adagrad fused": partial(optim.Adagrad, fused=True), "maximising": partial(optim.Adam, maximize=True, weight_decay=0.1),
    "amsgrad foreach": partial(optim.Adam, amsgrad=True, foreach=True),
    "rmsprop foreach": partial(optim.RMSprop, foreach=True),
    **{
        f"{kind.__name__} {'foreach' if many else 'one by one'}, {' '.join(options)}": partial(kind, foreach=many, **options)
        for many in (False, True) for kind, options in (
            (optim.NAdam, {"decoupled_weight_decay": True, "weight_decay": 0.1}), (optim.RAdam, {"weight_decay": 0.1}),
            (optim.Adamax, {"weight_decay": 0.1, "maximize": True}), (optim.ASGD, {"weight_decay": 0.1, "maximize": True}),
            (optim.Adadelta, {"weight_decay": 0.1, "maximize": True}), (optim.Adagrad, {"weight_decay": 0.1}),
            *([(optim.Adafactor, {"maximize": True})] if hasattr(optim, "Adafactor") else []),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_holds_what_a_real_one_holds(name: str) -> None:
    model = Perceptron()
    found = fxcount.training_step(model, "B,11", optimizer=MAKERS[name]).at(B=7)
    first, later, states = real.optimizer_peaks(model, MAKERS[name])
    assert (*found.step_peak, found.optimizer_bytes) == (first, later, states)
    without = fxcount.training_step(model, "B,11").at(B=7)
    assert (found.peak, found.forward_peak) == (without.peak, without.forward_peak)


@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1, "nesterov": False}, {"ns_steps": 3}], ids=["plain", "decayed", "three steps"]
)
def test_muon(options: dict[str, Any]) -> None:
    """Of matrices alone: products of its own in each step."""
    muon = getattr(optim, "Muon", None)
    if muon is None:
        pytest.skip("torch.optim.Muon came with torch 2.9")
    model = torch.nn.Sequential(torch.nn.Linear(11, 23, bias=False), torch.nn.Tanh(), torch.nn.Linear(23, 5, bias=False))
    make = partial(muon, lr=0.01, **options)
    found = fxcount.training_step(model, "B,11", optimizer=make).at(B=7)
    first, later, states = real.optimizer_peaks(model, make)
    assert (*found.step_peak, found.optimizer_bytes) == (first, later, states)


def test_names_and_optimizers_that_are_there_already() -> None:
    model = Perceptron()
    ready = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    by_name = fxcount.training_step(model, "B,11", optimizer="momentum")
    assert fxcount.training_step(model, "B,11", optimizer=ready).optimizer_bytes == by_name.optimizer_bytes
    assert by_name.optimizer_bytes == by_name.gradient_bytes == by_name.parameter_bytes
    assert not ready.state
    with pytest.raises(InputError, match="no optimizer is called 'adamm'"):
        fxcount.training_step(model, "B,11", optimizer="adamm")
    assert all(type(p) is torch.nn.Parameter and p.grad is None for p in model.parameters())


def test_a_name_with_the_implementation() -> None:
    """``foreach`` as asked for by hand; more is held at once than one parameter after the other."""
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Linear(7, 3))
    peaks = {}
    for name, options in {"foreach": {"foreach": True}, "fused": {"fused": True}, "forloop": {"foreach": False}}.items():
        named, given = (
            fxcount.training_step(net, "B,5", optimizer=optimizer).at(B=2).step_peak
            for optimizer in (f"AdamW {name}", partial(optim.AdamW, **options))
        )
        assert named == given
        peaks[name] = named.later
    assert len(set(peaks.values())) > 1
    with pytest.raises(InputError, match="no optimizer is called 'adamw twice'"):
        fxcount.training_step(net, "B,5", optimizer="adamw twice")


def test_an_optimizer_that_calls_the_model_itself() -> None:
    model = Perceptron()
    with pytest.raises(UnsupportedError, match="LBFGS takes the whole of forward and backward as a closure"):
        fxcount.training_step(model, "B,11", optimizer=optim.LBFGS)


def test_what_lbfgs_holds_is_what_the_refusal_says() -> None:
    """A full history: two vectors for each entry, and the directions, gradients and copies of them."""
    model, size = Perceptron(), 5
    optimizer = optim.LBFGS(model.parameters(), lr=0.1, max_iter=40, history_size=size, tolerance_grad=0, tolerance_change=0)
    x = torch.rand(7, 11)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    (state,) = optimizer.state.values()
    held = {
        t.untyped_storage()._cdata: t.untyped_storage().nbytes()
        for t in tree_leaves(list(state.values())) if isinstance(t, torch.Tensor)
    }
    copies = sum(held.values()) / sum(p.nbytes for p in model.parameters())
    assert 2 * size <= copies <= 2 * size + 5


def test_gradients_that_are_sparse_are_refused_in_words() -> None:
    class Sparse(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(50, 7, sparse=True)

        def forward(self, i: torch.Tensor) -> torch.Tensor:
            return self.table(i)

    with pytest.raises(UnsupportedError, match="sparse=False"):
        fxcount.training_step(Sparse(), "i64[B,S]", optimizer=optim.SparseAdam)
