"""Text made of sizes pins them, unless it provably only goes into a message.

PYTEST_DONT_REWRITE: pytest makes texts of what an assert compares, and these are about asserts as Python runs them."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import sys
import textwrap
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import _assert

import fxcount
from fxcount.symbolic import Scope, symbol, to_sym

LOG = logging.getLogger(__name__)
OWN = io.StringIO()
DIGITS = {"224": "known"}


class Layer:
    def __init__(self):
        self.logger = LOG


LAYER = Layer()


def raises(make):
    with contextlib.suppress(ValueError, AssertionError, RuntimeError):
        make()


def raised(H):
    raise ValueError(f"bad size {H}")


def asserted(H):
    assert H == 1, f"bad size {H}"


def assigned(H):
    text = f"size {H}"
    text += f", {H + 1} more"
    if H < 3:
        raise ValueError(text)
    _assert(H > 3, text)


def checked(H):
    torch._check(H > 3, lambda: f"size {H}")
    torch._check(H > 300, lambda: f"size {H}")


def multiline(H):
    _assert(
        H > 3,
        f"the height ({H}) "
        f"is not as large as {H:>7}"
        + " and {} or {:5.1f}".format(H, H / 2)  # noqa: UP032
        + ", ".join([str(n) for n in (H, 3)])
        + " of %d and %.2f" % (H, H / 3),  # noqa: UP031
    )


def described(n):
    text = "x".join(map(str, (3, n)))
    return f"{text} of {hex(n)}"


def explained(H):
    return "size " + described(H)


class Speaker:
    def words(self, H):
        return f"{H} words"

    def tell(self, H):
        print(self.words(H))


def described_in_assert(H):
    assert H == 1, described(H)


def both_numbers(H):
    half = int(H / 2)
    print(f"{half} of {float(H)}")


MESSAGES = {
    "hex": lambda H: print(hex(H), bin(H), oct(H), f"{H:x}"),
    "number": lambda H: print(f"{int(H)}", int(H), float(H / 3), round(H / 3, 2)),
    "assigned number": both_numbers,
    "zfill": lambda H: print(str(H).zfill(5).replace("0", " ") + "{}".replace("}", ":>5}").format(H)),
    "textwrap": lambda H: warnings.warn(textwrap.fill(textwrap.dedent(f"size {H}")), stacklevel=1),
    "stream": lambda H: print(f"{H}", file=sys.stderr),
    "function": lambda H: print(described(H)),
    "functions": lambda H: print("bad " + explained(H)),
    "function in assert": lambda H: raises(lambda: described_in_assert(H)),
    "method": lambda H: Speaker().tell(H),
    "print": lambda H: print(H, f"{H}", torch.Size((H, 3)), (H, 3), "%d" % H, H / 3),  # noqa: UP031
    "logger": lambda H: LOG.warning(f"{H}"),
    "logger_arguments": lambda H: LOG.warning("%d of %s", H, H),
    "logger_attribute": lambda H, layer=LAYER: layer.logger.info("x" + str(H)),
    "logging": lambda H: logging.info(f"{H}"),
    "warn": lambda H: warnings.warn(f"size {H}", stacklevel=1),
    "_assert": lambda H: _assert(True, f"{H}"),
    "torch._assert": lambda H: torch._assert(True, f"{H!r:>5}"),
    "multiline": multiline,
    "raise": lambda H: raises(lambda: raised(H)),
    "assert": lambda H: raises(lambda: asserted(H)),
    "assigned": assigned,
    "check": lambda H: raises(lambda: checked(H)),
    "stderr": lambda H: sys.stderr.write(f"{H}"),
}  # fmt: skip


def returned(H):
    text = f"{H}"
    print(text)
    return text


def looked_up(H):
    text = f"{H}"
    print(text, DIGITS.get(text))


def in_condition(H):
    assert f"{H}" == "224", "no"


def through_locals(H):
    text = f"{H}"
    print(text)
    return locals()


def my_print(text):
    return len(text)


def shadowed(H):
    print = my_print
    return print(f"{H}")


@functools.cache
def remembered(n):
    return f"{n}"


def told_twice(H):
    text = described(H)
    print(text)
    return text


def fill(text):
    return print(text) or len(text)


TEXTS = {
    "number as text": lambda H: print("x" * int(H)),
    "number looked up": lambda H: print(list(range(300))[int(H)]),
    "hex looked up": lambda H: print(DIGITS.get(hex(H))),
    "function compared": lambda H: described(H) == "3x224",
    "function in condition": lambda H: print("a" if described(H) else "b"),
    "function's text used": told_twice,
    "function with another's name": lambda H: print(fill(f"{H}")),
    "function by map": lambda H: print(*map(described, [H])),
    "stream of the user's": lambda H: print(f"{H}", file=OWN),
    "compared": lambda H: f"{H}" == "224",
    "looked_up": lambda H: DIGITS.get(str(H)),
    "length": lambda H: len(f"{H}"),
    "width": lambda H: print("x" * len(str(H))),
    "shape": lambda H: str((3, H)) == "(3, 224)",
    "size": lambda H: repr(torch.Size((3, H))),
    "percent": lambda H: "%d" % H == "224",  # noqa: UP031
    "hex": lambda H: hex(H),
    "returned": returned,
    "used twice": looked_up,
    "condition": in_condition,
    "locals": through_locals,
    "file": lambda H: print(f"{H}", file=io.StringIO()),
    "shadowed": shadowed,
    "key": lambda H: print(DIGITS[f"{H}"]),
    "exception text": lambda H: str(ValueError(H)),
    "evaluated": lambda H: eval("f'{H}'", {"H": H}),
}


def assumed(make):
    scope = Scope({"H": 224})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make(to_sym(symbol("H"), scope))
    return [a for a in scope.assumptions if a.kind == "pin"]


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_pin_nothing(name, capsys, caplog):
    for _ in range(2):  # the second time from memory
        assert assumed(MESSAGES[name]) == []


@pytest.mark.parametrize("name", TEXTS)
def test_other_texts_pin(name, capsys):
    for _ in range(2):
        assert [str(a) for a in assumed(TEXTS[name])] == ["H == 224 (pinned)"]


def test_messages_show_the_sample_value(capsys):
    assumed(lambda H: print(H, f"{H / 2}", torch.Size((H, 3))))
    assert capsys.readouterr().out == "224 112.0 torch.Size([224, 3])\n"


# -- function caches --------------------------------------------------------------------------------------------------
def test_cached_functions_see_formulas():
    calls = []

    @functools.cache
    def half(n):
        calls.append(n)
        return n // 2

    assert half(224) == 112
    scope = Scope({"H": 224, "W": 224, "S": 128})
    H, W, S = (to_sym(scope.symbols[n], scope) for n in "HWS")
    assert half(H).expr == symbol("H") // 2
    assert half(H + 0) is half(H)
    assert len(calls) == 2
    assert scope.assumptions == []
    assert half(S).expr == symbol("S") // 2
    assert scope.check({"H": 7, "W": 7, "S": 7}) is not None  # there, the second call would find the first
    assert half(W) is half(H)  # as for the numbers: then H == W is assumed
    assert any(a.relation == "==" for a in scope.assumptions)
    assert not any(a.kind == "pin" for a in scope.assumptions)
    other = Scope({"H": 224})
    assert half(to_sym(symbol("H"), other)).scope is other
    assert other.assumptions == []


def test_a_cache_with_a_way_out_is_left_out():
    cached = functools.lru_cache(lambda shape: list(shape))

    def recipe(shape):
        try:
            return cached(shape)
        except TypeError:
            return list(shape)

    scope = Scope({"H": 224})
    H = to_sym(symbol("H"), scope)
    assert recipe((H, 3))[0] is H
    assert cached.cache_info().currsize == 0
    assert scope.assumptions == []


def test_the_words_of_an_analysis_that_ended_pin_nothing():
    scope = Scope({"H": 224})
    H = to_sym(symbol("H"), scope)
    scope.close()
    assert (str(H), hash(H), int(H), float(H), f"{H / 2}") == ("224", hash(224), 224, 224.0, "112.0")
    assert (H == 224, H > 300, H / 2 > 112.5) == (True, False, False)
    assert scope.assumptions == []


def _raising(n: int) -> None:
    raise ValueError(f"{n}")


def _caught(x: torch.Tensor) -> bool:
    try:
        _raising(x.shape[0])
    except ValueError as error:
        return str(error) == "7"


def _asserted(x: torch.Tensor) -> bool:
    try:
        assert x.shape[0] < 0, f"{x.shape[0]}"
    except AssertionError as error:
        return error.args[0] == "7"


def _warned(x: torch.Tensor) -> bool:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.warn(f"{x.shape[0]}", stacklevel=1)
    return str(seen[0].message) == "7"


def _printed(x: torch.Tensor) -> bool:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        print(x.shape[0])
    return out.getvalue() == "7\n"


def _dropped(x: torch.Tensor) -> bool:
    try:
        if x.shape[0] >= 3:
            raise ValueError(f"{x.shape[0]}")
    except ValueError:
        return True
    return False


def _passed_on(x: torch.Tensor) -> bool:
    try:
        torch._assert(x.shape[0] >= 3, f"{x.shape[0]}")
    except AssertionError as error:
        raise RuntimeError("too small") from error
    return True


@pytest.mark.parametrize(
    ("look", "pins"),
    [(_caught, True), (_asserted, True), (_warned, True), (_printed, True), (_dropped, False), (_passed_on, False)],
)
def test_a_message_that_comes_back(look: Callable[[torch.Tensor], bool], pins: bool) -> None:
    """A text that is raised, told or printed may be read again by the model that catches it."""

    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp() if look(x) else x

    net = Net()
    report = fxcount.analyze(net, "N,3", hints={"N": 7})
    assert any(a.kind == "pin" for a in report.assumptions) is pins
    assert (report.at(N=7).flops, report.at(N=8).flops) == (21, 0 if pins else 24)
