"""MONAI: networks of medical images, most of them of volumes (D depth)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from benchmarks.zoo.wild.model import Model, built, image, of

__all__ = ["MODELS"]


def _net(name: str, *args: Any, **options: Any) -> Callable[[], nn.Module]:
    return built(f"monai.networks.nets:{name}", *args, **options)


_DEEPER: Mapping[str, int] = {"B": 2, "D": 32, "H": 64, "W": 32}


def _volume(name: str, build: Callable[[], nn.Module], size: int = 32, other: Mapping[str, int] = _DEEPER) -> Model:
    return of("monai", name, build, "f32[B,1,D,H,W]", {"B": 1, "D": size, "H": size, "W": size}, other)


def _image(name: str, build: Callable[[], nn.Module], size: int = 32, channels: int = 1) -> Model:
    return image("monai", name, build, (2, size, size), (1, size + 32, size), channels)


_SEGMENT = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2}
_FLAT = {**_SEGMENT, "spatial_dims": 2}
_GENERATE = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": (8, 8)}
_VIT = {"in_channels": 1, "img_size": (32, 32, 32), "hidden_size": 48, "mlp_dim": 64, "num_layers": 2, "num_heads": 4}
_STEPS = ((2, 4, 1, 1), (2, 4, 1, 1))

MODELS: tuple[Model, ...] = (
    _volume("UNet", _net("UNet", **_SEGMENT, channels=(4, 8, 16), strides=(2, 2), num_res_units=1)),
    _volume("BasicUNet", _net("BasicUNet", **_SEGMENT, features=(4, 4, 8, 8, 16, 4))),
    _volume("AttentionUnet", _net("AttentionUnet", **_SEGMENT, channels=(4, 8, 16), strides=(2, 2))),
    _volume(
        "DynUNet",
        _net(
            "DynUNet", **_SEGMENT, kernel_size=[3, 3, 3], strides=[1, 2, 2], upsample_kernel_size=[2, 2], filters=[4, 8, 16],
            deep_supervision=False,
        ),
    ),
    _image(
        "DynUNet-supervised",
        _net(
            "DynUNet", **_FLAT, kernel_size=[3, 3, 3, 3], strides=[1, 2, 2, 2], upsample_kernel_size=[2, 2, 2],
            filters=[4, 8, 16, 16], deep_supervision=True, deep_supr_num=2,
        ),
    ),
    _volume(
        "UNETR",
        _net(
            "UNETR", in_channels=1, out_channels=2, img_size=(32, 32, 32), feature_size=8, hidden_size=48, mlp_dim=64,
            num_heads=4,
        ),
    ),
    _volume("SwinUNETR", _net("SwinUNETR", **_SEGMENT, feature_size=12), 64, {"B": 1, "D": 64, "H": 96, "W": 64}),
    _volume(
        "SegResNet",
        _net("SegResNet", **_SEGMENT, init_filters=4, blocks_down=(1, 1, 1), blocks_up=(1, 1), norm=("GROUP", {"num_groups": 2})),
    ),
    _volume("SegResNetDS", _net("SegResNetDS", **_SEGMENT, init_filters=4, blocks_down=(1, 1, 1))),
    _volume("VNet", _net("VNet", **_SEGMENT)),
    _volume("HighResNet", _net("HighResNet", **_SEGMENT), 16, {"B": 2, "D": 16, "H": 24, "W": 16}),
    _volume("DenseNet121", _net("DenseNet121", **_SEGMENT)),
    _volume("ViT", _net("ViT", **_VIT, patch_size=(8, 8, 8), classification=True)),
    _volume("ViTAutoEnc", _net("ViTAutoEnc", **_VIT, out_channels=1, patch_size=(16, 16, 16))),
    _image(
        "AutoencoderKL",
        _net("AutoencoderKL", **_GENERATE, latent_channels=3, num_res_blocks=1, norm_num_groups=4, attention_levels=(False, True)),
    ),
    of(
        "monai", "DiffusionModelUNet",
        _net("DiffusionModelUNet", **_GENERATE, num_res_blocks=1, norm_num_groups=4, attention_levels=(False, True), num_head_channels=4),
        ("f32[B,1,H,W]", "i64[B]"), {"B": 2, "H": 32, "W": 32}, {"B": 1, "H": 64, "W": 32},
    ),
    _image(
        "VQVAE",
        _net(
            "VQVAE", **_GENERATE, num_res_channels=(8, 8), downsample_parameters=_STEPS,
            upsample_parameters=tuple((*step, 0) for step in _STEPS), num_res_layers=1, num_embeddings=16, embedding_dim=4,
        ),
    ),
    of(
        "monai", "MILModel", _net("MILModel", num_classes=2, mil_mode="att_trans", backbone="resnet18", pretrained=False),
        "f32[B,N,3,64,64]", {"B": 2, "N": 3}, {"B": 1, "N": 4},
    ),
    _image("EfficientNetBN", _net("EfficientNetBN", "efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1, num_classes=3), 64),
    _image("FlexibleUNet", _net("FlexibleUNet", in_channels=3, out_channels=2, backbone="efficientnet-b0"), 64, 3),
)  # fmt: skip
