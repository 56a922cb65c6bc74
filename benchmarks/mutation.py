"""Mutants of a file of rules that the tests of its family let live.

Each mutant is the file with one change (a number one larger, ``+`` for ``-``, ``<`` for ``<=``, ``and`` for ``or``, a branch
always or never taken, a default turned round), written to a copy of the package; the tests run against the copy, in a process
forked from this one, which has torch loaded already and the package not. What survives is either a gap in the tests or a
change without an effect: read it and decide. docs: benchmarks/MUTATION.md.

    python -m benchmarks.mutation fxcount/ops/contraction/attention.py tests/ops/test_attention.py --most 40

A mutant costs one run of the tests up to the first that fails. Without ``--most`` all are tried, in an order drawn at random,
so that what ``--seconds`` lets through is a sample of the whole file.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

__all__ = ["Mutant", "mutants", "tried"]

ROOT = Path(__file__).parent.parent
_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.And: ast.Or, ast.Or: ast.And, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """The text of a file with one change, and what that is."""

    line: int
    change: str
    text: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its nodes.

    >>> [m.change for m in mutants("def f(x, y=True):\\n    return x + 1")]
    ['True -> False', 'x + 1 -> x - 1', '1 -> 2']
    """
    tree = ast.parse(source)
    for index, node in enumerate(ast.walk(tree)):
        for kind in range(len(_changes(node))):
            changed = deepcopy(tree)
            other = next(n for i, n in enumerate(ast.walk(changed)) if i == index)
            before = ast.unparse(other)
            _changes(other)[kind](other)
            yield Mutant(getattr(node, "lineno", 0), f"{_short(before)} -> {_short(ast.unparse(other))}", ast.unparse(changed))


def _short(text: str) -> str:
    return text if len(text) < 70 else text[:67] + "..."


def _changes(node: ast.AST) -> list[object]:
    """Functions that change this node in place."""
    if isinstance(node, ast.Constant) and type(node.value) in (bool, int):
        return [_constant]
    if isinstance(node, ast.BinOp) and type(node.op) in _SWAPPED:
        return [_operator]
    if isinstance(node, ast.BoolOp):
        return [_operator]
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _SWAPPED:
        return [_comparison]
    if isinstance(node, (ast.If, ast.IfExp)):
        return [_always, _never]
    return []


def _constant(node: ast.Constant) -> None:
    node.value = not node.value if isinstance(node.value, bool) else node.value + 1


def _operator(node: ast.BinOp) -> None:
    node.op = _SWAPPED[type(node.op)]()  # type: ignore[assignment]


def _comparison(node: ast.Compare) -> None:
    node.ops = [_SWAPPED[type(node.ops[0])]()]  # type: ignore[list-item]


def _always(node: ast.If) -> None:
    node.test = ast.Constant(True)


def _never(node: ast.If) -> None:
    node.test = ast.Constant(False)


def tried(file: Path, tests: Sequence[str], most: int = 0, seconds: int = 300) -> Iterator[tuple[Mutant, bool]]:
    """The mutants of ``file`` (in the package), or ``most`` drawn at random, and whether all ``tests`` pass with each."""
    found = list(mutants(file.read_text(encoding="utf-8")))
    drawn = random.Random(0).sample(found, min(most, len(found)) if most else len(found))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("fxcount", "tests", "pyproject.toml"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder)
        target = Path(folder, file.resolve().relative_to(ROOT))
        original = target.read_text(encoding="utf-8")
        target.write_text(ast.unparse(ast.parse(original)), encoding="utf-8")
        if not _passes(folder, tests, seconds):
            raise SystemExit("the tests fail on the file as it is")
        for mutant in drawn:
            target.write_text(mutant.text, encoding="utf-8")
            yield mutant, _passes(folder, tests, seconds)


def _passes(folder: str, tests: Sequence[str], seconds: int) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(_run(folder, tests))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False  # it hangs, and that is seen


def _run(folder: str, tests: Sequence[str]) -> int:
    """The tests in ``folder``, whose packages no module of this process may stand for."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(folder)
    sys.path.insert(0, folder)
    assert not {"fxcount", "tests"} & sys.modules.keys()
    sys.dont_write_bytecode = True
    try:
        return int(pytest.main(["-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]))
    except BaseException:  # a mutant may do anything
        return 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--most", type=int, default=0, help="so many mutants, drawn at random (default: all)")
    parser.add_argument("--seconds", type=int, default=0, help="begin none after so long (default: no limit)")
    given = parser.parse_args()
    torch.set_num_threads(1)  # a forked process has none of its threads
    end, count = time.monotonic() + given.seconds, 0
    for mutant, lives in tried(given.file, given.tests, given.most):
        count += 1
        if lives:
            print(f"{given.file}:{mutant.line}: {mutant.change}", flush=True)
        if given.seconds and time.monotonic() > end:
            break
    print(f"{given.file}: {count} of {len(list(mutants(given.file.read_text(encoding='utf-8'))))} mutants tried", flush=True)


if __name__ == "__main__":
    main()
