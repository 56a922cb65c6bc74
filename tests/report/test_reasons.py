"""Why something is assumed, in words: the line of the model, the comment above it, and the sizes that it compares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import fxcount


class Windows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = -(-x.shape[1] // 7)
        # One window covers everything: nothing is shifted.
        # (as the paper says)
        if rows * 7 > 7:
            x = x.roll(1, 1)
        return x @ x.mT if x.shape[2] >= 5 else x + 1


def test_the_line_its_comment_and_the_sizes() -> None:
    first, second = fxcount.analyze(Windows(), "B,H,W", hints={"H": 23, "W": 11}).assumptions
    assert (str(first), first.line) == ("H >= 8", "if rows * 7 > 7:")
    assert first.why == (
        '`if rows * 7 > 7:` decides ("One window covers everything: nothing is shifted."): '
        "the model asks whether 7*ceil(H/7) > 7"
    )
    assert second.why == "`return x @ x.mT if x.shape[2] >= 5 else x + 1` decides: the model asks whether W >= 5"


def test_errors_and_tables_quote() -> None:
    report = fxcount.analyze(Windows(), "B,H,W", hints={"H": 23, "W": 11})
    with pytest.raises(fxcount.AssumptionError, match=r"`if rows \* 7 > 7:` decides .*7\*ceil\(H/7\) > 7"):
        report.at(B=1, H=7, W=11, extend=False)
    assert "assumes H >= 8: `if rows * 7 > 7:`" in report.table()


def test_a_file_has_the_quotes_and_opens_no_other_file(tmp_path: Path) -> None:
    report = fxcount.analyze(Windows(), "B,H,W", hints={"H": 23, "W": 11})
    data = json.loads(report.to_graph_json())
    (tmp_path / "report.json").write_text(json.dumps(data), encoding="utf-8")
    loaded = fxcount.load(tmp_path / "report.json")
    assert [a.why for a in loaded.assumptions] == [a.why for a in report.assumptions]
    assert loaded == report
    secret = tmp_path / "secret.txt"
    secret.write_text("do not tell\n", encoding="utf-8")
    stack = [data]
    while stack:  # as an earlier version wrote it, by someone who would like to see a file of ours
        part = stack.pop()
        if isinstance(part, dict):
            if "relation" in part:
                part.pop("quote")
                part["where"] = f"{secret}:1"
            stack += part.values()
        elif isinstance(part, list):
            stack += part
    (tmp_path / "report.json").write_text(json.dumps(data), encoding="utf-8")
    loaded = fxcount.load(tmp_path / "report.json")
    assert [a.line for a in loaded.assumptions] == ["", ""]
    assert "do not tell" not in loaded.table()


def test_what_is_too_long_to_read_is_left_out() -> None:
    class Many(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes = sum((x.shape[1] + k) // (k + 2) for k in range(12))
            return x if sizes > 3 else x + 1

    (first, *_) = fxcount.analyze(Many(), "B,H", hints={"H": 23}).assumptions
    assert first.reason == "the model compares sizes by >"
