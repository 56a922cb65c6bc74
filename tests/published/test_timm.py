"""timm's published table, a sample of it; benchmarks/published.py has all rows."""

from __future__ import annotations

import pytest

pytest.importorskip("timm")

from tests.published.timm_rows import SAMPLE, checks


@pytest.mark.filterwarnings("ignore:Mapping deprecated model name")  # the table has names of its time
@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: f"{row['model']}-{row['img_size']}")
def test_parameters_macs_and_activations(row: dict[str, str]) -> None:
    assert [check for check in checks(row) if not check.equal] == []
