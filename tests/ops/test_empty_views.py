"""Views of tensors without elements: torch sees them in any shape, and gives row-major strides."""

from __future__ import annotations

import pytest
import torch

from fxcount.ops import REGISTRY, TensorFact
from fxcount.ops.core.fact import Alias
from fxcount.symbolic import Scope, evaluate

SIZES = {"B": 3, "S": 5}
CASES = [
    ((3, 5, 0), (60, 12, 1), (3, 1, 5, 0)),
    ((3, 5, 0), (60, 12, 1), (0, 7)),
    ((3, 5, 0), (60, 12, 1), (5, 0, 3)),
    ((3, 5, 0), (60, 12, 1), (3, 5, 0)),
    ((0, 5, 3), (1, 7, 35), (5, 3, 0)),
    ((5, 0), (1, 11), (0,)),
]  # fmt: skip


def _symbolic(scope: Scope, sizes: tuple[int, ...], named: bool) -> tuple[object, ...]:
    by_value = {value: scope.symbols[name] for name, value in SIZES.items()}
    return tuple([by_value.get(n, n) if named else n for n in sizes])


@pytest.mark.parametrize("name", ["view", "reshape"])
@pytest.mark.parametrize(("shape", "strides", "new"), CASES)
@pytest.mark.parametrize("named", [False, True])
def test_what_is_empty_is_seen_in_any_shape(
    name: str, shape: tuple[int, ...], strides: tuple[int, ...], new: tuple[int, ...], named: bool
) -> None:
    wanted = getattr(torch.empty_strided(shape, strides), name)(new)
    scope = Scope(SIZES)
    x = TensorFact(_symbolic(scope, shape, named), torch.float32, strides=strides)
    found = REGISTRY[getattr(torch.Tensor, name)].shape(scope, x, _symbolic(scope, new, named))
    assert isinstance(found, Alias)
    assert [evaluate(n, SIZES) for n in found.fact.shape] == list(wanted.shape)
    assert [evaluate(n, SIZES) for n in found.fact.stride()] == list(wanted.stride())
    assert not scope.assumptions
