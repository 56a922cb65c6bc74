"""What fxcount counts for an op: its rules as they stand in the code, its traits, and with inputs the counts themselves.

fxcount explain conv2d "B,3,H,W" "8,3,3,3" counts one call on these; fxcount explain all lists all ops in a line each.
"""

from __future__ import annotations

import argparse

from fxcount.cli import words
from fxcount.cli.screen import show

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("op", metavar="OP", help="conv2d, linalg.qr, F.softmax, relu_; or all")
    parser.add_argument("operands", metavar="INPUT", nargs="*", help='operands of one call: "B,3,H,W", dim=-1')


def run(options: argparse.Namespace) -> int:
    args, kwargs = words.inputs(options.operands)
    from fxcount.report.views.explain import callable_of, explained, named_op, page

    if options.op == "all":
        print(page())
        return 0
    entry = named_op(options.op)
    show(explained(entry))
    if args or kwargs:
        from fxcount.api import analyze

        report = analyze(callable_of(entry), *args, kwargs=kwargs)
        print(f"\nof {' '.join(options.operands)}")
        for name in ("macs", "flops", "read_bytes", "write_bytes"):
            print(f"  {name}: {getattr(report, name)}")
    return 0
