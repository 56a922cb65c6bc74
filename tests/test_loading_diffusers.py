"""``diffusers:CLASS``: the names in a library's sources, what builds a model, the inputs its forward and config ask for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import fxcount
from fxcount.adapters.diffusion import inputs_of
from fxcount.adapters.names import matching, model_names
from fxcount.adapters.reference import reference

INIT = """
from diffusers.models.nets import AutoencoderTinyKL, ModelMixin, PatchTransformer2DModel, TextUNet2DModel
"""
NETS = """
import inspect
from types import SimpleNamespace
import torch
from torch import nn

class ModelMixin(nn.Module):
    @classmethod
    def from_config(cls, settings):
        return cls(**settings)

class TextUNet2DModel(ModelMixin):
    def __init__(self, in_channels=4, sample_size=8, cross_attention_dim=6):
        super().__init__()
        self.config = SimpleNamespace(in_channels=in_channels, sample_size=sample_size, cross_attention_dim=cross_attention_dim)
        self.conv_in, self.text = nn.Conv2d(in_channels, 5, 3, padding=1), nn.Linear(cross_attention_dim, 5)

    def forward(self, sample, timestep, encoder_hidden_states, class_labels=None, return_dict=True):
        return self.conv_in(sample) * timestep[:, None, None, None] + self.text(encoder_hidden_states).mean(1)[:, :, None, None]

class PatchTransformer2DModel(ModelMixin):
    def __init__(self, in_channels=7, joint_attention_dim=6, guidance_embeds=True, axes_dims_rope=(2, 4)):
        super().__init__()
        self.config = SimpleNamespace(
            in_channels=in_channels, joint_attention_dim=joint_attention_dim, guidance_embeds=guidance_embeds,
            axes_dims_rope=axes_dims_rope,
        )
        self.embed, self.text = nn.Linear(in_channels, 5), nn.Linear(joint_attention_dim, 5)

    def forward(self, hidden_states, encoder_hidden_states=None, timestep=None, img_ids=None, txt_ids=None, guidance=None):
        assert img_ids.shape[0] == hidden_states.shape[1] and txt_ids.shape[0] == encoder_hidden_states.shape[1]
        assert img_ids.shape[1] == 2 and guidance.shape == timestep.shape
        return self.embed(hidden_states) @ self.text(encoder_hidden_states).mT

class AutoencoderTinyKL(ModelMixin, object):
    def __init__(self, in_channels=3, latent_channels=2):
        super().__init__()
        self.config = SimpleNamespace(in_channels=in_channels, latent_channels=latent_channels)
        self.encoder = nn.Conv3d(in_channels, latent_channels, 1)

    def forward(self, sample):
        return self.encoder(sample)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small library that is laid out as diffusers is."""
    (tmp_path / "diffusers" / "models").mkdir(parents=True)
    (tmp_path / "diffusers" / "__init__.py").write_text(INIT)
    (tmp_path / "diffusers" / "models" / "__init__.py").write_text("")
    (tmp_path / "diffusers" / "models" / "nets.py").write_text(NETS)
    others = [name for name in sys.modules if name.partition(".")[0] == "diffusers"]
    for name in others:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    model_names.cache_clear()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "diffusers"]:
        del sys.modules[name]
    model_names.cache_clear()


@pytest.mark.usefixtures("library")
def test_names_are_read_from_the_sources() -> None:
    assert matching("diffusers") == ["AutoencoderTinyKL", "PatchTransformer2DModel", "TextUNet2DModel"]
    assert reference("TextUNet2DModel").home == "diffusers"
    with pytest.raises(fxcount.InputError, match="did you mean 'TextUNet2DModel'"):
        reference("diffusers:TextUNet2dModel")


@pytest.mark.usefixtures("library")
def test_a_model_and_its_inputs() -> None:
    """3*3*4 products for each of 5 channels of each place, and 6 for each of 5 numbers of each word."""
    model = fxcount.load_model("diffusers:TextUNet2DModel", in_channels=2)
    assert all(p.is_meta for p in model.parameters())
    given = inputs_of(model)
    assert list(given) == ["sample", "timestep", "encoder_hidden_states"]
    report = fxcount.analyze(model, kwargs=given)
    assert str(report.macs) == "90*B*H*W + 30*B*L"
    assert report.symbols == {"B": 2, "H": 8, "W": 8, "L": 77}


@pytest.mark.usefixtures("library")
def test_inputs_that_have_a_default_and_are_needed_all_the_same() -> None:
    model = fxcount.load_model("diffusers:PatchTransformer2DModel")
    report = fxcount.analyze(model, kwargs=inputs_of(model))
    assert str(report.macs) == "5*B*L*S + 30*B*L + 35*B*S"


@pytest.mark.usefixtures("library")
def test_a_config_names_the_class(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"_class_name": "AutoencoderTinyKL", "_diffusers_version": "0.1", "latent_channels": 5}))
    model = fxcount.load_model(f"diffusers:{config}")
    assert (model.encoder.out_channels, inputs_of(model)["sample"].shape[1]) == (5, 3)
    assert len(inputs_of(model)["sample"].shape) == 5  # it convolves frames as well
    config.write_text("{}")
    with pytest.raises(fxcount.InputError, match="no config of a diffusers model"):
        fxcount.load_model(f"diffusers:{config}")


@pytest.mark.usefixtures("library")
def test_what_is_no_model() -> None:
    with pytest.raises(fxcount.InputError, match="no model 'ModelOfNothing'"):
        fxcount.load_model("diffusers:ModelOfNothing")
    with pytest.raises(fxcount.InputError, match="cannot build TextUNet2DModel"):
        fxcount.load_model("diffusers:TextUNet2DModel", depth=3)


def test_the_library_itself() -> None:
    """Where it is installed: of U-Nets, autoencoders and transformers the inputs are found, and all sizes stay."""
    pytest.importorskip("diffusers")
    for name, arguments in (("UNet2DModel", {}), ("AutoencoderKL", {}), ("SD3Transformer2DModel", {"num_layers": 1})):
        model: nn.Module = fxcount.load_model(f"diffusers:{name}", **arguments)
        report = fxcount.analyze(model, kwargs=inputs_of(model))
        assert {"B", "H", "W"} <= set(report.symbols)
        assert report.macs != 0
        assert isinstance(next(model.parameters()), torch.Tensor)
