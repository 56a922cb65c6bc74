"""The scripts of benchmarks/ that judge tests: mutants of rules, and the matrix of versions."""

from __future__ import annotations

import ast
import doctest
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import matrix, mutation

ROOT = Path(__file__).parent.parent
SOURCE = "def f(x, y=True):\n    return 7 if x < 2 and y is None else x + 1\n"
ONE_LIVES = """
from pathlib import Path
from fxcount import wording

def test_the_file_is_one_of_two():
    assert Path(wording.__file__).read_text(encoding="utf-8") in {texts!r}
"""


@pytest.mark.parametrize("module", [matrix, mutation])
def test_examples_of_the_scripts(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried


def test_every_mutant_is_one_change() -> None:
    """Of 4 constants, ``+``, ``and``, ``<``, ``is`` one each (None is no number), of the branch two."""
    found = [m.text for m in mutation.mutants(SOURCE)]
    assert len(found) == len({*found}) == 4 + 1 + 1 + 2 + 2
    lines = ast.unparse(ast.parse(SOURCE)).splitlines()
    for text in found:
        changed = [a for a, b in zip(lines, text.splitlines(), strict=True) if a != b]
        assert len(changed) == 1
        compile(text, "mutant", "exec")


def test_what_tests_let_live_is_named(tmp_path: Path) -> None:
    """Two mutants are drawn, always the same; the test has nothing against the file as it is and the first."""
    file = ROOT / "fxcount/wording.py"
    source = file.read_text(encoding="utf-8")
    lives, _ = random.Random(0).sample(list(mutation.mutants(source)), 2)
    tests = tmp_path / "test_wording.py"
    tests.write_text(ONE_LIVES.format(texts=[ast.unparse(ast.parse(source)), lives.text]), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.mutation", str(file), str(tests), "--most", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    named, last = done.stdout.splitlines()
    assert named == f"{file}:{lives.line}: {lives.change}"
    assert last.startswith(f"{file}: 2 of ")
