"""Views, joins, flips and copies, against torch on meta."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fxcount
from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY, families
from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.core.registry import Zero
from fxcount.ops.memory import copies, flips, joining, views
from fxcount.symbolic import Scope, symbol
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import SIZES, N, T, _map, check, real, rule_result

aten, M = torch.ops.aten, torch.Tensor
X = T("B,5,H")
TURNED = T("B,H,5", perm=(0, 2, 1))

VIEWS = [
    call(M.view, X, (N("5*B"), N("H")), assumes=None),
    call(aten._unsafe_view.default, X, (N("5*B"), N("H")), assumes=None),
    call(M.view_as, X, T("5*B,H"), assumes=None),
    call(M.reshape, TURNED, (N("B"), N("5*H")), assumes=None),
    call(aten._reshape_alias.default, X, (N("B"), N("5*H")), (N("5*H"), 1), assumes=None),
    call(M.reshape_as, X, T("B,5*H"), assumes=None),
    call(torch.flatten, X, 1, assumes=None),
    call(torch.ravel, X, assumes=None),
    call(torch.unflatten, T("B,35"), 1, (5, 7)),
    call(torch.permute, X, (2, 0, 1)),
    *(call(f, X, 0, 2) for f in (torch.transpose, torch.swapaxes, torch.swapdims)),
    call(torch.t, T("B,H")),
    call(aten.numpy_T.default, X),
    *(call(f, X) for f in (aten.mT.default, M.adjoint)),
    call(aten.matrix_H.default, T("B,H")),
    call(aten.mH.default, X),
    *(call(f, X, 0, 2) for f in (torch.movedim, torch.moveaxis)),
    call(torch.squeeze, T("B,1,H"), 1),
    call(torch.unsqueeze, X, -1),
    call(M.expand, T("B,1,H"), (N("B"), 5, N("H"))),
    call(torch.broadcast_to, T("B,1,H"), (7, N("B"), 5, N("H"))),
    call(M.expand_as, T("B,1,H"), X),
    call(aten.broadcast_tensors.default, [T("B,1,H"), T("5,1")]),
    call(torch.as_strided, X, (2, 3), (5, 7)),
    call(M.unfold, X, 1, 3, 2),
    call(torch.diagonal, X, 0, 1, 2, assumes=None),
    call(torch.linalg.diagonal, X, assumes=None),
    *(call(f, TURNED) for f in (aten.alias.default, aten.lift.default, aten.lift_fresh.default, torch.positive, torch.detach)),
    *(call(f, T("B")) for f in (torch.atleast_1d, torch.atleast_2d, torch.atleast_3d)),
]

LAST, LAST_3D = T("B,H,W,3", perm=(0, 3, 1, 2)), T("B,H,W,2,3", perm=(0, 4, 1, 2, 3))

JOINS = [
    *(call(f, [X, T("B,3,H")], 1) for f in (torch.cat, torch.concat, torch.concatenate)),
    *(call(f, [X, X], 1) for f in (torch.stack, aten._stack.default)),
    *(call(torch.stack, [LAST, LAST, LAST], dim, on="cpu") for dim in range(5)),  # meta lays out the last otherwise before 2.13
    call(torch.stack, [LAST_3D, LAST_3D], 1),
    call(torch.stack, [LAST, T("B,3,H,W")], 1),
    *(call(f, [LAST, LAST]) for f in (torch.hstack, torch.vstack, torch.dstack)),
    call(torch.hstack, [X, T("B,3,H")]),
    call(torch.vstack, [X, T("2*B,5,H")]),
    call(torch.row_stack, [X, T("2*B,5,H")]),
    call(torch.dstack, [X, T("B,5,2*H")]),
    call(torch.column_stack, [T("B,5"), T("B")]),
    *(call(f, X, 2, 1) for f in (torch.split, torch.unsafe_split)),
    *(call(f, X, [2, 3], 1) for f in (torch.split_with_sizes, torch.unsafe_split_with_sizes)),
    *(call(f, X, 2, 1) for f in (torch.chunk, torch.unsafe_chunk)),
    call(torch.tensor_split, X, 3, 1),
    call(torch.hsplit, T("B,6,H"), 2, assumes=None),
    call(torch.vsplit, T("6,B,H"), 3, assumes=None),
    call(torch.dsplit, T("B,H,6"), 2, assumes=None),
    call(torch.unbind, X, 1),
    call(M.repeat, X, (2, 1, 3)),
    call(torch.tile, X, (2, 3)),
    call(torch._C._nn.pad_sequence, [T("H,3"), T("2*H,3")], True, assumes=None),
    call(torch.repeat_interleave, X, 3, 1, assumes=None),
    call(aten._chunk_cat.default, [T("7,3"), T("5,2")], 0, 2, assumes=None),
]

FLIPS = [
    call(torch.flip, TURNED, (0, 2)),
    call(torch.fliplr, X),
    call(torch.flipud, X),
    call(torch.roll, TURNED, 2, 1),
    *(call(torch.rot90, X, k, (0, 2)) for k in range(4)),
]

COPIES = [
    call(M.contiguous, TURNED, assumes=1),  # whether it is a view or a copy
    call(torch.clone, TURNED),
    call(M.to, TURNED, torch.float64),
    call(aten._to_copy.default, TURNED, dtype=torch.float16),
    call(M.type_as, TURNED, T("B", torch.float16)),
    call(M.type, X, torch.float64),
    *(
        call(getattr(M, name), TURNED)
        for name in "float double half bfloat16 int long short char byte bool cfloat cdouble".split()
    ),
    call(M.copy_, X, T("5,H")),
    call(M.fill_, X, 2.0),
    call(M.zero_, X),
    call(M.fill_diagonal_, T("B,H"), 1.0),
    call(M.resize_, X, (3, 7), assumes=None),
    call(M.resize_as_, X, T("H,2"), assumes=None),
]


@pytest.mark.filterwarnings("ignore:The use of .x.T. on tensors:UserWarning")
@pytest.mark.parametrize("case", VIEWS + JOINS + FLIPS + COPIES)
def test_shape_and_layout(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", VIEWS)
def test_a_view_is_of_what_torch_says_it_is_of(case: Case) -> None:
    """Whether each result shares the storage of the operand, on the CPU at the hint."""
    found, _ = rule_result(case.func, *case.args, **case.kwargs)
    flat = _map(case.args, lambda a: real(a, SIZES[0], "cpu"))
    operands = flat[0] if isinstance(flat[0], list) else [t for t in flat if isinstance(t, torch.Tensor)]
    ours = found if isinstance(found, (tuple, list)) and type(found) is not Alias else (found,)
    theirs = case.func(*flat)
    for mine, t in zip(ours, theirs if isinstance(theirs, (tuple, list)) else (theirs,), strict=True):
        shared = [o.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() for o in operands]
        assert ([i for i, s in enumerate(shared) if s] or [None])[0] == (mine.of if isinstance(mine, Alias) else None)


def test_every_op_has_a_case() -> None:
    assert not uncovered(views.OPS, VIEWS)
    assert not uncovered(joining.OPS, JOINS)
    assert not uncovered(flips.OPS, FLIPS)
    # chalf warns that it is experimental; where the others go is told by a call on a GPU alone
    assert not uncovered(copies.OPS, COPIES, ["chalf", "cpu", "cuda"])


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_where_a_tensor_goes() -> None:
    """``cpu`` and ``cuda`` change the device, ``chalf`` the dtype; what is there already stays itself."""
    x = TensorFact((symbol("B"), 5), torch.float32)
    scope = Scope({"B": 13})

    def made(method: Callable[..., Any], operand: TensorFact, *args: Any) -> Any:
        return REGISTRY[method].shape(scope, operand, *args)

    there = made(M.cuda, x)
    assert (there.device, there.dtype, there.shape) == (torch.device("cuda"), torch.float32, x.shape)
    assert made(M.cuda, x, 1).device == torch.device("cuda", 1)
    assert made(M.cpu, there) == x
    assert made(M.cpu, x) == Alias(x)
    assert made(M.cuda, there) == Alias(there)
    check(M.chalf, TURNED)


def test_they_compute_nothing() -> None:
    for entry in (*views.OPS, *joining.OPS, *flips.OPS):
        assert isinstance(entry.cost, Zero)


def test_every_family_is_asked_for_cases() -> None:
    """Each family of the registry is in a test of this folder that lists ops without a case, or in one of its own."""
    here = Path(__file__).parent
    tests = [text for f in here.glob("test_*.py") if "uncovered(" in (text := f.read_text()) or "OPS" in text]
    for family in families():
        room, _, name = family.__name__.rpartition(".")
        spelled = (f"import {name}", f"{name},", f", {name}", f"{room}.{name} import")
        assert any(s in text for s in spelled for text in tests), name
    assert set(REGISTRY.ops) == {entry for family in families() for entry in family.OPS}


class _Reread(torch.nn.Module):
    """A map with its channels last, as tokens, and seen as a map of a size that was settled when the model was built."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1, 2).permute(0, 2, 1).view(x.shape[0], -1, 6, 7)


def test_a_view_that_is_one_at_the_size_at_hand_assumes_it_and_not_the_batch() -> None:
    report = fxcount.analyze(_Reread(), "B,H,W,5", hints={"B": 2, "H": 6, "W": 7})
    (value,) = report.trace.values_out()
    for b, h, w in ((2, 6, 7), (3, 6, 7), (11, 7, 6)):
        at, real = report.at(B=b, H=h, W=w, extend=False), _Reread()(torch.zeros(b, h, w, 5))
        assert tuple(map(at.size, value.fact.shape)) == tuple(real.shape)
        assert tuple(map(at.size, value.fact.stride())) == real.stride()
    with pytest.raises(RuntimeError):
        _Reread()(torch.zeros(2, 6, 14, 5))
    with pytest.raises(fxcount.FxcountError):
        report.at(B=2, H=6, W=14, extend=False)


def test_tensors_alike_are_compared_once_by_cat() -> None:
    """A dense block joins dozens of maps, nearly all of one shape."""

    class Counting(Scope):
        asked = 0

        def same(self, *sizes: Any) -> bool:
            type(self).asked += 1
            return super().same(*sizes)

    B, H, rows = symbol("B"), symbol("H"), symbol("rows")
    first, grown = TensorFact((B, 64, H, 7), torch.float32), TensorFact((B, 32, 7 * (rows // 7), 7), torch.float16)
    scope = Counting({"B": 2, "H": 14, "rows": 14})
    found = joining.cat(scope, [first, *[grown] * 31, first], 1)
    assert (found.shape, found.dtype) == ((B, 64 + 31 * 32 + 64, H, 7), torch.float32)
    assert scope.asked == 1
    with pytest.raises(ShapeError, match=r"shapes \(2, 3\) and \(2, 3\) and \(5, 3\) differ in dimension 0: 2 against 5"):
        joining.cat(Scope({}), [*[TensorFact((2, 3), torch.float32)] * 2, TensorFact((5, 3), torch.float32)], 1)
    with pytest.raises(ShapeError, match=r"shapes \(2, 3\), \(2, 3\), \(2\) differ in rank"):
        joining.cat(Scope({}), [*[TensorFact((2, 3), torch.float32)] * 2, TensorFact((2,), torch.float32)], 1)


def test_a_tensor_of_the_same_sizes_is_the_same_fact() -> None:
    x, turned = TensorFact((symbol("B"), 5), torch.float32), TensorFact((3, 5), torch.float32, strides=(1, 3))
    assert x.new((symbol("B"), 5)) is x.new(x.shape, torch.float32) is x
    assert x.new(x.shape, torch.float16) == TensorFact(x.shape, torch.float16)
    assert turned.new((3, 5)) == TensorFact((3, 5), torch.float32)
