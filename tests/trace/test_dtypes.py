"""Dtypes and modes: what eager torch makes of a model under autocast, in half precision, in training."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import fxcount


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.drop = nn.Dropout(0.5)
        self.bn = nn.BatchNorm2d(8)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = self.bn(self.conv(x)).flatten(2).mT
        q, k, v = self.qkv(self.norm(y)).chunk(3, -1)
        a = nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])
        return y, q, a, torch.cat([a.float(), a], -1), nn.functional.mse_loss(self.drop(a), a), (q @ k.mT).softmax(-1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype) -> None:
    model, x = Mixed().eval(), torch.randn(3, 3, 7, 11)
    with torch.autocast("cpu", dtype=dtype):
        expected = [t.dtype for t in model(x)]
        report = fxcount.analyze(model, "B,3,H,W")
    assert [v.fact.dtype for v in report.trace.values_out()] == expected
    assert report.macs == fxcount.analyze(model, "B,3,H,W").macs


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_models_of_other_precision(dtype: torch.dtype) -> None:
    model = Mixed().to(dtype).eval()
    report = fxcount.analyze(model, "B,3,H,W")
    assert {v.fact.dtype for v in report.trace.inputs} == {dtype}
    real = model(torch.randn(2, 3, 5, 7, dtype=dtype))
    assert [v.fact.dtype for v in report.trace.values_out()] == [t.dtype for t in real]


def test_training_differs_where_it_does() -> None:
    model = Mixed()
    training, inference = fxcount.analyze(model.train(), "B,3,H,W"), fxcount.analyze(model.eval(), "B,3,H,W")
    assert training.macs == inference.macs
    assert training.flops != inference.flops
    written = {i for c in training.trace.calls if c.op.name == "batch_norm" for i in c.mutated}
    assert {training.trace.storages[i].name for i in written} == {"bn.running_mean", "bn.running_var"}
    assert not [c for c in inference.trace.calls if c.op.name == "batch_norm" and c.mutated]


class Layouts(TorchDispatchMode):
    """Strides of every result of an eager run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.seen.append(out.stride())
        return out


def test_channels_last_goes_through() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)).eval()
    x = torch.randn(2, 3, 9, 13).to(memory_format=torch.channels_last)
    report = fxcount.analyze(model, x)
    with torch.no_grad():
        y = model(x)
    (out,) = report.trace.values_out()
    assert tuple(out.fact.stride()) == y.stride()


def test_views_share_storage_and_in_place_ops_write_it() -> None:
    class Views(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.clone()
            y.view(-1)[0].add_(1)
            return y.mT

    trace = fxcount.analyze(Views(), "B,3").trace
    by_name = {c.op.name: c for c in trace.calls}
    storage = by_name["clone"].outputs[0].storage
    assert by_name["add_"].mutated == (storage,)
    assert trace.values_out()[0].storage == storage
    assert len(trace.storages) == 2  # the input and the clone
