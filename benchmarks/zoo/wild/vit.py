"""vit-pytorch: one file for each paper, built with its own operations of einops."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.zoo.wild.model import Model, image, images, of

__all__ = ["MODELS"]

_P = "vit_pytorch"
_SMALL: dict[str, Any] = {"image_size": 64, "patch_size": 16, "num_classes": 10, "dim": 64, "depth": 2, "heads": 4, "mlp_dim": 96}
_CROSS = {
    "image_size": 64, "num_classes": 10, "depth": 1, "sm_dim": 32, "lg_dim": 48, "sm_patch_size": 16, "lg_patch_size": 32,
    "sm_enc_depth": 1, "lg_enc_depth": 1, "sm_enc_heads": 2, "lg_enc_heads": 2, "cross_attn_depth": 1, "cross_attn_heads": 2,
    "sm_enc_mlp_dim": 64, "lg_enc_mlp_dim": 64,
}  # fmt: skip
_CCT = {
    "img_size": 64, "embedding_dim": 64, "num_layers": 2, "num_heads": 4, "mlp_ratio": 2, "num_classes": 10,
    "n_conv_layers": 2, "kernel_size": 7, "stride": 2, "padding": 3, "pooling_kernel_size": 3, "pooling_stride": 2,
    "pooling_padding": 1,
}  # fmt: skip
_TWINS = {f"s{i}_{k}": v for i in (1, 2) for k, v in (("emb_dim", 16), ("local_patch_size", 4), ("global_k", 4), ("depth", 1))}
_TWINS |= {"s3_emb_dim": 32, "s3_local_patch_size": 4, "s3_global_k": 4, "s3_depth": 1}
_TWINS |= {"s4_emb_dim": 32, "s4_local_patch_size": 2, "s4_global_k": 2, "s4_depth": 1, "peg_kernel_size": 3}
_MOBILE = {
    "image_size": (64, 64), "dims": [32, 40, 48], "channels": [8, 8, 16, 16, 24, 24, 32, 32, 40, 40, 48], "num_classes": 10
}
_SCALABLE = {
    "num_classes": 10, "dim": 16, "heads": (1, 1, 2, 2), "depth": (1, 1, 1, 1), "ssa_dim_key": 8,
    "reduction_factor": (4, 2, 1, 1), "window_size": (4, 2, None, None),
}  # fmt: skip
_MAX = {"dim_conv_stem": 16, "dim": 16, "dim_head": 8, "depth": (1, 1), "window_size": 4, "mbconv_expansion_rate": 2}
_LOOK = {
    "image_size": 64, "num_classes": 10, "dim": 32, "patch_size": 16, "highres_patch_size": 8, "depth": 2, "dim_head": 16,
    "heads": 2, "mlp_factor": 2,
}  # fmt: skip
_VIDEO = {
    "image_size": 32, "image_patch_size": 8, "frames": 8, "frame_patch_size": 2, "num_classes": 10, "dim": 64, "heads": 2,
    "mlp_dim": 96,
}  # fmt: skip


def _make(module: str, name: str = "ViT", **options: Any) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(f"{_P}.{module}"), name)(**options)


def _small(module: str, name: str = "ViT", **more: Any) -> Callable[[], Any]:
    return _make(module, name, **_SMALL, **more)


def _around(module: str, name: str, **options: Any) -> Callable[[], Any]:
    """A method of learning without labels, around a plain model."""
    return lambda: _make(module, name, encoder=_small("vit", pool="mean")(), **options)()


def _any(name: str, build: Callable[[], nn.Module]) -> Model:
    return image(_P, name, build, other=(3, 96, 64))


def _one(name: str, build: Callable[[], nn.Module]) -> Model:
    return images(_P, name, build)


def _video(name: str, build: Callable[[], nn.Module]) -> Model:
    return of(_P, name, build, "f32[B,3,F,32,32]", {"B": 2, "F": 8}, {"B": 3, "F": 4})


MODELS: tuple[Model, ...] = (
    _any("ViT", _small("vit")),
    _any("SimpleViT", _small("simple_vit", "SimpleViT")),
    _one("CaiT", _small("cait", "CaiT", cls_depth=1)),
    _any("CCT", _make("cct", "CCT", **_CCT)),
    _one("CrossViT", _make("cross_vit", "CrossViT", **_CROSS)),
    _any(
        "CrossFormer",
        _make(
            "crossformer", "CrossFormer", num_classes=10, dim=(64, 96, 128, 160), depth=(1, 1, 1, 1),
            global_window_size=(4, 2, 2, 1), local_window_size=2,
        ),
    ),
    _any("CvT", _make("cvt", "CvT", num_classes=10)),
    _any("DeepViT", _small("deepvit", "DeepViT")),
    _any(
        "LeViT",
        _make("levit", "LeViT", image_size=64, num_classes=10, stages=3, dim=(32, 48, 64), depth=1, heads=(2, 3, 4), mlp_mult=2),
    ),
    _any("MaxViT", _make("max_vit", "MaxViT", num_classes=10, **_MAX)),
    _any("MobileViT", _make("mobile_vit", "MobileViT", **_MOBILE)),
    _any(
        "NesT",
        _make("nest", "NesT", image_size=64, patch_size=4, dim=32, heads=2, num_hierarchies=3, block_repeats=(1, 1, 1), num_classes=10),
    ),
    _any("ParallelViT", _small("parallel_vit", num_parallel_branches=2)),
    _one("PiT", _make("pit", "PiT", image_size=64, patch_size=8, dim=32, num_classes=10, depth=(1, 1), heads=2, mlp_dim=64)),
    _any("RegionViT", _make("regionvit", "RegionViT", dim=(16, 32, 64, 64), depth=(1, 1, 1, 1), window_size=2, num_classes=10)),
    _one("RvT", _make("rvt", "RvT", image_size=64, patch_size=16, num_classes=10, dim=64, depth=2, heads=2, mlp_dim=96)),
    _any("ScalableViT", _make("scalable_vit", "ScalableViT", **_SCALABLE)),
    image(
        _P, "SepViT", _make("sep_vit", "SepViT", num_classes=10, dim=16, dim_head=8, heads=(1, 2), depth=(1, 1)),
        (2, 56, 56), (3, 112, 56),
    ),
    _any(
        "T2TViT",
        _make("t2t", "T2TViT", image_size=64, dim=64, num_classes=10, depth=2, heads=2, mlp_dim=96, t2t_layers=((7, 4), (3, 2))),
    ),
    image(_P, "Twins", _make("twins_svt", "TwinsSVT", num_classes=10, **_TWINS), other=(3, 64, 64)),
    _video("ViT3D", _make("vit_3d", depth=2, **_VIDEO)),
    _video("ViViT", _make("vivit", "ViViT", spatial_depth=1, temporal_depth=1, **_VIDEO)),
    _any("XCiT", _small("xcit", "XCiT", cls_depth=1)),
    _one("MAE", _around("mae", "MAE", masking_ratio=0.75, decoder_dim=32, decoder_depth=1)),
    _one("ATS", _small("ats_vit", max_tokens_per_depth=(8, 4))),
    _any("SmallData", _small("vit_for_small_dataset")),
    _any("PatchDropout", _small("vit_with_patch_dropout")),
    _any("PatchMerger", _small("vit_with_patch_merger", patch_merge_layer=1, patch_merge_num_tokens=4)),
    _any("LearnableMemory", _small("learnable_memory_vit")),
    _one("SimpleViT-fft", _small("simple_vit_with_fft", "SimpleViT", freq_patch_size=16)),
    _one("nViT", _small("normalized_vit", "nViT")),
    _any("SimpleViT-flash", _small("simple_flash_attn_vit", "SimpleViT")),
    _one("LookViT", _make("look_vit", "LookViT", **_LOOK)),
    of(
        _P, "NaViT", _small("na_vit", "NaViT", token_dropout_prob=None),
        ([["f32[3,32,64]", "f32[3,64,32]"], ["f32[3,H,64]"]],), {"H": 48}, {"H": 32},
    ),
    _one("JumboViT", _small("jumbo_vit", "JumboViT")),
    _one("SimpleUViT", _small("simple_uvit", "SimpleUViT")),
    _any("HyperConnections", _small("simple_vit_with_hyper_connections", "SimpleViT", num_residual_streams=2)),
    of(
        _P, "ViTND",
        _make("vit_nd", "ViTND", ndim=3, input_shape=(8, 16, 16), patch_size=(2, 4, 4), num_classes=10, dim=32, depth=1, heads=2, mlp_dim=64),
        "f32[B,3,8,16,16]", {"B": 2}, {"B": 3},
    ),
    _one("Decorrelation", _small("vit_with_decorr")),
    _one("ViT5", _small("vit_5")),
    _any("SparseGating", _small("simple_vit_with_sparse_gating", "SimpleViTWithSparseGating")),
)  # fmt: skip
