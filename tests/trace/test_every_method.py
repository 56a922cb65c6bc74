"""Every method of a tensor, called as torch itself takes it: it gives torch's shape, or an error of fxcount's with a place."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import FxcountError, UnsupportedError
from fxcount.symbolic import free_symbols
from fxcount.torch_private import VERSION

SHAPE = (3, 7)
ARGUMENTS: tuple[Callable[[torch.Tensor], tuple[Any, ...]], ...] = (
    lambda x: (),
    lambda x: (1,),
    lambda x: (0, 1),
    lambda x: (x.clone(),),
    lambda x: (2.0,),
    lambda x: ((7, 3),),
    lambda x: (torch.ones(7, 2),),
    lambda x: (torch.ones(3, 7) > 0, 0.0),
    lambda x: (0, torch.tensor([0, 1])),
    lambda x: (x.clone(), x.clone()),
    lambda x: (torch.float64,),
)
NOT_CALLED = {
    "index",  # functorch's, which does not return
    "backward", "__class__", "__init_subclass__", "__subclasshook__", "__new__", "__init__", "__dir__", "__getattribute__",
    "__setattr__", "__delattr__", "__torch_dispatch__", "__torch_function__", "__reduce__", "__reduce_ex__", "__setstate__",
}  # fmt: skip
NAMES = [n for n in dir(torch.Tensor) if n not in NOT_CALLED]


class Calls(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def _called(name: str, x: torch.Tensor, arguments: Callable[[torch.Tensor], tuple[Any, ...]]) -> Any:
    found = getattr(x, name)
    return found(*arguments(x)) if callable(found) else found


def _runs(name: str, arguments: Callable[[torch.Tensor], tuple[Any, ...]]) -> tuple[bool, Any]:
    try:
        return True, _called(name, torch.rand(SHAPE) + 0.5, arguments)
    except Exception:  # not a way to call it
        return False, None


def _wrong(name: str, arguments: Callable[[torch.Tensor], tuple[Any, ...]], real: Any) -> str:
    model = Calls(lambda x: _called(name, x, arguments))
    try:
        report = fxcount.analyze(model, "A,C", hints={"A": 3, "C": 7}, frontend="trace")
    except FxcountError as error:
        return "" if error.where else f"no place: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if not isinstance(real, torch.Tensor) or real.layout is not torch.strided or name in ("__rsub__", "new"):
        return ""
    fact = getattr(report.trace.outputs, "fact", None)
    if fact is not None and {n for s in fact.shape for n in free_symbols(s)} - {"A", "C"}:
        return ""  # as many as data decide: unique
    sizes = () if fact is None else tuple(report.trace.scope.hint(s) for s in fact.shape)
    return "" if fact is None or sizes == tuple(real.shape) else f"{sizes} for {tuple(real.shape)}"


@pytest.mark.parametrize("start", range(8))
def test_every_method_of_a_tensor(start: int) -> None:
    wrong, ran = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in NAMES[start::8]:
            for i, arguments in enumerate(ARGUMENTS):
                good, real = _runs(name, arguments)
                if good:
                    ran += 1
                    said = _wrong(name, arguments, real)
                    wrong += [f"{name} with arguments {i}: {said}"] if said else []
                if not callable(getattr(torch.Tensor, name)):
                    break
    assert ran > 60
    assert not wrong, "\n".join(wrong)


def test_the_memory_of_a_tensor() -> None:
    seen: list[Any] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        part = x[1:]
        whole = part.untyped_storage()
        seen.extend([whole.nbytes() == x.nbytes, whole.nbytes() == part.nbytes, part.storage_type(), x.share_memory_() is x])
        return x.new_zeros(part._typed_storage().size())

    report = fxcount.analyze(Calls(look), "A,5", hints={"A": 3})
    assert seen[-4:] == [True, False, torch.TypedStorage, True]
    assert [str(report.size(s)) for s in report.trace.outputs.fact.shape] == ["5*A"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.untyped_storage().resize_(0),
        lambda x: x.untyped_storage().tolist(),
        lambda x: x.untyped_storage()[0],
        lambda x: x.clone().apply_(lambda a: a + 1),
        lambda x: x.clone().map_(x, lambda a, b: a + b),
        pytest.param(
            lambda x: x.dim_order(),
            marks=pytest.mark.skipif(VERSION < (2, 9), reason="torch 2.6 compares strides in ways that formulas answer"),
        ),
    ],
)
def test_what_a_stand_in_cannot_do_is_refused_with_its_place(function: Callable[[torch.Tensor], Any]) -> None:
    with pytest.raises(UnsupportedError) as caught:
        fxcount.analyze(Calls(function), "A,5", frontend="trace")
    assert "test_every_method.py" in caught.value.where
