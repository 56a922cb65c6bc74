"""Before any test: torchvision can be imported, transformers stays offline."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

os.environ.pop("COLUMNS", None)  # which a parallel run sets, and tables would fit
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import pytest
import torch

from fxcount.adapters import torchvision_ops as torchvision_ops


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/*.txt anew")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Ids without memory addresses, so that every worker of a parallel run collects the same tests."""
    text = repr(val)
    return re.sub(r" (of type object )?at 0x[0-9a-f]+", "", text) if " at 0x" in text else None


@pytest.fixture
def fresh_dynamo() -> Iterator[None]:
    """Dynamo remembers by code which sizes it has seen, also those of other tests, and makes the next one a symbol."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture(autouse=True)
def same_randomness() -> None:
    """Every test draws the same random numbers, alone or in company."""
    torch.manual_seed(2)
