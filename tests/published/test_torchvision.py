"""torchvision's own numbers, of every weight of every classification model and of one model of each other task."""

from __future__ import annotations

import pytest

pytest.importorskip("torchvision")

from tests.published import torchvision_rows, torchvision_tasks

# The first detector's work depends on the number of boxes, of the last one's on nothing but the size.
OTHERS = [
    ("segmentation", "lraspp_mobilenet_v3_large"), ("video", "s3d"), ("optical_flow", "raft_small"),
    ("quantization", "quantized_mobilenet_v2"), ("detection", "fasterrcnn_resnet50_fpn"), ("detection", "fcos_resnet50_fpn"),
]  # fmt: skip


@pytest.mark.parametrize("row", torchvision_rows.ROWS, ids=lambda row: f"{row['model']}-{row['weights']}")
def test_parameters_and_macs(row: dict[str, str]) -> None:
    assert [check for check in torchvision_rows.checks(row) if not check.equal] == []


@pytest.mark.parametrize(("task", "name"), OTHERS)
def test_other_tasks(task: str, name: str) -> None:
    weights = [w for listed, w in torchvision_tasks.listed(task) if listed == name]
    assert weights
    for w in weights:
        assert [check for check in torchvision_tasks.checks(task, name, w) if not check.equal] == []
