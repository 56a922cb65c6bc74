"""What a check found: as text, as Markdown for GitHub, as SARIF, as annotations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fxcount.report.views.comparison import render as comparison_text
from fxcount.report.views.comparison import to_markdown as comparison_markdown
from fxcount.report.views.tables import markdown_table
from fxcount.report.views.units import count_text
from fxcount.review.blame import Share
from fxcount.review.findings import Finding, Findings, Place
from fxcount.wording import visible

__all__ = ["render", "to_dict", "to_markdown", "to_sarif", "workflow_commands"]

_SHOWN = 10
_RULES = {
    "dead": "A parameter has no effect on the outputs, or asks for a gradient that none gives it",
    "shared": "A parameter has several names",
    "uncounted": "An op has no cost rule, so that totals are lower bounds",
}


def render(budget: Findings, why: bool = False) -> str:
    """One line for each limit, and beneath those that are broken what is to blame."""
    lines = [_title(budget)]
    for f in budget.findings:
        lines.append(visible(f"  {'ok  ' if f.holds else 'FAIL'}  {_limit(f)}: {f.said}"))
        if not f.holds:
            lines += [f"          {visible(_share(share))}" for share in f.blame]
            lines += [f"          {visible(_placed(p))}" for p in f.places[:_SHOWN]]
            if len(f.places) > _SHOWN:
                lines.append(f"          and {len(f.places) - _SHOWN} more")
    if why and budget.comparison is not None:
        lines += ["", *_why(budget), "", comparison_text(budget.comparison)]
    return "\n".join(lines)


def to_markdown(budget: Findings, why: bool = False) -> str:
    """GitHub's Markdown: a table of limits, what is to blame, and what changed since the saved report."""
    rows = [["✅" if f.holds else "❌", _limit(f), visible(f.said)] for f in budget.findings]
    parts = [f"### {visible(_title(budget))}", "", markdown_table(["", "limit", "found"], rows, [True, True, True])]
    for f in budget.broken:
        parts += [f"- **{f.rule}**: {visible(_share(share))}" for share in f.blame]
        parts += [f"- **{f.rule}**: {visible(_placed(p))}" for p in f.places[:_SHOWN]]
    if budget.broken:
        parts.append("")
    if budget.comparison is not None:
        if why:
            parts += [f"- {line.strip()}" for line in _why(budget)[1:]] + [""]
        parts.append(comparison_markdown(budget.comparison))
    return "\n".join(parts)


def to_dict(budget: Findings) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "model": budget.model_name, "holds": bool(budget),
        "findings": [
            {
                "rule": f.rule, "limit": f.limit, "holds": f.holds, "said": f.said, "value": f.value,
                "sizes": None if f.sizes is None else dict(f.sizes),
                "blame": [{"module": s.module, "number": s.number, "of": s.of, "where": s.where} for s in f.blame],
                "places": [{"name": p.name, "file": p.file, "line": p.line, "reason": p.reason} for p in f.places],
            }
            for f in budget.findings
        ],
    }  # fmt: skip


def to_sarif(budget: Findings, version: str = "") -> dict[str, Any]:
    """SARIF 2.1.0: a result for each place, else for each broken limit at the module most to blame."""
    rules = sorted({f.rule for f in budget.findings})
    results = [
        {
            "ruleId": f"fxcount/{f.rule}", "ruleIndex": rules.index(f.rule), "level": "error", "message": {"text": text},
            **({"locations": [_location(file, line)]} if file else {}),
        }
        for f, text, file, line in _problems(budget)
    ]  # fmt: skip
    driver = {
        "name": "fxcount", **({"version": version} if version else {}),
        "rules": [
            {"id": f"fxcount/{r}", "shortDescription": {"text": _RULES.get(r, f"A limit on {r} is broken")}} for r in rules
        ],
    }  # fmt: skip
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}],
    }  # fmt: skip


def _location(file: str, line: int) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": {"uri": relative(file)}, "region": {"startLine": max(line, 1)}}}


def workflow_commands(budget: Findings) -> list[str]:
    """Workflow commands of GitHub Actions: one error for each place, shown beside the line.

    Line ends and the characters that separate parts are written as GitHub reads them.
    """
    found = []
    for f, text, file, line in _problems(budget):
        place = f"file={_escaped(relative(file), True)},line={line}," if file and line else ""
        found.append(f"::error {place}title={_escaped(f'fxcount: {f.rule}', True)}::{_escaped(text)}")
    return found


def relative(file: str) -> str:
    """The path from here, with slashes, if the file lies below."""
    try:
        path = os.path.relpath(file)
    except ValueError:  # another drive
        path = file
    return (file if path.startswith("..") else path).replace(os.sep, "/")


def _problems(budget: Findings) -> Iterator[tuple[Finding, str, str, int]]:
    """Each broken limit with a text and a place, or with each of its places."""
    for f in budget.broken:
        if f.places:
            for p in f.places:
                yield f, visible(f"{p.name}: {p.reason}"), p.file, p.line
            continue
        blame = "; ".join(map(_share, f.blame))
        file, line = next((found for share in f.blame if (found := _split(share.where))[0]), ("", 0))
        text = f"{_limit(f)}: {f.said}" + (f". Most: {blame}" if blame else "")
        yield f, visible(text), file, line


def _split(place: str) -> tuple[str, int]:
    file, colon, line = place.partition(" (")[0].rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() else ("", 0)


def _escaped(text: str, of_property: bool = False) -> str:
    for c, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *([(":", "%3A"), (",", "%2C")] if of_property else [])):
        text = text.replace(c, code)
    return text


def _title(budget: Findings) -> str:
    n, broken = len(budget.findings), len(budget.broken)
    name = budget.model_name
    if not n:
        return f"{name}: no limits were given"
    return f"{name}: {broken} of {n} limits {'is' if broken == 1 else 'are'} broken" if broken else \
        f"{name}: all {n} limits hold" if n > 1 else f"{name}: the limit holds"  # fmt: skip


def _limit(f: Finding) -> str:
    return f.limit if f.rule in _RULES else f"{f.rule} <= {f.limit}"


def _placed(p: Place) -> str:
    where = f" at {relative(p.file)}:{p.line}" if p.file else ""
    return f"{p.name}{where}: {p.reason}"


def _share(share: Share) -> str:
    file, line = _split(share.where)
    return str(replace(share, where=f"{relative(file)}:{line}" if file else share.where))


def _why(budget: Findings) -> list[str]:
    """The lines of code and the modules that cost more than before."""
    comparison = budget.comparison
    assert comparison is not None
    by = next((f.rule for f in budget.broken if comparison.lines and f.rule in comparison.lines[0].changes), "flops")
    lines = comparison.added_lines(by)
    if not lines:
        return [f"no line costs more {by} than before"]
    found = [f"lines that cost more {by} than before:"]
    for line in lines[:_SHOWN]:
        modules = ", ".join(m or "the model" for m in line.modules[:3]) + (", ..." if len(line.modules) > 3 else "")
        found.append(visible(f"  +{count_text(line.changes[by].difference)}  {line.op} at {line.place or '?'} in {modules}"))
    return found
