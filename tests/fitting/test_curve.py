"""Curves over models that are built for one size each: every point is a fresh build's, counted by torch."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.cli import main
from fxcount.errors import InputError


class Fixed(nn.Module):
    """Insists on its size, as patch embeddings of vision transformers do."""

    def __init__(self, H: int, patch: int = 4) -> None:
        super().__init__()
        if H % patch:
            raise ValueError(f"{H} is no multiple of {patch}")
        self.size = H
        self.embed, self.mix = nn.Conv2d(3, 7, patch, patch), nn.Linear((H // patch) ** 2, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2:] == (self.size, self.size), "built for another size"
        return self.mix(self.embed(x).flatten(2))


def _by_torch(model: nn.Module, *shape: int) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.zeros(shape, device="meta"))
    return counter.get_total_flops() // 2


def test_every_point_is_a_build():
    built = []

    def build(H: int) -> nn.Module:
        built.append(H)
        return Fixed(H)

    found = fxcount.curve(build, "B,3,{H},{H}", H=range(4, 37, 4), B=[1, 11])
    assert built == list(range(4, 37, 4))  # once each, for all of B
    assert (len(found), len(found.pieces)) == (18, 9)
    assert found.free == ("H", "B")
    for row in found.rows:
        H, B = row.sizes["H"], row.sizes["B"]
        with torch.device("meta"):
            model = Fixed(H)
        assert row.macs == _by_torch(model, B, 3, H, H)
        assert row.params == sum(p.numel() for p in model.parameters())
    assert found.pieces[found.rows[-1].piece].hints["H"] == 36


def test_sizes_that_cannot_be_built_say_why():
    found = fxcount.curve(Fixed, "B,3,{H},{H}", H=range(4, 13, 2), B=1)
    assert [row.macs is None for row in found.rows] == [False, True, False, True, False]
    assert found.rows[1].refused == "ValueError: 6 is no multiple of 4"
    with pytest.raises(ValueError, match="5 is no multiple of 4"):  # a mistake: nothing works
        fxcount.curve(Fixed, "B,3,{H},{H}", H=[5, 6, 7], B=1)


def test_ties_and_names_that_only_the_inputs_have():
    """T follows what the model was built for; n is in the inputs alone."""
    found = fxcount.curve(lambda H: nn.Linear(H, 3), "T,{n},{H}", H=[5, 7], T="2*H", n=[2, 3])
    assert [(r.sizes["T"], r.sizes["n"], r.macs) for r in found.rows] == [
        (10, 2, 2 * 10 * 15), (10, 3, 3 * 10 * 15), (14, 2, 2 * 14 * 21), (14, 3, 3 * 14 * 21)
    ]  # fmt: skip
    side = fxcount.curve(lambda H, patch: Fixed(H, patch), "1,3,{H},{H}", H="4*patch", patch=[2, 3])
    assert [r.sizes for r in side.rows] == [{"H": 8, "patch": 2}, {"H": 12, "patch": 3}]
    with pytest.raises(InputError, match="follows a symbol of the inputs"):
        fxcount.curve(Fixed, "B,3,{H},{H}", H="4*B", B=[1, 2])


def test_one_model_whose_loops_need_the_number():
    class Loop(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x[:, 0]
            for t in range(1, x.shape[1]):
                y = y * x[:, t]
            return y

    found = fxcount.curve(Loop(), "B,{S},5", S=[1, 4, 9], B=2)
    assert [row.flops for row in found.rows] == [0, 3 * 10, 8 * 10]


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["curve", "tests.fitting.test_curve:Fixed", "B,3,{H},{H}", "--arg", "H={H}", "--set", "B=2"]
    assert main([*words, "--over", "H=4:36:8", "-o", "curve.csv"]) == 0
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [(int(r["H"]), int(r["macs"])) for r in rows] == [
        (H, 2 * (7 * 48 * (H // 4) ** 2 + 7 * 5 * (H // 4) ** 2)) for H in (4, 12, 20, 28, 36)
    ]
    capsys.readouterr()
    assert main([*words[:2], "--arg", "H={H}", "--over", "H=4:36:8"]) == 2
    assert "needs its inputs spelled out" in capsys.readouterr().err
    assert main([*words, "--over", "Q=4:36:8"]) == 2
    assert "Q is neither in the inputs nor in what builds the model" in capsys.readouterr().err


def test_a_vision_transformer_of_timm():
    timm = pytest.importorskip("timm")
    import fxcount.adapters.torchvision_ops

    def build(H: int) -> nn.Module:
        return timm.create_model("vit_tiny_patch16_224", img_size=H).eval()

    found = fxcount.curve(build, "1,3,{H},{H}", H=[64, 224, 240])
    for row in found.rows:
        with torch.device("meta"):
            model = build(row.sizes["H"])
        assert row.macs == _by_torch(model, 1, 3, row.sizes["H"], row.sizes["H"])
