"""Known parameter counts of Hugging Face models, up to Llama 3.1 405B: all rows."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from tests.published.hub_rows import ROWS, check


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # the library's, on its own configurations
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_parameters(row: dict[str, str]) -> None:
    found = check(row)
    assert found.equal, found
