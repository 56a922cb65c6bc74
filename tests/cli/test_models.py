"""Models as people name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import fxcount
from fxcount.adapters.names import model_names
from fxcount.adapters.reference import reference
from fxcount.errors import InputError
from tests.cli.conftest import Shell


def test_names_read_from_sources_are_those_the_libraries_list() -> None:
    timm = pytest.importorskip("timm")
    torchvision = pytest.importorskip("torchvision")
    transformers = pytest.importorskip("transformers")
    assert set(model_names("timm")) == set(timm.list_models())
    assert set(model_names("torchvision")) == set(torchvision.models.list_models())
    assert {name for name in transformers.CONFIG_MAPPING if name.islower()} <= set(model_names("hf"))


@pytest.mark.parametrize(
    ("word", "home", "name"),
    [
        ("resnet50", "torchvision", "resnet50"), ("vit_base_patch16_224", "timm", "vit_base_patch16_224"),
        ("bert-base-uncased", "hf", "bert-base-uncased"), ("llama", "hf", "llama"),
        ("google-bert/bert-base-uncased", "hf", "google-bert/bert-base-uncased"), ("config.json", "hf", "config.json"),
        ("timm:resnet50.a1_in1k", "timm", "resnet50.a1_in1k"), ("timm/resnet50.a1_in1k", "timm", "resnet50.a1_in1k"),
        ("net.py:Net", "net.py", "Net"), ("./net.py", "./net.py", ""),
        ("a/b/net.py:f", "a/b/net.py", "f"), ("package.module:f.g", "package.module", "f.g"), ("x.pt2", "x.pt2", ""),
        ("x.pt", "x.pt", ""),
    ],
)  # fmt: skip
def test_what_words_stand_for(word: str, home: str, name: str) -> None:
    found = reference(word)
    assert (found.home, found.name) == (home, name)


def test_arguments_are_literals() -> None:
    found = reference("net:Net(64, (3, 5), act='gelu', deep=True)")
    assert (found.args, found.kwargs) == ((64, (3, 5)), {"act": "gelu", "deep": True})
    for wrong in ("net:Net(os.system('x'))", "net:Net(", "net:Net(1))", "net:Net(*a)", "net:Net(64"):
        with pytest.raises(InputError, match="cannot read"):
            reference(wrong)


@pytest.mark.parametrize(
    ("word", "macs"),
    [
        ("user_nets.py:Small", "25*B"), ("./user_nets.py:Small", "25*B"), ("user_nets:Small", "25*B"),
        ("user_nets:Small(7)", "35*B"), ("user_nets.py:Small(width=11, act='gelu')", "55*B"), ("user_nets.py:build", "25*B"),
        ("user_nets:build(13)", "65*B"), ("user_one.py", "15*B"), ("./user_one.py", "15*B"), ("user_one.py:Only(7)", "21*B"),
    ],
)  # fmt: skip
def test_models_of_files_and_modules(shell: Shell, word: str, macs: str) -> None:
    """A linear layer of n inputs and m outputs: n*m for each row."""
    done = shell(word, "B,3", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["totals"]["macs"] == macs


def test_literals_and_options_together(shell: Shell) -> None:
    done = shell("user_nets.py:Small(7)", "--arg", "act=gelu", "B,3", "--json")
    assert json.loads(done.out)["totals"]["macs"] == "35*B"


def test_what_lies_beside_a_file_can_be_imported_by_it(shell: Shell, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "user_helper.py").write_text("WIDTH = 7\n")
    (below / "user_main.py").write_text("import user_helper\n" + (tmp_path / "user_one.py").read_text().replace(
        "width=5", "width=user_helper.WIDTH"))  # fmt: skip
    assert json.loads(shell("below/user_main.py", "B,3", "--json").out)["totals"]["macs"] == "21*B"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript(shell: Shell, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 7))
    torch.jit.save(torch.jit.script(net), str(tmp_path / "net.pt"))
    assert json.loads(shell("net.pt", "B,3", "--json").out)["totals"]["macs"] == "50*B"
    assert fxcount.analyze(fxcount.load_model(str(tmp_path / "net.pt")), "B,3").macs == fxcount.analyze(net, "B,3").macs


class RunsCode(nn.Module):
    """A module whose state is set by its own code, which loading runs."""

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return 1, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        self.training = state[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_that_runs_code_needs_trust(shell: Shell, tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(RunsCode()), str(tmp_path / "runs.pt"))
    done = shell("runs.pt", "B,3")
    assert done.status == 2
    assert "__setstate__" in done.err
    assert "--trust" in done.err
    assert shell("runs.pt", "B,3", "--trust").status == 0


def test_weights_are_no_model(shell: Shell, tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 5).state_dict(), tmp_path / "weights.pt")
    done = shell("weights.pt", "B,3")
    assert done.status == 2
    assert "pickled weights" in done.err
    assert "net.py:Net" in done.err
    (tmp_path / "text.pt").write_text("hello")
    assert "holds no TorchScript" in shell("text.pt", "B,3").err
    assert "there is no file 'none.pt'" in shell("none.pt", "B,3").err


def test_configs_that_were_downloaded_before(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of huggingface_hub, as a download leaves it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    repository = tmp_path / "models--someone--small"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    settings = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 1, "n_embd": 12, "n_head": 3,
                "vocab_size": 131, "n_positions": 64}  # fmt: skip
    (snapshot / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    done = shell("someone/small", "--json", "--at", "B=3,S=7", "--hints", "S=11")
    assert json.loads(done.out)["totals"]["macs"] == 3 * (7 * (12 * 144 + 131 * 12) + 2 * 7 * 7 * 12)
    assert "not among those" in shell("someone/other").err
