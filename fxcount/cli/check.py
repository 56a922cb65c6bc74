"""Budgets for CI: limits on what a model costs, proved where sizes are open; exit status 1 if one does not hold.

Without MODEL the checks of [tool.fxcount.check] in pyproject.toml, or of .fxcount.toml, are done.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxcount.cli.model import add_device_option, add_model_options, hints, loaded, read
from fxcount.cli.screen import show
from fxcount.errors import InputError
from fxcount.review.config import RULES, Check, checks_of, find
from fxcount.review.quantities import QUANTITIES

if TYPE_CHECKING:
    from fxcount.review.check import Budget

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    add_device_option(parser)
    parser.set_defaults(late=True)  # which models there are, the file says
    for action in parser._actions:
        if action.dest == "model":
            action.nargs, action.default = "?", ""
            action.help = "as elsewhere, or the name of a check in the file; without it all checks of the file"
    group = parser.add_argument_group(
        "limits", "25M, 2GB, 4.2G@B=1,H=224,W=224, a formula such as 6*B*S, the same over a range @B=1:64, or +5% of --against"
    )
    for quantity, about in QUANTITIES.items():
        group.add_argument(f"--max-{quantity.replace('_', '-')}", metavar="LIMIT", action="append", help=about)
    group.add_argument("--no-dead", action="store_true", help="every parameter affects the outputs")
    group.add_argument("--no-shared", action="store_true", help="no parameter has two names")
    group.add_argument("--no-uncounted", action="store_true", help="every op has a cost rule")
    group.add_argument("--optimizer", metavar="NAME", default="", help="of the training step, for limits on it")
    group.add_argument("--against", metavar="FILE.json", default="", help="a saved report: what changed since, and +5%% limits")
    group.add_argument("--config", metavar="FILE.toml", default="", help="where checks are (default: the nearest such file)")
    output = parser.add_argument_group("output")
    output.add_argument("--why", action="store_true", help="with --against: the lines and modules that added cost")
    output.add_argument("--json", action="store_true", help="print what was found as JSON")
    output.add_argument("--markdown", action="store_true", help="print Markdown, as GitHub shows it")
    output.add_argument("--sarif", metavar="FILE", default="", help="write SARIF for code scanning")
    output.add_argument("--github", action="store_true", help="annotations, and a summary in $GITHUB_STEP_SUMMARY")


def run(options: argparse.Namespace) -> int:
    """Exit status 1 if a limit does not hold, 0 if all do."""
    jobs = _jobs(options)
    for job in jobs:
        read(job)
    done = [_checked(job) for job in jobs]
    _shown(options, done)
    return 0 if all(done) else 1


def _shown(options: argparse.Namespace, done: list[Budget]) -> None:
    from fxcount.review import views

    if options.sarif:
        import fxcount

        _write(options.sarif, [views.to_sarif(d, fxcount.__version__) for d in done])
    if options.json:
        import json

        found = [d.to_dict() for d in done]
        print(json.dumps(found[0] if len(found) == 1 else found, indent=1))
    elif options.markdown:
        print("\n".join(d.to_markdown(options.why) for d in done).rstrip("\n"))
    else:
        show("\n".join(d.table(options.why) for d in done))
    if options.github:
        for each in done:
            print("\n".join(views.workflow_commands(each)), end="\n" if each.broken else "")
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with open(summary, "a", encoding="utf-8") as file:
                file.write("\n".join(d.to_markdown(options.why) for d in done))


def _write(path: str, logs: list[dict[str, Any]]) -> None:
    """One log with a run for each check."""
    import json

    log = {**logs[0], "runs": [run for each in logs for run in each["runs"]]}
    try:
        Path(path).write_text(json.dumps(log, indent=1), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path!r} ({error})", hint="give --sarif a place that can be written to") from error


def _jobs(options: argparse.Namespace) -> list[argparse.Namespace]:
    """What is to be checked: what the command line says, or the checks of the file, all or the one of that name."""
    options.limits = {q: tuple(found) for q in QUANTITIES if (found := getattr(options, f"max_{q}"))}
    options.rules = tuple([r for r in RULES if getattr(options, r.replace("-", "_"))])
    path = Path(options.config) if options.config else find(Path.cwd()) if not options.limits and not options.rules else None
    known = checks_of(path) if path else []
    chosen = [c for c in known if not options.model or options.model in (c.name, c.model)]
    if chosen and not options.limits and not options.rules:
        return [_job(options, check) for check in chosen]
    if not options.model:
        raise InputError(
            "no model is given, and no file here or above has checks",
            hint="write fxcount check MODEL --max-params 25M, or [tool.fxcount.check] in pyproject.toml",
        )
    if not options.limits and not options.rules:
        raise InputError("no limits are given", hint="e.g. --max-params 25M --max-macs 4.2G@B=1,H=224,W=224 --no-dead")
    return [options]


def _job(options: argparse.Namespace, check: Check) -> argparse.Namespace:
    """The options of one check of the file; what the command line says goes before."""
    job = argparse.Namespace(**vars(options))
    job.model, job.inputs = check.model, list(options.inputs or check.inputs)
    job.arg = [*[f"{n}={v!r}" for n, v in check.args.items()], *options.arg]
    job.at = options.at or ",".join(f"{n}={v}" for n, v in check.at.items())
    job.hints = options.hints or ",".join(f"{n}={v}" for n, v in check.hints.items())
    job.optimizer, job.against = options.optimizer or check.optimizer, options.against or check.against
    job.train, job.trust = options.train or check.train, options.trust or check.trust
    job.limits, job.rules = check.limits, check.rules
    return job


def _checked(options: argparse.Namespace) -> Budget:
    from fxcount.review.check import check

    model, args, kwargs = loaded(options)
    if options.strict:
        options.rules = tuple({*options.rules, "no-uncounted"})
    asked: dict[str, Any] = {f"max_{q}": list(each) for q, each in options.limits.items()}
    asked |= {rule.replace("-", "_"): True for rule in options.rules}
    found = check(
        model, *args, hints=hints(options, args, kwargs), kwargs=kwargs, at=options.at, optimizer=options.optimizer or None,
        against=options.against or None, **asked,
    )  # fmt: skip
    if found.comparison is None and options.why:
        print("fxcount: --why needs --against, a report of before", file=sys.stderr)
    return found
