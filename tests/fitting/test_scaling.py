"""Formulas in hyper-parameters: held to sums over parameters, torch's own counter and caches on meta, and derivations."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fxcount
from fxcount.errors import AssumptionError, InputError, SizeError


def mlp(width: int, depth: int) -> nn.Module:
    return nn.Sequential(*[nn.Linear(width, width) for _ in range(depth)])


def test_a_perceptron_by_hand():
    """depth products of width by width, with biases."""
    found = fxcount.scaling(mlp, "B,{width}", width=range(8, 65, 8), depth=range(1, 6))
    assert [str(found.params), str(found.macs)] == ["depth*width**2 + depth*width", "B*depth*width**2"]
    at = found.at(width=12288, depth=96, B=7)
    assert (at.params, at.macs, at.flops) == (96 * 12288 * 12289, 7 * 96 * 12288**2, 7 * 96 * 12288 * (2 * 12288 + 1))
    assert at.param_bytes == 4 * at.params
    assert found.verify(width=136, depth=7)


def test_builds_are_few_and_no_weights_are_allocated():
    built = []

    def build(width: int, depth: int) -> nn.Module:
        model = mlp(width, depth)
        built.append((width, depth))
        assert all(p.is_meta for p in model.parameters())
        return model

    found = fxcount.scaling(build, "B,{width}", width=range(8, 8001, 8), depth=range(1, 100))
    assert len(built) == len(set(built)) == len(found.fitted) + len(found.checked)
    assert len(found.fitted) <= 9  # six exponents at most, and their neighbours
    assert len(built) < 50
    assert {(p["width"], p["depth"]) for p in found.fitted}.isdisjoint({(p["width"], p["depth"]) for p in found.checked})
    outside = [p for p in found.checked if p["width"] > 8000 or p["depth"] > 99]
    assert len(outside) >= 4


# -- no formula -----------------------------------------------------------------------------------------------------------
def test_a_branch_on_a_hyper_parameter_is_found():
    def build(d_model: int, layers: int) -> nn.Module:
        return mlp(d_model, layers if d_model <= 300 else layers + 1)

    found = fxcount.scaling(build, "B,{d_model}", d_model=range(64, 641, 64), layers=range(1, 6))
    with pytest.raises(AssumptionError, match="no single formula for params: between d_model=256 and d_model=320"):
        _ = found.params
    assert "between d_model=256 and d_model=320" in found.table()
    assert "macs" in found.reasons
    below = fxcount.scaling(build, "B,{d_model}", d_model=range(64, 257, 64), layers=range(1, 6))
    assert below.at(d_model=128, layers=3).params == 3 * 128 * 129
    assert "between d_model=256 and d_model=320" in below.outcomes["params"].inside  # one step outside it is another


def test_a_branch_on_two_at_once_and_at_one_value_are_found():
    def both(d: int, layers: int) -> nn.Module:
        return mlp(d, layers + (d > 100 and layers > 4))

    found = fxcount.scaling(both, "B,{d}", d=range(8, 121, 8), layers=range(1, 6))
    assert "the model becomes another" in found.reasons["params"]

    def one(d: int) -> nn.Module:
        return nn.Linear(d, 3 + (d == 448))

    assert "between d=384 and d=448" in fxcount.scaling(one, "B,{d}", d=range(64, 641, 64)).reasons["params"]


def test_a_branch_among_the_first_values_is_found():
    def build(d: int) -> nn.Module:
        return nn.Linear(d, d if d > 20 else 2 * d)

    found = fxcount.scaling(build, "B,{d}", d=range(8, 100, 8))
    assert found.reasons["macs"].startswith("between d=16 and d=24")


def test_a_branch_beyond_the_ranges_limits_the_claim():
    """Inside it holds; one step outside it does not, and nothing is claimed there."""

    def build(d: int) -> nn.Module:
        return nn.Linear(d, 3) if d <= 64 else nn.Linear(d, 5)

    found = fxcount.scaling(build, "B,{d}", d=range(8, 65, 8))
    assert found.at(d=56, B=2).macs == 2 * 56 * 3
    with pytest.raises(AssumptionError, match="between d=64 and d=72"):
        _ = found.at(d=72, B=2).macs
    assert "macs only inside of the ranges" in found.table()


def test_what_grows_exponentially_has_no_formula():
    found = fxcount.scaling(lambda k: nn.Embedding(2**k, 3), "i64[B]", k=range(1, 12))
    assert found.reasons["params"].startswith("it is no polynomial in k of degree up to 4, nor has it a period of up to 2")
    assert found.at(B=7).macs == 0  # B is a symbol though nothing depends on it


# -- periods --------------------------------------------------------------------------------------------------------------
def test_padding_and_rounding_have_formulas():
    def build(d: int, vocab: int) -> nn.Module:
        padded = -(-vocab // 16) * 16
        return nn.Sequential(nn.Linear(d, padded, bias=False), nn.Linear(padded, 8 * d // 3, bias=False))

    found = fxcount.scaling(build, "B,{d}", d=range(8, 50), vocab=range(100, 200))
    assert found.periods["params"] == {"d": 3, "vocab": 16}
    for d, vocab in [(8, 101), (47, 112), (113, 1009), (4096, 50257)]:
        padded = (vocab + 15) // 16 * 16
        assert found.at(d=d, vocab=vocab).params == padded * (d + 8 * d // 3)
        assert found.at(d=d, vocab=vocab, B=5).macs == 5 * padded * (d + 8 * d // 3)
    assert "a period of 16 in vocab: params" in found.table()


def test_values_between_the_steps_are_not_spoken_of():
    """Fitted at multiples of 8, where rounding to multiples of 8 does nothing."""
    found = fxcount.scaling(lambda d: nn.Linear(d, -(-d // 8) * 8, bias=False), "B,{d}", d=range(8, 80, 8))
    assert str(found.params) == "d**2"
    assert found.at(d=800).params == 640000
    with pytest.raises(AssumptionError, match=r"d=804 is not among the values .*8 to 72 in steps of 8"):
        found.at(d=804)


# -- what cannot be built ---------------------------------------------------------------------------------------------------
class Attention(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        if d % heads:
            raise ValueError(f"{heads} heads do not divide {d}")
        self.heads, self.qkv, self.out = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch, length, d = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)).softmax(-1)
        return self.out((scores @ v).transpose(1, 2).reshape(batch, length, d))


def test_builds_that_raise_are_skipped_and_explained():
    found = fxcount.scaling(Attention, "B,S,{d}", d=range(12, 61, 12), heads=range(1, 9))
    assert found.skipped
    assert found.constraint == "d % heads == 0"
    assert all("do not divide" in text for _, text in found.skipped)
    assert "cannot be built; those that can have d % heads == 0" in found.table()
    # qkv and out: 4 d*d; scores and their product with v: 2 S*d for each of S
    assert found.at(d=768, heads=12, B=3, S=197).macs == 3 * 197 * (4 * 768 * 768 + 2 * 197 * 768)
    assert found.at(d=768, heads=12, B=3, S=197).transcendentals == 3 * 12 * 197 * 197


def test_nothing_works():
    with pytest.raises(InputError, match=r"none of the first \d+ builds works; that of d=8 raised .*mat1|none of the first"):
        fxcount.scaling(lambda d: nn.Linear(d, d), "B,7", d=range(8, 80, 8))


# -- derived hyper-parameters and inputs --------------------------------------------------------------------------------------
def test_formulas_of_others_and_constants():
    found = fxcount.scaling(
        lambda d_model, heads, out: nn.Sequential(nn.Linear(d_model, heads), nn.Linear(heads, out)),
        "B,{head_dim*heads}",
        heads=range(1, 8), head_dim=range(8, 65, 8), d_model="head_dim*heads", out=5,
    )  # fmt: skip
    assert str(found.macs) == "B*head_dim*heads**2 + 5*B*heads"
    assert found.at(heads=96, head_dim=128, B=1).macs == 96 * 96 * 128 + 96 * 5


def test_a_loop_over_a_size_gets_a_closed_form():
    """A recurrence in Python pins its length; fitted over lengths it is a formula."""

    class Recurrence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(11, 11)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = torch.zeros_like(x[:, 0])
            states = []
            for t in range(x.shape[1]):
                state = torch.tanh(self.cell(state) + x[:, t])
                states.append(state)
            return torch.stack(states, 1)

    model = Recurrence()
    found = fxcount.scaling(model, "B,{S},11", S=range(2, 40))
    assert str(found.macs) == "121*B*S"
    assert found.at(S=4096, B=3).transcendentals == 4096 * 3 * 11
    assert "fitted at S = 2, 3, 4, checked at S = " in found.table()
    assert "fitted at S = 2, 3, 4" in repr(found)
    pairs = fxcount.scaling(lambda: _Pairs(), "{S},B", S=range(2, 20))
    assert pairs.at(S=100, B=7).flops == sum(7 for i in range(100) for j in range(i + 1))


class _Windows(nn.Module):
    """A causal window of 4, shorter where the sequence is, and then a loop over what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(11, 11, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = self.cell(x[:, 0])
        for t in range(x.shape[1]):
            state = torch.tanh(self.cell(state) + x[:, max(0, t - 3) : t + 1].sum(1))
        return self.cell(state) if x.shape[1] >= 6 else state


def test_the_smallest_sizes_may_count_otherwise():
    found = fxcount.scaling(_Windows(), "B,{S},11", S=range(2, 40))
    assert str(found.macs) == "121*B*S + 242*B"  # the first, one for each token, and the last
    assert found.domain == {"S": "6 to 39; below 6 the model counts otherwise"}
    assert all(p["S"] >= 6 for p in (*found.fitted, *found.checked))
    assert found.at(S=1000, B=3).macs == 121 * 3 * 1002
    with pytest.raises(fxcount.AssumptionError, match="below 6 the model counts otherwise"):
        found.at(S=5)
    # of what a model is built for it is not said: it has none
    none = fxcount.scaling(lambda d: nn.Linear(d, d if d >= 5 else 7, bias=False), "B,{d}", d=range(1, 30))
    assert "params" in none.reasons


def test_a_list_of_images_is_a_function_of_how_many():
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 3, bias=False)

        def forward(self, images: list[torch.Tensor]) -> torch.Tensor:
            resized = [nn.functional.interpolate(image[None], (13, 17)) for image in images]
            return self.conv(torch.cat(resized))

    def inputs(N):
        return ["3,H,W"] * N

    found = fxcount.scaling(Detector(), inputs, N=range(1, 9))
    assert str(found.macs) == f"{11 * 15 * 5 * 27}*N"
    assert found.at(N=64).macs == 64 * 11 * 15 * 5 * 27
    curve = fxcount.curve(lambda: Detector(), inputs, N=[1, 3], H=20, W=[20, 30])
    assert curve.columns["macs"] == [n * 11 * 15 * 5 * 27 for n in (1, 1, 3, 3)]


class _Pairs(nn.Module):
    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x[i] * x[j] for i in range(len(x)) for j in range(i + 1)]


def test_a_router_whose_rows_are_added_up():
    """Rows that the data send to each expert are symbols, as many as there are experts; the formulas have their sum."""

    class Mixture(nn.Module):
        def __init__(self, experts: int, width: int) -> None:
            super().__init__()
            self.router = nn.Linear(width, experts)
            self.experts = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(experts)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            chosen = self.router(x).argmax(-1)
            y = torch.zeros_like(x)
            for i, expert in enumerate(self.experts):
                y[chosen == i] = expert(x[chosen == i])
            return y

    found = fxcount.scaling(Mixture, "N,{width}", experts=range(2, 7), width=range(8, 65, 8))
    assert found.at(experts=16, width=128).params == 16 * 128 * 128 + 129 * 16
    assert str(found.macs) == "N*experts*width + nonzero*width**2"  # every row goes to one expert, whichever: nonzero is N
    assert "nonzero: the number of true elements of a mask" in found.table()
    assert found.at(experts=16, width=128, N=100, nonzero=100).macs == 100 * 16 * 128 + 100 * 128 * 128
    assert "5 values of experts are too few" in found.reasons["peak_bytes"]


def test_five_values_prove_no_polynomial_of_degree_four():
    """A polynomial goes through any five values; one step on, it does not."""
    widths = {1: 3, 2: 5, 3: 4, 4: 9, 5: 2, 6: 7, 7: 1}
    found = fxcount.scaling(lambda k: nn.Embedding(widths[k], 1), "i64[B]", k=range(1, 6))
    assert found.reasons["params"] == "5 values of k are too few to tell how it depends on them"
    line = fxcount.scaling(lambda k: nn.Embedding(k, 1), "i64[B]", k=[3, 5])  # two values, and two outside
    assert str(line.params) == "k"


# -- families of models -------------------------------------------------------------------------------------------------------
def test_a_peak_that_is_elsewhere_outside_of_the_ranges():
    """Inside, the hidden layer is the largest; a large vocabulary makes it the logits, of which no build was made."""

    def build(d: int, vocab: int) -> nn.Module:
        return nn.Sequential(nn.Linear(d, 4 * d), nn.ReLU(), nn.Linear(4 * d, d), nn.Linear(d, vocab))

    found = fxcount.scaling(build, "B,{d}", d=range(8, 65, 8), vocab=range(5, 20))
    assert found.outcomes["peak_bytes"].inside == ""
    for d, vocab in ((128, 20011), (4096, 7), (16, 3001)):
        # input and hidden layer; hidden layer twice (relu); hidden and output; output and logits: 4 bytes each
        moments = (d + 4 * d, 8 * d + d, 5 * d + d, d + vocab + d)
        assert found.at(d=d, vocab=vocab, B=97).peak_bytes == 97 * 4 * max(moments)
        assert fxcount.analyze(build(d, vocab), f"B,{d}").at(B=97, guess=True).memory.peak == 97 * 4 * max(moments)


def test_assumptions_follow_hyper_parameters():
    class Table(nn.Module):
        def __init__(self, positions: int, d: int) -> None:
            super().__init__()
            self.positions = nn.Embedding(positions, d)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.positions(torch.arange(x.shape[1]))

    found = fxcount.scaling(Table, "B,S,{d}", positions=range(150, 300), d=range(4, 20, 4))
    assert found.assumptions == ["positions >= S"]
    assert found.at(positions=4096, d=8, S=2048, B=1).flops == 2048 * 8
    with pytest.raises(AssumptionError, match=r"assume positions >= S, which does not hold .*150 rows"):
        found.at(positions=151, d=8, S=152, B=1)


@pytest.mark.parametrize("family", ["gpt2", "vit"])
def test_families_equal_fresh_builds(family):
    """Outside of the fitted ranges; all five families at 20 configurations each: ``python -m benchmarks.scaling``."""
    pytest.importorskip("transformers")
    import fxcount.adapters.torchvision_ops  # noqa: F401
    from benchmarks.scaling import FAMILIES, measure

    outcome = measure(FAMILIES[family], 2, seed=1)
    assert not outcome.wrong
    assert {"params", "macs", "flops"} <= outcome.found.formulas.keys()
    if family == "gpt2":
        assert str(outcome.found.at(vocab=50257, positions=1024).formulas["params"]) == (
            "d_model*(12*d_model*layers + 13*layers + 51283)"
        )
        gpt2 = outcome.found.at(layers=12, d_model=768, heads=12, vocab=50257, positions=1024)
        assert gpt2.params == 124439808  # the published model
        assert str(gpt2.kv_bytes) == "73728*B*S"  # keys and values of 12 layers of 768 floats: 2*12*768*4


def test_llama_with_grouped_heads():
    transformers = pytest.importorskip("transformers")
    import fxcount.adapters.torchvision_ops
    from benchmarks.scaling import llama

    found = fxcount.scaling(
        llama, "i64[B,S]", layers=range(1, 5), kv_heads=range(1, 5), heads="kv_heads*groups", groups=[2, 3, 4], head_dim=16,
        d_ff=48, vocab=101,
    )  # fmt: skip
    assert transformers is not None
    at = found.at(layers=3, kv_heads=2, groups=3)
    d, kv = 6 * 16, 2 * 16
    layer = 2 * d * d + 2 * d * kv + 3 * d * 48 + 2 * d  # q and o, k and v, gate and up and down, two norms
    assert at.params == 3 * layer + 2 * 101 * d + d
    assert at.at(B=5, S=7).kv_bytes == 2 * 3 * 5 * 7 * kv * 4


# -- the result ------------------------------------------------------------------------------------------------------------
def test_partial_values_and_refusals():
    found = fxcount.scaling(mlp, "B,{width}", width=range(8, 65, 8), depth=range(1, 6))
    half = found.at(depth=3)
    assert str(half.macs) == "3*B*width**2"
    assert half.at(width=16, B=2).macs == found.at(depth=3, width=16, B=2).macs
    with pytest.raises(SizeError, match=r"at\(\) got 'depht'; the names are width, depth, B"):
        found.at(depht=3)
    with pytest.raises(SizeError, match="the names are width, B"):
        half.at(depth=4)
    with pytest.raises(SizeError, match="integer of at least 1"):
        found.at(depth=0)
    with pytest.raises(AttributeError):
        found.nothing  # noqa: B018
    with pytest.raises(AssumptionError, match="returns no key-value cache"):
        found.kv_bytes  # noqa: B018


def test_views():
    found = fxcount.scaling(mlp, "B,{width}", width=range(8, 65, 8), depth=range(1, 6))
    assert r"\mathrm{macs} &= B \mathrm{depth} \mathrm{width}^{2}" in found.to_latex()
    table = found.table()
    assert "macs              B*depth*width**2" in table
    assert "width: 8 to 64 in steps of 8" in table
    assert repr(found).startswith("<fxcount.Scaling of Sequential: params = depth*width*(width + 1); macs = B*depth*width**2; ")
    assert found.domain == {"width": "8 to 64 in steps of 8", "depth": "1 to 5"}


@pytest.mark.parametrize(
    ("hyper", "said"),
    [
        ({"width": 8}, "needs a range for one hyper-parameter"),
        ({"width": []}, "are no integers of at least 1"),
        ({"width": [1.5]}, "are no integers of at least 1"),
        ({"width": None}, "neither integers nor a formula"),
        ({"width": "8*", "depth": [1]}, "cannot read width='8\\*'"),
        ({"width": "8*n", "depth": [1, 2]}, "needs n, for which no values are given"),
        ({"B": [1, 2], "width": 8, "depth": 2}, "B is a hyper-parameter and a symbol of the inputs"),
    ],
)
def test_wrong_ranges(hyper, said):
    with pytest.raises(InputError, match=said):
        fxcount.scaling(lambda **values: mlp(values.get("width", 8), values.get("depth", 1)), "B,8", **hyper)


def test_torch_is_left_as_found():
    torch.manual_seed(7)
    state = torch.get_rng_state()
    fxcount.scaling(lambda d: nn.Dropout(d / 100), "B,3", d=range(1, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_device().type == "cpu"
    assert F.relu(torch.ones(2)).tolist() == [1, 1]
