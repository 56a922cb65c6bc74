"""Many points at once against one at a time: the formulas by `evaluate`, the domain by `Scope.check`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fxcount.errors import SizeError
from fxcount.symbolic import Scope, evaluate, symbol
from fxcount.symbolic.domain import completed_at, holds_at
from fxcount.symbolic.floats import Claim
from fxcount.symbolic.vector import BLOCK, _Program, evaluate_defined, evaluate_many
from tests.symbolic.trees import NAMES, as_number, as_size, formulas

B, H, W, n = map(symbol, NAMES)

# around the ends of 64 bits, of their squares' roots, and small
edges = st.sampled_from([2**k + d for k in (31, 32, 62, 63, 64, 70) for d in (-1, 0, 1)])
numbers = st.integers(1, 60) | edges | st.integers(1, 2**70)
points = st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, numbers)), min_size=1, max_size=5)


def _columns(rows: list[dict[str, int]]) -> dict[str, list[int]]:
    return {name: [row[name] for row in rows] for name in NAMES}


@given(st.lists(formulas, min_size=1, max_size=3), points)
def test_agrees_with_one_point_at_a_time(texts, rows):
    sizes = [as_size(text) for text in texts]
    assume(None not in sizes)
    results, defined = evaluate_defined(sizes, _columns(rows))
    for text, size, result, mask in zip(texts, sizes, results, defined):
        for i, row in enumerate(rows):
            try:
                want = evaluate(size, row)
            except ZeroDivisionError:
                assert mask is not None
                assert not mask[i]
                continue
            assert mask is None or mask[i]
            assert int(result[i]) == want
            spelled_out = as_number(text, row)  # Python's own arithmetic, no algebra of ours
            assert spelled_out is None or spelled_out == int(result[i])


@given(formulas, points)
def test_dtype_says_whether_all_values_fit(text, rows):
    size = as_size(text)
    assume(size is not None)
    result, mask = (found[0] for found in evaluate_defined([size], _columns(rows)))
    if mask is None:
        wanted = [evaluate(size, row) for row in rows]
        assert (result.dtype == np.int64) == all(-(2**63) <= v < 2**63 for v in wanted)
        assert all(type(v) is int for v in result.tolist())


@pytest.mark.parametrize("first", [2**31 - 20, 2**32 - 20, 3037000499 - 20, 2**21 - 20])
def test_nothing_wraps_around_where_a_power_passes_64_bits(first):
    """Squares pass 2**63 at 3037000500, cubes at 2**21, in the middle of a block and at its end."""
    sizes = [H * H, H**3, H * H - H * (H - 1), (H * H) // 7, (H**3) // (H * H)]
    values = list(range(first, first + 40))
    for size, result in zip(sizes, evaluate_many(sizes, {"H": values})):
        assert result.tolist() == [evaluate(size, {"H": v}) for v in values]


def test_blocks_join():
    """More points than one block, large ones in one block only."""
    values = np.arange(1, 2 * BLOCK + 100)
    values[BLOCK + 5] = 2**40
    (result,) = evaluate_many([H**2 // 3 + W], {"H": values, "W": 5})
    assert result.dtype == object
    assert result.tolist() == [v * v // 3 + 5 for v in values.tolist()]


def test_grids_and_single_numbers():
    a, b = evaluate_many([B * H, H + 1], {"B": np.array([1, 2, 3], dtype=np.uint8), "H": np.array([[5], [300]], np.int16)})
    assert a.tolist() == [[5, 10, 15], [300, 600, 900]]
    assert b.tolist() == [[6] * 3, [301] * 3]
    assert evaluate_many([B * 2], {"B": np.int64(7)})[0].tolist() == 14
    assert evaluate_many([B * 2, 3], {"B": []})[1].tolist() == []
    assert evaluate_many([7], {})[0].tolist() == 7


def test_unsigned_and_mixed_numbers_beyond_64_bits():
    assert evaluate_many([H + 1], {"H": np.array([2**64 - 1], dtype=np.uint64)})[0].tolist() == [2**64]
    assert evaluate_many([H], {"H": [2**63, -1]})[0].tolist() == [2**63, -1]  # numpy makes floats of that list
    assert evaluate_many([H + W], {"H": range(2**63 - 2, 2**63 + 1), "W": 1})[0].tolist() == [2**63 - 1, 2**63, 2**63 + 1]


@pytest.mark.parametrize("wrong", [1.5, [1.0, 2.0], np.array([True]), True, "7", [None]])
def test_only_integers_are_taken(wrong):
    with pytest.raises(SizeError, match="no integers"):
        evaluate_many([H], {"H": wrong})


def test_what_is_missing_is_named():
    with pytest.raises(SizeError, match=r"no value for the symbol 'W'\n.*given: H"):
        evaluate_many([H * W], {"H": [1]})
    with pytest.raises(SizeError, match="do not go together"):
        evaluate_many([H * W], {"H": [1, 2], "W": [1, 2, 3]})


def test_a_divisor_of_zero():
    size = 12 // (H - 3) + H
    with pytest.raises(ZeroDivisionError):
        evaluate_many([size], {"H": [2, 3]})
    with pytest.raises(ZeroDivisionError):
        evaluate_many([size], {"H": 3})
    results, defined = evaluate_defined([size, H], {"H": [2, 3, 5]})
    assert defined[1] is None
    assert defined[0].tolist() == [True, False, True]
    assert results[0].tolist()[::2] == [-10, 11]


def test_equal_parts_are_computed_once():
    """A hundred formulas that share a floor and a product make one division and one multiplication of columns."""
    program = _Program({}, ["B", "H"])
    sizes = [k * B * (H // 7) + H for k in range(1, 101)]
    for size in sizes:
        program.size(size)
    made = [op for op, _, _ in program.steps]
    assert (made.count("floordiv"), made.count("mul"), made.count("add")) == (1, 1, 100)
    assert evaluate_many(sizes, {"B": 3, "H": [6, 20]})[41].tolist() == [6, 42 * 3 * 2 + 20]


# -- domains --------------------------------------------------------------------------------------------------------------
decisions = st.lists(st.tuples(st.sampled_from(["==", "!=", ">=", ">", "<=", "<", "%"]), formulas, formulas), max_size=4)
hints = st.fixed_dictionaries({name: st.integers(1, 40) for name in NAMES})


@given(decisions, hints, st.lists(st.fixed_dictionaries({name: st.integers(0, 60) for name in NAMES}), min_size=1, max_size=8))
def test_domain_agrees_with_check(asked, hint, rows):
    scope = Scope(hint)
    for relation, left, right in asked:
        a, b = as_size(left), as_size(right)
        assume(a is not None and b is not None)
        try:
            if relation == "%":
                scope.divisible(a, 6)
            else:
                scope.decide(relation, a, b)
        except ZeroDivisionError:
            assume(False)
    wanted = [scope.check(row) is None for row in rows]
    assert holds_at(scope, _columns(rows)).tolist() == wanted


def test_domain_of_floats_and_of_sizes_that_data_decide():
    scope = Scope({"H": 32, "B": 2})
    scope.claim(Claim("floor", ("*", ("/", 64, H), H), 64))
    scope.limit(H * H)
    kept = scope.unbacked.new("kept", "boxes kept", most=3 * H, default=H // 2)
    scope.decide(">", kept, 2)
    values = [3, 6, 32, 49, 2**21, 2**22]
    wanted = [scope.check({"H": v, "B": 2}) is None for v in values]
    assert sorted(set(wanted)) == [False, True]
    assert holds_at(scope, {"H": values, "B": 2}).tolist() == wanted
    assert completed_at(scope, {"H": [1, 9], "B": 2})["kept_1"].tolist() == [1, 4]
    given_ones = holds_at(scope, {"H": [[4], [50]], "B": 2, "kept_1": [2, 3, 12, 13]})
    assert given_ones.tolist() == [
        [scope.check({"H": h, "B": 2, "kept_1": k}) is None for k in (2, 3, 12, 13)] for h in (4, 50)
    ]  # fmt: skip
    assert len({*map(tuple, given_ones.tolist())}) == 2


