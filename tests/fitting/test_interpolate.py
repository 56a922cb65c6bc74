"""The arithmetic of fitting: polynomials from few values, periods of sequences."""

from __future__ import annotations

from fractions import Fraction
from math import comb, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcount.interpolation.interpolate import NoPolynomial, interpolate, value_at
from fxcount.interpolation.periods import find_period, is_polynomial

exponents = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 1))
# positive coefficients, as sizes have: at positive nodes no difference of theirs vanishes by chance
terms = st.dictionaries(exponents, st.integers(1, 10**12), max_size=4)
polynomials = st.dictionaries(st.sampled_from("abc"), terms, max_size=3)
columns = st.lists(st.integers(1, 99), min_size=5, max_size=5, unique=True)


def _value(polynomial, point):
    return {k: sum(c * prod(x**e for x, e in zip(point, es)) for es, c in terms.items()) for k, terms in polynomial.items()}


@given(polynomials, st.tuples(columns, columns, columns), st.tuples(*[st.integers(100, 10**6)] * 3))
def test_recovers_polynomials_exactly(polynomial, nodes, far):
    found = interpolate(lambda i: _value(polynomial, [n[k] for n, k in zip(nodes, i)]), nodes, [4, 4, 4])
    assert found == {k: dict(sorted(terms.items())) for k, terms in polynomial.items() if terms}
    assert value_at(found, far) == {k: v for k, v in _value(polynomial, far).items() if v}


def test_asks_for_few_values():
    """12*L*d**2 + 13*L*d + V*d: six exponents below, and next to them L**2, d**3, V**2, L*V, d**2*V, ... : no box of 3*4*3."""
    asked = []

    def value(index):
        asked.append(index)
        layers, d, vocab = (nodes[k] for nodes, k in zip(([1, 2, 3], [8, 16, 24, 32], [5, 6, 7]), index))
        return {"n": 12 * layers * d * d + 13 * layers * d + vocab * d}

    found = interpolate(value, [[1, 2, 3], [8, 16, 24, 32], [5, 6, 7]], [4, 4, 4])
    assert found == {"n": {(0, 1, 1): 1, (1, 1, 0): 13, (1, 2, 0): 12}}
    assert len(asked) == len(set(asked)) <= 14


def test_rational_coefficients():
    found = interpolate(lambda i: {"pairs": comb(i[0] + 1, 2)}, [list(range(1, 6))], [3])
    assert found == {"pairs": {(1,): Fraction(-1, 2), (2,): Fraction(1, 2)}}  # x(x - 1)/2 at x = index + 1


def test_what_is_no_polynomial_is_said():
    with pytest.raises(NoPolynomial) as said:
        interpolate(lambda i: {"n": 3 * i[0] + 2 ** i[1]}, [list(range(1, 9)), list(range(9))], [4, 4])
    assert said.value.variable == 1


def test_too_few_nodes_give_a_lower_degree():
    """Nobody can tell a line from a parabola at two points; checks elsewhere must."""
    assert interpolate(lambda i: {"n": (i[0] + 1) ** 2}, [[1, 2]], [4]) == {"n": {(0,): -2, (1,): 3}}


# -- periods --------------------------------------------------------------------------------------------------------------
@given(st.integers(2, 12), st.data())
def test_finds_the_period_of_residues(period, data):
    """Sequences that are another polynomial on each residue class."""
    classes = data.draw(st.lists(st.tuples(*[st.integers(0, 50)] * 3), min_size=period, max_size=period))
    found = find_period(lambda k: {"n": sum(c * k**e for e, c in enumerate(classes[k % period]))}, 200)
    if found is not None:
        assert all(classes[k] == classes[(k + found[0]) % period] or period % found[0] for k in range(period))
    else:
        assert len(set(classes)) == 1 or is_polynomial([{"n": c} for c in range(4)], 2)
    if len(set(classes)) == period:  # no smaller one
        assert found is not None
        assert found[0] == period


@pytest.mark.parametrize("length", [2, 8, 16, 64])
@pytest.mark.parametrize("offset", [0, 1, 5])
def test_finds_steps(length, offset):
    """Padding to a multiple: constant between jumps; the phase is where a run begins."""
    asked = []

    def value(k):
        asked.append(k)
        return {"n": 7 * (-(-(k + offset) // length)) ** 2}

    found = find_period(value, 400)
    assert found is not None
    assert found[0] == length
    assert len(set(asked)) <= 4 * length + 8  # not all of them
    begins = (k for k in range(1, 400) if value(k) != value(k - 1))
    assert next(begins) % length == found[1]


def test_no_period_where_there_is_none():
    assert find_period(lambda k: {"n": k * k}, 100) is not None  # a polynomial has every period
    assert find_period(lambda k: {"n": k if k < 50 else k + 1}, 100) is None
    assert find_period(lambda k: {"n": 2**k}, 60) is None
    assert find_period(lambda k: {"n": int(k > 30)}, 100) is None
