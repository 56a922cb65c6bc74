"""A step on stand-ins is what eager torch does: bytes and FLOPs of real runs, at sizes that are not the hints."""

from __future__ import annotations

import csv
import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

import fxcount
from fxcount.errors import AssumptionError, InputError, SizeError
from fxcount.report.views.conventions.training import counted
from tests.oracles import tracked_peak
from tests.training import real
from tests.training.nets import CASES, Perceptron, Residual

_TABLE = Path(__file__).parent.parent / "data" / "training_truth.csv"


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    torch.manual_seed(0)
    gc.collect()
    yield
    gc.collect()


@pytest.mark.parametrize("name", CASES)
def test_bytes_and_flops_are_those_of_a_tracked_run(name: str) -> None:
    case = CASES[name]
    model = case.build().train()
    found = fxcount.training_step(model, case.spec, tracker=True).at(**case.sizes)
    truth = real.run(model, case.inputs())
    assert (found.saved_bytes, found.forward_peak, found.peak) == (truth.saved, truth.forward_peak, truth.peak)
    assert found.gradient_bytes == truth.gradients
    by_torch = [found.public(counted(found, "torch", phase)) for phase in ("forward", "backward")]
    assert by_torch == [truth.forward_flops, truth.backward_flops]


def test_saved_bytes_of_a_graph_that_is_soon_gone() -> None:
    """Hooks see what it saves, 7*5*6 differences and 7 indices; between forward and backward nothing holds them."""
    step, tracked = (fxcount.training_step(CASES["quantised"].build(), "B,8", tracker=t).at(B=7) for t in (False, True))
    assert tracked.saved_bytes - step.saved_bytes == 7 * 5 * 6 * 4 + 7 * 8


@pytest.mark.parametrize("name", CASES)
def test_the_peak_is_that_of_plain_eager(name: str) -> None:
    case = CASES[name]
    model = case.build().train()
    found = fxcount.training_step(model, case.spec).at(**case.sizes)
    assert found.peak == real.plain_peak(model, case.inputs())


@pytest.mark.parametrize("name", ["perceptron", "attention", "tied"])
def test_flops_are_torchs_where_it_has_no_fault(name: str) -> None:
    case = CASES[name]
    model = case.build().train()
    found = fxcount.training_step(model, case.spec).at(**case.sizes)
    truth = real.run(model, case.inputs())
    assert (found.forward_flops, found.backward_flops) == (truth.forward_flops, truth.backward_flops)


def test_the_gradient_of_a_grouped_weight_is_counted_by_group() -> None:
    """10 x 10 positions, 8 channels of 9 weights each: 7200 macs; the input gets no gradient at first, then both do."""
    conv = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    model = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), conv)
    step = fxcount.training_step(model, "B,8,10,10").at(B=1)
    point = 2 * 100 * 64
    assert (step.forward_flops, step.backward_flops) == (point + 14400, point + 2 * 14400)
    assert step.count("torch") == step.flops - 14400 + 8 * 14400


def _rows() -> list[dict[str, str]]:
    with _TABLE.open() as table:
        return [row for row in csv.DictReader(table) if row["model"] in ("tv_resnet18", "tv_googlenet")]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row["model"])
def test_published_rows(row: dict[str, str]) -> None:
    torchvision = pytest.importorskip("torchvision")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(torchvision.models, row["model"][3:])(weights=None)
    sizes = {name: int(value) for name, value in (pair.split("=") for pair in row["sizes"].split())}
    found = fxcount.training_step(model, "B,3,H,W", tracker=True).at(**sizes)
    wanted = [int(row[key]) for key in ("saved", "fwd_peak", "peak", "fwd_flops", "bwd_flops")]
    assert [found.saved_bytes, found.forward_peak, found.peak, found.forward_flops, found.backward_flops] == wanted


def test_plain_eager_adds_gradients_in_place() -> None:
    """ResNet-18 at (3, 96, 128): 59254184 bytes by torch's profiler, 59549096 to a tracker, which keeps it from that."""
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.resnet18(weights=None)
    sizes = {"B": 3, "H": 96, "W": 128}
    assert fxcount.training_step(model, "B,3,H,W").at(**sizes).peak == 59254184
    assert fxcount.training_step(model, "B,3,H,W", tracker=True).at(**sizes).peak == 59549096
    step = fxcount.training_step(model, "B,3,H,W", targets="i64[B]", loss=F.cross_entropy, tracker=True)
    assert [step.at(B=b, H=h, W=w).total_peak for b, h, w in ((1, 224, 224), (16, 224, 224), (4, 160, 192))] == [
        111502576, 432469352, 141456648,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "peak"), [("resnet50", 147131816), ("mobilenet_v3_small", 19897992), ("densenet121", 107358888)]
)
def test_peaks_that_torchs_profiler_found(name: str, peak: int) -> None:
    """At (3, 96, 128), at the ends of top-level ops of a step that nobody watches."""
    torchvision = pytest.importorskip("torchvision")
    model = getattr(torchvision.models, name)(weights=None)
    assert fxcount.training_step(model, "B,3,H,W").at(B=3, H=96, W=128).peak == peak


# -- the report -----------------------------------------------------------------------------------------------------------
def test_formulas_give_the_numbers_of_the_walk() -> None:
    """The ``Max`` of the moments that can be largest is the largest sum at any sizes."""
    model = Residual()
    step = fxcount.training_step(model, "B,3,H,W", optimizer="adam")
    for sizes in ({"B": 2, "H": 9, "W": 7}, {"B": 5, "H": 31, "W": 64}, {"B": 64, "H": 6, "W": 5}):
        at = step.at(extend=False, **sizes)
        for name in ("forward_peak", "peak", "total_peak", "saved_bytes", "forward_flops", "backward_flops"):
            formula = getattr(step, name)
            assert formula.subs({s: sizes[s.name] for s in formula.free_symbols}) == getattr(at, name), name


def test_rows_add_up_to_the_totals() -> None:
    step = fxcount.training_step(Residual(), "B,3,H,W")
    for name in ("forward_flops", "backward_flops", "saved_bytes"):
        assert sum(getattr(row, name) for row in step.by_module()) == getattr(step, name)
    head = next(row for row in step.at(B=3, H=9, W=9).by_module() if row.path == "head")
    assert (head.forward_flops, head.backward_flops) == (2 * 8 * 5 * 3, 2 * 2 * 8 * 5 * 3)


def test_sizes_at_which_the_model_decides_otherwise_are_analysed_there() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(4, 6, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) if x.shape[0] < 10 else self.b(x)

    net = Net()
    step = fxcount.training_step(net, "B,4")
    assert (step.at(B=3).gradient_bytes, step.at(B=30).gradient_bytes) == (4 * 30, 4 * 24)
    with pytest.raises(AssumptionError, match="B <= 9"):
        step.at(B=30, extend=False)
    with pytest.raises(SizeError):
        step.at()
    another = fxcount.training_step(net, "B,4")
    del net
    with pytest.raises(AssumptionError, match="gone"):
        another.at(B=40)


def test_the_model_is_left_as_it_was_found() -> None:
    model = Residual()
    before = {name: (id(t), t.clone(), t.grad) for name, t in (*model.named_parameters(), *model.named_buffers())}
    state = torch.get_rng_state()
    fxcount.training_step(model, "B,3,H,W", optimizer="adamw")
    after = dict((*model.named_parameters(), *model.named_buffers()))
    for name, (identity, data, grad) in before.items():
        assert (id(after[name]), after[name].grad) == (identity, grad)
        assert torch.equal(after[name], data)
    assert torch.equal(torch.get_rng_state(), state)
    model(torch.zeros(2, 3, 8, 8)).sum().backward()
    assert all(isinstance(p.grad, torch.Tensor) and type(p.grad) is torch.Tensor for p in model.parameters())


def test_what_has_no_gradient_says_so() -> None:
    with pytest.raises(InputError, match="nothing to train"):
        fxcount.training_step(nn.Linear(3, 4).requires_grad_(False), "B,3")
    with torch.no_grad(), pytest.raises(InputError, match="no_grad"):
        fxcount.training_step(nn.Linear(3, 4), "B,3")
    with pytest.raises(InputError, match=r"nn\.Module"):
        fxcount.training_step(torch.relu, "B,3")  # type: ignore[arg-type]


def test_a_loss_of_ones_own_with_targets_and_one_the_model_has() -> None:
    step = fxcount.training_step(Perceptron(), "B,11", loss=F.cross_entropy, targets="i64[B]").at(B=7)
    model, x, y = Perceptron(), torch.ones(7, 11), torch.ones(7, dtype=torch.int64)
    truth = real.plain_peak(model, x, loss=lambda out: F.cross_entropy(out, y))
    assert step.peak == truth + y.nbytes

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Perceptron()

        def forward(self, x: torch.Tensor, labels: Any = None) -> dict[str, torch.Tensor]:
            logits = self.net(x)
            return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}

    own = fxcount.training_step(Own(), "B,11", kwargs={"labels": "i64[B]"}).at(B=7)
    assert (own.saved_bytes, own.backward_flops) == (step.saved_bytes, step.backward_flops)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_here_is_refused():
    """The engine would end the process: "PyTorch is not linked with support for cuda devices"."""
    with FakeTensorMode():
        model = torch.nn.Linear(7, 5)
        model.weight = torch.nn.Parameter(torch.empty(5, 7, device="cuda"))
        model.bias = torch.nn.Parameter(torch.empty(5, device="cuda"))
    with pytest.raises(fxcount.UnsupportedError, match=r"(?s)device cuda.*model\.to"):
        fxcount.training_step(model, "B,7")


# -- modules that a forward makes for itself ----------------------------------------------------------------------------
class Making(nn.Module):
    """Makes layers as it runs, which end where it lets go of them."""

    def __init__(self, made: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.made = made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.made(self.first(x))


def _one_after_the_other(x: torch.Tensor) -> torch.Tensor:
    for _ in range(3):
        x = nn.Linear(8, 8)(x)
    return x


def _all_held(x: torch.Tensor) -> torch.Tensor:
    for layer in [nn.Linear(8, 8) for _ in range(3)]:
        x = layer(x)
    return torch.cat([x] * 9)


def _twice(x: torch.Tensor) -> torch.Tensor:
    layer = nn.Linear(8, 8)
    return layer(layer(x))


_MADE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "one after the other": _one_after_the_other,
    "gone before what is larger": lambda x: torch.cat([nn.Linear(8, 8)(nn.Linear(8, 8)(x))] * 9),
    "all held": _all_held,
    "called twice": _twice,
    "attention": lambda x: nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)[0],
}


@pytest.mark.parametrize("made", _MADE.values(), ids=_MADE)
def test_modules_made_by_the_forward_live_as_long_as_it_holds_them(made: Callable[[torch.Tensor], torch.Tensor]) -> None:
    model = Making(made).train()
    step, tracked = (fxcount.training_step(model, "B,5,8", tracker=t) for t in (False, True))
    forward = fxcount.analyze(model.eval(), "B,5,8")
    for batch in (3, 7):
        x = torch.randn(batch, 5, 8)
        assert forward.at(B=batch).memory.peak == tracked_peak(model, (x,))
        assert step.at(B=batch).peak == real.plain_peak(model, x)
        assert tracked.at(B=batch).peak == real.tracked(model, x)[1]


def test_a_module_that_lies_where_another_lay_is_another() -> None:
    modules = fxcount.analyze(Making(_one_after_the_other), "B,5,8").trace.modules[2:]
    assert [m.number for m in modules] == [1, 1, 1]
    assert len({m.module_id for m in modules}) == 3
    assert [m.number for m in fxcount.analyze(Making(_twice), "B,5,8").trace.modules[2:]] == [1, 2]
