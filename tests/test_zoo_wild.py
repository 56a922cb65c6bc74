"""The family of packages outside the zoos: its tables are sane, and what a line of them becomes."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.zoo import wild
from benchmarks.zoo.entry import Entry, Inputs
from benchmarks.zoo.gradients import compare_dead
from benchmarks.zoo.measure import Options, measure
from benchmarks.zoo.results import added
from benchmarks.zoo.wild.model import Model, built, image, of

FOLDER = Path(wild.__file__).parent
MODELS = [model for file in wild._FILES for model in file.MODELS]


def test_tables_name_no_model_twice_and_give_every_symbol_two_sizes() -> None:
    twice = [name for name, n in Counter((m.package, m.name) for m in MODELS).items() if n > 1]
    assert not twice
    for model in MODELS:
        inputs = model.entry().inputs(nn.Identity())
        assert set(inputs.asked) == set(model.hints), (model.package, model.name)
        assert set(model.other) <= set(model.hints), (model.package, model.name)


def test_many_packages() -> None:
    assert len({m.package for m in MODELS}) >= 41


def test_the_second_size_of_a_line_is_the_first_step_that_is_tried() -> None:
    entry = image("torch", "conv", built("torch.nn:Conv2d", 3, 5, 3), (2, 17, 19), (3, 17, 31)).entry()
    inputs = entry.inputs(entry.build())
    assert entry.name == "torch.conv"
    assert entry.file == "torch"
    assert inputs.hints == {"B": 2, "H": 17, "W": 19}
    assert inputs.steps_of("B")[0] == 1
    assert inputs.steps_of("W")[0] == 12
    assert "H" not in inputs.steps  # which the line leaves where it is


def test_a_line_becomes_a_record() -> None:
    records: list[dict[str, Any]] = []
    model: Model = of("torch", "linear", built("torch.nn:Linear", 3, 5), "f32[B,3]", {"B": 2}, {"B": 7})
    measure(model.entry(), Options(proof=True), records.append)
    last = records[-1]
    assert last["key"] == "wild/torch.linear"
    assert last["other"] == {"B": 7}
    assert [c["twice_macs"] for c in last["reference"]] == [60, 210]
    assert last["dead"] == {"status": "equal", "number": 0}


class _Recomputes(torch.autograd.Function):
    """A backward that runs the layer again and fills the gradients of its parameters itself, as reversible nets do."""

    @staticmethod
    def forward(ctx, x, layer):  # type: ignore[no-untyped-def]
        ctx.layer = layer
        ctx.save_for_backward(x)
        with torch.no_grad():
            return layer(x)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            ctx.layer(x).backward(grad)
        return x.grad, None


class _Net(nn.Module):
    def __init__(self, idle: bool) -> None:
        super().__init__()
        self.first, self.inner, self.idle = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3) if idle else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Recomputes.apply(self.first(x), self.inner)  # type: ignore[no-any-return, no-untyped-call]


@pytest.mark.parametrize("idle", [False, True])
def test_dead_is_what_a_backward_leaves_without_gradient(idle: bool) -> None:
    import fxcount

    entry = Entry("test", "net", "f", lambda: _Net(idle), lambda model: Inputs())
    inputs = Inputs(("f32[B,3]",), hints={"B": 2})
    found = compare_dead(entry, fxcount.analyze(entry.build(), "f32[B,3]", hints={"B": 2}), inputs, {"B": 5})
    assert found == {"status": "equal", "number": 2 if idle else 0}


def test_a_family_run_alone_has_its_section() -> None:
    found: list[dict[str, Any]] = []
    for size in (3, 5):
        model = of("torch", f"linear{size}", built("torch.nn:Linear", size, 7), f"f32[B,{size}]", {"B": 2}, {"B": 11})
        measure(model.entry(), Options(proof=True), lambda record: found.append(dict(record)))
    page = added("# A page\n\nof others\n", found[-1:])
    assert page.startswith("# A page\n\nof others\n\n<!-- section: wild -->")
    assert "| models | 1 |" in page
    again = added(page + "\nand more\n", [found[-1], {**found[-1], "name": "other"}])
    assert "| models | 2 |" in again
    assert "| models | 1 |" not in again
    assert again.endswith("and more\n")
    fell_short = again.replace("of others\n", "of others\n\n## What fell short, of 3 models\n")
    three = added(fell_short, [{**found[-1], "family": "timm"}])
    assert [line for line in three.splitlines() if line.startswith("## ")] == ["## wild", "## timm"]
    assert three.count("### What fell short") == 2


def test_the_install_script_is_one() -> None:
    script = FOLDER / "install.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8")
    for package in {m.package for m in MODELS}:
        names = {package.lower(), package.lower().replace("_", "-")}
        known = {"neuralop": "neuraloperator", "open_clip": "open_clip_torch", "segment_anything": "segment-anything"}
        assert any(name in text.lower() for name in {*names, known.get(package, package)}), package
