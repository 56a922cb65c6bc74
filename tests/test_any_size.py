"""The benchmark of every size: a point is judged by torch's counter and by what the model itself says; the page says what is in
the records."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fxcount
from benchmarks import any_size
from benchmarks.any_size import Asked, judged, main, page
from benchmarks.zoo.entry import Inputs


class Masked(nn.Module):
    """Takes up to 31 tokens, and sums over them by einsum; decides at 8."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(11, 17)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] > 31:
            raise ValueError("at most 31 tokens")
        y = self.linear(x)
        return torch.einsum("bsi,bsj->bij", y, x) if x.shape[1] < 8 else y @ y.mT


def point(asked: Masked, model: Callable[[], nn.Module], **sizes: int) -> Asked:
    report = fxcount.analyze(asked, "B,S,11", hints={"S": 16})
    found, said, refused = any_size._answer(report, sizes)
    return Asked(sizes, found, said, refused, model, Masked, Inputs(("f32[B,S,11]",)))


def test_points_are_judged_by_torch() -> None:
    with torch.device("meta"):
        model, other = Masked(), nn.Linear(11, 5)
    held = partial(point, model)
    assert judged(held(lambda: model, B=2, S=13))["flops"] == 2 * (2 * 13 * 11 * 17 + 2 * 13 * 13 * 17)
    assert judged(held(lambda: model, B=2, S=13))["status"] == "equal"
    one = judged(held(lambda: model, B=2, S=1))
    assert (one["status"], one["flops"], one["twice_macs"]) == ("named", 2 * 2 * 11 * 17, 2 * (2 * 11 * 17 + 2 * 11 * 17))
    assert one["named"][0].startswith("einsum: ")
    refused = judged(held(lambda: model, B=64, S=37))
    assert (refused["status"], refused["said"][-17:]) == ("refused", "at most 31 tokens")
    assert judged(held(lambda: other, B=2, S=13))["status"] == "wrong"  # another number of torch's
    inputs = Inputs(("f32[B,S,11]",))
    takes_it = Asked({"B": 2, "S": 37}, None, "refused", True, lambda: other, lambda: nn.Linear(11, 5), inputs)
    assert judged(takes_it)["status"] == "wrong"  # said to be refused, and is not


def test_a_model_becomes_a_record_and_a_page(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []
    assert any_size.measure(("torchvision", "shufflenet_v2_x1_0"), records.append)
    (record,) = records
    assert (record["status"], [p["status"] for p in record["points"]]) == ("done", ["equal"] * 8)
    assert {p["how"] for p in record["points"]} == {"plain"}
    wrong = {**record, "key": "timm/davit_tiny"}
    wrong["points"] = [{"sizes": {"B": 1, "H": 7}, "status": "wrong", "flops": 3, "twice_macs": 4}]
    file = tmp_path / "records.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in (record, wrong)), encoding="utf-8")
    assert main(["--table", str(tmp_path / "page.md"), str(file)]) == 0
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text == page([record, wrong])
    for found in ("2 models at 9 points", "8 equal", "1 wrong", "* timm/davit_tiny at B=1, H=7: fxcount 4, torch 3"):
        assert found in text
    assert "* transformers/bert: not run" in text


def test_the_models_are_as_many_as_said() -> None:
    libraries = [library for library, _ in any_size.SUBJECTS]
    assert (len(libraries), libraries.count("fixed"), libraries.count("transformers")) == (52, 12, 13)
    assert len(set(any_size.SUBJECTS)) == 52
