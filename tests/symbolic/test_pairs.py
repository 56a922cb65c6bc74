"""Floors that add up to a simpler one: agreement with Python, one form, and the sizes real models have."""

from __future__ import annotations

from itertools import permutations
from math import gcd

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fxcount.symbolic import Scope, Size, ceildiv, evaluate, is_zero, sum_, symbol, to_text
from fxcount.symbolic.expr import Atom, halves_in
from fxcount.symbolic.pairs import _kin, family

B, H, W = map(symbol, ["B", "H", "W"])

numerators = st.tuples(st.integers(-8, 8), st.integers(-8, 8), st.integers(-20, 20))
parts = st.lists(st.tuples(st.integers(-3, 3), numerators, st.sampled_from([1, 2, 4, 6, 8, 12, 16, 3])), min_size=2, max_size=5)


@given(parts, st.integers(1, 200), st.integers(1, 200))
def test_sums_of_floors_agree_with_python(parts, height, width):
    size = sum_(c * ((a * H + b * W + k) // q) for c, (a, b, k), q in parts)
    want = sum(c * ((a * height + b * width + k) // q) for c, (a, b, k), q in parts)
    assert evaluate(size, {"H": height, "W": width}) == want


@given(parts)
def test_the_form_does_not_depend_on_the_order(parts):
    sizes = [c * ((a * H + b * W + k) // q) for c, (a, b, k), q in parts]
    total = sum_(sizes)
    for order in list(permutations(sizes))[:24]:
        step: Size = 0
        for size in order:
            step = step + size
        assert step == total


@given(numerators, st.integers(1, 12))
def test_the_identity(numerator, m):
    a, b, k = numerator
    assume(gcd(a, b, 2 * m) == 1)  # else the fraction reduces, and may have no even divisor any more
    p = a * H + b * W + k
    assert p // (2 * m) + (p + m) // (2 * m) == p // m
    assert p // m - p // (2 * m) == (p + m) // (2 * m)


@given(st.integers(0, 15), st.integers(-5, 5), st.integers(2, 5))
def test_division_does_not_depend_on_how_floors_are_written(r, c, k):
    x, y = c * ((H + r) // 8), (H + 3) // 4
    left, right = (x + k * y) // k, x // k + y
    assert is_zero(left - right)
    for height in (1, 2, 3, 4, 5, 6, 7, 8, 1001):
        floors = c * ((height + r) // 8) // k + (height + 3) // 4
        assert evaluate(left, {"H": height}) == evaluate(right, {"H": height}) == floors


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (H // 4 - H // 8, "floor((H + 4)/8)"),
        (H // 8 + (H + 4) // 8, "floor(H/4)"),
        (2 * (H // 4) - 2 * (H // 8), "2*floor((H + 4)/8)"),
        (H // 4 + H // 4 % 2, "2*floor((H + 4)/8)"),
        (H // 2 - H // 4, "floor((H + 2)/4)"),
        (H - H // 2, "ceil(H/2)"),
        ((H + 3) // 4 - (H + 3) // 8, "ceil(H/8)"),
        (H // 4 + W // 8 - H // 8 + 1, "floor((H + 4)/8) + floor(W/8) + 1"),
        (3 * ((H + 3) // 4) // 2, "ceil(H/4) + floor((H + 3)/8)"),
        (H % 8, "H - 8*floor(H/8)"),
        (B * (H // 4 - H // 8), "B*floor((H + 4)/8)"),
    ],
)
def test_examples(size, text):
    assert to_text(size) == text


def test_stages_of_a_swin_transformer():
    n = H // 4
    texts = []
    for _ in range(4):
        padded = n + (7 - n % 7) % 7
        assert padded == 7 * ceildiv(n, 7)
        assert Scope({"H": 224}).decide(">=", padded, n)
        texts.append(to_text(padded))
        even = n + n % 2
        n = even - even // 2
    assert texts == [f"7*floor((H + {k})/{q})" for k, q in [(24, 28), (52, 56), (108, 112), (220, 224)]]


def test_a_guard_that_floors_are_exact_halves():
    scope = Scope({"H": 224})
    assert scope.same(H // 8, H // 4 - H // 8)
    assert [str(a) for a in scope.assumptions] == ["H % 8 == 0"]


def test_assumptions_about_floors_are_recorded_about_symbols():
    scope = Scope({"H": 224, "W": 224})
    assert scope.decide(">=", (H + 3) // 16, 2)
    assert scope.decide(">=", H // 32 * (W // 32), 1)
    assert scope.decide("<=", W // 16, 15)
    assert scope.decide("!=", H // 64, 0)
    assert scope.decide(">=", H // 16 * (W // 16), 196)
    assert [str(a) for a in scope.assumptions] == [
        "W >= 32",
        "W <= 255",
        "H >= 64",
        "floor(H/16)*floor(W/16) >= 196",
    ]


def test_terms_in_order_of_their_divisors():
    size = sum_((H + q - 1) // q for q in (16, 2, 32, 4, 8)) + W
    assert to_text(size) == "W + ceil(H/2) + ceil(H/4) + ceil(H/8) + ceil(H/16) + ceil(H/32)"


def test_sympy_ceiling():
    import sympy

    from fxcount.symbolic import from_sympy, to_sympy

    texts = ["ceiling(H/32)", "floor((H + 12)/16)", "ceiling((H + W)/7)"]
    for size, text in zip([(H + 31) // 32, (H + 12) // 16, (H + W + 6) // 7], texts, strict=True):
        there = to_sympy(size)
        assert str(there) == text
        assert from_sympy(there) == size
        for height in (1, 31, 32, 33, 500):
            numbers = {s: {"H": height, "W": 5}[s.name] for s in there.free_symbols}
            assert there.subs(numbers) == sympy.Integer(evaluate(size, {"H": height, "W": 5}))


singles = st.builds(
    lambda x, r, q: (x + r) // q, st.sampled_from([H, W, B * H, H * H]), st.integers(0, 120),
    st.sampled_from([1, 2, 3, 4, 6, 7, 8, 12, 14, 16, 20, 24, 28, 56, 112]),
)  # fmt: skip


def _touched(m):
    return family(m[0]).touched if len(m) == 1 and type(m[0]) is Atom and m[0].paired else {m}


@given(singles, singles)
def test_floors_are_of_one_kin_where_they_can_be_written_with_the_same_floors(a, b):
    for m in filter(None, a.terms):
        for n in filter(None, b.terms):
            assert None not in (_kin(m), _kin(n))
            assert (_kin(m) == _kin(n)) == (not _touched(m).isdisjoint(_touched(n)))


def test_no_family_is_made_for_floors_that_have_nothing_to_do_with_each_other():
    """Rows of windows of 7 in a quarter of an image, as a Swin pads them."""
    rows = symbol("tall") // 4
    made = family.cache_info().misses
    padding = (7 - rows % 7) % 7
    assert to_text(rows + padding) == "7*floor((tall + 24)/28)"
    assert family.cache_info().misses == made


@given(parts, parts)
def test_a_floor_that_may_add_up_with_others_is_known_to_be_a_term(some, others):
    one, other = (sum_(c * ((a * H + b * W + k) // q) for c, (a, b, k), q in sizes) for sizes in (some, others))
    for size in (one + other, one - other, one * other, B * one, 3 * one, one * one - one):
        assert isinstance(size, int) or size.halves or not halves_in(size.terms)


def test_products_of_floors_stand_for_themselves():
    grid = B * ceildiv(H, 2) * ceildiv(W, 2)
    assert not grid.halves
    assert (grid + H // 2).halves
    assert ((H // 2 + 1) * (W // 2)).halves
