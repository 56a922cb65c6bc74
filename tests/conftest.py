"""Before any test: torchvision can be imported, transformers stays offline."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

from collections.abc import Iterator

import pytest
import torch

from tests import torchvision_ops as torchvision_ops


@pytest.fixture(autouse=True)
def same_randomness() -> Iterator[None]:
    """Every test draws the same random numbers, alone or in company."""
    torch.manual_seed(2)
    yield
