"""``report.verify``: what it compares, what it finds, and what it says when it cannot look."""

from __future__ import annotations

import gc
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fxcount
from fxcount.cli.main import main
from fxcount.errors import AssumptionError, InputError
from fxcount.report.data.recipe import Surroundings, fingerprint
from fxcount.report.data.verification import admitted_sizes


def _is_plain(sizes: Any) -> bool:
    """Whether it has an attribute that no ``int`` has: nothing tells of that where the object itself is asked."""
    try:
        return sizes[0].expr is None
    except AttributeError:
        return True


def _is_one_object(sizes: Any) -> bool:
    """Of sizes in a dict nothing tells that ``is`` is asked."""
    return sizes[0] is sizes[1]


class LooksAtTheType(nn.Module):
    """What no tracer sees: a size of a real run is a plain ``int``, one of a trace has more attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.wide, self.narrow = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 7, 3, padding=1), nn.Conv2d(5, 7, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        return self.wide(x) if _is_plain([x.shape[2]]) else self.narrow(x)


class SameObject(nn.Module):
    """Small integers are one object in CPython."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 7), nn.Linear(3, 7, bias=False)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.a(x) if _is_one_object({0: x.shape[0], 1: y.shape[0]}) else self.b(x)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.Linear(8, 5)
        self.calls = [0]

    def forward(self, x: torch.Tensor, *, scale: float = 1.0) -> dict[str, Any]:
        self.calls[0] += 1
        y = nn.functional.dropout(self.norm(self.conv(x)).relu(), 0.5, self.training)
        return {"map": y, "logits": (self.head(y.mean((2, 3))) * scale,)}


def test_a_branch_on_the_type_of_a_size_is_found() -> None:
    model = LooksAtTheType()
    report = fxcount.analyze(model, "B,3,H,W")
    found = report.verify()
    assert not found
    assert len(found.checked) == 5
    first = found.differences[0]
    area = first.sizes["B"] * first.sizes["H"] * first.sizes["W"]
    assert first.what == "macs"
    assert (first.reported, first.found) == (area * (15 + 35), area * (15 + 9 * 35))  # 1x1 and 3x3, by definition
    assert "op 1 (conv2d)" in first.op
    assert f"{Path(__file__).name}:" in first.op
    assert "DIFFERS" in str(found)
    assert "0 of 5" in str(found)
    with pytest.raises(AssumptionError, match="macs reported"):
        report.verify(strict=True)


def test_a_branch_on_the_identity_of_sizes_is_found() -> None:
    """Equal batches below 257 are one object in a plain run; in a trace no two sizes are."""
    model = SameObject()
    x, y = torch.zeros(7, 3), torch.zeros(7, 3)
    assert (x.shape[0] is y.shape[0]) == (model(x, y).shape == (7, 7))
    report = fxcount.analyze(model, "B,3", "C,3", hints={"B": 11, "C": 13})
    assert not report.assumptions  # nothing tells of it
    found = report.verify(n=8)
    assert not found
    assert {d.sizes["B"] == d.sizes["C"] for d in found.differences} == {True}
    assert len(found.checked) > len(found.differences)  # unequal batches are unlike objects in both
    first = found.differences[0]
    b = first.sizes["B"]
    assert first.what == "flops"
    assert (first.reported, first.found) == (2 * 3 * 7 * b, 2 * 3 * 7 * b + 7 * b)  # without bias, and with one
    assert "op 0 (linear)" in first.op
    assert f"{Path(__file__).name}:" in first.op


def test_a_branch_on_the_bytes_of_an_array_of_sizes_is_found() -> None:
    """An array of sizes is one of objects; that of numbers holds the numbers."""

    class Bytes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            held = np.array(x.shape[0])
            return x * 2 if int.from_bytes(held.tobytes(), sys.byteorder) == x.shape[0] else x

    model = Bytes()
    found = fxcount.analyze(model, "B,3").verify()
    assert {d.what for d in found.differences} == {"flops"}
    assert len(found.differences) == len(found.checked) == 5


def test_a_branch_on_what_a_size_has_is_found_where_it_is_asked_without_a_name() -> None:
    """``hasattr`` and ``getattr`` know that a number has no formula; ``n.expr`` asks the object itself."""

    class Asks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                _ = x.shape[0].expr  # type: ignore[attr-defined]
            except AttributeError:
                return x * 2
            return x

    model = Asks()
    assert not fxcount.analyze(model, "B,3").verify()


def test_the_command_line_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "verified_nets.py").write_text(
        "from torch import nn\ndef same(ab): return ab[0] is ab[1]\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.conv, self.point = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 1)\n    def forward(self, x):\n"
        "        return self.conv(x) if same({0: x.shape[2], 1: x.shape[3]}) else self.point(x)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["verified_nets:Net", "B,3,H,W", "--verify"]) == 1
    text = capsys.readouterr().out
    assert "DIFFERS" in text
    assert "op 0 (conv2d)" in text
    assert "verified_nets.py:8" in text
    assert main(["verified_nets:Net", "B,3,H,50", "--verify", "--execute"]) == 0


@pytest.mark.parametrize("training", [False, True])
def test_a_plain_model_agrees_and_is_left_as_found(training: bool) -> None:
    model = Plain().train(training)
    with torch.no_grad():
        model.norm.running_mean.fill_(0.5)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    mark, state = fingerprint(model), torch.get_rng_state()
    found = fxcount.analyze(model, "B,3,H,W", scale=2.0).verify(n=6, execute=True)
    assert found
    assert not found.refused
    assert len(found.checked) == 6
    assert len(found.executed) >= 3, str(found)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert fingerprint(model) == mark
    assert model.calls == [0]
    assert torch.equal(torch.get_rng_state(), state)
    assert len({tuple(v.items()) for v in found.checked}) == 6


def test_a_graph_that_computes_something_else_is_found() -> None:
    class Counts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * (2.0 if _is_plain([x.shape[0]]) else 3.0)  # the same counts, other numbers

    model = Counts()
    report = fxcount.analyze(model, "B,3")
    assert report.verify()
    found = report.verify(execute=True)
    assert not found
    assert found.differences[0].what == "outputs of the run"


def test_sizes_are_drawn_from_the_domain() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            b, n = x.shape
            assert n > 40
            return x.view(b, n // 32, 32).sum(-1)

    model = Net()
    report = fxcount.analyze(model, "B,N", hints={"N": 224})
    drawn = list(admitted_sizes(report, 12))
    assert len(drawn) == 12
    sizes = {v["N"] for v in drawn}
    assert all(n % 32 == 0 and n > 40 for n in sizes)
    assert min(sizes) == 64
    assert max(sizes) > 10_000
    assert len(sizes) > 4
    assert 1 in {v["B"] for v in drawn}
    assert any(v["B"] > 1000 for v in drawn)
    assert list(admitted_sizes(report, 12)) == drawn  # the seed decides
    assert report.verify(n=12)


def test_what_the_model_refuses_is_no_difference() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if _is_plain([x.shape[0]]) and x.shape[0] > 7:
                raise ValueError("seven is enough")
            return x * 2

    model = Net()
    found = fxcount.analyze(model, "B,3").verify()
    assert found
    assert found.refused
    assert "seven is enough" in str(found.refused[0])


def test_numbers_alone_are_verified_at_themselves() -> None:
    model = LooksAtTheType()
    report = fxcount.analyze(model, "B,3,H,W").at(B=2, H=5, W=7)
    found = report.verify()
    assert found.checked == ({"B": 2, "H": 5, "W": 7},)
    assert not found
    assert fxcount.analyze(model, (2, 3, 5, 7)).verify()


def test_a_size_that_data_decide() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.linear(x[mask])

    model = Net()
    found = fxcount.analyze(model, "S,3", "bool[S]").verify(execute=True)
    assert found, str(found)
    assert len(found.checked) == 5


def test_a_model_that_is_gone_or_elsewhere() -> None:
    report = fxcount.analyze(Plain(), "B,3,H,W")
    gc.collect()
    with pytest.raises(AssumptionError, match="gone"):
        report.verify()
    model = Plain()
    report = fxcount.analyze(model, "B,3,H,W")
    assert report.recipe is not None
    assert pickle.loads(pickle.dumps(report.recipe)).model() is None
    with pytest.raises(AssumptionError, match="read from a file"):
        fxcount.load(report.to_graph_json()).verify()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.train(), "training was False, is True"),
        (lambda m: setattr(m.conv, "stride", (1, 1)), "conv.stride"),
        (lambda m: setattr(m, "head", nn.Linear(8, 6)), "head is another Linear"),
        (lambda m: m.half(), r"conv.weight was \(8, 3, 3, 3\) torch.float32, is"),
        (lambda m: m.conv.weight.requires_grad_(False), "conv.weight"),
        (lambda m: m.conv.register_parameter("bias", None), "parameters and buffers"),
        (lambda m: setattr(m.conv, "weight", nn.Parameter(m.conv.weight.detach().clone())), "conv.weight is another tensor"),
        (lambda m: setattr(m, "extra", 7), "plain attributes"),
    ],
)
def test_a_model_that_has_changed(change: Any, words: str) -> None:
    model = Plain().eval()
    report = fxcount.analyze(model, "B,3,H,W")
    change(model)
    with pytest.raises(AssumptionError, match=words):
        report.verify()


def test_a_step_of_training_is_no_change() -> None:
    model = Plain()
    report = fxcount.analyze(model, "B,3,H,W")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(2, 3, 9, 9))["logits"][0].sum().backward()
    optimizer.step()
    assert report.verify(n=2)


def test_surroundings_are_those_of_the_analysis() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.linear(x)
            return y @ y.t() if torch.is_grad_enabled() else y + torch.zeros(5)

    model = Net()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        report = fxcount.analyze(model, "B,3")
    before = Surroundings.now()
    assert report.verify(n=3, execute=True)
    assert Surroundings.now() == before
    assert fxcount.analyze(model, "B,3").verify(n=3, execute=True)


def test_files_and_graphs(tmp_path: Path) -> None:
    model = nn.Linear(3, 5)
    program = torch.export.export(model, (torch.zeros(4, 3),), dynamic_shapes=({0: torch.export.Dim("b")},))
    torch.export.save(program, tmp_path / "net.pt2")
    assert fxcount.analyze(str(tmp_path / "net.pt2"), "B,3").verify(n=2)
    assert fxcount.analyze(program, "B,3").verify(n=2)
    graph = torch.fx.symbolic_trace(model)
    assert fxcount.analyze(graph, "B,3").verify(n=2, execute=True)


def test_what_cannot_be_run() -> None:
    with torch.device("meta"):
        model = nn.Linear(3, 5)
    report = fxcount.analyze(model, "B,3")
    assert report.verify(n=2)
    with pytest.raises(InputError, match="not on the CPU"):
        report.verify(execute=True)


def test_further_keyword_inputs() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor, hints: torch.Tensor, strict: bool = False) -> torch.Tensor:
            return x @ hints if strict else x

    model = Net()
    report = fxcount.analyze(model, "B,3", kwargs={"hints": "3,5", "strict": True})
    assert str(report.macs) == "15*B"
    assert report.verify(n=2, execute=True)
    with pytest.raises(InputError, match="twice"):
        fxcount.analyze(nn.Linear(3, 5), input="B,3", kwargs={"input": "B,3"})
