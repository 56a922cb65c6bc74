"""One training step: where memory is largest, what holds it, and what saves most."""

from __future__ import annotations

import argparse
from pathlib import PurePath
from typing import Any

from fxcount.cli.files import save
from fxcount.cli.model import add_device_option, add_model_options, hints, loaded
from fxcount.cli.screen import show
from fxcount.errors import InputError

__all__ = ["add_options", "run"]

_FILES = {".json": "to_json", ".html": "to_html", ".svg": "to_timeline"}


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    add_device_option(parser)
    group = parser.add_argument_group("step")
    group.add_argument("--optimizer", metavar="NAME", default="", help="sgd, momentum, adam, adamw, adafactor, ...; else none")
    group.add_argument("--autocast", metavar="DTYPE", choices=("bf16", "fp16"), default="", help="bf16 or fp16")
    group.add_argument("--tracker", action="store_true", help="bytes as a tracker of dispatched ops sees them")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print totals, modules and all that fxcount.load reads as JSON")
    output.add_argument("-o", "--output", metavar="FILE", default="", help=f"FILE{', FILE'.join(_FILES)}; else printed")
    group.add_argument("--eval", action="store_true", help="leave the model as built (default: training mode)")


def run(options: argparse.Namespace) -> int:
    from fxcount.api import training_step

    suffix = PurePath(options.output).suffix.lower()
    if options.output and suffix not in _FILES:
        raise InputError(f"{options.output!r} ends in no format of training steps", hint=f"use one of {', '.join(_FILES)}")
    model, args, kwargs = loaded(options)  # held here: a report keeps no model alive
    if not hasattr(model, "train"):
        raise InputError("a training step needs the Python module, not an exported program", hint="name what builds the model")
    if not options.eval:
        model.train()
    with _autocast(options.autocast):
        report = training_step(
            model, *args, optimizer=options.optimizer or None, tracker=options.tracker, strict=options.strict,
            hints=hints(options, args, kwargs), kwargs=kwargs, device=options.device,
        )  # fmt: skip
        found = report.at(guess=options.guess, **options.at) if options.at else report
    if options.json:
        print(found.to_json(indent=1))
    elif options.output:
        save(getattr(found, _FILES[suffix])(), options.output)
        print(f"one training step of {found.trace.model_name} written to {options.output}")
    else:
        show(found.table())
    return 0


def _autocast(name: str) -> Any:
    import contextlib

    if not name:
        return contextlib.nullcontext()
    import torch

    return torch.autocast("cpu", dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[name])
