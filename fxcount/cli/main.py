"""The command line. The only part of fxcount that prints.

``fxcount MODEL [INPUT ...]`` counts; ``fxcount params|graph|conventions MODEL [INPUT ...]`` ask one question of the same trace.

MODEL is ``package.module:callable`` (a class or a function that builds the model), ``torchvision:NAME``, ``timm:NAME``,
``hf:CONFIG`` (a config file, or the name of an architecture such as ``bert``), a ``.pt2`` file, or ``demo``.
INPUT is ``"B,3,H,W"``, ``"i64[B,S]"``, or ``name="i64[B,S]"`` for a keyword input; without any, a known model's own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxcount.passes.modes import ModeRow
    from fxcount.report import Report

__all__ = ["main"]

Loaded = tuple[Any, tuple[Any, ...], dict[str, Any]]

EPILOG = """commands (the default counts):
  fxcount params MODEL [INPUT ...]        parameters by state, dtype, module and sharing group; --fail-on for CI
  fxcount graph MODEL [INPUT ...] -o FILE the graph as .json, .dot, .graphml or .gexf
  fxcount conventions MODEL [INPUT ...]   what other tools would say, and why

examples:
  fxcount demo
  fxcount torchvision:resnet50 "B,3,H,W" --at B=1,H=224,W=224
  fxcount params timm:vit_base_patch16_224 --fail-on dead
  fxcount mypackage.nets:build_net "f32[B,3,32*h,32*w]" --json"""


def _parser(command: str = "") -> argparse.ArgumentParser:
    """The options every command has; the commands add their own."""
    parser = argparse.ArgumentParser(
        prog=f"fxcount {command}".rstrip(), description="Count a PyTorch model before it runs, as exact formulas.",
        epilog="" if command else EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "model", metavar="MODEL", help="package.module:callable, torchvision:NAME, timm:NAME, hf:CONFIG, FILE.pt2, demo"
    )
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help='"B,3,H,W", "i64[B,S]", or name="i64[B,S]"')
    parser.add_argument("--at", metavar="B=8,H=224", default="", help="print numbers at these sizes")
    parser.add_argument("--hints", metavar="B=2,H=224", default="", help="sizes at which decisions on shapes are taken")
    parser.add_argument("--strict", action="store_true", help="fail if an op has no cost rule")
    parser.add_argument("--trust", action="store_true", help="let a .pt2 file that cannot be read as data run its code")
    parser.add_argument("--train", action="store_true", help="analyse in training mode (default: as built, or eval)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. The exit status is 0; 1 if ``--fail-on`` or ``--verify`` found something; 2 after an error,
    printed as one line."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = _COMMANDS[words.pop(0)] if words and words[0] in _COMMANDS else _count
    from fxcount.errors import FxcountError

    try:
        return command(words)
    except FxcountError as error:
        return _fail(" ".join(str(error).split()))
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # the model's own exception: named, on one line
        notes = "; ".join(getattr(error, "__notes__", ()))
        return _fail(f"{type(error).__name__}: {' '.join(str(error).split())}" + (f" ({notes})" if notes else ""))


def _fail(message: str) -> int:
    print(f"fxcount: error: {message}", file=sys.stderr)
    return 2


def _count(words: Sequence[str]) -> int:
    parser = _parser()
    parser.add_argument("--depth", type=int, default=2, metavar="N", help="levels of modules shown (default 2)")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    parser.add_argument("--verify", action="store_true", help="analyse afresh at sizes drawn, and fail if the formulas differ")
    parser.add_argument("--execute", action="store_true", help="with --verify: also run the graph against the model")
    options = parser.parse_args(words)
    loaded = _loaded(options)  # held here: a report keeps no model alive
    report = _analyze(options, loaded)
    print(report.to_json(indent=1) if options.json else report.table(options.depth))
    if options.verify or options.execute:
        found = report.verify(execute=options.execute)
        print(found, file=sys.stderr if options.json else sys.stdout)
        return 0 if found else 1
    return 0


def _params(words: Sequence[str]) -> int:
    from fxcount.errors import InputError
    from fxcount.passes.parameters import STATES
    from fxcount.report.views import parameter_tables as views

    parser = _parser("params")
    parser.add_argument("--by", choices=views.BY, help="totals by state, dtype or module, or the sharing groups")
    parser.add_argument("--depth", type=int, default=1, metavar="N", help="levels of modules for --by module (default 1)")
    parser.add_argument("--state", choices=tuple(STATES), help="list the parameters in this state")
    parser.add_argument("--outputs", metavar="KEY,...", default="", help="judge by these outputs alone, e.g. logits or 0")
    parser.add_argument("--modes", action="store_true", help="list what is alive in training or in evaluation only")
    parser.add_argument("--fail-on", metavar="STATE,...", default="", help="exit with 1 if a parameter is dead, shared, ...")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    options = parser.parse_args(words)
    failing, outputs = _names(options.fail_on), _names(options.outputs)
    unknown = [state for state in failing if state not in STATES]
    if unknown:
        raise InputError(f"--fail-on knows no {unknown[0]!r}", hint=f"use one or more of {', '.join(STATES)}")
    report = _analyze(options)
    params = report.params_for(outputs) if outputs else report.params
    if options.json:
        import json

        print(json.dumps(views.to_dict(params), indent=1))
    elif options.modes:
        print(views.modes_table(_modes(options, outputs)))
    elif options.by:
        print(views.by_table(params, options.by, options.depth))
    elif options.state:
        print(views.rows_table(params.rows(options.state)))
    else:
        print(views.overview(params, report.trace.model_name))
    found = [views.finding(state, params.rows(state)) for state in failing if params.rows(state)]
    if found:
        print(f"fxcount: {'; '.join(found)}", file=sys.stderr)
    return 1 if found else 0


def _modes(options: argparse.Namespace, outputs: Sequence[str]) -> list[ModeRow]:
    from fxcount.api import compare_modes

    model, args, kwargs = _loaded(options)
    return compare_modes(model, *args, outputs=outputs or None, hints=_assignments(options.hints), **kwargs)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _conventions(words: Sequence[str]) -> int:
    parser = _parser("conventions")
    parser.add_argument("--tool", action="append", metavar="NAME", help="only this convention, with sources and known mistakes")
    parser.add_argument("--top", type=int, default=3, metavar="N", help="differences shown for each tool (default 3)")
    parser.add_argument("--json", action="store_true", help="print all rows as JSON")
    options = parser.parse_args(words)
    report = _analyze(options)
    rows = report.conventions(*(options.tool or ()))
    if options.json:
        import json

        print(json.dumps([row.to_dict() for row in rows], indent=1))
    else:
        from fxcount.report.views.conventions import render

        print(render(report, rows, options.top, details=bool(options.tool)))
    return 0


def _graph(words: Sequence[str]) -> int:
    from fxcount.errors import InputError
    from fxcount.report.formats import by_suffix, format_of

    formats = by_suffix("graph")
    parser = _parser("graph")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help=f"FILE.{', FILE.'.join(formats)}; - prints it")
    parser.add_argument("--format", choices=tuple(formats), help="the format, if FILE does not end in one (with -: json)")
    parser.add_argument("--depth", type=int, metavar="N", help="draw modules N levels below the model as one node each")
    options = parser.parse_args(words)
    printed = options.output == "-"
    named = options.format or ("json" if printed else "")
    chosen = formats[named] if named else format_of(options.output, "graph")
    report = _analyze(options)
    text = chosen.function(report, options.depth)
    if printed:
        print(text.rstrip("\n"))
        return 0
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"cannot write {options.output!r} ({error})", hint="give -o a place that can be written to") from error
    graph = report.to_networkx(options.depth)
    print(f"{graph.number_of_nodes():,} nodes and {graph.number_of_edges():,} edges written to {options.output}")
    return 0


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"params": _params, "graph": _graph, "conventions": _conventions}


def _analyze(options: argparse.Namespace, loaded: Loaded | None = None) -> Report:
    from fxcount.api import analyze

    model, args, kwargs = loaded or _loaded(options)
    if options.train:
        _to_training(model)
    report = analyze(model, *args, hints=_assignments(options.hints), strict=options.strict, progress=True, **kwargs)
    return report.at(**_assignments(options.at)) if options.at else report


def _loaded(options: argparse.Namespace) -> Loaded:
    """The model, and the inputs that were described or else its own."""
    from fxcount.adapters.load import load

    model, *own = load(options.model, trust=options.trust)
    args, kwargs = _inputs(options.inputs)
    return (model, args, kwargs) if args or kwargs else (model, *own)


def _to_training(model: Any) -> None:
    if not hasattr(model, "train"):
        from fxcount.errors import InputError

        raise InputError("an exported program has no training mode", hint="export the model in training mode")
    model.train()


def _inputs(texts: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if equals and name.isidentifier():
            kwargs[name] = _literal(rest)
        else:
            args.append(text if "," in text or "[" in text else f"{text},")
    return tuple(args), kwargs


def _literal(text: str) -> Any:
    """A Python literal (``False``, ``3``), or else the text: a shape or a plain string."""
    import ast

    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return text if isinstance(value, tuple) else value


def _assignments(text: str) -> dict[str, int]:
    """``B=8,H=224`` as a dict.

    >>> _assignments("B=8, H=224")
    {'B': 8, 'H': 224}
    """
    from fxcount.errors import InputError

    found: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = int(value)
        except ValueError:
            raise InputError(f"cannot read {part!r} as NAME=INTEGER", hint="write e.g. B=8,H=224") from None
    return found


if __name__ == "__main__":
    raise SystemExit(main())
