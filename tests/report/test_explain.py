"""``fxcount explain``: what is said of an op is what its rules do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import fxcount
from fxcount.cli import main
from fxcount.errors import InputError
from fxcount.ops import REGISTRY
from fxcount.report.views.explain import callable_of, explained, in_a_line, named_op, page


@pytest.mark.parametrize(("name", "wanted"), [
    ("conv2d", "conv2d"), ("torch.nn.functional.conv2d", "conv2d"), ("aten::linalg_qr", "linalg.qr"),
    ("torch.linalg.qr", "linalg.qr"),
    ("F.gelu", "gelu"), ("relu_", "relu_"), ("torch.Tensor.add", "add"),
])  # fmt: skip
def test_an_op_is_found_as_people_call_it(name: str, wanted: str) -> None:
    assert named_op(name).name == wanted


def test_a_misspelt_op_has_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'softmax'"):
        named_op("softmx")


def test_every_op_can_be_explained() -> None:
    for entry in REGISTRY.ops:
        text = explained(entry)
        assert text.startswith(entry.name)
        assert f"counts: {in_a_line(entry)}" in text
        assert in_a_line(entry)
        assert " object at 0x" not in text
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(REGISTRY.ops)


def test_the_rule_that_is_shown_is_the_rule() -> None:
    text = explained(named_op("linear"))
    assert "def linear_cost(" in text
    assert "fxcount/ops/contraction/matmul.py:" in text
    assert "  autocast: " in text


def test_one_call_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "conv2d", "B,3,H,W", "8,3,1,1"]) == 0
    assert "  macs: 24*B*H*W\n" in capsys.readouterr().out
    assert main(["explain", "softmax", "B,7", "dim=-1"]) == 0
    assert "write_bytes: 28*B" in capsys.readouterr().out
    assert main(["explain", "nothing_like_it"]) == 2


def test_the_function_of_an_op_calls_it_alone() -> None:
    report = fxcount.analyze(callable_of(named_op("linalg.qr")), "B,5,5")
    assert [row.op for row in report.ops] == ["linalg.qr"]
    assert callable_of(named_op("relu"))(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]


def test_the_page_lists_every_op() -> None:
    """``fxcount explain all`` writes docs/ops.md anew."""
    written = (Path(__file__).parents[2] / "docs/ops.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([^`]+)` \|", written, re.MULTILINE))
    assert {entry.name for entry in REGISTRY.ops} <= listed
