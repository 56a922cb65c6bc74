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
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks import flop_counter_cases
from benchmarks.tables import table

__all__ = ["SUITES", "Outcome", "Suite", "outcomes", "page", "run", "source"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, eq=False)
class Suite:
    """``sdist``: what pip is asked for; ``repository`` and ``revision``: where the tests are if not in there; ``files``: what
    pytest runs; ``aliases``: the names that mean drop-ins; ``text``: the function in whose frame a difference of text alone
    fails; ``plugin``: another plugin of pytest that puts fxcount in the tool's place; ``reasons``: why a test differs, by the
    end of its name, "" for all whose text alone does."""

    name: str
    tool: str
    sdist: str
    repository: str
    revision: str
    files: tuple[str, ...]
    aliases: Mapping[str, str]
    text: str = ""
    plugin: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)


UNUSED = "parameters without effect are named below the totals"
BYTES = "parameters that a module with submodules or a mask holds have their size in bytes"
FUNCTIONS = "functional work counts, a table lookup and an idle weight do not, and a Linear counts once for each position"
SCRIPTED = "what TorchScript computes is followed, where torchinfo shows dashes"
WRONG_SHAPE = "batch_dim does not overwrite a size of an output that has another meaning there"
_OF_TORCHINFO = {
    "test_uninitialized_tensor": UNUSED, "test_hide_recursive_layers": UNUSED, "test_module_dict": UNUSED,
    "test_hide_recursive_layers_outside_loop": UNUSED, "test_google": UNUSED, "test_custom_parameter": UNUSED,
    "test_parameter_list": f"{UNUSED}; {BYTES}", "test_pruning": BYTES, "test_nested_leftover_params": BYTES,
    "test_pruned_adversary": f"{UNUSED}; {FUNCTIONS}", "test_lstm": FUNCTIONS, "test_pack_padded": FUNCTIONS,
    "test_parameters_with_other_layers": f"{FUNCTIONS}; {BYTES}", "test_lstm_custom_batch_size": f"{FUNCTIONS}; {WRONG_SHAPE}",
    "test_return_dict": "the shape of a dict's last tensor is one list, not a list in a list", "test_jit": SCRIPTED,
    "test_partial_jit": SCRIPTED, "test_bert": f"{FUNCTIONS}; {UNUSED}", "test_genotype": f"{UNUSED}; {FUNCTIONS}",
    "test_tmva_net_column_totals": f"{FUNCTIONS}; {UNUSED}", "test_flan_t5_small": FUNCTIONS,
}  # fmt: skip
_NEXT = "the text is that of the release 1.8.0: sizes in MB, mult-adds in millions and more, seven columns, eval mode"

SUITES: tuple[Suite, ...] = (
    Suite(
        "torchinfo", "torchinfo 1.8.0", "torchinfo==1.8.0", "TylerYep/torchinfo", "v1.8.0", ("tests",),
        {"torchinfo": "fxcount.compat.torchinfo"}, text="verify_output_str", reasons=_OF_TORCHINFO,
    ),
    Suite(
        "torchinfo-next", "torchinfo after 1.8.0", "", "TylerYep/torchinfo", "5c4164f", ("tests",),
        {"torchinfo": "fxcount.compat.torchinfo"}, text="verify_output_str", reasons={**_OF_TORCHINFO, "": _NEXT},
    ),
    Suite(
        "fvcore", "fvcore 0.1.5", "fvcore==0.1.5.post20221221", "facebookresearch/fvcore",
        "fd5043ff8b2e6790f5bd7c9632695c68986cc658",
        tuple(f"tests/test_{name}.py" for name in (
            "activation_count", "flop_count", "jit_model_analysis", "param_count", "print_model_statistics",
        )), {"fvcore.nn": "fxcount.compat.fvcore"}, reasons={
            "test_disable_warnings": "no tracer of torch runs, so none of its warnings can be asked for",
        },
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
    Suite(
        "torch", "torch's flop counter", "", "pytorch/pytorch", f"v{torch.__version__.partition('+')[0]}",
        ("test/test_flop_counter.py",), {"torch.utils.flop_counter": ""}, plugin="benchmarks.flop_counter_cases",
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
    if repository and Path(repository).is_dir() and not (Path(repository) / "HEAD").exists():
        return Path(repository).resolve()  # a folder of files
    if not checkout.exists():
        url = repository or f"https://github.com/{suite.repository}"
        _call("git", "clone", "--quiet", "--filter=blob:none", "--no-checkout", url, str(checkout))
        if suite.plugin:  # nothing but the tests: the tool is what is installed
            _call("git", "-C", str(checkout), "sparse-checkout", "set", "--no-cone", *suite.files)
        _call("git", "-C", str(checkout), "checkout", "--quiet", suite.revision or "HEAD")
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
def run(suite: Suite, where: Path, aliased: bool, scratch: Path, again: bool = False) -> dict[str, tuple[str, str]]:
    """The state of each test and the text of its failure: on the tool itself, or with the import changed; ``again``: as the
    records of an earlier run say, if there are some."""
    records = scratch / f"{suite.name}-{'ours' if aliased else 'itself'}.jsonl"
    if not (again and records.exists()):
        _pytest(suite, where, aliased, records)
    states: dict[str, tuple[str, str]] = {}
    for line in records.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        state = _state(record, suite.text)
        known = states.get(record["test"], ("passed", ""))
        states[record["test"]] = max(known, (state, record["text"]), key=lambda s: _WORST.index(s[0]))
    return {test: state for test, state in states.items() if "::" in test}


def _pytest(suite: Suite, where: Path, aliased: bool, records: Path) -> None:
    scratch = records.parent
    records.unlink(missing_ok=True)
    environment = {
        **os.environ, "PEER_ALIASES": json.dumps(dict(suite.aliases) if aliased else {}), "PEER_OUTCOMES": str(records),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(_stand_ins(scratch))]), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.peer_suite_plugin", "-p", "no:cacheprovider"]
    command += ["--continue-on-collection-errors"]
    plugins = ["-p", suite.plugin] if suite.plugin else []
    with (scratch / f"{records.stem}.log").open("w") as log:
        subprocess.run([*command, *plugins, *suite.files], cwd=where, env=environment, stdout=log, stderr=log, timeout=3600)


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


def page(found: Mapping[Suite, Sequence[Outcome]], calls: Sequence[tuple[str, int, Any]]) -> str:
    """The page on all suites."""
    rows = []
    for suite, tests in found.items():
        counts = Counter(t.kind for t in tests)
        on_itself = sum(t.itself == "passed" for t in tests)
        rows.append([suite.tool, str(len(tests)), str(on_itself), *(str(counts[k]) for k in KINDS)])
    parts = [_HEAD.strip(), table(["suite", "tests", "clean on the tool itself", *KINDS], rows), _COLUMNS.strip()]
    if calls:
        parts.append(_calls(calls))
    for suite, tests in found.items():
        differing = [t for t in tests if t.kind in ("text only", "fails")]
        if differing:
            parts += [f"## {suite.tool}", _by_reason(suite, differing)]
    return "\n\n".join(parts) + "\n"


def _by_reason(suite: Suite, tests: Sequence[Outcome]) -> str:
    """Each reason with the tests that differ for it."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for test in tests:
        name = test.test.rpartition("::")[2]
        reasons.setdefault((test.kind, reason(suite, test) or f"no reason is known: {test.why}"), []).append(f"`{name}`")
    return "\n".join(f"- {kind}: {why}: {', '.join(names)}" for (kind, why), names in reasons.items())


def _calls(calls: Sequence[tuple[str, int, Any]]) -> str:
    operators = len({name for name, _, _ in calls})
    equal = sum(theirs == ours for _, theirs, ours in calls)
    other = "".join(f"\n- {name}: torch {theirs}, fxcount {ours}" for name, theirs, ours in calls if theirs != ours)
    return (
        f"Besides, torch's own sample calls of {operators} operators for which its counter has a formula, real and complex: "
        f'{equal} of {len(calls)} have the same `count("torch")`.{other}'
    )


_HEAD = f"""
# Drop-ins and the tests of the tools they stand for

`python benchmarks/peer_suites.py --write` runs the tests of other tools twice: on the tool itself, and with the import changed
to `fxcount.compat.<tool>`. It wrote this page, with torch {torch.__version__} on Python {platform.python_version()}. The
tests come with the tools' source archives or repositories and are no part of fxcount. torch's tests of its flop counter run
with its formulas replaced by `report.count("torch")` of a model of that one op. calflops has no tests: its repository has
examples that download weights.
"""
_COLUMNS = """
*Clean*: the test passes. *Text only*: all calls and assertions pass, and the printed text differs from a stored one.
*Fails on the tool itself*: with this torch and this Python, or without a network (weights that are downloaded).
*Clean on the tool itself* is low for torchinfo 1.8.0, as it prints `(Units.MEGABYTES)` for `(M)` since Python 3.11. What
differs is listed below with the reason.
"""


def unexplained(suite: Suite, tests: Iterable[Outcome]) -> list[Outcome]:
    """Tests that differ for no written reason."""
    return [t for t in tests if t.kind in ("text only", "fails") and reason(suite, t) is None]


def reason(suite: Suite, test: Outcome) -> str | None:
    """Why a test differs."""
    known = {name: why for name, why in suite.reasons.items() if name or test.kind == "text only"}
    return next((why for name, why in known.items() if test.test.endswith(name)), None)


# -- the command ----------------------------------------------------------------------------------------------------------
def main(argv: Sequence[str] | None = None) -> int:
    """Run suites and say how they went."""
    options = _parser().parse_args(argv)
    given = dict(text.split("=", 1) for text in options.repository)
    found: dict[Suite, list[Outcome]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(options.keep or temporary).resolve()
        for suite in [s for s in SUITES if not options.suites or s.name in options.suites]:
            try:
                where = source(suite, scratch / suite.name, given.get(suite.name))
            except subprocess.CalledProcessError as error:
                print(f"{suite.name}: its tests cannot be had: {error}")
                continue
            runs = [run(suite, where, aliased, scratch, options.resume) for aliased in (False, True)]
            found[suite] = outcomes(*runs)
            for test in unexplained(suite, found[suite]):
                print(f"{suite.name}: {test.kind} for no known reason: {test.test}: {test.why[:200]}")
    calls = list(flop_counter_cases.differences()) if any(s.plugin for s in found) else []
    text = page(found, calls)
    print(text)
    if options.write:
        (ROOT / "docs" / "peers.md").write_text(text, encoding="utf-8")
    unknown = any(unexplained(suite, tests) for suite, tests in found.items()) or any(a != b for _, a, b in calls)
    return 1 if unknown else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(s.name for s in SUITES)}; default: all")
    parser.add_argument("--repository", action="append", default=[], metavar="SUITE=PATH", help="where a suite is")
    parser.add_argument("--keep", metavar="DIR", help="where sources, records and logs stay")
    parser.add_argument("--resume", action="store_true", help="do not run what --keep has a record of")
    parser.add_argument("--write", action="store_true", help="write docs/peers.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
