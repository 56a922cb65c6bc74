"""Count a small model that is built in: convolutions, attention, a shared block, a dead layer."""

from __future__ import annotations

import argparse

from fxcount.cli import count

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    count.add_options(parser, "demo")


run = count.run
