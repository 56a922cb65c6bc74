"""Formulas are graphs with shared atoms: all that is done with them costs as much as there are distinct atoms.

``_doubling`` mentions every level twice in the next one: spelled out, the sizes below have 2**depth symbols, and anything
that walks them as trees does not come back.
"""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from benchmarks.depth import Resized
from fxcount.symbolic import (
    Expr,
    Factors,
    Scope,
    Size,
    eval_rows,
    evaluate,
    floordiv,
    free_symbols,
    from_rows,
    from_sympy,
    is_nonnegative,
    is_zero,
    lower_bound,
    max_,
    min_,
    substitute,
    symbol,
    to_rows,
    to_sympy,
    upper_bound,
)
from fxcount.symbolic.expr import Atom, atoms_of
from fxcount.symbolic.facts import nothing_known
from fxcount.symbolic.guard import check_product
from tests.symbolic.trees import NAMES, SYMBOLS, values

B, H, W = symbol("B"), symbol("H"), symbol("W")


def _doubling(depth: int, start: Size = H, q: int = 9) -> Size:
    """``x -> floor((4*x + floor(x/5))/7) + x % q + 1``: no two levels merge."""
    x = start
    for _ in range(depth):
        x = (4 * x + x // 5) // 7 + x % q + 1
    return x


def _doubled(depth: int, x: int, q: int = 9) -> int:
    for _ in range(depth):
        x = (4 * x + x // 5) // 7 + x % q + 1
    return x


@pytest.mark.parametrize(("depth", "q"), [(16, 4), (70, 9)])
def test_what_is_done_with_a_formula_costs_its_distinct_atoms(depth, q):
    size = _doubling(depth, q=q)
    assert isinstance(size, Expr)
    atoms = list(atoms_of(size))
    assert len(set(atoms)) == len(atoms) <= 12 * depth
    assert max(map(len, atoms)) <= 160  # texts by which atoms are told apart
    for h in (1, 17, 10**30):
        assert evaluate(size, {"H": h}) == _doubled(depth, h, q)
    assert free_symbols(size) == {"H"}
    assert _doubling(depth, q=q) == size
    assert hash(_doubling(depth, q=q)) == hash(size)
    assert evaluate(substitute(size, {"H": W + 1}), {"W": 61}) == _doubled(depth, 62, q)
    assert lower_bound(size, {"H": (3, 900)}) is not None or upper_bound(size, {"H": (3, 900)}) is None
    assert not is_zero(size - 1)
    assert is_nonnegative(size) in (True, False)
    check_product(size, H)
    rows = to_rows(size)
    assert len(rows) <= 500 * depth
    assert eval_rows(rows, {"H": 911}) == _doubled(depth, 911, q)


def test_decisions_on_shared_formulas_are_cheap():
    size = _doubling(30)
    scope = Scope({"H": 1021, "W": 640})
    assert scope.decide(">", size + W, 1)
    assert not scope.same(size, W)
    facts = nothing_known().learned(">=", 5000 - H).learned("==", size - _doubling(29) * W).learned(">=", size - 3)
    assert facts.proves_nonnegative(size - 3)


def test_sympy_gets_each_atom_once():
    from sympy import preorder_traversal

    size = _doubling(6)
    distinct = set(preorder_traversal(to_sympy(size)))
    assert len(distinct) <= 200
    assert evaluate(from_sympy(to_sympy(_doubling(3))), {"H": 77}) == _doubled(3, 77)
    made = to_sympy(_doubling(40))  # 2**40 symbols if it were spelled out
    assert {s.name for s in made.free_symbols} == {"H"}


def test_atoms_are_interned():
    a, b = _doubling(12), _doubling(12)
    assert [id(x) for x in atoms_of(a)] == [id(x) for x in atoms_of(b)]
    again = pickle.loads(pickle.dumps(a))
    assert again == a
    assert [id(x) for x in atoms_of(again)] == [id(x) for x in atoms_of(a)]
    assert len(pickle.dumps(_doubling(20))) < 20_000
    (atom,) = [f for m in (H // 7).terms for f in m]
    assert copy.deepcopy(atom) is atom


def test_atoms_of_one_text_and_other_arguments_are_not_taken_for_one_another(monkeypatch):
    """Should a digest ever stand for two forms, neither gets the other's arguments."""
    one = Atom("floor(a)", "floor", (H, 7))
    other = Atom("floor(a)", "floor", (W, 7))
    assert one is not other
    assert (one.names, other.names) == ({"H"}, {"W"})


# -- the graph against a naive evaluator of the tree -----------------------------------------------------------------------
steps = st.lists(
    st.tuples(
        st.sampled_from(["floor", "mod", "max", "min", "add", "mul", "sub"]),
        st.integers(0, 50), st.integers(0, 50), st.sampled_from([2, 3, 4, 5, 7, 12]),
    ),
    min_size=1, max_size=14,
)  # fmt: skip


def _grown(program, leaves, largest, smallest, divide):
    """Each step takes two of the sizes made so far: a graph whose nodes are used many times."""
    made = list(leaves)
    for op, i, j, q in program:
        a, b = made[i % len(made)], made[j % len(made)]
        if op == "floor":
            made.append(divide(a + q * b - b, q))
        elif op == "mod":
            made.append(a - q * divide(a, q) + b)
        elif op == "mul":
            made.append(divide(a * b, q))
        elif op in ("max", "min"):
            made.append((largest if op == "max" else smallest)(a, b))
        else:
            made.append(a + b if op == "add" else a - b)
    return made


@given(steps, values)
def test_graphs_say_what_trees_say(program, numbers):
    sizes = _grown(program, [SYMBOLS[n] for n in NAMES], max_, min_, floordiv)
    expected = _grown(program, [numbers[n] for n in NAMES], max, min, lambda a, q: a // q)
    known = Factors(numbers)
    assert [evaluate(s, known) for s in sizes] == expected
    last = sizes[-1]
    assert eval_rows(to_rows(last), numbers) == expected[-1]
    assert from_rows(to_rows(last)) == last
    assert evaluate(substitute(last, {n: 2 * SYMBOLS[n] + 1 for n in NAMES}), dict.fromkeys(NAMES, 3)) == evaluate(
        last, dict.fromkeys(NAMES, 7)
    )
    low, high = lower_bound(last), upper_bound(last)
    assert low is None or low <= expected[-1]
    assert high is None or expected[-1] <= high


@given(steps, values)
def test_bounds_within_bounds_hold(program, numbers):
    last = _grown(program, [SYMBOLS[n] for n in NAMES], max_, min_, floordiv)[-1]
    assume(isinstance(last, Expr))
    bounds = {n: (max(1, v - 2), v + 3) for n, v in numbers.items()}
    value = evaluate(last, numbers)
    low, high = lower_bound(last, bounds), upper_bound(last, bounds)
    assert low is None or low <= value
    assert high is None or value <= high


@pytest.mark.parametrize("scale", [2, 3])
def test_a_deep_net_of_strides_and_resizes_is_small(scale):
    """Work and text of depth 24 against depth 12, counted and not timed: doubling every two levels it would be 64 times."""
    made = {}
    for depth in (12, 24):
        report = fxcount.analyze(Resized(depth, scale), "B,3,H,W", hints={"H": 1021, "W": 1019})
        assert report.assumptions == []
        total = report.costs.total.macs
        made[depth] = len(list(atoms_of(total))), len(str(report)), len(to_rows(total))
        height, width = torch.Size([677, 919])
        with FlopCounterMode(display=False) as counter, torch.device("meta"):
            Resized(depth, scale)(torch.empty(2, 3, height, width))
        assert 2 * evaluate(total, {"B": 2, "H": height, "W": width}) == counter.get_total_flops()
    assert made[24][1] < 20_000
    assert made[24][0] <= 4 * made[12][0]
    assert made[24][2] <= 8 * made[12][2]  # products of sums of twice as many terms each
