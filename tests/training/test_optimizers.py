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
