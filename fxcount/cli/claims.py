"""What frameworks claim a language model costs, each beside what its code multiplies, and in which terms they differ."""

from __future__ import annotations

import argparse

from fxcount.cli.model import add_model_options, hints, loaded
from fxcount.cli.screen import show
from fxcount.errors import InputError

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    group = parser.add_argument_group("claims")
    group.add_argument("--forward", action="store_true", help="of a forward alone (default: of a training step)")


def run(options: argparse.Namespace) -> int:
    import torch

    from fxcount.api import analyze, training_step
    from fxcount.report.data.report import ReportData

    model, args, kwargs = loaded(options)  # held here: a report keeps no model alive
    if not hasattr(model, "train"):
        raise InputError("claims need the Python module, not an exported program", hint="name what builds the model")
    given = {"hints": hints(options, args, kwargs), "strict": options.strict, "kwargs": kwargs}
    report: ReportData
    if options.forward:
        with torch.no_grad():
            report = analyze(model, *args, **given)
    else:
        report = training_step(model.train(), *args, **given)
    show(str((report.at(**options.at) if options.at else report).claims()))
    return 0
