"""What a size may be in the file of an exported program.

``torch`` writes sizes as sympy's own text, ``Mul(Integer(2), Symbol('s65', positive=True, integer=True))``, and reads them
with ``sympy.sympify``, which evaluates Python. Only this is let through: integers and symbols with ``+ - * / // % **`` and the
functions of sizes, of a bounded length, depth and number of terms.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable

__all__ = ["why_no_formula"]

MAX_LENGTH = 100_000
MAX_DEPTH = 60
MAX_TERMS = 10_000
MAX_BITS = 2_048

_SYMBOL = re.compile(r"[a-z]{1,4}\d{1,5}")
_FUNCTIONS = frozenset(
    "Integer Symbol Rational Float Add Mul Pow Max Min Mod Abs floor ceiling Piecewise ExprCondPair And Or Not "
    "Eq Ne Lt Le Gt Ge Equality Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan "
    "FloorDiv ModularIndexing Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural FloatPow "
    "FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat Identity"
    .split()
)  # fmt: skip
_OPAQUE = re.compile(r"(OpaqueUnaryFn|BitwiseFn)_\w{1,40}")
_CONSTANTS = frozenset({"true", "false", "oo", "int_oo", "nan"})
_ASSUMPTIONS = frozenset({"positive", "nonnegative", "negative", "integer", "real", "zero", "nonzero", "finite"})
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_POWERS = frozenset({"Pow", "PowByNatural", "FloatPow", "LShift"})


class _Refused(Exception):
    pass


def why_no_formula(text: str) -> str:
    """Why the text is no size, in a few words; "" if it is one.

    >>> why_no_formula("Mul(Integer(2), Symbol('s65', positive=True, integer=True))"), why_no_formula("s0*(s1 + 3)//2")
    ('', '')
    >>> why_no_formula("__import__('os').getpid()"), why_no_formula("2**2**40")
    ('calls something that is no function of sizes', 'a power of more than 2,048 bits')
    """
    if len(text) > MAX_LENGTH:
        return f"longer than {MAX_LENGTH:,} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about the text
            tree = ast.parse(text.strip(), mode="eval")
        _measure(tree.body, 0)
    except _Refused as found:
        return str(found)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "no formula"
    return ""


def _measure(node: ast.expr, depth: int) -> tuple[int, int]:
    """At most how many terms the formula has when multiplied out, and at most how many bits its numbers have."""
    if depth > MAX_DEPTH:
        raise _Refused(f"nested deeper than {MAX_DEPTH} levels")
    measure = next((m for kind, m in _KINDS.items() if isinstance(node, kind)), None)
    if measure is None:
        raise _Refused(f"Python that is no size ({type(node).__name__.lower()})")
    terms, bits = measure(node, depth + 1)
    if terms > MAX_TERMS:
        raise _Refused(f"a formula of more than {MAX_TERMS:,} terms")
    if bits > MAX_BITS:
        raise _Refused(f"a number of more than {MAX_BITS:,} bits")
    return terms, bits


def _constant(node: ast.Constant, depth: int) -> tuple[int, int]:
    if type(node.value) not in (int, float):
        raise _Refused(f"a {type(node.value).__name__} where a number should be")
    return 1, node.value.bit_length() if isinstance(node.value, int) else 64


def _name(node: ast.Name, depth: int) -> tuple[int, int]:
    if node.id not in _CONSTANTS and not _SYMBOL.fullmatch(node.id):
        raise _Refused(f"the name {node.id[:40]!r}, which is no symbol of a size")
    return 1, 1


def _operation(node: ast.BinOp, depth: int) -> tuple[int, int]:
    if not isinstance(node.op, _OPERATORS):
        raise _Refused("an operator that sizes have not")
    left, right = _measure(node.left, depth), _measure(node.right, depth)
    if isinstance(node.op, ast.Pow):
        return _power(left, node.right)
    return _combined([left, right], isinstance(node.op, (ast.Add, ast.Sub)))


def _unary(node: ast.UnaryOp, depth: int) -> tuple[int, int]:
    if not isinstance(node.op, (ast.UAdd, ast.USub)):
        raise _Refused("an operator that sizes have not")
    return _measure(node.operand, depth)


def _compare(node: ast.Compare, depth: int) -> tuple[int, int]:
    if not all(isinstance(op, _COMPARISONS) for op in node.ops):
        raise _Refused("an operator that sizes have not")
    return _combined([_measure(x, depth) for x in (node.left, *node.comparators)], True)


def _tuple(node: ast.Tuple, depth: int) -> tuple[int, int]:
    return _combined([_measure(x, depth) for x in node.elts], True)


def _call(node: ast.Call, depth: int) -> tuple[int, int]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in _FUNCTIONS and not _OPAQUE.fullmatch(name):
        raise _Refused("calls something that is no function of sizes")
    if name in ("Symbol", "Float"):
        return _literal(name, node)
    if node.keywords:
        raise _Refused(f"{name} with a keyword")
    parts = [_measure(a, depth) for a in node.args]
    if name in _POWERS and len(parts) == 2:
        return _power(parts[0], node.args[1])
    return _combined(parts, name in ("Add", "Max", "Min", "Piecewise", "And", "Or"))


def _literal(name: str, node: ast.Call) -> tuple[int, int]:
    """``Symbol('s0', integer=True)`` and ``Float('0.5', precision=53)``."""
    text = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
    kinds = {k.arg: k.value.value if isinstance(k.value, ast.Constant) else None for k in node.keywords}
    if name == "Symbol":
        good = isinstance(text, str) and _SYMBOL.fullmatch(text) and set(kinds) <= _ASSUMPTIONS
        good = good and all(type(v) is bool for v in kinds.values())
    else:
        good = isinstance(text, str) and re.fullmatch(r"[-+]?[\d.]{1,40}(e[-+]?\d{1,3})?", text) and set(kinds) <= {"precision"}
        good = good and all(type(v) is int and 0 < v <= 1024 for v in kinds.values())
    if not good:
        raise _Refused(f"a {name} that is none")
    return 1, 1


def _power(base: tuple[int, int], exponent: ast.expr) -> tuple[int, int]:
    n = _integer(exponent)
    if n is None:
        if base != (1, 1):
            raise _Refused("a power whose exponent is no number")
        return base
    terms, bits = base
    if abs(n) * bits > MAX_BITS:
        raise _Refused(f"a power of more than {MAX_BITS:,} bits")
    return math.comb(terms + abs(n) - 1, abs(n)) if n else 1, max(1, abs(n) * bits)


def _integer(node: ast.expr) -> int | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _integer(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Integer" and len(node.args) == 1:
        return _integer(node.args[0])
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        raise _Refused(f"a power of more than {MAX_BITS:,} bits")
    return None


def _combined(parts: list[tuple[int, int]], added: bool) -> tuple[int, int]:
    if not parts:
        return 1, 1
    terms = [t for t, _ in parts]
    return sum(terms) if added else math.prod(terms), sum(b for _, b in parts)


_KINDS: dict[type[ast.expr], Callable[..., tuple[int, int]]] = {
    ast.Constant: _constant, ast.Name: _name, ast.BinOp: _operation, ast.UnaryOp: _unary, ast.Compare: _compare,
    ast.Tuple: _tuple, ast.Call: _call,
}  # fmt: skip
