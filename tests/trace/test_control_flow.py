"""Operators that run a function inside, against the loops they stand for: results, products, formulas in their steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch._higher_order_ops import associative_scan, scan, while_loop
from torch._higher_order_ops.map import map as map_over
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.torch_private import VERSION, pytree
from tests.oracles import counted_flops

pytestmark = [
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
    pytest.mark.filterwarnings("ignore:return_lse is deprecated:FutureWarning"),
]
MAPS = pytest.mark.skipif(VERSION < (2, 13), reason="on symbols, functions of several dimensions are mapped since torch 2.13")


class Net(nn.Module):
    def __init__(self, function: Callable[..., Any], width: int = 7) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.w, self.l = nn.Parameter(torch.randn(width, width) * 0.3), nn.Linear(width, 5)
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(self, *args)


# -- operators, and what they stand for ------------------------------------------------------------------------------------
def _recurrent(net: Net, x: torch.Tensor) -> Any:
    return scan(lambda c, y: (torch.tanh(c @ net.w + y), c.clone()), x.new_zeros(x.shape[1], 7), x)


def _recurrent_loop(net: Net, x: torch.Tensor) -> Any:
    c, ys = x.new_zeros(x.shape[1], 7), []
    for y in x.unbind(0):
        ys.append(c)
        c = torch.tanh(c @ net.w + y)
    return c, torch.stack(ys)


def _backwards(net: Net, x: torch.Tensor) -> Any:
    return scan(lambda c, y: (c @ net.w + y, (c * 2).sum(-1)), x.new_zeros(3, 7), x, dim=1, reverse=True)


def _backwards_loop(net: Net, x: torch.Tensor) -> Any:
    c, ys = x.new_zeros(3, 7), []
    for y in reversed(x.unbind(1)):
        ys.append((c * 2).sum(-1))
        c = c @ net.w + y
    return c, torch.stack(ys[::-1], 1)


def _nested(net: Net, x: torch.Tensor) -> Any:
    def outer(c: torch.Tensor, rows: torch.Tensor) -> Any:
        inner, ys = scan(lambda d, y: (d @ net.w + y, d.clone()), c, rows)
        return inner, ys.sum(0)

    return scan(outer, x.new_zeros(7), x)


def _nested_loop(net: Net, x: torch.Tensor) -> Any:
    c, ys = x.new_zeros(7), []
    for rows in x.unbind(0):
        inside = []
        for y in rows.unbind(0):
            inside.append(c)
            c = c @ net.w + y
        ys.append(torch.stack(inside).sum(0))
    return c, torch.stack(ys)


def _tree(net: Net, x: torch.Tensor) -> Any:
    def step(c: Any, y: Any) -> Any:
        return {"h": c["h"] @ net.w + y["a"], "n": c["n"] + 1}, {"o": net.l(y["a"])}

    return scan(step, {"h": x.new_zeros(x.shape[1], 7), "n": torch.zeros(())}, {"a": x})


def _tree_loop(net: Net, x: torch.Tensor) -> Any:
    h, n, ys = x.new_zeros(x.shape[1], 7), torch.zeros(()), []
    for y in x.unbind(0):
        h, n = h @ net.w + y, n + 1
        ys.append(net.l(y))
    return {"h": h, "n": n}, {"o": torch.stack(ys)}


LOOPS: dict[str, tuple[Any, Any, str]] = {
    "scan": (_recurrent, _recurrent_loop, "T,B,7"),
    "scan backwards": (_backwards, _backwards_loop, "3,T,7"),
    "scan in a scan": (_nested, _nested_loop, "T,B,7"),
    "scan of dicts": (_tree, _tree_loop, "T,B,7"),
    "map": (
        lambda net, x: map_over(lambda y: net.l(y).relu(), x),
        lambda net, x: torch.stack([net.l(y).relu() for y in x.unbind(0)]), "T,B,7",
    ),
    "map with arguments": (
        lambda net, x: map_over(lambda ys, w: ys[0] @ w + ys[1], [x, x * 2], net.w),
        lambda net, x: torch.stack([y @ net.w + 2 * y for y in x.unbind(0)]), "T,B,7",
    ),
}  # fmt: skip


def _same(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(pytree.tree_leaves(found), pytree.tree_leaves(wanted), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop(name: str) -> None:
    """In formulas it is recorded once, in numbers step by step; both count what a loop in Python does."""
    function, written_out, spec = LOOPS[name]
    model, plain = Net(function), Net(written_out)
    report = fxcount.analyze(model, spec)
    assert (report.frontend, report.uncounted) == ("trace", ())
    for at in ({"T": 3, "B": 5}, {"T": 11, "B": 2}):
        values = {s: n for s, n in at.items() if s in report.symbols}
        shape = tuple([at[s] if s in at else int(s) for s in spec.split(",")])
        x = torch.randn(shape)
        fresh = fxcount.analyze(model, shape)
        assert 2 * report.at(**values, extend=False).macs == 2 * fresh.macs == counted_flops(plain, x)
        assert report.at(**values).flops == fresh.flops
        assert report.at(**values).memory.activations == fresh.memory.activations
        with torch.no_grad():
            _same(fresh.graph_module(x), plain(x))


def test_a_recurrence_by_hand() -> None:
    """A step is B*7*7 products; tanh, the sum and 2 for each product: 16 of each element of the state, T times."""
    report = fxcount.analyze(Net(_recurrent), "T,B,7")
    assert (str(report.macs), str(report.flops)) == ("49*B*T", "112*B*T")
    assert report.params.dead == 40, "the linear layer, 5*7 + 5, is not called"
    with pytest.raises(fxcount.UnsupportedError, match="number of steps"):
        _ = report.graph_module


def test_what_a_step_is_handed_is_not_what_the_first_was_given() -> None:
    """A counter that is 0 at first is not known to be 0 in later steps."""

    def function(net: Net, x: torch.Tensor) -> Any:
        def step(c: torch.Tensor, y: torch.Tensor) -> Any:
            return c + 1, (y @ net.w if c.item() == 0 else y)

        return scan(step, torch.zeros((), dtype=torch.int64), x)

    with pytest.raises(fxcount.FxcountError):
        fxcount.analyze(Net(function), "T,B,7", frontend="trace")


# -- while -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("start", [0, torch.zeros((), dtype=torch.int64)], ids=["int", "tensor"])
def test_a_while_loop_of_known_length(start: Any) -> None:
    model = Net(lambda net, x: while_loop(lambda i, h: i < 5, lambda i, h: (i + 1, torch.tanh(h @ net.w)), (start, x)))
    report = fxcount.analyze(model, "B,7")
    assert str(report.macs) == "245*B"
    x = wanted = torch.randn(3, 7)
    for _ in range(5):
        wanted = torch.tanh(wanted @ model.w)
    _same(report.graph_module(x)[1], wanted)


def _while(cond: Any, body: Any, start: Any) -> tuple[Any, Any]:
    """The loop by torch's operator, and as one in Python; what it begins with is a function of the input."""

    def in_python(net: Net, x: torch.Tensor) -> Any:
        state = start(x)
        while cond(x, *state):
            state = body(net, x, *state)
        return state

    def by_torch(net: Net, x: torch.Tensor) -> Any:
        return while_loop(lambda *state: cond(x, *state), lambda *state: body(net, x, *state), start(x))

    return by_torch, in_python


def _on(net: Net, x: torch.Tensor, i: Any, h: torch.Tensor) -> Any:
    return i + 1, torch.tanh(h @ net.w)


WHILE: dict[str, tuple[Any, str]] = {
    "int": (_while(lambda x, i, h: i < x.shape[0], _on, lambda x: (0, x)), "49*S**2"),
    "tensor": (_while(lambda x, i, h: i < x.shape[0], _on, lambda x: (torch.tensor(0), x)), "49*S**2"),
    "int32 from 1": (
        _while(lambda x, i, h: i <= x.shape[0], _on, lambda x: (torch.tensor(1, dtype=torch.int32), x)), "49*S**2"
    ),
    "down": (_while(lambda x, i, h: i > 0, lambda n, x, i, h: (i - 1, h @ n.w), lambda x: (x.shape[0], x)), "49*S**2"),
    "by 3": (
        _while(lambda x, i, h: i < x.shape[0], lambda n, x, i, h: (i + 3, h @ n.w), lambda x: (0, x)), "49*S*ceiling(S/3)"
    ),
    "until it is met": (_while(lambda x, i, h: i != x.shape[0] + 2, _on, lambda x: (0, x)), "49*S**2 + 98*S"),
    "at most 4": (_while(lambda x, i, h: i < x.shape[0] and i < 4, _on, lambda x: (0, x)), "49*S*Min(4, S)"),
    "at most 4, as tensors": (
        _while(lambda x, i, h: torch.logical_and(i < x.shape[0], i < 4), _on, lambda x: (torch.tensor(0), x)), "49*S*Min(4, S)"
    ),
    "two that meet": (
        _while(lambda x, i, j, h: i < j, lambda n, x, i, j, h: (i + 1, j - 1, h @ n.w), lambda x: (0, x.shape[0], x)),
        "49*S*ceiling(S/2)",
    ),
    "rows": (_while(lambda x, i, h: i < x.shape[0], lambda n, x, i, h: (i + 1, h + x[i] @ n.w), lambda x: (0, x[0])), "49*S"),
    "the first is another": (
        _while(
            lambda x, i, h: i < x.shape[0], lambda n, x, i, h: (i + 1, h @ n.w if i == 0 else h @ n.w @ n.w), lambda x: (0, x)
        ),
        "98*S**2 - 49*S",
    ),
    "rows of rows": (
        _while(
            lambda x, i, h: i < x.shape[0],
            lambda n, x, i, h: (i + 1, h + scan(lambda c, y: (c @ n.w + y, c.clone()), x[0], x)[0]),
            lambda x: (torch.tensor(0), x),
        ),
        "49*S**2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in WHILE if n != "rows of rows"])
def test_a_while_loop_as_long_as_a_size(name: str) -> None:
    """Its length is a formula, and nothing is pinned: products of a loop in Python, all else of an analysis at numbers."""
    (function, written_out), macs = WHILE[name]
    model, plain = Net(function), Net(written_out)
    report = fxcount.analyze(model, "S,7")
    assert (report.frontend, report.uncounted, report.unbacked) == ("trace", (), [])
    assert (str(report.macs), list(report.symbols)) == (macs, ["S"])
    for n in (5, 11):
        fresh, at = fxcount.analyze(model, (n, 7)), report.at(S=n, extend=False)
        assert 2 * at.macs == counted_flops(plain, torch.randn(n, 7))
        counts = [(r.macs, r.flops, r.read_bytes, r.write_bytes, r.memory.peak, r.memory.activations) for r in (at, fresh)]
        assert counts[0] == counts[1]
        with torch.no_grad():
            x = torch.randn(n, 7)
            _same(fresh.graph_module(x)[-1], plain(x)[-1])


def test_a_scan_in_a_while_loop() -> None:
    (function, _), macs = WHILE["rows of rows"]
    assert str(fxcount.analyze(Net(function), "S,7").macs) == macs


UNALIKE: dict[str, tuple[Any, Any]] = {
    "rows so far": _while(
        lambda x, i, h: i < x.shape[0], lambda n, x, i, h: (i + 1, h + (x[: i + 1] @ n.w).sum(0)), lambda x: (0, x)
    ),
    "doubled": _while(lambda x, i, h: i < x.shape[0], lambda n, x, i, h: (i * 2, h @ n.w), lambda x: (1, x)),
    "halved": _while(lambda x, i, h: i > 1, lambda n, x, i, h: (i // 2, h @ n.w), lambda x: (x.shape[0], x)),
    "either": _while(lambda x, i, h: i < x.shape[0] or i < 4, _on, lambda x: (0, x)),
    "every other": _while(
        lambda x, i, h: i < x.shape[0], lambda n, x, i, h: (i + 1, h @ n.w if i % 2 else h @ n.w @ n.w), lambda x: (0, x)
    ),
    "the last is another": _while(
        lambda x, i, h: i < x.shape[0],
        lambda n, x, i, h: (i + 1, h @ n.w if i == x.shape[0] - 1 else h @ n.w @ n.w), lambda x: (0, x),
    ),
    "a loop inside as long as the steps so far": _while(
        lambda x, i, h: i < x.shape[0],
        lambda n, x, i, h: (i + 1, while_loop(lambda j, g: j <= i, lambda j, g: (j + 1, g @ n.w), (0, h))[1]),
        lambda x: (0, x),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNALIKE)
def test_a_while_loop_whose_steps_differ(name: str) -> None:
    """No step stands for another: they are run one by one, and other sizes by further analyses."""
    function, written_out = UNALIKE[name]
    if "inside" in name:
        written_out = _triangle
    model = Net(function)
    report = fxcount.analyze(model, "S,7", hints={"S": 6})
    for n in (2, 6, 11):
        assert 2 * report.at(S=n).macs == counted_flops(Net(written_out), torch.randn(n, 7))


def _triangle(net: Net, x: torch.Tensor) -> torch.Tensor:
    for i in range(x.shape[0]):
        for _ in range(i + 1):
            x = x @ net.w
    return x


def test_a_while_loop_that_data_end() -> None:
    """The number of steps is a symbol, with a hint and a value of its own; the condition is asked once more than the body."""
    model = Net(lambda net, x: while_loop(lambda i, h: h.sum() > 1, lambda i, h: (i + 1, h @ net.w), (torch.zeros(()), x)))
    report = fxcount.analyze(model, "B,7", hints={"steps": 4})
    assert [u.name for u in report.unbacked] == ["steps_1"]
    assert str(report.macs) == "49*B*steps_1"
    # steps times 98*B + 1, and steps + 1 times a sum of 7*B - 1 and a comparison
    assert report.at(B=3, steps_1=10).flops == 10 * (98 * 3 + 1) + 11 * 7 * 3
    assert report.at(B=3).macs == fxcount.analyze(model, "B,7", hints={"steps_1": 4}).at(B=3).macs == 49 * 3 * 4
    with pytest.raises(fxcount.SizeError, match="needs a value for steps_1"):
        fxcount.analyze(model, "B,7").at(B=3)
    with pytest.raises(fxcount.InputError, match="hints given for steps_2, but the model has steps_1"):
        fxcount.analyze(model, "B,7", hints={"steps_2": 4})


# -- steps that are run back -------------------------------------------------------------------------------------------------
def _both_ways_by_torch(model: nn.Module, x: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        pytree.tree_leaves(model(x))[-1].sum().backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("name", [*LOOPS, *WHILE])
def test_a_loop_in_a_training_step(name: str) -> None:
    """Each step has a backward of its own, which is counted as torch's counter counts a loop in Python."""
    if name == "rows of rows":
        function, written_out, spec = WHILE[name][0][0], _rows_of_rows, "S,7"
    elif name in WHILE:
        (function, written_out), spec = WHILE[name][0], "S,7"
    else:
        function, written_out, spec = LOOPS[name]
    model, hints = Net(function), {s: n for s, n in {"T": 4, "B": 3, "S": 4}.items() if s in spec}
    report = fxcount.training_step(model, spec, loss=lambda y: pytree.tree_leaves(y)[-1].sum(), hints=hints)
    for at in ({"T": 3, "B": 2, "S": 5}, {"T": 5, "B": 3, "S": 3}):
        values = {s: n for s, n in at.items() if s in spec}
        x = torch.randn([at[s] if s in at else int(s) for s in spec.split(",")])
        assert 2 * report.at(**values).macs == _both_ways_by_torch(Net(written_out), x)


def _rows_of_rows(net: Net, x: torch.Tensor) -> torch.Tensor:
    h = x
    for _ in range(x.shape[0]):
        c = x[0]
        for y in x.unbind(0):
            c = c @ net.w + y
        h = h + c
    return h


def test_a_while_loop_that_data_end_in_a_training_step() -> None:
    """As many steps are run back as the hint says, which is assumed; another value is another analysis."""
    function, _ = _while(lambda x, i, h: h.sum() > 1, _on, lambda x: (torch.zeros(()), x))
    model = Net(function)
    report = fxcount.training_step(model, "B,7", loss=lambda y: y[1].sum(), hints={"steps": 2})
    assert "steps_1 == 2 (pinned" in " ".join(map(str, report.assumptions))

    def written_out(net: Net, x: torch.Tensor) -> torch.Tensor:
        for _ in range(steps):
            x = torch.tanh(x @ net.w)
        return x

    for steps, batch in ((2, 5), (3, 2), (7, 3)):
        wanted = _both_ways_by_torch(Net(written_out), torch.randn(batch, 7))
        assert 2 * report.at(B=batch, steps_1=steps).macs == wanted


# -- associative scans -------------------------------------------------------------------------------------------------------
def _both(a: Any, b: Any) -> Any:
    return a[0] * b[0], a[1] * b[0] + b[1]


@MAPS
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [2, 3, 5, 8, 13])
def test_an_associative_scan(n: int, reverse: bool) -> None:
    """Against a linear recurrence, and against the number of pairs: f(n) = n - 1 + f(n // 2)."""

    def pairs(m: int) -> int:
        return 0 if m < 2 else m - 1 + pairs(m // 2)

    model = Net(lambda net, x, y: associative_scan(_both, (x, y), dim=1, reverse=reverse, combine_mode="generic"))
    report = fxcount.analyze(model, "B,T,3", "B,T,3", hints={"T": n})
    assert report.frontend == "trace"
    assert report.at(B=2, T=n).flops == 3 * 2 * 3 * pairs(n)
    x, y = torch.rand(2, n, 3), torch.rand(2, n, 3)
    wanted, ys = None, []
    for i in reversed(range(n)) if reverse else range(n):
        wanted = (x[:, i], y[:, i]) if wanted is None else _both(wanted, (x[:, i], y[:, i]))
        ys.append(wanted)
    ys = ys[::-1] if reverse else ys
    _same(fxcount.analyze(model, (2, n, 3), (2, n, 3)).graph_module(x, y), tuple(torch.stack(p, 1) for p in zip(*ys)))


@pytest.mark.skipif(not callable(associative_scan), reason="a module of that name hides it in this torch")
def test_an_associative_scan_of_matrices() -> None:
    model = Net(lambda net, x: associative_scan(lambda a, b: b @ a, x, dim=0, combine_mode="generic"))
    report = fxcount.analyze(model, "5,7,7")
    assert report.macs == (4 + 1) * 7**3
    x = torch.randn(5, 7, 7) * 0.3
    wanted = [x[0]]
    for m in x[1:]:
        wanted.append(m @ wanted[-1])
    _same(report.graph_module(x), torch.stack(wanted))


# -- flexible attention ------------------------------------------------------------------------------------------------------
class Flexible(nn.Module):
    def __init__(self, mask: Any = None, **options: Any) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)
        self.slopes = nn.Parameter(torch.rand(2))
        self.mask, self.options = mask, options
        self.requires_grad_(False)  # torch differentiates it on accelerators alone

    def forward(self, x: torch.Tensor) -> Any:
        batch, length = x.shape[:2]
        q, k, v = self.qkv(x).view(batch, length, 3, 2, 8).permute(2, 0, 3, 1, 4)
        mod = self.options.get("mod")
        score = None if mod is None else (lambda s, b, h, i, j: mod(self, s, b, h, i, j))
        given = {n: o for n, o in self.options.items() if n != "mod"}
        return flex_attention(q, k, v, score_mod=score, block_mask=self.mask(length) if self.mask else None, **given)


def _causal(b: Any, h: Any, q: Any, k: Any) -> Any:
    return q >= k


FLEXIBLE = {
    "plain": Flexible(),
    "scaled": Flexible(scale=0.3),
    "distances": Flexible(mod=lambda net, s, b, h, i, j: s + (i - j)),
    "slopes": Flexible(mod=lambda net, s, b, h, i, j: s - net.slopes[h] * (i - j).abs()),
    "capped": Flexible(mod=lambda net, s, b, h, i, j: torch.tanh(s / 20) * 20),
    "masked scores": Flexible(mod=lambda net, s, b, h, i, j: torch.where(i >= j, s, -float("inf"))),
    "causal": Flexible(lambda n: create_block_mask(_causal, None, None, n, n, device="cpu")),
    "causal for each head": Flexible(lambda n: create_block_mask(_causal, 1, 2, n, n, device="cpu", BLOCK_SIZE=32)),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=MAPS if "causal" in n else ()) for n in FLEXIBLE])
def test_flexible_attention(name: str) -> None:
    """Dense: 2 heads of S*S scores, each of 8 products, and as many with the values; the projection is 16*48 for each row."""
    model = FLEXIBLE[name]
    report = fxcount.analyze(model, "B,S,16")
    assert (report.frontend, str(report.macs)) == ("trace", "32*B*S**2 + 768*B*S")
    x = torch.randn(2, 37, 16)
    with torch.no_grad():
        _same(fxcount.analyze(model, (2, 37, 16)).graph_module(x), model(x))


def test_groups_of_heads_and_what_else_is_returned() -> None:
    model = Net(lambda net, q, k: flex_attention(q, k, k, enable_gqa=True, return_lse=True))
    report = fxcount.analyze(model, "B,8,S,16", "B,2,T,16")
    assert str(report.macs) == f"{2 * 8 * 16}*B*S*T"
    q, k = torch.randn(2, 8, 5, 16), torch.randn(2, 2, 7, 16)
    with torch.no_grad():
        _same(report.graph_module(q, k), model(q, k))


def test_operands_that_do_not_fit() -> None:
    model = Net(lambda net, q, k: flex_attention(q, k, k))
    with pytest.raises(fxcount.ShapeError, match="flex_attention"):
        fxcount.analyze(model, "B,8,S,16", "B,2,T,16")


@pytest.mark.parametrize(("length", "block"), [(256, 128), (320, 128), (300, 64)])
def test_the_blocks_a_mask_keeps_are_named(length: int, block: int) -> None:
    """Of a causal mask the blocks on and below the diagonal; the last are as large as is left."""
    mask = create_block_mask(_causal, None, None, length, length, device="cpu", BLOCK_SIZE=block)
    report = fxcount.analyze(Flexible(lambda n: mask), f"B,{length},16")
    edges = [min(block, length - start) for start in range(0, length, block)]
    kept = sum(edges[i] * edges[j] for i in range(len(edges)) for j in range(i + 1))
    (note,) = [n for n in report.trace.notes if "flex_attention" in n]
    blocks = len(edges) * (len(edges) + 1) // 2
    assert f"{2 * 16 * length**2}*B macs, dense" in note
    assert f"{2 * 16 * kept}*B are in the {blocks} of {len(edges) ** 2} blocks" in note


def test_conditions() -> None:
    model = Net(lambda net, x: torch.cond(x.shape[0] > 4, lambda y: net.l(y), lambda y: net.l(y @ net.w), (x,)))
    report = fxcount.analyze(model, "B,7")
    assert [report.at(B=n).macs for n in (3, 5)] == [3 * (35 + 49), 5 * 35]
    with FlopCounterMode(display=False) as counter:
        Net(lambda net, x: net.l(x))(torch.zeros(5, 7))
    assert counter.get_total_flops() == 2 * 5 * 35
