"""``int``, ``float`` and ``math`` in a model's code keep symbols. The truth is the model itself, at sizes not traced."""

from __future__ import annotations

import builtins
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.errors import AssumptionError
from fxcount.symbolic import Scope, to_sym
from fxcount.symbolic.floats import Claim, claim_from, plain_claim
from fxcount.trace.torch_patch.numbers import FLOAT, INT, number_functions
from tests.trace import identity_nets, number_nets

SEQUENCE = ("B,S,5", {"B": 2, "S": 23})
IMAGE = ("B,3,H,W", {"B": 2, "H": 7, "W": 7})
NETS = {
    "Half": (*SEQUENCE, [{"B": 3, "S": 2}, {"B": 5, "S": 31}]),
    "Mapped": (*SEQUENCE, [{"B": 3, "S": 1}, {"B": 5, "S": 31}]),
    "Scaled": (*SEQUENCE, [{"B": 3, "S": 1}, {"B": 5, "S": 31}]),
    "Square": (*IMAGE, [{"B": 3, "H": 5, "W": 5}, {"B": 1, "H": 11, "W": 11}]),
    "Integers": (*IMAGE, [{"B": 3, "H": 5, "W": 5}, {"B": 1, "H": 11, "W": 11}]),
    "Powers": (*SEQUENCE, [{"B": 3, "S": 17}, {"B": 5, "S": 32}]),
    "Arrays": (*SEQUENCE, [{"B": 3, "S": 17}, {"B": 5, "S": 31}]),
    "Fresh": (*SEQUENCE, [{"B": 3, "S": 17}, {"B": 5, "S": 31}]),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_a_net_is_one_formula_where_it_takes_numbers_of_sizes(name: str) -> None:
    spec, hints, others = NETS[name]
    model = getattr(number_nets, name)()
    report = fxcount.analyze(model, spec, hints=hints)
    assert report.frontend == "trace"
    assert not [a for a in report.assumptions if a.kind == "pin"]
    for sizes in (hints, *others):
        shape = [sizes.get(size) or int(size) for size in spec.split(",")]
        x = torch.randn(shape)
        report.at(**sizes, extend=False)
        torch.testing.assert_close(report.graph_module(x), model(x))
        with FlopCounterMode(display=False) as counter:
            model(x)
        assert 2 * report.at(**sizes).macs == counter.get_total_flops()


@pytest.mark.parametrize(
    ("name", "refused", "text"),
    [
        ("Powers", {"B": 2, "S": 16}, "ceil(log2(S)) == 5 in floating point"),
        ("Powers", {"B": 2, "S": 33}, "ceil(log2(S)) == 5 in floating point"),
        ("Square", {"B": 2, "H": 5, "W": 7}, "H == W"),
        ("Arrays", {"B": 2, "S": 32}, "floor(np.log2(S)) == 4 in floating point"),
    ],
)  # fmt: skip
def test_what_a_root_or_a_logarithm_decides_is_assumed(name: str, refused: dict[str, int], text: str) -> None:
    spec, hints, _ = NETS[name]
    report = fxcount.analyze(getattr(number_nets, name)(), spec, hints=hints)
    assert text in list(map(str, report.assumptions))
    with pytest.raises(AssumptionError):
        report.at(**refused, extend=False)


def test_code_that_takes_nothing_but_an_int_gets_one() -> None:
    report = fxcount.analyze(number_nets.Texts(), "B,S,5", hints={"B": 2, "S": 23})
    assert [str(a.expr) for a in report.assumptions] == ["S - 23"]
    assert report.at(B=7).flops == 7 * 23 * 5


def test_a_module_that_asks_what_int_is_keeps_it() -> None:
    assert "int" not in number_functions(vars(identity_nets))
    assert "int" in number_functions(vars(number_nets))
    report = fxcount.analyze(identity_nets.Asks(), "B,S,5", hints={"B": 2, "S": 23})
    assert report.at(B=2, S=23).flops == 2 * 23 * 5


def test_the_module_is_as_before_afterwards() -> None:
    before = dict(vars(number_nets))
    fxcount.analyze(number_nets.Powers(), "B,S,5", hints={"S": 23})
    fxcount.analyze(number_nets.Mapped(), "B,S,5", hints={"S": 23})
    assert vars(number_nets) == before
    assert number_nets.math is math
    assert not {"int", "float", "len"} & vars(number_nets).keys()


def test_ours_are_the_builtins_for_everything_else() -> None:
    assert INT("7") == 7
    assert INT("ff", 16) == 255
    assert INT() == 0
    assert FLOAT("2.5") == 2.5
    assert type(INT(True)) is int
    assert INT.from_bytes(b"\1\0", "big") == 256
    assert [INT].count(int) == 1
    assert hash(INT) == hash(int)
    assert {int: 3}[INT] == 3
    assert repr(FLOAT) == "<class 'float'>"
    assert isinstance(3, INT)
    assert not isinstance(3.5, INT)
    assert isinstance(True, INT | None)
    assert issubclass(bool, INT)
    with pytest.raises(ValueError, match="invalid literal"):
        INT("x")


@pytest.mark.parametrize("name", ["sqrt", "log", "log2", "log10", "log1p", "exp", "fabs", "isqrt", "pow"])
def test_functions_of_math_are_pythons_own_on_numbers(name: str) -> None:
    ours = number_functions({"__name__": "net", "f": getattr(math, name)})["f"]
    given = (2, 3) if name == "pow" else (9,)
    assert ours(*given) == getattr(math, name)(*given)
    assert type(ours(*given)) is type(getattr(math, name)(*given))
    wrong = ("x", 2) if name == "pow" else ("x",)
    with pytest.raises(TypeError):
        ours(*wrong)


@pytest.mark.parametrize("name", ["sqrt", "log", "log2", "log10", "log1p", "exp"])
def test_a_curved_number_decides_as_python_does_at_every_size(name: str) -> None:
    function = number_functions({"__name__": "net", "f": getattr(math, name)})["f"]
    for hint in (2, 24, 97, 256):
        scope = Scope({"n": hint})
        n = to_sym(scope.symbols["n"], scope)
        got = (math.floor(function(n)), math.ceil(function(n) * 3 - 1), function(n) > 2.5, round(-function(n) / 7))

        def plainly(k: int) -> tuple[object, ...]:
            value = getattr(math, name)(k)
            return (builtins.int(value // 1), math.ceil(value * 3 - 1), value > 2.5, round(-value / 7))

        assert got == plainly(hint)
        bounds = [a for a in scope.assumptions if a.claim is None]
        assert [str(a).split(" (")[0] for a in bounds] == (["n <= 708"] if name == "exp" else [])  # where Python overflows
        for other in range(1, 300):
            if scope.check({"n": other}) is None:
                assert plainly(other) == got


def test_a_claim_about_a_function_is_plain_data() -> None:
    scope = Scope({"n": 24})
    claim = Claim("ceil", ("log2", scope.symbols["n"], 0), 5)
    again = claim_from(plain_claim(claim, str), lambda text: scope.symbols[text])
    assert again == claim
    assert str(again) == "ceil(log2(n)) == 5 in floating point"
    assert [k for k in range(12, 40) if again.holds({"n": k})] == list(range(17, 33))
    with pytest.raises(ValueError, match="no computation"):
        claim_from(["ceil", ["system", "n", 0], 5], lambda text: scope.symbols[text])


class Raises(torch.nn.Module):
    """A model that goes another way where Python's function refuses a number."""

    def __init__(self, name: str, factor: int) -> None:
        super().__init__()
        self.name, self.factor = name, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            number = self.factor * (x.shape[0] - 8)
            getattr(math, self.name)(number, *[0.5] * (self.name == "pow"))
        except (ValueError, OverflowError):
            return x.exp()
        return x


@pytest.mark.parametrize("hint", [3, 8, 9, 200])
@pytest.mark.parametrize(
    ("name", "factor"),
    [("log", 1), ("log2", 1), ("log10", -1), ("log1p", 1), ("sqrt", 1), ("sqrt", -1), ("isqrt", 1), ("exp", 10), ("pow", 1)],
)  # fmt: skip
def test_where_a_function_raises_is_decided(name: str, factor: int, hint: int) -> None:
    model = Raises(name, factor)
    report = fxcount.analyze(model, "N,3", hints={"N": hint})
    for n in (1, 3, 7, 8, 9, 64, 79, 80, 200):
        try:
            found = report.at(N=n, extend=False).transcendentals
        except AssumptionError:
            assert n != hint
            continue
        try:
            getattr(math, name)(factor * (n - 8), *[0.5] * (name == "pow"))
        except (ValueError, OverflowError):
            assert found == 3 * n
        else:
            assert found == 0
