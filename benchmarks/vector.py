"""A million points of Swin-T's flops: ``python -m benchmarks.vector [--points 1000000]``.

Prints the fastest of five evaluations in seconds, where all numbers fit 64 bits and where they do not, and the time of one
point at a time; a sample of the points is compared with `evaluate`.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import fxcount
from fxcount.symbolic import evaluate, evaluate_many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    options = parser.parse_args()
    size = fxcount.analyze(fxcount.load_model("torchvision:swin_t"), "B,3,H,W").costs.total.flops
    chance = np.random.default_rng(0)
    sides = {name: chance.integers(32, 4000, options.points) for name in ("H", "W")}
    small = {"B": chance.integers(1, 65, options.points), **sides}
    large = {"B": 10**9, **{name: values * 10**4 for name, values in sides.items()}}
    for name, points in (("int64", small), ("Python's integers", large)):
        best, values = min((_timed(size, points) for _ in range(5)), key=lambda found: found[0])
        for i in range(0, options.points, max(1, options.points // 50)):
            assert values[i] == evaluate(size, {n: int(v if np.ndim(v) == 0 else v[i]) for n, v in points.items()})
        print(f"{options.points:,} points, {name} ({values.dtype}): {best:.3f} s")
    start = time.perf_counter()
    for i in range(1000):
        evaluate(size, {n: int(v[i]) for n, v in small.items()})
    print(f"one point at a time: {(time.perf_counter() - start) * 1e3:.1f} us each")


def _timed(size: Any, points: dict[str, Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    (values,) = evaluate_many([size], points)
    return time.perf_counter() - start, values


if __name__ == "__main__":
    main()
