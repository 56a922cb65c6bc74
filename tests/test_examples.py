"""Every command and block of Python in the README and the docs runs as it is written, page by page, in a user's folder."""

from __future__ import annotations

import re
import shlex
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import pytest

from fxcount.cli.main import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)

NET = '''
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.conv, self.tied, self.head = nn.Conv2d(3, width, 3), nn.Linear(width, width), nn.Linear(width, 10)
        self.again, self.unused = self.tied, nn.Linear(3, 5)

    def forward(self, x):
        return self.head(self.again(self.tied(self.conv(x).mean((2, 3)))))
'''
TEXT = '''
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.table, self.head = nn.Embedding(100, width), nn.Linear(width, width)

    def forward(self, input_ids, attention_mask=None):
        x = self.table(input_ids)
        if attention_mask is not None:
            x = x.masked_fill(~attention_mask[..., None], 0)
        return self.head(x) @ x.mT

build = Net
'''
FILES = {
    "net.py": NET, "mynets.py": NET + "\nbuild = Net\n",
    "text.py": TEXT, "mypackage/__init__.py": "", "mypackage/nets.py": TEXT,
    "imagenet.csv": "model,top1\ntorchvision:swin_t,81.5\ntimm:resnet18,69.8\n",
    "list.txt": 'timm:vit_base_patch16_224 "B,3,384,384" --arg img_size=384\nhf:gpt2\nmynets:build "B,3,H,W" --arg width=64\n',
}  # fmt: skip
# What a page takes for granted, by what it calls it; the README takes nothing.
GIVEN = """
import pathlib, fxcount, torch
from mypackage.nets import Net
from tests.test_examples import exported
model = fxcount.load_model("torchvision:resnet18")
other = fxcount.analyze(fxcount.load_model("torchvision:resnet34"), "B,3,H,W")
pathlib.Path("model.json").write_text(fxcount.analyze(model, "B,3,H,W").to_json())
exported("net.pt2")
"""
# Says with its exit status that parameters are dead.
FOUND = {"fxcount params net.py:Net"}


def exported(path: str) -> None:
    import torch

    torch.export.save(torch.export.export(torch.nn.Linear(3, 5), (torch.ones(2, 3),)), path)


def parts(page: Path) -> Iterator[tuple[str, str]]:
    """The page's blocks in order: ``("python", code)`` and ``("command", line)``; examples with a prompt are doctests."""
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            if ">>>" not in text:
                yield "python", text
        else:
            yield from (("command", line) for line in text.splitlines() if line.startswith("fxcount "))


def words(line: str) -> list[str]:
    """A line of the shell as words, without its comment.

    >>> words("fxcount models timm 'resnet*'   # what there is")
    ['fxcount', 'models', 'timm', 'resnet*']
    """
    return shlex.split(line, comments=True)


@pytest.mark.timeout(1200)  # pages with sweeps over a library, and a machine that does other things
@pytest.mark.parametrize("page", [page for page in PAGES if any(parts(page))], ids=lambda page: page.name)
def test_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("timm")
    pytest.importorskip("matplotlib").use("agg")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(webbrowser, "open", lambda *args, **kwargs: True)
    space: dict[str, object] = {}
    if page.name != "README.md":
        exec(GIVEN, space)
    for kind, text in parts(page):
        if kind == "python":
            exec(compile(text, str(page), "exec"), space)
            continue
        capsys.readouterr()
        typed = words(text)
        status = main(typed[1:])
        found = any(text.startswith(one) for one in FOUND)
        assert status == int(found), f"{text}: {capsys.readouterr().err}"
