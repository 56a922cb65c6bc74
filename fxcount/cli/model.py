"""The options that every command on a model has, and what they lead to: a model, its inputs, a report."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fxcount.adapters.reference import check_there, no_file, reference
from fxcount.cli import words
from fxcount.cli.files import saved
from fxcount.errors import InputError

if TYPE_CHECKING:
    from fxcount.report import Report

__all__ = [
    "add_device_option", "add_model_options", "analysed", "as_it_is", "built", "hints", "loaded", "read", "report_of",
]

_MODEL = """resnet50, torchvision:NAME, timm:NAME, hf:NAME (an architecture such as bert, a hub id, a config.json),
diffusers:CLASS (or a config.json), package.module:callable, net.py:Net, net:Net(64), FILE.pt2, TorchScript in FILE.pt, a
report saved as FILE.json, or demo"""
_KNOWN = {"torchvision": ("B", "T", "H", "W"), "timm": ("B", "H", "W")}
"""Symbols in the inputs of these libraries' models; texts have others, of which none has small letters."""


def add_model_options(parser: argparse.ArgumentParser, model: str = "", training: bool = True) -> None:
    """MODEL (unless it is known), INPUT, and how to analyse; ``--train`` unless the command has its own."""
    if model:
        parser.set_defaults(model=model)
    else:
        parser.add_argument("model", metavar="MODEL", help=_MODEL)
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help='"B,3,H,W", "i64[B,S]", or name="i64[B,S]"; else its own')
    group = parser.add_argument_group("analysis")
    group.add_argument("--arg", metavar="NAME=VALUE", action="append", default=[], help="argument of what builds the model")
    group.add_argument("--at", metavar="B=8,H=224", default="", help="print numbers at these sizes; they are hints as well")
    group.add_argument("--hints", metavar="B=2,H=224", default="", help="sizes at which decisions on shapes are taken")
    group.add_argument("--guess", action="store_true", help="with --at, --fit: take defaults for values nobody knows")
    group.add_argument("--strict", action="store_true", help="fail if an op has no cost rule")
    if training:
        group.add_argument("--train", action="store_true", help="analyse in training mode (default: as built, or eval)")
    group.add_argument("--trust", action="store_true", help="read a file (.pt2, .pt) that may run code of its own")


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """For the commands in which it makes a difference: those that say bytes."""
    parser.add_argument(
        "--device", metavar="cuda", type=words.device, default=None, help="count as if all were there: cuda needs no GPU"
    )


def read(options: argparse.Namespace) -> None:
    """Turn texts into data, before anything heavy loads. Raises :class:`~fxcount.errors.InputError`."""
    options.at = words.assignments(options.at, "--at")
    options.hints = words.assignments(options.hints, "--hints")
    options.arg = words.arguments(options.arg)
    options.args, options.kwargs = words.inputs(options.inputs)
    first = getattr(options, "before", "")  # of two that are compared
    found = reference(options.model)
    own = _KNOWN.get(found.home, ("B", "S", "T", "H", "W", "A", "F", "P", "N")) if found.kind == "library" else ()
    symbols = sorted(words.symbols_in(options.args, options.kwargs)) or (("B", "H", "W") if found.kind == "demo" else own)
    if found.kind in ("library", "demo"):  # whose forwards have no arguments of one letter
        words.check_symbols({n: v for n, v in options.kwargs.items() if type(v) is int and len(n) == 1}, symbols, "--at")
    words.check_symbols(options.at, symbols, "--at")
    words.check_symbols(options.hints, symbols, "--hints")
    for word in filter(None, (first, options.model)):
        if word.endswith(".json") and ":" not in word and not os.path.exists(word):
            raise InputError(no_file(word), hint="give a report that fxcount saved, or a config.json")
        check_there(found if word == options.model else reference(word))


def loaded(options: argparse.Namespace) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The model, and the inputs that were described, or else its own, or else a guess, which is said on standard error; of a
    file that fxcount wrote the report in it."""
    if text := saved(options.model):
        from fxcount.report.load import load_as
        from fxcount.report.report import Report

        as_it_is(options)
        return load_as(Report, text), (), {}
    _check_placeholders(options)
    model, *own = built(options, options.arg)
    if options.args or options.kwargs or any(own):
        return (model, options.args, options.kwargs) if options.args or options.kwargs else (model, *own)
    from fxcount.trace.inputs.guess import guessed, is_plain

    guess = guessed(model) if is_plain(model) else None
    if guess is None:
        return model, (), {}
    print(f"fxcount: no inputs were given: {' '.join(guess.inputs)} is guessed from {guess.because}", file=sys.stderr)
    return (model, *guess.marked())


def _check_placeholders(options: argparse.Namespace) -> None:
    """``{H}`` is the size that a model is built for, of which there are many: on a curve."""
    # looked for in the texts first: what imports torch is to be imported without the garbage collector, by built()
    if "{" not in f"{options.args}{[*options.kwargs.values()]}{[*options.arg.values()]}":
        return
    from fxcount.trace.inputs.building import names_in

    names = sorted(names_in([list(options.args), options.kwargs, options.arg]))
    if names:
        raise InputError(
            f"{{{names[0]}}} stands for the sizes that models of a curve are built for, and here one model is built",
            hint=f"write the number, or ask for the curve: fxcount curve ... --over {names[0]}=224:448:32",
        )


def as_it_is(options: argparse.Namespace) -> None:
    """Complain about what asks for another analysis than the one that was saved."""
    given = {"--arg": options.arg, "--hints": options.hints, "--train": getattr(options, "train", False)}
    asked = [name for name, value in given.items() if value] + (["inputs"] if options.args or options.kwargs else [])
    if asked:
        raise InputError(
            f"{options.model} was saved, and is as it was analysed: no {' and no '.join(asked)}", hint="name the model itself"
        )


def built(options: argparse.Namespace, arguments: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The model in the mode that was asked for, with its own inputs."""
    weights = getattr(options, "execute", False)
    with _loading(options.whole_process):
        import fxcount.api  # noqa: F401
        from fxcount.adapters.load import load

        found = load(options.model, trust=options.trust, arguments=arguments, weights=weights)
    if options.train:
        _to_training(found[0])
    return found


@contextmanager
def _loading(whole_process: bool) -> Iterator[None]:
    """Without the garbage collector, which would walk several times over the million objects of a library of models, all of
    which stay. In a process that is ours it need never look at them again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if whole_process:
            gc.freeze()
        if enabled:
            gc.enable()


def hints(options: argparse.Namespace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, int]:
    """``--hints``, and those of ``--at`` that are sizes of the inputs: decisions are best taken where they are asked for."""
    symbols = words.symbols_in(args, kwargs)
    return {**{n: v for n, v in options.at.items() if n in symbols and v > 0}, **options.hints}


def analysed(options: argparse.Namespace) -> Report:
    """The report, at sizes if some are given."""
    return report_of(options, *loaded(options))


def report_of(options: argparse.Namespace, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Report:
    """The report of what :func:`loaded` gave, at sizes if some are given."""
    from fxcount.api import analyze
    from fxcount.report import Report

    if isinstance(model, Report):
        report = model
    else:
        report = analyze(
            model, *args, hints=hints(options, args, kwargs), strict=options.strict, progress=True, kwargs=kwargs,
            device=getattr(options, "device", None),
        )  # fmt: skip
    return report.at(guess=options.guess, **options.at) if options.at else report


def _to_training(model: Any) -> None:
    if not hasattr(model, "train"):
        raise InputError("an exported program has no training mode", hint="export the model in training mode")
    model.train()
