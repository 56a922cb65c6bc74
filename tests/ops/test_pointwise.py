"""Element-wise arithmetic: shapes, dtypes and layouts against torch; work against scalar definitions that count."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.elementwise import functions, pointwise
from tests.ops.cases import call, named, uncovered
from tests.ops.harness import SIZES, Counted, N, T, check, rule_result, work

I64, I32, F16, BF16, F64, C64 = (
    torch.int64, torch.int32, torch.float16, torch.bfloat16, torch.float64, torch.complex64,
)  # fmt: skip
BOOL, U8 = torch.bool, torch.uint8
X, Y, ROW = T("B,C,H"), T("B,C,H"), T("H")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))


def unary_names() -> list[str]:
    tables = (functions.FUNCTIONS, functions.KEEPING)
    return [name for table in tables for names in table for name in names.split()]


def binary_names() -> list[str]:
    tables = (pointwise.BINARY, pointwise.BINARY_FLOAT)
    return ["ldexp", *(name for table in tables for names in table for name in names.split())]


@pytest.mark.parametrize("name", unary_names())
@pytest.mark.parametrize("x", [X, NHWC, T("B,C", I64), T("B", BF16)], ids=["f32", "nhwc", "i64", "bf16"])
def test_unary_as_torch(name: str, x: T) -> None:
    func = named(name)
    try:
        func(x.real(SIZES[0]))
    except (RuntimeError, NotImplementedError):
        pytest.skip("torch has no such kernel")
    # on meta, torch 2.6 says that nan_to_num of a channels-last tensor is row-major, which it is not
    check(func, x, device="cpu" if name == "nan_to_num" else "meta")


@pytest.mark.parametrize("name", binary_names())
def test_binary_as_torch(name: str) -> None:
    func = named(name)
    if name in ("gcd", "lcm"):
        check(func, T("B,C,H", I32), T("C,1", I64))
        return
    check(func, X, T("C,1"))
    # torch's meta kernel of copysign loses the layout that its CPU kernel keeps
    check(func, NHWC, T("C,1,1"), device="cpu" if name == "copysign" else "meta")
    if name not in ("hypot", "nextafter", "igamma", "igammac", "heaviside") and "gammainc" not in name:
        check(func, X, T("", F64))


CASES = [
    call(torch.add, X, ROW),
    call(torch.add, X, 2, alpha=N("H")),
    call(torch.add, T("B,1,H"), T("C,1")),
    call(torch.add, T("B,C", I64), 2.5),
    call(torch.add, T("B,C", F16), T("", F64)),
    call(torch.add, T("B,C", F16), T("C", F64)),
    call(torch.add, T("", F16), T("", F64)),
    call(torch.add, T("B", BOOL), T("B", U8)),
    call(torch.add, T("B", BF16), T("B", F16)),
    call(torch.add, T("B", F64), 1j),
    call(torch.Tensor.add, NHWC, T("1,C,1,1")),
    call(torch.ops.aten.add.Scalar, X, 1, 2, on="cpu"),  # on meta, torch 2.6 takes no alpha by position
    call(torch.sub, X, N("B*C")),
    call(torch.subtract, X, Y, alpha=3),
    call(torch.rsub, X, 1),
    call(torch.Tensor.__rsub__, X, 1),
    call(torch.mul, T("B,C", I64), T("C", I32)),
    call(torch.multiply, NHWC, NHWC),
    call(torch.mul, T("B,C", BOOL), T("C", BOOL)),
    call(torch.div, T("B,C", I64), N("B")),
    call(torch.div, T("B,C", I64), 2, rounding_mode="floor"),
    call(torch.div, T("B,C", F16), T("B,1"), rounding_mode="trunc"),
    call(torch.divide, X, 3),
    call(torch.true_divide, T("B", BOOL), T("B", BOOL)),
    call(torch.Tensor.__rdiv__, X, 1),
    call(torch.Tensor.__rtruediv__, T("B", I64), 1),
    call(torch.floor_divide, T("B,C", I64), N("B")),
    call(torch.Tensor.__floordiv__, X, 2.0),
    call(torch.Tensor.__rfloordiv__, X, 2),
    call(torch.remainder, T("B", I64), 3),
    call(torch.remainder, 3, T("B", I64)),
    call(torch.Tensor.__rmod__, X, 3),
    call(torch.fmod, X, 2),
    call(torch.pow, X, 2),
    call(torch.pow, 2, T("B", I64)),
    call(torch.pow, 2.0, T("B", I64)),
    call(torch.pow, T("B", I64), 0.5),
    call(torch.pow, T("B,1"), T("C")),
    call(torch.Tensor.__rpow__, X, 10000.0),
    call(torch.float_power, T("B,C", F16), 2),
    call(torch.float_power, T("B,C", C64), 2),
    call(torch.abs, T("B,C", C64)),
    call(torch.absolute, T("B,C", I32)),
    call(torch.sgn, T("B,C", C64)),
    call(torch.square, T("B", BOOL)),
    call(torch.square, NHWC),
    call(torch.clamp, X, 0),
    call(torch.clamp, T("B", I64), 0.5, 2),
    call(torch.clamp, T("B", I64), min=N("B")),
    call(torch.clip, X, min=ROW, max=T("C,1")),
    call(torch.clamp_min, T("B,C", F16), 1e-5),
    call(torch.clamp_max, T("B,C"), T("C")),
    call(torch.lerp, X, ROW, 0.5),
    call(torch.lerp, X, ROW, T("C,1")),
    call(torch.addcmul, X, ROW, T("C,1"), value=2),
    call(torch.addcdiv, X, ROW, T("C,1")),
    call(torch.logit, X, 1e-6),
    call(torch.special.logit, X),
    call(torch.special.ndtr, NHWC),
    call(torch.polygamma, 2, X),
    call(torch.special.polygamma, 2, X),
    call(torch.mvlgamma, X, 3),
    call(torch.special.multigammaln, X, 3),
    call(torch.frexp, X, on="cpu"),
    call(torch.round, X, decimals=2),
    call(torch.nan_to_num, X, 0.0, 1.0, -1.0),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    covered = {*unary_names(), *binary_names()}
    assert uncovered(pointwise.OPS, CASES, covered) == set()


# Operands whose layouts TensorIterator must reconcile: permuted, expanded, broadcast, of different order.
LAYOUTS = [
    T("B,C,H"),
    T("H,C,B", perm=(2, 1, 0)),
    T("C,H,B", perm=(2, 0, 1)),
    T("B,H,C", perm=(0, 2, 1)),
    T("C,1"),
    T("H,C", perm=(1, 0)),
    T("H,1,B", perm=(2, 1, 0)),
    T("1,C,B", perm=(2, 1, 0)),
    T(""),
]


@pytest.mark.parametrize("a", LAYOUTS, ids=str)
@pytest.mark.parametrize("b", LAYOUTS, ids=str)
def test_layout_of_a_result_as_torch(a: T, b: T) -> None:
    check(torch.add, a, b)


@pytest.mark.parametrize("c", LAYOUTS, ids=str)
def test_layout_with_three_operands_as_torch(c: T) -> None:
    check(torch.addcmul, T("C,1"), LAYOUTS[2], c)


def _f(name: str):
    return lambda a: a.call(name)


def pair(a: Counted, name: str) -> Counted:
    """A function of ``a`` and another operand, counted once."""
    return a._do(name, a.value)


# The definitions, written out with scalars that count what is done to them.
DEFINITIONS = {
    "add": (torch.add, lambda a, b: a + b),
    "sub": (torch.sub, lambda a, b: a - b),
    "rsub": (torch.rsub, lambda a, b: b - a),
    "mul": (torch.mul, lambda a, b: a * b),
    "div": (torch.div, lambda a, b: a / b),
    "__rdiv__": (torch.Tensor.__rdiv__, lambda a, b: (1 / a) * b),
    "floor_divide": (torch.floor_divide, lambda a, b: (a / b).call("floor")),
    "remainder": (torch.remainder, lambda a, b: a - (a / b).call("floor") * b),
    "fmod": (torch.fmod, lambda a, b: a - (a / b).call("trunc") * b),
    "maximum": (torch.maximum, lambda a, b: b if a < b else a),
    "hypot": (torch.hypot, lambda a, b: (a * a + b * b).call("sqrt")),
    "logaddexp": (torch.logaddexp, lambda a, b: (b if a < b else a) + (-abs(a - b)).call("exp").call("log1p")),
    "xlogy": (torch.xlogy, lambda a, b: a * b.call("log")),
    "pow": (torch.pow, lambda a, b: pair(a, "pow")),
    "atan2": (torch.atan2, lambda a, b: pair(a, "atan2")),
    "logaddexp2": (torch.logaddexp2, lambda a, b: (b if a < b else a) + (-abs(a - b)).call("exp").call("log1p")),
    "xlog1py": (torch.special.xlog1py, lambda a, b: a * b.call("log1p")),
    "minimum": (torch.minimum, lambda a, b: a if a < b else b),
    "fmax": (torch.fmax, lambda a, b: b if a < b else a),
    "heaviside": (torch.heaviside, lambda a, b: (a < 0, a > 0)),
    "copysign": (torch.copysign, lambda a, b: pair(a, "copysign")),
    "nextafter": (torch.nextafter, lambda a, b: pair(a, "nextafter")),
    "clamp_min": (torch.clamp_min, lambda a, b: a < b),
    "clamp_max": (torch.clamp_max, lambda a, b: a > b),
    "float_power": (torch.float_power, lambda a, b: pair(a, "pow")),
    "ldexp": (torch.ldexp, lambda a, b: a * pair(b, "pow")),
}
ONE_OPERAND = {
    "neg": lambda a: -a,
    "abs": abs,
    "sign": lambda a: (a > 0, a < 0),
    "square": lambda a: a * a,
    "reciprocal": lambda a: 1 / a,
    "sqrt": _f("sqrt"),
    "rsqrt": lambda a: 1 / a.call("sqrt"),
    "exp": _f("exp"),
    "log1p": _f("log1p"),
    "erf": _f("erf"),
    "tanh": _f("tanh"),
    "sigmoid": _f("sigmoid"),
    "floor": _f("floor"),
    "frac": lambda a: a - a.call("trunc"),
    "deg2rad": lambda a: a * 0.017,
    "rad2deg": lambda a: a * 57.3,
    "nan_to_num": lambda a: (a > a, a > 1e300, a < -1e300),
    "sinc": lambda a: (p := a * 3.14).call("sin") / p,
    "special.entr": lambda a: -(a * a.call("log")),
    "special.ndtr": lambda a: ((a * 0.707).call("erf") + 1) * 0.5,
    "special.log_ndtr": lambda a: (((a * 0.707).call("erf") + 1) * 0.5).call("log"),
    "logit": lambda a: (a / (1 - a)).call("log"),
}


def tally_of(definition, operands: int, times: int) -> dict[str, int]:
    tally: Counter[str] = Counter()
    for i in range(times):
        definition(*(Counted(0.1 + 0.01 * i + 0.3 * k, tally) for k in range(operands)))
    return {k: tally[k] for k in ("macs", "flops", "transcendentals")}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_work_of_two_operands(name: str) -> None:
    func, definition = DEFINITIONS[name]
    assert work(func, T("B,N"), T("N")) == tally_of(definition, 2, 3 * 11)


@pytest.mark.parametrize("name", ONE_OPERAND)
def test_work_of_one_operand(name: str) -> None:
    assert work(named(name), T("B,N")) == tally_of(ONE_OPERAND[name], 1, 3 * 11)


@pytest.mark.parametrize("name", [n for t in (functions.FUNCTIONS, functions.KEEPING) for k in t for n in k.split()
                                  if n not in ONE_OPERAND])  # fmt: skip
def test_every_other_function_is_one_operation(name: str) -> None:
    if name == "special.sinc":
        assert work(torch.special.sinc, T("B,N")) == work(torch.sinc, T("B,N"))
        return
    counts = work(named(name), T("B,N"))
    is_function = any(name in key.split() for key in functions.FUNCTIONS)
    assert counts == {"macs": 0, "flops": 33, "transcendentals": 33 if is_function else 0}


VARIANTS = [
    (call(torch.add, T("B,N"), T("N"), alpha=2), lambda a, b: a + b * 2, 2),
    (call(torch.div, T("B,N"), 3, rounding_mode="floor"), lambda a: (a / 3).call("floor"), 1),
    (call(torch.pow, T("B,N"), 2), lambda a: a * a, 1),
    (call(torch.pow, T("B,N"), 3), lambda a: a * a * a, 1),
    (call(torch.pow, T("B,N"), 0.5), lambda a: a.call("sqrt"), 1),
    (call(torch.pow, T("B,N"), -0.5), lambda a: 1 / a.call("sqrt"), 1),
    (call(torch.pow, T("B,N"), -1), lambda a: 1 / a, 1),
    (call(torch.pow, T("B,N"), 2.5), lambda a: pair(a, "pow"), 1),
    (call(torch.pow, T("B,N"), N("K")), lambda a: pair(a, "pow"), 1),
    (call(torch.Tensor.__rpow__, T("B,N"), 2), lambda a: pair(a, "pow"), 1),
    (call(torch.clamp, T("B,N"), 0, 1), lambda a: (a < 0, a > 1), 1),
    (call(torch.clamp, T("B,N"), max=1), lambda a: a > 1, 1),
    (call(torch.lerp, T("B,N"), T("N"), 0.5), lambda a, b: a + (b - a) * 0.5, 2),
    (call(torch.addcmul, T("B,N"), T("N"), T("N")), lambda a, b, c: a + b * c, 3),
    (call(torch.addcmul, T("B,N"), T("N"), T("N"), value=3), lambda a, b, c: a + 3 * (b * c), 3),
    (call(torch.addcdiv, T("B,N"), T("N"), T("N"), value=3), lambda a, b, c: a + 3 * (b / c), 3),
    (call(torch.logit, T("B,N"), 0.01), lambda a: (a < 0, a > 1, (a / (1 - a)).call("log")), 1),
    (call(torch.mvlgamma, T("B,N"), 2), lambda a: a.call("lgamma") + (a - 0.5).call("lgamma") + 1.1, 1),
]


@pytest.mark.parametrize(("case", "definition", "operands"), [(c.values[0], d, n) for c, d, n in VARIANTS])
def test_work_of_variants(case, definition, operands: int) -> None:
    want = tally_of(definition, operands, 3 * 11)
    if case.func is torch.mvlgamma:  # the definition starts its sum of p terms from the first: one addition fewer
        want["flops"] += 3 * 11
    assert case.work(SIZES[1]) == want


def test_complex_numbers_count_as_pairs_of_reals() -> None:
    z = T("B,N", C64)
    assert work(torch.add, z, z)["flops"] == 2 * 33
    assert work(torch.mul, z, z)["flops"] == 6 * 33
    # (a + ib) / (c + id): ac, bd, bc, ad, cc, dd; three sums; two quotients
    assert work(torch.div, z, z)["flops"] == 11 * 33
    assert work(torch.abs, z) == {"macs": 0, "flops": 4 * 33, "transcendentals": 0}
    # exp(a) * (cos(b) + i sin(b))
    assert work(torch.exp, z) == {"macs": 0, "flops": 5 * 33, "transcendentals": 3 * 33}
    # z / |z|
    assert work(torch.sgn, z)["flops"] == 6 * 33


@pytest.mark.parametrize("dtype", [I64, I32, U8])
def test_integers_count_nothing_until_they_become_floats(dtype: torch.dtype) -> None:
    x = T("B,N", dtype)
    assert work(torch.add, x, x)["flops"] == 0
    assert work(torch.add, x, 1.5)["flops"] == 33
    assert work(torch.div, x, x)["flops"] == 33
    assert work(torch.clamp, x, 0)["flops"] == 0


HELD = [
    call(torch.add, X, ROW),
    call(torch.float_power, X, 2),
    call(torch.ldexp, X, T("B,C,H", I32)),
    call(torch.special.ndtr, X),
    call(torch.rsub, X, 1),
    call(torch.clamp, X, 0),
    call(torch.Tensor.__rdiv__, X, 1),
]


@pytest.mark.parametrize("case", HELD)
def test_temporaries_as_eager(case) -> None:
    case.assert_held()


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.add, (T("B,3"), T("B,5"))),
        (torch.sub, (T("B", BOOL), T("B", BOOL))),
        (torch.neg, (T("B", BOOL),)),
        (torch.floor, (T("B", C64),)),
        (torch.clamp, (T("B"),)),
        (torch.pow, (T("B", I64), -1)),
        (torch.lerp, (T("B"), T("B", F64), 0.5)),
        (torch.addcdiv, (T("B", I64), T("B", I64), T("B", I64))),
    ],
)
def test_refuses_as_torch(func, args) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
        func(*(a.real(SIZES[0], "cpu") if isinstance(a, T) else a for a in args))
    with pytest.raises(ShapeError):
        rule_result(func, *args)

