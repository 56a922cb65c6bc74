"""What ships beside the package runs: the notebooks from first cell to last, and the benchmarks on something small."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCRIPTS = sorted(path for room in ("benchmarks", "notebooks") for path in (ROOT / room).glob("*.py"))


def _installed(*names: str) -> None:
    """Skip the test unless these are installed; they are not imported, which a test's process may not survive."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


@pytest.fixture
def build() -> ModuleType:
    """notebooks/build.py, a script in no package."""
    _installed("nbclient", "nbformat", "ipykernel")
    spec = importlib.util.spec_from_file_location("build_notebooks", ROOT / "notebooks" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _results(book: Any) -> list[str]:
    """What each cell prints, in however many pieces it came, and the formulas it shows; no plots."""
    return [
        "".join(
            output["text"] if output["output_type"] == "stream" else output["data"].get("text/latex", "")
            for output in cell.get("outputs", ())
        )
        for cell in book.cells
    ]


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {"flops_vs_resolution", "founding_comparison", "parameters_as_a_graph"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_what_was_saved(path: Path, build: ModuleType) -> None:
    _installed("torchvision", "timm", "matplotlib")
    if path.stem == "founding_comparison":
        _installed("torchinfo", "torchsummary", "torchstat")
    import nbformat

    saved = nbformat.read(path, 4)
    fresh = build.notebook(path.with_suffix(".py"))
    assert [cell.source for cell in saved.cells] == [cell.source for cell in fresh.cells], "run notebooks/build.py"
    assert _results(build.execute(fresh)) == _results(saved), "run notebooks/build.py and look at what changed"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_scripts_compile(path: Path) -> None:
    compile(path.read_text("utf-8"), str(path), "exec")


class _Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/speed.py, imported."""
    _installed("torchvision")
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.speed")


def test_the_tools_take_turns_and_failures_are_shown(benchmarks: ModuleType) -> None:
    from benchmarks.cases import Case
    from benchmarks.peers import EMPTIED, FXCOUNT, REFERENCE, Tool
    from benchmarks.tables import cell

    def fail(model: torch.nn.Module, case: Case) -> object:
        raise LookupError

    def endless(model: torch.nn.Module, case: Case) -> object:
        while True:
            pass

    case = Case("net", _Net, "B,3,H,W", (2, 3, 7, 11), (0, 2, 3))
    tools = [FXCOUNT, EMPTIED, REFERENCE, Tool("broken", fail, ("meta", "cpu"))]
    timings = benchmarks.interleaved(case, tools, repeat=3, limit=600.0)
    timings |= benchmarks.interleaved(case, [Tool("endless", endless, slow=True)], repeat=3, limit=0.1)
    assert {name: len(timing.runs) for name, timing in timings.items()} == {
        "fxcount": 3, "fxcount, memos emptied": 3, "FlopCounterMode": 3, "broken": 0, "endless": 0,
    }  # fmt: skip
    assert cell(timings["broken"], 1.0) == "failed: LookupError"
    assert cell(timings["endless"], 1.0) == "failed: TimeLimit"


def test_a_time_limit_survives_an_alarm_that_python_swallows(monkeypatch: pytest.MonkeyPatch) -> None:
    import gc
    import time

    from benchmarks.timing import TimeLimit, _time_limit

    def endless() -> None:
        gc.collect()
        while True:
            pass

    def slow(phase: str, _: object) -> None:
        if phase == "start":
            time.sleep(0.2)  # the alarm falls here, and what its handler raises is ignored

    swallowed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: swallowed.append(event.exc_type))
    gc.callbacks.append(slow)
    try:
        with pytest.raises(TimeLimit), _time_limit(0.1):
            endless()
    finally:
        gc.callbacks.remove(slow)
    assert set(swallowed) == {TimeLimit}


def test_fxcount_and_the_reference_count_the_same(benchmarks: ModuleType) -> None:
    from benchmarks.cases import Case
    from benchmarks.peers import FXCOUNT, REFERENCE

    case = Case("net", _Net, "2,3,7,11", (2, 3, 7, 11), ())
    model = case.on_meta()
    total, _peaks, parameters = FXCOUNT.run(model, case)
    assert 2 * total.macs == REFERENCE.run(model, case) == 2 * 2 * 5 * 7 * 11 * 3 * 9  # N C_out H W, C_in K
    assert parameters.total == 5 * 3 * 9 + 5


def test_the_bare_forward_is_the_models_own_code(benchmarks: ModuleType) -> None:
    from benchmarks.cases import Case
    from benchmarks.peers import BARE

    called: list[torch.nn.Module] = []
    case = Case("net", _Net, "2,3,7,11", (2, 3, 7, 11), ())
    model = case.on_meta()
    model.conv.register_forward_hook(lambda module, args, result: called.append(module))
    first, again = BARE.run(model, case), BARE.run(model, case)
    assert isinstance(first, torch.Tensor)
    assert again is first, "an op gives what it gave before"
    assert tuple(first.shape) == (2, 5, 7, 11)
    assert called == 3 * [model.conv], "once to know the results"


def test_a_multiple_is_told_with_its_target(benchmarks: ModuleType) -> None:
    assert benchmarks._against(3.0, 20.0, 0.15) == "0.150x <= 0.15: yes"
    assert benchmarks._against(4.0, 20.0, 0.15) == "0.200x <= 0.15: NO"
    assert benchmarks._against(4.0, 20.0, None) == "0.20x"
    assert benchmarks._against(None, 20.0, 0.15) == "-"


def test_memos_are_found_and_emptied(benchmarks: ModuleType) -> None:
    from benchmarks.peers import empty_memos
    from fxcount.symbolic import symbol
    from fxcount.symbolic.values import _free_symbols, free_symbols

    free_symbols(symbol("H") // 7)
    assert _free_symbols.cache_info().currsize > 0
    empty_memos()
    assert _free_symbols.cache_info().currsize == 0
