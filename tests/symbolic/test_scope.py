"""Decisions: proved where possible, else taken by the sample values and recorded once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fxcount.errors import SizeError
from fxcount.symbolic import Expr, Scope, evaluate, max_, prod, symbol
from fxcount.symbolic.facts import Facts, nothing_known
from tests.symbolic.trees import NAMES, as_size, formulas, values

B, H, W, S, n, C = map(symbol, ["B", "H", "W", "S", "n", "C"])


def texts(scope):
    return [str(a) for a in scope.assumptions]


@pytest.fixture
def scope():
    return Scope({"B": 2, "H": 224, "W": 210, "S": 128, "n": 10, "C": 11}, where=lambda: "net.py:12")


def test_proved_statements_assume_nothing(scope):
    assert scope.same(H // 2 + (H + 1) // 2, H)
    assert scope.decide(">=", H, 1)
    assert scope.decide(">", H + 1, 1)
    assert scope.decide("!=", H, 0)
    assert not scope.decide("==", 2 * H, 7)
    assert not scope.decide("<", H * W, H)
    assert scope.divisible(64 * H, 32)
    assert not scope.divisible(32 * H + 1, 32)
    assert scope.assumptions == []


@pytest.mark.parametrize(
    ("relation", "a", "b", "truth", "text"),
    [
        (">", H, 32, True, "H >= 33"),
        ("<", H, 300, True, "H <= 299"),
        (">=", H, W, True, "H >= W"),
        ("<=", H, W, False, "H >= W + 1"),
        (">", H, 500, False, "H <= 500"),
        ("==", H, 224, True, "H == 224"),
        ("==", H, W, False, "H != W"),
        ("!=", H, 1, True, "H >= 2"),
        ("==", H % 7, 0, True, "H % 7 == 0"),
        ("==", H % 32, 5, False, "H % 32 != 5"),
        ("==", H % 5, 4, True, "H % 5 == 4"),
        ("==", (7 - H % 7) % 7, 0, True, "H % 7 == 0"),
        ("==", B * H, B * W, False, "H != W"),
        (">=", 4 * B * H, 4 * B * W, True, "H >= W"),
        (">=", 4 * H, 7, True, "H >= 2"),
        (">", H * W, H + 5, True, "H*W >= H + 6"),
    ],
)
def test_what_is_recorded(scope, relation, a, b, truth, text):
    assert scope.decide(relation, a, b, "test") is truth
    assert texts(scope) == [text]
    (assumption,) = scope.assumptions
    assert assumption.holds(scope.hints)
    assert (assumption.kind, assumption.reason, assumption.where) == ("guard", "test", "net.py:12")
    assert scope.decide(relation, a, b) is truth
    assert len(scope.assumptions) == 1


def test_a_stronger_bound_replaces_a_weaker_one(scope):
    assert scope.decide(">=", H, 2)
    assert scope.decide(">=", H, 33)
    assert scope.decide(">=", H, 20)
    assert scope.decide(">=", 2 * H, 40)
    assert texts(scope) == ["H >= 33"]


def test_floors_are_assumed_exact_rather_than_products_equal(scope):
    assert scope.same(B * 49 * (H // 7) * (W // 7) * C, B * H * W * C, "view")
    assert texts(scope) == ["H % 7 == 0", "W % 7 == 0"]
    assert scope.equal(7 * (H // 7), H)
    assert scope.same(H * W, 49 * (H // 7) * (W // 7))
    assert scope.divisible(W, 7)
    assert len(scope.assumptions) == 2


def test_ceils_are_assumed_exact_too(scope):
    padded = 7 * ((H + 6) // 7)
    assert scope.same(padded, H)
    assert texts(scope) == ["H % 7 == 0"]
    assert scope.equal((H + 6) // 7, H // 7)


def test_skip_connection_of_a_u_net(scope):
    assert scope.same(2 * (H // 2), H, "cat")
    assert scope.same(4 * (H // 4), H, "cat")
    assert texts(scope) == ["H % 4 == 0"]
    assert scope.equal(8 * (H // 8), H) is False
    assert scope.equal(H // 2 * 2, H)


def test_pin(scope):
    assert scope.pin(S, "range") == 128
    assert texts(scope) == ["S == 128 (pinned at net.py:12)"]
    assert scope.equal(S, 128)
    assert scope.equal(S * B, 128 * B)
    assert scope.pin(S + 1) == 129
    assert scope.decide("<", S, 129)
    assert len(scope.assumptions) == 1
    assert scope.pin(7) == 7


def test_pin_of_a_formula(scope):
    assert scope.pin(2 * B) == 4
    assert scope.equal(B, 2)
    assert scope.pin(H // 32) == 7
    assert scope.equal((H // 32) * B, 14)
    assert texts(scope) == ["B == 2 (pinned at net.py:12)", "floor(H/32) == 7 (pinned at net.py:12)"]


def test_a_pin_makes_an_older_guard_superfluous(scope):
    assert scope.decide(">", S, 32)
    scope.pin(S)
    assert texts(scope) == ["S == 128 (pinned at net.py:12)"]


def test_equations_are_used(scope):
    scope = Scope({"H": 224, "W": 224})
    assert scope.same(H, W)
    assert scope.same(H * H, H * W)
    assert scope.equal(H // 2, W // 2)
    assert scope.decide(">", H, 32)
    assert scope.decide(">", W, 32)
    assert texts(scope) == ["H == W", "H >= 33"]


def test_equal_never_assumes(scope):
    assert not scope.equal(S, 128)
    assert not scope.equal(H, W)
    assert scope.equal(H, H)
    assert scope.equal(3, 3)
    assert scope.assumptions == []


def test_where_is_asked_only_when_recording():
    calls = []
    scope = Scope({"H": 224}, where=lambda: calls.append(1) or "net.py:3")
    scope.same(H, H)
    scope.decide(">=", H, 1)
    scope.hint(H * 3)
    assert calls == []
    scope.decide(">", H, 5)
    scope.decide(">", H, 5)
    assert calls == [1]


def test_structural_operations_of_rules_assume_nothing(scope):
    """What shape rules do with sizes: output sizes, element counts, reshapes, broadcasting against the same size."""
    out = [(H + 2 - 3) // 2 + 1, (W + 2 - 3) // 2 + 1]
    numel = prod([B, 64, *out])
    assert scope.same(numel // (B * 64), prod(out))
    assert scope.equal(numel // prod(out) % 64, 0)
    assert scope.same(max_(H, 1), H)
    assert scope.hint(numel) == 2 * 64 * 112 * 105
    assert scope.same(sum([n // 3, (n + 1) // 3, (n + 2) // 3]), n)
    assert scope.assumptions == []


def test_declared_bounds():
    scope = Scope({})
    size = scope.declare("S", 128, lower=2, upper=512)
    assert scope.decide("<=", size, 512)
    assert scope.decide(">", size, 1)
    assert [(str(a), a.kind) for a in scope.assumptions] == [("S >= 2", "declared"), ("S <= 512", "declared")]
    assert str(scope.check({"S": 513})) == "S <= 512"
    with pytest.raises(SizeError):
        scope.declare("T", 1, lower=2)
    with pytest.raises(SizeError):
        scope.declare("T", 1, lower=0)
    with pytest.raises(SizeError):
        scope.declare("S", 127)


def test_check(scope):
    scope.divisible(H, 32)
    scope.decide(">", W, 32)
    good = {"B": 1, "H": 64, "W": 33, "S": 1, "n": 1, "C": 1}
    assert scope.check(good) is None
    assert str(scope.check({**good, "H": 65})) == "H % 32 == 0"
    assert str(scope.check({**good, "W": 32})) == "W >= 33"
    assert str(scope.check({**good, "B": 0})) == "B >= 1"


@given(formulas, formulas, values, values)
def test_decisions_agree_with_the_hint_and_hold_where_assumed(a, b, hints, others):
    """A decision is right at the hints, and right wherever all assumptions hold."""
    x, y = as_size(a), as_size(b)
    assume(x is not None and y is not None)
    scope = Scope(hints)
    try:
        left, right = scope.hint(x), scope.hint(y)
        other_left, other_right = (Scope(others).hint(e) for e in (x, y))
    except ZeroDivisionError:
        assume(False)
    less = scope.decide("<", x, y)
    same = scope.decide("==", x, y)
    divides = scope.divisible(x, 3)
    assert (less, same, divides) == (left < right, left == right, left % 3 == 0)
    assert all(assumption.holds(hints) for assumption in scope.assumptions)
    if scope.check(others) is None:
        truth = (other_left < other_right, other_left == other_right, other_left % 3 == 0)
        assert (less, same, divides) == truth


@given(formulas, formulas, values, values)
def test_learned_facts_are_sound(a, b, hints, others):
    x, y = as_size(a), as_size(b)
    assume(isinstance(x, Expr) and y is not None)
    scope = Scope(hints)
    try:
        scope.pin(x)
        scope.divisible(y, 4)
        scope.decide(">=", y, x)
        values_at = [(Scope(others).hint(e)) for e in (x, y)]
    except ZeroDivisionError:
        assume(False)
    if scope.check(others) is None:
        for size, value in zip((x, y), values_at, strict=True):
            for k in range(-2, 3):
                if scope.equal(size, scope.hint(size) + k):
                    assert value == scope.hint(size) + k
    assert set(scope.symbols) == set(NAMES)


@given(st.lists(formulas, min_size=3, max_size=6), values)
def test_what_an_example_refutes_has_no_proof(texts, hints):
    """Facts that know sizes at which they hold answer as those that try every proof, also under a supposition."""
    sizes = [as_size(text) for text in texts]
    assume(None not in sizes)
    tried, shown = nothing_known(), nothing_known().at(hints)
    try:
        for first, second in pairwise(sizes[:-1]):
            d = first - second
            if isinstance(d, Expr):
                value = evaluate(d, hints)
                tried, shown = (
                    facts.learned(">=", d if value >= 0 else -d).learned("%", d - value % 4, 4) for facts in (tried, shown)
                )
        questions = [a - k for a in sizes for k in (0, 1, sizes[-1]) if isinstance(a - k, Expr)]
        pairs = [(tried, shown)]
        if not tried.proves_nonzero(sizes[0] - sizes[-1]):
            pairs.append((tried.learned("==", sizes[0] - sizes[-1]), shown.learned("==", sizes[0] - sizes[-1])))
        for left, right in pairs:
            for question in questions:
                for ask in (Facts.proves_zero, Facts.proves_nonzero, Facts.proves_nonnegative):
                    assert ask(left, question) == ask(right, question), (ask, question)
    except ZeroDivisionError:
        assume(False)


def test_what_is_learned_is_known_of_its_multiples() -> None:
    h, w = symbol("H"), symbol("W")
    gap = (h // 4) * (w // 4) - 49 * ((h + 24) // 28) * ((w + 24) // 28)
    facts = nothing_known().at({"H": 224, "W": 224}).learned("==", gap)
    assert facts.proves_zero(96 * gap)
    assert facts.proves_zero(-5 * h * gap)
    assert not facts.proves_zero(gap - 1)
    assert not facts.proves_zero(h // 4 - 7 * ((h + 24) // 28))  # true at the sample values, not where 4 * 7 divides W alone
    assert nothing_known().learned("!=", gap).proves_nonzero(12 * gap)
    assert nothing_known().learned(">=", 4 * (h // 8) - 1).proves_nonzero(24 * (h // 8))


def test_what_is_learned_is_known_of_the_very_size_it_was_learned_of() -> None:
    """Also as the second rule: what the size was reduced to before does not stand in the way."""
    b, w = symbol("B"), symbol("W")
    facts = nothing_known().supposing(zero=[b - 1, w - 1])
    assert facts is not None
    assert facts.proves_zero(w - 1)
    assert facts.proves_zero(b * w - 1)
    assert facts.reduce(w - 1) == 0


@pytest.mark.parametrize("known", [16, 24, 1, 7])
def test_what_follows_from_a_known_product(known: int) -> None:
    """Multiples of it are known, and the factors of a product that is 1; nothing is that is false at some sizes."""
    a, b, n = (symbol(name) for name in "ABN")
    h, w = a // 4, b // 4
    facts = Scope({"A": 4 * known, "B": 4, "N": 2}).facts.learned("==", h * w - known)
    sizes = [h * w * 3, h * h * w, h * w * n, n * h, h * w, 2 * h * w * n + h * w, n * (h * w - known) + w, h * h * w * w, h, w]
    values = [3 * known, known * h, known * n, known, 1, 2 * known * n + known, w, known * known]
    at = [(4 * p, 4 * q, k) for p in range(1, 25) for q in range(1, 25) if p * q == known for k in (1, 3)]
    proved = 0
    for size in sizes:
        for value in values:
            true = all(evaluate(size - value, {"A": p, "B": q, "N": k}) == 0 for p, q, k in at)
            claimed = facts.proves_zero(size - value)
            assert true or not claimed
            proved += claimed
    assert proved >= (6 if known == 1 else 7)
    assert facts.proves_zero(h - 1) is (known == 1)
