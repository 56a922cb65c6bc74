"""What the page computes is what Python computes, to the digit: the page's own code, run by node."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import fxcount
from fxcount.report.views.html.piece import in_json
from fxcount.report.views.html.pool import runs
from fxcount.report.views.units import bytes_text, count_text
from fxcount.symbolic import Size, ceildiv, eval_rows, evaluate, floordiv, max_, min_, mod, plain_claim, symbol
from fxcount.symbolic.floats import Claim
from fxcount.symbolic.program import Program

NODE = shutil.which("node")
SCRIPT = Path(fxcount.__file__).parent / "report/views/html/evaluate.js"
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed, which runs the page's code without a browser")

NAMES = ("B", "H", "W", "S")


def ran(code: str, data: Any) -> Any:
    """What the code prints as JSON; it has the page's functions as ``e`` and the data as ``data``."""
    script = (
        f"const e = require({json.dumps(str(SCRIPT))}); "
        f"const data = JSON.parse(require('fs').readFileSync(0, 'utf8')); const out = (() => {{ {code} }})(); "
        "process.stdout.write(JSON.stringify(out, (k, v) => typeof v === 'bigint' ? String(v) : v));"
    )
    assert NODE is not None
    done = subprocess.run([NODE, "-e", script], input=json.dumps(data), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _program(rng: random.Random) -> list[list[Any]]:
    """Random rows: floors, remainders (of negative numbers too), maxima, minima and powers of sizes."""
    rows: list[list[Any]] = [["sym", name, None] for name in NAMES]
    for _ in range(rng.randint(1, 14)):
        op = rng.choice(["int", "add", "mul", "floordiv", "floordiv", "max", "min", "pow", "mod"])
        a, b = rng.randrange(len(rows)), rng.randrange(len(rows))
        if op == "int":
            rows.append(["int", str(rng.choice([rng.randint(-9, 9), rng.randint(-(2**40), 2**40)]) or 1), None])
        elif op == "pow":
            rows.append(["pow", a, rng.randint(1, 3)])
        elif op == "mod":  # a - b*floor(a/b)
            at = len(rows)
            rows += [["floordiv", a, b], ["mul", at, b], ["int", "-1", None], ["mul", at + 1, at + 2], ["add", a, at + 3]]
        else:
            rows.append([op, a, b])
    return rows


def _value(rows: list[list[Any]], values: dict[str, int]) -> int | None:
    try:
        return eval_rows(rows, values)
    except fxcount.SizeError:  # a division by zero, or a number that is refused as too long
        return None


def test_ten_thousand_random_programs() -> None:
    rng = random.Random(7)
    cases = []
    while len(cases) < 10_000:
        rows = _program(rng)
        values = {name: rng.choice([rng.randint(1, 9), rng.randint(1, 4096), rng.randint(1, 2**50)]) for name in NAMES}
        expected = _value(rows, values)
        if expected is not None:
            cases.append((rows, values, str(expected)))
    found = ran(
        "return data.map(([rows, values]) => { const p = e.compiled(rows), last = rows.length - 1; "
        "const d = e.inDoubles(p, values), double = d.exact ? String(BigInt(d.numbers[last])) : ''; "
        "return [new e.Exact(p, values).at(last), d.exact, double]; });",
        [case[:2] for case in cases],
    )
    assert [f[0] for f in found] == [c[2] for c in cases]
    inexact = [c for c, (_, exact, double) in zip(cases, found, strict=True) if exact and double != c[2]]
    assert not inexact
    assert 2_000 < sum(f[1] for f in found) < 10_000  # both kinds are there
    assert max(len(c[2]) for c in cases) > 40


def _formula(rng: random.Random, depth: int) -> Size:
    if depth == 0:
        return rng.choice([symbol(rng.choice(NAMES)), rng.randint(-7, 64)])
    a, b = _formula(rng, depth - 1), _formula(rng, depth - 1)
    n = rng.randint(2, 17)
    return rng.choice([
        lambda: a + b, lambda: a * b, lambda: a - b, lambda: floordiv(a, n), lambda: ceildiv(a, n), lambda: mod(a, n),
        lambda: max_(a, b), lambda: min_(a, b), lambda: floordiv(a, symbol(rng.choice(NAMES))),
    ])()  # fmt: skip


def test_formulas_of_the_algebra_in_one_program() -> None:
    rng = random.Random(11)
    program, sizes = Program(), [_formula(rng, rng.randint(1, 4)) for _ in range(500)]
    numbers = [program.size(size) for size in sizes]
    points = [{name: rng.randint(1, 10**rng.choice([1, 3, 12])) for name in NAMES} for _ in range(5)]
    found = ran(
        "const p = e.compiled(data.rows); return data.points.map(v => { const x = new e.Exact(p, v); "
        "return data.numbers.map(n => x.at(n)); });",
        {"rows": program.rows, "numbers": numbers, "points": points},
    )
    assert found == [[str(evaluate(size, point)) for size in sizes] for point in points]


def _claim(rng: random.Random) -> Claim:
    def program(depth: int) -> Any:
        if depth == 0:
            return rng.choice([symbol(rng.choice(NAMES)), rng.randint(1, 9), rng.choice([0.5, 0.1, 3.0, 1 / 3, -2.5])])
        return (rng.choice(["+", "-", "*", "/", "//", "%"]), program(depth - 1), program(depth - 1))

    how = rng.choice(["floor", "ceil", "trunc", "round", "==", "!=", "<", "<=", ">", ">="])
    left = program(rng.randint(1, 3))
    return Claim(how, left, rng.randint(-3, 9) if how in ("floor", "ceil", "trunc", "round") else program(1))


def test_claims_about_floats() -> None:
    rng = random.Random(5)
    program = Program()
    claims = [_claim(rng) for _ in range(3000)]
    plain = [in_json(plain_claim(c, lambda size: {"row": program.size(size)})) for c in claims]
    points = [{name: rng.randint(1, 300) for name in NAMES} for _ in range(4)]
    found = ran(
        "const p = e.compiled(data.rows); return data.points.map(v => { const x = new e.Exact(p, v); "
        "return data.claims.map(claim => e.holds({is: 'float', claim}, x)); });",
        {"rows": program.rows, "claims": plain, "points": points},
    )
    expected = [[c.holds(point) for c in claims] for point in points]
    assert found == expected
    assert {True, False} == {truth for row in expected for truth in row}


def test_numbers_for_people() -> None:
    rng = random.Random(3)
    numbers = [0, 1, 999, 1000, 1001, 100_250, 100_350, 999_949, 999_950, 2**53, 10**27 + 5, 10**31]
    numbers += [rng.randint(0, 10 ** rng.randint(1, 26)) for _ in range(3000)]
    found = ran("return data.map(n => [e.countText(BigInt(n)), e.bytesText(BigInt(n))]);", [str(n) for n in numbers])
    assert found == [[count_text(n), bytes_text(n)] for n in numbers]
    small = [n for n in numbers if n < 2**53]
    assert ran("return data.map(n => e.countText(n));", small) == [count_text(n) for n in small]


def test_columns_are_written_and_read_back() -> None:
    rng = random.Random(2)
    columns = [[rng.randrange(3) for _ in range(rng.randrange(200))] for _ in range(200)]
    columns += [[5, *list(range(40)) * 80, 7], [], [1] * 1000]
    assert ran("return data.map(c => Array.from(e.unrolled(c)));", [runs(c) for c in columns]) == columns
    assert len(runs(columns[200])) < 50
