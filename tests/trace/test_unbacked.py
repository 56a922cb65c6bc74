"""Sizes that data decide: symbols with a place and a bound, formulas that hold when the model really runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fxcount
from fxcount import AssumptionError, DataDependentError, InputError

B, S, D = 3, 11, 7


class Net(nn.Module):
    """Runs a function of itself and its input."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(D, 5)
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def masked(m: Net, x: torch.Tensor) -> Any:
    return m.linear(x[x[..., 0] > 0])


def masked_rows(m: Net, x: torch.Tensor) -> Any:
    return m.linear(x[:, x[0, :, 0] > 0])


def both_halves(m: Net, x: torch.Tensor) -> Any:
    mask = x[..., 0] > 0
    return torch.cat((m.linear(x[mask]), m.linear(x[~mask])))


def same_mask_twice(m: Net, x: torch.Tensor) -> Any:
    mask = x[..., 0] > 0
    return m.linear(x[mask]) + (x * 2)[mask][:, :5]


def nonzero(m: Net, x: torch.Tensor) -> Any:
    rows = (x[..., 0] > 0).nonzero()
    return rows, m.linear(x[rows[:, 0], rows[:, 1]])


def nonzero_tuple(m: Net, x: torch.Tensor) -> Any:
    return m.linear(x[torch.nonzero(x[..., 0] > 0, as_tuple=True)])


def where(m: Net, x: torch.Tensor) -> Any:
    b, s = torch.where(x[..., 0] > 0)
    return m.linear(x[b, s])


def argwhere(m: Net, x: torch.Tensor) -> Any:
    return torch.argwhere(x > 0)


def selected(m: Net, x: torch.Tensor) -> Any:
    return torch.masked_select(x, x > 0).exp(), torch.masked_select(x, x[0] > 0)


def assigned(m: Net, x: torch.Tensor) -> Any:
    mask = x[..., 0] > 0
    y = torch.zeros(*x.shape[:2], 5)
    y[mask] = m.linear(x[mask])
    return y


def unique(m: Net, x: torch.Tensor) -> Any:
    values, inverse, counts = torch.unique((x * 2).round(), return_inverse=True, return_counts=True)
    return values, inverse, counts


def unique_rows(m: Net, x: torch.Tensor) -> Any:
    return torch.unique((x[0] > 0).long(), dim=0), torch.unique_consecutive((x > 0).long())


def bins(m: Net, x: torch.Tensor) -> Any:
    return torch.bincount((x.flatten() * 3).abs().long())


def classes(m: Net, x: torch.Tensor) -> Any:
    return F.one_hot((x[..., 0] * 3).abs().long())


def repeats(m: Net, x: torch.Tensor) -> Any:
    return m.linear(x.repeat_interleave((x[0, :, 0] * 3).abs().long(), dim=1))


def item(m: Net, x: torch.Tensor) -> Any:
    n = (x > 0).sum().item()
    return torch.zeros(n, 3), x.new_ones(n // 2 + 1)


def range_to_tensor(m: Net, x: torch.Tensor) -> Any:
    return torch.arange((x > 0).sum())


def sliced_by_tensor(m: Net, x: torch.Tensor) -> Any:
    return m.linear(x[:, : (x[0, :, 0] > -9).sum() - 4])


def capped(m: Net, x: torch.Tensor) -> Any:
    kept = x.flatten()[(x.flatten() > 0).nonzero()[:, 0]]
    return kept[:13].exp()


def lengths(m: Net, x: torch.Tensor) -> Any:
    rows = x[x[..., 0] > 0]
    return m.linear(rows), len(rows) * 3


def scaled(m: Net, x: torch.Tensor) -> Any:
    return m.linear(x / x.abs().max().item()) * m.linear.weight.norm().item()


FUNCTIONS = [
    masked, masked_rows, both_halves, same_mask_twice, nonzero, nonzero_tuple, where, argwhere, selected, assigned, unique,
    unique_rows, bins, classes, repeats, item, range_to_tensor, sliced_by_tensor, capped, lengths,
    scaled,
]  # fmt: skip


def _tensors(tree: Any) -> list[Any]:
    return [tree] if not isinstance(tree, tuple) else [t for part in tree for t in _tensors(part)]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_graph_computes_what_the_model_computes(function: Callable[..., Any]) -> None:
    model = Net(function)
    graph = fxcount.analyze(model, f"B,S,{D}").graph_module
    for seed, shape in enumerate([(B, S, D), (2, 17, D)]):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        for ours, theirs in zip(_tensors(graph(x)), _tensors(model(x)), strict=True):
            if isinstance(theirs, torch.Tensor):
                torch.testing.assert_close(ours, theirs)
            else:
                assert ours == theirs


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_each_size_has_a_name_and_a_place(function: Callable[..., Any]) -> None:
    report = fxcount.analyze(Net(function), f"B,S,{D}")
    assert report.unbacked
    for found in report.unbacked:
        assert f"{__name__.rpartition('.')[2]}.py:" in found.where
        assert found.name in report.symbols
        assert found.what in str(found)


def _executed_shapes(model: nn.Module, x: torch.Tensor) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(tuple(t.shape), t.stride()) for t in _tensors(model(x)) if isinstance(t, torch.Tensor)]


@pytest.mark.parametrize("function", [masked, masked_rows, nonzero, where, argwhere, capped], ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", [1, 2])
def test_shapes_at_the_count_of_a_real_run(function: Callable[..., Any], seed: int) -> None:
    model = Net(function)
    report = fxcount.analyze(model, f"B,S,{D}")
    x = torch.randn(B, S, D, generator=torch.Generator().manual_seed(seed))
    mask = {argwhere: x > 0, capped: x > 0, masked_rows: x[0, :, 0] > 0}.get(function, x[..., 0] > 0)
    at = report.at(B=B, S=S, nonzero_1=int(mask.sum()))
    facts = [v.fact for v in report.trace.values_out()]
    ours = [(tuple(map(at.size, f.shape)), tuple(map(at.size, f.stride()))) for f in facts]
    assert ours == _executed_shapes(model, x)


def test_the_complement_of_a_mask_has_the_other_elements() -> None:
    report = fxcount.analyze(Net(both_halves), f"B,S,{D}")
    assert [u.name for u in report.unbacked] == ["nonzero_1"]
    assert str(report.macs) == f"{5 * D}*B*S"  # every row goes through the linear layer once, whatever the mask says


def test_the_same_mask_gives_the_same_size() -> None:
    assert [u.name for u in fxcount.analyze(Net(same_mask_twice), f"B,S,{D}").unbacked] == ["nonzero_1"]


def test_two_masks_are_two_sizes() -> None:
    def two(m: Net, x: torch.Tensor) -> Any:
        return m.linear(x[x[..., 0] > 0]), m.linear(x[x[..., 1] > 0])

    report = fxcount.analyze(Net(two), f"B,S,{D}")
    assert report.at(B=B, S=S, nonzero_1=4, nonzero_2=9).macs == 5 * D * (4 + 9)


def test_a_mask_changed_in_place_is_another_mask() -> None:
    def changed(m: Net, x: torch.Tensor) -> Any:
        mask = x[..., 0] > 0
        first = m.linear(x[mask])
        mask.logical_and_(x[..., 1] > 0)
        return first, m.linear(x[mask])

    assert len(fxcount.analyze(Net(changed), f"B,S,{D}").unbacked) == 2


def test_without_values_the_default_is_taken() -> None:
    report = fxcount.analyze(Net(masked), f"B,S,{D}")
    assert report.at(B=B, S=S).macs == 5 * D * B * S  # all rows
    assert report.at(B=B, S=S, nonzero_1=4).macs == 5 * D * 4


def test_a_bound_is_checked() -> None:
    report = fxcount.analyze(Net(masked), f"B,S,{D}")
    with pytest.raises(AssumptionError, match="B\\*S >= nonzero_1"):
        report.at(B=B, S=S, nonzero_1=B * S + 1)


def test_hints_by_name_and_by_kind() -> None:
    def loop(m: Net, x: torch.Tensor) -> Any:
        return [m.linear(x[0, row]) for row in (x[0, :, 0] > 0).nonzero()]

    for hints in ({"nonzero_1": 3}, {"nonzero": 3}):
        report = fxcount.analyze(Net(loop), f"B,S,{D}", hints=hints)
        assert report.macs == 5 * D * 3
        assert any("nonzero_1 == 3" in str(a) for a in report.assumptions)
    with pytest.raises(InputError, match="nonzero_7"):
        fxcount.analyze(Net(masked), f"B,S,{D}", hints={"nonzero_7": 3})


class Experts(nn.Module):
    """A routed layer as transformers writes it: a loop over the experts that were hit."""

    def __init__(self, experts: int, top: int) -> None:
        super().__init__()
        self.top, self.gate = top, nn.Linear(D, experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(D, 2 * D, bias=False) for _ in range(experts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, D)
        weights, chosen = self.gate(flat).softmax(-1).topk(self.top, dim=-1)
        out = flat.new_zeros(len(flat), 2 * D)
        mask = F.one_hot(chosen, len(self.experts)).permute(2, 1, 0)
        for expert in range(len(self.experts)):
            place, row = torch.where(mask[expert])
            out.index_add_(0, row, self.experts[expert](flat[row]) * weights[row, place, None])
        return out


def test_the_rows_of_the_experts_add_up() -> None:
    model = Experts(5, 2)
    report = fxcount.analyze(model, f"B,S,{D}")
    names = [u.name for u in report.unbacked]
    assert names == [f"rows_{i}" for i in range(1, 6)]
    assert any(str(a) == "rows_1 + rows_2 + rows_3 + rows_4 + rows_5 == 2*B*S" for a in report.assumptions)
    # whatever the router does, every token passes two experts of D x 2D, and the gate of D x 5
    gate, experts = B * S * D * 5, 2 * B * S * D * 2 * D
    assert report.at(B=B, S=S).macs == gate + experts
    x = torch.randn(B, S, D)
    counts = torch.bincount(model.gate(x.reshape(-1, D)).topk(2, dim=-1).indices.flatten(), minlength=5).tolist()
    assert report.at(B=B, S=S, **dict(zip(names, counts))).macs == gate + experts
    with pytest.raises(AssumptionError):
        report.at(B=B, S=S, **dict(zip(names, [counts[0] + 1, *counts[1:]])))
    torch.testing.assert_close(report.graph_module(x), model(x))


def test_integers_given_with_their_data_are_read() -> None:
    class Grid(nn.Module):
        def forward(self, x: torch.Tensor, grid: torch.Tensor) -> list[torch.Tensor]:
            return [x[:, : int(h * w)].reshape(-1, int(h), int(w)) for h, w in grid]

    grid = torch.tensor([[2, 3], [5, 7]])
    report = fxcount.analyze(Grid(), "B,S", grid)
    assert [tuple(v.fact.shape[1:]) for v in report.trace.values_out()] == [(2, 3), (5, 7)]
    (note,) = report.trace.notes
    assert "the values of grid as given" in note
    x = torch.randn(3, 64)
    for ours, theirs in zip(report.graph_module(x, grid), Grid()(x, grid), strict=True):
        assert torch.equal(ours, theirs)
    assert grid.tolist() == [[2, 3], [5, 7]]


def test_a_mask_given_with_its_data_is_counted_and_said() -> None:
    class Picks(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return x[:, mask].exp()

    report = fxcount.analyze(Picks(), "B,4", torch.tensor([True, False, True, True]))
    assert str(report.transcendentals) == "3*B"
    (note,) = report.trace.notes
    assert "the values of mask as given" in note


def test_floating_data_are_never_read() -> None:
    class Asks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(DataDependentError):
        fxcount.analyze(Asks(), torch.ones(3))


def test_a_decision_on_data_goes_the_way_the_user_says() -> None:
    class Asks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp() if x.sum() > 0 else x

    taken = fxcount.analyze(Asks(), "B,3", hints={"branch": 1})
    assert str(taken.transcendentals) == "3*B"
    assert "taken as True" in taken.trace.notes[0]
    assert fxcount.analyze(Asks(), "B,3", hints={"branch": 0}).transcendentals == 0


def test_nms_keeps_at_most_all_boxes() -> None:
    pytest.importorskip("fxcount.adapters.torchvision_ops")
    torchvision = pytest.importorskip("torchvision")

    class Detect(nn.Module):
        def forward(self, boxes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            return boxes[torchvision.ops.nms(boxes, scores, 0.5)[:100]].exp()

    report = fxcount.analyze(Detect(), "n,4", "n")
    (kept,) = report.unbacked
    assert (kept.name, str(kept.most)) == ("kept_1", "n")
    assert report.at(n=5000, kept_1=31).flops == 31 * 4
    assert report.at(n=5000).flops == 100 * 4


def test_all_ways_to_run_mixtrals_experts_count_the_same() -> None:
    pytest.importorskip("fxcount.adapters.torchvision_ops")  # transformers imports torchvision
    transformers = pytest.importorskip("transformers")
    config = transformers.MixtralConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        num_local_experts=5, num_experts_per_tok=2, vocab_size=53,
    )  # fmt: skip
    macs = set()
    for way in ("eager", "grouped_mm", "batched_mm"):
        config._experts_implementation = way
        report = fxcount.analyze(transformers.MixtralModel(config), input_ids="i64[B,S]", use_cache=False)
        assert not report.uncounted
        macs.add(report.at(B=3, S=7).macs)
        if way == "eager":
            assert "rows_1 + rows_2 + rows_3 + rows_4 + rows_5 == 2*B*S" in map(str, report.assumptions)
    tokens, attention = 3 * 7, 3 * 2 * 7 * 7 * 32
    projections = tokens * 32 * (32 + 16 + 16 + 32)  # q, k, v of two key-value heads of 8, o
    experts = tokens * 2 * 3 * 32 * 48  # two of three 32 x 48 matrices each
    assert macs == {attention + projections + tokens * 32 * 5 + experts}


GUESSED = {
    masked: [False], nonzero: [False], both_halves: [False], item: [True], unique: [True], bins: [True], classes: [True],
    repeats: [True], range_to_tensor: [True], capped: [False],
}  # fmt: skip


@pytest.mark.parametrize("function", GUESSED, ids=lambda f: f.__name__)
def test_a_default_that_nothing_speaks_for_is_a_guess(function: Callable[..., Any]) -> None:
    assert [u.guess for u in fxcount.analyze(Net(function), f"B,S,{D}").unbacked] == GUESSED[function]


# -- what the model states of data ------------------------------------------------------------------------------------
def stated(m: Net, x: torch.Tensor) -> Any:
    assert 0 < x[..., 0].argmax().item() <= x.shape[1], "too long"
    return m.linear(x)


def stated_with_torch(m: Net, x: torch.Tensor) -> Any:
    longest = x[..., 0].argmax().item()
    torch._assert(longest <= x.shape[1], "too long")
    torch._check(longest <= x.shape[1] and longest > 0)
    return m.linear(x)


def stated_and_used(m: Net, x: torch.Tensor) -> Any:
    n = x[..., 0].argmax().item()
    assert n <= x.shape[1]
    return m.linear(x[:, :n])


def decided(m: Net, x: torch.Tensor) -> Any:
    return m.linear(x) if x[..., 0].argmax().item() <= x.shape[1] else x


def stated_or_decided(m: Net, x: torch.Tensor) -> Any:
    n = x[..., 0].argmax().item()
    assert n <= x.shape[1] or m.training
    return m.linear(x)


@pytest.mark.parametrize("function", [stated, stated_with_torch])
def test_what_a_model_asserts_of_data_is_no_guess(function: Callable[..., Any]) -> None:
    """Else it raises an error of its own, so the counts do not rest on it; also where the default would not do."""
    for hints in ({"S": 3}, {"S": 101}):  # the default of a number that data decide is between these
        report = fxcount.analyze(Net(function), f"B,S,{D}", hints=hints)
        assert (report.guesses, report.at(B=B, S=S).macs) == ([], B * S * D * 5)


@pytest.mark.parametrize("function", [stated_and_used, decided, stated_or_decided])
def test_what_rests_on_data_is_a_guess_all_the_same(function: Callable[..., Any]) -> None:
    report = fxcount.analyze(Net(function), f"B,S,{D}")
    assert [u.name for u in report.guesses] == ["item_1"]
