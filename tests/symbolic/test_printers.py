"""Text, LaTeX, rows and sympy say the same as the size itself."""

from __future__ import annotations

import json

import pytest
import sympy
from hypothesis import assume, given

from fxcount.errors import SizeError
from fxcount.symbolic import (
    Expr,
    eval_rows,
    evaluate,
    from_rows,
    from_sympy,
    max_,
    parse,
    substitute,
    sum_,
    symbol,
    to_latex,
    to_rows,
    to_sympy,
    to_text,
)
from tests.symbolic.trees import as_number, as_size, formulas, values

B, H, W, h, w, n = map(symbol, ["B", "H", "W", "h", "w", "n"])


@given(formulas)
def test_text_reads_back(text):
    size = as_size(text)
    assume(size is not None)
    assert parse(to_text(size)) == size
    assert repr(size) == to_text(size)


@given(formulas, values)
def test_rows_round_trip(text, numbers):
    size, value = as_size(text), as_number(text, numbers)
    assume(None not in (size, value))
    rows = json.loads(json.dumps(to_rows(size)))
    assert from_rows(rows) == size
    assert eval_rows(rows, numbers) == value


@given(formulas, values)
def test_sympy_evaluates_the_same(text, numbers):
    size, value = as_size(text), as_number(text, numbers)
    assume(None not in (size, value))
    expr = to_sympy(size)
    names = {name: sympy.Symbol(name, integer=True, positive=True) for name in numbers}
    assert expr.subs({names[name]: number for name, number in numbers.items()}) == value


@given(formulas, values)
def test_sympy_reads_back(text, numbers):
    size, value = as_size(text), as_number(text, numbers)
    assume(None not in (size, value))
    assert evaluate(from_sympy(to_sympy(size)), numbers) == value


def test_sympy_symbols_are_positive_integers():
    (name,) = to_sympy(n + 1).free_symbols
    assert name.is_integer
    assert name.is_positive
    with pytest.raises(SizeError):
        from_sympy(sympy.sqrt(name))
    with pytest.raises(SizeError):
        from_sympy(name / 2)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (2 * B * ((H + 1) // 2), "2*B*ceil(H/2)"),
        ((H + 2) // 4, "floor((H + 2)/4)"),
        (7 * ((H + 6) // 7), "7*ceil(H/7)"),
        (1 + H + B * H**2, "B*H**2 + H + 1"),
        (-H + 3, "-H + 3"),
        (W - B, "W - B"),
        (H // (B * W), "floor(H/(B*W))"),
        ((H + 1) // (W + 1), "floor((H + 1)/(W + 1))"),
        (max_(H, 2 * W, 5), "Max(H, 2*W, 5)"),
        (1000 * B * h * w + 1000 * B, "1000*B*(h*w + 1)"),
    ],
)
def test_reads_well(size, text):
    assert to_text(size) == text


def _convs(height, width, layers):
    """Multiply-accumulates of a stack of convolutions ``(stride, kernel, padding, channels in, channels out)``."""
    total = 0
    for stride, k, p, c_in, c_out in layers:
        height, width = (height + 2 * p - k) // stride + 1, (width + 2 * p - k) // stride + 1
        total = total + B * height * width * k * k * c_in * c_out
    return total, height, width


def test_a_resnet_is_one_line():
    layers = [(2, 7, 3, 3, 64), (2, 3, 1, 64, 64), (1, 3, 1, 64, 64), (2, 3, 1, 64, 128), (2, 3, 1, 128, 256)]
    layers += [(2, 3, 1, 256, 512), (1, 3, 1, 512, 512)]
    total, height, width = _convs(H, W, layers)
    assert (to_text(height), to_text(width)) == ("ceil(H/32)", "ceil(W/32)")
    total = total + B * 512 * 1000
    exact = substitute(total, {"H": 32 * h, "W": 32 * w})
    assert isinstance(exact, Expr)
    assert exact.terms.keys() == {("B", "h", "w"), ("B",)}
    assert len(to_text(exact)) <= 200


def test_a_swin_is_one_line():
    """Patches of 4, windows of 7, padded, shifted and merged: with H = 224*h nothing is left of the floors."""
    height, width = 224 * h // 4, 224 * w // 4
    total = 0
    for channels in (96, 192, 384, 768):
        padded_h = height + (7 - height % 7) % 7
        padded_w = width + (7 - width % 7) % 7
        windows = B * (padded_h // 7) * (padded_w // 7)
        assert (B * padded_h * padded_w * channels) // (windows * 49) == channels
        total = total + windows * (49 * 4 * channels**2 + 2 * 49 * 49 * channels)
        height, width = (height + height % 2) // 2, (width + width % 2) // 2
    assert isinstance(total, Expr)
    assert total.terms.keys() == {("B", "h", "w")}


def test_latex():
    assert to_latex(2 * B * (H // 2)) == r"2 B \left\lfloor \frac{H}{2} \right\rfloor"
    assert to_latex((H + 1) // 2) == r"\left\lceil \frac{H}{2} \right\rceil"
    assert to_latex(symbol("seq_len") ** 2 - 1) == r"\mathrm{seq\_len}^{2} - 1"
    assert to_latex(max_(H, W)) == r"\max\left(H, W\right)"
    assert to_latex(7) == "7"


def test_rows_of_big_numbers_are_strings():
    assert to_rows(2**70) == [["int", str(2**70), None]]
    assert from_rows([["int", str(2**70), None]]) == 2**70


@pytest.mark.parametrize(
    "rows", [[], [["add", 0, 1]], [["sym", "B", None], ["mul", 0, 7]], [["sym", "B", None], ["sqrt", 0, 0]]]
)
def test_malformed_rows(rows):
    with pytest.raises(SizeError):
        from_rows(rows)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32*h", 32 * h),
        ("H//2+1", H // 2 + 1),
        (" (H + 6 - 7) // 2 + 1 ", (H + 1) // 2),
        ("-H % 4", -H % 4),
        ("floor(H/2)", H // 2),
        ("ceil(H/2)", (H + 1) // 2),
        ("Max(H, W)", max_(H, W)),
        ("12", 12),
        ("h**2", h * h),
    ],
)
def test_parse(text, size):
    assert parse(text) == size


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("H/2", 2),
        ("H + 1.5", 4),
        ("f(H)", 0),
        ("H[0]", 0),
        ("H +", 3),
        ("H // 0", 5),
        ("", 0),
        ("x.y", 0),
        ("H or W", 0),
    ],
)
def test_parse_points_at_what_it_refuses(text, column):
    with pytest.raises(SizeError) as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    assert lines[2] == "  " + " " * column + "^"


def test_a_long_sum_is_linear():
    assert sum_(B * k for k in range(1000)) == 499500 * B
