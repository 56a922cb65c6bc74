"""What the command line writes as JSON is what ``fxcount.load`` reads."""

from __future__ import annotations

from pathlib import Path

import fxcount
from fxcount.report.curves import Curve
from tests.cli.conftest import Shell


def test_the_command_line_writes_what_is_loaded(shell: Shell, tmp_path: Path) -> None:
    net = ["user_nets.py:Small", "B,3"]
    kinds = {
        "report": ([*net], fxcount.Report), "step": (["train", *net, "--optimizer", "adamw"], fxcount.TrainingReport),
        "curve": (["curve", *net, "--over", "B=1:5"], Curve),
        "comparison": (["compare", net[0], net[0], "B,3"], fxcount.Comparison),
    }  # fmt: skip
    for name, (words, kind) in kinds.items():
        file = tmp_path / f"{name}.json"
        done = shell(*words, "-o", str(file))
        assert done.status == 0, done.err
        assert f"written to {file}" in done.out
        loaded = fxcount.load(file)
        assert type(loaded) is kind
        printed = shell(*words, "--json")
        assert fxcount.load(printed.out) == loaded
        assert shell(*words, "-o", str(tmp_path / "x.exe")).status == 2
    saved = str(tmp_path / "curve.json")
    assert "holds a Curve" in shell("compare", saved, net[0], "B,3").err
