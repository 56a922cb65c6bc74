"""The page in a real browser: its size, the time to the first paint, and what one move of a slider takes.

    python benchmarks/page_in_browser.py --all --write # into PAGES.md; needs chromium, chromedriver and selenium

Times of the processor are those of the page's main thread: other work on the machine is not in them, and is in the time to the
first paint. ``load`` is all the work until the page is still; a move is one step of a slider, with all numbers worked out again
and laid out.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fxcount
from fxcount.adapters.load import load
from fxcount.report.views.tables import markdown_table

TIMES = 5
MOVES = """
const s = document.querySelector('#sizes input[type=range]'), times = [];
for (let k = 0; k < 60; k++) {
  s.value = 200 + 8 * k;
  const before = performance.now();
  s.dispatchEvent(new Event('input', {bubbles: true}));
  document.body.getBoundingClientRect();
  times.push(performance.now() - before);
}
return times;
"""


class Block(nn.Module):
    """Ten ops."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        for _ in range(6):
            y = y + 1
        return x + self.b(y).relu()


def many(ops: int) -> nn.Module:
    return nn.Sequential(*[nn.Sequential(*[Block() for _ in range(10)]) for _ in range(ops // 100)])


def llama(layers: int) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        num_hidden_layers=layers, hidden_size=8192, intermediate_size=28672, num_attention_heads=64, num_key_value_heads=8
    )
    with torch.device("meta"):
        return LlamaForCausalLM(config).eval()


def pages() -> dict[str, str]:
    """Each model's page, by its name."""
    found = {}
    resnet = load("torchvision:resnet50")[0]
    found["ResNet-50"] = fxcount.analyze(resnet, "B,3,H,W").to_html()
    swin = load("torchvision:swin_t")[0]
    report = fxcount.analyze(swin, "B,3,H,W", hints={"B": 1, "H": 224, "W": 224})
    found["Swin-T, 3 pieces"] = report.to_html(over={"B": 1, "H": (96, 1024), "W": "H"})
    for layers in (2, 80):
        model = llama(layers)
        found[f"Llama, {layers} layers"] = fxcount.analyze(model, "i64[B,S]", hints={"B": 1, "S": 4096}).to_html()
    step = fxcount.training_step(resnet.train(), "B,3,64,64", optimizer="adamw", hints={"B": 2})
    found["ResNet-50, a step"] = step.to_html()
    for ops in (20_000, *([350_000] if "--all" in sys.argv else [])):
        model = many(ops)
        found[f"{ops:,} ops"] = fxcount.analyze(model, "B,8").to_html()
    return found


def browser() -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,1000"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


READY = """
const done = arguments[0];
const look = () => (document.documentElement.dataset.ready ? setTimeout(done, 500) : setTimeout(look, 20));
look();
"""


def measured(driver: Any, path: Path) -> tuple[float, float, float, float]:
    """Milliseconds of the quickest of some loads: to the first paint, and until it can be used; of the processor, for all of a
    load, and for a move."""
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})  # of the page's thread: others do not count
    driver.set_script_timeout(60)
    paints, used, loads = [], [], []
    for _ in range(TIMES):
        driver.get("about:blank")
        before = _busy(driver)
        driver.get(path.as_uri())
        driver.execute_async_script(READY)
        loads.append(_busy(driver) - before)
        paints.append(driver.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        used.append(driver.execute_script("return performance.getEntriesByName('ready')[0].startTime"))
    before = _busy(driver)
    moves = driver.execute_script(MOVES)
    return min(paints), min(used), min(loads), (_busy(driver) - before) / len(moves)


def rows() -> Iterator[list[str]]:
    """Of each page: its name, bytes, and times."""
    driver = browser()
    with tempfile.TemporaryDirectory() as folder:
        for name, page in pages().items():
            path = Path(folder) / "page.html"
            path.write_text(page, "utf-8")
            paint, used, load_, move = measured(driver, path)
            yield [name, f"{len(page):,}", f"{paint:.0f}", f"{used:.0f}", f"{load_:.0f}", f"{move:.1f}"]
    driver.quit()


def _busy(driver: Any) -> float:
    found = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return 1000 * float(next(m["value"] for m in found if m["name"] == "TaskDuration"))


ABOUT = """# The page in a browser

Written by `python benchmarks/page_in_browser.py --all --write` in a headless Chromium.

*First paint* is when a name and the totals stand there, *usable* when the script has built what is seen; *load* is all that the
page's thread does until it is still. A move is one step of a slider: all numbers are worked out again, and laid out. Aimed at:
Llama with 80 layers under 300 KB and 300 ms, a move under 16 ms, 350,000 ops open in a second."""
COLUMNS = ("page", "bytes", "first paint, ms", "usable, ms", "load, CPU ms", "a move, CPU ms")
"""Of the table."""


def main() -> None:
    found = [list(COLUMNS)]
    for row in rows():
        found.append(row)
        print("  ".join(row), flush=True)
    if "--write" in sys.argv:
        head = f"{ABOUT}\n\nThe best of {TIMES} loads, on {os.cpu_count()} cores that others work on as well.\n\n"
        table = markdown_table(found[0], found[1:], [True, *[False] * 5])
        (Path(__file__).parent / "PAGES.md").write_text(head + table, "utf-8")


if __name__ == "__main__":
    main()
