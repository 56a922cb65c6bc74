"""Models of images: detection, segmentation, classification, generation, text and images."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.zoo.wild.model import Model, built, image, images, of

__all__ = ["MODELS"]

_YOLO = {
    "v8n": "Detection", "11n": "Detection", "v8n-seg": "Segmentation", "11n-seg": "Segmentation", "v8n-pose": "Pose",
    "11n-obb": "OBB", "11n-cls": "Classification", "v5n": "Detection", "v10n": "Detection", "v9t": "Detection",
    "12n": "Detection", "26n": "Detection",
}  # fmt: skip


def _yolo(name: str, task: str) -> Callable[[], nn.Module]:
    return built(f"ultralytics.nn.tasks:{task}Model", f"{name}.yaml", ch=3, nc=1 if task == "Pose" else 8, verbose=False)


_SMP = ("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "UPerNet", "Segformer")


def _smp(name: str, net: str, **options: Any) -> Callable[[], nn.Module]:
    return built(f"segmentation_models_pytorch:{net}", encoder_weights=None, **{"encoder_name": "resnet18", **options})


def _stage(name: str) -> Callable[[], nn.Module]:
    return built(f"facenet_pytorch.models.mtcnn:{name}", pretrained=False)


_PRETRAINED = {"se_resnet50": 224, "dpn68": 224, "bninception": 224, "xception": 299, "inceptionresnetv2": 299, "polynet": 331}


def _diffusion(name: str, **options: Any) -> Callable[[], nn.Module]:
    return built(f"denoising_diffusion_pytorch:{name}", **options)


def _gaussian_diffusion() -> nn.Module:
    module = importlib.import_module("denoising_diffusion_pytorch")
    net: nn.Module = module.GaussianDiffusion(module.Unet(dim=16, dim_mults=(1, 2)), image_size=32, timesteps=100)
    return net


def _open_clip(kind: str) -> Callable[[], nn.Module]:
    """Small ones of each kind: two transformers, a ResNet for images, and with captions."""

    def build() -> nn.Module:
        module, coca = importlib.import_module("open_clip.model"), importlib.import_module("open_clip.coca_model")
        text = {"context_length": 16, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}
        vision: dict[str, Any] = {"layers": 2, "width": 64, "head_width": 16, "patch_size": 16, "image_size": 64}
        if kind == "resnet":
            vision = {"layers": [1, 1, 1, 1], "width": 16, "head_width": 16, "image_size": 64}
        if kind != "coca":
            net: nn.Module = module.CLIP(64, module.CLIPVisionCfg(**vision), module.CLIPTextCfg(**text))
            return net
        pooled = module.CLIPVisionCfg(**vision, attentional_pool=True, attn_pooler_heads=2, output_tokens=True)
        captions = module.CLIPTextCfg(**text, embed_cls=True, output_tokens=True)
        net = coca.CoCa(32, coca.MultimodalCfg(**text, dim_head=16), captions, pooled)
        return net

    return build


def _visual() -> nn.Module:
    net: nn.Module = importlib.import_module("open_clip").create_model("ViT-B-32", pretrained=None).visual
    return net


def _pairs(name: str, build: Callable[[], nn.Module], words: int) -> Model:
    given = ("f32[B,3,64,64]", f"i64[B,{words}]")
    return of("open_clip", name, build, given, {"B": 2}, {"B": 3}, below=50)


_NOISED = ("f32[B,3,H,W]", "f32[B]")
_IN_TIME = ({"B": 2, "H": 32, "W": 32}, {"B": 3, "H": 16, "W": 48})

MODELS: tuple[Model, ...] = (
    *(image("ultralytics", f"yolo{n}", _yolo(f"yolo{n}", t), (2, 64, 96), (3, 128, 64)) for n, t in _YOLO.items()),
    image("ultralytics", "rtdetr-l", _yolo("rtdetr-l", "RTDETRDetection"), (2, 160, 160), (1, 192, 160)),
    *(image("segmentation_models_pytorch", n, _smp(n, n, classes=3)) for n in _SMP),
    image("segmentation_models_pytorch", "PAN", _smp("PAN", "PAN", classes=3), (2, 128, 128), (3, 192, 128)),
    image("segmentation_models_pytorch", "Unet-timm", _smp("timm", "Unet", encoder_name="tu-mobilenetv3_small_100")),
    image("segmentation_models_pytorch", "Unet-mit", _smp("mit", "Unet", encoder_name="mit_b0")),
    image(
        "segmentation_models_pytorch", "Unet-efficientnet",
        _smp("eff", "Unet", encoder_name="efficientnet-b0", aux_params={"classes": 4}),
    ),
    image(
        "segmentation_models_pytorch", "DPT",
        _smp("DPT", "DPT", encoder_name="tu-vit_tiny_patch16_224", dynamic_img_size=True), (1, 64, 64), (2, 96, 64),
    ),
    image("efficientnet_pytorch", "b0", lambda: importlib.import_module("efficientnet_pytorch").EfficientNet.from_name("efficientnet-b0")),
    image(
        "facenet_pytorch", "InceptionResnetV1", built("facenet_pytorch:InceptionResnetV1", classify=True, num_classes=5),
        (2, 96, 96), (3, 128, 96),
    ),
    image("facenet_pytorch", "PNet", _stage("PNet")),
    images("facenet_pytorch", "RNet", _stage("RNet"), 24),
    *(
        image("pretrainedmodels", n, built(f"pretrainedmodels:{n}", num_classes=10, pretrained=None), (1, s, s), (2, s + 32, s))
        for n, s in _PRETRAINED.items()
    ),
    of("denoising_diffusion_pytorch", "Unet", _diffusion("Unet", dim=16, dim_mults=(1, 2), flash_attn=False), _NOISED, *_IN_TIME),
    of("denoising_diffusion_pytorch", "Unet-flash", _diffusion("Unet", dim=16, dim_mults=(1, 2), flash_attn=True), _NOISED, *_IN_TIME),
    of(
        "denoising_diffusion_pytorch", "Unet1D", _diffusion("Unet1D", dim=16, dim_mults=(1, 2), channels=4),
        ("f32[B,4,L]", "f32[B]"), {"B": 2, "L": 32}, {"B": 3, "L": 48},
    ),
    of(
        "denoising_diffusion_pytorch", "KarrasUnet",
        _diffusion("KarrasUnet", image_size=32, dim=16, dim_max=32, num_downsamples=2, attn_res=(8,), attn_dim_head=8),
        ("f32[B,4,H,W]", "f32[B]"), *_IN_TIME,
    ),
    images("denoising_diffusion_pytorch", "GaussianDiffusion", _gaussian_diffusion, 32),
    *(_pairs(f"clip-{kind}", _open_clip(kind), 16) for kind in ("vit", "resnet", "coca")),
    images("open_clip", "ViT-B-32.visual", _visual, 224),
    _pairs("convnext_tiny", built("open_clip:create_model", "convnext_tiny", pretrained=None), 77),
)  # fmt: skip
