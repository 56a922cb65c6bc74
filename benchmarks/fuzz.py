"""Hostile and careless input, by the thousand: only fxcount's errors come out, and nothing hangs.

    python -m benchmarks.fuzz [--specs 100000] [--at 10000] [--reports 2000] [--seed 0]

Spec strings are drawn at random and by changing good ones; sizes given to ``at()`` are of all types and magnitudes; saved
reports are changed in a leaf or in their structure. Each input ends as ``ok``, ``refused`` (an error of fxcount's), ``foreign``
(any other) or ``hang`` (more than 10 s). A table is printed, and the exit status is 1 if there is a foreign error or a hang.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import fxcount
from benchmarks.depth import Resized
from fxcount.report.views.saved.header import KINDS as KINDS_OF_FILES

__all__ = ["KINDS", "at_arguments", "corrupted", "corruptions", "outcome", "saved_files", "spec_strings", "survey"]

LIMIT_SECONDS = 10

_GOOD = (
    "B,3,H,W", "i64[B,S]", "f32[B,3,32*h,32*w]", "bool[B,1,S,S]", "bf16[2*B, H//2 + 1, Max(W, 7)]", "(B, 3, 224, 224)",
    "7,", "u8[]",
    "f16[B,floor(H/7),ceil(W/3)%4]", "c64[B**2,Min(H,W,3)]", "f32[1,2,3,4,5,6,7]", "B,(H+6-7)//2+1,-3+W",
)  # fmt: skip
_PIECES = (
    *"BHWSN0123456789,,,[[]](())+-*/%_.;:'\"\\ \t\n\x00=<>!@#$^&|~`{}", "//", "**", "f32", "i64", "bool", "Max", "Min",
    "floor", "ceil",
    "self", "extend", "guess", "lambda", "import", "None", "True", "__class__", "9" * 40, "9" * 5000, "2**2**40", "é",
    "\ud800", "\u2028",
    "e400", "0x10", "1_000", "1j", "...", "if", "else", "for x in", "(" * 300, ")" * 300, "-" * 2000, "B+" * 2000, "*" * 50,
)  # fmt: skip


class _Hang(BaseException):
    pass


@contextmanager
def _limited() -> Iterator[None]:
    """At most ten seconds, where the platform can interrupt."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: Any) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(action: Callable[[], Any]) -> str:
    """``ok``, ``refused``, ``hang`` or ``foreign`` with the error."""
    try:
        with _limited():
            action()
    except _Hang:
        return "hang"
    except fxcount.FxcountError as error:
        str(error).encode("utf-8", "surrogatepass")
        return "refused"
    except Exception as error:
        return f"foreign {type(error).__name__}: {str(error)[:120]!a}"
    return "ok"


# -- input specifications ---------------------------------------------------------------------------------------------
def spec_strings(count: int, seed: int = 0) -> Iterator[str]:
    """Half of them random pieces, half good ones with a few changes."""
    draw = random.Random(seed)
    for i in range(count):
        if i % 2:
            yield "".join(draw.choices(_PIECES, k=draw.randrange(1, 14)))
            continue
        text = list(draw.choice(_GOOD))
        for _ in range(draw.randrange(1, 5)):
            position = draw.randrange(len(text) + 1)
            match draw.randrange(4):
                case 0:
                    text.insert(position, draw.choice(_PIECES))
                case 1 if position < len(text):
                    text[position] = draw.choice(_PIECES)
                case 2 if position < len(text):
                    del text[position]
                case _:
                    text[position:position] = text[: draw.randrange(len(text) + 1)]
        yield "".join(text)


class _Takes(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2 if isinstance(x, torch.Tensor) else torch.zeros(3)


# -- at() -------------------------------------------------------------------------------------------------------------
def at_arguments(names: list[str], count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Sizes of all types and magnitudes, and names that are none."""
    draw = random.Random(seed)
    values: list[Callable[[], Any]] = [
        lambda: draw.randrange(1, 2000), lambda: draw.randrange(1, 2000), lambda: 32 * draw.randrange(1, 40), lambda: 224,
        lambda: 1 << draw.randrange(80), lambda: -draw.randrange(10), lambda: True, lambda: 2.0, lambda: float("nan"),
        lambda: "8",
        lambda: None, lambda: 10**40, lambda: 10**400, lambda: 10**6000, lambda: np.int64(8), lambda: np.int32(7),
        lambda: np.float32(3),
        lambda: np.array([3]), lambda: torch.tensor(4), lambda: [3], lambda: 3 + 0j, lambda: object(),
        lambda: np.bool_(True), lambda: b"3",
    ]  # fmt: skip
    others = ("self", "extend", "guess", "values", "Q", "h", "\x00", "\ud800", "é", "", "item_1", "nonzero_1", "B ", "class")
    for _ in range(count):
        found = {name: draw.choice(values[:4] if draw.random() < 0.6 else values)() for name in names if draw.random() < 0.9}
        if draw.random() < 0.3:
            found[draw.choice(others)] = draw.choice(values)()
        yield found


# -- saved reports ----------------------------------------------------------------------------------------------------
Change = tuple[tuple[Any, ...], str, Any]

_LEAVES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 10**6, 2**63, 10**40, -(10**9), 0.5, float("nan"), float("inf"), "", "x", "B",
    "2*B", "B//0",
    "2**(2**40)", "((B+1)**64)**64", "(a+b+c+d)**64", "9" * 5000, "B+" * 3000 + "B",
    "(" * 2000, "self", "\x00", "\ud800", "cuda:99", "float32",
    "op", "op:0", [], {}, [[]], [1, 2, 3], {"$value": 10**9}, {"$size": "os"}, {"$dtype": "nn"}, {"$device": "x"},
    {"$tensor": [[10**12], "int8"]},
    {"$type": "eval"}, {"$tuple": 3}, {"a": 1}, {"$layout": "_C"}, {"$opaque": ["a", [3]]}, {"$complex": ["a", "b"]},
    {"$alias": [0, 99]},
)  # fmt: skip


def _places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from _places(value, (*path, key))


def corruptions(saved: dict[str, Any], count: int, seed: int = 0) -> Iterator[Change]:
    """Places in what is read of a file, and what to do there: ``replace`` it, ``delete`` it, ``repeat`` it or ``swap`` it for
    another."""
    draw = random.Random(seed)
    read = [part for part in (*dict.fromkeys(KINDS_OF_FILES.values()), "pieces", "graph", "fxcount", "where") if part in saved]
    places = [(part, *path) for part in read for path in _places(saved[part])]
    for _ in range(count):
        what = draw.choice(("replace", "replace", "replace", "delete", "repeat", "swap", "add"))
        argument = draw.choice(places) if what == "swap" else draw.choice(_LEAVES)
        yield draw.choice(places), what, argument


def _owner(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path[:-1]:
        data = data[step]
    return data


def corrupted(saved: dict[str, Any], change: Change) -> str:
    """What happens to a report with this change: read, asked for everything, and asked at other sizes."""
    path, what, argument = change
    data = copy.deepcopy(saved)
    owner, key = _owner(data, path), path[-1]
    if what == "delete":
        del owner[key]
    elif what == "repeat" and isinstance(owner, list):
        owner.insert(key, copy.deepcopy(owner[key]))
    elif what == "swap":
        owner[key] = copy.deepcopy(_owner(saved, argument)[argument[-1]])
    elif what == "add":
        owner.update(further=argument) if isinstance(owner, dict) else owner.append(argument)
    else:
        owner[key] = copy.deepcopy(argument)

    return outcome(lambda: _use(fxcount.load(json.loads(json.dumps(data)))))


def _use(found: Any) -> None:
    """Ask for everything."""
    _ = str(found), repr(found), found == found, found.to_json()
    if isinstance(found, fxcount.GenerationReport):
        found.at(**dict.fromkeys(found.symbols, 7)).table()
    if not isinstance(found, (fxcount.Report, fxcount.TrainingReport)):
        return
    _ = found.table(), found.to_dict(), found.by_module(), found.ops, found.params.rows()
    if isinstance(found, fxcount.Report):
        _ = found.by_op(), found.memory.peak
    if found.values is None:
        found.at(**{name: 2 * hint for name, hint in found.symbols.items()})


# -- the table --------------------------------------------------------------------------------------------------------
def _shown(given: Any) -> str:
    try:
        return ascii(given)[:200]
    except ValueError:  # integers of thousands of digits
        return "large numbers"


def _specs(count: int, seed: int) -> Iterator[tuple[str, Any]]:
    takes = _Takes()
    for text in spec_strings(count, seed):
        yield outcome(partial(fxcount.analyze, takes, text)), text


def _ats(count: int, seed: int) -> Iterator[tuple[str, Any]]:
    model = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7))
    report = fxcount.analyze(model, "B,3,H,W")
    for given in at_arguments(["B", "H", "W"], count, seed):
        yield outcome(partial(report.at, **given)), given


class _Decides(nn.Module):
    """One piece for short sequences, one for long ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x.mT if x.shape[1] > 8 else x + 1


def saved_files() -> dict[str, dict[str, Any]]:
    """One file of each kind that :func:`fxcount.load` reads."""
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 7))
    step = fxcount.training_step(net, "B,3,8,8", optimizer="adamw")
    decides = _Decides()
    report = fxcount.analyze(decides, "B,S,5", hints={"S": 16})
    curve, pieces = report.curve(B=2, S=range(5, 12)), report.pieces(B=(1, 8), S=(1, 64))
    compared = fxcount.compare(net, nn.Sequential(*net[:3], nn.Linear(5 * 36, 11)), "B,3,8,8")
    graph = fxcount.analyze(net, "B,3,8,8").to_graph_json()
    deep = fxcount.analyze(Resized(8, 3), "B,3,H,W").to_json()
    return {
        name: json.loads(text) for name, text in (
            ("graph", graph), ("deep", deep), ("report", report.to_json()), ("step", step.to_json()),
            ("curve", curve.to_json()), ("pieces", pieces.to_json()), ("comparison", compared.to_json()),
        )
    }  # fmt: skip


def _reports(count: int, seed: int) -> Iterator[tuple[str, Any]]:
    files = saved_files()
    for i, saved in enumerate(files.values()):  # so many of each that they are ``count`` in all
        for change in corruptions(saved, (count + i) // len(files), seed):
            yield corrupted(saved, change), change


KINDS: dict[str, Callable[[int, int], Iterator[tuple[str, Any]]]] = {"specs": _specs, "at": _ats, "reports": _reports}


def survey(kind: str, count: int, seed: int = 0, say: Callable[[str], None] | None = None) -> Counter[str]:
    """How many inputs of a kind ended in which way; ``say`` gets those that should not.

    >>> found = survey("at", 20)
    >>> found["foreign"], found["hang"], found["ok"] + found["refused"]
    (0, 0, 20)
    """
    counts: Counter[str] = Counter()
    for found, given in KINDS[kind](count, seed):
        ending = found.partition(" ")[0]
        counts[ending] += 1
        if ending in ("foreign", "hang") and say is not None:
            say(f"{found}  for  {_shown(given)}")
    return counts


def main() -> int:
    """Run all three and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=int, default=100_000)
    parser.add_argument("--at", type=int, default=10_000)
    parser.add_argument("--reports", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    endings = ("ok", "refused", "foreign", "hang")
    print(f"{'input':<12}{'drawn':>10}{''.join(f'{e:>10}' for e in endings)}{'time':>11}")
    bad = 0
    for kind in KINDS:
        started = time.perf_counter()
        counts = survey(kind, getattr(options, kind), options.seed, partial(print, file=sys.stderr))
        numbers = "".join(f"{counts[e]:>10,}" for e in endings)
        print(f"{kind:<12}{counts.total():>10,}{numbers}{time.perf_counter() - started:>9.0f} s", flush=True)
        bad += counts["foreign"] + counts["hang"]
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
