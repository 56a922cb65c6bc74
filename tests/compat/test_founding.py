"""The live comparison says what was found when the tools were first compared by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.compat.peers import peer

ROOT = Path(__file__).resolve().parents[2]
# by hand: 9 parameters and 9 * 512 * 512 products a convolution; each reads 512 * 512 + 9 numbers and writes 512 * 512
PRODUCTS, TRAFFIC = 9 * 512 * 512, 4 * (2 * 512 * 512 + 9)


@pytest.fixture
def founding(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/founding.py, imported."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.founding")


@pytest.mark.parametrize(
    ("net", "params", "unused", "calls"), [("Both", 18, "0", 2), ("Twice", 9, "0", 2), ("Unused", 18, "9 (conv2.weight)", 1)]
)
def test_fxcount_is_right(founding: ModuleType, net: str, params: int, unused: str, calls: int) -> None:
    row = founding.ours(getattr(founding, net))
    assert (row.params, row.unused) == (str(params), unused)
    assert row.work == f"{calls * PRODUCTS:,} MACs, {2 * calls * PRODUCTS:,} FLOPs"
    assert row.traffic == f"{calls * TRAFFIC:,} B"
    assert row.activations == f"{2 * calls * 4 * 512 * 512 / 1e6:.2f} MB"


# torchstat's table of the three nets, as it printed it when it still ran: MAdd, Flops, MemR+W
@pytest.mark.parametrize(
    ("net", "params", "work", "traffic", "memory"),
    [
        ("Both", "18", "8,912,896 MAdd, 4,718,592 Flops", "4,194,376 B", "2.00 MB"),
        ("Twice", "9", "4,456,448 MAdd, 2,359,296 Flops", "2,097,188 B", "1.00 MB"),
        ("Unused", "9", "4,456,448 MAdd, 2,359,296 Flops", "2,097,188 B", "1.00 MB"),
    ],
)
def test_torchstat(founding: ModuleType, net: str, params: str, work: str, traffic: str, memory: str) -> None:
    peer("torchstat")
    row = founding.torchstat(getattr(founding, net))
    assert (row.params, row.work, row.traffic, row.activations) == (params, work, traffic, memory)
    assert "__call__" not in vars(founding.nn.Conv2d)  # torchstat's patch of the class is undone


@pytest.mark.parametrize(("net", "theirs"), [("Both", ("18", "18")), ("Twice", ("18", "9")), ("Unused", ("9", "18"))])
def test_torchsummary_and_torchinfo(founding: ModuleType, net: str, theirs: tuple[str, str]) -> None:
    peer("torchsummary"), peer("torchinfo")
    kind = getattr(founding, net)
    assert (founding.torchsummary(kind).params, founding.torchinfo(kind).params) == theirs


def test_a_tool_that_is_missing_says_so(founding: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torchinfo", None)
    monkeypatch.setattr(founding, "TOOLS", (founding.torchinfo, founding.ours))
    missing, ours = founding.compare(founding.Both)
    assert missing.note.startswith("not here")
    assert "fxcount" in founding.side_by_side([missing, ours])
