"""A notebook that nobody trusts, as a reader sees it: run, cleaned as JupyterLab cleans it, opened in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CELLS = [
    "import torch, fxcount\nfrom torch import nn\n"
    "model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7))\n"
    "r = fxcount.analyze(model, 'B,3,H,W')\nr",
    "r.params", "r.curve(H=range(8, 65, 8), W='H', B=1)", "fxcount.training_step(model, 'B,3,9,9', optimizer='adamw')",
    "fxcount.compare(nn.Linear(3, 5), nn.Linear(3, 7), 'B,3')", "r.pieces(B=(1, 9), H=(3, 99), W='H')",
    "fxcount.analyze(nn.Linear(3, 5))",
]  # fmt: skip
WRONG = [
    "fxcount.analyze(model, 'B,4,H,W')", "r.at(B=0)", "fxcount.load_model('torch.nn:Linaer')", "r.at(Q=1)",
    "fxcount.analyze(nn.Linear(3, 5), 'B,7')",
]  # fmt: skip


@pytest.fixture(scope="module")
def book() -> Any:
    for needed in ("nbclient", "nbconvert", "ipykernel"):
        pytest.importorskip(needed)
    import nbformat
    from nbclient import NotebookClient

    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(text, id=f"cell-{i}") for i, text in enumerate([*CELLS, *WRONG])]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    NotebookClient(made, timeout=120, allow_errors=True, record_timing=False).execute()
    return made


def _cleaned(text: str) -> str:
    """What JupyterLab leaves of such an output: these tags (of more), and of attributes `src` with data in it."""
    from bleach import clean

    tags = {"img", "table", "thead", "tbody", "tr", "th", "td", "p"}
    cleaned: str = clean(text, tags=tags, attributes={"img": ["src", "alt", "width", "height"]}, protocols=["data"], strip=True)
    return cleaned


@pytest.mark.filterwarnings("ignore")  # of the tools that run notebooks
def test_a_notebook_that_is_not_trusted(book: Any, driver: Any, tmp_path: Path) -> None:
    from nbconvert import HTMLExporter

    for output in [o for cell in book.cells for o in cell.outputs if "text/html" in o.get("data", ())]:
        output["data"]["text/html"] = _cleaned(output["data"]["text/html"])
    text, _ = HTMLExporter(template_name="basic").from_notebook_node(book)
    path = tmp_path / "book.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{text}", "utf-8")
    driver.get(path.as_uri())
    pictures = driver.execute_script("return [...document.images].map(i => [i.src.slice(0, 26), i.naturalWidth, i.alt])")
    assert len(pictures) == 5  # of a comparison and of pieces there is a table
    assert all(src == "data:image/svg+xml;base64," and width > 100 and alt for src, width, alt in pictures)
    tables = driver.execute_script("return [...document.querySelectorAll('table')].map(t => t.textContent)")
    assert len(tables) == len(CELLS)
    assert "135*B*H*W" in tables[0] or "MACs" in tables[0]
    assert "inputs, a guess" in tables[-1]
    assert driver.execute_script("return document.querySelectorAll('script, iframe, style').length") == 0


def test_an_error_is_a_few_lines(book: Any) -> None:
    for cell in book.cells[len(CELLS) :]:
        (said,) = cell.outputs
        lines = "\n".join(said["traceback"]).splitlines()
        assert said["output_type"] == "error"
        assert 2 <= len(lines) <= 6, lines
        assert lines[-1] == f"  asked in line 1: {cell.source}"
        assert lines[0].split(":")[0].endswith("Error")
