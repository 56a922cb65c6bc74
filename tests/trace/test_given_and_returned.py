"""What goes in and comes out at the edge of a model: arrays, objects, shapes with numbers of other libraries, options and
inputs of one name. Expected counts are those of the layers by hand: Linear(7, 5) does 35 macs a row and adds 5 biases."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import sympy
import torch
from torch import nn

import fxcount
from fxcount.errors import DataDependentError, InputError
from fxcount.symbolic import parse


class Net(nn.Module):
    """Does what it is told to with ``first``, a Linear(7, 5), and ``second``, a Linear(5, 3)."""

    def __init__(self, does: Callable[..., Any]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(7, 5), nn.Linear(5, 3)
        self.does = does

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.does(self, *args, **kwargs)


# -- arrays ---------------------------------------------------------------------------------------------------------
TAKES: dict[str, Callable[[Net, Any], torch.Tensor]] = {
    "from_numpy": lambda s, x: s.first(torch.from_numpy(x)),
    "as_tensor": lambda s, x: s.first(torch.as_tensor(x)),
    "tensor": lambda s, x: s.first(torch.tensor(x)),
    "its shape": lambda s, x: s.first(torch.from_numpy(x).view(x.shape[0], x.shape[-1])),
    "its dtype": lambda s, x: s.first(torch.from_numpy(x.astype(np.float32)) if x.dtype == np.float32 else None),
    "an instance": lambda s, x: s.first(torch.from_numpy(x) if isinstance(x, np.ndarray) else x),
}


@pytest.mark.parametrize("name", TAKES)
def test_arrays_in(name: str) -> None:
    net = Net(TAKES[name])
    given = np.ones((3, 7), np.float32)
    assert net(given).shape == (3, 5)
    report = fxcount.analyze(net, given)
    assert (report.macs, report.flops, report.memory.inputs) == (3 * 35, 3 * 75, 3 * 7 * 4)
    assert [tuple(v.fact.shape) for v in report.trace.inputs] == [(3, 7)]
    symbolic = fxcount.analyze(net, "np f32[B,7]", hints={"B": 11})
    assert not symbolic.assumptions
    assert symbolic.at(B=3).flops == 3 * 75
    assert symbolic.verify(n=2, execute=True)


def test_the_dtype_of_an_array_is_kept() -> None:
    net = Net(lambda s, x: torch.from_numpy(x) + 1)
    for dtype in (np.float64, np.float16, np.int32, np.uint8, np.bool_):
        array = np.ones((2, 3), dtype)
        assert fxcount.analyze(net, array).memory.outputs == net(array).nbytes


def test_an_array_of_positions_is_read() -> None:
    net = Net(lambda s, x, i: s.first(x[torch.from_numpy(i)] if i.max() < 4 else x))
    report = fxcount.analyze(net, "B,7", np.array([0, 1, 0]))
    assert report.macs == 3 * 35
    assert any("values of" in note for note in report.trace.notes)


RETURNS: dict[str, tuple[Callable[[Net, Any], Any], int]] = {
    "numpy": (lambda s, x: s.first(x).detach().cpu().numpy(), 75),
    "by force": (lambda s, x: s.first(x).numpy(force=True), 75),
    "asarray": (lambda s, x: np.asarray(s.first(x).detach()), 75),
    "in a dict": (lambda s, x: {"a": s.first(x).detach().numpy(), "b": x}, 75),
    "scaled": (lambda s, x: s.first(x).detach().numpy() * 2 + 1, 75 + 2 * 5),
    "in place": (lambda s, x: _added(s.first(x).detach().numpy()), 75 + 5),
    "softmax": (lambda s, x: _softmax(s.first(x).detach().numpy()), 75 + 2 * 5 + 4 + 5),  # exp twice, 4 sums, 5 quotients
    "largest": (lambda s, x: np.argmax(s.first(x).detach().numpy(), axis=1), 75 + 4),
    "a function": (lambda s, x: np.concatenate([s.first(x).detach().numpy(), np.asarray(x)], axis=-1), 75),
    "and in again": (lambda s, x: s.second(torch.from_numpy(s.first(x).detach().numpy())), 75 + 30 + 3),
    "a part": (lambda s, x: s.first(x).detach().numpy()[:, 1:3].T.copy(), 75),
}


def _added(a: Any) -> Any:
    a += 1
    return a


def _softmax(a: Any) -> Any:
    return np.exp(a) / np.exp(a).sum(-1, keepdims=True)


@pytest.mark.parametrize("name", RETURNS)
def test_arrays_out(name: str) -> None:
    """Flops by hand, bytes and values against the model's own run."""
    returns, flops = RETURNS[name]
    net = Net(returns)
    x = torch.arange(21.0).view(3, 7)
    run = [torch.as_tensor(t) for t in torch.utils._pytree.tree_leaves(net(x))]
    report = fxcount.analyze(net, "B,7", hints={"B": 13})
    assert report.frontend == "trace"
    assert not report.assumptions
    at = report.at(B=3)
    assert at.flops == 3 * flops
    assert at.memory.outputs == sum(t.nbytes for t in run)
    found = torch.utils._pytree.tree_leaves(report.graph_module(x))
    for a, b in zip(found, run, strict=True):
        torch.testing.assert_close(a, b)
    assert report.verify(n=2, execute=True)


def test_what_only_numpy_can_compute_says_so() -> None:
    with pytest.raises(DataDependentError, match="numpy's polyfit"):
        fxcount.analyze(Net(lambda s, x: np.polyfit(s.first(x).detach().numpy()[0], np.arange(5), 2)), "B,7")


def test_numpy_is_as_found() -> None:
    before = dict(vars(np)), torch.from_numpy
    fxcount.analyze(Net(RETURNS["softmax"][0]), "B,7")
    assert all(vars(np)[name] is value for name, value in before[0].items())
    assert torch.from_numpy is before[1]
    assert np.asarray([1, 2]).tolist() == [1, 2]


def test_numbers_out() -> None:
    """A model that returns numbers alone is judged by the tensors it reads them from."""
    net = Net(lambda s, x: s.first(x).sum().item())
    assert [r.name for r in fxcount.analyze(net, "B,7").params.rows("dead")] == ["second.weight", "second.bias"]


# -- objects --------------------------------------------------------------------------------------------------------
@dataclass
class Batch:
    x: Any
    scale: Any = None
    name: str = "a"


@dataclass(frozen=True)
class Frozen:
    x: Any
    scale: Any = None


@dataclass(slots=True)
class Slotted:
    x: Any
    scale: Any = None


class Pair(NamedTuple):
    x: Any
    scale: Any = None


class Own:
    def __init__(self, x: Any, scale: Any = None) -> None:
        self.x, self.scale, self.name = x, scale, "a"


def _scaled(s: Net, b: Any) -> torch.Tensor:
    return s.first(b.x if b.scale is None else b.x * b.scale)


@pytest.mark.parametrize("kind", [Batch, Frozen, Slotted, Pair, SimpleNamespace])
def test_objects_in(kind: Any) -> None:
    net = Net(_scaled)
    report = fxcount.analyze(net, kind(x="B,7", scale="B,1"))
    assert (report.at(B=3).macs, report.at(B=3).flops) == (105, 225 + 21)
    assert [v.name.rpartition("_0")[2] for v in report.trace.inputs] == [".x", ".scale"]
    assert report.verify(n=2, execute=True)


@pytest.mark.parametrize("kind", [Batch, Frozen, Slotted, Own, SimpleNamespace])
def test_objects_of_tensors_in(kind: Any) -> None:
    """Tensors inside are inputs, as those given alone are; the object is left as it was."""
    x, scale = torch.ones(3, 7), torch.ones(3, 1)
    given = kind(x=x, scale=scale)
    report = fxcount.analyze(Net(_scaled), given)
    assert report.memory.inputs == x.nbytes + scale.nbytes
    assert report.flops == 225 + 21
    assert given.x is x
    assert given.scale is scale


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict, MappingProxyType])
def test_mappings_in(kind: Any) -> None:
    net = Net(lambda s, b: s.first(b["x"]) if isinstance(b, kind) else None)
    assert fxcount.analyze(net, kind({"x": "B,7"})).at(B=3).macs == 105


def test_objects_in_lists_and_by_name() -> None:
    net = Net(lambda s, batches, more: [s.first(b.x) for b in (*batches, more)])
    assert fxcount.analyze(net, [Batch("B,7"), Batch("3,7")], more=Frozen("B,7")).at(B=2).macs == (2 + 3 + 2) * 35


def test_an_object_without_inputs_is_handed_over() -> None:
    given = Own(None)
    seen = []
    net = Net(lambda s, x, o: seen.append(o) or s.first(x))
    fxcount.analyze(net, "B,7", given)
    assert seen[-1] is given


def test_fields_of_a_result_have_names() -> None:
    net = Net(lambda s, x: Batch(s.first(x), [x.exp(), Frozen(s.second(s.first(x)))]))
    report = fxcount.analyze(net, "B,7")
    dead = {name: {r.name for r in report.params_for(name).rows("dead")} for name in ("x", "scale.0", "scale.1.x")}
    assert dead["x"] == {"second.weight", "second.bias"}
    assert len(dead["scale.0"]) == 4
    assert not dead["scale.1.x"]
    with pytest.raises(InputError, match="its outputs are x, scale"):
        report.params_for("y")
    assert report.verify(n=2, execute=True)


# -- shapes ---------------------------------------------------------------------------------------------------------
B = sympy.Symbol("B")


@pytest.mark.parametrize(
    ("shape", "macs"),
    [
        ((None, 7), 35 * B), ([None, 3, 7], 105 * B), ("None,7", 35 * B), ("f32[?,3,7]", 105 * B), ((np.int64(3), 7), 105),
        ((sympy.Integer(3), np.int32(7)), 105), ((B, 7), 35 * B), ((2 * B + 1, sympy.Integer(7)), 70 * B + 35),
        ((parse("2*B"), 7), 70 * B), (("B", None, 7), 35 * B * sympy.Symbol("d1")), ("torch.float32[B,7]", 35 * B),
    ],
)  # fmt: skip
def test_sizes_of_other_libraries_and_none(shape: Any, macs: Any) -> None:
    assert sympy.expand(sympy.sympify(str(fxcount.analyze(nn.Linear(7, 5), shape).macs)) - macs) == 0


def test_open_batches_are_one() -> None:
    net = Net(lambda s, x, y: s.first(x) + s.first(y))
    assert fxcount.analyze(net, (None, 7), (None, 7)).at(B=3).macs == 210


def test_tuples_of_arguments_are_no_shape() -> None:
    net = Net(lambda s, x, state: s.first(x) if state == (None, None) else None)
    assert fxcount.analyze(net, "B,7", (None, None)).at(B=3).macs == 105
    assert fxcount.analyze(Net(lambda s, x, p: s.first(x) if p.scale == 7 else None), "B,7", Pair(None, 7)).at(B=3).macs == 105


@pytest.mark.parametrize("text", ["7", " 7 ", "(7)", "[7]"])
def test_a_number_alone_is_no_shape(text: str) -> None:
    with pytest.raises(InputError, match='write "7,"'):
        fxcount.analyze(nn.Linear(7, 5), text)


# -- options and inputs of one name ------------------------------------------------------------------------------------
class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(7, 5)

    def forward(self, x: Any, hints: Any = None, strict: Any = None, progress: Any = None, **rest: Any) -> Any:
        for other in (hints, strict, progress, *rest.values()):
            x = x if other is None else x + other
        return self.layer(x)


FRONT_DOORS = [fxcount.analyze, fxcount.training_step, fxcount.find_unused_parameters, fxcount.compare_modes]


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_inputs_that_are_called_as_options(front_door: Any) -> None:
    names = ("hints", "strict", "progress", "kwargs", "rules", "outputs", "loss")
    assert front_door(Named(), "B,7", kwargs=dict.fromkeys(names, "B,1")) is not None
    flops = fxcount.analyze(Named(), "B,7", kwargs=dict.fromkeys(names, "B,1")).at(B=1).flops
    assert flops == 75 + 7 * len(names)


@pytest.mark.parametrize("name", ["hints", "strict", "progress", "rules", "kwargs", "trust"])
@pytest.mark.parametrize("value", ["B,1", torch.ones(2, 1), nn.ReLU()], ids=["text", "tensor", "module"])
def test_an_option_that_is_an_input_says_so(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"the option {name} is .*\n.*kwargs=\{{'{name}': ...\}}"):
        fxcount.analyze(Named(), "B,7", **{name: value})


@pytest.mark.parametrize("front_door", FRONT_DOORS)
@pytest.mark.parametrize(
    ("wrong", "meant"), [("hint", "hints"), ("Hints", "hints"), ("hints_", "hints"), ("kwarg", "kwargs"), ("sizes", "hints")]
)
def test_a_misspelt_option_is_not_swallowed(front_door: Any, wrong: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"swallowed by its .*kwargs: is {meant}= meant"):
        front_door(Named(), "B,7", **{wrong: {"B": 3}})
    with pytest.raises(InputError, match=wrong):
        front_door(nn.Linear(7, 5), "B,7", **{wrong: {"B": 3}})


def test_inputs_of_other_names_reach_the_model() -> None:
    assert fxcount.analyze(Named(), "B,7", attention_mask="B,1", labels="B,7").at(B=1).flops == 75 + 7 + 7
    assert fxcount.analyze(Named(), "B,7", kwargs={"hint": "B,1"}).at(B=1).flops == 75 + 7
