"""Will it fit? The largest batch or length that a memory takes, for inference or a training step, and what limits it."""

from __future__ import annotations

import argparse
from typing import Any

from fxcount.cli.model import add_device_option, add_model_options, hints, loaded
from fxcount.cli.screen import show, terminal_width
from fxcount.errors import InputError

__all__ = ["add_options", "run"]

_WIDTH = 40


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, training=False)
    add_device_option(parser)
    group = parser.add_argument_group("fit")
    group.add_argument("--memory", metavar="24GB", required=True, help="bytes, or with a unit: 24GB, 80GiB")
    group.add_argument("--over", metavar="B", default="", help="the size that is looked for; the others are given with --at")
    group.add_argument(
        "--train", metavar="OPTIMIZER", default="",
        help="a training step with this optimizer (adamw, sgd, ...; none for forward and backward alone); else inference",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Exit status 1 if nothing fits."""
    model, args, kwargs = loaded(options)  # held here: a report keeps no model alive
    report = _report(options, model, args, kwargs)
    symbol = options.over or _only(report, options.at)
    found = report.largest(symbol, memory=options.memory, **options.at)
    show(str(found))
    size, need = (found.value, found.need) if found.need else found.beyond or (0, None)
    if need is not None:
        print(f"\nbytes held then at {symbol} = {size:,}\n")
        bar = max(min(_WIDTH, (terminal_width() or 80) - 46), 5)
        for name, nbytes in need.parts:
            share = nbytes / need.nbytes
            print(f"  {name:<16}{nbytes:>20,}  {'#' * round(bar * share)} {share:.0%}")
    return 0 if found else 1


def _report(options: argparse.Namespace, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    import torch

    from fxcount.api import analyze, training_step

    given: dict[str, Any] = {
        "hints": hints(options, args, kwargs), "strict": options.strict, "kwargs": kwargs, "device": options.device,
    }  # fmt: skip
    if not options.train:
        with torch.no_grad():  # as one infers
            return analyze(model, *args, **given)
    return training_step(model, *args, optimizer=None if options.train == "none" else options.train, **given)


def _only(report: Any, known: dict[str, int]) -> str:
    """The one symbol without a value."""
    data = report.trace.scope.unbacked.by_name  # sizes that data decide have defaults
    left: list[str] = [name for name in report.symbols if name not in known and name not in data]
    if not left:
        raise InputError("every size has a value: there is none to look for", hint="leave one of them out of --at")
    if len(left) > 1:
        raise InputError(
            f"--over is needed: {', '.join(left)} have no value",
            hint=f"write e.g. --over {left[0]}, and the others with --at",
        )
    return left[0]
