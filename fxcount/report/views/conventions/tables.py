"""Conventions that look at op calls, or module calls, one by one: their rules applied to all that look alike at once."""

from __future__ import annotations

from collections.abc import Iterator

from fxcount.report.views.conventions.convention import Item
from fxcount.report.views.conventions.modules import ModuleRule
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Rules

__all__ = ["from_modules", "from_ops"]


def from_ops(records: Records, rules: Rules) -> Iterator[Item]:
    """Items of a tool that looks at ops one by one."""
    for alike in records.ops:
        site = alike.site
        rule = rules.of(site.op)
        counted = None if rule is None else rule(site)
        if counted is not None:
            yield Item(records.op(alike).name, alike, counted.count, counted.rule, counted.numeric)


def from_modules(records: Records, rule: ModuleRule) -> Iterator[Item]:
    """Items of a tool with forward hooks."""
    for alike in records.modules:
        counted = rule(alike.site)
        if counted is not None:
            yield Item(alike.site.call.class_name, alike, counted.count, counted.rule, counted.numeric)
