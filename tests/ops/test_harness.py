"""The oracles themselves: an operand whose sizes agree by chance is refused."""

from __future__ import annotations

import pytest
import torch

from tests.ops.harness import SIZES, T, repeated, work


@pytest.mark.parametrize("shape", ["8,3,3,3", "B,13", "C,31", "B,37", "N+7,M+5", "5,2*S,2*S-0*T,34"])
def test_sizes_that_agree_by_chance_are_refused(shape: str) -> None:
    with pytest.raises(AssertionError, match=r"are one size at .*; take others, or say why not"):
        T(shape)
    assert T(shape, tied="the test says so").shape == shape


@pytest.mark.parametrize("shape", ["", "B", "B,3,H,W", "B,N,N", "1,1,S", "2*S,S,E,C"])
def test_sizes_tied_by_name_are_not(shape: str) -> None:
    assert repeated(shape) is None
    assert T(shape).shape == shape


def test_letters_are_primes_of_their_own() -> None:
    for values in SIZES:
        assert len(set(values.values())) == len(values)
        assert all(n % d for n in values.values() for d in range(2, n)), "a multiple of another size would pass for it"
    first, *others = SIZES
    for values in others:
        assert not {name for name, n in values.items() if n == first[name]}


def test_work_is_counted_where_sizes_are_distinct() -> None:
    with pytest.raises(AssertionError, match="B and 3 are one size"):
        work(torch.exp, T("B,3"))
    assert work(torch.exp, T("B,3"), values=SIZES[2])["flops"] == 37 * 3
