"""What the user wrote as plain data, read before anything heavy loads; and messages in words of the command line."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fxcount.errors import InputError
from fxcount.wording import DTYPE_WORDS, DTYPES, RESERVED, did_you_mean, dtype_named

__all__ = [
    "arguments", "assignments", "check_symbols", "device", "filled_arguments", "in_command_words", "inputs", "names",
    "settings", "span", "symbols_in",
]  # fmt: skip

_WITH_DTYPE = re.compile(r"\s*(?:(?:coo|csr|csc|np|jagged)\s+)?((?:torch\.)?\w+)\s*\[(.*)\]\s*", re.DOTALL)
_ONE_SIZE = re.compile(r"\d+|[A-Z]\w{0,2}|[a-z]")  # of a tensor of one dimension: anything longer may be a mistake
_HINT = 'write a shape as "B,3,H,W" or "i64[B,S]", and further arguments of the forward by name: mask="bool[B,S]"'
_API = (
    (re.compile(r"hints=dict\(([^()]*)\)"), lambda m: f"--hints {_joined(m[1])}"),
    (re.compile(r"hints=\{([^{}]*)\}"), lambda m: f"--hints {_joined(m[1])}"),
    (re.compile(r"\bhints=\.\.\."), lambda m: "--hints"),
    (re.compile(r"\bkwargs=\{'(\w+)': \.\.\.\}"), lambda m: f"{m[1]}=..."),
    (re.compile(r"\bin kwargs=\{\.\.\.\}"), lambda m: "once"),
    (re.compile(r"\breport\.to_graph_json\(\)"), lambda m: "-o FILE.json"),
    (re.compile(r"torchvision\.models\.list_models\(\)"), lambda m: "fxcount models torchvision"),
    (re.compile(r"timm\.list_models\(\)"), lambda m: "fxcount models timm"),
    (re.compile(r"\breport\.unbacked lists"), lambda m: "--json lists"),
    (re.compile(r"\bpieces\(\.\.\., guess=True\)"), lambda m: "--guess"),
    (re.compile(r"\b(?:report\.)?curve\(\.\.\.\)"), lambda m: "fxcount curve"),
    (re.compile(r"\ban nn\.Module with (\w+)=\.\.\."), lambda m: m[0]),
    (re.compile(r"\bat\(\.\.\., guess=True\)"), lambda m: "--guess"),
    (re.compile(r"\b(?:report\.)?at\(([^()]*)\)"), lambda m: f"--at {_joined(m[1])}".rstrip()),
    (re.compile(r"\bcurve\(\.\.\., guess=True\)"), lambda m: "--guess"),
    (re.compile(r"\bcurve\((\w+)=range\((\d+), (\d+), (\d+)\)(?:, ([^()]*))?\)"), lambda m: _ranged(*m.groups())),
    (re.compile(r"\bcurve\(\) needs"), lambda m: "--over and --set need"),
    (re.compile(r"\bcurve\(([^()]*)\)"), lambda m: "--over and --set" if not m[1] else f"--set {_joined(m[1])}"),
    (re.compile(r"\bguess=True"), lambda m: "--guess"),
    (re.compile(r"with strict=False"), lambda m: "without --strict"),
    (re.compile(r"\bstrict=True"), lambda m: "--strict"),
    (re.compile(r"load_model\(path, trust=True\), or --trust"), lambda m: "--trust"),
    (re.compile(r"\btrust=True"), lambda m: "--trust"),
    (re.compile(r"\bwith device=\"(\w+)\""), lambda m: f"with --device {m[1]}"),
    (re.compile(r"\bleave device out"), lambda m: "leave --device out"),
    (re.compile(r"\bresume=True"), lambda m: "--resume"),
    (re.compile(r"analyze\(\w+, (\"[^\"]*\")\)"), lambda m: f"fxcount MODEL {m[1]}"),
    (re.compile(r"\banalyze\(\)"), lambda m: "fxcount"),
)  # fmt: skip


_DEVICES = ("cuda", "cpu", "meta", "mps", "xpu", "hpu", "mtia")


def device(text: str) -> str:
    """A device of torch's, before torch is there to say so.

    >>> device("cuda:1")
    'cuda:1'
    """
    if not re.fullmatch(rf"({'|'.join(_DEVICES)})(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no device{did_you_mean(text, _DEVICES)}")
    return text


def in_command_words(message: str) -> str:
    """Advice as it would be typed: what is an argument in Python is an option here.

    >>> in_command_words("analyse again with hints=dict(B=1, H=7); or take the guess with at(..., guess=True)")
    'analyse again with --hints B=1,H=7; or take the guess with --guess'
    >>> in_command_words("at() needs a value for B: e.g. at(B=2, H=224)")
    '--at needs a value for B: e.g. --at B=2,H=224'
    >>> in_command_words("e.g. curve(H=range(32, 257, 32), W='H')")
    'e.g. --over H=32:256:32 --set W=H'
    """
    for pattern, words in _API:
        message = pattern.sub(words, message)
    return message


def _ranged(name: str, first: str, stop: str, step: str, rest: str | None) -> str:
    return f"--over {name}={first}:{int(stop) - 1}:{step}" + (f" --set {_joined(rest)}" if rest else "")


def _joined(listed: str) -> str:
    return re.sub(r"\s*([:=])\s*", "=", re.sub(r"['\"\s]", "", listed))


def assignments(text: str, option: str) -> dict[str, int]:
    """``B=8,H=224`` as a dict.

    >>> assignments("B=8, H=224", "--at")
    {'B': 8, 'H': 224}
    """
    found: dict[str, int] = {}
    for part in names(text):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name.isidentifier() or not re.fullmatch(r"[+-]?\d{1,4000}", value):
            raise InputError(f"{option}: cannot read {part!r} as NAME=INTEGER", hint="write e.g. B=8,H=224")
        _check_name(name, option)
        if name in found:
            raise InputError(f"{option} gives {name} twice", hint="write e.g. B=8,H=224")
        found[name] = int(value)
    return found


def span(text: str, option: str) -> tuple[str, range]:
    """``H=224:1024:32``: a name, and the sizes from the first to the last, which is one of them if the steps meet it.

    >>> name, sizes = span("H=224:320:32", "--over")
    >>> name, list(sizes), list(span("B=1:3", "--over")[1])
    ('H', [224, 256, 288, 320], [1, 2, 3])
    """
    name, equals, rest = (word.strip() for word in text.partition("="))
    parts = [p.strip() for p in rest.split(":")]
    good = bool(equals) and name.isidentifier() and len(parts) in (2, 3) and all(re.fullmatch(r"\d{1,18}", p) for p in parts)
    first, last, step = [*map(int, parts), 1][:3] if good else (0, 0, 0)
    if not 1 <= first <= last or not step:
        raise InputError(f"{option}: cannot read {text!r} as NAME=FIRST:LAST:STEP", hint="write e.g. H=224:1024:32")
    _check_name(name, option)
    return name, range(first, last + 1, step)


def _check_name(name: str, option: str) -> None:
    if name in RESERVED:
        raise InputError(f"{option} got {name!r}, which is no name of a size: it is reserved", hint="e.g. B=8,H=224")


def settings(text: str, option: str) -> dict[str, int | str]:
    """``W=H,B=1``: numbers, and sizes in terms of others.

    >>> settings("W=2*H, B=1", "--set")
    {'W': '2*H', 'B': 1}
    """
    found: dict[str, int | str] = {}
    for part in names(text):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name.isidentifier() or not value or name in found:
            raise InputError(f"{option}: cannot read {part!r} as NAME=SIZE", hint="write e.g. W=H,B=1, each name once")
        _check_name(name, option)
        found[name] = int(value) if re.fullmatch(r"\d{1,4000}", value) else value
    return found


def arguments(texts: Iterable[str]) -> dict[str, Any]:
    """``img_size=384`` as a keyword argument of what builds the model: a Python literal, or else a text.

    >>> arguments(["img_size=384", "act=gelu", "sizes=(1, 2)"])
    {'img_size': 384, 'act': 'gelu', 'sizes': (1, 2)}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--arg: cannot read {text!r} as NAME=VALUE", hint="write e.g. --arg img_size=384")
        found[name] = _literal(value)
    return found


def filled_arguments(arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Arguments with numbers for their placeholders.

    >>> filled_arguments({"img_size": "{H}", "window": "({H//32}, 7)", "act": "gelu"}, {"H": 224})
    {'img_size': 224, 'window': (7, 7), 'act': 'gelu'}
    """
    from fxcount.trace.inputs.building import filled, placeholders

    return {n: _literal(filled(v, sizes)) if isinstance(v, str) and placeholders(v) else v for n, v in arguments.items()}


def inputs(texts: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword inputs, their shapes spelled so that they can be read.

    Raises :class:`~fxcount.errors.InputError` for what is no input: a word that reads like an option or a file is not taken for
    a tensor of one dimension.

    >>> inputs(["i64[B,S]", "7", "mask=bool[B,S]", "scale=2"])
    (('i64[B,S]', '7,'), {'mask': 'bool[B,S]', 'scale': 2})
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if equals and name.isidentifier():
            value = _literal(rest)
            if type(value) is int and name.isupper():
                raise InputError(f"{text!r} is no input: {name} is a size", hint=f"give sizes as --at {name}={value}")
            if name in kwargs:
                raise InputError(f"the input {name} is given twice", hint="give each once")
            kwargs[name] = rest if isinstance(value, tuple) else value
        else:
            args.append(_positional(text))
    for given in (*args, *kwargs.values()):
        _check_shape(given)
    return tuple(args), kwargs


def _positional(text: str) -> str:
    if "," in text or "[" in text:
        return text
    if not _ONE_SIZE.fullmatch(text.strip()):
        raise InputError(f"{text!r} is no input", hint=f'{_HINT}; "{text}," is a tensor of one dimension')
    return f"{text},"


def check_symbols(given: Mapping[str, int], symbols: Iterable[str], option: str) -> None:
    """Complain about a size whose name is nearly that of a symbol.

    >>> check_symbols({"B": 1}, ["B", "H"], "--at")
    >>> check_symbols({"b": 1}, ["B", "H"], "--at")
    Traceback (most recent call last):
        ...
    fxcount.errors.InputError: --at got 'b'; the symbols are B, H; did you mean 'B'?
      to fix: write --at B=1
    """
    known = list(symbols)
    for name, value in given.items():
        meant = [] if name in known else [n for n in known if n.lower() == name.lower()]
        if meant:
            raise InputError(
                f"{option} got {name!r}; the symbols are {', '.join(known)}; did you mean {meant[0]!r}?",
                hint=f"write {option} {meant[0]}={value}",
            )


def symbols_in(*given: Any) -> set[str]:
    """Names that may be symbols in these inputs."""
    found: set[str] = set()
    for value in given:
        if isinstance(value, str):
            found.update(re.findall(r"[A-Za-z_]\w*", value))
        elif isinstance(value, dict):
            found |= symbols_in(*value.values())
        elif isinstance(value, (list, tuple)):
            found |= symbols_in(*value)
    return found


def names(text: str) -> list[str]:
    """``a, b`` as a list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _literal(text: str) -> Any:
    """A Python literal (``False``, ``3``), or else the text: a shape or a plain string."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _check_shape(given: Any) -> None:
    """Complain about what can be no size or dtype, before the model is built; the rest is read where sizes are known."""
    shape = _WITH_DTYPE.fullmatch(given) if isinstance(given, str) else None
    if not isinstance(given, str) or (shape is None and "," not in given):
        return
    if shape and not dtype_named(shape[1]) and (meant := did_you_mean(shape[1].lower(), DTYPE_WORDS)):
        raise InputError(
            f"unknown dtype {shape[1]!r} in the input {given!r}{meant}", hint=f"use one of {', '.join(DTYPES)}"
        )
    sizes = [part.strip() for part in _parts(shape[2] if shape else given.strip().strip("()[]"))]
    for size in sizes if sizes[-1] else sizes[:-1]:  # a comma may end a shape
        if not _may_be_size(size):
            raise InputError(
                f"cannot read the size {size!r} in the input {given!r}",
                hint='write sizes as integers, names or expressions, e.g. "f32[B,3,32*h,32*w]"',
            )


def _may_be_size(text: str) -> bool:
    """Whether a text is written as integers, names, signs and calls are, or stands for a size without a name.

    >>> [_may_be_size(t) for t in ("3", "Max(h//2, 3)", "None", "?", "{H//2}*2", "", "3.5", "{}", "3+")]
    [True, True, True, True, True, False, False, False, False]
    """
    if text in ("?", "None"):
        return True
    try:
        nodes = list(ast.walk(ast.parse(_PLACEHOLDER.sub("1", text), mode="eval").body))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return all([isinstance(n, _OF_SIZES) and (not isinstance(n, ast.Constant) or type(n.value) is int) for n in nodes])


_PLACEHOLDER = re.compile(r"\{[\w/+*% -]+\}")  # a size that models of a curve are built for
_OF_SIZES = (
    ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.Call, ast.operator, ast.unaryop, ast.expr_context, ast.Starred,
    ast.Compare, ast.cmpop, ast.keyword,
)  # fmt: skip


def _parts(text: str) -> list[str]:
    """What stands between commas and semicolons outside of brackets.

    >>> _parts("B, Max(h, 3); E")
    ['B', ' Max(h, 3)', ' E']
    """
    found, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c in ",;" and depth <= 0:
            found.append("")
        else:
            found[-1] += c
    return found
