"""What only a fresh process can show: the cost of importing, a first analysis with empty caches, peak memory.

Run as a program it does one of these and prints one line of JSON; :func:`measure` starts it that way.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["import_seconds", "measure", "median_of"]

_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT))


def measure(job: str, *arguments: str) -> dict[str, Any]:
    """Run one job of this file in a new Python process; the dict it prints, or ``{"error": class}``."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-W", "ignore", str(Path(__file__)), job, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=_ROOT, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return {"error": last[0].partition(":")[0]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def median_of(repeat: int, key: str, job: str, *arguments: str) -> float | None:
    """The median of one number over several fresh processes, or None if the job fails."""
    found = [measure(job, *arguments).get(key) for _ in range(repeat)]
    numbers = [value for value in found if value is not None]
    return statistics.median(numbers) if numbers else None


def import_seconds(repeat: int) -> dict[str, float | None]:
    """Median seconds that imports take in a process that has torch, with bytecode cached by a run before."""
    statements = {"import fxcount": "package", "from fxcount import analyze": "analyze"}
    for job in statements.values():
        measure("import", job)
    return {text: median_of(repeat, "seconds", "import", job) for text, job in statements.items()}


def _import(what: str) -> dict[str, Any]:
    import torch  # noqa: F401

    start = time.perf_counter()
    if what == "package":
        import fxcount  # noqa: F401
    else:
        from fxcount import analyze  # noqa: F401
    return {"seconds": time.perf_counter() - start}


def _first(tool_name: str, case_name: str) -> dict[str, Any]:
    """Seconds of the first analysis of a process: torch, the model's library and the tool are imported, no more."""
    import importlib

    from benchmarks.cases import CASES
    from benchmarks.peers import FXCOUNT, PEERS

    tool = next(t for t in (FXCOUNT, *PEERS) if t.name == tool_name)
    case = CASES[case_name]
    model = case.on_meta()
    importlib.import_module("fxcount.api" if tool is FXCOUNT else "torch.utils.flop_counter")
    start = time.perf_counter()
    tool.run(model, case)
    return {"seconds": time.perf_counter() - start}


def _layers(count: str, repeat: str) -> dict[str, Any]:
    """The 405B Llama shape with so many layers: seconds of the first analysis, and the median of more."""
    from benchmarks.cases import llama_405b
    from benchmarks.peers import analyse, empty_memos
    from benchmarks.timing import seconds

    case = llama_405b(int(count))
    model = case.on_meta()
    import fxcount.api  # noqa: F401

    first = seconds(lambda: analyse(model, case))
    again = [seconds(lambda: analyse(model, case)) for _ in range(int(repeat))]
    emptied = [seconds(lambda: analyse(model, case), empty_memos) for _ in range(int(repeat))]
    return {"first": first, "median": statistics.median(again), "emptied": statistics.median(emptied)}


def _memory(how: str) -> dict[str, Any]:
    """Bytes one analysis of the 405B shape takes over the built model: peak of resident or of Python's memory."""
    from benchmarks.cases import llama_405b
    from benchmarks.peers import analyse

    case = llama_405b(126)
    model = case.on_meta()
    if how == "python":
        import tracemalloc

        tracemalloc.start()
        result = analyse(model, case)
        first, peak = tracemalloc.get_traced_memory()
        del result
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]  # modules, rules, memos: what the process keeps without any report
        result = analyse(model, case)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        del result
        return {"peak": peak, "first": first, "held": held}
    before = _resident(reset=True)
    result = analyse(model, case)
    peak = _resident()
    del result
    return {"peak": peak - before}


def _resident(reset: bool = False) -> int:
    """Peak resident bytes of this process; ``reset`` makes it start anew from what is resident now, where Linux can."""
    import resource

    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


_JOBS = {"import": _import, "first": _first, "layers": _layers, "memory": _memory}

if __name__ == "__main__":
    print(json.dumps(_JOBS[sys.argv[1]](*sys.argv[2:])))
