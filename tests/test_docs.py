"""Every example in the documentation runs and gives what it says."""

from __future__ import annotations

import doctest
import functools
import inspect
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


_MET = (property, functools.cached_property, classmethod)


def _of_a_rules_author() -> list[type]:
    from fxcount import ops
    from fxcount.symbolic import Scope

    return [ops.Op, ops.TensorFact, ops.SparseFact, ops.ModuleFact, ops.Alias, ops.Work, ops.Zero, Scope]


def test_what_a_user_meets_says_what_it_is() -> None:
    """Every public name of fxcount, what its functions return, what an author of a rule is given: each public method and
    property has a docstring."""
    import fxcount

    public = [getattr(fxcount, name) for name in fxcount.__all__ if name != "__version__"]
    silent = [found.__name__ for found in public if not inspect.getdoc(found)]
    for kind in [*(found for found in public if isinstance(found, type)), *_of_a_rules_author()]:
        own = [
            (name, member) for base in kind.__mro__ if base.__module__.startswith("fxcount")
            for name, member in vars(base).items()
            if not name.startswith("_") and (callable(member) or isinstance(member, _MET))
        ]  # fmt: skip
        silent += [f"{kind.__name__}.{name}" for name, member in own if not inspect.getdoc(getattr(kind, name, member))]
    assert silent == []
