"""A model is walked once for an analysis, and what is noted of its modules is what they hold, whatever their classes do."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.passes import death
from fxcount.trace.inputs import census
from fxcount.trace.inputs.census import Census, fingerprint, noted_names


class Early(nn.Module):
    """Has an attribute before those that every module has, so that these are not where they are in others."""

    def __init__(self) -> None:
        self.__dict__["early"] = 7
        super().__init__()
        self.inner = nn.Linear(3, 5)
        self.kernel, self.factor, self.label = (3, 2), 0.5, "a"
        self.seen: list[Any] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._forward_hooks[99] = print  # what was empty is empty again
        self._state_dict_hooks["kept"] = x
        self.seen.append(x)
        return self.inner(x) * self.factor


class Parameters(OrderedDict[str, Any]):
    """In the place of a module's own dict of parameters, as some libraries have it."""


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.__dict__["_parameters"] = Parameters(weight=nn.Parameter(torch.ones(3)))
        self.__dict__["_state_dict_pre_hooks"] = Parameters()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._state_dict_pre_hooks["x"] = x
        return x * self.weight


def nets() -> dict[str, nn.Module]:
    shared = nn.Linear(3, 3)
    inside = nn.Sequential(nn.Conv2d(3, 5, (3, 2), stride=2), nn.BatchNorm2d(5), nn.Sequential(nn.ReLU(inplace=True)))
    return {"plain": inside, "early": Early(), "odd": Odd(), "shared": nn.Sequential(shared, nn.ReLU(), shared)}


@pytest.mark.parametrize("name", nets())
def test_everything_is_noted_of_its_module(name: str) -> None:
    net = nets()[name]
    found = Census.of(net)
    assert found.modules == list(net.modules())
    assert found.listed == tuple(net.named_modules(remove_duplicate=False))
    assert found.keys == [key for m in found.modules for key in vars(m)]
    marks = fingerprint(net).marks()
    assert list(marks) == [id(m) for m in net.modules()]
    for module in net.modules():
        mark, (plain, tensors) = marks[id(module)], noted_names(module)
        assert [vars(module)[n] for n in plain] == list(mark.plain)
        simple = {k for k, v in vars(module).items() if isinstance(v, (bool, int, float, str)) or v is None}
        assert simple <= set(plain)
        held = [getattr(module, n) for n in tensors]
        assert [(id(t), t.shape, t.dtype, t.requires_grad) for t in held] == list(mark.tensors)
        assert set(tensors) == {n for n, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))}


@pytest.mark.parametrize("name", ["early", "odd"])
def test_what_was_empty_is_empty_again(name: str) -> None:
    net = nets()[name]
    before = {key: len(value) for key, value in vars(net).items() if hasattr(value, "__len__")}
    report = fxcount.analyze(net, "B,3")
    assert {key: len(value) for key, value in vars(net).items() if hasattr(value, "__len__")} == before
    assert report.recipe.changes(net) == []


def test_the_model_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nets()["plain"]
    fxcount.analyze(net, "B,3,H,W")
    walked, read = [], []
    walk, look = census.every_module, Census._read

    def counted(model: nn.Module) -> Any:
        walked.append(model)
        return walk(model)

    def noted(self: Census) -> None:
        read.append(self)
        look(self)

    monkeypatch.setattr(census, "every_module", counted)
    monkeypatch.setattr(Census, "_read", noted)
    report = fxcount.analyze(net, "B,3,H,W")
    assert walked == [net]
    assert len(read) == 1
    assert report.recipe.written_down == fingerprint(net)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("form", ["scripted child", "data parallel", "compiled"])
def test_a_model_that_runs_in_another_form_is_known_again(form: str) -> None:
    net: Any = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    if form == "scripted child":
        net.append(torch.jit.script(nn.Linear(5, 2)))
    elif form == "data parallel":
        net = nn.DataParallel(net)
    else:
        net = torch.compile(net)
    recipe = fxcount.analyze(net, "B,3").recipe
    assert recipe.changes(net) == []
    assert recipe.written_down == fingerprint(net)


def test_uses_are_looked_for_only_where_they_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    uses_of = death.uses_of
    monkeypatch.setattr(death, "uses_of", lambda trace: (asked.append(trace), uses_of(trace))[1])
    report = fxcount.analyze(nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), "B,3")
    assert (report.params.total, report.params.dead, asked) == (3 * 5 + 5 + 5 * 2 + 2, 0, [])
    assert [r.uses for r in report.params.rows()] == [1, 1, 1, 1]
    assert asked == [report.trace]
    idle = nn.Linear(3, 2)
    idle.other = nn.Linear(7, 11)
    assert fxcount.analyze(idle, "B,3").params.dead == 7 * 11 + 11
