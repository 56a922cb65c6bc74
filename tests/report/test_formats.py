"""The table of formats: every line works as a method, and what it cannot do it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

import fxcount
from fxcount.errors import InputError
from fxcount.report.formats import FORMATS, Format, by_suffix, format_of

REPORT = fxcount.analyze(nn.Sequential(nn.Linear(3, 5), nn.ReLU()), "B,3")


@pytest.mark.parametrize("name", FORMATS)
def test_each_line_is_a_method_with_its_own_documentation(name: str) -> None:
    chosen = FORMATS[name]
    made = getattr(REPORT, f"to_{name}")()
    assert getattr(fxcount.Report, f"to_{name}") is chosen.function
    assert chosen.function.__doc__
    assert chosen.about
    if chosen.suffix:
        assert isinstance(made, bytes if chosen.binary else str)


def test_endings_are_unambiguous_within_what_is_shown() -> None:
    for shows in {f.shows for f in FORMATS.values()}:
        assert len(by_suffix(shows)) == sum(bool(f.suffix) for f in FORMATS.values() if f.shows == shows)
        for suffix, chosen in by_suffix(shows).items():
            assert format_of(f"net.{suffix.upper()}", shows) is chosen
    with pytest.raises(InputError, match="use one of"):
        format_of("net.png", "graph")


def test_a_package_that_is_not_installed_is_named() -> None:
    class More(fxcount.Report):
        to_nothing = Format[str]("no_such_package.views:to_nothing", ".no", "report", "nothing", needs="no_such_package")

    report = More(REPORT.trace, REPORT.costs)
    with pytest.raises(InputError, match=r"nothing needs no_such_package\n.*pip install no_such_package"):
        report.to_nothing()


def test_what_at_gives_has_the_same_methods_and_passes() -> None:
    there = REPORT.at(B=7)
    assert type(there) is fxcount.Report
    assert there.params is REPORT.params
    assert there.peaks is REPORT.peaks
    assert json.loads(there.to_json())["totals"]["macs"] == 105


def test_the_page_lists_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `to_")]
    endings = {name: f"`{f.suffix}`" if f.suffix else "" for name, f in FORMATS.items()}
    assert lines == [f"| `to_{f.name}` | {endings[f.name]} | {f.shows} | {f.about} | {f.needs} |" for f in FORMATS.values()]
