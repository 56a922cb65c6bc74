"""Each entry of the table of what Python can ask of an int, against plain ints, at the sample value and at other sizes."""

from __future__ import annotations

import array
import bisect
import collections
import colorsys
import copy
import ctypes
import datetime
import decimal
import fractions
import functools
import heapq
import itertools
import json
import math
import numbers
import operator
import pickle
import random
import statistics
import string
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from fxcount.symbolic import Scope, SymRatio, SymSize, evaluate, symbol, to_sym
from fxcount.symbolic.floats import run
from tests.symbolic.protocol import TABLE, as_markdown

NAMES = {
    m.__name__: m
    for m in (
        array, bisect, collections, colorsys, copy, ctypes, datetime, decimal, fractions, functools, heapq, itertools, json,
        math, numbers, operator, pickle, random, statistics, string, struct, torch,
    )
} | {"np": np}  # fmt: skip
HINTS = ({"n": 224, "m": 49}, {"n": 49, "m": 49}, {"n": 101, "m": 7})
OTHERS = [{"n": n, "m": m} for n in (1, 6, 7, 49, 50, 96, 99, 100, 101, 103, 128, 224, 225, 301) for m in (7, 49, 224)]
ENTRIES = [(row.answer, e) for row in TABLE for e in row.expressions]


def plain(expression, values):
    return eval(expression, {**NAMES, **values})


def valued(x, values):
    """The result with numbers for sizes."""
    if type(x) is SymSize:
        return evaluate(x.expr, values)
    if type(x) is SymRatio:
        return float(run(x.program, values))
    if isinstance(x, (list, tuple)):
        return [valued(part, values) for part in x]
    return x


def alike(x, y):
    """Equal, and of the same type but for numpy's scalars."""
    if isinstance(y, (list, tuple)):
        return len(x) == len(y) and all(map(alike, x, y))
    if isinstance(y, np.ndarray):
        return bool(np.array_equal(x, y)) and x.dtype == y.dtype
    if isinstance(y, np.generic):
        return bool(x == y)
    return x == y and (type(x) is type(y) or isinstance(x, np.generic))


def symbolic(expression, hint):
    scope = Scope(hint)
    sizes = {name: to_sym(symbol(name), scope) for name in hint}
    return eval(expression, {**NAMES, **sizes}), scope


@pytest.mark.parametrize(("answer", "expression"), ENTRIES, ids=[e for _, e in ENTRIES])
def test_entry(answer, expression):
    admitted = 0
    for hint in HINTS:
        if answer == "refused":
            with pytest.raises(TypeError):
                symbolic(expression, hint)
            plain(expression, hint)
            continue
        result, scope = symbolic(expression, hint)
        kinds = {a.kind for a in scope.assumptions}
        for values in (hint, *OTHERS):
            if scope.check(values) is None:
                admitted += values != hint
                assert alike(valued(result, values), valued(plain(expression, values), {})), (hint, values, scope.assumptions)
        assert scope.check(hint) is None
        if answer == "pins":
            assert "pin" in kinds, scope.assumptions
        else:
            assert "pin" not in kinds, scope.assumptions
        if answer == "formula":
            assert all(a.relation == "float" for a in scope.assumptions), scope.assumptions
    if answer not in ("refused", "pins"):
        assert admitted >= 5


def test_a_size_has_all_that_an_int_has():
    scope = Scope({"n": 224})
    n = to_sym(symbol("n"), scope)
    assert [name for name in dir(int) if not hasattr(n, name)] == []
    assert [name for name in dir(float) if not hasattr(n / 3, name) and not name.startswith("__getformat")] == []
    assert scope.assumptions == []


def test_the_documented_table_is_this_one():
    text = (Path(__file__).parents[2] / "docs" / "sizes.md").read_text(encoding="utf-8")
    assert as_markdown() in text, "paste what tests.symbolic.protocol.as_markdown() gives into docs/sizes.md"
