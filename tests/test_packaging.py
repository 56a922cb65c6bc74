"""What an installation needs, and what it says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import fxcount

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

WITHOUT = """
import sys
for extra in {extras}:
    sys.modules[extra] = None        # importing it raises ImportError
import torch, fxcount
model = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(), torch.nn.Flatten())
report = fxcount.analyze(model, "B,3,H,W")
assert report.at(B=2, H=7, W=7).macs == 2 * 5 * 5 * 5 * 27
assert str(report) and report.to_json() and report.to_csv("ops") and report.to_markdown("modules")
assert report.to_html() and report.to_svg(1)
assert fxcount.training_step(model, "B,3,H,W", optimizer="adamw").at(B=2, H=7, W=7).total_peak
from fxcount.cli import main
assert main(["demo"]) == 0
assert main(["resnet50"]) == 2       # says what to install
"""


def test_nothing_optional_is_needed() -> None:
    extras = "torchvision timm transformers diffusers pandas matplotlib pebble argcomplete distributed".split()
    done = subprocess.run([sys.executable, "-c", WITHOUT.format(extras=extras)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install torchvision timm transformers" in done.stderr


def test_versions_agree() -> None:
    assert PROJECT["version"] == fxcount.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {fxcount.__version__}\n" in citation
    assert f'license: {PROJECT["license"]}\n' in citation


def test_constraints_name_what_the_extras_need() -> None:
    """So that a run of the tests has the same versions wherever it is."""
    pinned = {re.split("==", line)[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line}
    needed = {
        re.split(r"[<>=\\[; ]", name)[0]
        for extra in ("test", "dev", "docs", "notebooks", "plot", "models")
        for name in PROJECT["optional-dependencies"][extra]
    } - {"fxcount"}
    assert needed - pinned == set()
