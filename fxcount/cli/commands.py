"""The commands: one file and one line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fxcount.dataclass import dataclass

__all__ = ["COMMANDS", "DEFAULT", "Command"]


@dataclass(frozen=True, slots=True)
class Command:
    """``home``: the module with its ``add_options(parser)`` and ``run(options)``; ``usage`` and ``summary`` for the help."""

    name: str
    home: str
    usage: str
    summary: str


DEFAULT = "count"
"""What ``fxcount MODEL`` is short for."""

COMMANDS: Mapping[str, Command] = MappingProxyType({c.name: c for c in (
    Command("count", "fxcount.cli.count", "MODEL [INPUT ...]", "the table of modules, and the totals (the default)"),
    Command("demo", "fxcount.cli.demo", "[INPUT ...]", "the same for a small model that is built in"),
    Command("params", "fxcount.cli.params", "MODEL [INPUT ...]", "parameters by state, dtype, module, group; --fail-on for CI"),
    Command("graph", "fxcount.cli.graph", "MODEL [INPUT ...] -o FILE", "the graph as .json, .dot, .graphml or .gexf"),
    Command("curve", "fxcount.cli.curve", "MODEL [INPUT ...] --over H=224:1024:32", "totals over a range: a table, a plot"),
    Command("train", "fxcount.cli.train", "MODEL [INPUT ...] --optimizer adamw", "one training step: its peak, what holds it"),
    Command("fit", "fxcount.cli.fit", "MODEL [INPUT ...] --memory 24GB --over B", "the largest size that fits, and why"),
    Command("claims", "fxcount.cli.claims", "MODEL [INPUT ...] --at B=1,S=4096", "FLOPs that frameworks claim, and why"),
    Command("html", "fxcount.cli.html", "MODEL [INPUT ...] -o model.html", "one offline page in which sizes can be moved"),
    Command("check", "fxcount.cli.check", "[MODEL [INPUT ...]] --max-params 25M ...", "budgets for CI, proved for all sizes"),
    Command("compare", "fxcount.cli.compare", "A B [INPUT ...]", "what differs between two models or saved reports"),
    Command("sweep", "fxcount.cli.sweep", "LIST ... -o RESULTS.sqlite", "many models, a row each: .sqlite, .csv, .parquet"),
    Command("pareto", "fxcount.cli.pareto", "RESULTS.sqlite", "the models of a sweep that no other beats"),
    Command("explain", "fxcount.cli.explain", "OP [INPUT ...]", "what is counted for an op: its rules, its traits"),
    Command("models", "fxcount.cli.models", "[LIBRARY [PATTERN]]", "names of models: timm 'resnet*'"),
    Command("generate", "fxcount.cli.generate", "MODEL --prompt P=1024 --new N=256", "prompt, decode step, cache, all of it"),
    Command("conventions", "fxcount.cli.conventions", "MODEL [INPUT ...]", "what other tools would say, and why"),
)})  # fmt: skip
