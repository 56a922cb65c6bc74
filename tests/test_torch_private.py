"""The private names of torch: each is there and is what it is taken for, and one that is gone says so."""

from __future__ import annotations

import pytest

from fxcount import torch_private
from fxcount.torch_private import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_there(name: str) -> None:
    """Where this fails, this version of torch has moved a name: the message says which, and what fxcount needs it for."""
    assert torch_private._at(NAMES[name].path) is not None, f"fxcount needs {NAMES[name].path} to {NAMES[name].purpose}"
