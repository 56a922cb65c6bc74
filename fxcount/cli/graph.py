"""Write the graph of a model: inputs, ops, parameters and modules, with shapes and work; fxcount.load reads the .json back."""

from __future__ import annotations

import argparse

from fxcount.cli.files import add_output, written
from fxcount.cli.model import add_model_options, analysed

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    add_output(parser, "graph", required=True)
    parser.add_argument("--depth", type=int, metavar="N", help="draw modules N levels below the model as one node each")


def run(options: argparse.Namespace) -> int:
    output = written(options, "graph")
    assert output is not None  # it is required
    report = analysed(options)
    content = output.format.function(report, options.depth)
    done = ""
    if output.path != "-":
        graph = report.to_networkx(options.depth)
        done = f"{graph.number_of_nodes():,} nodes and {graph.number_of_edges():,} edges written to {output.path}"
    output.write(content, done)
    return 0
