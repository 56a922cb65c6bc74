"""What matching terms proves is true of every value, and it proves what sums of memory sizes need."""

from __future__ import annotations

import itertools
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fxcount.symbolic import (
    ceildiv,
    combination,
    covers,
    evaluate,
    in_common_terms,
    is_nonnegative,
    largest_sums,
    min_,
    symbol,
)
from tests.symbolic.trees import NAMES, as_number, as_size, formulas, values

B, H, W = map(symbol, "BHW")

grids = st.builds(
    lambda side, q, up: ceildiv(side, q) if up else side // q,
    st.sampled_from((H, W)), st.sampled_from((1, 2, 4, 7, 8, 14, 16, 28, 32, 56)), st.booleans(),
)  # fmt: skip
products = st.lists(grids | st.just(B), max_size=3).map(lambda factors: [1, *factors])
sums = st.lists(st.tuples(st.integers(-60, 400), products), min_size=1, max_size=5)


def _size(terms):
    total = 0
    for number, factors in terms:
        for factor in factors:
            number = number * factor
        total = total + number
    return total


@given(sums, values)
def test_nothing_false_is_proved(terms, numbers):
    size = _size(terms)
    if covers(size):
        assert evaluate(size, numbers) >= 0


@given(formulas, values)
def test_nothing_false_is_proved_of_any_formula(text, numbers):
    size, value = as_size(text), as_number(text, numbers)
    assume(None not in (size, value))
    if covers(size):
        assert value >= 0


@pytest.mark.parametrize(
    "size",
    [
        4 * B * ceildiv(H, 2) - 3 * B * ceildiv(H, 4),
        37632 * B * ceildiv(H, 28) * ceildiv(W, 28) - 768 * B * (H // 4) * (W // 4),  # windows of 7 against what they pad
        5 * B * H * W - 5 * B * (H // 2) * (W // 2) + 3,
        7 * ceildiv(H, 28) - H // 4,
        9604 * B * ceildiv(H, 56) - 28,
    ],
)
def test_proved(size):
    assert covers(size)


@pytest.mark.parametrize("size", [6 * ceildiv(H, 28) - H // 4, B * (H // 4) - B * (H // 2), B * (H // 2) - B, B - 2 * H])
def test_not_proved_as_it_is_false(size):
    points = [dict(zip(NAMES, at, strict=True)) for at in itertools.product((1, 2, 28, 113), repeat=len(NAMES))]
    assert min(evaluate(size, point) for point in points) < 0
    assert not covers(size)
    assert not is_nonnegative(size)


@given(st.lists(st.tuples(formulas, st.integers(-5, 5)), max_size=4), values)
def test_combination(parts, numbers):
    sizes = [(as_size(text), n) for text, n in parts]
    known = [(as_number(text, numbers), n) for text, n in parts]
    assume(all(size is not None for size, _ in sizes) and all(value is not None for value, _ in known))
    total = combination(sizes)
    assert evaluate(total, numbers) == sum(value * n for value, n in known)
    plain = 0
    for size, n in sizes:
        plain = plain + size * n
    assert total == plain  # one canonical form, however it was added up


counts = st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4).map(tuple), min_size=1, max_size=6, unique=True)
of_memory = st.lists(st.builds(lambda n, f: n * f, st.integers(1, 9), grids | st.just(B * H)), min_size=3, max_size=3)


@given(of_memory, counts, values)
def test_the_sums_that_are_kept_have_the_largest_among_them(sizes, sums, numbers):
    sizes = [*sizes, min_(B * (H // 28) - 1, 1)]  # of which nobody knows the sign
    kept = largest_sums(sizes, sums, {"B": 2, "H": 224, "W": 224})
    formulas = [combination(zip(sizes, times, strict=True)) for times in sums]
    assert max(evaluate(f, numbers) for f in formulas) == max(evaluate(f, numbers) for _, f in kept)
    assert all(formula == formulas[i] for i, formula in kept)


@given(of_memory, counts)
def test_a_sum_is_left_out_where_one_that_is_kept_covers_it_and_nowhere_else(sizes, sums):
    sizes = [*sizes, min_(B * (H // 28) - 1, 1)]
    kept = [i for i, _ in largest_sums(sizes, sums, {"B": 2, "H": 224, "W": 224})]
    formulas = [combination(zip(sizes, times, strict=True)) for times in sums]
    for i in set(range(len(sums))) - set(kept):
        assert any(covers(formulas[k] - formulas[i]) for k in kept)
    for larger, smaller in itertools.combinations(kept, 2):
        assert not covers(formulas[larger] - formulas[smaller])


def test_the_order_is_that_of_the_hints_asked_with():
    sizes, sums = [B, H], [(1, 0), (0, 1)]
    assert [i for i, _ in largest_sums(sizes, sums, {"B": 2, "H": 3})] == [1, 0]
    assert [i for i, _ in largest_sums(sizes, sums, {"B": 3, "H": 2})] == [0, 1]


@given(st.lists(sums.map(_size), max_size=6), values)
def test_sizes_are_sums_of_their_common_terms(sizes, numbers):
    terms, parts = in_common_terms(sizes)
    assert len(parts) == len(sizes)
    assert len(terms) <= len(sizes)
    for size, made in zip(sizes, parts, strict=True):
        assert evaluate(size, numbers) == sum(n * evaluate(terms[i], numbers) for i, n in made)


def test_a_cache_that_grows_has_few_terms():
    S = symbol("S")
    assert len(in_common_terms([8 * B * (S + i) for i in range(1, 1001)])[0]) == 2


def test_maps_of_any_number_of_channels_are_one_term():
    """A DenseNet has as many sizes as layers, all of them multiples of a few maps."""
    maps = [4 * n * B * ceildiv(H, q) * ceildiv(W, q) for n in range(1, 30) for q in (4, 8)]
    terms, parts = in_common_terms(maps)
    assert terms == [B * ceildiv(H, 4) * ceildiv(W, 4), B * ceildiv(H, 8) * ceildiv(W, 8)]
    assert parts[-1] == ((1, 116),)


def test_no_sum_is_made_of_those_that_are_left_out(monkeypatch):
    home = sys.modules["fxcount.symbolic.dominance"]
    made = []
    monkeypatch.setattr(home, "combination", lambda parts: made.append(1) or combination(parts))
    sizes = [B * ceildiv(H, q) * W for q in (2, 4, 8)]
    sums = [(n, 40 - n, n) for n in range(1, 38)]
    kept = home._largest_sums(tuple(sizes), tuple(sums), (("B", 2), ("H", 224), ("W", 224)))
    assert len(made) == len(kept) < len(sums)


def test_a_size_may_be_there_twice():
    assert [i for i, _ in largest_sums([B, B, H], [(3, 0, 1), (1, 2, 1), (1, 3, 1)], {"B": 2, "H": 3})] == [2]
    assert largest_sums([B, B], [(0, 3), (2, 0)], {"B": 2}) == ((0, 3 * B),)
