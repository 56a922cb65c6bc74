"""The caching allocator without a device: against a plain book of bytes, laws, and what was measured on a GPU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fxcount
from fxcount.adapters import torchvision_ops  # noqa: F401  (before torchvision)
from fxcount.errors import InputError, SizeError
from fxcount.passes.allocator import CachingAllocator
from tests.oracles import held_by_a_gpu

MIB = 1024 * 1024


class Plain:
    """Segments as lists of pieces ``[size, request]``, a request of ``None`` for a free one, looked through from the start."""

    def __init__(self) -> None:
        self.segments: list[tuple[bool, list[list[int | None]]]] = []

    def allocate(self, request: int) -> list[int | None]:
        size = 512
        while size < request:
            size += 512
        small = size <= MIB
        best: tuple[int, int, int] | None = None
        for number, (kind, pieces) in enumerate(self.segments):
            for place, (length, held) in enumerate(pieces):
                fits = kind == small and held is None and length is not None and length >= size
                if fits and (best is None or length < best[0]):
                    best = length, number, place
        if best is None:
            length = 2 * MIB if small else 20 * MIB
            if size >= 10 * MIB:
                length = 2 * MIB
                while length < size:
                    length += 2 * MIB
            self.segments.append((small, [[length, None]]))
            best = length, len(self.segments) - 1, 0
        length, number, place = best
        pieces = self.segments[number][1]
        piece = pieces[place]
        rest = length - size
        if (small and rest >= 512) or (not small and rest > MIB):
            pieces.insert(place + 1, [rest, None])
            piece[0] = size
        piece[1] = request
        return piece

    def free(self, piece: list[int | None]) -> None:
        piece[1] = None
        for _, pieces in self.segments:
            place = 0
            while place + 1 < len(pieces):
                one, other = pieces[place], pieces[place + 1]
                if one[1] is None and other[1] is None:
                    one[0] = (one[0] or 0) + (other[0] or 0)
                    del pieces[place + 1]
                else:
                    place += 1

    def totals(self) -> tuple[int, int, int, int]:
        pieces = [piece for _, found in self.segments for piece in found]
        held = [piece for piece in pieces if piece[1] is not None]
        requested, allocated = sum(p[1] or 0 for p in held), sum(p[0] or 0 for p in held)
        return requested, allocated, sum(p[0] or 0 for p in pieces), len(self.segments)


SIZES = st.one_of(
    st.integers(1, 3000), st.integers(MIB - 1100, MIB + 1100), st.integers(3 * MIB, 21 * MIB),
    st.sampled_from([512, MIB, 10 * MIB]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.booleans(), SIZES, st.integers(0, 10**6)), max_size=60))
def test_books_are_those_of_a_plain_one(steps: list[tuple[bool, int, int]]) -> None:
    fast, plain = CachingAllocator(), Plain()
    held: list[tuple[int, list[int | None]]] = []
    for frees, size, which in steps:
        if frees and held:
            address, piece = held.pop(which % len(held))
            fast.free(address)
            plain.free(piece)
        else:
            held.append((fast.allocate(size), plain.allocate(size)))
        assert (fast.requested, fast.allocated, fast.reserved, fast.segments) == plain.totals()


def test_what_is_left_of_a_block() -> None:
    """12 MiB for 11 MiB and 1 byte: less than 1 MiB is left, and handed out as well. For 10 MiB and 1 byte it is split off."""
    found = CachingAllocator()
    first = found.allocate(11 * MIB + 1)
    assert (found.requested, found.allocated, found.reserved) == (11 * MIB + 1, 12 * MIB, 12 * MIB)
    second = found.allocate(10 * MIB + 1)
    assert (found.allocated, found.reserved) == (12 * MIB + 10 * MIB + 512, 24 * MIB)
    found.free(first)
    found.free(second)
    assert (found.requested, found.allocated, found.reserved, found.segments) == (0, 0, 24 * MIB, 2)


def _net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 13, 3, padding=1), nn.BatchNorm2d(13), nn.ReLU(), nn.Flatten(), nn.LazyLinear(7))


def _built() -> nn.Module:
    model = _net()
    model(torch.zeros(2, 3, 11, 11))
    return model


def test_requests_of_a_forward_are_its_peak() -> None:
    model = _built().eval()
    with torch.no_grad():
        report = fxcount.analyze(model, "B,3,11,11")
    for batch in (1, 5, 53):
        at = report.at(B=batch)
        found = at.allocator()
        assert found.requested == at.memory.peak + at.params.bytes + at.params.buffer_bytes
        assert found.requested <= found.allocated <= found.reserved
        assert min(found.rounding, found.unused) >= 0
        assert str(found.reserved).replace(",", "") in str(found).replace(",", "")


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw", None])
def test_requests_of_a_step_are_its_peak(optimizer: str | None) -> None:
    """On the meta device: there the counters of Adam, and numbers that Python wraps, are the processor's."""
    model = nn.Sequential(nn.Linear(31, 67), nn.Tanh(), nn.Linear(67, 11)).to("meta")
    step = fxcount.training_step(model, "B,31", optimizer=optimizer).at(B=71)
    counters = 4 * 4 if optimizer == "adamw" else 0
    found = step.allocator()
    assert 0 <= step.total_peak - counters - found.requested <= 8 * 4  # wrapped numbers
    again = step.allocator(cublas="ampere")
    assert again.requested - found.requested == 8_519_680
    assert again.workspaces == {"cuBLAS": 8_519_680}


def test_a_workspace_of_convolutions() -> None:
    model = _built().eval()
    with torch.no_grad():
        at = fxcount.analyze(model, "B,3,11,11").at(B=2)
    assert at.allocator(cudnn=50 * MIB).reserved > at.allocator().reserved + 48 * MIB
    assert at.allocator(cublas=77).requested == at.allocator().requested + 77


def test_copies_of_what_convolutions_read_and_write() -> None:
    """By hand: of (2, 3, 11, 11) a convolution makes (2, 5, 9, 9), with 3 * 3 * 3 * 5 weights; the peak is at its copies. In
    the step it has the input's gradient besides."""
    model = nn.Conv2d(3, 5, 3, bias=False)
    x, y, w = 4 * 2 * 3 * 11 * 11, 4 * 2 * 5 * 9 * 9, 4 * 3 * 3 * 3 * 5
    with torch.no_grad():
        at = fxcount.analyze(model, "B,3,11,11").at(B=2)
    assert at.allocator().requested == x + y + w
    found = at.allocator(cudnn="copies")
    assert found.requested == 2 * (x + y + w)
    assert found.workspaces == {"cuDNN": x + y + w}
    step = fxcount.training_step(nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), model), "B,3,11,11").at(B=2)
    assert step.allocator(cudnn="copies").workspaces == {"cuDNN": 2 * (x + w) + y}


def test_with_copies_no_prediction_is_below_a_gpu() -> None:
    models = pytest.importorskip("torchvision").models
    with torch.device("meta"):
        net = models.resnet50()
    with torch.no_grad():
        forward = fxcount.analyze(net.eval(), "B,3,224,224", device="cuda")
    step = fxcount.training_step(
        net.train(), "B,3,224,224", loss=_cross_entropy, targets="i64[B]", optimizer="adamw", device="cuda"
    )
    for report, mode, batch in ((forward, "inference", 3), (step, "AdamW step", 3), (step, "AdamW step", 17)):
        requested, _ = held_by_a_gpu("resnet50", mode, batch)
        at = report.at(B=batch)
        assert at.allocator(multiprocessors=132).requested < requested
        assert requested <= at.allocator(multiprocessors=132, cudnn="copies").requested <= 1.02 * requested


def test_what_cannot_be_asked() -> None:
    model = _built().eval()
    report = fxcount.analyze(model, "B,3,11,11")
    with pytest.raises(SizeError, match="B have no value"):
        report.allocator()
    with pytest.raises(InputError, match="cublas='turing'"):
        report.at(B=1).allocator(cublas="turing")
    for wrong in (-1, "all"):
        with pytest.raises(InputError, match=f"cudnn={wrong!a}"):
            report.at(B=1).allocator(cudnn=wrong)


def _cross_entropy(found: object, labels: torch.Tensor) -> torch.Tensor:
    logits = getattr(found, "logits", found)
    assert isinstance(logits, torch.Tensor)
    return nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())


@pytest.mark.parametrize(("model", "batch"), [("resnet50", 64), ("vit_b_16", 3), ("vit_b_16", 64)])
def test_bytes_are_those_of_a_gpu(model: str, batch: int) -> None:
    """To the byte, traced on the meta device. The other rows of the table have workspaces of cuDNN in them, or what runs at
    other batches have left in the allocator."""
    models = pytest.importorskip("torchvision").models
    with torch.device("meta"):
        net = getattr(models, model)().eval()
    with torch.no_grad():
        found = fxcount.analyze(net, "B,3,224,224", device="cuda").at(B=batch).allocator()
    assert (found.requested, found.allocated) == held_by_a_gpu(model, "inference", batch)


def test_bytes_of_a_step_are_those_of_a_gpu() -> None:
    """At 3 images the peak is in the optimizer's step, which on a GPU is the one for all parameters at once. At more it is
    where the gradient of a bias is summed over all tokens, for which a GPU takes scratch memory: 20 MB at 17 images, 77 at
    64."""
    models = pytest.importorskip("torchvision").models
    with torch.device("meta"):
        net = models.vit_b_16().train()
    step = fxcount.training_step(
        net, "B,3,224,224", loss=_cross_entropy, targets="i64[B]", optimizer="adamw", device="cuda"
    )
    for batch in (3, 17, 64):
        at = step.at(B=batch)
        requested, allocated = held_by_a_gpu("vit_b_16", "AdamW step", batch)
        found = at.allocator(multiprocessors=132)
        assert found.requested == requested
        assert abs(found.allocated / allocated - 1) < 0.002  # other batches have left blocks of other sizes
    assert at.allocator().requested == found.requested - 197 * 393_216 - 24


def test_number_of_multiprocessors() -> None:
    with pytest.raises(InputError, match="multiprocessors"):
        fxcount.analyze(nn.Linear(3, 5), (7, 3)).allocator(multiprocessors=-1)
