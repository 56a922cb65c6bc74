"""The parts of Stable Diffusion 1.4 at 512 x 512, as diffusers and transformers define them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import fxcount
from fxcount.adapters import torchvision_ops as torchvision_ops  # before torchvision, which diffusers imports
from tests.published.hub_rows import build as build_hub

__all__ = ["DIFFUSION"]

LATENTS, PICTURE, PROMPT = (1, 4, 64, 64), (1, 3, 512, 512), 77


def _unet() -> fxcount.Report:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8).eval()
    return fxcount.analyze(model, LATENTS, "i64[1]", (1, PROMPT, 768))


def _autoencoder() -> Any:
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        return AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, latent_channels=4, sample_size=512,
        ).eval()  # fmt: skip


def _encoder() -> fxcount.Report:
    model = _autoencoder()
    return fxcount.analyze(nn.Sequential(model.encoder, model.quant_conv), PICTURE)


def _decoder() -> fxcount.Report:
    model = _autoencoder()
    return fxcount.analyze(nn.Sequential(model.post_quant_conv, model.decoder), LATENTS)


def _text() -> fxcount.Report:
    settings = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12}
    model = build_hub("CLIPTextModel", "CLIPTextConfig", {"vocab_size": 49408, **settings})
    return fxcount.analyze(model, input_ids=f"i64[1,{PROMPT}]")


DIFFUSION: dict[str, Callable[[], fxcount.Report]] = {
    "Stable Diffusion v1.4 UNet": _unet,
    "SD VAE encoder": _encoder,
    "SD VAE decoder": _decoder,
    "SD text encoder": _text,
}
