"""Ways to train: checkpoints, autocast, adapters, hooks, offloading, gradients in the forward: bytes of a real step, 0 off."""

from __future__ import annotations

import gc
import importlib.util

import pytest
import torch

from benchmarks.steps.ways import WAYS, Way

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")


@pytest.mark.parametrize("name", [n for n, way in WAYS.items() if isinstance(way, Way)])
def test_a_step_holds_what_a_real_one_holds(name: str) -> None:
    if name.startswith("peft") and importlib.util.find_spec("peft") is None:
        pytest.skip("peft is not installed")
    torch.manual_seed(0)
    gc.collect()
    found = WAYS[name].compared()
    assert {what: ours for what, (ours, _) in found.items()} == {what: theirs for what, (_, theirs) in found.items()}
