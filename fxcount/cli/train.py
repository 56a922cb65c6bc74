"""One training step: where memory is largest, what holds it, and what saves most."""

from __future__ import annotations

import argparse
from typing import Any

from fxcount.cli.model import add_model_options, hints, loaded
from fxcount.errors import InputError

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    group = parser.add_argument_group("step")
    group.add_argument("--optimizer", metavar="NAME", default="", help="sgd, momentum, adam, adamw, adafactor, ...; else none")
    group.add_argument("--autocast", metavar="DTYPE", choices=("bf16", "fp16"), default="", help="bf16 or fp16")
    group.add_argument("--tracker", action="store_true", help="bytes as a tracker of dispatched ops sees them")
    group.add_argument("--eval", action="store_true", help="leave the model as built (default: training mode)")


def run(options: argparse.Namespace) -> int:
    from fxcount.api import training_step

    model, args, kwargs = loaded(options)  # held here: a report keeps no model alive
    if not hasattr(model, "train"):
        raise InputError("a training step needs the Python module, not an exported program", hint="name what builds the model")
    if not options.eval:
        model.train()
    with _autocast(options.autocast):
        report = training_step(
            model, *args, optimizer=options.optimizer or None, tracker=options.tracker, strict=options.strict,
            hints=hints(options, args, kwargs), kwargs=kwargs,
        )  # fmt: skip
        found = report.at(guess=options.guess, **options.at) if options.at else report
    print(found.table())
    return 0


def _autocast(name: str) -> Any:
    import contextlib

    if not name:
        return contextlib.nullcontext()
    import torch

    return torch.autocast("cpu", dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[name])
