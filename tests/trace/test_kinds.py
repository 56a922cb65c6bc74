"""``type``, ``isinstance`` and ``id`` of a size: what the model learns of a number it learns of a symbolic size, however the
size comes to where it is asked, and nothing of it stays in the user's modules. The truth is the same function run by Python."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount

HELPER = """
import functools
class Holder:
    def __init__(self, n): self.n = n
    def exact(self): return type(self.n) is int
    @property
    def named(self): return type(self.n).__name__ == "int"
    @classmethod
    def of(cls, n): return cls(n).exact()
def first(sizes): return type(sizes[0]) is int
def deep(sizes): return first([s // 2 for s in sizes])
def keyword(**named): return all(type(v) is int for v in named.values())
@functools.lru_cache(None)
def cached(n): return type(n) in (int,)
"""


helper_of_sizes: Any = types.ModuleType("helper_of_sizes")  # as a model's file has what it imports
exec(compile(HELPER, "helper_of_sizes.py", "exec"), helper_of_sizes.__dict__)


def _kind_of(n: Any) -> Any:
    return {int: "int", float: "float"}.get(type(n), "other")


def _nested(sizes: Any) -> bool:
    def inner() -> bool:
        return all(type(s) is int for s in sizes)

    return inner()


class _Meta:
    """A function that derives a metaclass from ``type`` and makes a class of it."""

    def __call__(self, h: Any, w: Any) -> bool:
        class Kind(type):
            pass

        made = Kind("Made", (), {"n": 3})
        return type(made) is Kind and isinstance(made, type) and type("Other", (), {}) is not None and type(h) is int


SCOPE, NUMERATOR, DENOMINATOR = "scope", "num", "denominator"


def _raises(asks: Callable[[], Any]) -> bool:
    try:
        asks()
    except AttributeError:
        return True
    return False


ASKS: dict[str, Callable[[Any, Any], Any]] = {
    "in a list": lambda h, w: type([h, w][0]) is int,
    "in a dict": lambda h, w: type({"h": h}["h"]) is int,
    "by map": lambda h, w: list(map(type, (h, w))) == [int, int],
    "as a key": lambda h, w: {int: True}.get(type(h), False),
    "of a quotient": lambda h, w: type(h / 2) is float,
    "by name": lambda h, w: type(h).__name__ == "int",
    "subclass": lambda h, w: issubclass(type(h), int),
    "made of it": lambda h, w: type(h)("3") == 3,
    "in a set": lambda h, w: {type(h), type(w)} == {int},
    "in a closure": lambda h, w: _nested((h, w)),
    "of another function": lambda h, w: _kind_of(h) == "int" and _kind_of(h / w) == "float",
    "a metaclass": lambda h, w: _Meta()(h, w),
    "SymInt": lambda h, w: not isinstance(h, torch.SymInt) and isinstance(h, (torch.SymInt, int)),
    "SymFloat": lambda h, w: not isinstance(h / 2, torch.SymFloat),
    "SymInt in a list": lambda h, w: not any(isinstance(k, torch.SymInt) for k in (h, w)),
    "other module, list": lambda h, w: helper_of_sizes.first([h, w]),
    "other module, deep": lambda h, w: helper_of_sizes.deep((h, w)),
    "other module, keyword": lambda h, w: helper_of_sizes.keyword(h=h, w=w),
    "other module, object": lambda h, w: helper_of_sizes.Holder(h).exact() and helper_of_sizes.Holder(w).named,
    "other module, class method": lambda h, w: helper_of_sizes.Holder.of(h),
    "other module, partial": lambda h, w: functools.partial(helper_of_sizes.first, [w])(),
    "other module, cached": lambda h, w: helper_of_sizes.cached(h),
    "no attribute of ours": lambda h, w: not any(hasattr(n, a) for n in (h, h / 2) for a in ("expr", "hint", "scope", "value")),
    "none to be had": lambda h, w: getattr(h, "expr", None) is None and getattr(h, "hint", 3) == 3,
    "none that is asked for": lambda h, w: _raises(lambda: getattr(h, SCOPE)) and _raises(lambda: getattr(h / 2, NUMERATOR)),
    "those of a number": lambda h, w: hasattr(h, "real") and getattr(h, DENOMINATOR) == 1 and not hasattr(h, "shape"),
    "listed": lambda h, w: dir(h) == dir(3) and dir(h / w) == dir(0.5) and dir() == ["h", "w"],
    "branch elsewhere": lambda h, w: type(h) is int and h > 50,
}


class Net(nn.Module):
    def __init__(self, asks: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.asks = asks
        self.linear = nn.Linear(3, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[0], x.shape[1]
        return self.linear(x) if self.asks(h, w) else x


@pytest.mark.parametrize("name", ASKS)
def test_a_size_is_an_int(name: str) -> None:
    asks = ASKS[name]
    before = [dict(names) for names in (globals(), vars(helper_of_sizes))]
    report = fxcount.analyze(Net(asks), "H,W,3", hints={"H": 7, "W": 11})
    assert before == [dict(names) for names in (globals(), vars(helper_of_sizes))]
    assert not any(a.kind == "pin" for a in report.assumptions)
    for h, w in ((7, 11), (101, 53), (1, 1)):
        try:
            macs = report.at(H=h, W=w, extend=False).macs
        except fxcount.AssumptionError:
            assert name == "branch elsewhere"
            continue
        assert macs == (15 * h * w if asks(h, w) else 0)


def test_the_identity_of_a_number_pins() -> None:
    net = Net(lambda h, w: len({id(h), id(w), id(3)}) == 3)
    report = fxcount.analyze(net, "H,W,3", hints={"H": 7, "W": 11})
    assert sorted(str(a).split(" (")[0] for a in report.assumptions) == ["H == 7", "W == 11"]
    assert (report.at(H=7, W=11).macs, report.at(H=11, W=11).macs) == (15 * 77, 0)


def test_a_stand_in_is_a_tensor() -> None:
    class Asks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            own = [name for name in ("_value", "_owner", "_known") if hasattr(x, name) or name in dir(x)]
            same = type(x) is torch.Tensor and not own and getattr(x, "_storage", None) is None and hasattr(x, "grad_fn")
            return x.exp() if same and x.shape[0] else x

    assert fxcount.analyze(Asks(), "B,7").at(B=3).transcendentals == 21


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_stays_after_an_error(error: type[BaseException]) -> None:
    def fail(h: Any, w: Any) -> Any:
        assert "type" in globals()  # ours, while it is traced
        if type(h) is int:
            raise error("no")

    with pytest.raises(error):
        fxcount.analyze(Net(fail), "H,W,3")
    assert "type" not in globals()
