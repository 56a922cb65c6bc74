"""Steps of torch's own optimizers: gradients, states and temporaries of a first and a later step, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import optim

import fxcount
from fxcount.errors import InputError
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
