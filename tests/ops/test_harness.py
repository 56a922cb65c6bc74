"""The oracles themselves: an operand whose sizes agree by chance is refused."""

from __future__ import annotations

import pytest

from tests.ops.harness import SIZES, T, repeated


@pytest.mark.parametrize("shape", ["8,3,3,3", "B,13", "C,6", "N+7,M+5", "5,2*S,2*S-0*T,34"])
def test_sizes_that_agree_by_chance_are_refused(shape: str) -> None:
    with pytest.raises(AssertionError, match="are one size; take others, or say why not"):
        T(shape)
    assert T(shape, tied="the test says so").shape == shape


@pytest.mark.parametrize("shape", ["", "B", "B,3,H,W", "B,N,N", "1,1,S", "2*S,S,E,C"])
def test_sizes_tied_by_name_are_not(shape: str) -> None:
    assert repeated(shape) is None
    assert T(shape).shape == shape


def test_letters_are_sizes_of_their_own() -> None:
    assert all(len(set(values.values())) == len(values) for values in SIZES[:1])
