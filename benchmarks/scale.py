"""How time and memory grow with the model: fxcount on models of n, 2n and 4n parts, and FlopCounterMode on the same.

``python benchmarks/scale.py [--cases NAME ...] [--repeat N] [--tree FOLDER] [--no-peer] [--write]``

Each case is a process of its own. Times are CPU seconds, the fastest of a few runs; memory is what Python allocates during
an analysis (its peak) and what the report keeps, as tracemalloc counts it in a run of its own. A column ``n^`` is the exponent
between the smallest size and the largest: 1 is linear. ``--tree`` measures the fxcount of another folder; ``--write`` puts the
table into SCALE.md, where rows of other cases than ``--cases`` stay as they are.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":  # a folder given by --tree goes before
    sys.path.insert(0, sys.argv[sys.argv.index("--tree") + 1] if "--tree" in sys.argv else str(ROOT))

import torch  # noqa: E402
from torch import nn  # noqa: E402

__all__ = ["CASES", "Case", "exponent", "main"]


# -- the models ---------------------------------------------------------------------------------------------------------
class Parameters(nn.Module):
    """n parameters, of which all are stacked by one op: what is asked of parameters, and an op with many operands."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.held = nn.ParameterList([nn.Parameter(torch.empty(1, device="meta")) for _ in range(n)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ torch.cat(list(self.held))[:, None].expand(-1, 3)[:5]


class Views(nn.Module):
    """n parameters that lie one behind the other in one storage, as sharded and flattened optimizers leave them."""

    def __init__(self, n: int) -> None:
        super().__init__()
        flat = torch.empty(7 * n, device="meta")
        self.held = nn.ParameterList([nn.Parameter(flat[7 * i : 7 * i + 7]) for i in range(n)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.held[0]


class Calls(nn.Module):
    """n calls of an op, all alike."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.n):
            x = x + 1
        return x


class Constants(nn.Module):
    """n numbers that the forward makes into tensors."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(self.n):
            x = x * torch.tensor(float(i), device="meta")
        return x


class Different(nn.Module):
    """n layers of which no two are alike: each size occurs once."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(i + 1, i + 2, device="meta") for i in range(n)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Growing(nn.Module):
    """n steps in each of which a cache grows by one, as in a generation loop: one head of attention over all of it."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        self.qkv = nn.Linear(16, 48, device="meta")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keys = values = x[:, :0]
        last = x[:, :1]
        for _ in range(self.n):
            query, key, value = self.qkv(last).chunk(3, -1)
            keys, values = torch.cat([keys, key], 1), torch.cat([values, value], 1)
            last = (query @ keys.mT).softmax(-1) @ values
        return last


class Alive(nn.Module):
    """n results of different sizes that all stay alive until the end, as the skips of a U-Net do."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = [x[:, :1].repeat(1, i + 2) for i in range(self.n)]
        return torch.cat(kept, 1)


class Results(nn.Module):
    """n results, all returned."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {f"y{i}": x * i for i in range(self.n)}


class Dense(nn.Module):
    """n layers each of which takes the results of all before it: n**2 operands."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(8 + 4 * i, 4, 3, padding=1, device="meta") for i in range(n)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = [x]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return torch.cat(found, 1)


def _modules(n: int) -> nn.Module:
    return nn.Sequential(*[nn.Identity() for _ in range(n)])


def _branches(n: int) -> nn.Module:
    return nn.Sequential(*[nn.Sequential(nn.Sequential(nn.ReLU(), nn.Dropout()), nn.ReLU()) for _ in range(n // 5)])


def _nested(n: int) -> nn.Module:
    net: nn.Module = nn.Linear(5, 5, device="meta")
    for _ in range(n):
        net = nn.Sequential(net)
    return net


def _mlp(n: int) -> nn.Module:
    return nn.Sequential(*[nn.Linear(5, 5, device="meta") for _ in range(n)])


def _llama(n: int) -> nn.Module:
    import transformers

    sizes = {
        "hidden_size": 16384, "num_hidden_layers": n, "num_attention_heads": 128, "num_key_value_heads": 8,
        "intermediate_size": 53248, "vocab_size": 128256, "use_cache": False,
    }  # fmt: skip
    with torch.device("meta"):
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).eval()


def _densenet(n: int) -> nn.Module:
    """DenseNet-264 is that of n = 64."""
    from torchvision.models.densenet import DenseNet

    with torch.device("meta"):
        return DenseNet(32, (6, 12, n, 3 * n // 4), 64).eval()


@dataclass(frozen=True)
class Case:
    """``n``: the smallest of the sizes, each twice the one before; ``shape``: the input at numbers; ``spec``: as symbols."""

    name: str
    about: str
    build: Callable[[int], nn.Module]
    n: int
    spec: str = "B,5"
    shape: tuple[int, ...] = (2, 5)
    dtype: torch.dtype = torch.float32

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.n, 2 * self.n, 4 * self.n


CASES = {case.name: case for case in (
    Case("parameters", "parameters that one op takes", Parameters, 25_000),
    Case("views", "parameters in one storage", Views, 25_000, "B,7", (2, 7)),
    Case("modules", "modules without ops", _modules, 25_000),
    Case("branches", "modules, three deep, three ops for five", _branches, 25_000),
    Case("calls", "calls, all alike", Calls, 25_000),
    Case("constants", "tensors that the forward makes of numbers", Constants, 2_500),
    Case("layers", "linear layers, all alike", _mlp, 10_000),
    Case("different", "linear layers, all different", Different, 500, "B,1", (2, 1)),
    Case("generation", "steps of a loop whose cache grows", Growing, 250, "B,1,16", (2, 1, 16)),
    Case("alive", "results of different sizes alive at once", Alive, 500),
    Case("results", "results that are returned", Results, 5_000),
    Case("dense", "layers that take all before them", Dense, 50, "B,8,H,W", (2, 8, 7, 7)),
    Case("nested", "levels of modules", _nested, 50),
    Case("densenet", "layers of DenseNet-264's third block", _densenet, 16, "B,3,H,W", (2, 3, 224, 224)),
    Case("llama", "layers of the Llama of 405B parameters", _llama, 32, "i64[B,S]", (2, 128), torch.int64),
)}  # fmt: skip


# -- one case, in a process of its own ------------------------------------------------------------------------------------
def _analyse(model: nn.Module, case: Case) -> Any:
    import fxcount

    report = fxcount.analyze(model, case.spec)
    return report, report.costs.total, report.peaks, report.params


def _flop_counter(model: nn.Module, case: Case) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros(case.shape, dtype=case.dtype, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    return int(counter.get_total_flops())


VIEWS: dict[str, Callable[[Any], object]] = {
    "table": lambda report: report.at(**{n: max(h, 2) for n, h in report.symbols.items()}).table(),
    "json": lambda report: report.to_json(),
    "graph": lambda report: report.to_networkx(),
}


def _measured(case: Case, n: int, repeat: int, peer: bool) -> dict[str, Any]:
    """CPU seconds of the analysis, of its views and of FlopCounterMode, and bytes of Python's memory."""
    import tracemalloc

    model = case.build(n)
    found: dict[str, Any] = {"n": n, "analysis": min(_seconds(lambda: _analyse(model, case)) for _ in range(repeat))}
    report = _analyse(model, case)[0]
    for name, view in VIEWS.items():
        found[name] = _seconds(partial(view, report))
    del report
    tracemalloc.start()
    kept = _analyse(model, case)
    found["peak"] = tracemalloc.get_traced_memory()[1]
    gc.collect()
    found["kept"] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    if peer:
        try:
            found["peer"] = min(_seconds(lambda: _flop_counter(model, case)) for _ in range(min(repeat, 2)))
        except Exception as error:
            found["peer_error"] = type(error).__name__
    return found


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    result = work()
    elapsed = time.process_time() - start
    del result
    return elapsed


def _child(name: str, repeat: int, peer: bool) -> None:
    import warnings

    warnings.simplefilter("ignore")
    case = CASES[name]
    from fxcount.adapters import torchvision_ops  # noqa: F401  (declares torchvision's ops where its library has none)

    _analyse(case.build(7), case)  # loads what is loaded once
    if peer:
        with open(os.devnull, "w") as nowhere:
            print(_tried(lambda: _flop_counter(case.build(7), case)), file=nowhere)
    for n in case.sizes:
        print(json.dumps(_measured(case, n, repeat, peer)), flush=True)


def _tried(work: Callable[[], object]) -> object:
    try:
        return work()
    except Exception as error:
        return error


# -- all of them --------------------------------------------------------------------------------------------------------
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write it where asked."""
    options = _parser().parse_args(argv)
    if options.child:
        _child(options.child, options.repeat, not options.no_peer)
        return 0
    load = os.getloadavg()[0]
    rows = {name: _run(name, options) for name in options.cases}
    cells = {name: _cells(name, found) for name, found in rows.items()}
    page = ROOT / "benchmarks" / "SCALE.md"
    if options.write and page.exists():
        cells = {**_cells_of(page.read_text()), **cells}
    text = _text([cells[name] for name in CASES if name in cells], load)
    print(text)
    if options.write:
        page.write_text(text + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scale.py", description="how time and memory of an analysis grow")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--tree", default=str(ROOT), metavar="FOLDER", help="where the fxcount is that is measured")
    parser.add_argument("--no-peer", action="store_true", help="fxcount alone")
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/SCALE.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def _run(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    print(f"... {name}", file=sys.stderr, flush=True)
    command = [sys.executable, "-W", "ignore", __file__, "--tree", options.tree, "--child", name]
    command += ["--repeat", str(options.repeat)]
    command += ["--no-peer"] if options.no_peer else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-3:]), file=sys.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def exponent(first: float, last: float) -> float:
    """Of growth between a size and the one four times as large.

    >>> exponent(1.0, 4.0), exponent(1.0, 16.0)
    (1.0, 2.0)
    """
    return math.log(last / first, 4) if first > 0 and last > 0 else math.nan


HEAD = [
    "", "n", "analysis ms", "us for one", "n^", "table n^", "JSON n^", "graph n^", "peak MB", "n^", "kept MB",
    "FlopCounterMode ms", "n^", "of its time",
]  # fmt: skip


def _cells(name: str, found: list[dict[str, Any]]) -> list[str]:
    case = CASES[name]
    if len(found) < 3:
        return [case.about, f"{case.sizes[-1]:,}", "failed", *[""] * (len(HEAD) - 3)]
    first, last = found[0], found[-1]

    def grown(key: str) -> str:
        return f"{exponent(first[key], last[key]):.2f}" if key in first and key in last else "-"

    peer = [f"{1e3 * last['peer']:.0f}", grown("peer"), f"{last['analysis'] / last['peer']:.2f}x"] if "peer" in last else [
        f"failed: {last['peer_error']}" if "peer_error" in last else "-", "-", "-"
    ]  # fmt: skip
    return [
        case.about, f"{last['n']:,}", f"{1e3 * last['analysis']:.0f}", f"{1e6 * last['analysis'] / last['n']:.1f}",
        grown("analysis"), grown("table"), grown("json"), grown("graph"), f"{last['peak'] / 1e6:.1f}", grown("peak"),
        f"{last['kept'] / 1e6:.1f}", *peer,
    ]  # fmt: skip


def _cells_of(page: str) -> dict[str, list[str]]:
    """The rows of a page that was written before."""
    from benchmarks.tables import rows_of

    names = {case.about: name for name, case in CASES.items()}
    return {names[row[0]]: row for row in rows_of(page) if row[0] in names}


def _text(rows: list[list[str]], load: float) -> str:
    from benchmarks.tables import table

    about = (
        f"torch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} at the start. "
        "CPU time at the largest of three sizes n, 2n and 4n, the fastest of a few runs; *n^*: the exponent between the first "
        "and the last, 1 for linear growth. The table, the JSON text and the graph are made once, of a report that is there. "
        "Memory is Python's own (tracemalloc), its peak during the analysis and what the report keeps."
    )
    title = "# How time and memory grow\n\nWritten by `python benchmarks/scale.py --write`."
    return "\n\n".join([title, about, table(HEAD, rows)])


if __name__ == "__main__":
    raise SystemExit(main())
