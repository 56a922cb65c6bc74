"""Models built on the meta device, and inputs that follow what they were built for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fxcount.errors import InputError
from fxcount.trace.inputs.building import arguments_of, filled, names_in, on_meta


class Dispatched(TorchDispatchMode):
    """Names of the operators that reach torch's kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.__name__.partition(".")[0])
        return func(*args, **(kwargs or {}))


class Computed(Dispatched):
    """Those of them that give data."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and not found.is_meta:
            self.names.append(func.__name__.partition(".")[0])
        return found


def _initialised() -> nn.Module:
    """As timm does it: a truncated normal from a uniform, in place."""
    layer = nn.Linear(5, 7)
    with torch.no_grad():
        layer.weight.uniform_(-1, 1).erfinv_().mul_(0.02).add_(1).clamp_(-2, 2)
        layer.bias.zero_()
    return layer


def test_weights_are_neither_allocated_nor_filled():
    with Dispatched() as seen:
        layer = on_meta(_initialised)
    assert layer.weight.is_meta
    assert layer.weight.shape == (7, 5)
    assert layer.weight.requires_grad
    assert {"erfinv_", "mul_", "add_", "clamp_", "zero_"}.isdisjoint(seen.names)
    with Dispatched() as seen, torch.device("meta"):
        _initialised()
    assert {"erfinv_", "mul_", "add_", "clamp_", "zero_"} <= set(seen.names)


def test_what_torch_refuses_is_refused():
    def careless() -> nn.Module:
        layer = nn.Linear(5, 7)
        layer.weight.fill_(0.0)
        return layer

    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        on_meta(careless)

    def broadcast() -> nn.Module:
        layer = nn.Linear(5, 7)
        with torch.no_grad():
            layer.weight.mul_(torch.ones(3))
        return layer

    with pytest.raises(RuntimeError, match=r"must match the size|not broadcastable"):
        on_meta(broadcast)


def test_a_constructor_that_looks_at_data_gets_data():
    def build() -> nn.Module:
        rates = [r.item() for r in torch.linspace(0, 1, 5)]
        return nn.Dropout(rates[2])

    assert on_meta(build).p == 0.5


class Deep(nn.Module):
    """Its constructor goes by numbers, as regnet's does, and two of its layers have one weight."""

    def __init__(self) -> None:
        super().__init__()
        rates = [r.item() for r in torch.linspace(0, 1, 5)]
        self.drop = nn.Dropout(rates[2])
        self.up, self.down = nn.Linear(5, 7), nn.Linear(5, 7)
        self.down.weight = self.up.weight
        nn.init.normal_(self.up.weight)
        self.place = nn.Parameter(torch.zeros(1, 7))
        self.drawn = nn.Parameter(torch.randn(7, 3), requires_grad=False)
        self.again = self.place
        self.register_buffer("index", torch.arange(3) * 2)


def test_a_constructor_that_looks_at_data_makes_no_weights():
    with Computed() as seen:
        model = on_meta(Deep)
    assert {"normal_", "uniform_", "randn", "empty"}.isdisjoint(seen.names)
    assert {"linspace", "arange"} <= set(seen.names)
    assert all(p.is_meta for p in model.parameters())
    assert model.down.weight is model.up.weight
    assert model.again is model.place
    assert [p.requires_grad for p in (model.up.weight, model.place, model.drawn)] == [True, True, False]
    assert model.index.tolist() == [0, 2, 4]
    assert {n: (p.shape, p.dtype) for n, p in model.named_parameters()} == {
        n: (p.shape, p.dtype) for n, p in Deep().named_parameters()
    }


def test_a_constructor_that_looks_at_its_weights_gets_weights():
    def build() -> nn.Module:
        layer = nn.Linear(5, 7)
        layer.norm = float(layer.weight.norm())
        return layer

    assert not on_meta(build).weight.is_meta
    assert on_meta(build).norm > 0


def test_the_random_state_is_kept():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    on_meta(lambda: nn.Dropout(torch.rand(1).item()))  # falls back to real tensors
    assert torch.equal(torch.get_rng_state(), state)


def test_placeholders():
    assert filled({"x": ("B,{n},{2*n+1}", 3)}, {"n": 5}) == {"x": ("B,5,11", 3)}
    assert names_in([{"x": "B,{n*m}"}]) == {"n", "m"}
    with pytest.raises(InputError, match=r"cannot fill \{m\} in the input 'B,\{m\}'"):
        filled("B,{m}", {"n": 5})
    assert arguments_of(lambda **k: None, {"n": 5}, {"n"}) == {"n": 5}
    assert arguments_of(lambda: None, {"n": 5}, {"n"}) == {}
    assert arguments_of(lambda: None, {"m": 5}, {"n"}) == {"m": 5}  # so that Python says that it takes no m
