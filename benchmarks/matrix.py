"""Which Python and torch fxcount works with: a virtual environment each, the core tests and the demo, one after the other.

``python benchmarks/matrix.py 3.11:2.6.0 3.13:2.9.1 3.12:2.13.0=/path/to/env`` tests these pairs and puts a row for each
into docs/compatibility.md, in the place of the row it had; rows of other pairs stay. An environment is built in ``--root``
and deleted afterwards (a CUDA build of torch takes 5 to 7 GB); one given after ``=`` is used as it is. Pythons are found
on the PATH or among pyenv's.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Pair", "Row", "main"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/compatibility.md"
CORE = ("tests/ops", "tests/symbolic", "tests/trace", "tests/passes")
BEGIN, END = "<!-- table: written by benchmarks/matrix.py -->", "<!-- end of table -->"
HEAD = ("Python", "torch", "passed", "failed", "skipped", "demo", "what fails")
_SHOWN = 6  # tests that fail, named in a row


@dataclass(frozen=True)
class Pair:
    """A Python (``3.12``) and a torch (``2.9.1``); ``environment`` if there is one already."""

    python: str
    torch: str
    environment: Path | None = None

    @staticmethod
    def parse(text: str) -> Pair:
        """
        >>> Pair.parse("3.11:2.6.0")
        Pair(python='3.11', torch='2.6.0', environment=None)
        """
        pair, _, environment = text.partition("=")
        python, _, torch = pair.partition(":")
        if not re.fullmatch(r"3\.\d+", python) or not re.fullmatch(r"\d+\.\d+\.\d+", torch):
            raise argparse.ArgumentTypeError(f"{text!r} is not PYTHON:TORCH[=ENVIRONMENT], such as 3.12:2.9.1")
        return Pair(python, torch, Path(environment) if environment else None)


@dataclass(frozen=True)
class Row:
    """What one pair gave, as it stands in the table."""

    python: str
    torch: str
    passed: int
    failed: int
    skipped: int
    demo: str
    fails: str

    def cells(self) -> tuple[str, ...]:
        return (
            self.python, self.torch, str(self.passed), str(self.failed), str(self.skipped), self.demo, self.fails
        )  # fmt: skip

    def place(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """In the table: by torch, then by Python."""
        numbers = [tuple(int(n) for n in re.findall(r"\d+", text)) for text in (self.torch, self.python)]
        return numbers[0], numbers[1]

    @staticmethod
    def read(line: str) -> Row | None:
        """
        >>> Row.read("| 3.11 | 2.6.0 | 5 | 1 | 0 | runs | test_x |").failed
        1
        """
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) != len(HEAD) or not re.fullmatch(r"3\.\d+", cells[0]):
            return None
        return Row(cells[0], cells[1], int(cells[2]), int(cells[3]), int(cells[4]), cells[5], cells[6])


def interpreter(version: str) -> str:
    """A Python of that version that runs: the PATH has names of pyenv's that do not."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in (*sorted(versions.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}")):
        if found is None:
            continue
        asked = [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True)
        if done.stdout.strip() == version:
            return str(found)
    raise SystemExit(f"there is no Python {version} here")


def build(pair: Pair, root: Path) -> Path:
    """A new environment with this torch, fxcount and what its tests need; its path."""
    place = root / f"python{pair.python}-torch{pair.torch}"
    subprocess.run([interpreter(pair.python), "-m", "venv", "--clear", str(place)], check=True)
    wanted = [f"torch=={pair.torch}", f"{ROOT}[test]"]
    subprocess.run([str(place / "bin/pip"), "install", "-q", *wanted], check=True)
    return place


def run(environment: Path, workers: str) -> tuple[ET.Element, bool]:
    """The core tests' report in JUnit's XML, and whether the demo runs; on a copy, away from the repository's files."""
    python = environment / "bin/python"
    with tempfile.TemporaryDirectory() as work:
        for part in ("fxcount", "tests", "benchmarks", "docs", "README.md", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, Path(work) / part)
        calm = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": work}
        demo = subprocess.run([python, "-m", "fxcount", "demo"], cwd=work, env=calm, capture_output=True)
        report = Path(work) / "report.xml"
        subprocess.run(
            [python, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider", "--tb=line", f"--junitxml={report}", *CORE],
            cwd=work, env=calm,
        )  # fmt: skip
        if not report.exists():
            raise SystemExit(f"the tests did not start in {environment}")
        return ET.parse(report).getroot(), demo.returncode == 0


def counted(report: ET.Element, pair: Pair, demo: bool) -> Row:
    """The row of one run.

    >>> cases = "<testcase name='t[1]' classname='tests.ops.test_x'><failure/></testcase><testcase name='u' classname='a'/>"
    >>> counted(ET.fromstring(f"<r>{cases}</r>"), Pair("3.11", "2.6.0"), True).cells()[2:]
    ('1', '1', '0', 'runs', 'test_x::t')
    """
    kinds: Counter[str] = Counter()
    failing: Counter[str] = Counter()
    for case in report.iter("testcase"):
        outcome = next((k.tag for k in case if k.tag in ("failure", "error", "skipped")), "passed")
        kinds["failed" if outcome in ("failure", "error") else outcome] += 1
        if outcome in ("failure", "error"):
            name = case.get("name", "").partition("[")[0]
            failing[f"{case.get('classname', '').rpartition('.')[2]}::{name}"] += 1
    named = [f"{name} ({n})" if n > 1 else name for name, n in failing.most_common(_SHOWN)]
    named += [f"{len(failing) - _SHOWN} more"] if len(failing) > _SHOWN else []
    return Row(
        pair.python, pair.torch, kinds["passed"], kinds["failed"], kinds["skipped"], "runs" if demo else "fails",
        ", ".join(named) or "-",
    )  # fmt: skip


def written(page: str, rows: Iterable[Row]) -> str:
    """The page with these rows in its table, in the place of those of the same pair.

    >>> row = Row("3.11", "2.6.0", 5, 0, 1, "runs", "-")
    >>> written(f"a\\n{BEGIN}\\n{END}\\nb\\n", [row]).splitlines()[-3]
    '| 3.11 | 2.6.0 | 5 | 0 | 1 | runs | - |'
    """
    head, rest = page.split(BEGIN)
    old, tail = rest.split(END)
    kept = {(r.python, r.torch): r for r in map(Row.read, old.splitlines()) if r is not None}
    kept.update({(r.python, r.torch): r for r in rows})
    lines = [HEAD, ("---",) * len(HEAD), *(r.cells() for r in sorted(kept.values(), key=Row.place))]
    return f"{head}{BEGIN}\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + f"\n{END}{tail}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", type=Pair.parse, metavar="PYTHON:TORCH[=ENVIRONMENT]")
    parser.add_argument("--root", type=Path, default=Path(tempfile.gettempdir()) / "fxcount-matrix")
    parser.add_argument("--keep", action="store_true", help="leave the environments where they are")
    parser.add_argument("-n", "--workers", default="auto", help="processes of pytest (auto)")
    options = parser.parse_args(argv)
    options.root.mkdir(parents=True, exist_ok=True)
    for pair in options.pairs:
        environment = pair.environment or build(pair, options.root)
        try:
            report, demo = run(environment, options.workers)
            row = counted(report, pair, demo)
        finally:
            if pair.environment is None and not options.keep:
                shutil.rmtree(environment)
        print(" | ".join(row.cells()), flush=True)
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), [row]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
