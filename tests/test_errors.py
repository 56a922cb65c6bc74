"""Bad input gets an error of fxcount's own: what happened, where in the model, and what to do."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount

HERE = re.escape(__file__)


class Wrong(nn.Module):
    """Runs one of the functions below inside a submodule called ``block``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.block = Block(function)

    def forward(self, *args: Any) -> Any:
        return self.block(*args)


class Block(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.linear = nn.Linear(5, 7)
        self.conv = nn.Conv2d(3, 4, 3)
        self.table = nn.Embedding(11, 5)

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def features(m: Block, x: torch.Tensor) -> Any:
    return torch.nn.functional.linear(x, m.linear.weight)


def channels(m: Block, x: torch.Tensor) -> Any:
    return torch.nn.functional.conv2d(x, m.conv.weight)


def product(m: Block, x: torch.Tensor) -> Any:
    return x @ x


def viewed(m: Block, x: torch.Tensor) -> Any:
    return x.view(7, -1)


def joined(m: Block, x: torch.Tensor) -> Any:
    return torch.cat([x, x[None]])


def added(m: Block, x: torch.Tensor) -> Any:
    return x + torch.ones(3)


def two_symbols(m: Block, x: torch.Tensor, y: torch.Tensor) -> Any:
    return x * y


def element(m: Block, x: torch.Tensor) -> Any:
    return x[:, 7]


def dimension(m: Block, x: torch.Tensor) -> Any:
    return x.sum(3)


def normed(m: Block, x: torch.Tensor) -> Any:
    return torch.nn.functional.layer_norm(x, (6,))


def looked_up(m: Block, x: torch.Tensor) -> Any:
    return torch.nn.functional.embedding(x, m.table.weight)


def mixed(m: Block, x: torch.Tensor) -> Any:
    return torch.mm(x, m.table.weight)


# function, inputs, what the text must name
SHAPES: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (features, ("B,6",), r"linear.*6.*5"),
    (channels, ("B,2,H,W",), r"conv2d.*2"),
    (channels, ("B,3,H,W,D",), r"conv2d.*B, 3, H, W, D"),
    (product, ("B,3,5",), r"matmul.*5.*3"),
    (viewed, ("B,5",), r"view.*B, 5.*7"),
    (joined, ("B,5",), r"cat.*rank"),
    (added, ("B,5",), r"add.*B, 5.*broadcast"),
    (two_symbols, ("B,5", "C,5"), r"mul.*B.*C"),
    (element, ("B,5",), r"7.*5"),
    (dimension, ("B,5",), r"3.*2"),
    (normed, ("B,5",), r"layer_norm.*6"),
    # a wrong dtype
    (looked_up, ("f32[B,5]",), r"embedding.*float32"),
    (features, ("i64[B,5]",), r"linear.*int64.*float32"),
    (features, ("f64[B,5]",), r"linear.*float64.*float32"),
    (mixed, ("f16[B,11]",), r"(mm|matmul).*float16.*float32"),
]
_IDS = [f"{f.__name__}-{'-'.join(map(str, given))}" for f, given, _ in SHAPES]


def _line_of(function: Callable[..., Any]) -> int:
    """The line of the first statement of the body."""
    return inspect.getsourcelines(function)[1] + 1


def _refused(function: Callable[..., Any], given: tuple[Any, ...], kind: type[fxcount.FxcountError]) -> str:
    with pytest.raises(kind) as caught:
        fxcount.analyze(Wrong(function), *given, frontend="trace")
    text = str(caught.value)
    assert f"\n  at {__file__}:{_line_of(function)} (block)" in text
    return text


@pytest.mark.parametrize(("function", "given", "names"), SHAPES, ids=_IDS)
def test_what_does_not_fit_is_named_with_its_place(
    function: Callable[..., Any], given: tuple[Any, ...], names: str
) -> None:
    text = _refused(function, given, fxcount.ShapeError)
    assert re.search(names, text.splitlines()[0])


@pytest.mark.parametrize(("function", "given", "names"), SHAPES, ids=_IDS)
def test_what_does_not_fit_comes_with_a_way_out(
    function: Callable[..., Any], given: tuple[Any, ...], names: str
) -> None:
    with pytest.raises(fxcount.ShapeError, match=r"\n  to fix: .+"):
        fxcount.analyze(Wrong(function), *given)


@pytest.mark.parametrize(("function", "given", "names"), SHAPES, ids=_IDS)
def test_torch_refuses_the_same(function: Callable[..., Any], given: tuple[Any, ...], names: str) -> None:
    """What fxcount calls wrong is wrong to torch, at sizes where symbols differ."""
    from tests.zoo import inputs

    values = {"B": 13, "C": 17, "H": 19, "W": 23, "D": 29}
    real = inputs(tuple(re.sub(r"^f(16|64)\[(.*)\]", r"\2", g) for g in given), values)
    dtypes = {"f16": torch.float16, "f64": torch.float64}
    real = tuple(r.to(dtypes[g[:3]]) if g[:3] in dtypes else r for r, g in zip(real, given, strict=True))
    with pytest.raises((RuntimeError, IndexError)):
        Wrong(function)(*real)


def branch(m: Block, x: torch.Tensor) -> Any:
    return x if x.sum() > 0 else -x


def listed(m: Block, x: torch.Tensor) -> Any:
    return x.tolist()


def as_numpy(m: Block, x: torch.Tensor) -> Any:
    return x if x.detach().numpy().sum() > 0 else -x


def equal(m: Block, x: torch.Tensor) -> Any:
    return x if torch.equal(x, x * 2) else -x


DATA = [branch, listed, as_numpy, equal]


@pytest.mark.parametrize("function", DATA, ids=lambda f: f.__name__)
def test_data_dependence_is_named_with_ways_out(function: Callable[..., Any]) -> None:
    text = _refused(function, ("B,5",), fxcount.DataDependentError)
    assert re.search(r"\n  to fix: .{20,}", text)


def backward(m: Block, x: torch.Tensor) -> Any:
    m.linear(x).sum().backward()


def gradient(m: Block, x: torch.Tensor) -> Any:
    return torch.autograd.grad(m.linear(x).sum(), [x])


def test_what_torch_says_of_a_gradient_that_cannot_be() -> None:
    """A forward that differentiates is traced; where torch itself refuses, its own error says where."""
    with pytest.raises(RuntimeError, match="does not require grad") as raised:
        fxcount.analyze(Wrong(gradient), "B,5")
    assert any(re.search(rf"at {HERE}:\d+", note) for note in raised.value.__notes__)


def test_backward_in_forward() -> None:
    model = Wrong(backward)
    assert fxcount.analyze(model, "B,5").frontend == "trace"
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("model", "given"),
    [(nn.Linear(5, 7), "B,6"), (nn.Sequential(nn.Linear(5, 7), nn.Linear(6, 3)), "B,5"), (nn.Conv2d(3, 4, 3), "B,3")],
)
def test_a_model_of_torchs_modules_alone_has_a_place_too(model: nn.Module, given: str) -> None:
    """There the line is torch's, never one of fxcount's own or of the caller."""
    with pytest.raises(fxcount.ShapeError) as caught:
        fxcount.analyze(model, given)
    assert re.search(r"torch.nn.modules.\w+\.py:\d+ \(\w+\)", caught.value.where)


# -- inputs ---------------------------------------------------------------------------------------------------------
class Two(nn.Module):
    def forward(self, x: torch.Tensor, *, scale: float = 1.0, mask: torch.Tensor | None = None) -> torch.Tensor:
        return x * scale if mask is None else x * mask


INPUTS: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((), {}, r"missing a required argument: 'x'"),
    (("B,5", "B,5"), {}, r"too many positional arguments"),
    (("B,5",), {"foo": "B,5"}, r"unexpected keyword argument 'foo'"),
    (("0,5",), {}, r"'0,5'.*size of 0"),
    (("B,-5",), {}, r"'B,-5'.*size of -5"),
    (((0, 5),), {}, r"size of 0"),
    ((("B", -3),), {}, r"size of -3"),
    ((torch.Size([0, 5]),), {}, r"size of 0"),
    (("B,5+",), {}, r"'5\+'.*'B,5\+'"),
    (("B,3 4",), {}, r"'3 4'"),
    (("q8[B,5]",), {}, r"unknown dtype 'q8'"),
    (("B,5",), {"hints": {"B": 0}}, r"B=0"),
    (("B,5",), {"hints": {"B": 2.5}}, r"B=2.5"),
    (("B,5",), {"hints": {"C": 3}}, r"C.*B"),
    (("B,5",), {"mask": "x8[B,5]"}, r"unknown dtype 'x8'"),
]


@pytest.mark.parametrize(("args", "kwargs", "names"), INPUTS)
def test_inputs_that_describe_no_call(args: tuple[Any, ...], kwargs: dict[str, Any], names: str) -> None:
    with pytest.raises(fxcount.InputError) as caught:
        fxcount.analyze(Two(), *args, **kwargs)
    assert re.search(names, caught.value.what)
    assert caught.value.hint


@pytest.mark.parametrize("thing", ["resnet50", torch.float32, nn.Linear, None])
def test_only_modules_are_models(thing: Any) -> None:
    with pytest.raises(fxcount.InputError, match=r"nn\.Module(.|\n)*to fix"):
        fxcount.analyze(thing, "B,5")


def test_lazy_modules_that_no_run_initialises_are_refused_by_name() -> None:
    """The forward does not call it, so nobody knows its shape."""
    with pytest.raises(fxcount.InputError, match=r"\bhead\.weight\b(.|\n)*to fix"):
        fxcount.analyze(_with_lazy_head(), "B,5")


def _with_lazy_head() -> nn.Module:
    model = nn.ReLU()
    model.add_module("head", nn.LazyLinear(3))
    return model


# -- at() -------------------------------------------------------------------------------------------------------------
AT: list[tuple[dict[str, Any], str]] = [
    ({}, r"B, H"),
    ({"B": 3, "H": 5, "Q": 7}, r"Q.*B, H"),
    ({"B": 0, "H": 5}, r"B=0"),
    ({"B": 3, "H": -1}, r"H=-1"),
    ({"B": 2.0, "H": 5}, r"B=2\.0"),
    ({"B": True, "H": 5}, r"B=True"),
]


@pytest.mark.parametrize(("values", "names"), AT)
def test_at_wants_sizes_for_symbols(values: dict[str, Any], names: str) -> None:
    report = fxcount.analyze(nn.Conv2d(3, 4, 3, padding=1), "B,3,H,7")
    with pytest.raises(fxcount.SizeError) as caught:
        report.at(**values)
    assert re.search(names, caught.value.what)
    assert caught.value.hint


def test_at_outside_of_what_the_formulas_assume() -> None:
    def decides(m: Block, x: torch.Tensor) -> Any:
        return x * 2 if x.shape[0] > 32 else x

    report = fxcount.analyze(Wrong(decides), "B,5", hints={"B": 37})
    assert report.at(B=33).flops == 165
    with pytest.raises(fxcount.AssumptionError, match=rf"B >= 33.*B=32.*\n  at {HERE}:\d+ \(block\)\n  to fix: "):
        report.at(B=32, extend=False)


def test_pinned_sizes_show_their_line() -> None:
    """A text makes a number of a symbol: an assumption with its place, never silent."""

    def pins(m: Block, x: torch.Tensor) -> Any:
        return x.new_zeros(int(str(x.shape[0])))

    report = fxcount.analyze(Wrong(pins), "B,5", hints={"B": 37})
    (assumption,) = report.assumptions
    assert assumption.kind == "pin"
    assert re.fullmatch(rf"B == 37 \(pinned at {HERE}:{_line_of(pins)} \(block\)\)", str(assumption))
    with pytest.raises(fxcount.AssumptionError):
        report.at(B=38, extend=False)


# -- the model's own exceptions ------------------------------------------------------------------------------------------
class Gone(Exception):
    """One that cannot be made of a text alone."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b)


def raising(m: Block, x: torch.Tensor) -> Any:
    raise Gone(3, 5)


def missing(m: Block, x: torch.Tensor) -> Any:
    return m.no_such_layer(x)


def broken(m: Block, x: torch.Tensor) -> Any:
    return {}["key"]


def asserting(m: Block, x: torch.Tensor) -> Any:
    assert x.shape[1] == 6, "five columns"


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [(raising, Gone, r"\(3, 5\)"), (missing, AttributeError, "no_such_layer"), (broken, KeyError, "key"),
     (asserting, AssertionError, "five columns")],
)  # fmt: skip
def test_the_models_own_exception_stays_visible(
    function: Callable[..., Any], kind: type[Exception], text: str
) -> None:
    """Its type and text are unchanged; a note says where, in the model's terms."""
    with pytest.raises(kind, match=text) as caught:
        fxcount.analyze(Wrong(function), "B,5")
    assert type(caught.value) is kind
    (note,) = caught.value.__notes__
    assert f"{__file__}:{_line_of(function)} (block)" in note
    assert "Wrong" in note


def test_a_model_may_catch_its_own_exceptions() -> None:
    def careful(m: Block, x: torch.Tensor) -> Any:
        try:
            missing(m, x)
        except AttributeError:
            return m.linear(x)

    assert str(fxcount.analyze(Wrong(careful), "B,5").macs) == "35*B"


# -- ops without a cost rule ---------------------------------------------------------------------------------------------
def test_strict_names_what_is_not_counted() -> None:
    @torch.library.custom_op("fxcount_tests::doubled", mutates_args=())
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @doubled.register_fake
    def _(x: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(x)

    def calls(m: Block, x: torch.Tensor) -> Any:
        return m.linear(doubled(x))

    report = fxcount.analyze(Wrong(calls), "B,5")
    assert [c.op.name for c in report.uncounted] == ["doubled"] or "doubled" in report.uncounted[0].op.name
    assert str(report.macs) == "35*B"
    assert "lower bounds" in str(report)
    with pytest.raises(fxcount.UncountedError, match=rf"doubled(.|\n)*at {HERE}:\d+(.|\n)*to fix"):
        fxcount.analyze(Wrong(calls), "B,5", strict=True)


@pytest.mark.parametrize("kind", [getattr(fxcount, name) for name in fxcount.__all__ if name.endswith("Error")])
def test_all_errors_share_one_base(kind: type[Exception]) -> None:
    assert issubclass(kind, fxcount.FxcountError)
