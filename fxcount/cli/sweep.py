"""Thousands of models, a row each: counted in processes, kept as they come, gone on with after an end in the middle.

LIST is a file with a model a line as this command line takes it (timm:vit_base_patch16_224 1,3,384,384 --arg img_size=384),
- for such lines from the standard input, or a model's name, in which * and ? stand for all that fit (timm:resnet*).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fxcount.cli import words
from fxcount.errors import InputError

if TYPE_CHECKING:
    from fxcount.sweeping.row import Row

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lists", metavar="LIST", nargs="+", help="a file with a model a line, -, or e.g. timm:resnet*")
    parser.add_argument("--at", metavar="B=1,H=224", default="", help="sizes of the numbers; else B=1 and the hints")
    parser.add_argument("--train", action="store_true", help="analyse in training mode")
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="FILE", required=True, help="FILE.sqlite, .csv or .parquet")
    output.add_argument("--resume", action="store_true", help="go on with FILE: what has a row is not counted again")
    output.add_argument("--retry", action="store_true", help="with --resume: count those again whose row is an error")
    running = parser.add_argument_group("running")
    running.add_argument("-j", "--jobs", metavar="N", type=int, help="processes (default: as many as cores)")
    running.add_argument("--limit", metavar="SECONDS", type=float, help="of one model; a row says if it took longer")
    running.add_argument("--dask", metavar="ADDRESS", default="", help="run on the workers of a Dask cluster, tcp://host:8786")


def run(options: argparse.Namespace) -> int:
    at = words.assignments(options.at, "--at")
    if (options.jobs is not None and options.jobs < 1) or (options.limit is not None and not options.limit > 0):
        raise InputError("--jobs and --limit are positive numbers", hint="write e.g. --jobs 4 --limit 60")
    asked = [found for text in options.lists for found in _asked(text)]
    from fxcount.adapters.names import expanded
    from fxcount.report.views.progress import RowsDone
    from fxcount.sweeping.job import Job
    from fxcount.sweeping.sweep import sweep

    jobs = [Job(model, args, kwargs, arguments) for name, args, kwargs, arguments in asked for model in expanded(name)]
    line = RowsDone()

    def progress(done: int, of: int, row: Row) -> None:
        line(done, of, f"{row.model[:50]}{' failed' if row.error else ''}")

    with _cluster(options.dask) as executor:
        found = sweep(
            jobs, at=at, train=options.train, store=options.output, resume=options.resume, retry=options.retry,
            executor=executor, workers=options.jobs, limit_seconds=options.limit, progress=progress,
        )  # fmt: skip
    line.close()
    for row in found.failed:
        print(f"{row.model}: {row.error}", file=sys.stderr)
    print(f"{len(found) - len(found.failed):,} of {len(found):,} models counted, written to {options.output}")
    return 0


def _asked(text: str) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Any]]]:
    """Models, their inputs by position and by name, and what builds them."""
    if text == "-":
        yield from _lines(sys.stdin, "the standard input")
    elif os.path.isfile(text) and not text.endswith((".pt2", ".pt")):
        try:
            with open(text, encoding="utf-8") as file:
                yield from _lines(file, text)
        except UnicodeDecodeError as error:
            raise InputError(f"{text!r} is no text file ({error})", hint="give a file with a model a line") from error
    elif text.endswith((".txt", ".list")):
        raise InputError(f"there is no file {text!r}", hint="a list has a model a line; a model's name needs no file")
    else:
        yield text, (), {}, {}


def _lines(file: Iterable[str], name: str) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        try:
            model, *rest = shlex.split(line, comments=True) or [""]
        except ValueError as error:
            raise InputError(f"{name}, line {number}: {error}", hint='write MODEL "B,3,H,W" --arg NAME=VALUE') from error
        if not model:
            continue
        inputs, given = [], []
        texts = iter(rest)
        for text in texts:
            if text == "--arg":
                given.append(next(texts, ""))
            elif text.startswith("--arg="):
                given.append(text.removeprefix("--arg="))
            elif text.startswith("-"):
                raise InputError(f"{name}, line {number}: cannot read {text!r}", hint="a line has inputs and --arg NAME=VALUE")
            else:
                inputs.append(text)
        yield (model, *words.inputs(inputs), words.arguments(given))


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """The executor of a Dask cluster; ``None`` without an address."""
    if not address:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(f"--dask needs Dask ({error})", hint='pip install "dask[distributed]"') from error
    try:
        client = Client(address, timeout="10s")
    except OSError as error:
        raise InputError(f"no cluster answers at {address!r}", hint="start one: dask scheduler") from error
    with client:
        yield client.get_executor(pure=False)
