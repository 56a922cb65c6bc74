"""Saved reports that are damaged or made to harm: one kind of error, with its place, in bounded time and memory."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from torch import nn

import fxcount
from benchmarks.fuzz import corrupted, corruptions, saved_files
from fxcount.errors import InputError, SizeError
from fxcount.symbolic import eval_rows, from_rows


def _saved() -> dict[str, Any]:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5, 7))
    found: dict[str, Any] = json.loads(fxcount.analyze(model, "B,3,3,3").to_graph_json())
    return found


def test_a_whole_report_is_read() -> None:
    assert fxcount.load(_saved()).at(B=7).macs == 7 * (5 * 27 + 5 * 7)


@pytest.mark.parametrize(
    "size",
    [
        "2**(2**40)", "((2**64)**64)**64", " + ".join(f"a{i}" for i in range(20_000)), "(" * 5000 + "B" + ")" * 5000,
        "B*" * 3000 + "B",
        "(a+b+c+d+e+f)**60", "Max(" + ",".join(f"B+{i}" for i in range(5000)) + ")", "9" * 5000, "B//0", "B/0", "B; import os",
        "__import__('os')", "B.x", "B(1)", "", "-", "B\x00", "\ud800", "Q", "-B", "-5", -5, 0.5, True, None, [], {},
        "floor(" * 3000, "-" * 100_000 + "B", "B" * 2_000_000, "lambda: 0", "B if B else 1", "extend", "self", "B%0", "2h",
    ],
    ids=lambda size: str(size)[:12].encode("unicode_escape").decode(),
)  # fmt: skip
def test_a_size_that_is_none(size: Any) -> None:
    for path in (("facts", 0, "shape", 0), ("storages", 0, "nbytes"), ("signatures", 0, "cost", 1)):
        saved = _saved()
        at: Any = saved["report"]
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = size
        with pytest.raises(InputError):
            fxcount.load(saved)


@pytest.mark.parametrize(
    ("table", "row", "field", "value", "place"),
    [
        ("facts", 0, "device", "x", "damaged"), ("facts", 0, "dtype", "os", "damaged"),
        ("facts", 0, "dtype", 3, r"report\.facts\[0\]\.dtype"),
        ("values", 1, "fact", 10**6, r"report\.values\[1\]\.fact"), ("values", 1, "storage", -1, r"values\[1\]\.storage is -1"),
        ("values", 1, "call", 10**30, r"report\.values\[1\]\.call"), ("values", 0, "origin", "moon", r"values\[0\]\.origin"),
        ("calls", 0, "signature", 99, r"report\.calls\[0\]\.signature"), ("calls", 0, "operands", [77], r"report\.calls\[0\]"),
        ("calls", 1, "module", 44, r"report\.calls\[1\]\.module"), ("calls", 1, "args", {"$value": 1234}, "damaged"),
        ("modules", 1, "parent", 1, r"report\.modules\[1\]"), ("modules", 1, "stop", 10**9, r"report\.modules\[1\]"),
        ("modules", 1, "base", "functional", "damaged"), ("declared", 0, "shape", [-1], r"declared\[0\]\.shape\[0\]"),
        ("storages", 0, "nbytes", float("nan"), r"storages\[0\]\.nbytes is nan"),
        ("events", 0, 0, 10**9, r"report\.events\[0\]"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(table: str, row: int, field: Any, value: Any, place: str) -> None:
    saved = _saved()
    saved["report"][table][row][field] = value
    with pytest.raises(InputError, match=place):
        fxcount.load(saved)


@pytest.mark.parametrize(
    "source",
    ["{", "{}", "[]", "{" * 100_000, '{"report": ' * 20_000, "null", "no such file", "a\x00b", "\ud800", 7, None, b"{}",
    {"report": 1}, [], "x" * 5000, "NaN", "-Infinity", "1", '"text"', "true",
     '{"graph": {"fxcount_schema": 1e400}, "report": {}}', '{"graph": {}, "report": {"a": ' + "9" * 5000 + "}}"],
)  # fmt: skip
def test_what_is_no_report(source: Any) -> None:
    with pytest.raises(InputError):
        fxcount.load(source)


@pytest.fixture(scope="module")
def files() -> dict[str, dict[str, Any]]:
    return saved_files()


@pytest.mark.parametrize("kind", ["graph", "report", "deep", "step", "curve", "pieces", "comparison"])
def test_corruptions(files: dict[str, dict[str, Any]], kind: str) -> None:
    """A seeded sample of what ``benchmarks/fuzz.py`` does by the thousand."""
    outcomes = [corrupted(files[kind], change) for change in corruptions(files[kind], 60, seed=3)]
    assert not [o for o in outcomes if o.startswith(("foreign", "hang"))]
    assert outcomes.count("refused") > 20
    assert outcomes.count("ok") > 2


HUGE = " + ".join(f"a{i}" for i in range(20_000))
DEEP = "nested 3000 times"


def _deep() -> Any:
    found: Any = []
    for _ in range(3000):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("step", ("report", "step", "phases", 0, "calls"), [0, 10**9]),
        ("step", ("report", "step", "phases", 0, "log"), [5, 2]),
        ("step", ("report", "step", "gradients"), [10**30]), ("step", ("report", "step", "phases"), []),
        ("step", ("report", "step", "backward_of"), [[0, 10**6]]), ("step", ("report", "step", "within"), [[-1, 4]]),
        ("step", ("report", "step", "phases", 0, "name"), "sideways"), ("step", ("report", "step", "scales"), DEEP),
        ("step", ("report", "facts", 0, "device"), "moon:7"), ("step", ("report", "storages", 3, "nbytes"), HUGE),
        ("curve", ("curve", "columns", "macs", 0), float("nan")), ("curve", ("curve", "columns", "macs", 0), None),
        ("curve", ("curve", "piece", 0), 99), ("curve", ("curve", "sizes", "S"), [1]), ("curve", ("curve", "free"), ["Q"]),
        ("curve", ("curve", "refused", 0), 0), ("curve", ("curve", "pieces", 0, "assumptions", 0, "expr"), "(a+b+c)**(2**40)"),
        ("curve", ("curve", "columns", "flops"), DEEP),
        ("pieces", ("piecewise", "rows", 0, "totals", "macs"), []),
        ("pieces", ("piecewise", "rows", 0, "totals", "macs"), ["-B"]),
        ("pieces", ("piecewise", "rows", 0, "totals", "macs"), ["Q"]),
        ("pieces", ("piecewise", "rows", 0, "totals", "macs", 0), HUGE),
        ("pieces", ("piecewise", "rows", 0, "sides", 0, 0, "progressions"), [[7, 1, 0]]),
        ("pieces", ("piecewise", "rows", 0, "sides", 0, 0, "names"), []), ("pieces", ("piecewise", "rows", 0, "sides"), DEEP),
        ("comparison", ("comparison", "totals", "macs", 2), 12345), ("comparison", ("comparison", "totals", "macs", 0), "B//0"),
        ("comparison", ("comparison", "modules", 0, "after"), {}), ("comparison", ("comparison", "names"), ["a"]),
        ("comparison", ("comparison", "lines"), DEEP), ("comparison", ("comparison", "totals", "flops", 1), HUGE),
        ("report", ("fxcount", "kind"), "step"), ("step", ("fxcount", "kind"), "report"),
        ("curve", ("fxcount", "kind"), "pieces"),
        ("curve", ("fxcount", "schema"), 4),
        ("curve", ("fxcount", "schema"), 2.0), ("curve", ("fxcount", "schema"), [2]),
        ("curve", ("fxcount",), None), ("report", ("pieces",), [DEEP]),
    ],
    ids=lambda v: str(v)[:40],
)  # fmt: skip
def test_each_kind_of_file_is_checked(files: dict[str, dict[str, Any]], kind: str, path: tuple[Any, ...], value: Any) -> None:
    saved, value = dict(files[kind]), _deep() if value == DEEP else [_deep()] if value == [DEEP] else value
    saved[path[0]] = at = copy.deepcopy(saved.get(path[0])) if len(path) > 1 else value
    for step in path[1:-1]:
        at = at[step]
    if len(path) > 1:
        at[path[-1]] = value
    started = time.perf_counter()
    with pytest.raises(InputError):
        fxcount.load(saved)
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize(
    "rows",
    [
        [["int", "2", None], ["pow", 0, 2**40]], [["sym", "B", None], ["pow", 0, 0]], [["sym", "B", None], ["pow", 0, -3]],
        [["sym", "B", None], ["sym", "C", None], ["add", 0, 1], ["pow", 2, 1000], ["pow", 3, 1000]], [["int", "9" * 5000,
        None]],
        [["int", "x", None]], [["sym", "1", None]], [["sym", "B", None], ["int", "0", None], ["floordiv", 0, 1]], [[]],
        [7], [["add", 0, 0]],
        [["int", "2", None], *(["mul", i, i] for i in range(60))], [["sym", "B", None], ["mul", True, 0]], [["eval", "1",
        None]], [],
    ],
)  # fmt: skip
def test_rows_that_are_none(rows: Any) -> None:
    for read in (lambda: from_rows(rows), lambda: eval_rows(rows, {"B": 3, "C": 5})):
        with pytest.raises(SizeError):
            read()


def _with_argument(value: Any) -> dict[str, Any]:
    saved = _saved()
    saved["report"]["calls"][0]["args"]["$tuple"].append(value)
    return saved


def test_a_list_of_100_000_terms_is_refused_within_the_limit_of_a_hang() -> None:
    saved = _with_argument(["+", *[["*", i, "B"] for i in range(100_000)], {"$moon": 1}])
    started = time.process_time()
    with pytest.raises(InputError, match=r"calls\[0\]\.args\.\$tuple\[\d+\]\[100001\] is a dict of 1, no null"):
        fxcount.load(saved)
    assert time.process_time() - started < 10


def test_many_symbols_and_many_dimensions_are_refused() -> None:
    saved = _saved()
    saved["report"]["scope"]["hints"].update({f"x{i}": 2 for i in range(20_000)})
    with pytest.raises(InputError, match="20,001 symbols"):
        fxcount.load(saved)
    saved = _saved()
    saved["report"]["declared"][0]["shape"] = [3] * 10_000
    with pytest.raises(InputError, match="number of parameters"):
        fxcount.load(saved)


def test_what_is_wrong_deep_inside_is_looked_for_once() -> None:
    value: Any = {"$value": 0.5}
    for i in range(60):  # twice at each level would be 2**60 times
        value = [0, value] if i % 2 else {"$tuple": [value]}
    with pytest.raises(InputError, match=r"\$value is 0\.5, no integer"):
        fxcount.load(_with_argument(value))
