"""Reading by index: shapes, layouts and shared storage against torch for keys made of sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.memory.indexing import OPS, _as_formula
from fxcount.report.data.recipe import empty_memos
from fxcount.symbolic import Scope, evaluate, max_, symbol
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import SIZES, N, T, rule_result

aten = torch.ops.aten
i64 = torch.int64
Key = Callable[[Mapping[str, Any]], Any]


def _view(key: Key, shape: str = "B,S,T,C", perm: Any = None, assumes: int = 0) -> Any:
    return pytest.param(T(shape, perm=perm), key, assumes)


def _larger(a: Any, b: Any) -> Any:
    return max(a, b) if type(a) is int else max_(a, b)


# v maps names of sizes to symbols for the rule and to numbers for torch; t(shape) makes an index tensor
KEYS = [
    _view(lambda v, t: 0),
    _view(lambda v, t: -1),
    _view(lambda v, t: (slice(None), -1, ..., 0)),
    _view(lambda v, t: v["S"] - 1, "S,B"),
    _view(lambda v, t: ...),
    _view(lambda v, t: (None, ..., None, slice(1, None))),
    _view(lambda v, t: (slice(None), slice(None, -1), None, slice(1, None))),
    _view(lambda v, t: (slice(None), slice(None, None, 2), slice(1, None, 3))),
    _view(lambda v, t: (slice(None), slice(0, v["S"]), slice(0, 2 * v["T"]))),
    _view(lambda v, t: slice(None, 5), "C,B", assumes=1),
    _view(lambda v, t: slice(None, 100), "S,B", assumes=1),
    _view(lambda v, t: slice(-100, None), "S,B", assumes=1),
    _view(lambda v, t: slice(None, v["N"]), "S,B", assumes=1),
    _view(lambda v, t: slice(v["S"] // 2, None), "S,B"),
    _view(lambda v, t: slice(-v["S"], None), "2*S,B"),
    _view(lambda v, t: slice(None, -v["S"]), "2*S,B"),
    _view(lambda v, t: slice(v["N"] - v["M"], None), "S,B", assumes=2),
    _view(lambda v, t: slice(None, _larger(v["S"], 3)), "S,B"),
    _view(lambda v, t: slice(-_larger(v["S"], v["N"]), None), "S,B"),
    _view(lambda v, t: slice(5, 2), "C,B", assumes=1),
    _view(lambda v, t: slice(4, 2**63 - 1), "C,B", assumes=1),
    _view(lambda v, t: (..., slice(0, 2)), "B,S,C", (0, 2, 1), assumes=1),
    _view(lambda v, t: (slice(None), 1), "B,T,C", (1, 2, 0), assumes=1),
    _view(lambda v, t: (t(""), 0)),
    _view(lambda v, t: t("3")),
    _view(lambda v, t: (slice(None), t("3"))),
    _view(lambda v, t: (slice(None), t("3"), t("2,3"))),
    _view(lambda v, t: (t("3"), slice(None), t("2,3"))),
    _view(lambda v, t: (slice(None), t("3"), slice(None), t("2,1"))),
    _view(lambda v, t: (slice(None), 0, slice(None), t("3"))),
    _view(lambda v, t: (slice(None), t("3"), 0, t("3"))),
    _view(lambda v, t: (t("3"), None, t("3"))),
    _view(lambda v, t: (slice(1, None), t("N"), ..., slice(0, 2)), assumes=1),
    _view(lambda v, t: (..., t("N,M"))),
    _view(lambda v, t: (t("M,1"), slice(None), t("1,N"))),
    _view(lambda v, t: (slice(None), [0, 1, 1]), assumes=1),
    _view(lambda v, t: [0, 1], assumes=1),
    _view(lambda v, t: [[0, 1], [1, 1]], assumes=2),
    _view(lambda v, t: ([[0, 1], [1, 1]],), assumes=1),
    _view(lambda v, t: [t("3"), t("3")]),
    _view(lambda v, t: range(2), assumes=1),
    _view(lambda v, t: [True, False], "2,S"),
    _view(lambda v, t: True),
    _view(lambda v, t: False),
    _view(lambda v, t: (slice(None), True, [0])),
    _view(lambda v, t: (True, slice(None), None, [0, 1]), assumes=1),
    # channels-last and other permuted operands
    _view(lambda v, t: (slice(None), t("3")), "B,S,T,C", (0, 3, 1, 2)),
    _view(lambda v, t: (slice(None), slice(None), t("3")), "B,S,T,C", (0, 3, 1, 2)),
    _view(lambda v, t: (..., t("3")), "B,S,T,C", (0, 3, 1, 2)),
    _view(lambda v, t: (t("3,1"), slice(None), t("3")), "B,S,T,C", (0, 3, 1, 2)),
    _view(lambda v, t: (slice(None), slice(None), t("3")), "B,S,T,C", (0, 1, 3, 2)),
    _view(lambda v, t: t("3"), "B,S,T,C", (0, 1, 3, 2)),
]


def _tensors(values: Mapping[str, int]) -> Callable[[str], torch.Tensor]:
    return lambda shape: torch.zeros([evaluate(n, values) for n in T(shape).sizes()], dtype=i64)


def _facts(shape: str) -> TensorFact:
    return TensorFact(T(shape).sizes(), i64)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence for multidimensional indexing:UserWarning")
@pytest.mark.parametrize(("x", "key", "assumes"), KEYS)
def test_brackets(x: T, key: Any, assumes: int) -> None:
    scope = Scope(dict(SIZES[0]))
    result = REGISTRY[torch.Tensor.__getitem__].shape(scope, x.fact(), key(scope.symbols, _facts))
    fact = result.fact if isinstance(result, Alias) else result
    assert isinstance(fact, TensorFact)
    assert len(scope.assumptions) == assumes, scope.assumptions
    checked = 0
    for values in SIZES:
        if scope.check(values) is not None:
            continue
        real = x.real(values, "cpu")
        wanted = real[key(values, _tensors(values))]
        shape = tuple(evaluate(n, values) for n in fact.shape)
        assert shape == wanted.shape, values
        if wanted.numel():
            strides = [evaluate(s, values) for s, n in zip(fact.stride(), shape) if n > 1]
            assert strides == [s for s, n in zip(wanted.stride(), shape) if n > 1], values
            same = wanted.untyped_storage().data_ptr() == real.untyped_storage().data_ptr()
            assert isinstance(result, Alias) == same
        checked += 1
    assert checked > 0


def test_a_clip_says_what_it_took_for_granted() -> None:
    _, scope = rule_result(torch.Tensor.__getitem__, T("100,E"), slice(None))
    assert not scope.assumptions
    scope = Scope({"S": 17})
    buffer = TensorFact((1024, 64), torch.float32)
    y: Any = REGISTRY[torch.Tensor.__getitem__].shape(scope, buffer, slice(0, scope.symbols["S"]))
    assert (y.fact.shape, y.fact.is_contiguous) == ((scope.symbols["S"], 64), True)
    assert [str(a) for a in scope.assumptions] == ["S <= 1024"]


CASES = [
    call(aten.index.Tensor, T("B,S,T"), [None, T("3", i64)], on="cpu"),
    call(aten._unsafe_index.Tensor, T("B,S,T"), [T("3,1", i64), None, T("2", i64)], on="cpu"),
    call(aten._unsafe_masked_index.default, T("B,S"), T("3,2", torch.bool), [T("3,1", i64), T("2", i64)], 0.0, on="cpu"),
    call(torch.select, T("B,S,T"), 1, -1),
    call(torch.select, T("B,S,T"), 2, N("T-1")),
    call(aten.slice.Tensor, T("B,S,T"), 1, 0, 9223372036854775807),
    call(aten.slice.Tensor, T("B,2*S,T"), 1, 1, N("2*S"), 2),
    call(torch.narrow, T("B,S,T"), -1, 1, N("T-1")),
    call(torch.narrow, T("B,S,T"), 1, -1, 1),
    call(torch.narrow, T("B,S+7,T"), 1, 3, 2),
    call(torch.select_copy, T("B,T,S", perm=(0, 2, 1)), 1, 0),
    call(torch.slice_copy, T("B,S,T"), 1, 1),
    call(torch.narrow_copy, T("B,T,S", perm=(0, 2, 1)), 1, 0, 1, on="cpu"),
    call(torch.nonzero_static, T("B,S"), size=N("T"), on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", CASES)
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


@pytest.mark.parametrize(
    ("key", "read"),
    [
        (lambda: (0, slice(None)), 0),
        (lambda: (_facts(""), 0), 0),
        (lambda: (slice(None), _facts("3")), 3 * 8 + 4 * 3 * 4),
        (lambda: [0, 1], 2 * 6 * 4),
        (lambda: True, 24 * 4),
    ],
)
def test_reads_what_it_picks(key: Any, read: int) -> None:
    func = torch.Tensor.__getitem__
    y: Any = REGISTRY[func].shape(Scope({}), T("4,6").fact(), key())
    cost: Any = REGISTRY[func].cost
    done = cost(y.fact if isinstance(y, Alias) else y, T("4,6").fact(), key())
    assert (done.flops, done.read_bytes) == (0, read)
    if not read:
        assert done.write_bytes == 0


def _mask(shape: str) -> TensorFact:
    return TensorFact(T(shape).sizes(), torch.bool)


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.Tensor.__getitem__, (_mask("B,S"),)),
        (torch.Tensor.__getitem__, ((slice(None), _mask("S")),)),
        (torch.Tensor.__getitem__, (_mask(""),)),
        (torch.masked_select, (_mask("B,S"),)),
        (torch.nonzero, ()),
        (torch.argwhere, ()),
        (torch.Tensor.__getitem__, (slice(0, _facts("")),)),
    ],
)
def test_sizes_that_are_data(func: Any, args: tuple[Any, ...]) -> None:
    with pytest.raises(DataDependentError, match=r"torch\.where|narrow"):
        rule_result(func, T("B,S"), *args)


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (torch.Tensor.__getitem__, (T("2,3"), 2), "index 2 is out of range for dimension 0 of size 2"),
        (torch.Tensor.__getitem__, (T("2,3"), (0, -4)), "index -4"),
        (torch.Tensor.__getitem__, (T("2,3"), (0, 0, 0)), "3 indices"),
        (torch.Tensor.__getitem__, (T("2,3"), slice(None, None, -1)), "step -1"),
        (torch.Tensor.__getitem__, (T("2,3"), "a"), "str is no index"),
        (torch.Tensor.__getitem__, (T("2,3"), T("2")), "float32"),
        (torch.Tensor.__getitem__, (T("2,3"), _mask("3")), "does not match"),
        (torch.Tensor.__getitem__, (T("2,3"), (T("2", i64), T("3", i64))), "do not broadcast"),
        (torch.narrow, (T("2,3"), 1, 1, 3), "exceed the size 3"),
        (torch.select, (T(""), 0, 0), "no dimensions"),
        (torch.select, (T("2"), 1, 0), "out of range"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)


def test_every_name_has_a_case() -> None:
    refused = [torch.masked_select, torch.nonzero, torch.argwhere]
    assert not uncovered(OPS, [*CASES, *refused], names=("getitem",))


def test_rows_and_columns_of_windows_are_worked_out_once() -> None:
    """A Swin numbers nine windows: three slices of rows, three of columns."""
    H, W = symbol("H"), symbol("W")
    mask = TensorFact((7 * (H // 7), 7 * (W // 7)), torch.float32)
    entry = REGISTRY[torch.Tensor.__setitem__]
    empty_memos()
    slices = [slice(0, -7), slice(-7, -3), slice(-3, None)]
    work = [entry.cost(mask, mask, (rows, columns), 1.0) for rows in slices for columns in slices]
    assert _as_formula.cache_info().misses == 6
    at = {"H": 23, "W": 37}
    written = [evaluate(w.write_bytes, at) for w in work]
    real = torch.zeros(21, 35)
    assert written == [4 * real[rows, columns].numel() for rows in slices for columns in slices]
    empty_memos()
    assert not _as_formula.cache_info().currsize
