"""Every example in the documentation runs and gives what it says."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", [p for p in DOCS if ">>>" in p.read_text(encoding="utf-8")], ids=lambda p: p.name)
def test_examples_run(page: Path) -> None:
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried
    assert not failed


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Every page is in a table of contents, every link has a target, every docstring of the API is well formed."""
    for needed in ("sphinx", "furo", "myst_nb"):
        pytest.importorskip(needed)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [*command, "-c", str(ROOT / "docs"), str(ROOT), str(tmp_path / "site")], capture_output=True, text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"}, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    api = (tmp_path / "site" / "docs" / "api.html").read_text(encoding="utf-8")
    assert (tmp_path / "site" / "index.html").exists()
    import fxcount

    documented = set(re.findall(r'id="fxcount\.(\w+)"', api)) | set(re.findall(r'id="fxcount\.errors\.(\w+)"', api))
    assert set(fxcount.__all__) - documented <= {"__version__"}
