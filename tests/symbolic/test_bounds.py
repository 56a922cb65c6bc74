"""Bounds hold for every value in the domain, and are tight where the rest of the package leans on them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given

from fxcount.symbolic import is_nonnegative, lower_bound, max_, min_, symbol, upper_bound
from tests.symbolic.trees import as_number, as_size, formulas, values

B, H, W = map(symbol, "BHW")


@given(formulas, values)
def test_bounds_hold(text, numbers):
    size, value = as_size(text), as_number(text, numbers)
    assume(None not in (size, value))
    low, high = lower_bound(size), upper_bound(size)
    assert low is None or low <= value
    assert high is None or value <= high


@given(formulas, formulas, values)
def test_what_is_said_to_be_no_smaller_is_not(one, other, numbers):
    sizes, at = (as_size(one), as_size(other)), (as_number(one, numbers), as_number(other, numbers))
    assume(None not in sizes and None not in at)
    bounds = {name: (v - 1 or 1, v + 2) for name, v in numbers.items()}
    for a, b, x, y in ((*sizes, *at), (*sizes[::-1], *at[::-1])):
        if is_nonnegative(a - b) or is_nonnegative(a - b, bounds):
            assert x >= y


def test_the_largest_and_the_smallest_are_one_of_theirs():
    assert is_nonnegative(max_(H, 3) - H)
    assert is_nonnegative(W * (H - min_(H, W)))
    assert is_nonnegative(max_(H, W) - min_(H, W))
    assert not is_nonnegative(max_(H, W) - H - 1)
    assert not is_nonnegative(H - max_(H, 3))
    assert min_(H, max_(H, 3)) == H
    assert max_(min_(H, W), W) == W


@given(formulas)
def test_a_multiple_has_the_same_sign(text):
    """What is lost by rounding does not grow with a factor: both are one question."""
    size = as_size(text)
    assume(size is not None)
    assert is_nonnegative(96 * size) == is_nonnegative(size)
    assert is_nonnegative(6 * size + 5) == is_nonnegative(size)
    assert not is_nonnegative(size, {"H": (5, 9)}) or is_nonnegative(96 * symbol("B") * size, {"H": (5, 9)})


def test_products_of_larger_sizes_are_larger():
    """Windows of 7 over a map, and the map: 7*ceil(h/7) is at least h, as is a product of two such."""
    rows, columns = (H + 24) // 28, (W + 24) // 28
    gap = 49 * rows * columns - (H // 4) * (W // 4)
    assert is_nonnegative(gap)
    assert is_nonnegative(96 * B * gap)
    assert not is_nonnegative(gap - 1)  # H = W = 28: 7 by 7
    assert not is_nonnegative(48 * rows * columns - (H // 4) * (W // 4))
    assert lower_bound(min_(gap, 1)) == 0


@given(formulas, values)
def test_bounds_hold_within_bounds(text, numbers):
    size, value = as_size(text), as_number(text, numbers)
    assume(None not in (size, value))
    bounds = {name: (v - 1 or 1, v + 2) for name, v in numbers.items()}
    low, high = lower_bound(size, bounds), upper_bound(size, bounds)
    assert low is None or low <= value
    assert high is None or value <= high


@pytest.mark.parametrize(
    ("size", "low", "high"),
    [
        (H, 1, None),
        (5 - H, None, 4),
        (H * W - H, 0, None),
        (H * W - H - W + 1, 0, None),
        (H % 7, 0, 6),
        ((7 - H % 7) % 7, 0, 6),
        (7 * ((H + 6) // 7) - H, 0, 6),
        ((H + 6) // 7, 1, None),
        (H // 7, 0, None),
        (B * (H // 2) - B, None, None),
        (max_(H, W) + 3, 4, None),
        (min_(H, 9), 1, 9),
        (H - W, None, None),
    ],
)
def test_tight(size, low, high):
    if low is None and high is None and size == B * (H // 2) - B:
        assert not is_nonnegative(size)  # H may be 1
        return
    assert (lower_bound(size), upper_bound(size)) == (low, high)


def test_given_bounds():
    assert lower_bound(H // 32, {"H": (64, 100)}) == 2
    assert upper_bound(H // 32, {"H": (64, 100)}) == 3
    assert is_nonnegative(H - 33, {"H": (33, None)})
    assert not is_nonnegative(H - 34, {"H": (33, None)})
