"""Random formulas as Python text, evaluated once with plain integers and once with sizes.

The text is the oracle: Python's own ``//``, ``%``, ``max`` and ``min`` on integers say what a formula means.
"""

from __future__ import annotations

from hypothesis import strategies as st

from fxcount.symbolic import Size, max_, min_, symbol

NAMES = ("B", "H", "W", "n")
SYMBOLS = {name: symbol(name) for name in NAMES}

values = st.fixed_dictionaries({name: st.integers(1, 60) for name in NAMES})
leaves = st.sampled_from(NAMES) | st.integers(-9, 9).map(str)
divisors = st.sampled_from([2, 3, 4, 6, 7, 12, 32, -2, -3]).map(str)


def _extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def binary(op: str, right: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(inner, right).map(lambda ab: f"({ab[0]} {op} {ab[1]})")

    extremum = st.tuples(st.sampled_from(["max", "min"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})")
    return st.one_of(
        binary("+", inner),
        binary("-", inner),
        binary("*", inner),
        binary("//", divisors),
        binary("%", divisors),
        binary("//", inner),
        extremum,
    )


formulas = st.recursive(leaves, _extend, max_leaves=8)
polynomials = st.recursive(
    leaves, lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
)


def as_size(text: str) -> Size | None:
    """The size; None where Python itself would divide by zero whatever the symbols are."""
    try:
        return eval(text, {}, {**SYMBOLS, "max": max_, "min": min_})
    except ZeroDivisionError:
        return None


def as_number(text: str, numbers: dict[str, int]) -> int | None:
    """The number; None where Python divides by zero."""
    try:
        return eval(text, {}, {**numbers, "max": max, "min": min})
    except ZeroDivisionError:
        return None
