"""The peers' own tests and READMEs: each number is met, or there is a named reason why not."""

from __future__ import annotations

import pytest

pytest.importorskip("torchvision")
pytest.importorskip("timm")
pytest.importorskip("transformers")

from tests.published.peer_rows import REASONS, ROWS, checks, key

# What has a reason is still near: of these the READMEs' numbers are wrong or of another setting by more.
FAR = {"torchvision alexnet": 0.04, "Stable Diffusion v1.4 UNet": 0.6}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("row", ROWS, ids=key)
def test_number_or_reason(row: dict[str, str]) -> None:
    found = checks(row)
    assert found
    for check in found:
        assert check.equal or check.reason, check
        if not check.equal and check.found != "-":
            published = float(check.published)
            assert abs(float(check.found) - published) <= FAR.get(row["case"], 0.025) * published, check


def test_reasons_are_few() -> None:
    """Of the peers' own tests, nine in ten have none and so are met in all their numbers."""
    tests = [row for row in ROWS if "README" not in row["source"]]
    assert len([row for row in tests if row["case"] not in REASONS]) >= 0.9 * len(tests)
