"""Formulas for people: repeated atoms are named in long ones, and sympy's say floor((H + 28)/32)."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sympy

from fxcount.errors import SizeError
from fxcount.symbolic import evaluate, max_, parse, sum_, symbol, to_latex, to_sympy, to_text
from tests.symbolic.test_shared import _doubling

B, H, W = map(symbol, "BHW")
b, h, w = sympy.symbols("B H W", integer=True, positive=True)


def test_long_formulas_name_what_is_repeated_and_read_back():
    size = _doubling(12) * B
    text = to_text(size)
    assert " where " in text
    assert parse(text) == size
    assert len(to_text(_doubling(40))) < 60_000  # spelled out it has 2**40 symbols
    assert r"\text{where}" in to_latex(size)
    assert "where" not in to_text(3 * ((H + 1) // 2) + (H + 1) // 2 * B)


def test_equal_sizes_read_alike_however_they_were_made():
    terms = [_doubling(n) * n for n in range(2, 9)]
    forwards, backwards = sum_(terms), sum_(terms[::-1])
    assert forwards == backwards
    assert to_text(forwards) == to_text(backwards)
    assert to_latex(forwards) == to_latex(backwards)


def test_names_are_no_symbols_of_the_formula():
    size = _doubling(12) * symbol("h1") * symbol("h2")
    assert parse(to_text(size)) == size


@pytest.mark.parametrize("text", ["a where b", "a where a = ", "1 where a = 2 +", "a + 1 where = 3"])
def test_definitions_that_are_none_are_refused(text):
    with pytest.raises(SizeError):
        parse(text)


def test_one_fraction_in_a_floor_equal_to_sympys_own():
    size = B * ((H + 28) // 32) + (H + 6) // 7
    mine, plain = to_sympy(size), b * sympy.floor((h + 28) / 32) + sympy.ceiling(h / 7)
    assert str(mine) == "B*floor((H + 28)/32) + ceiling(H/7)"
    assert mine == plain
    assert plain == mine
    assert hash(mine) == hash(plain)
    assert mine - plain == 0
    assert mine.subs({h: 100, b: 3}) == evaluate(size, {"H": 100, "B": 3}) == 27
    assert sympy.simplify(mine) == mine
    assert pickle.loads(pickle.dumps(mine)) == plain
    assert mine != b
    assert (mine == 1) is False


def test_lambdify_is_exact():
    size = B * ((H + 28) // 32) + (H + 6) // 7
    values = {"H": 10**30, "B": 7}
    for modules in (None, "math", "numpy", "mpmath", "sympy"):
        assert sympy.lambdify([h, b], to_sympy(size), modules)(10**30, 7) == evaluate(size, values)
    found = sympy.lambdify([h, b], to_sympy(size))(np.array([100, 2**53 + 3]), 3)
    assert found.tolist() == [evaluate(size, {"H": n, "B": 3}) for n in (100, 2**53 + 3)]


def test_a_max_is_sympys():
    found = to_sympy(max_(H, 2 * W, 5))
    assert isinstance(found, sympy.Max)
    assert found == sympy.Max(h, 2 * w, 5)
    assert sympy.Max(h, 2 * w, 5) == found
    assert found.subs({h: 3, w: 7}) == 14
    assert found.subs(h, 3).subs(w, 1) == 5
    assert sympy.lambdify([h, w], to_sympy(max_(H, 2 * W)))(np.array([10, 20]), np.array([6, 7])).tolist() == [12, 20]
