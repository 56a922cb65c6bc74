"""Sparse operands count by what is stored: a scalar reference loops over the entries, shapes and bytes are torch's own."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.errors import FxcountError, InputError
from fxcount.ops import REGISTRY
from fxcount.ops.sparse import elementwise, layouts, products
from tests.ops.harness import Counted

ROWS, COLUMNS = 7, 11
PLACES = [(0, 1), (0, 2), (1, 0), (2, 3), (3, 3), (4, 5), (5, 6), (6, 0), (6, 4), (6, 10)]
LAYOUTS = ("coo", "csr", "csc", "twice")


@pytest.fixture(autouse=True)
def _no_beta_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
        yield


def matrix(layout: str) -> torch.Tensor:
    """10 entries of 77; ``twice``: COO, not coalesced, each entry stored twice."""
    index = torch.tensor(PLACES).T
    made = torch.sparse_coo_tensor(index, torch.arange(1.0, 11.0), (ROWS, COLUMNS), check_invariants=True).coalesce()
    if layout == "coo":
        return made
    if layout == "twice":
        doubled = torch.cat([index, index], 1)
        return torch.sparse_coo_tensor(doubled, torch.ones(20), (ROWS, COLUMNS), check_invariants=True)
    return made.to_sparse_csr() if layout == "csr" else made.to_sparse_csc()


class Net(nn.Module):
    def __init__(self, function: Callable[..., Any], matrix: torch.Tensor | None = None) -> None:
        super().__init__()
        self.__dict__["function"] = function
        self.register_buffer("a", matrix)

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(self.a, *args) if self.a is not None else self.function(*args)


def entries(a: torch.Tensor) -> list[tuple[int, int]]:
    """Row and column of each stored entry."""
    if a.layout is torch.sparse_coo:
        return [(int(r), int(c)) for r, c in a._indices().T]
    compressed, plain = (
        (a.crow_indices(), a.col_indices()) if a.layout is torch.sparse_csr else (a.ccol_indices(), a.row_indices())
    )
    lines = [line for line in range(len(compressed) - 1) for _ in range(int(compressed[line + 1] - compressed[line]))]
    pairs = [(line, int(p)) for line, p in zip(lines, plain, strict=True)]
    return pairs if a.layout is torch.sparse_csr else [(r, c) for c, r in pairs]


def product(a: torch.Tensor, columns: int, added: bool = False, scale: bool = False) -> Counter[str]:
    """``added + scale * a @ x`` by loops over the entries of ``a``."""
    tally: Counter[str] = Counter()
    y = {(r, p): Counted(0.0, tally) for r in range(a.shape[0]) for p in range(columns)}
    for r, c in entries(a):
        for p in range(columns):
            y[r, p] = y[r, p].fma(0.5, float(c))
    if scale:
        y = {at: value * 0.5 for at, value in y.items()}
    if added:
        y = {at: value + 1.0 for at, value in y.items()}
    return tally


X, XT, V, C = "11,P", "P,11", "11,", "7,P"
PRODUCTS: list[tuple[str, Callable[..., Any], tuple[str, ...], Callable[[torch.Tensor, int], Counter[str]]]] = [
    ("@", lambda a, x: a @ x, (X,), lambda a, p: product(a, p)),
    ("mm", torch.mm, (X,), lambda a, p: product(a, p)),
    ("method", lambda a, x: a.mm(x), (X,), lambda a, p: product(a, p)),
    ("sparse.mm", torch.sparse.mm, (X,), lambda a, p: product(a, p)),
    ("spmm", lambda a, x: torch.spmm(a, x), (X,), lambda a, p: product(a, p)),
    ("mv", torch.mv, (V,), lambda a, p: product(a, 1)),
    ("@ vector", lambda a, x: a @ x, (V,), lambda a, p: product(a, 1)),
    ("addmm", lambda a, x, c: torch.addmm(c, a, x), (X, C), lambda a, p: product(a, p, added=True)),
    ("alpha", lambda a, x, c: torch.addmm(c, a, x, alpha=0.5), (X, C), lambda a, p: product(a, p, True, True)),
    ("sparse.addmm", lambda a, x, c: torch.sparse.addmm(c, a, x), (X, C), lambda a, p: product(a, p, added=True)),
    ("linear", lambda a, x: F.linear(x, a), (XT,), lambda a, p: product(a, p)),
    ("linear of rows", lambda a, x: F.linear(x, a), ("P,3,11",), lambda a, p: product(a, 3 * p)),
    ("sparse features", lambda a, w: F.linear(a, w), (XT,), lambda a, p: product(a, p)),
    ("dense @ sparse", lambda a, x: x @ a, ("P,7",), lambda a, p: product(a, p)),
    ("transposed", lambda a, x: a.t() @ x, ("7,P",), lambda a, p: product(a, p)),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "function", "specs", "reference"), PRODUCTS, ids=[p[0] for p in PRODUCTS])
def test_products_count_the_stored_entries(
    name: str, function: Callable[..., Any], specs: tuple[str, ...], reference: Callable[..., Counter[str]], layout: str
) -> None:
    a = matrix(layout)
    report = fxcount.analyze(Net(function, a), *specs)
    for p in (5, 13):
        expected = reference(a, p)
        there = report.at(P=p) if report.symbols else report
        assert (there.macs, there.flops) == (expected["macs"], expected["flops"])
        real = function(a, *[torch.ones([p if s == "P" else int(s) for s in spec.split(",") if s]) for spec in specs])
        (out,) = report.trace.values_out()
        shape = tuple([there.size(s) for s in out.fact.shape])
        strides = tuple([there.size(s) for s in out.fact.stride()])
        assert (shape, strides, out.fact.dtype) == (tuple(real.shape), real.stride(), real.dtype)
    assert not report.uncounted
    assert report.frontend == "trace"


def _bytes(a: torch.Tensor) -> int:
    parts: tuple[torch.Tensor, ...]
    if a.layout is torch.sparse_coo:
        parts = (a._indices(), a._values())
    elif a.layout is torch.sparse_csr:
        parts = (a.crow_indices(), a.col_indices(), a.values())
    else:
        parts = (a.ccol_indices(), a.row_indices(), a.values())
    return sum([p.nbytes for p in parts])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_are_those_of_values_and_indices(layout: str) -> None:
    a = matrix(layout)
    report = fxcount.analyze(Net(torch.mm, a), X).at(P=5)
    assert report.read_bytes == _bytes(a) + 11 * 5 * 4
    assert report.params.buffer_bytes == _bytes(a)
    assert report.params.buffers == len(entries(a))
    held = nn.Module()
    held.a = nn.Parameter(a)  # type: ignore[assignment]
    held.forward = lambda x: torch.mm(held.a, x)  # type: ignore[method-assign]
    params = fxcount.analyze(held, "11,5").params
    assert (params.total, params.bytes) == (len(entries(a)), _bytes(a))


MADE: list[tuple[str, Callable[..., Any]]] = [
    ("to_dense", lambda a: a.to_dense()),
    ("coalesce", lambda a: a.coalesce() if a.layout is torch.sparse_coo else a),
    ("t", lambda a: a.t()),
    ("times 2", lambda a: a * 2),
    ("negative", lambda a: -a),
    ("relu", torch.relu),
    ("sin", torch.sin),
    ("double", lambda a: a.double()),
    ("to", lambda a: a.to(torch.float64)),
    ("sum of two", lambda a: a + a),
    ("to csr", lambda a: a.to_sparse_csr()),
    ("to csc", lambda a: a.to_sparse(layout=torch.sparse_csc)),
    ("to coo", lambda a: a.to_sparse()),
    ("to coo by name", lambda a: a.to_sparse_coo()),
    ("mask", lambda a: torch.ones(ROWS, COLUMNS).sparse_mask(a)),
    ("added to dense", lambda a: torch.ones(ROWS, COLUMNS) + a),
    ("clone", lambda a: a.clone()),
    ("detach", lambda a: a.detach()),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "function"), MADE, ids=[name for name, _ in MADE])
def test_what_is_made_of_a_tensor_of_the_model_is_known(name: str, function: Callable[[Any], Any], layout: str) -> None:
    a = matrix(layout)
    real = function(a)
    (out,) = fxcount.analyze(Net(lambda a, x: function(a), a), "3,").trace.values_out()
    assert (tuple(out.fact.shape), out.fact.dtype, out.fact.layout) == (tuple(real.shape), real.dtype, real.layout)
    if real.layout is not torch.strided:
        assert out.fact.nbytes == _bytes(real)


PARTS: list[tuple[str, Callable[..., Any]]] = [
    ("coo", torch.Tensor.values), ("coo", torch.Tensor.indices), ("csr", torch.Tensor.values),
    ("csr", torch.Tensor.crow_indices), ("csr", torch.Tensor.col_indices), ("csc", torch.Tensor.ccol_indices),
    ("csc", torch.Tensor.row_indices), ("coo", torch.sparse.sum), ("coo", lambda a: torch.sparse.sum(a, 1)),
    ("coo", lambda a: torch.sparse.softmax(a, 1)), ("twice", lambda a: torch.sparse.log_softmax(a, 0)),
    ("csr", lambda a: torch.sparse.sampled_addmm(a, torch.ones(ROWS, 3), torch.ones(3, COLUMNS))),
]  # fmt: skip
"""What torch has for one layout alone."""


@pytest.mark.parametrize(("layout", "function"), PARTS)
def test_what_one_layout_has(layout: str, function: Callable[[Any], Any]) -> None:
    report = fxcount.analyze(Net(lambda a, x: function(a), matrix(layout)), "3,")
    real = function(matrix(layout))
    (out,) = report.trace.values_out()
    there = report.at(**{u.name: 10 for u in report.unbacked}) if report.unbacked else report
    assert tuple([there.size(n) for n in out.fact.shape]) == tuple(real.shape)
    assert (out.fact.dtype, out.fact.layout) == (real.dtype, real.layout)
    assert there.size(out.fact.nbytes) == (_bytes(real) if real.layout is not torch.strided else real.nbytes)


def test_a_sampled_product_has_a_value_for_each_entry() -> None:
    tally: Counter[str] = Counter()
    for _ in entries(matrix("csr")):
        value = Counted(0.0, tally)
        for _ in range(3):
            value = value.fma(0.5, 0.5)
        value = value * 0.5 + Counted(1.0, tally) * 0.25  # alpha, beta
    report = fxcount.analyze(
        Net(lambda a, x, y: torch.sparse.sampled_addmm(a, x, y, alpha=0.5, beta=0.25), matrix("csr")), "7,3", "3,11"
    )
    assert (report.macs, report.flops) == (tally["macs"], tally["flops"])


def test_softmax_of_the_entries() -> None:
    """torch's kernel: maxima from -inf, sums from 0, over the entries of each row."""
    tally: Counter[str] = Counter()
    for row in range(ROWS):
        values = [Counted(1.0, tally) for r, _ in PLACES if r == row]
        largest, total = Counted(-9.0, tally), Counted(0.0, tally)
        for value in values:
            largest = value if value > largest else largest
        powers = [(value - largest).call("exp") for value in values]
        for power in powers:
            total = total + power
        for power in powers:
            power / total
    report = fxcount.analyze(Net(lambda a, x: torch.sparse.softmax(a, 1), matrix("coo")), "3,")
    assert (report.flops, report.transcendentals) == (tally["flops"], tally["transcendentals"])
    logs = fxcount.analyze(Net(lambda a, x: torch.sparse.log_softmax(a, 1), matrix("coo")), "3,")
    assert [c.op.name for c in logs.uncounted] == ["_sparse_log_softmax"]  # a logarithm for each row that has an entry


COMPRESSED: list[tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    (torch.sparse_csr_tensor, (7,), (4,), (4,)), (torch.sparse_csc_tensor, (11,), (4,), (4,)),
    (torch.sparse_bsr_tensor, (3,), (4,), (4, 3, 5)), (torch.sparse_bsc_tensor, (3,), (4,), (4, 3, 5)),
    (lambda *parts: torch.sparse_compressed_tensor(*parts, layout=torch.sparse_bsr), (3,), (4,), (4, 3, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "lines", "plain", "values"), COMPRESSED)
def test_compressed_tensors_are_what_they_are_made_of(
    make: Callable[..., Any], lines: tuple[int, ...], plain: tuple[int, ...], values: tuple[int, ...]
) -> None:
    """6 x 10, four entries or blocks: one in the last line, the others in the line before it."""
    compressed = torch.tensor([0] * (lines[0] - 2) + [3, 4])
    others = torch.tensor([0, 1, 2, 0]) if len(values) == 1 else torch.tensor([0, 1, 0, 1])
    if len(values) > 1:
        compressed = torch.tensor([0, 2, 4])
    real = make(compressed, others, torch.ones(values), (6, 10))
    text = ",".join(map(str, values)) + ("," if len(values) == 1 else "")
    report = fxcount.analyze(Net(lambda c, p, v: make(c, p, v, (6, 10))), f"i64[{lines[0]},]", f"i64[{plain[0]},]", text)
    (out,) = report.trace.values_out()
    assert (tuple(out.fact.shape), out.fact.layout, out.fact.dtype) == (tuple(real.shape), real.layout, real.dtype)
    parts = (compressed, others, real.values())
    assert out.fact.nbytes == sum([p.nbytes for p in parts])
    assert (report.flops, report.write_bytes) == (0, 0)


def test_elementwise_work_is_that_of_the_stored_values() -> None:
    def flops(function: Callable[..., Any]) -> Any:
        return fxcount.analyze(Net(lambda a, x: function(a), matrix("coo")), "3,").flops

    assert [flops(f) for f in (torch.sin, torch.neg, torch.relu, lambda a: a * 3)] == [10, 10, 10, 10]
    assert flops(lambda a: torch.ones(ROWS, COLUMNS) + a) == 10
    assert flops(lambda a: a + a) == 10  # all indices are common
    assert flops(lambda a: a.sum()) == 9
    assert flops(lambda a: a.to_dense()) == 0
    assert fxcount.analyze(Net(lambda a, x: a.coalesce(), matrix("twice")), "3,").flops == 10  # 20 entries become 10


def test_unknown_numbers_of_entries_are_symbols() -> None:
    report = fxcount.analyze(Net(lambda x: x.to_sparse() @ x.t()), "B,7")
    assert [(u.name, str(u.most)) for u in report.unbacked] == [("nnz_1", "7*B")]
    assert report.at(B=5, nnz_1=9).macs == 9 * 5
    assert report.at(B=5).macs == 35 * 5  # at most
    assert report.at(B=5, nnz_1=9).write_bytes == 9 * (4 + 2 * 8) + 5 * 5 * 4
    hinted = fxcount.analyze(Net(lambda x: x.to_sparse_csr() @ x.t()), "B,7", hints={"nnz": 4})
    assert hinted.at(B=5, nnz_1=9).macs == 45


def test_a_graph_convolution_counts_its_edges() -> None:
    def forward(x: torch.Tensor, edges: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        n = x.shape[0]
        adjacency = torch.sparse_coo_tensor(edges, weights, (n, n))
        return torch.sparse.mm(adjacency, x)

    report = fxcount.analyze(Net(forward), "N,16", "i64[2,E]", "f32[E]")
    assert report.at(N=7, E=9).macs == 9 * 16
    assert report.at(N=7, E=9).memory.peak == 7 * 16 * 4 * 2 + 9 * (2 * 8 + 4)  # the adjacency holds what it was given


def test_sparse_inputs_are_written_or_shown() -> None:
    net = Net(lambda a, x: a @ x)
    report = fxcount.analyze(net, "coo f32[N,N;E]", "N,5")
    assert report.at(N=7, E=9).macs == 45
    assert report.at(N=7, E=9).memory.inputs == 9 * 20 + 7 * 5 * 4
    assert fxcount.analyze(net, "csr f32[N,N;E]", "N,5").at(N=7, E=9).memory.inputs == (8 + 9) * 8 + 9 * 4 + 7 * 5 * 4
    unsaid = fxcount.analyze(net, "csc f32[N,N]", "N,5")
    assert [u.name for u in unsaid.unbacked] == ["nnz_1"]
    assert unsaid.at(N=7, nnz_1=9).macs == 45
    assert fxcount.analyze(net, matrix("csr"), "11,5").macs == 50
    with pytest.raises(InputError, match="dimensions"):
        fxcount.analyze(net, "csr f32[2,N,N;E]", "N,5")
    checked = report.verify(n=2, execute=True)
    assert checked, str(checked)
    assert checked.executed


def test_a_dense_tensor_has_no_stored_entries() -> None:
    alone = {"coalesce", "values", "indices", "crow_indices", "col_indices"}
    assert alone < {entry.name for family in (products, layouts, elementwise) for entry in family.OPS}
    for name in alone:
        with pytest.raises(FxcountError, match=f"{name}: the tensor is dense"):
            fxcount.analyze(Net(lambda x, name=name: getattr(x, name)()), "3,5")
    assert REGISTRY[torch.sparse.mm].name == "_sparse_mm"
    assert fxcount.analyze(Net(torch.sparse.mm), "3,5", "5,7").macs == 105  # of dense matrices


def test_what_has_no_rule_says_so() -> None:
    with pytest.raises(FxcountError, match="exp: no rule for a sparse operand"):
        fxcount.analyze(Net(lambda a, x: torch.exp(a), matrix("coo")), "3,")


@pytest.mark.parametrize("layout", ["coo", "twice", "csr"])
@pytest.mark.parametrize("product", [torch.sparse.mm, torch.mm, torch.matmul])
def test_a_product_of_sparse_matrices_counts_the_pairs_that_meet(layout: str, product: Callable[..., Any]) -> None:
    a = matrix(layout)
    other = a.to_sparse_coo().t().coalesce() if layout != "csr" else a.to_dense().T.to_sparse_csr()
    found = entries(a), entries(other)
    met = sum(k == row for _, k in found[0] for row, _ in found[1])
    filled = len({(i, j) for i, k in found[0] for row, j in found[1] if k == row})
    spec = f"{'csr' if layout == 'csr' else 'coo'} f32[11,7;E]"
    report = fxcount.analyze(Net(lambda a, b, x: product(a, b) @ x, a), spec, "7,5")
    assert not report.uncounted
    assert [u.name for u in report.unbacked] == ["nnz_1", "met_1"]
    assert report.at(E=len(found[1]), nnz_1=filled, met_1=met).macs == met + filled * 5
    most = min(len(found[0]) * 7, 7 * len(found[1]))
    assert str(report.unbacked[1].most) == f"7*Min({len(found[0])}, E)"
    assert met <= most
    assert report.at(E=len(found[1])).macs == most + 49 * 5


def test_a_report_with_sparse_tensors_is_saved_and_read() -> None:
    report = fxcount.analyze(Net(lambda a, x, e, w: torch.sparse.mm(torch.sparse_coo_tensor(e, w, (7, 11)) * 2, x) + a @ x,
                                 matrix("coo")), "11,P", "i64[2,E]", "f32[E]")  # fmt: skip
    again = fxcount.load(report.to_graph_json())
    assert (again.macs, again.flops, again.read_bytes, again.write_bytes) == (
        report.macs, report.flops, report.read_bytes, report.write_bytes,
    )  # fmt: skip
    assert again.params.buffer_bytes == report.params.buffer_bytes


@pytest.mark.parametrize("function", [torch.mm, lambda a, x: F.linear(x.t(), a), torch.sparse.mm, torch.mv])
def test_torchs_convention_takes_them_for_dense(function: Callable[..., Any]) -> None:
    a = matrix("csr")
    x = torch.ones(11) if function is torch.mv else torch.ones(11, 5)
    with FlopCounterMode(display=False) as counter:
        function(a, x)
    assert fxcount.analyze(Net(function, a), x).count("torch") == counter.get_total_flops()
