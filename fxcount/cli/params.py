"""Parameters of a model: totals by state, dtype, module or sharing group, the dead with their reasons, the buffers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fxcount.cli.model import add_model_options, hints, loaded, report_of
from fxcount.cli.screen import show
from fxcount.cli.words import names
from fxcount.errors import InputError
from fxcount.wording import did_you_mean

if TYPE_CHECKING:
    from fxcount.passes.modes import ModeRow
    from fxcount.passes.parameters import Parameters

__all__ = ["BY", "STATES", "add_options", "run"]

# As in passes and views, which are too heavy for a help text; a test holds them together.
BY = ("state", "dtype", "module", "group")
STATES = ("trainable", "frozen", "shared", "dead")


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--by", choices=BY, help="totals by state, dtype or module, or the sharing groups")
    parser.add_argument("--depth", type=int, default=1, metavar="N", help="levels of modules for --by module (default 1)")
    parser.add_argument("--state", choices=STATES, help="list the parameters in this state")
    parser.add_argument("--outputs", metavar="KEY,...", default="", help="judge by these outputs alone, e.g. logits or 0")
    parser.add_argument("--modes", action="store_true", help="list what is alive in training or in evaluation only")
    parser.add_argument("--fail-on", metavar="STATE,...", default="", help="exit with 1 if a parameter is dead, shared, ...")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> int:
    failing, outputs = names(options.fail_on), names(options.outputs)
    for state in failing:
        if state not in STATES:
            raise InputError(
                f"--fail-on knows no {state!r}{did_you_mean(state, STATES)}", hint=f"use one or more of {', '.join(STATES)}"
            )
    from fxcount.report.views import parameter_tables as views

    params, name = _parameters(options, outputs)
    if options.json:
        import json

        print(json.dumps(views.to_dict(params), indent=1))
    elif options.modes:
        show(views.modes_table(_modes(options, outputs)))
    elif options.by:
        show(views.by_table(params, options.by, options.depth))
    elif options.state:
        show(views.rows_table(params.rows(options.state)))
    else:
        show(views.overview(params, name))
    found = [views.finding(state, params.rows(state)) for state in failing if params.rows(state)]
    if found:
        print(f"fxcount: {'; '.join(found)}", file=sys.stderr)
    return 1 if found else 0


def _parameters(options: argparse.Namespace, outputs: Sequence[str]) -> tuple[Parameters, str]:
    """The parameters and the model's name; of a model without inputs those that it holds, if it cannot be called."""
    model, args, kwargs = loaded(options)
    report = report_of(options, model, args, kwargs)
    if report.trace.ended:  # before it began
        if outputs or options.modes or "dead" in (options.state, *names(options.fail_on)):
            raise InputError("no inputs were given, and only a trace tells which parameters are dead", hint="give the inputs")
        print(f"fxcount: {report.trace.ended}: which parameters are used is not known", file=sys.stderr)
    return report.params_for(outputs) if outputs else report.params, report.trace.model_name


def _modes(options: argparse.Namespace, outputs: Sequence[str]) -> list[ModeRow]:
    from fxcount.api import compare_modes

    model, args, kwargs = loaded(options)
    return compare_modes(model, *args, outputs=outputs or None, hints=hints(options, args, kwargs), **kwargs)
