"""The model, what it holds, and the caches around it are as found after an analysis, and a plain run finds no trace of it."""

from __future__ import annotations

import array
import functools
import random
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fxcount
from fxcount.torch_private import VERSION
from fxcount.trace.torch_patch.leftovers import Leftovers
from tests.zoo import CASES


# -- what a model holds -------------------------------------------------------------------------------------------------
class Slotted:
    __slots__ = ("late", "n")

    def __init__(self) -> None:
        self.n = 3


class Recorder(dict[str, Any]):
    """A dict with ways of its own."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key.upper(), value)


def nested(s: Any, y: Any) -> None:
    s.held["a"][0]["b"].append(y)
    s.held["a"].append(y)


def rotated(s: Any, y: Any) -> None:
    s.held.rotate(1)
    s.held.append(y)


def generators(s: Any, y: Any) -> None:
    for g in s.held[:2]:
        g.random()
    s.held[2].random(3)
    s.held[3].manual_seed(5)


def flags(s: Any, y: Any) -> None:
    s.held.requires_grad_(True)
    s.held.grad = torch.ones(3)


HELD: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], Any]]] = {
    "nested": (lambda: {"a": [{"b": [1]}]}, nested),
    "deque": (lambda: deque([1, 2], maxlen=2), rotated),
    "defaultdict": (lambda: defaultdict(list, {"a": [1]}), lambda s, y: (s.held["b"].append(y), s.held["a"].append(2))),
    "Counter": (lambda: Counter("aab"), lambda s, y: s.held.update("b")),
    "ordered": (lambda: OrderedDict(a=1, b=2), lambda s, y: s.held.move_to_end("a")),
    "list in a tuple": (lambda: (1, [2], {3}), lambda s, y: (s.held[1].append(y), s.held[2].add(y))),
    "array": (lambda: np.arange(6.0).reshape(2, 3), lambda s, y: s.held.__setitem__((0, 1), 9.0)),
    "array of lists": (lambda: np.array([[1], [2], 3], dtype=object), lambda s, y: s.held[0].append(y)),
    "bytes": (lambda: bytearray(b"abc"), lambda s, y: s.held.extend(b"d")),
    "numbers": (lambda: array.array("l", [1, 2]), lambda s, y: s.held.append(3)),
    "object": (lambda: SimpleNamespace(n=1, seen=[]), lambda s, y: (s.held.seen.append(y), setattr(s.held, "n", 2))),
    "slots": (Slotted, lambda s, y: (setattr(s.held, "n", 4), setattr(s.held, "late", y))),
    "subclass": (lambda: Recorder(a=1), lambda s, y: s.held.__setitem__("b", y)),
    "generators": (
        lambda: [random.Random(1), np.random.RandomState(2), np.random.default_rng(3), torch.Generator().manual_seed(4)],
        generators,
    ),
    "tensor": (lambda: torch.zeros(3), flags),
    "module in a list": (lambda: [nn.BatchNorm1d(3)], lambda s, y: setattr(s.held[0], "seen", y)),
    "rebound": (lambda: [1], lambda s, y: setattr(s, "held", y)),
    "deleted": (lambda: [1], lambda s, y: delattr(s, "held")),
}


def frozen(thing: Any) -> Any:
    """The content of a thing, with identities."""
    if isinstance(thing, torch.Tensor):
        return id(thing), thing.requires_grad, thing.grad if thing.is_leaf else None, thing.tolist()
    if isinstance(thing, torch.Generator):
        return thing.get_state().tolist()
    if isinstance(thing, np.random.Generator):
        return str(thing.bit_generator.state)
    if isinstance(thing, (random.Random, np.random.RandomState)):
        return str(thing.getstate() if isinstance(thing, random.Random) else thing.get_state())
    if isinstance(thing, dict):
        return id(thing), type(thing), [(k, frozen(v)) for k, v in thing.items()]
    if isinstance(thing, np.ndarray):
        return id(thing), thing.shape, [frozen(v) for v in thing.flat]
    if isinstance(thing, (list, tuple, set, deque, bytearray, array.array)):
        return id(thing), type(thing), [frozen(v) for v in thing]
    if isinstance(thing, Slotted):
        return id(thing), thing.n, hasattr(thing, "late")
    if hasattr(thing, "__dict__"):
        return id(thing), type(thing), frozen(vars(thing)) if not isinstance(thing, type) else None
    return thing


class Holds(nn.Module):
    def __init__(self, make: Callable[[], Any], change: Callable[[Any, Any], Any], ending: str) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.held, self.change, self.ending = make(), change, ending

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        self.change(self, y)
        if self.ending == "error":
            raise KeyError
        if self.ending == "export":  # the tracer cannot follow, and export fails as well
            raise fxcount.UnsupportedError("no")
        return y


@pytest.mark.parametrize("ending", ["return", "error", "export"])
@pytest.mark.parametrize("name", HELD)
def test_what_a_model_holds_is_as_found(name: str, ending: str) -> None:
    make, change = HELD[name]
    model = Holds(make, change, ending)
    before = frozen(vars(model)["held"])
    if ending == "return":
        fxcount.analyze(model, "B,3")
    else:
        with pytest.raises((KeyError, fxcount.UnsupportedError)):
            fxcount.analyze(model, "B,3")
    assert frozen(vars(model)["held"]) == before
    model.ending = "return"
    assert model(torch.ones(2, 3)).shape == (2, 3)
    assert frozen(vars(model).get("held")) != before, "a test of nothing"


def test_objects_given_as_they_are_come_back_as_they_were() -> None:
    """A cache of keys and values that the forward fills, and counts in."""

    class Cache:
        def __init__(self) -> None:
            self.keys: list[Any] = []
            self.seen = 0

    class Decodes(nn.Module):
        def forward(self, x: torch.Tensor, cache: Cache) -> torch.Tensor:
            cache.keys.append(x)
            cache.seen += x.shape[1]
            return torch.cat(cache.keys, 1) + cache.seen

    cache = Cache()
    fxcount.analyze(Decodes(), "B,S,3", cache)
    assert (cache.keys, cache.seen) == ([], 0)
    assert Decodes()(torch.ones(1, 2, 3), cache).shape == (1, 2, 3)


# -- lazy and sharded models --------------------------------------------------------------------------------------------
LAZY: dict[str, tuple[Callable[[], nn.Module], str, torch.Tensor, str, int]] = {
    "linear": (lambda: nn.Sequential(nn.LazyLinear(11), nn.ReLU(), nn.LazyLinear(2)), "B,7", torch.ones(5, 7), "99*B", 112),
    "convolution": (  # 4 * 27 weights at 36 places, then 144 * 2; norm 8
        lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2)),
        "B,3,8,8", torch.ones(5, 3, 8, 8), "4176*B", 410,
    ),
    "other sizes": (lambda: nn.LazyLinear(3), "B,7", torch.ones(5, 13), "21*B", 24),
}  # fmt: skip


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_model_stays_lazy(name: str) -> None:
    build, spec, x, macs, parameters = LAZY[name]
    model = build()
    kinds, before = [type(m) for m in model.modules()], dict(model.named_parameters())
    report = fxcount.analyze(model, spec)
    assert (str(report.macs), report.params.total, report.assumptions) == (macs, parameters, [])
    assert [type(m) for m in model.modules()] == kinds
    after = dict(model.named_parameters())
    assert all(after[n] is before[n] and torch.nn.parameter.is_lazy(after[n]) for n in before)
    assert len(model(x)) == 5
    assert not any(torch.nn.parameter.is_lazy(p) for p in model.parameters())
    assert fxcount.analyze(model, ("B", *x.shape[1:])).macs


def test_a_lazy_model_with_a_loaded_state() -> None:
    model = nn.Sequential(nn.LazyLinear(11))
    model.load_state_dict(nn.Sequential(nn.Linear(7, 11)).state_dict())
    assert str(fxcount.analyze(model, "B,7").macs) == "77*B"
    assert type(model[0]) is nn.LazyLinear
    assert model(torch.ones(5, 7)).shape == (5, 11)
    assert type(model[0]) is nn.Linear


def test_the_size_a_lazy_model_learns_is_an_assumption() -> None:
    report = fxcount.analyze(nn.LazyLinear(11), "B,D", hints={"D": 7})
    assert [str(a).partition(" (")[0] for a in report.assumptions] == ["D == 7"]
    assert str(report.at(B=2, D=7).macs) == "154"


SHARDED = """
import torch, torch.distributed as dist, fxcount
from torch import nn
from torch.testing._internal.distributed.fake_pg import FakeStore
dist.init_process_group("fake", rank=0, world_size=4, store=FakeStore())
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
m = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
mesh = init_device_mesh("cpu", (4,))
fully_shard(m[0], mesh=mesh)
fully_shard(m, mesh=mesh)
def state():
    return [(n, id(p), type(p), tuple(p.shape)) for n, p in m.named_parameters()], [
        (type(x), list(x._forward_pre_hooks.items()), list(x._forward_hooks.items())) for x in m.modules()]
x = torch.ones(3, 8)
m(x)
for _ in range(2):
    before = state()
    r = fxcount.analyze(m, "B,8")
    assert state() == before
    m(x).sum().backward()
print(r.macs, r.params.total)
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
m = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
parallelize_module(m, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
before = state()
r = fxcount.analyze(m, "B,8")
assert state() == before
m(x)
print(r.macs, r.params.total)
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="no torch.distributed")
@pytest.mark.skipif(VERSION < (2, 7), reason="torch's own fully_shard fails on a CPU")
def test_a_sharded_model_is_counted_whole_and_runs_afterwards() -> None:
    """Over data and over tensors: 8*16 + 16*8 macs a row; parameters with their biases."""
    command = [sys.executable, "-W", "ignore", "-c", SHARDED]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ran.stdout.split() == ["256*B", "280"] * 2, ran.stdout + ran.stderr


# -- caches around the model --------------------------------------------------------------------------------------------
CACHE: dict[Any, Any] = {}
LAST: Any = None
SEEN: list[Any] = []
KEYS: set[Any] = set()
DEEP: dict[str, Any] = {"a": {}, "b": [None]}
RECENT: deque[Any] = deque(maxlen=2)


class Box:
    def __init__(self, y: Any) -> None:
        self.y = y


@functools.lru_cache
def bounded(n: int) -> torch.Tensor:
    return torch.arange(n)


@functools.cache
def unbounded(n: int) -> torch.Tensor:
    return torch.zeros(n)


def remembering() -> Callable[[torch.Tensor], torch.Tensor]:
    last = None

    def double(x: torch.Tensor) -> torch.Tensor:
        nonlocal last
        if last is None or last.shape != x.shape:
            last = x * 2
        return last

    return double


double = remembering()


def with_default(x: torch.Tensor, memo: dict[str, Any] = {}) -> torch.Tensor:  # noqa: B006
    if "k" not in memo:
        memo["k"] = x.new_ones(5)
    return memo["k"]  # type: ignore[no-any-return]


def with_attribute(x: torch.Tensor) -> torch.Tensor:
    if not hasattr(with_attribute, "memo"):
        with_attribute.memo = x.new_ones(5)  # type: ignore[attr-defined]
    return with_attribute.memo  # type: ignore[attr-defined, no-any-return]


class Place:
    """An object of a module with attributes that are in no ``__dict__``; one of them is not set."""

    __slots__ = ("kept", "late", "untouched")

    def __init__(self) -> None:
        self.kept: Any = None
        self.untouched = 7


PLACE = Place()


class Caches(nn.Module):
    shared: Any = None
    table: dict[int, Any] = {}  # noqa: RUF012

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.linear = way, nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.linear(x)
        return y + getattr(self, self.way)(x, y)  # type: ignore[no-any-return]

    def by_shape(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        if tuple(x.shape) not in CACHE:
            CACHE[tuple(x.shape)] = torch.ones(x.shape[0], 5)
        return CACHE[tuple(x.shape)]

    def by_name(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return CACHE.setdefault("grid", torch.ones(5))

    def in_a_global(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        global LAST
        if LAST is None:
            LAST = torch.ones(5)
        return LAST

    def in_a_list(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        SEEN.append(y)
        return SEEN[-1] * len(SEEN)

    def in_a_set(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        KEYS.add(y)
        return len(KEYS)

    def in_a_deque(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        RECENT.append(y)
        return RECENT[-1]

    def nested(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        if "m" not in DEEP["a"]:
            DEEP["a"]["m"] = {"deep": [Box(torch.ones(5))]}
        DEEP["b"][0] = y
        return DEEP["a"]["m"]["deep"][0].y

    def a_size(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        SEEN.append(x.shape[0])
        return SEEN[0]

    def bounded(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return bounded(5)

    def unbounded(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return unbounded(5)

    def in_the_class(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        if Caches.shared is None:
            Caches.shared = torch.ones(5)
        return self.table.setdefault(5, Caches.shared)

    def in_a_closure(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return double(x)

    def in_a_default(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return with_default(x)

    def in_a_function(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return with_attribute(x)

    def in_slots(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        if PLACE.kept is None:
            PLACE.kept = torch.ones(5)
        if not hasattr(PLACE, "late"):
            PLACE.late = torch.ones(5)
        return PLACE.kept + PLACE.late

    def in_a_parameter(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        weight: Any = self.linear.weight
        if not hasattr(weight, "memo"):
            weight.memo = torch.ones(5)
        return weight.memo


WAYS = [n for n, f in vars(Caches).items() if callable(f) and not n.startswith("_") and n != "forward"]


@pytest.fixture
def empty_caches() -> Iterator[None]:
    def empty() -> None:
        global LAST, DEEP
        LAST, DEEP = None, {"a": {}, "b": [None]}
        PLACE.__init__()  # type: ignore[misc]
        if hasattr(PLACE, "late"):
            del PLACE.late
        for container in (CACHE, SEEN, KEYS, RECENT, Caches.table):
            container.clear()
        Caches.shared = None
        bounded.cache_clear()
        unbounded.cache_clear()

    empty()
    yield
    empty()


@pytest.mark.usefixtures("empty_caches")
@pytest.mark.parametrize("ending", ["return", "error"])
@pytest.mark.parametrize("way", WAYS)
def test_no_cache_keeps_anything_of_a_trace(way: str, ending: str) -> None:
    """A plain run afterwards gives what it would have given without the analysis, at this size and another."""
    model = Caches(way)
    if ending == "error":
        if way in ("in_a_function", "in_a_parameter"):
            pytest.skip("a new attribute of a function or a tensor is found only after a whole run")

        class Fails(Caches):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                super().forward(x)
                raise KeyError

        failing = Fails(way)
        with pytest.raises(KeyError):
            fxcount.analyze(failing, "B,5", hints={"B": 3})
    else:
        fxcount.analyze(model, "B,5", hints={"B": 3})
    if way == "a_size":  # a model that fails is tried once more with plain integers, which are no part of a trace
        assert all(type(n) is int for n in SEEN)
        SEEN.clear()
    assert (CACHE, LAST, SEEN, KEYS, DEEP, list(RECENT)) == ({}, None, [], set(), {"a": {}, "b": [None]}, [])
    assert (Caches.shared, Caches.table) == (None, {})
    assert (PLACE.kept, hasattr(PLACE, "late"), PLACE.untouched) == (None, False, 7)
    for x in (torch.ones(3, 5), torch.ones(2, 5)):
        assert type(model(x)) is torch.Tensor


@pytest.mark.usefixtures("empty_caches")
def test_what_the_user_has_in_a_cache_stays() -> None:
    real = torch.full((5,), 7.0)
    CACHE.update({"grid": real, (2, 5): real})
    SEEN.append(real)
    fxcount.analyze(Caches("by_name"), "B,5", hints={"B": 3})
    fxcount.analyze(Caches("by_shape"), "B,5", hints={"B": 3})
    fxcount.analyze(Caches("in_a_list"), "B,5", hints={"B": 3})
    assert list(CACHE) == ["grid", (2, 5)]
    assert CACHE["grid"] is CACHE[2, 5] is SEEN[0] is real
    assert len(SEEN) == 1


@pytest.mark.parametrize("spec", ["B,S,8", "2,3,8"])
def test_nothing_is_searched_for_where_nothing_is_left(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk over all of Python's objects is for models that leave something behind."""
    searched: list[int] = []
    monkeypatch.setattr(Leftovers, "_clean_holders", lambda self: searched.append(1))
    fxcount.analyze(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), spec)
    fxcount.analyze(nn.LSTM(8, 7, batch_first=True), spec)
    assert searched == []


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "swin_t", "timm_vit"])
def test_the_whole_heap_is_searched_for_no_model_that_keeps_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search takes many times as long as the analysis: what the tracer itself has worked out must not set it off."""
    searched: list[Leftovers] = []
    monkeypatch.setattr(Leftovers, "_clean_holders", lambda left: searched.append(left))
    CASES[name].analyse()
    assert searched == []


@pytest.mark.parametrize("evaluated", [None, False], ids=["by Python", "by torch.compile"])
def test_a_fresh_cache_elsewhere_keeps_its_name(evaluated: Any) -> None:
    """An empty dict is no object to the garbage collector until something is put into it, and looks as if it were made then.
    While torch.compile evaluates frames (here it only looks on), Python keeps copies of arguments, as it does not else."""
    from torch._C._dynamo.eval_frame import set_eval_frame as evaluates_frames

    names: dict[str, Any] = {}
    exec("KEPT = {}\ndef keep(n):\n    KEPT['n'] = n\n    return n", names)

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[: names["keep"](x.shape[0])]

    net = Net()
    evaluates_frames(evaluated)
    try:
        fxcount.analyze(net, "B,3")
    finally:
        evaluates_frames(None)
    assert names["KEPT"] == {}
    assert net(torch.zeros(2, 3)).shape == (2, 3)
