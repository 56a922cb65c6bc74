"""What a model sees for a size behaves as the int it stands for, and says so when it had to become one."""

from __future__ import annotations

import copy
import inspect
import math
import operator
import pickle

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

import fxcount
from fxcount.symbolic import SYM_FUNCTIONS, Scope, SymRatio, SymSize, claim_from, parse, symbol, to_size, to_sym, to_text

HINTS = {"B": 2, "H": 224, "W": 210, "S": 128}


def here():
    frame = inspect.currentframe()
    while frame is not None and (frame.f_code.co_filename != __file__ or frame.f_code.co_name == "here"):
        frame = frame.f_back
    return f"test_symint.py:{frame.f_lineno if frame else 0}"


@pytest.fixture
def scope():
    return Scope(HINTS, where=here)


@pytest.fixture
def sizes(scope):
    return [to_sym(scope.symbols[name], scope) for name in "BHWS"]


def texts(scope):
    return [str(a) for a in scope.assumptions]


def formula(n):
    """What the number is a formula of, as text; a plain number says its type."""
    if isinstance(n, (tuple, list)):
        return [formula(x) for x in n]
    if type(n) is SymSize:
        return to_text(n.expr)
    return f"({to_text(n.num)})/({to_text(n.den)})" if type(n) is SymRatio else f"{type(n).__name__} {n}"


def test_arithmetic_gives_sizes_or_plain_ints(sizes, scope):
    B, H, W, S = sizes
    x = (2 * H + W * 3 - 1) // 2 % 5 - -(B**2)
    assert isinstance(x, SymSize)
    assert isinstance(x, torch.SymInt)
    assert x.hint == (2 * 224 + 210 * 3 - 1) // 2 % 5 + 4
    assert scope.hint(x.expr) == x.hint
    for constant, value in ((H - H, 0), (H - H + 3, 3), (0 * H, 0), (S // S, 1), (H * 6 // H, 6), (2 * H % H, 0)):
        assert type(constant) is int
        assert constant == value
    assert divmod(H, 7)[0].hint == 32
    assert (7 - H, 1000 // H, 1000 % H)[1].hint == 4
    assert (1000 % H).hint == 1000 % 224
    assert scope.assumptions == []


def test_bools_are_numbers(sizes):
    B = sizes[0]
    assert formula([B + True, True + B]) == ["B + 1"] * 2


def test_numbers_of_numpy(sizes, scope):
    H = sizes[1]
    three = np.int64(3)
    assert formula([H * three, three * H, three + H, H - three, H // three]) == [
        "3*H",
        "3*H",
        "H + 3",
        "H - 3",
        "floor(H/3)",
    ]
    assert formula([np.prod([H, 3, H]), math.prod([H, 3]), math.ceil(np.float64(0.5) * H)]) == ["3*H**2", "3*H", "ceil(H/2)"]
    assert scope.assumptions == []
    assert three < H
    assert texts(scope) == ["H >= 4"]
    assert np.zeros(H).shape == (224,)
    assert texts(scope)[-1].startswith("H == 224 (pinned")


def test_results_of_other_types_are_left_to_them(sizes):
    B = sizes[0]

    class Other:
        def __rmul__(self, other):
            return "other"

    assert B * Other() == "other"
    with pytest.raises(TypeError):
        B + "x"
    assert (B == None) is False  # noqa: E711
    assert B != "B"


def test_comparisons_are_plain_bools(sizes, scope):
    H, W = sizes[1:3]
    assert (H == H) is True
    assert (H > W) is True
    assert (H >= 1) is True
    assert (bool(H), not H) == (True, False)
    assert texts(scope) == ["H >= W + 1"]
    if H % 32 != 0:
        raise AssertionError
    assert texts(scope) == ["H >= W + 1", "H % 32 == 0"]
    if H == 32:  # not an assert: pytest would make a text of the sizes when it fails
        raise AssertionError
    assert texts(scope)[-1] == "H >= 33"  # neither 32 nor less
    assert H >= 60.5  # 64 is the next multiple of 32
    assert texts(scope)[-1] == "H >= 33"
    assert H >= 70.5
    assert texts(scope)[-1] == "H >= 71"


def test_sorting_max_and_min(sizes, scope):
    _, H, W, S = sizes
    assert formula(sorted([H, W, S, 3])) == ["int 3", "S", "W", "H"]
    assert max(H, 7) is H
    assert formula([min(W, H), torch.sym_max(H, W), torch.sym_min(7, H)]) == ["W", "Max(H, W)", "Min(H, 7)"]
    assert torch.sym_max(H, W).hint == 224


def test_pins_say_where(scope, sizes):
    S = sizes[3]
    total = 0
    for i in range(S):
        total += i
    line = inspect.currentframe().f_lineno - 2
    assert total == 127 * 64
    assert texts(scope) == [f"S == 128 (pinned at test_symint.py:{line})"]
    assert [1, 2, 3][sizes[0]] == 3
    assert math.sqrt(sizes[1]) == math.sqrt(224)
    assert [a.kind for a in scope.assumptions] == ["pin"] * 3


def test_rounding_leaves_a_size_alone(sizes, scope):
    H = sizes[1]
    assert math.floor(H) is math.ceil(H) is math.trunc(H) is round(H) is round(H, 2) is +H is abs(H) is H
    assert scope.assumptions == []
    assert round(H, -2) == 200


def test_bits(sizes, scope):
    H = sizes[1]
    assert formula([H >> 3, H << 2, H & 31]) == ["floor(H/8)", "4*H", "H - 32*floor(H/32)"]
    assert formula([H & ~7, ~H]) == ["8*floor(H/8)", "-H - 1"]
    assert scope.assumptions == []
    assert (H | 3, H ^ 5, H & 6, 1 << sizes[0], 9 >> sizes[0]) == (224 | 3, 224 ^ 5, 224 & 6, 4, 2)
    assert len(scope.assumptions) == 2


def test_dicts_and_sets_find_what_they_would_find_for_the_int(sizes, scope):
    H, W = sizes[1:3]
    assert {224: "yes"}.get(H) == "yes"
    assert texts(scope)[0].startswith("H == 224 (pinned")
    assert {H: 1, 224: 2, W: 3} == {224: 2, 210: 3}
    assert len({H, H * 1, 224, W}) == 2
    assert W in {210}
    assert W not in {211}
    assert [a.kind for a in scope.assumptions] == ["pin", "pin"]


def test_text_pins(sizes, scope):
    B, H, W, S = sizes
    shown = f"{H}x{W:>4}"
    assert shown == "224x 210"
    assert texts(scope)[0].startswith("H == 224 (pinned at test_symint.py")
    assert repr((B, 3)) == "(2, 3)"
    assert "%05d" % S == "00128"  # noqa: UP031
    assert [a.kind for a in scope.assumptions] == ["pin"] * 4


def test_torch_size(sizes, scope):
    H = sizes[1]
    size = torch.Size((H, 3))
    assert size[0] is H
    assert isinstance(size[:1], torch.Size)
    assert formula([*(size + torch.Size([2]))]) == ["H", "int 3", "int 2"]
    assert size == torch.Size([H, 3])
    assert [*size] == [H, 3]
    assert scope.assumptions == []
    assert size.numel() == 672
    assert scope.assumptions[0].kind == "pin"
    assert repr(size) == "torch.Size([224, 3])"
    assert hash(size) == hash(torch.Size([224, 3]))


class Caught(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.call = (getattr(func, "__name__", ""), args, kwargs or {})
        return "caught"


def _leaves(call):
    for leaf in pytree.tree_leaves(call):
        yield from (leaf.start, leaf.stop, leaf.step) if isinstance(leaf, slice) else (leaf,)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, n: x.view(n, -1),
        lambda x, n: x.reshape([n, n // 2]),
        lambda x, n: x.expand(n, -1),
        lambda x, n: x[:n],
        lambda x, n: x[..., n:, None],
        lambda x, n: x[n],
        lambda x, n: x * n,
        lambda x, n: n * x,
        lambda x, n: n - x,
        lambda x, n: x / (n / 3),
        lambda x, n: (n / 3) * x,
        lambda x, n: x**n,
        lambda x, n: x.split(n),
        lambda x, n: x.split([n, n]),
        lambda x, n: x.narrow(0, 0, n),
        lambda x, n: x.new_zeros(n, 2),
        lambda x, n: torch.zeros(n, 3),
        lambda x, n: torch.full((n, 2), n),
        lambda x, n: torch.arange(n),
        lambda x, n: torch.randn(size=(n,)),
        lambda x, n: torch.empty(torch.Size((n, 2))),
        lambda x, n: torch.nn.functional.interpolate(x, size=(n, n)),
        lambda x, n: torch._C._nn.pad(x, [0, n]),
        lambda x, n: torch.add(x, n, alpha=n),
    ],
)
def test_torch_functions_take_it_unconverted(call, sizes, scope):
    mode, x = Caught(), torch.empty(1, 3)
    with mode:
        assert call(x, sizes[1]) == "caught"
    assert scope.assumptions == []
    assert {type(leaf) for leaf in _leaves(mode.call)} & {SymSize, SymRatio}


def test_without_a_mode_torch_says_what_is_wrong(sizes):
    with pytest.raises(Exception, match=r"int\(size\)"):
        torch.empty(3).view(sizes[1], -1)
    assert not hasattr(sizes[1], "node")


def test_sym_functions_of_torch(sizes, scope):
    B, H = sizes[:2]
    assert torch.sym_int(H) is H
    assert torch.sym_int(H / 2).hint == 112
    assert isinstance(torch.sym_float(H), SymRatio)
    assert torch.sym_not(H == H) is False
    assert formula([SYM_FUNCTIONS[torch.sym_sum]([B, H, B, 1]), SYM_FUNCTIONS[torch.sym_sum](B, H)]) == ["2*B + H + 1", "B + H"]
    assert SYM_FUNCTIONS[torch.sym_ite](True, H, 3) is H
    assert formula(torch.sym_sqrt(H * H)) == "(H)/(1)"
    assert scope.assumptions == []


def test_copies(sizes, scope):
    H = sizes[1]
    assert copy.copy(H) is copy.deepcopy(H) is H
    assert copy.deepcopy({"shape": torch.Size((H, 3))})["shape"][0] is H
    plain = to_sym(symbol("H"), Scope(HINTS))
    assert pickle.loads(pickle.dumps(plain)) == 224
    assert plain.scope.assumptions[0].kind == "pin"
    assert to_size(H) == symbol("H")
    assert to_sym(3, scope) == 3


def test_division_by_a_size_that_may_be_zero(sizes, scope):
    B, H = sizes[:2]
    windows = H // 7
    assert (B * windows) // windows is not None
    assert formula((B * windows) // windows) == "B"
    assert texts(scope) == ["H >= 7"]
    with pytest.raises(ZeroDivisionError):
        B // (H // 300)
    with pytest.raises(ZeroDivisionError):
        B // 0
    with pytest.raises(ZeroDivisionError):
        B / 0


def test_ratio_rounds_to_sizes(sizes, scope):
    B, H, W, _ = sizes
    assert to_text(math.ceil(H / 2).expr) == "ceil(H/2)"
    assert to_text(math.floor(H * 0.25).expr) == "floor(H/4)"
    assert to_text(math.trunc(H / 2 + 0.5).expr) == "ceil(H/2)"
    assert to_text((H / W // 1).num) == "floor(H/W)"
    assert formula([torch.sym_int((B * H) / B), round(H / 3)]) == ["H", "floor((H + 1)/3)"]
    assert scope.assumptions == []
    assert type(int(H / 2)) is int
    assert texts(scope)[0].startswith("H == 224 (pinned at test_symint.py:")


def test_ratio_of_constants_is_a_float(sizes, scope):
    H = sizes[1]
    assert (3 * H) / H == 3.0
    assert type((3 * H) / H) is float
    assert scope.assumptions == []


def test_ratio_compares_exactly(sizes, scope):
    _, H, W, _ = sizes
    assert H / W > 1
    assert H / 2 > 16
    assert H * 0.5 < 1000.25
    assert (H / 2).is_integer()
    assert texts(scope) == ["H >= W + 1", "H >= 33", "H <= 2000", "H % 2 == 0"]
    assert H / 2 == H * 0.5
    assert len(scope.assumptions) == 4


def test_roots(sizes, scope):
    B, H = sizes[:2]
    assert formula(math.floor((H * H + 2 * H + 1) ** 0.5)) == "H + 1"
    assert scope.assumptions == []
    assert math.sqrt(224) == H**0.5
    assert texts(scope) == ["H**0.5 == 14.966629547095765 in floating point"]
    assert B**-1 * 4 == 2


def test_floats_that_round_are_formulas_where_python_agrees(sizes, scope):
    """64/49*49 is 63.99...; what is concluded from such floats is computed again for every size asked."""
    H, W = sizes[1:3]
    assert formula(math.ceil(H * 0.1)) == "ceil(H/10)"
    assert math.floor(64 / W * W) == 64
    assert texts(scope) == ["ceil(H*0.1) == ceil(H/10) in floating point", "floor(64/W*W) == 64 in floating point"]
    for n in range(1, 400):
        assert (scope.check({**HINTS, "H": n}) is None) == (math.ceil(n * 0.1) == -(-n // 10))
        assert (scope.check({**HINTS, "W": n}) is None) == (math.floor(64 / n * n) == 64)


def test_floats_of_no_fraction_pin_only_when_they_decide(sizes, scope):
    B, H, _, S = sizes
    scaled = S * math.pi
    assert type(scaled + 1.5) is SymRatio
    assert scope.assumptions == []
    assert math.ceil(scaled) == math.ceil(128 * math.pi)
    assert texts(scope)[0].startswith("S == 128 (pinned")
    assert float(H) == 224.0
    assert B * float("inf") == float("inf")


@pytest.mark.parametrize("relation", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("bound", [0.01, 0.1, 1 / 3, 0.3333, 0.0123456789, 1 / 49, 0.5])
def test_quotients_are_compared_as_python_rounds_them(relation, bound):
    """``1/H`` and ``W/H`` against a float: wherever the assumptions hold, Python's own comparison is the same."""
    python = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}[
        relation
    ]
    admitted = 0
    for hint in (1, 2, 3, 10, 49, 81, 100, 224):
        for numerator in (1, 7):
            scope = Scope({"H": hint})
            H = to_sym(symbol("H"), scope)
            truth = python(numerator / H, bound)
            assert truth == python(numerator / hint, bound)
            for n in (*range(1, 130), 210, 224, 700, 701):
                if scope.check({"H": n}) is None:
                    admitted += 1
                    assert python(numerator / n, bound) == truth
    assert admitted > 100


FINISHES = [math.floor, math.ceil, round, int, float, bool, math.trunc, abs, lambda x: x > 3, lambda x: x == 2]
OPERATIONS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod]


@given(
    st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(["B", "H", 2, 3, -4, 0.5, 1.25, 0.1, 7]), st.booleans()),
        max_size=5,
    ),
    st.sampled_from(FINISHES),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_agrees_with_python_at_the_hint(steps, finish, b, h):
    """The same program on plain numbers and on sizes: same result, and every assumption holds."""
    scope = Scope({"B": b, "H": h})
    numbers = {"B": b, "H": h}
    x, y = b, to_sym(symbol("B"), scope)
    try:
        for op, operand, swap in steps:
            p, q = numbers.get(operand, operand), operand
            if isinstance(operand, str):
                q = to_sym(symbol(operand), scope)
            x = op(p, x) if swap else op(x, p)
            y = op(q, y) if swap else op(y, q)
        x = finish(x)
    except ZeroDivisionError:
        assume(False)
    y = finish(y)
    value = y.hint if isinstance(y, SymSize) else y.value if isinstance(y, SymRatio) else y
    assert value == x
    assert type(value) is type(x)
    assert all(a.holds(numbers) for a in scope.assumptions)


def test_what_floats_are_assumed_to_come_to_is_saved_with_a_report():
    class Net(torch.nn.Module):
        def forward(self, x):
            return x[:, : math.floor(64 / x.shape[1] * x.shape[1])] @ x.new_ones(64, 2)

    report = fxcount.analyze(Net(), "B,H", hints={"H": 100})
    for again in (report, fxcount.load_report(report.to_graph_json())):
        assert "float" in [a.relation for a in again.assumptions]
        assert again.at(B=3, H=101).macs == 3 * 64 * 2
        with pytest.raises(fxcount.AssumptionError, match="floating point"):
            again.at(B=3, H=103, extend=False)  # 64/103*103 is 63.99...
    with pytest.raises(ValueError, match="claim"):
        claim_from(["__import__", 1, 2], parse)
    with pytest.raises(ValueError, match="power"):
        claim_from(["floor", ["**", 2, 10**9], 2], parse)
