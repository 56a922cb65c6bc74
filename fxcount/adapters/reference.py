"""What a word for a model means, before anything is imported: a library's model, a callable of a module or file, a file.

==================================  ==============================================================================
``demo``                            the small model that is built in
``torchvision:resnet50``            and so with ``timm:``, ``hf:`` (a type, a hub id, a ``config.json``) and ``diffusers:``
                                    (a class, a ``config.json``)
``resnet50``, ``bert-base-uncased`` the first library that has it: torchvision, timm, transformers
``google-bert/bert-base-uncased``   a hub id, of transformers or of timm (``timm/resnet50.a1_in1k``)
``package.module:Net``              a class, a function that builds a model, or a model
``net.py:Net``, ``./net.py``        the same of a file; without a name, of the only model in it
``net:Net(64, act="gelu")``         with arguments: Python literals
``net.pt2``, ``net.pt``             an exported program; TorchScript
``config.json``                     of transformers
==================================  ==============================================================================
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable
from dataclasses import field
from difflib import get_close_matches
from typing import Any, Literal

from fxcount.adapters.names import LIBRARIES, closest, has, library_of, missing, model_names
from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.wording import did_you_mean

__all__ = ["Reference", "check_there", "forms", "is_reference", "meant", "no_file", "reference"]

_FORMS = (
    "write resnet50, torchvision:NAME, timm:NAME, hf:NAME, diffusers:CLASS, package.module:callable, net.py:Net, a .pt2 or "
    ".pt file, a saved .json, or demo"
)

Kind = Literal["demo", "library", "module", "script", "exported", "torchscript"]
_FILES: dict[str, Kind] = {".pt2": "exported", ".pt": "torchscript", ".pth": "torchscript", ".ts": "torchscript"}
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
_CALL = re.compile(r"([\w.]+)\s*(\(.*\))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """``home``: the library, the module or the path of a file; ``name``: what of it, "" for the only one; ``args`` and
    ``kwargs``: what it is called with."""

    kind: Kind
    home: str = ""
    name: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def forms() -> str:
    """How a model can be named, and what is not installed that a name alone is looked for in."""
    absent = missing()
    if not absent:
        return _FORMS
    listed = absent[0] if len(absent) == 1 else f"{', '.join(absent[:-1])} and {absent[-1]}"
    return f"{_FORMS}; for the models of {listed}: pip install {' '.join(absent)}"


def is_reference(word: str) -> bool:
    """Whether a word can be a model at all: it names a place, or a library has it."""
    return word == "demo" or bool(set(":./") & set(word)) or bool(library_of(word))


def reference(word: str) -> Reference:
    """What the word stands for. Raises :class:`~fxcount.errors.InputError`, with the nearest word, where that can be said
    without importing anything.

    >>> reference("resnet50").home, reference('net.py:Net(64, act="gelu")').args
    ('torchvision', (64,))
    """
    if word == "demo":
        return Reference("demo")
    suffix = os.path.splitext(word)[1].lower()
    if suffix in _FILES:
        return Reference(_FILES[suffix], word)
    if suffix == ".json" and ":" not in word:
        return Reference("library", "hf", word)
    source, colon, rest = word.partition(":")
    if os.name == "nt" and len(source) == 1 and rest.startswith("\\"):
        source, colon, rest = (f"{source}:{rest}", "", "") if ".py:" not in rest else word.rpartition(":")
    if source.endswith(".py"):
        return _called("script", source, rest, word)
    if not colon:
        return _bare(word)
    if source in LIBRARIES and rest:
        return _of_library(source, rest)
    if source in LIBRARIES:
        raise InputError(f"{word!r} names no model of {source}", hint=f"fxcount models {source} lists them")
    if close := _misspelt_library(source, rest):
        raise InputError(f"there is no {source!r} to take models from{meant([f'{close}:{rest}'])}", hint=forms())
    if not rest:
        raise InputError(f"cannot read the model {word!r}", hint=forms())
    return _called("module", source, rest, word)


def _bare(word: str) -> Reference:
    library = library_of(word)
    if library:
        return Reference("library", library, word)
    if _HUB_ID.fullmatch(word) and not os.path.exists(word):
        owner, _, name = word.partition("/")  # timm's own checkpoints are called as their models
        return Reference("library", "timm", name) if owner == "timm" and has("timm", name) else Reference("library", "hf", word)
    if os.path.isdir(word):
        raise InputError(f"{word!r} is a folder, and no model", hint=f"name a file in it: {word.rstrip(os.sep)}/net.py:Net")
    near = closest(word, *LIBRARIES)
    if not near and re.fullmatch(r"\w+(\.\w+)+", word):
        module, _, name = word.rpartition(".")
        near = [f"{module}:{name}"]
    raise InputError(f"cannot read the model {word!r}{meant(near)}", hint=forms())


def _of_library(library: str, name: str) -> Reference:
    is_path = library in ("hf", "diffusers") and (name.endswith(".json") or "/" in name)
    if is_path or has(library, name) or not model_names(library) or ":" in name or "/" in name:
        return Reference("library", library, name)
    near = closest(name, library)
    if not near:  # what the sources do not tell the library may know
        return Reference("library", library, name)
    title = {"hf": "transformers"}.get(library, library)
    kind = "architecture" if library == "hf" else "model"
    raise InputError(
        f"{title} has no {kind} {name!r}{meant(near)}",
        hint={"torchvision": "see torchvision.models.list_models()", "timm": "see timm.list_models()"}.get(
            library, "give a config.json or a " + ("class of models" if library == "diffusers" else "model type such as llama")
        ),
    )


def _misspelt_library(source: str, rest: str) -> str:
    """The library meant by a word that is nearly its name, if it is no module and the library has such a model."""
    known = {"huggingface": "hf", "transformers": "hf", "tv": "torchvision", **{n: n for n in LIBRARIES}}
    close = get_close_matches(source.lower(), known, 1, 0.7)
    if not close or "." in source or os.path.exists(f"{source}.py") or os.path.isdir(source):
        return ""
    library = known[close[0]]
    return library if has(library, rest) or closest(rest, library) or close[0] != source else ""


def _called(kind: Kind, home: str, rest: str, word: str) -> Reference:
    """A name and the literals it is called with."""
    match = _CALL.fullmatch(rest) if rest else None
    if rest and match is None:
        raise InputError(f"cannot read {rest!r} in the model {word!r}", hint="write net:Net, or net:Net(64, act='gelu')")
    name, call = (match[1], match[2]) if match else ("", None)
    if not call:
        return Reference(kind, home, name)
    try:
        parsed = ast.parse(f"f{call}", mode="eval").body
        assert isinstance(parsed, ast.Call)
        args = tuple([ast.literal_eval(a) for a in parsed.args])
        kwargs = {str(k.arg): ast.literal_eval(k.value) for k in parsed.keywords if k.arg}
    except (SyntaxError, ValueError, AssertionError, MemoryError, RecursionError):
        raise InputError(
            f"cannot read the arguments {call!r} in the model {word!r}", hint="give literals: net:Net(64, act='gelu')"
        ) from None
    return Reference(kind, home, name, args, kwargs)


def check_there(found: Reference) -> None:
    """Complain about a file that is not there, and about a name of which nothing in a file of Python is nearly called so,
    without importing anything. What only running the file would tell is left to that."""
    if found.kind in ("exported", "torchscript", "script") and not os.path.isfile(found.home):
        raise InputError(no_file(found.home), hint=forms())
    if found.kind != "script" or not found.name:
        return
    try:
        with open(found.home, encoding="utf-8") as file:
            text = file.read()
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):
        return
    first = found.name.partition(".")[0]
    known = names.union(re.findall(r"^(?:async )?(?:def|class) (\w+)", text, re.MULTILINE))
    if not re.search(rf"\b{first}\b|import \*|__getattr__|globals\(|exec\(", text) and (near := did_you_mean(first, known)):
        raise InputError(f"{found.home} has no {found.name!r}{near}")


def no_file(path: str) -> str:
    """That there is no such file, with the nearest one of its kind beside it."""
    if os.path.exists(path):
        return f"{path!r} is no file"
    folder, name = os.path.split(path)
    ending = os.path.splitext(name)[1]
    try:
        beside = [n for n in os.listdir(folder or ".") if n.endswith(ending)]
    except OSError:
        beside = []
    return f"there is no file {path!r}{did_you_mean(name, beside)}"


def meant(words: Iterable[str]) -> str:
    """``; did you mean 'resnet50' or 'resnet101'?``, or nothing.

    >>> meant(["a", "b", "c"]), meant([])
    ("; did you mean 'a', 'b' or 'c'?", '')
    """
    quoted = [repr(word) for word in words]
    if not quoted:
        return ""
    return f"; did you mean {' or '.join([', '.join(quoted[:-1]), quoted[-1]] if quoted[1:] else quoted)}?"
