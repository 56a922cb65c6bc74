"""Is a formula ever silently wrong? Models that look at sizes in every way Python allows, at many sizes.

    python -m benchmarks.soundness [--seed 0] [--nets 1000] [--sizes 50]

A net looks at a size (an *observer*: ``{224: 1, 32: 2}.get(n, 3)``, ``math.ceil(n * .3)``, ``len(f"{n}")``, or a random tree of
size arithmetic) and does something that depends on what it saw (a *context*: a branch, a slice, padding, a loop, a reshape).
Others are written out: ``soundness_nets/expressions.txt`` has an observer a line, of a size ``n``, another one ``m`` and the
tensor ``x``; ``bodies.txt`` whole nets, each under its name; ``helpers.txt`` the functions and classes that both use.

It is analysed once with symbols B, H, W. Wherever ``at(..., extend=False)`` admits sizes, macs, flops and output shape must be
those of a fresh analysis at these sizes, and of torch itself on the meta device (``FlopCounterMode``). What ``at()`` refuses is
counted, and no error.

>>> count = survey(range(3), seed=1, sizes=4)
>>> count["different"], count["nets"]
(0, 3)
"""

from __future__ import annotations

import argparse
import collections
import functools
import hashlib
import linecache
import random
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount

__all__ = ["Difference", "Drawn", "compared", "differences", "drawn", "survey", "written"]

SIZES = ("H", "W", "H*W", "H//2 + 1", "H - W", "x.numel()", "(H + 13)//14", "B*H", "min(H, W)", "H % 10 + 3", "B")

SEEN = """
n in {224, 32, 7, 64}; {224: 1, 32: 2, 7: 3}.get(n, 4); len({n, 7, 64, 224}); hash(n) % 5
hash((n, 3)) == hash((32, 3)); collections.Counter([n, 64, 7])[64]; LUT.get((n, 3), 2); [7, 9, 64].count(n); n == 64.0
n is None; isinstance(n, int); str(n)[-1] == "4"; len(f"{n}"); f"{n:05d}"[2] == "0"; repr(n).count("2")
len(str(tuple(x.shape))); hex(n)[-1] in "02468"; bin(n).count("1"); "%d" % n == "64"; "{}".format(n)[0] == "2"
len(str(n / 3)) % 4; n.bit_length(); n.bit_count(); n.real == 64; n.numerator % 3; n.denominator; n.conjugate() % 5
n.to_bytes(8, "big")[-1] % 3; n.as_integer_ratio()[1]; n.__index__() % 7; pow(n, 2, 7); 2 ** (abs(n) % 5); n ** 3 % 11
n // 7; n % 7; -n // 3; (n >> 2) % 9; n & 12; n | 7; n ^ 5; ~n % 5; divmod(n, 9)[1]; 1000 // (abs(n) + 1)
1000 % (abs(n) + 1); 1 / (abs(n) + 1) < .01; 1 / (abs(n) + 1) == 1 / 49; n * .1 > 6.4; n / 10 * 3 % 2 < 1
n / 3 == 64 / 3; n * 0.7 >= 44.8; n / 49 * 49 == n; int(n * .7) % 9; int(n / 10 * 3) % 7; math.ceil(n * .3) % 9
math.floor(64 / (abs(n) + 1) * (abs(n) + 1)) % 5; round(n * .375) % 8; round(n / 2) % 5; round(n / 3, 1) > 9
math.trunc(n / 7) % 5; int(n ** .5) % 6; math.isqrt(abs(n)) % 6; int(math.log2(abs(n) + 1)); math.gcd(n, 12)
math.lcm(n, 6) % 5; math.fmod(n, 7) == 0; math.hypot(n, 3) > 50; math.fsum([n, 3]) == 67; math.prod([n, 3]) % 7
math.isclose(n, 64); math.comb(abs(n) % 20, 2) % 4; np.ceil(n / 2) % 3; np.log2(abs(n) + 1) > 6; np.sqrt(abs(n)) > 8
np.maximum(n, 40) % 9; np.prod([n, 3]) % 5; np.clip(n, 8, 40); np.int64(3) * n % 5; np.floor_divide(n, 5) % 4
np.sum([n, 4]) % 6; len(np.arange(abs(n) % 9)); np.round(n / 3) % 4; np.float64(.3) * n > 19.2; np.power(n, 2) % 7
fractions.Fraction(n, 3) > 21; statistics.mean([n, 4]) > 30; statistics.median([n, 40, 60]) % 7; len(json.dumps(n))
decimal.Decimal(n) % 5 == 4; sorted([n, 40, 64])[1] % 7; max(n, 50) % 9; min(n, 50) % 9; sum([n, n]) % 7
any(k % 2 for k in (n, 3 * n)); bool(n - 64); not n - 7; n and 3; abs(n - 64) % 11; n <= 64; n < 64; n != 49
(n, 3) < (64, 4); next((d for d in range(2, 9) if n % d), 9); bisect.bisect([7, 49, 64, 225], n); cached(n) % 7
cached(n + 0) == cached(n); len([0] * (abs(n) % 7)); len(list(range(0, n, 9))) % 6
functools.reduce(operator.mul, [n, 3]) % 5; (n * .5).is_integer(); (n / 4).hex()[-1] == "5"; complex(n).real == 64
float(n) % 2.5 == 0; n // 2.5 % 3; n % 2.5 < 1; -n % -7 % 3; n / 8 // 1 % 5; type(n / 2) is float or True
list(itertools.islice(itertools.count(n), 2))[1] % 7; copy.copy(n) % 5; pickle.loads(pickle.dumps(n)) % 5
"""
NETS = Path(__file__).parent / "soundness_nets"
OBSERVERS = tuple(part for line in SEEN.strip().splitlines() for part in line.split("; "))

CONTEXTS = {
    "three": "return (s.wide, s.narrow, s.big)[int(v) % 3](x)",
    "branch": "return s.wide(x) if v else s.narrow(x)",
    "two": "y = s.narrow(x) if v == 1 or v is True else x\nreturn s.wide(y) if v > 2 else s.narrow(y)",
    "slice": "return x[:, :, : v % 6 + 1] @ x.new_ones(W, 2)",
    "pad": "return F.pad(x, (0, 0, 0, v % 8)) @ x.new_ones(W, 3)",
    "rows": "return x.new_ones(v % 5 + 1, 4) @ s.table",
    "loop": "for _ in range(int(v) % 4):\n    x = s.narrow(x)\nreturn x",
    "stride": "return x[:, :, :: v % 3 + 1] @ x.new_ones(W, 2)",
    "pick": "return (s.wide, s.narrow)[v % 2](x)",
    "dict": "return {True: s.wide, False: s.narrow}[bool(v > 2)](x)",
    "try": """try:
    return x.reshape(B, -1, v % 4 + 2) @ x.new_ones(v % 4 + 2, 3)
except Exception:
    return s.narrow(x)""",
}
"""What a net does with the value ``v``."""

_PRELUDE = """
import bisect, collections, copy, decimal, fractions, functools, itertools, json, math, operator, pickle, statistics
import numpy as np
import torch.nn.functional as F
LUT = {(64, 3): 1, (7, 3): 3}
@functools.lru_cache(None)
def cached(n): return n // 2 + 1
"""
POINTS = (
    1, 2, 3, 5, 7, 8, 9, 10, 13, 15, 16, 25, 31, 32, 33, 48, 49, 50, 63, 64, 65, 98, 99, 100, 101, 103, 107, 127, 128, 161,
    223, 224, 225, 255, 256, 299, 320,
)  # fmt: skip
HINTS = (7, 13, 32, 49, 64, 100, 224)


class Net(nn.Module):
    """What every net has to call; ``forward`` runs its source."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 1, bias=False)
        self.big, self.down = nn.Conv2d(4, 4, 5, padding=2, bias=False), nn.Conv2d(4, 4, 3, 2, 1)
        self.lin, self.table = nn.Linear(4, 4), nn.Parameter(torch.zeros(4, 5))
        body = "\n".join("    " + line for line in source.splitlines())
        names = dict(vars(_helpers()))
        _run(f"def run(s, x):\n    B, C, H, W = x.shape\n{body}\n", names)
        self.run: Callable[[Any, Any], Any] = names["run"]

    def method(self, a: Any, b: Any) -> bool:
        return a is b

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.run(self, x)
        return result


def _run(source: str, names: dict[str, Any]) -> None:
    """Execute source that Python, and so fxcount, can look up by the name of its file."""
    name = f"<soundness {hashlib.sha256(source.encode()).hexdigest()[:16]}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), names)


@functools.cache
def _helpers() -> types.ModuleType:
    """What all nets can call, as a module of its own."""
    made = types.ModuleType("soundness_helpers")
    sys.modules[made.__name__] = made  # dataclasses look for it
    _run(_PRELUDE + (NETS / "helpers.txt").read_text(encoding="utf-8"), made.__dict__)
    return made


class Difference(NamedTuple):
    source: str
    hints: dict[str, int]
    sizes: tuple[int, int, int]
    formula: Any
    fresh: Any
    torch: Any

    def __str__(self) -> str:
        return f"at {self.sizes}, hints {self.hints}: {self.formula}, fresh {self.fresh}, torch {self.torch}\n{self.source}"


def _arithmetic(rng: random.Random, depth: int = 3) -> str:
    """A random tree of size arithmetic; divisors are at least 1."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(("H", "W", "B", "H", "W", str(rng.randint(1, 30))))
    a, b = _arithmetic(rng, depth - 1), _arithmetic(rng, depth - 1)
    number = rng.choice((2, 3, 4, 7, 8, 16, 32))
    return rng.choice((
        f"({a} + {b})", f"({a} - {b})", f"({a} * {b})", f"({a} // {number})", f"({a} % {number})", f"max({a}, {b})",
        f"min({a}, {b})", f"abs({a} - {b})", f"(-({a}) // {number})", f"({a} // (abs({b}) + 1))",
        f"math.ceil({a} / {number})", f"int({a} / {number} * {rng.choice((2, 3, 4))})",
        f"round({a} * {rng.choice((0.5, 0.3, 0.7, 0.25))})",
    ))  # fmt: skip


class Drawn(NamedTuple):
    """A net and the sizes it is analysed and compared at."""

    source: str
    hints: dict[str, int]
    points: list[tuple[int, int, int]]


def drawn(seed: int, number: int, sizes: int = 50) -> Drawn:
    """The net of a number: every observer once in the first nets, in an order that the seed decides, later a random one.

    A quarter of the nets look at random arithmetic instead.

    >>> drawn(0, 7) == drawn(0, 7), drawn(0, 7) == drawn(1, 7)
    (True, False)
    """
    rng = random.Random(f"{seed}/{number}")
    order = random.Random(seed).sample(OBSERVERS, len(OBSERVERS))
    observer = order[number] if number < len(order) else rng.choice(OBSERVERS)
    if rng.random() < 0.25:
        observer = f"({_arithmetic(rng)}) % 97"
    source = f"n = {rng.choice(SIZES)}\nv = {observer}\n{rng.choice(list(CONTEXTS.values()))}"
    hints = {"B": rng.randint(1, 3), "H": rng.choice(HINTS), "W": rng.choice(HINTS)}
    return Drawn(source, hints, [_point(rng, hints) for _ in range(sizes)])


def written(seed: int, sizes: int = 50) -> Iterator[tuple[str, Drawn]]:
    """The nets that are written out, in the order of their files: what each is called, and the net.

    >>> names = [name for name, _ in written(0, 1)]
    >>> len(names) > 2200, names[0], names[-1]
    (True, 'dataclasses.astuple(Size2(n, m))[0] % 7', 'nonzero_size')
    """
    for line in (NETS / "expressions.txt").read_text(encoding="utf-8").splitlines():
        rng = random.Random(f"{seed}/{line}")
        context = rng.choice(("three", "three", "slice", "pad", "rows", "stride", "loop"))
        value = f"int({line})" if context != "three" else line
        yield line, _placed(rng, f"n, m = H, W\nv = {value}\n{CONTEXTS[context]}", sizes)
    for part in (NETS / "bodies.txt").read_text(encoding="utf-8").split("## ")[1:]:
        name, _, body = part.partition("\n")
        yield name, _placed(random.Random(f"{seed}/{name}"), body.rstrip(), sizes)


def _placed(rng: random.Random, source: str, sizes: int) -> Drawn:
    hints = rng.choice(({"B": 1, "H": 64, "W": 7}, {"B": 2, "H": 50, "W": 64}, {"B": 3, "H": 13, "W": 49}))
    return Drawn(source, hints, [_point(rng, hints) for _ in range(sizes)])


def _numbers(report: Any) -> Any:
    outputs = report.trace.outputs
    value = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
    return int(report.macs), int(report.flops), tuple(int(report.size(d)) for d in value.fact.shape)


def _fresh(source: str, sizes: tuple[int, int, int]) -> Any:
    b, h, w = sizes
    try:
        return _numbers(fxcount.analyze(Net(source), (b, 4, h, w)))
    except Exception as error:  # the model's own, at this size
        return f"{type(error).__name__}: {error}"


def _torchs(source: str, sizes: tuple[int, int, int]) -> Any:
    b, h, w = sizes
    with torch.device("meta"):
        net, x = Net(source), torch.empty(b, 4, h, w)
    try:
        return _counted(net, x)
    except Exception as error:
        if not isinstance(error, NotImplementedError) and "meta" not in str(error):
            return f"{type(error).__name__}: {error}"
    try:  # the model looks at data
        return _counted(Net(source), torch.zeros(b, 4, h, w))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _counted(net: nn.Module, x: torch.Tensor) -> Any:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        y = net(x)
    y = y[0] if isinstance(y, (tuple, list)) else y
    return counter.get_total_flops(), tuple(y.shape)


def _admitted(report: Any, sizes: tuple[int, int, int]) -> Any:
    values = {name: size for name, size in zip("BHW", sizes, strict=True) if name in report.trace.scope.hints}
    try:
        return report.at(**values, **_OWN_PIECE)
    except fxcount.FxcountError:
        return None


def _has_extend() -> dict[str, bool]:
    import inspect

    return {"extend": False} if "extend" in inspect.signature(fxcount.Report.at).parameters else {}


_OWN_PIECE = _has_extend()


def differences(source: str, hints: dict[str, int], sizes: list[tuple[int, int, int]], count: Any) -> Iterator[Difference]:
    """Where the formulas of one net are not what a fresh analysis, or torch, finds."""
    here = hints["B"], hints["H"], hints["W"]
    if isinstance(_torchs(source, here), str):
        count["nets that torch refuses"] += 1
        return
    try:
        report = fxcount.analyze(Net(source), "B,4,H,W", hints=hints)
    except fxcount.FxcountError:
        count["nets refused"] += 1
        return
    except Exception as error:
        yield Difference(source, hints, here, f"{type(error).__name__}: {error}", None, None)
        return
    for point in [here, *sizes]:
        found = _admitted(report, point)
        if found is None:
            count["sizes refused"] += 1
            continue
        count["sizes admitted"] += 1
        formula, fresh, own = _numbers(found), _fresh(source, point), _torchs(source, point)
        wrong = not isinstance(own, str) and (formula[2] != own[1] or 2 * formula[0] != own[0])
        if formula != fresh or wrong or isinstance(own, str):
            yield Difference(source, hints, point, formula, fresh, own)


def _point(rng: random.Random, hints: dict[str, int]) -> tuple[int, int, int]:
    """Sizes, half of them far from the hints, the others with some at them: a model that pins one is asked too."""
    b, h, w = rng.randint(1, 4), rng.choice(POINTS), rng.choice(POINTS)
    if rng.random() < 0.5:
        return b, h, w
    return (b, h, hints["W"]) if rng.random() < 0.5 else (hints["B"], hints["H"], w)


def survey(
    numbers: Iterable[int], seed: int = 0, sizes: int = 50, say: Callable[[str], None] | None = None
) -> collections.Counter[str]:
    """Counts over the nets of these numbers; ``different`` must be 0."""
    return compared(((f"net {number}", drawn(seed, number, sizes)) for number in numbers), say)


def compared(nets: Iterable[tuple[str, Drawn]], say: Callable[[str], None] | None = None) -> collections.Counter[str]:
    """Counts over named nets."""
    count: collections.Counter[str] = collections.Counter({"different": 0})
    for name, net in nets:
        count["nets"] += 1
        for found in differences(*net, count):
            count["different"] += 1
            if say is not None:
                say(f"{name}: {found}")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nets", type=int, default=1000)
    parser.add_argument("--sizes", type=int, default=50)
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, end="\n\n", flush=True)

    count = survey(range(options.nets), options.seed, options.sizes, say)
    count += compared(written(options.seed, options.sizes), say)
    for name, number in sorted(count.items()):
        print(f"{name:30}{number:8}")


if __name__ == "__main__":
    main()
