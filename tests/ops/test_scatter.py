"""Writing by index: shapes and layouts against torch, accumulation against loops over counting scalars."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.memory import assignment, scatter
from fxcount.symbolic import Scope, min_
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import T, counted, rule_result, work

aten = torch.ops.aten
i64, SWAP = torch.int64, (0, 2, 1)
X, LAST = T("B,S,T"), T("B,T,S", perm=SWAP)
INDEX = T("B,2,T", i64)
SET = torch.Tensor.__setitem__
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:(index_reduce|segment_reduce|scatter_reduce)\(\) is in beta:UserWarning"),
    pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter with Tensor src:UserWarning"),
]

CASES = [
    call(torch.index_put, X, (T("3", i64), T("3", i64)), T("3,T"), on="cpu"),
    call(aten.index_put.default, X, [T("3", i64), None, T("3", i64)], T("3,S"), on="cpu"),
    call(aten.index_put.default, LAST, [None, T("3", i64)], T("3,T"), True, on="cpu"),
    call(torch.index_put, X, (T("B,S", torch.bool),), T("")),
    call(
        aten._unsafe_masked_index_put_accumulate.default, T("B,S"), T("3,2", torch.bool), [T("3,1", i64), T("2", i64)],
        T("3,2"), on="cpu",
    ),
    call(torch._unsafe_index_put, X, [T("3", i64)], T("1,S,T"), on="cpu"),
    call(torch._index_put_impl_, X, [T("3", i64)], T("S,T"), on="cpu"),
    call(torch.index_fill, LAST, 1, T("3", i64), 2.0, on="cpu"),
    call(torch.index_copy, LAST, 1, T("3", i64), T("B,3,T"), on="cpu"),
    call(torch.index_add, X, -1, T("N", i64), T("B,S,N"), alpha=2, on="cpu"),
    call(torch.index_reduce, X, 0, T("N", i64), T("N,S,T"), "mean", include_self=False, on="cpu"),
    call(torch.scatter, X, 1, INDEX, T("B,3,T"), on="cpu"),
    call(torch.scatter, LAST, 1, INDEX, 2.0, on="cpu"),
    call(torch.scatter, X, 1, INDEX, T("B,3,T"), reduce="add", on="cpu"),
    call(torch.scatter_add, X, 1, INDEX, T("B,3,T"), on="cpu"),
    call(torch.scatter_reduce, X, 1, INDEX, T("B,2,T"), "amax", include_self=False, on="cpu"),
    call(torch.masked_scatter, LAST, T("S,T", torch.bool), T("B,S,T"), on="cpu"),
    call(torch.put, LAST, T("3", i64), T("3"), on="cpu"),
    call(torch.select_scatter, LAST, T("B,T"), 1, -1, on="cpu"),
    call(torch.slice_scatter, X, T("B,S-1,T"), 1, 1, on="cpu"),
    call(torch.diagonal_scatter, T("B,S,S"), T("B,S"), 0, 1, 2, on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", CASES)
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


@pytest.mark.parametrize("given", ["lengths", "offsets"])
def test_segment_reduce(given: str) -> None:
    data = T("6*S,E")
    y, scope = rule_result(torch.segment_reduce, data, "sum", **{given: T("S" if given == "lengths" else "S+1", i64)})
    assert not scope.assumptions
    lengths = torch.full((17,), 6)
    table = lengths if given == "lengths" else torch.cat([torch.zeros(1, dtype=i64), lengths.cumsum(0)])
    wanted = torch.segment_reduce(torch.zeros(6 * 17, 12), "sum", **{given: table})
    assert tuple(y.shape) == T("S,E").sizes()
    assert wanted.shape == (17, 12)


@pytest.mark.parametrize(
    ("key", "value", "written"),
    [
        (lambda: (slice(None), 0), 1.0, 2 * 5),
        (lambda: slice(1, None), T("5,3", perm=(1, 0)), None),
        (lambda: (0, slice(1, 4), ...), T("1,1"), 3 * 5),
        (lambda: (slice(None), T("7", i64).fact()), T("5"), 2 * 7 * 5),
        (lambda: (T("7", i64).fact(), slice(0, 2), T("3,1", i64).fact()), 2, 3 * 7 * 2),
        (lambda: (slice(None), [0, 1]), T("2,2,5", tied="a window"), 2 * 2 * 5),
        (lambda: T("2,4", torch.bool).fact(), 0.0, 2 * 4 * 5),
        (lambda: None, T(""), 2 * 4 * 5),
    ],
)
def test_assignment(key: Any, value: Any, written: int | None) -> None:
    x = T("2,4,5").fact()
    given = value.fact() if isinstance(value, T) else value
    if written is None:
        with pytest.raises(ShapeError, match="do not broadcast"):
            REGISTRY[SET].shape(Scope({}), x, key(), given)
        return
    y = REGISTRY[SET].shape(Scope({}), x, key(), given)
    assert y == Alias(x, 0)
    cost: Any = REGISTRY[SET].cost
    done = cost(x, x, key(), given)
    assert (done.flops, done.write_bytes) == (0, written * 4)


def test_assignment_to_symbolic_slices() -> None:
    scope = Scope({"B": 2, "S": 17})
    B, S = scope.symbols["B"], scope.symbols["S"]
    cache, new = TensorFact((B, 128, 8), torch.float32), TensorFact((B, S, 8), torch.float32)
    key = (slice(None), slice(0, S))
    REGISTRY[SET].shape(scope, cache, key, new)
    assert [str(a) for a in scope.assumptions] == ["S <= 128"]
    cost: Any = REGISTRY[SET].cost
    written = cost(cache, cache, key, new).write_bytes
    assert written == 32 * B * min_(S, 128)


def _met(values: int, combine: str, mean_of: int = 0, alpha: bool = False) -> int:
    """Each value meets the element of x it falls on."""
    tally: Counter[str] = Counter()
    x = counted(tally, 3)
    for i, value in enumerate(counted(tally, values)):
        if alpha:
            value = value * 2.0
        old = x[i % 3]
        x[i % 3] = old + value if combine == "add" else old * value if combine == "mul" else value if value > old else old
    for element in counted(tally, mean_of):
        element / 2.0
    return tally["flops"]


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "flops"),
    [
        (torch.index_put, (T("4,6"), (T("3", i64),), T("6")), {}, 0),
        (torch.index_put, (T("4,6"), (T("3", i64),), T("6"), True), {}, _met(18, "add")),
        (torch.index_put, (T("4,6", i64), (T("3", i64),), T("6", i64), True), {}, 0),
        (torch.index_add, (T("4,6"), 0, T("3", i64), T("3,6")), {}, _met(18, "add")),
        (torch.index_add, (T("4,6"), 0, T("3", i64), T("3,6")), {"alpha": 2.0}, _met(18, "add", alpha=True)),
        (torch.index_reduce, (T("4,6"), 0, T("3", i64), T("3,6"), "prod"), {}, _met(18, "mul")),
        (torch.index_reduce, (T("4,6"), 0, T("3", i64), T("3,6"), "mean"), {}, _met(18, "add", mean_of=24)),
        (torch.scatter, (T("4,6"), 0, T("2,5", i64), T("2,6")), {}, 0),
        (torch.scatter, (T("4,6"), 0, T("2,5", i64), 2.0), {"reduce": "multiply"}, _met(10, "mul")),
        (torch.scatter_add, (T("4,6"), 0, T("2,5", i64), T("2,6")), {}, _met(10, "add")),
        (torch.scatter_reduce, (T("4,6"), 0, T("2,5", i64), T("2,6"), "amin"), {}, _met(10, "max")),
        (torch.scatter_reduce, (T("4,6"), 0, T("2,5", i64), T("2,6"), "mean"), {}, _met(10, "add", mean_of=24)),
        (torch.put, (T("4,6"), T("5", i64), T("5"), True), {}, _met(5, "add")),
        (torch.put, (T("4,6"), T("5", i64), T("5")), {}, 0),
    ],
)
def test_work(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], flops: int) -> None:
    assert work(func, *args, **kwargs) == {"macs": 0, "flops": flops, "transcendentals": 0}


@pytest.mark.parametrize(("reduce", "initial"), [("sum", None), ("mean", None), ("max", 0.0), ("prod", 1.0)])
def test_work_of_segments(reduce: str, initial: float | None) -> None:
    tally: Counter[str] = Counter()
    for n in (3, 1, 5):
        for _ in range(4):
            values = counted(tally, n)
            total = counted(tally) if initial is not None else values.pop(0)
            for value in values:
                if reduce == "prod":
                    total = total * value
                elif reduce == "max":
                    total = value if value > total else total
                else:
                    total = total + value
            if reduce == "mean":
                total / 3.0
    done = work(torch.segment_reduce, T("9,4"), reduce, lengths=T("3", i64), initial=initial)
    assert done["flops"] == tally["flops"]


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (SET, (T("2,3"), 0, T("4")), "do not broadcast"),
        (SET, (T("2,1"), 0, T("4")), "do not fit"),
        (torch.index_put, (T("2,3"), [T("4", i64)], T("5,3")), "do not broadcast"),
        (torch.index_fill, (T("2,3"), 0, T("2,2", i64, tied="a window"), 1.0), "expected one dimension"),
        (torch.index_add, (T("2,3"), 0, T("4", i64), T("3,3", tied="a window")), "does not fit"),
        (torch.index_copy, (T("2,3"), 0, T("4", i64), T("4,3", i64)), "float32"),
        (torch.scatter, (T("2,3"), 0, T("4", i64), 1.0), "different ranks"),
        (torch.scatter_add, (T("2,3"), 0, T("1,4", i64), T("1,4")), "x has 3"),
        (torch.scatter_add, (T("2,3"), 0, T("2,3", i64), T("1,3")), "src has 1"),
        (torch.masked_scatter, (T("2,3"), T("2,3"), T("6")), "expected booleans"),
        (torch.put, (T("2,3"), T("4", i64), T("3")), "4 indices"),
        (torch.select_scatter, (T("2,3"), T("2"), 0, 0), "expected"),
        (torch.segment_reduce, (T("2,3"), "sum"), "lengths or offsets"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)


def test_every_name_has_a_case() -> None:
    assert not uncovered((*assignment.OPS, *scatter.OPS), [*CASES, torch.segment_reduce], names=("setitem",))


def test_in_place_variants_are_derived() -> None:
    assert REGISTRY[torch.Tensor.scatter_add_].inplace
    assert REGISTRY[torch.Tensor.put_].name == "put_"
