"""The inference peak against a tracker of storages on a real eager run: to the byte, at sizes that were never hinted."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import pickle

import pytest
import torch
from torch import nn

import fxcount
from fxcount.symbolic import evaluate
from tests.oracles import tracked_peak
from tests.zoo import CASES, analysed, inputs

# Small images; inside the domain of the formulas (see tests/test_models.py).
SIZES = {
    "resnet50": {"B": 3, "H": 61, "W": 97},
    "densenet121": {"B": 2, "H": 59, "W": 83},
    "convnext_tiny": {"B": 3, "H": 67, "W": 101},
    "efficientnet_b0": {"B": 3, "H": 67, "W": 71},
    "swin_t": {"B": 1, "H": 127, "W": 118},
    "vit_b_16": {"B": 1},
    "googlenet": {"B": 3, "H": 61, "W": 89},
    "mobilenet_v3_small": {"B": 3, "H": 67, "W": 101},
    "shufflenet_v2_x0_5": {"B": 3, "H": 61, "W": 97},
    "timm_vit": {"B": 3},
    "timm_mixer": {"B": 3},
    "timm_pit": {"B": 3},
    "timm_regnet": {"B": 3, "H": 67, "W": 101},
    "timm_mobilevit": {"B": 3, "H": 96, "W": 160},
    "timm_ghostnet": {"B": 3, "H": 67, "W": 101},
    "timm_poolformer": {"B": 3, "H": 67, "W": 101},
    "llama": {"B": 3, "S": 77},
    "llama_cached": {"B": 3, "S": 77},
    "bert": {"B": 3, "S": 77},
    "gpt2": {"B": 3, "S": 77},
    "t5": {"B": 3, "S": 77, "T": 19},
    "whisper": {"B": 3, "T": 19},
}


@pytest.mark.parametrize("name", SIZES)
def test_peak_of_a_real_run(name: str) -> None:
    case, values = CASES[name], SIZES[name]
    tracked = tracked_peak(case.on("cpu"), inputs(case.args, values), inputs(case.kwargs, values))
    assert analysed(name).at(**values).memory.peak == tracked


class Held(nn.Module):
    """Keeps an early result until the end of the function, as Python frames do."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(5, 700), nn.Linear(700, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        early = self.wide(x)
        y = self.narrow(early)
        for _ in range(3):
            y = torch.cat([y, y], -1)
        return y


class Dropped(Held):
    """The same, but lets go of the early result."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.narrow(self.wide(x))
        for _ in range(3):
            y = torch.cat([y, y], -1)
        return y


class Written(nn.Module):
    """In-place writes and views share one storage."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.new_zeros(x.shape[0], 7, 11)
        y[:, 1:3] = x.unsqueeze(1)
        y.add_(1).transpose(1, 2)[:, 0].mul_(2)
        return y.view(x.shape[0], -1)[:, ::2]


class Cyclic(nn.Module):
    """A result in a reference cycle outlives the call that made it until Python collects it; here never."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [x * 2, x * 3]
        del parts[0]
        return torch.relu(parts[0]) + x


class LookedAt(Held):
    """Reads shapes, writes messages, asks for lengths and for its own methods while results come and go: what reads the
    function's variables keeps none of them."""

    def narrowed(self, x: torch.Tensor, size: int) -> torch.Tensor:
        return x if size is x else self.narrow(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.wide(x)
        size = x.shape[0]
        torch._assert(size > 0, f"a batch of {size}")
        len(x)
        self.log.debug("%s rows", x.shape[0])
        x = self.narrowed(x, size)
        for _ in range(3):
            x = torch.cat([x, x], -1)
        return x

    log = logging.getLogger("looked at")


SMALL = [(Held, "B,5"), (Dropped, "B,5"), (Written, "B,11"), (Cyclic, "B,11"), (LookedAt, "B,5")]


@pytest.mark.parametrize(("build", "spec"), SMALL, ids=[b.__name__ for b, _ in SMALL])
def test_memory_follows_python(build: type[nn.Module], spec: str) -> None:
    model = build().eval()
    report = fxcount.analyze(model, spec)
    for B in (1, 13):
        assert report.at(B=B).memory.peak == tracked_peak(model, inputs((spec,), {"B": B}))


def test_a_held_result_costs_what_a_dropped_one_does_not() -> None:
    """Both compute the same: 700 floats a sample more stay alive through the concatenations."""
    held, dropped = (fxcount.analyze(b(), "B,5").at(B=13).memory for b in (Held, Dropped))
    assert held.activations == dropped.activations
    # the last concatenation joins 12 and 12 to 24 elements; x (5) and, if held, the 700 are there besides
    assert held.peak == 13 * 4 * (5 + 700 + 12 + 24)
    assert dropped.peak == 13 * 4 * (5 + 700 + 3)  # the narrow layer's operands and result


def test_the_peak_moves_to_another_op_as_sizes_change() -> None:
    """A wide layer makes 97 floats of each sample, a table 12 rows of 1000 whatever the batch."""

    class Moves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(3, 97), nn.Linear(97, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.down(self.up(x))
            return y + torch.zeros(12, 1000, dtype=x.dtype).sum()

    model = Moves().eval()
    report = fxcount.analyze(model, "B,3")
    few, many = report.at(B=2).memory, report.at(B=1009).memory
    assert few.peak_op != many.peak_op
    assert "up" in many.peak_op or "down" in many.peak_op
    for B in (2, 1009):
        assert report.at(B=B).memory.peak == tracked_peak(model, inputs(("B,3",), {"B": B}))


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "llama", "swin_t"])
def test_peaks_hold_every_maximum(name: str) -> None:
    """The kept moments against all moments of the trace, at sizes far from the hint."""
    report = analysed(name)
    for values in CASES[name].sizes:
        live = best = 0
        for event in report.trace.events:
            storage = report.trace.storages[event.storage]
            if storage.origin not in ("input", "op"):
                continue
            nbytes = evaluate(storage.nbytes, values)
            live += nbytes if event.birth else -nbytes
            best = max(best, live)
        assert report.at(**values).memory.peak >= best


def test_totals() -> None:
    """A linear layer: 15 weights and 5 biases, 3 inputs and 5 results a sample, buffers apart."""
    model = nn.Linear(3, 5)
    model.register_buffer("table", torch.zeros(7, dtype=torch.int16))
    m = fxcount.analyze(model, "B,3").at(B=11).memory
    assert (m.parameters, m.buffers, m.inputs, m.outputs, m.activations, m.peak) == (80, 14, 132, 220, 220, 352)


def test_memory_symbolic_peak_is_a_formula() -> None:
    """At a symbol the peak evaluates to what ``at`` says."""
    report = analysed("resnet50")
    values = {"B": 3, "H": 97, "W": 163}
    peak = report.memory.peak.subs({s: values[s.name] for s in report.memory.peak.free_symbols})
    assert peak == report.at(**values).memory.peak


class Casting(nn.Module):
    """Layers under autocast, whose converted weights live in autocast's cache until its region ends."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(61, 67), nn.Linear(67, 61)
        self.conv = nn.Conv1d(7, 7, 3, padding=1)

    def layers(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            x = self.conv(self.b(self.a(x)).relu())
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Regions(Casting):
    """Two regions of its own, then full precision with large results."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                y = self.layers(x)
        return torch.cat([y.float()] * 11, -1)


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("build", [Casting, Regions], ids=lambda b: b.__name__)
def test_memory_under_autocast(build: type[nn.Module], requires_grad: bool) -> None:
    """Only weights that require a gradient are cached; those of a frozen model are converted at each use."""
    model = build().eval().requires_grad_(requires_grad)
    with torch.autocast("cpu", torch.bfloat16, enabled=build is Casting):
        report = fxcount.analyze(model, "B,7,61")
    for B in (1, 13):
        # a region of its own: the cache holds nothing of an earlier run
        with torch.autocast("cpu", torch.bfloat16, enabled=build is Casting):
            tracked = tracked_peak(model, inputs(("B,7,61",), {"B": B}))
        assert report.at(B=B).memory.peak == tracked


class Loop(nn.Module):
    """A list of results, an accumulator in place, a generator, a slice that keeps its whole storage alive."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = [x * k for k in range(5)]
        total = torch.zeros_like(x)
        for row in rows:
            total += row
        rows.clear()
        first = torch.cat([x, x, x])[:1]
        wide = x.repeat(1, 5)
        del wide
        return total.sum(0) + sum(x[i].exp() for i in range(2)) + first[0]


def test_loops_and_lists() -> None:
    model = Loop().eval()
    report = fxcount.analyze(model, "B,11")
    for B in (2, 13):
        assert report.at(B=B).memory.peak == tracked_peak(model, inputs(("B,11",), {"B": B}))


@pytest.mark.parametrize("name", ["encoder", "attention", "unet"])
def test_torchs_own_modules(name: str) -> None:
    encoder = nn.TransformerEncoderLayer(16, 4, 48, batch_first=True)
    builds: dict[str, tuple[nn.Module, tuple[str, ...]]] = {
        "encoder": (nn.TransformerEncoder(encoder, 2, enable_nested_tensor=False), ("B,7,16",)),
        "attention": (nn.MultiheadAttention(16, 4, batch_first=True), ("B,7,16",) * 3),
        "unet": (
            nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, 1), nn.InstanceNorm2d(8), nn.LeakyReLU(), nn.ConvTranspose2d(8, 5, 2, 2),
                nn.Upsample(scale_factor=2), nn.PixelShuffle(1), nn.AvgPool2d(2), nn.Softmax(1),
            ), ("B,3,10,14",),
        ),
    }  # fmt: skip
    model, given = builds[name]
    model.eval()
    report = fxcount.analyze(model, *given)
    assert report.at(B=13).memory.peak == tracked_peak(model, inputs(given, {"B": 13}))


def test_the_view_works_out_one_field_at_a_time():
    report = fxcount.analyze(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 97)), "B,3")
    view = report.memory
    assert view.parameters == 4 * (3 * 5 + 5 + 5 * 97 + 97)
    assert not {"peak", "activations", "peak_op"} & vars(view).keys()
    assert view == report.memory
    assert pickle.loads(pickle.dumps(view)) == view
    assert dataclasses.replace(view, buffers=7).buffers == 7
    with pytest.raises(AttributeError, match="nothing"):
        _ = view.nothing


@pytest.mark.parametrize("hint", [1, 3])
def test_operands_that_are_copied_unless_a_size_is_1(hint: int) -> None:
    """bmm takes one batch dimension: heads beside tokens are two that do not lie as one, but where either has one element."""

    class Heads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heads = x.unflatten(2, (5, 7)).transpose(1, 2)
            return torch.einsum("bhsd,bhtd->bhst", heads, heads) + heads @ heads.mT

    report = fxcount.analyze(Heads(), "B,S,35", hints={"B": hint, "S": 11})
    for b, s in ((1, 11), (2, 11), (3, 1), (1, 1), (2, 13)):
        try:
            at = report.at(B=b, S=s, extend=False)
        except fxcount.AssumptionError:
            continue
        assert at.memory.peak == tracked_peak(Heads(), (torch.ones(b, s, 35),))


class Growing(nn.Module):
    """A cache that grows by a row in each of ``steps``; each step reads all of it."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cache = x
        for _ in range(self.steps):
            cache = torch.cat([cache, cache[:, -1:]], 1)
            last = cache * 2
        return last


def test_a_cache_that_grows_has_the_peak_of_its_last_steps() -> None:
    """Where ``last`` of the third step is made there are x of S rows, the cache of S + 3 and two times as many of it: the new
    one and that of S + 2 of the step before."""
    report = fxcount.analyze(Growing(3), "B,S,5", hints={"S": 7})
    B, S = report.symbol("B"), report.symbol("S")
    assert report.memory.peak.expand() == (4 * 5 * B * (S + (S + 3) + (S + 3) + (S + 2))).expand()


def test_moments_of_a_growing_cache_are_sums_of_few_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many sizes as steps, all made of B*S and B: what is kept of a moment does not grow with the steps."""
    home = importlib.import_module("fxcount.passes.memory")  # of whose name the package has the function
    lengths: list[int] = []
    original = home.largest_sums

    def asked(sizes, sums, hints):
        lengths.extend(map(len, sums))
        return original(sizes, sums, hints)

    monkeypatch.setattr(home, "largest_sums", asked)
    _ = fxcount.analyze(Growing(60), "B,S,5").peaks
    assert len(lengths) >= 60
    assert set(lengths) == {2}
