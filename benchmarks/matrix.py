"""Which Python and torch fxcount works with: a virtual environment each, the core tests and the demo, one after the other.

``python benchmarks/matrix.py 3.11:2.6.0 3.13:2.9.1 3.12:2.13.0=/path/to/env`` tests these pairs and puts a row for each
into docs/compatibility.md, in the place of the row it had; rows of other pairs stay. An environment is built in ``--root``
and deleted afterwards (a CUDA build of torch takes 5 to 7 GB); one given after ``=`` is used as it is. Pythons are found
on the PATH or among pyenv's.

A run takes a copy of the repository and goes through its tests in parts; what each test gave is kept in ``--root`` as soon as
its part is done. ``--resume`` goes on with a run that was cut off, on the copy it began with. ``--again`` runs the tests that
failed once more, on the repository as it is now: a row is then of a run and of what was mended after it. A row names the
commit of its run, and after a comma that of the second one; a plus stands for changes that were not committed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Pair", "Row", "main"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/compatibility.md"
_OPINFO = "tests/ops/test_opinfo.py"  # as long as all others together
CORE: dict[str, tuple[str, ...]] = {
    "operators": (_OPINFO,), "ops": ("tests/ops", f"--ignore={_OPINFO}"), "symbolic": ("tests/symbolic",),
    "trace": ("tests/trace",), "passes": ("tests/passes",), "private": ("tests/test_torch_private.py",),
}  # fmt: skip
_COPIED = ("fxcount", "tests", "benchmarks", "docs", "README.md", "CONTRIBUTING.md", "pyproject.toml")
BEGIN, END = "<!-- table: written by benchmarks/matrix.py -->", "<!-- end of table -->"
HEAD = ("Python", "torch", "passed", "failed", "skipped", "demo", "run on", "commit", "what fails")
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
    day: str
    commit: str
    fails: str

    def cells(self) -> tuple[str, ...]:
        return (
            self.python, self.torch, str(self.passed), str(self.failed), str(self.skipped), self.demo, self.day,
            self.commit, self.fails,
        )  # fmt: skip

    def place(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """In the table: by torch, then by Python."""
        numbers = [tuple(int(n) for n in re.findall(r"\d+", text)) for text in (self.torch, self.python)]
        return numbers[0], numbers[1]

    @staticmethod
    def read(line: str) -> Row | None:
        """
        >>> Row.read("| 3.11 | 2.6.0 | 5 | 1 | 0 | runs | 2026-11-27 | 1a2b3c4 | test_x |").failed
        1
        """
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) != len(HEAD) or not re.fullmatch(r"3\.\d+", cells[0]):
            return None
        return Row(cells[0], cells[1], int(cells[2]), int(cells[3]), int(cells[4]), *cells[5:])


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


@dataclass
class Run:
    """The tests of one pair: a copy of the repository, and what each test gave on it, by its id."""

    environment: Path
    place: Path
    workers: str

    def start(self) -> None:
        """From nothing."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        self._copy()
        self._stamp("first")

    def _copy(self) -> None:
        """Away from the repository's files, which may change meanwhile."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir()
        for part in _COPIED:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, self.tree / part)

    def _stamp(self, run: str) -> None:
        """What the copy was made of."""
        (self.place / f"{run}.commit").write_text(commit())

    def commits(self) -> str:
        """Of the run, and of the one that repeated what had failed in it."""
        stamps = [self.place / f"{run}.commit" for run in ("first", "again")]
        return ", ".join(dict.fromkeys(stamp.read_text() for stamp in stamps if stamp.exists()))

    @property
    def tree(self) -> Path:
        return self.place / "tree"

    def outcomes(self) -> dict[str, str]:
        """``passed``, ``failed`` or ``skipped``, by test; ``gone``, if it has failed and is no more."""
        found: dict[str, str] = {}
        for part in (*CORE, "again"):
            kept = self.place / f"{part}.json"
            found |= json.loads(kept.read_text()) if kept.exists() else {}
        return found

    def go(self) -> None:
        """The parts that are not done."""
        for part, paths in CORE.items():
            if not (self.place / f"{part}.json").exists():
                self._test(part, paths)

    def again(self) -> None:
        """The tests that failed, with the repository's files of today."""
        failed = {test for test, outcome in self.outcomes().items() if outcome == "failed"}
        self._copy()
        self._stamp("again")
        kept = self.place / "again.json"
        found = json.loads(kept.read_text()) if kept.exists() else {}
        found |= dict.fromkeys(failed, "gone")
        if there := failed & self._collected({test.partition("::")[0] for test in failed}):
            self._test("again", there)
            found |= json.loads(kept.read_text())
        kept.write_text(json.dumps(found))

    def _collected(self, files: Iterable[str]) -> set[str]:
        """The ids of the tests in these files: one that failed may have another name now, or none."""
        command = [self.environment / "bin/python", "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
        listed = subprocess.run(command, cwd=self.tree, env=self._calm(), capture_output=True, text=True)
        return {line for line in listed.stdout.splitlines() if "::" in line}

    def _test(self, part: str, what: Iterable[str]) -> None:
        report = self.place / f"{part}.xml"
        report.unlink(missing_ok=True)
        options = ("-q", "-n", self.workers, "-p", "no:cacheprovider", "--tb=line", f"--junitxml={report}")
        subprocess.run([self.environment / "bin/python", "-m", "pytest", *options, *what], cwd=self.tree, env=self._calm())
        if not report.exists():
            raise SystemExit(f"the tests of {part} did not end in {self.environment}")
        found = outcomes_in(ET.parse(report).getroot())
        (self.place / f"{part}.json").write_text(json.dumps(found))

    def _calm(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.tree)}

    def demo(self) -> bool:
        """Whether ``fxcount demo`` runs."""
        command = [self.environment / "bin/python", "-m", "fxcount", "demo"]
        return subprocess.run(command, cwd=self.tree, env=self._calm(), capture_output=True).returncode == 0


def commit() -> str:
    """The commit of the repository, with a plus if what is copied of it has changed since; the table itself may."""
    git = ("git", "-C", str(ROOT))
    head = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
    changed = [*git, "status", "--porcelain", "--", *_COPIED, f":!{PAGE.relative_to(ROOT)}"]
    status = subprocess.run(changed, capture_output=True, text=True, check=True)
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")


def outcomes_in(report: ET.Element) -> dict[str, str]:
    """What each test of a report in JUnit's XML gave; a test is failed if its setting up or its taking down is.

    >>> cases = "<testcase name='t[1]' classname='tests.ops.test_x'><failure/></testcase><testcase name='u' classname='a'/>"
    >>> outcomes_in(ET.fromstring(f"<r>{cases}</r>"))
    {'tests/ops/test_x.py::t[1]': 'failed', 'a.py::u': 'passed'}
    """
    found: dict[str, str] = {}
    for case in report.iter("testcase"):
        test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '')}"
        kind = next((k.tag for k in case if k.tag in ("failure", "error", "skipped")), "passed")
        kind = "failed" if kind in ("failure", "error") else kind
        found[test] = "failed" if "failed" in (kind, found.get(test)) else kind
    return found


def counted(outcomes: Mapping[str, str], pair: Pair, demo: bool, day: str, commits: str) -> Row:
    """The row of one run.

    >>> outcomes = {"tests/ops/test_x.py::t[1]": "failed", "a.py::u": "passed"}
    >>> counted(outcomes, Pair("3.11", "2.6.0"), True, "2026-11-27", "1a2b3c4").cells()[2:]
    ('1', '1', '0', 'runs', '2026-11-27', '1a2b3c4', 'test_x::t')
    """
    kinds = Counter(outcomes.values())
    failing = Counter(
        f"{Path(test.partition('::')[0]).stem}::{test.partition('::')[2].partition('[')[0]}"
        for test, outcome in outcomes.items()
        if outcome == "failed"
    )
    named = [f"{name} ({n})" if n > 1 else name for name, n in failing.most_common(_SHOWN)]
    named += [f"{len(failing) - _SHOWN} more"] if len(failing) > _SHOWN else []
    return Row(
        pair.python, pair.torch, kinds["passed"], kinds["failed"], kinds["skipped"], "runs" if demo else "fails", day,
        commits, ", ".join(named) or "-",
    )  # fmt: skip


def written(page: str, rows: Iterable[Row]) -> str:
    """The page with these rows in its table, in the place of those of the same pair.

    >>> row = Row("3.11", "2.6.0", 5, 0, 1, "runs", "2026-11-27", "1a2b3c4", "-")
    >>> written(f"a\\n{BEGIN}\\n{END}\\nb\\n", [row]).splitlines()[-3]
    '| 3.11 | 2.6.0 | 5 | 0 | 1 | runs | 2026-11-27 | 1a2b3c4 | - |'
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
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--resume", action="store_true", help="go on with the runs in --root that were cut off")
    how.add_argument("--again", action="store_true", help="run only the tests that failed in the runs in --root")
    parser.add_argument("-n", "--workers", default="auto", help="processes of pytest (auto)")
    options = parser.parse_args(argv)
    options.root.mkdir(parents=True, exist_ok=True)
    for pair in options.pairs:
        environment = pair.environment or build(pair, options.root)
        try:
            run = Run(environment, options.root / f"python{pair.python}-torch{pair.torch}-run", options.workers)
            if not run.tree.exists() or not (options.resume or options.again):
                run.start()
            run.go()
            if options.again:
                run.again()
            row = counted(run.outcomes(), pair, run.demo(), datetime.date.today().isoformat(), run.commits())
        finally:
            if pair.environment is None and not options.keep:
                shutil.rmtree(environment)
        print(" | ".join(row.cells()), flush=True)
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), [row]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
