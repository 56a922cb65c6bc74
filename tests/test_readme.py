"""The README shows what the program prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fxcount.cli.main import main

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_picture_is_what_the_demo_prints(capsys: pytest.CaptureFixture[str]) -> None:
    picture = re.search(r"```text\n(.*?)\n```", README, re.DOTALL)
    assert picture is not None
    assert main(["demo"]) == 0
    assert picture[1].splitlines() == capsys.readouterr().out.splitlines()
