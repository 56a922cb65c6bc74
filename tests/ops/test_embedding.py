"""Look-ups: shapes against torch, work of bags against loops, bytes read against what is picked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

import fxcount
from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.memory.embedding import OPS
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import N, T, counted, rule_result, work

i64, i32, f16 = torch.int64, torch.int32, torch.float16
TABLE = T("100,E")
nn = torch._C._nn

CASES = [
    call(torch.embedding, TABLE, T("B,S", i64)),
    call(torch.embedding, T("100,E", f16), T("S,B", i32, perm=(1, 0)), 0, False, False),
    call(torch.embedding, TABLE, T("", i64)),
    call(torch.embedding_renorm_, TABLE, T("B,S", i64), 1.0, 2.0, on="cpu"),
    call(torch.embedding_bag, TABLE, T("S", i64), T("B", i64), False, 0, on="cpu"),
    call(torch.embedding_bag, TABLE, T("S", i64), T("B", i64), False, 1, on="cpu"),
    call(torch.embedding_bag, TABLE, T("S", i64), T("B", i64), False, 2, on="cpu"),
    call(torch.embedding_bag, TABLE, T("S", i64), T("B", i64), False, 0, False, T("S"), on="cpu"),
    call(torch._embedding_bag_forward_only, TABLE, T("S", i64), T("B", i64), False, 1, False, None, True, on="cpu"),
    call(torch._embedding_bag, TABLE, T("S", i64), T("B", i64), False, 0, on="cpu"),
    call(torch.gather, T("B,S,T"), 1, T("B,N,3", i64), assumes=1),
    call(torch.gather, T("B,T,S", perm=(0, 2, 1)), -1, T("B,S,N", i64)),
    call(torch.index_select, T("B,S,T"), 1, T("N", i64)),
    call(torch.index_select, T("B,T,S", perm=(0, 2, 1)), -1, T("N", i64)),
    call(torch.index_select, T("B,S"), 0, T("", i64)),
    call(torch.take, T("B,S"), T("N,M", i64)),
    call(torch.take_along_dim, T("B,S,T"), T("B,N,1", i64), 1),
    call(torch.take_along_dim, T("B,S,T"), T("N,M", i64)),
    call(nn.one_hot, T("B,S", i64), N("2*K+100")),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


# one_hot first looks for classes out of range, with two 0-d tensors
@pytest.mark.parametrize("case", [c for c in CASES if c.values[0].func is not nn.one_hot and "renorm" not in c.id])
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


def _bags(lengths: list[int], width: int, mode: int, weighted: bool) -> int:
    tally: Counter[str] = Counter()
    for n in lengths:
        for _ in range(width):
            values = counted(tally, n)
            if weighted:
                values = [v * 0.5 for v in values]
            total = values[0]
            for value in values[1:]:
                total = (value if value > total else total) if mode == 2 else total + value
            if mode == 1:
                total / n
    return tally["flops"]


@pytest.mark.parametrize(("mode", "weighted"), [(0, False), (1, False), (2, False), (0, True)])
def test_work_of_bags(mode: int, weighted: bool) -> None:
    args = [T("100,6"), T("11", i64), T("3", i64), False, mode, False, T("11") if weighted else None]
    assert work(torch.embedding_bag, *args)["flops"] == _bags([5, 2, 4], 6, mode, weighted)


@pytest.mark.parametrize(("p", "power"), [(2.0, False), (3.0, True)])
def test_work_of_renorm(p: float, power: bool) -> None:
    tally: Counter[str] = Counter()
    for _ in range(7):
        row = counted(tally, 6)
        raised = [v._do("pow", 1.0) if power else v * v for v in row]
        total = raised[0]
        for v in raised[1:]:
            total = total + v
        norm = total._do("pow", 1.0) if power else total.call("sqrt")
        if norm > -1.0:
            scale = 1.0 / (norm + 1e-7)
            row = [v * scale for v in row]
    done = work(torch.embedding_renorm_, T("100,6"), T("7", i64), 1.0, p)
    assert (done["flops"], done["transcendentals"]) == (tally["flops"], tally["transcendentals"])


@pytest.mark.parametrize(
    ("func", "args", "read"),
    [
        (torch.embedding, (T("100,6"), T("7", i64)), 7 * 8 + 7 * 6 * 4),
        (torch.embedding_bag, (T("100,6"), T("7", i64), T("2", i64)), 7 * 8 + 2 * 8 + 7 * 6 * 4),
        (torch.gather, (T("100,6"), 0, T("3,6", i64)), 18 * 8 + 18 * 4),
        (torch.index_select, (T("100,6"), 0, T("3", i64)), 3 * 8 + 18 * 4),
        (torch.take, (T("100,6"), T("3", i64)), 3 * 8 + 3 * 4),
        (torch.take_along_dim, (T("100,6"), T("3,1", i64), 0), 3 * 8 + 18 * 4),
    ],
)
def test_reads_what_it_picks(func: Any, args: tuple[Any, ...], read: int) -> None:
    result, _ = rule_result(func, *args)
    cost: Any = REGISTRY[func].cost
    done = cost(result, *(a.fact() if isinstance(a, T) else a for a in args))
    assert done.read_bytes == read


def test_every_name_has_a_case() -> None:
    assert not uncovered(OPS, CASES)


def test_one_hot_needs_its_classes() -> None:
    with pytest.raises(DataDependentError, match="num_classes"):
        rule_result(nn.one_hot, T("B,S", i64))


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (torch.embedding, (T("100"), T("B", i64)), "expected"),
        (torch.embedding, (TABLE, T("B")), "float32"),
        (torch.embedding_bag, (TABLE, T("B,S", i64), T("B", i64)), "must be 1-d"),
        (torch.embedding_bag, (TABLE, T("S", i64), T("B", i64), False, 1, False, T("S")), "mode='sum'"),
        (torch.gather, (T("B,S"), 0, T("B", i64)), "different ranks"),
        (torch.gather, (T("2,3"), 0, T("2,4", i64)), "4 elements"),
        (torch.index_select, (T("2,3"), 0, T("2,4", i64)), "expected one dimension"),
        (torch.index_select, (T("2,3"), 2, T("2", i64)), "out of range"),
        (torch.take_along_dim, (T("2,3"), T("2", i64), 0), "different ranks"),
        (nn.one_hot, (T("B"), 4), "float32"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)


def test_bags_of_rows_keep_their_length() -> None:
    """The module makes offsets, ``arange(0, B*S, S)``, of a step that is a size: nothing is pinned, in a step neither."""
    bag = torch.nn.EmbeddingBag(10, 8)
    report, step = fxcount.analyze(bag, "i64[B,S]"), fxcount.training_step(bag, "i64[B,S]", loss=lambda y: y.sum())
    assert not [a for a in (*report.assumptions, *step.assumptions) if a.kind == "pin"]
    for at in ({"B": 3, "S": 5}, {"B": 11, "S": 2}):
        fresh = fxcount.analyze(bag, torch.zeros(*at.values(), dtype=torch.int64))
        found = report.at(**at, extend=False)
        assert (found.flops, found.read_bytes, found.memory.peak) == (fresh.flops, fresh.read_bytes, fresh.memory.peak)
        assert found.flops == at["B"] * 8 * ((at["S"] - 1) + 1), "sums, and a quotient for the mean"
