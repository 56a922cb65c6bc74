"""What is shared: by name, by storage, by path, by call; and weights derived from parameters. Bytes by hand, 4 an element."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import fxcount
from fxcount.passes.sharing import SharingGroup
from tests.zoo import analysed


def groups(model: nn.Module, *given: str, train: bool = True) -> tuple[SharingGroup, ...]:
    return fxcount.analyze(model.train(train), *given).params.groups


def users(group: SharingGroup) -> list[tuple[str, str, str]]:
    return [(u.module, u.op, u.argument) for u in group.uses]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(11, 5), nn.Linear(5, 11)
        self.head.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(ids))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_same_parameter(device: str) -> None:
    with torch.device(device):
        (found,) = groups(Tied(), "i64[B,S]")
    assert (found.kind, found.names, found.bytes_saved) == ("same parameter", ("table.weight", "head.weight"), 4 * 55)
    assert users(found) == [("table", "embedding", "weight"), ("head", "linear", "weight")]


class Slices(nn.Module):
    """Rows 0 to 6 and 3 to 8 of nine rows of 5, and a parameter on the other end of a storage of its own."""

    def __init__(self) -> None:
        super().__init__()
        rows, apart = torch.randn(9, 5), torch.randn(4, 5)
        self.low, self.high = nn.Parameter(rows[:7]), nn.Parameter(rows[3:])
        self.first, self.last = nn.Parameter(apart[:1]), nn.Parameter(apart[3:])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.low.mT @ self.low @ self.high.mT @ self.high * self.first + self.last


def test_views_of_one_storage() -> None:
    """Rows 3 to 6 are in both: 4 * 5 elements. Views side by side share a storage and save nothing."""
    overlapping, beside = groups(Slices(), "B,5")
    assert {overlapping.kind, beside.kind} == {"views of one storage"}
    assert (overlapping.names, overlapping.bytes_saved, len(overlapping.uses)) == (("low", "high"), 4 * 20, 4)
    assert (beside.names, beside.bytes_saved, len(beside.uses)) == (("first", "last"), 0, 2)
    rows = fxcount.analyze(Slices(), "B,5").params.rows("shared")
    assert [r.name for r in rows] == ["low", "high"]


def test_tied_through_data_alone() -> None:
    """Two parameter objects on the same memory are one set of bytes, and the names of both are told."""

    class Copies(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(5, 5, bias=False)
            self.b = nn.Linear(5, 5, bias=False)
            self.b.weight.data = self.a.weight.data

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    (found,) = groups(Copies(), "B,5")
    assert (found.kind, found.names, found.bytes_saved) == ("views of one storage", ("a.weight", "b.weight"), 100)
    assert fxcount.analyze(Copies(), "B,5").params.total == 25


class Paths(nn.Module):
    """A block of 5*7 + 7 + 7*5 under three paths, called by two of them; what is inside it comes with it."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 5, bias=False))
        self.again = self.block
        self.held = nn.ModuleDict({"x": self.block})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.held["x"](self.again(x))


def test_a_module_under_several_paths() -> None:
    paths, calls = groups(Paths(), "B,5")
    assert (paths.kind, paths.names) == ("module under several paths", ("block", "again", "held.x"))
    assert paths.bytes_saved == 2 * 4 * 77
    assert (calls.kind, calls.names, calls.calls, calls.bytes_saved) == ("module called several times", ("block",), 2, 4 * 77)
    assert users(paths) == users(calls)
    assert sorted(users(calls)) == sorted(
        2 * [("block.0", "linear", "weight"), ("block.0", "linear", "bias"), ("block.2", "linear", "weight")]
    )


def test_a_tie_inside_a_shared_module_is_told_once() -> None:
    """Names that differ by the path of the module alone are no tie; ``0.head.weight`` is one."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = Tied()
            self.b = self.a

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.b(ids)

    tie, paths = groups(Twice(), "i64[B,S]")
    assert (tie.kind, tie.bytes_saved) == ("same parameter", 220)
    assert tie.names == ("a.table.weight", "a.head.weight", "b.table.weight", "b.head.weight")
    assert (paths.kind, paths.names, paths.bytes_saved) == ("module under several paths", ("a", "b"), 4 * (55 + 11))


class Loops(nn.Module):
    """The outer block runs three times and calls its inner layer twice each time: 6 calls of 5*5, 3 of 5 more."""

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.act = nn.Linear(5, 5, bias=False), nn.ReLU()
            self.scale = nn.Parameter(torch.ones(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.inner(self.act(self.inner(x)))) * self.scale

    def __init__(self) -> None:
        super().__init__()
        self.outer, self.once = Loops.Outer(), nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            x = self.outer(x)
        return self.once(x)


def test_a_module_called_several_times() -> None:
    outer, inner = groups(Loops(), "B,5")
    assert (outer.names, outer.calls, outer.bytes_saved, len(outer.uses)) == (("outer",), 3, 2 * 4 * 30, 9)
    assert (inner.names, inner.calls, inner.bytes_saved, len(inner.uses)) == (("outer.inner",), 6, 5 * 4 * 25, 6)
    row = fxcount.analyze(Loops(), "B,5").params.rows()[1]
    assert (row.name, row.uses) == ("outer.inner.weight", 6)


class LoRA(nn.Module):
    """A frozen weight and its update of rank 2, added up before they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(5, 7).requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.zeros(7, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.base.weight + self.b @ self.a, self.base.bias)


class AsParametrization(nn.Module):
    """The same as a parametrization of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.zeros(7, 2))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.b @ self.a


def old_weight_norm(layer: nn.Module) -> nn.Module:
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(layer)


def registered(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", AsParametrization())


IN = "parametrizations.weight."
DERIVED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "weight_norm": (parametrizations.weight_norm, (f"{IN}original0", f"{IN}original1")),
    "spectral_norm": (parametrizations.spectral_norm, (f"{IN}original",)),
    "orthogonal": (parametrizations.orthogonal, (f"{IN}original",)),
    "old_weight_norm": (old_weight_norm, ("weight_g", "weight_v")),
    "lora": (registered, (f"{IN}original", f"{IN}0.a", f"{IN}0.b")),
}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", DERIVED)
def test_parametrizations(name: str, train: bool) -> None:
    """One group for the weight of ``0``, used by its linear op in each of two calls, with the parameters it is made of."""
    wrap, originals = DERIVED[name]
    layer = wrap(nn.Linear(7, 7) if name == "orthogonal" else nn.Linear(5, 7))

    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.layer(x) + self.layer(y)

    size = layer.in_features
    found = [g for g in groups(Calls(), f"B,{size}", f"B,{size}", train=train) if g.kind == "parametrization"]
    assert [(g.derived, set(g.names)) for g in found] == [("layer.weight", {f"layer.{n}" for n in originals})]
    assert users(found[0]) == 2 * [("layer", "linear", "weight")]
    assert fxcount.analyze(Calls(), f"B,{size}", f"B,{size}").params.rows("dead") == []


def test_a_weight_added_up_by_hand() -> None:
    (found,) = groups(LoRA(), "B,5")
    assert (found.kind, found.derived, found.names) == ("parametrization", "weight", ("a", "b", "base.weight"))
    assert users(found) == [("", "linear", "weight")]


def test_a_parametrization_that_is_never_called() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.idle = parametrizations.weight_norm(nn.Linear(3, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu()

    (found,) = groups(Idle(), "B,3")
    assert (found.derived, found.uses) == ("idle.weight", ())
    assert found.names == ("idle.parametrizations.weight.original0", "idle.parametrizations.weight.original1")


def test_what_is_no_derived_weight() -> None:
    """Transposed, cast or sliced weights, learned queries and positions, statistics of the input."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in "abcd":
                self.register_parameter(name, nn.Parameter(torch.randn(5, 5)))
            self.project = nn.Linear(5, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = nn.functional.linear(x @ self.a.t(), self.b.double().float()[:5])
            queries = self.project(self.c + self.d)
            return (queries * 2) @ y.mT @ y + (self.c + self.d).sum(0)

    assert groups(Plain(), "B,7,5") == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt2", {("same parameter", ("transformer.wte.weight", "lm_head.weight"))}),
        ("bert", set()),
        ("resnet18", set()),
        ("swin_t", set()),
    ],
)
def test_real_models(name: str, expected: set[tuple[str, tuple[str, ...]]]) -> None:
    """Language models tie head and embedding; nothing else in these is shared or derived."""
    found = analysed(name).params.groups
    assert {(g.kind, g.names) for g in found} == expected


def test_albert_is_one_layer_called_several_times() -> None:
    """Five layers are one; 4 bytes of each of its parameters are saved four times."""
    import transformers

    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 3, "vocab_size": 61, "embedding_size": 12}
    with torch.device("meta"):
        model = transformers.AlbertModel(transformers.AlbertConfig(num_hidden_layers=5, **sizes)).eval()
    (found,) = fxcount.analyze(model, input_ids="i64[B,S]").params.groups
    layer = model.encoder.albert_layer_groups[0]
    assert (found.names, found.calls) == (("encoder.albert_layer_groups.0",), 5)
    assert found.bytes_saved == 4 * 4 * sum(p.numel() for p in layer.parameters())
    assert len(found.uses) == 5 * len(list(layer.parameters()))


def test_a_module_counts_overlapping_parameters_once() -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = nn.Parameter(torch.zeros(4))
            self.part = nn.Parameter(self.whole.data[:2])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.whole.sum() + self.part.sum()

    report = fxcount.analyze(Halves(), "B,3")
    assert report.params.total == 4
    assert report.by_module()[0].params == 4
