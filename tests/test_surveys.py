"""benchmarks/surveys.py: shards are all of a survey, their records are added up, and what goes wrong is not lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fuzz, surveys
from benchmarks.surveys import SURVEYS, main, measure, shards, summary
from benchmarks.zoo import records
from benchmarks.zoo.runner import Task

Record = dict[str, Any]


@pytest.mark.parametrize("parts", [1, 3])
def test_parts_are_all_of_it(parts: int) -> None:
    found = [shard for i in range(parts) for shard in shards(SURVEYS, (i + 1, parts))]
    assert sorted(found) == sorted(shards(SURVEYS))
    for name, survey in SURVEYS.items():
        ends = [map(int, text.split("-")) for which, text in found if which == name]
        numbers = [n for first, last in ends for n in range(first, last + 1)]
        assert sorted(numbers) == list(range(survey.size))


def _measured(task: Task) -> Record:
    records: list[Record] = []
    assert measure(task, records.append)
    return {"key": "/".join(task), "family": task[0], "name": task[1], **json.loads(json.dumps(records[-1]))}


def test_a_shard_of_each_is_counted() -> None:
    found = [_measured(task) for task in (("random_nets", "7-9"), ("soundness", "5-5"), ("at", "0-19"), ("reports", "40-43"))]
    page, good = summary({r["key"]: r for r in found})
    assert good
    assert [r["counts"].get("nets", r["counts"].get("ok", 0) + r["counts"].get("refused", 0)) for r in found] == [3, 1, 20, 4]
    assert "| 3 of 5,000 |" in page
    assert "| 20 of 10,000 |" in page


def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "outcome", lambda action: "foreign KeyError: 'x'")
    record = _measured(("specs", "0-2"))
    page, good = summary({"specs/0-2": record})
    assert not good
    assert record["counts"] == {"foreign": 3}
    assert "foreign KeyError: 'x'  for" in page
    stopped = {"family": "at", "name": "0-9", "status": "timeout", "stopped": "timeout"}
    page, good = summary({"at/0-9": stopped})
    assert not good
    assert "at/0-9: timeout" in page


def test_a_run_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shards that are done are left out; those that were stopped, or whose line was cut short, are not."""
    out = tmp_path / "surveys.jsonl"
    asked: list[Task] = []

    def run(tasks: list[Task], *_: Any) -> Iterator[Record]:
        for family, name in tasks:
            asked.append((family, name))
            done = {"counts": {"ok": 2000}, "wrong": [], "work_seconds": 1.0} if len(asked) != 2 else {"stopped": "crashed"}
            yield {"key": f"{family}/{name}", "family": family, "name": name, "status": "traced", **done}

    monkeypatch.setattr(records, "run", run)
    monkeypatch.setitem(SURVEYS, "specs", surveys.Survey("specs", lambda numbers, say: Counter(), 8000, 2000))
    arguments = ["specs", "--out", str(out), "--resume"]
    assert main(arguments) == 1  # one crashed
    out.write_text(out.read_text()[:-9])  # the last line is cut short
    asked.clear()
    asked.append(("", ""))
    asked.append(("", ""))
    assert main(arguments) == 0
    assert asked[2:] == [("specs", "2000-3999"), ("specs", "6000-7999")]
    page = tmp_path / "page.md"
    assert main(["--summarise", str(out), "--write", str(page)]) == 0
    assert "| 8,000 of 8,000 | 8,000 ok | 0 |" in page.read_text()
    assert page.read_text() in capsys.readouterr().out
