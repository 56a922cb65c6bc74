"""Analyses in many threads, beside a training loop and a ``torch.compile`` that must not notice them.

``python benchmarks/threads.py [THREADS [ANALYSES]]`` prints what was right, what the loop and the compiled model computed,
and whether torch is as before: after the threads, after analyses that end in every way there is, and in processes forked
while other threads analyse. ``--write``: and writes THREADS.md.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import os
import platform
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo
from torch import nn
from torch.autograd.function import FunctionMeta
from torch.nn import functional as F

import fxcount

__all__ = ["main"]

PAGE = Path(__file__).with_name("THREADS.md")


class Attention(nn.Module):
    """Self-attention of one head."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, S, 12) to the same."""
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.out(F.scaled_dot_product_attention(q, k, v))


class Draws(nn.Module):
    """Seeds and draws, which is nobody else's business."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3) to the same."""
        torch.manual_seed(0)
        random.seed(1)
        np.random.seed(2)
        return F.dropout(self.linear(x), 0.1 + 0.1 * random.random())


class Ends(nn.Module):
    """Ends in one of the ways a forward can end, inside of so many analyses."""

    def __init__(self, ending: Callable[[], Any], depth: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.ending, self.inner = ending, Ends(ending, depth - 1) if depth else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3) to the same."""
        y = self.linear(x)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        if self.inner is not None:
            fxcount.analyze(self.inner, "B,3")
        self.ending()
        return y


MODELS: list[tuple[nn.Module, str, str]] = [  # with their macs, by hand
    (nn.Sequential(*[m for _ in range(200) for m in (nn.Linear(7, 7), nn.ReLU(), nn.LayerNorm(7))]), "B,7", "9800*B"),
    (nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)), "B,3,11,13", "13375*B"),
    (Attention(), "B,S,12", "24*B*S**2 + 576*B*S"),
    (nn.LSTM(5, 7, batch_first=True), "B,S,5", "336*B*S"),
    (Draws(), "B,3", "9*B"),
]  # fmt: skip


def train(steps: int) -> list[float]:
    """Losses of a training loop that draws from the generators of the process."""
    random.seed(5)
    np.random.seed(7)
    torch.manual_seed(11)
    net = nn.Sequential(nn.Linear(5, 16), nn.Dropout(0.3), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        x = torch.randn(6, 5) * random.random() + float(np.random.rand())
        loss = F.mse_loss(net(x), x.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_quietly(steps: int) -> list[float]:
    """Losses of a training loop with a generator of its own: dynamo itself rewinds the process' generators as it compiles."""
    chance = torch.Generator().manual_seed(11)
    net = nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 1))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.linspace(-0.3, 0.3, p.numel()).view_as(p))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        x = torch.randn(6, 5, generator=chance)
        loss = F.mse_loss(net(x), x.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def analyse(first: int, times: int) -> int:
    """How many totals are right."""
    right = 0
    for i in range(times):
        model, spec, macs = MODELS[(first + i) % len(MODELS)]
        right += str(fxcount.analyze(model, spec).macs) == macs
    return right


def compile_often(times: int) -> list[Any]:
    """What a compiled model gives, compiled anew each time."""
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh())
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(0.25)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    found = []
    for i in range(times):
        torch._dynamo.reset()
        found.append(compiled(torch.full((2 + i % 3, 3), 0.5)).tolist())
    return found


def things() -> dict[str, Any]:
    """All that tracing might change."""
    modules = (torch, F, torch.functional, torch._tensor, torch.overrides, torch.compiler, torch.random, random, np.random)
    found = {f"{m.__name__}.{n}": (v, getattr(v, "__code__", None)) for m in modules for n, v in vars(m).items() if callable(v)}
    for owner in (nn.Module, torch.Tensor, torch.autograd.Function, FunctionMeta):
        found |= {f"{owner.__name__}.{n}": (v, getattr(v, "__code__", None)) for n, v in vars(owner).items()}
    flags = (torch.compiler.is_compiling(), torch.is_grad_enabled(), torch.get_default_dtype(), gc.isenabled())
    return {**found, "len": len, "flags": flags}


def changed(before: dict[str, Any]) -> list[str]:
    """Names of what is not as before."""
    after = things()
    return sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """The results of all jobs, each in its thread."""
    results: list[Any] = [None] * len(jobs)

    def run(i: int) -> None:
        results[i] = jobs[i]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def recurse() -> None:
    """For ever."""
    recurse()


def raiser(kind: type[BaseException]) -> Callable[[], None]:
    """A function that raises it."""

    def ending() -> None:
        raise kind

    return ending


def endings(times: int) -> tuple[int, dict[str, Any]]:
    """Analyses that end in all ways, alone and inside of others; how many, and how things were before."""
    raised = (KeyError, KeyboardInterrupt, SystemExit, GeneratorExit, RuntimeError)
    kinds = [*[raiser(kind) for kind in raised], recurse, lambda: None]
    models = [Ends(ending, depth) for ending in kinds for depth in range(3)]
    before = things()
    ended = 0
    while ended < times:
        with contextlib.suppress(BaseException):
            fxcount.analyze(models[ended % len(models)], "B,3")
        ended += 1
    return ended, before


def forked(times: int, limit: float = 120.0) -> tuple[int, int]:
    """Processes forked while two threads analyse: how many counted rightly, and how many never ended."""
    done = threading.Event()

    def busy() -> None:
        while not done.is_set():
            analyse(0, 1)

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    ends = [_child(limit) for _ in range(times)]
    done.set()
    for thread in threads:
        thread.join()
    return ends.count(0), ends.count(None)


def _child(limit: float) -> int | None:
    """How a forked process that analyses once ended; ``None``: not within the limit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python: forking beside threads may deadlock
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = int(analyse(1, 1) != 1)
        finally:
            os._exit(status)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def main(threads: int = 8, analyses: int = 50, write: bool = False) -> None:
    """Run everything and print what came out."""
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    _measure(threads, analyses, say)
    if write:
        head = f"{datetime.date.today()}, Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} cores"
        command = f"python benchmarks/threads.py {threads} {analyses} --write"
        body = "\n".join(f"* {line}" for line in lines)
        PAGE.write_text(f"# Threads\n\n`{command}` ({head}):\n\n{body}\n", encoding="utf-8")


def _measure(threads: int, analyses: int, say: Callable[[str], None]) -> None:
    compile_often(2)
    steps = 30 * analyses
    losses, quiet, outputs = train(steps), train_quietly(steps), compile_often(analyses)
    jobs = [lambda k=k: analyse(k, analyses) for k in range(threads)]
    before, start = things(), time.perf_counter()
    found, *right = together(lambda: train(steps), *jobs)
    of = f"{threads * analyses} totals right ({threads} threads, {len(MODELS)} models that they share)"
    say(f"{sum(right)} of {of} beside a training loop, {time.perf_counter() - start:.1f} s")
    say(f"losses as without us: {found == losses} ({steps} steps); not as before: {changed(before) or 'nothing'}")
    start = time.perf_counter()
    found, compiled, *right = together(lambda: train_quietly(steps), lambda: compile_often(analyses), *jobs)
    say(f"{sum(right)} of {of} beside a loop and torch.compile, {time.perf_counter() - start:.1f} s")
    same = f"losses as without us: {found == quiet}, compiled outputs: {compiled == outputs}"
    say(f"{same}; not as before: {changed(before) or 'nothing'}")
    right = together(*[lambda: sum(str(fxcount.analyze(*MODELS[0][:2]).macs) == MODELS[0][2] for _ in range(analyses))] * 2)
    say(f"{sum(right)} of {2 * analyses} totals right of two threads on the same model")
    ended, before = endings(210)
    say(f"{ended} endings of all kinds; not as before: {changed(before) or 'nothing'}")
    good, hung = forked(20)
    say(f"{good} of 20 processes right that were forked while two threads analysed, {hung} without an end")


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a != "--write"]
    main(*numbers, write="--write" in sys.argv)
