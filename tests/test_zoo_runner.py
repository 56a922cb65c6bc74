"""The zoo's runner: the registry is sane, a model becomes a record, a run resumes, the page says what the records say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.zoo import __main__ as command
from benchmarks.zoo.entry import Entry, Inputs, floats, longs, tensors
from benchmarks.zoo.failures import failures
from benchmarks.zoo.measure import Options, measure
from benchmarks.zoo.registry import entries, sampled
from benchmarks.zoo.results import results
from benchmarks.zoo.runner import Limits, Task, run
from benchmarks.zoo.sizes import elsewhere, with_partners

Record = dict[str, Any]


class Tiny(nn.Module):
    """11*17 macs for each of B*S rows, and 6 products of S*S for each of 17 channels and B."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(11, 17)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        return y @ y.mT


class Square(nn.Module):
    """Takes images of one size only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2] == 32, "wants a height of 32"
        return self.conv(x)


class Kept(nn.Module):
    """Of each row those tokens that are not 0, whatever their number."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.linear = nn.Embedding(11, 7), nn.Linear(7, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.linear(self.embedding(row[row > 0])) for row in x])


class Empty(nn.Module):
    """Stops before anything is known."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no luck")


def entry(build: Callable[[], nn.Module], spec: str, **hints: int) -> Entry:
    return Entry("test", build.__name__, "f", build, lambda model: Inputs((spec,), hints=hints))


def record(found: Entry, **options: bool) -> Record:
    records: list[Record] = []
    measure(found, Options(**options), records.append)
    return json.loads(json.dumps(records[-1]))  # what a file of records would give back


@pytest.mark.parametrize(("family", "expected"), [("torchvision", "resnet18"), ("timm", "resnet18"), ("transformers", "bert")])
def test_registry(family: str, expected: str) -> None:
    found = entries(family)
    names = [e.name for e in found]
    assert expected in names
    assert len(set(names)) == len(names)
    assert {e.family for e in found} == {family}
    assert [e.name for e in entries(family, expected)] == [expected]


def test_sample_is_even_and_deterministic() -> None:
    found = [Entry("test", f"{file}{i}", file, Tiny, lambda m: Inputs()) for file in "ab" for i in range(5)]
    assert [e.name for e in sampled(found, 2)] == ["a0", "a2", "b0", "b2"]
    assert [e.name for e in sampled(found, 9)] == [e.name for e in found]


def test_inputs() -> None:
    inputs = Inputs(("f32[B,3,8*H]", {"ids": longs("B", "S"), "mode": "fast"}), hints={"B": 2, "H": 5, "S": 7})
    assert inputs.asked == ("B", "H", "S")
    settled = inputs.with_free(("S",))
    assert settled.args == ("f32[2,3,40]", {"ids": "i64[2,S]", "mode": "fast"})
    assert settled.hints == {"S": 7}
    made = tensors(inputs.args, {"B": 3, "H": 1, "S": 11}, "cpu", below=5)
    assert made[0].shape == (3, 3, 8)
    assert made[1]["ids"].shape == (3, 11)
    assert int(made[1]["ids"].max()) < 5
    assert made[1]["mode"] == "fast"


def test_record_of_a_model() -> None:
    found = record(entry(Tiny, floats("B", "S", 11), B=2, S=13), reference=True, proof=True, verify=True)
    assert found["status"] == "traced"
    assert (found["level"], found["errors"]) == ("all", [])
    assert found["symbolic"] == ["B", "S"]
    assert found["pinned"] == {}
    assert found["macs"] == 2 * 13 * 11 * 17 + 2 * 13 * 13 * 17
    hint, other = found["reference"]
    assert other["at"] == {"B": 3, "S": 29}
    assert hint["flops"] == 2 * found["macs"]
    assert other["flops"] == 2 * (3 * 29 * 11 * 17 + 3 * 29 * 29 * 17)
    assert hint["equal"]
    assert other["equal"]
    assert found["proof"] == {"status": "passed", "at": [{"B": 2, "S": 13}, {"B": 3, "S": 29}]}
    assert (found["verify"]["status"], found["verify"]["checked"], found["verify"]["differences"]) == ("agrees", 4, [])
    assert found["verify"]["executed"] == 1


def test_record_of_a_pinned_symbol() -> None:
    found = record(entry(Square, floats("B", 3, "H", "W"), B=2, H=32, W=32), reference=True)
    assert found["symbolic"] == ["B", "W"]
    assert found["pinned"]["H"].startswith("H == 32")
    assert "test_zoo_runner.py" in found["pinned"]["H"]
    assert "wants a height of 32" in found["refused"]


def test_record_of_a_loop_over_the_batch_whose_sizes_data_decide() -> None:
    found = record(entry(Kept, "i64[B,S]", B=2, S=5), reference=True)
    assert found["pinned"]["B"].startswith("B == 2")
    fitted = found["fitted"]
    assert fitted["names"] == ["B"]
    assert fitted["reference"]["how"] == "real"  # there is no such product on meta
    assert fitted["reference"]["at"] == {"B": 3, "S": 5}
    assert fitted["reference"]["equal"]


def test_sizes_elsewhere_move_each_symbol_by_its_own_steps_and_both_sides_of_an_image_together() -> None:
    inputs = Inputs(("f32[B,F,H,W,S]",), hints={"B": 2, "F": 3, "H": 14, "W": 15, "S": 7})
    assert with_partners(inputs, ["H", "F"]) == ["H", "F", "W"]
    assert with_partners(inputs, ["S"]) == ["S"]
    first, second, *_ = elsewhere(inputs, ["F", "H", "W"])
    assert first == {"B": 2, "F": 3 + 8, "H": 14 + 64, "W": 15 + 64, "S": 7}
    assert second == {"B": 2, "F": 3 + 1, "H": 14 + 32, "W": 15 + 32, "S": 7}
    assert [values["S"] for values in elsewhere(inputs, ["S"])][:2] == [7 + 16, 7 + 64]


def test_a_fit_that_the_counter_differs_from_for_a_reason() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(7, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = [x[i].flatten() for i in range(int(x.shape[0]))]
            dots = [torch.dot(row, row) for row in rows]  # which the counter does not know
            return self.linear(x).sum() + sum(dots)

    found = record(entry(Rows, floats("B", "S", 7), B=2, S=5), reference=True)
    assert found["pinned"]["B"].startswith("B == 2")
    fitted = found["fitted"]["reference"]
    b, s = fitted["at"]["B"], fitted["at"]["S"]
    assert (fitted["twice_macs"], fitted["flops"]) == (2 * (b * s * 7 * 5 + b * s * 7), 2 * b * s * 7 * 5)
    assert not fitted["equal"]
    assert fitted["reason"] == "torch's counter does not know products of two vectors"


def test_record_of_a_failure() -> None:
    found = record(entry(Empty, floats("B", 3), B=2), reference=True)
    assert found["status"] == "failed"
    assert [e["level"] for e in found["errors"]] == ["all", "fixed"]
    assert found["errors"][0]["message"] == "no luck"
    assert found["errors"][0]["where"].endswith(f"test_zoo_runner.py:{Empty.forward.__code__.co_firstlineno + 1}")
    assert found["reference"][0]["flops"] is None


def _behave(task: Task, emit: Callable[[Record], None], patience: float) -> bool:
    name = task[1]
    emit({"key": f"test/{name}", "family": "test", "name": name, "status": "traced", "seconds": 0})
    if name == "hangs":
        time.sleep(patience)
    if name == "dies":
        import os

        os._exit(3)
    if name == "raises":
        raise ValueError("bad")
    return True


def test_workers_are_replaced() -> None:
    tasks = [("test", name) for name in ("fine", "hangs", "dies", "raises")]
    found = {r["name"]: r for r in run(tasks, partial(_behave, patience=60.0), 1, Limits(seconds=1.0))}
    assert {name: r.get("stopped") for name, r in found.items()} == {
        "fine": None, "hangs": "timeout", "dies": "crashed", "raises": None,
    }  # fmt: skip
    assert found["hangs"]["status"] == "traced"  # what was found before it hung is kept
    assert found["raises"]["errors"] == [{"type": "ValueError", "message": "bad"}]


def test_a_run_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    run_it = ["--family", "torchvision", "--name", "resnet[13]?", "--no-reference", "--out", str(out), "--resume"]
    out.write_text(json.dumps({"key": "torchvision/resnet18", "name": "resnet18"}) + '\n{"key": "torch', encoding="utf-8")
    assert command.main(run_it) == 0
    assert [r["key"] for r in command.read(out)] == ["torchvision/resnet18", "torchvision/resnet34"]
    assert "[1/1 " in capsys.readouterr().err
    assert command.main(run_it) == 0
    assert len(command.read(out)) == 2


def test_the_page() -> None:
    def made(name: str, **more: Any) -> Record:
        both = [{"at": {"B": b}, "flops": 10 * b, "twice_macs": 10 * b, "equal": True} for b in (2, 3)]
        base = {
            "key": f"timm/{name}", "family": "timm", "name": name, "status": "traced", "level": "all", "asked": ["B", "H"],
            "hints": {"B": 2}, "symbolic": ["B", "H"], "pinned": {}, "errors": [], "reference": both, "uncounted": [],
            "proof": {"status": "passed"}, "verify": {"status": "agrees", "executed": 2}, "trace_seconds": 0.01, "seconds": 1.0,
        }  # fmt: skip
        return {**base, **more}

    differs = [{"at": {"B": 2}, "flops": 8, "how": "meta", "twice_macs": 10, "equal": False, "reason": ""}]
    error = {"level": "all", "type": "ShapeError", "message": "linear: 7 against 8", "where": "net.py:3", "raised": "ops.py:4"}
    found = [
        made("a"),
        made("b", symbolic=["B"], pinned={"H": "H == 224 at net.py:9"}, refused="AssertionError: no"),
        made("c", symbolic=["B"], pinned={"H": "H == 224 at net.py:9"}, elsewhere={"pinned": {}}),
        made("d", reference=differs, symbolic=["B"], pinned={"H": "H == 7"}, elsewhere={"pinned": {"H": "H == 8 at net.py:5"}}),
        {"key": "timm/e", "family": "timm", "name": "e", "status": "failed", "errors": [error],
         "reference": [{"at": {}, "flops": 5, "how": "meta", "error": ""}]},
    ]  # fmt: skip
    page = results(found)
    assert "| models | 5 |" in page
    assert "| traced with all symbols, of the runnable | 4 of 5 (80.0%) |" in page
    assert "| equal at the hint | 3 of 4 (75.0%) |" in page
    assert "| equal at another size | 3 of 3 (100.0%) |" in page
    assert "| differ without a reason | 1 |" in page
    assert "| H, W or S stays | 2 of 3 (66.7%) |" in page
    assert "| proof passed, of those run | 4 of 4 (100.0%) |" in page
    assert "| report.verify() agrees at 4 sizes, of those asked | 4 of 4 (100.0%) |" in page
    assert "**1** `ShapeError: linear: N against N` at net.py:3, raised in ops.py:4 [torch's counter runs it]\n  - e" in page
    assert "2*macs/flops = 1.2500" in page
    assert "H == N at net.py:N" in failures(found)
