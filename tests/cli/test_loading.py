"""What a command imports, and what else it does while it loads: counted, never timed."""

from __future__ import annotations

import gc
import subprocess
import sys
from importlib.util import find_spec

import pytest

from fxcount.cli import main

HEAVY = "torch numpy sympy networkx pandas matplotlib torchvision timm transformers".split()


def _said(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1].split()


@pytest.mark.parametrize(
    "words",
    [["--version"], ["--help"], [], ["cont", "demo"], ["cont"], ["demo", "--dept", "1"], ["params", "demo", "--stat", "dead"],
     ["resnet5O"], ["timm:resnet5O"], ["graph", "--help"]],
    ids=" ".join,
)  # fmt: skip
def test_words_are_answered_with_few_modules(words: list[str]) -> None:
    """Python itself starts with 30 to 60."""
    count, *heavy = _said(
        f"import sys\nfrom fxcount.cli import main\ntry: main({words!r})\nexcept SystemExit: pass\n"
        f"print(len(sys.modules), *[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    assert not heavy
    assert int(count) < 200


@pytest.mark.parametrize(
    ("library", "word"), [("torch", "demo"), ("torchvision", "torchvision:resnet18"), ("timm", "timm:resnet18")]
)
def test_a_model_needs_its_library_and_no_more(library: str, word: str) -> None:
    """Beside the library itself, Python's own modules and numpy, which torch stands on."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    found = _said(
        f"import sys, importlib, fxcount.adapters.torchvision_ops\nimportlib.import_module({library!r})\n"
        f"before = set(sys.modules)\nfrom fxcount.cli import main\nmain([{word!r}])\n"
        "print('>', *{m.partition('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names, file=sys.stderr)"
    )
    assert {name for name in found[1:] if not name.startswith("_")} <= {"fxcount", "numpy", "cython_runtime", "torch"}
    assert not [name for name in found if name in HEAVY and name not in ("numpy", "torch")]


def test_loading_makes_no_full_collections() -> None:
    code = (
        "import gc, sys\nseen = []\n"
        "gc.callbacks.append(lambda phase, info: seen.append(info['generation']) if phase == 'start' else None)\n"
        "from fxcount.cli.main import main\nsys.argv[1:] = ['demo']\nmain()\n"
        "print(seen.count(2), gc.get_freeze_count() > 10_000, gc.isenabled(), file=sys.stderr)"
    )
    full, frozen, enabled = _said(code)
    assert int(full) <= 1
    assert (frozen, enabled) == ("True", "True")


def test_called_from_python_it_leaves_the_collector_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    frozen = gc.get_freeze_count()
    assert main(["demo"]) == 0
    assert (gc.get_freeze_count(), gc.isenabled()) == (frozen, True)
    gc.disable()
    try:
        assert main(["demo"]) == 0
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert "Demo" in capsys.readouterr().out
