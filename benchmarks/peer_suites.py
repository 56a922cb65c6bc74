"""The tests of other tools, run on the tools themselves and with the import changed to fxcount's drop-ins.

    python benchmarks/peer_suites.py                     # all suites; or name some: torchinfo fvcore
    python benchmarks/peer_suites.py --write             # and write docs/peers.md
    python benchmarks/peer_suites.py --repository torchinfo=path/or/url

A suite comes with the tool's source archive, got by pip, or where that has no tests out of its git repository, at a fixed
revision. All of it lies in a temporary directory (``--keep DIR`` keeps it); nothing is installed. Each suite runs twice under
pytest: with the tool's package beside it, and with a finder in front of Python's that hands out ``fxcount.compat.<tool>``
under the tool's name (``peer_suite_plugin.py``). A test whose calls all pass and whose printed text alone differs is counted
apart. The exit status is 1 if a test differs for which no reason is written in this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tables import table

__all__ = ["SUITES", "Outcome", "Suite", "outcomes", "page", "run", "source"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, eq=False)
class Suite:
    """``sdist``: what pip is asked for; ``repository`` and ``revision``: where the tests are if not in there; ``files``: what
    pytest runs; ``aliases``: the names that mean drop-ins; ``text``: the function in whose frame a difference of text alone
    fails; ``reasons``: why a test differs, by the end of its name."""

    name: str
    tool: str
    sdist: str
    repository: str
    revision: str
    files: tuple[str, ...]
    aliases: Mapping[str, str]
    text: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)


SUITES: tuple[Suite, ...] = (
    Suite(
        "torchinfo", "torchinfo 1.8.0", "torchinfo==1.8.0", "TylerYep/torchinfo", "v1.8.0", ("tests",),
        {"torchinfo": "fxcount.compat.torchinfo"}, text="verify_output_str",
    ),
    Suite(
        "torchinfo-next", "torchinfo after 1.8.0", "", "TylerYep/torchinfo", "5c4164f", ("tests",),
        {"torchinfo": "fxcount.compat.torchinfo"}, text="verify_output_str",
    ),
    Suite(
        "fvcore", "fvcore 0.1.5", "fvcore==0.1.5.post20221221", "facebookresearch/fvcore",
        "fd5043ff8b2e6790f5bd7c9632695c68986cc658",
        tuple(f"tests/test_{name}.py" for name in (
            "activation_count", "flop_count", "jit_model_analysis", "param_count", "print_model_statistics",
        )), {"fvcore.nn": "fxcount.compat.fvcore"},
    ),
    Suite(
        "ptflops", "ptflops 0.7.5", "ptflops==0.7.5", "sovrasov/flops-counter.pytorch", "v0.7.5", ("tests",),
        {"ptflops": "fxcount.compat.ptflops"},
    ),
    Suite(
        "thop", "thop 0.1.1", "", "Lyken17/pytorch-OpCounter", "43c064a", ("tests",), {"thop": "fxcount.compat.thop"},
    ),
    Suite(
        "ultralytics-thop", "ultralytics-thop 2.2.3", "ultralytics-thop==2.2.3", "ultralytics/thop", "", ("tests",),
        {"thop": "fxcount.compat.ultralytics_thop"},
    ),
    Suite(
        "torchsummary", "torchsummary 1.5.1", "torchsummary==1.5.1", "sksq96/pytorch-summary", "345d898",
        ("torchsummary/tests/unit_tests/torchsummary_test.py",), {"torchsummary": "fxcount.compat.torchsummary"},
    ),
)  # fmt: skip

# packages that a test file imports for one test: without them none of its tests would be collected
STAND_INS = {"compressai": {"__init__.py": "", "zoo.py": "image_models = {}\n"}}


@dataclass(frozen=True)
class Outcome:
    """How a test went: on the tool itself, and on the drop-in; ``"passed"``, ``"text"``, ``"failed"`` or ``"skipped"``."""

    test: str
    itself: str
    ours: str
    why: str = ""

    @property
    def kind(self) -> str:
        """The column of the table."""
        if self.itself == "failed":
            return "fails on the tool itself"
        if self.itself == "skipped":
            return "skipped"
        return {"passed": "clean", "text": "text only"}.get(self.ours, "fails")


# -- getting a suite ------------------------------------------------------------------------------------------------------
def source(suite: Suite, folder: Path, repository: str | None = None) -> Path:
    """The unpacked source of a tool with its tests: pip's source archive, or else the git repository."""
    if suite.sdist and repository is None:
        unpacked = _sdist(suite.sdist, folder / "sdist")
        if unpacked is not None and all((unpacked / file).exists() for file in suite.files):
            return unpacked
    checkout = folder / "repository"
    if not checkout.exists():
        url = repository or f"https://github.com/{suite.repository}"
        _call("git", "clone", "--quiet", url, str(checkout))
        if suite.revision:
            _call("git", "-C", str(checkout), "checkout", "--quiet", suite.revision)
    return checkout


def _sdist(requirement: str, folder: Path) -> Path | None:
    """pip's source archive of a requirement, unpacked; ``None`` if there is none."""
    if not folder.exists():
        folder.mkdir(parents=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
        found = subprocess.run([*command, "--no-binary", ":all:", "-d", str(folder), requirement], capture_output=True)
        if found.returncode:
            return None
        for archive in folder.glob("*.tar.gz"):
            with tarfile.open(archive) as files:
                files.extractall(folder, filter="data")
    return next((path for path in folder.iterdir() if path.is_dir()), None)


def _call(*command: str) -> None:
    subprocess.run(command, check=True)


# -- running it -----------------------------------------------------------------------------------------------------------
def run(suite: Suite, where: Path, aliased: bool, scratch: Path) -> dict[str, tuple[str, str]]:
    """The state of each test and the text of its failure: on the tool itself, or with the import changed."""
    records = scratch / f"{suite.name}-{'ours' if aliased else 'itself'}.jsonl"
    records.unlink(missing_ok=True)
    environment = {
        **os.environ, "PEER_ALIASES": json.dumps(dict(suite.aliases) if aliased else {}), "PEER_OUTCOMES": str(records),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(_stand_ins(scratch))]), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.peer_suite_plugin", "-p", "no:cacheprovider"]
    command += ["--continue-on-collection-errors"]
    subprocess.run(
        [*command, *suite.files], cwd=where, env=environment, stdout=(scratch / f"{records.stem}.log").open("w"),
        stderr=subprocess.STDOUT, timeout=3600,
    )  # fmt: skip
    states: dict[str, tuple[str, str]] = {}
    for line in records.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        state = _state(record, suite.text)
        known = states.get(record["test"], ("passed", ""))
        states[record["test"]] = max(known, (state, record["text"]), key=lambda s: _WORST.index(s[0]))
    return states


_WORST = ("passed", "text", "skipped", "failed")


def _state(record: Mapping[str, str], text: str) -> str:
    if record["outcome"] != "failed":
        return record["outcome"]
    last = record["text"].rpartition("\n_ _ _")[2]  # the innermost frame
    return "text" if text and f"def {text}" in last and "AssertionError" in last else "failed"


def _stand_ins(scratch: Path) -> Path:
    folder = scratch / "stand_ins"
    for package, files in STAND_INS.items():
        (folder / package).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / package / name).write_text(text)
    return folder


def outcomes(itself: Mapping[str, tuple[str, str]], ours: Mapping[str, tuple[str, str]]) -> list[Outcome]:
    """Both runs side by side. A test that one run did not reach fails there."""
    found = []
    for test in dict.fromkeys((*itself, *ours)):
        mine, text = ours.get(test, ("failed", "not collected"))
        found.append(Outcome(test, itself.get(test, ("failed", ""))[0], mine, text.strip().rpartition("\n")[2]))
    return found


# -- what it says ---------------------------------------------------------------------------------------------------------
KINDS = ("clean", "text only", "fails", "fails on the tool itself", "skipped")


def page(found: Mapping[Suite, Sequence[Outcome]]) -> str:
    """The tables as Markdown."""
    rows = []
    for suite, tests in found.items():
        counts = Counter(t.kind for t in tests)
        rows.append([suite.tool, str(len(tests)), *(str(counts[k]) for k in KINDS)])
    return table(["suite", "tests", *KINDS], rows)


def unexplained(suite: Suite, tests: Iterable[Outcome]) -> list[Outcome]:
    """Tests that differ for no written reason."""
    return [t for t in tests if t.kind in ("text only", "fails") and reason(suite, t) is None]


def reason(suite: Suite, test: Outcome) -> str | None:
    """Why a test differs."""
    return next((why for name, why in suite.reasons.items() if test.test.endswith(name)), None)


# -- the command ----------------------------------------------------------------------------------------------------------
def main(argv: Sequence[str] | None = None) -> int:
    """Run suites and say how they went."""
    options = _parser().parse_args(argv)
    given = dict(text.split("=", 1) for text in options.repository)
    chosen = [s for s in SUITES if not options.suites or s.name in options.suites]
    found: dict[Suite, list[Outcome]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(options.keep or temporary).resolve()
        for suite in chosen:
            where = source(suite, scratch / suite.name, given.get(suite.name))
            found[suite] = outcomes(run(suite, where, False, scratch), run(suite, where, True, scratch))
            for test in found[suite]:
                if test.kind in ("text only", "fails"):
                    print(f"{suite.name}: {test.kind}: {test.test}: {test.why[:200]}")
    print(page(found))
    return 0 if not any(unexplained(suite, tests) for suite, tests in found.items()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(s.name for s in SUITES)}; default: all")
    parser.add_argument("--repository", action="append", default=[], metavar="SUITE=PATH", help="git repository of a suite")
    parser.add_argument("--keep", metavar="DIR", help="where sources and logs stay; a second run takes them from there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
