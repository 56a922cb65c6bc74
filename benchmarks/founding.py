"""The comparison fxcount began with, live: what five tools say of three nets of one or two convolutions.

``python benchmarks/founding.py`` runs plain counting, torchsummary, torchstat, torchinfo and fxcount and prints their
tables and, below, one table of all. A tool that is not installed or fails says so. torchstat's report fails with pandas 2
and later; its columns are then worked out from its rules (``fxcount.report.views.conventions``), and say so.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import nn

import fxcount
from benchmarks.tables import table
from fxcount.compat.analysis import located
from fxcount.symbolic import prod
from tests.report.conventions_tools import undisturbed

__all__ = ["COLUMNS", "NETS", "TOOLS", "Both", "Row", "Twice", "Unused", "compare", "side_by_side"]

SHAPE = (1, 512, 512)  # one sample, without a batch
COLUMNS = (
    "input_size", "output_size", "kernel_size", "num_params", "params_percent", "trainable", "mult_adds", "madd", "flops",
    "read_bytes", "write_bytes", "output_bytes", "time_percent",
)  # fmt: skip


def conv() -> nn.Conv2d:
    """3 x 3 on one channel: 9 parameters, 9 * 512 * 512 multiply-accumulates."""
    return nn.Conv2d(1, 1, 3, stride=1, padding=1, bias=False)


class Both(nn.Module):
    """Two convolutions, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(), conv()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.conv1(x))


class Twice(nn.Module):
    """One convolution, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv1(self.conv1(x))


class Unused(Both):
    """Two convolutions, the second never called."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv1(x)


NETS: tuple[type[nn.Module], ...] = (Both, Twice, Unused)


@dataclass(frozen=True)
class Row:
    """What a tool says: its own text, then parameters, work and megabytes of activations as it prints them; ``note``: how
    the row came about."""

    tool: str
    text: str
    params: str = "-"
    unused: str = "-"
    work: str = "-"
    activations: str = "-"
    traffic: str = "-"
    note: str = ""

    @property
    def cells(self) -> list[str]:
        """The row of the table of all tools."""
        return [self.tool, self.params, self.unused, self.work, self.activations, self.traffic, self.note]


def plain(net: type[nn.Module]) -> Row:
    """The sum over trainable parameters that everyone writes."""
    n = sum(p.numel() for p in net().parameters() if p.requires_grad)
    return Row("plain sum", f"sum(p.numel() for p in model.parameters() if p.requires_grad) = {n}", str(n))


def torchsummary(net: type[nn.Module]) -> Row:
    """torchsummary, run."""
    from torchsummary import summary

    text = _printed(lambda: summary(net(), SHAPE, device="cpu"))
    size = _after("Forward/backward pass size", text)
    return Row("torchsummary", text, _after("Total params", text), activations=f"{size} MB", note="run")


def torchinfo(net: type[nn.Module]) -> Row:
    """torchinfo, run."""
    from torchinfo import summary

    columns = ["input_size", "output_size", "kernel_size", "num_params", "params_percent", "mult_adds", "trainable"]
    found = summary(net(), input_size=SHAPE, col_names=columns, col_width=16, verbose=0)
    return Row(
        "torchinfo", str(found), str(found.total_params), work=f"{found.total_mult_adds:,} mult-adds",
        activations=f"{found.total_output_bytes / 1e6:.2f} MB", note="run",
    )  # fmt: skip


def torchstat(net: type[nn.Module]) -> Row:
    """torchstat, run; where its report fails, its columns by its rules."""
    from torchstat import stat

    note = "run"
    text = ""
    try:
        with undisturbed(net()) as model:
            text = _printed(lambda: stat(model, SHAPE))
    except Exception as error:
        note = f"run: {type(error).__name__}: {error}; columns by its rules"
    report = fxcount.analyze(net(), "1,1,512,512")
    madd, flops, read, written = (report.count(f"torchstat-{q}") for q in ("madd", "flops", "memread", "memwrite"))
    return Row(
        "torchstat", text or _torchstat_columns(report), str(_torchstat_params(net())), work=f"{madd:,} MAdd, {flops:,} Flops",
        activations=f"{written / 2**20:.2f} MB", traffic=f"{read + written:,} B", note=note,
    )  # fmt: skip


def ours(net: type[nn.Module]) -> Row:
    """fxcount: the drop-in for torchinfo's table with all columns."""
    found = fxcount.summary(net(), input_size=SHAPE, col_names=COLUMNS, col_width=19, verbose=0)
    report = found.report
    assert report is not None
    dead = ", ".join(row.name for row in report.params.rows("dead"))
    return Row(
        "fxcount", str(found), str(report.params.total), f"{report.params.dead} ({dead})" if dead else "0",
        f"{report.macs:,} MACs, {report.flops:,} FLOPs", f"{found.total_output_bytes / 1e6:.2f} MB",
        f"{report.read_bytes + report.write_bytes:,} B", "nothing runs",
    )  # fmt: skip


TOOLS: tuple[Callable[[type[nn.Module]], Row], ...] = (plain, torchsummary, torchstat, torchinfo, ours)


def compare(net: type[nn.Module]) -> list[Row]:
    """What each tool says of a net."""
    rows = []
    for tool in TOOLS:
        try:
            rows.append(tool(net))
        except ImportError as error:
            rows.append(Row(tool.__name__, "", note=f"not here: {error}"))
    return rows


def side_by_side(rows: list[Row]) -> str:
    """One table of all tools."""
    return table(["tool", "params", "unused", "work", "activations", "read + written", "how"], [row.cells for row in rows])


def _torchstat_columns(report: fxcount.Report) -> str:
    """torchstat's table, one row for each layer it counts."""
    quantities = ("madd", "flops", "memread", "memwrite")
    by_layer: dict[str, list[int]] = {}
    for quantity in quantities:
        for call, _, _, n in located(report, f"torchstat-{quantity}"):
            assert isinstance(n, int)
            by_layer.setdefault(call.path, []).append(n)
    calls = {m.path: m for m in report.trace.modules}
    rows = []
    for path in (p for p in report.trace.module_paths if p):
        madd, flops, read, written = by_layer.get(path, [0, 0, 0, 0])
        shapes = ["0 0 0", "0 0 0"]
        if path in calls:
            shapes = [" ".join(map(str, f.shape[1:])) for f in (calls[path].inputs[0], calls[path].outputs[0])]
        numel = prod(calls[path].outputs[0].shape[1:]) if path in calls else 0
        assert isinstance(numel, int)
        held = sum(p.numel for p in report.trace.declared if p.names[0].startswith(path + ".")) if path in calls else 0
        rows.append(
            [path, *shapes, str(held), f"{numel * 4 / 2**20:.2f}", f"{madd:,}", f"{flops:,}", f"{read:,}", f"{written:,}",
             f"{read + written:,}"]
        )  # fmt: skip
    head = "module, input shape, output shape, params, memory(MB), MAdd, Flops, MemRead(B), MemWrite(B), MemR+W(B)"
    return "by torchstat's rules, not run by torchstat:\n" + table(head.split(", "), rows)


def _torchstat_params(model: nn.Module) -> int:
    """torchstat counts parameters of the layers that were called, each layer once."""
    called = {m.path for m in fxcount.analyze(model, "1,1,512,512").trace.modules}
    return sum(p.numel() for name, p in model.named_parameters() if name.rpartition(".")[0] in called)


def _printed(call: Callable[[], object]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        call()
    return out.getvalue().strip()


def _after(label: str, text: str) -> str:
    match = re.search(rf"{label}[^:\n]*: ([\d.,]+)", text)
    return match[1] if match else "-"


def main() -> None:
    """Print everything."""
    for net in NETS:
        rows = compare(net)
        print(f"## {net.__name__}: {net.__doc__}\n")
        for row in rows:
            print(f"### {row.tool}\n\n{row.text}\n")
        print(side_by_side(rows) + "\n")


if __name__ == "__main__":
    main()
