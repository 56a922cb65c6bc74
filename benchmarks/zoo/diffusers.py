"""diffusers: its U-Nets, autoencoders and diffusion transformers, large ones with few layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.entry import IMAGE_STEPS, Entry, Inputs, bools, floats, longs

__all__ = ["entries"]

_TIME = floats("B")
_STEP = longs("B")
_PLAIN = {"return_dict": False}
_TWO = {"num_layers": 2}
_MOCHI = {  # small enough to be run: it loops over the batch, whose texts have lengths that data decide
    "num_layers": 2, "num_attention_heads": 4, "attention_head_dim": 64, "pooled_projection_dim": 128, "text_embed_dim": 256,
}  # fmt: skip
_FLUX = {"num_layers": 2, "num_single_layers": 2}
_SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048,
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
_SD_VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512,
}  # fmt: skip
# Frames, height, width of the video autoencoders: their first frame stands alone, or not.
_VIDEO_VAE = {
    "AutoencoderKLWan": (9, 64, 96), "AutoencoderKLCogVideoX": (9, 64, 96), "AutoencoderKLQwenImage": (1, 64, 96),
    "AutoencoderKLLTXVideo": (9, 128, 128), "AutoencoderKLHunyuanVideo": (9, 64, 96),
    "AutoencoderKLMagvit": (9, 64, 96), "AutoencoderKLAllegro": (8, 64, 96),
}  # fmt: skip

Named = tuple[str, str, dict[str, Any], Inputs]


class Bound(nn.Module):
    """A model with some keyword arguments settled: tuples of numbers, which as inputs would read as shapes."""

    def __init__(self, model: nn.Module, **settled: Any) -> None:
        super().__init__()
        self.model = model
        self.settled = settled

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs, **self.settled)


def entries() -> Iterator[Entry]:
    """All models of this file; ``file`` is the kind of network."""
    from fxcount.adapters import torchvision_ops  # noqa: F401  (before torchvision, which diffusers imports)

    import diffusers  # isort: skip

    def build(kind: str, options: dict[str, Any], settled: dict[str, Any]) -> Callable[[], nn.Module]:
        def made() -> nn.Module:
            model = getattr(diffusers, kind)(**options)
            return Bound(model, **settled) if settled else model

        return made

    for file, rows in (("unet", _unets()), ("vae", _autoencoders()), ("transformer", _transformers())):
        for name, kind, options, inputs in rows:
            settled = {"img_shapes": [[(1, 16, 16)]] * 2} if name.startswith("QwenImageTransformer") else {}
            yield Entry("diffusers", name, file, build(kind, options, settled), _always(inputs))


def _always(inputs: Inputs) -> Callable[[nn.Module], Inputs]:
    return lambda model: inputs


def _call(*args: Any, hints: dict[str, int], steps: dict[str, tuple[int, ...]] | None = None, **kwargs: Any) -> Inputs:
    return Inputs(args, {**kwargs, **_PLAIN}, {"B": 2, **hints}, steps or {})


def _image(channels: int, scale: int = 1) -> str:
    return floats("B", channels, *(("H", "W") if scale == 1 else (f"{scale}*H", f"{scale}*W")))


def _video(channels: int) -> str:
    return floats("B", channels, "F", "H", "W")


def _frames_first(channels: int) -> str:
    return floats("B", "F", channels, "H", "W")


def _text(channels: int, symbol: str = "S") -> str:
    return floats("B", symbol, channels)


def _unets() -> Iterator[Named]:
    latent = {"H": 64, "W": 64, "S": 77}
    clip = {"F": 8, "H": 32, "W": 32, "S": 77}
    pixels = {"pooled": floats("B", 1280), "ids": floats("B", 6)}
    yield "UNet2DConditionModel-sd15", "UNet2DConditionModel", {"cross_attention_dim": 768}, _call(
        _image(4), _TIME, _text(768), hints=latent
    )
    yield "UNet2DConditionModel-sdxl", "UNet2DConditionModel", _SDXL, _call(
        _image(4), _TIME, _text(2048), hints={"H": 128, "W": 128, "S": 77},
        added_cond_kwargs={"text_embeds": pixels["pooled"], "time_ids": pixels["ids"]},
    )  # fmt: skip
    yield "UNet2DModel", "UNet2DModel", {}, _call(_image(3), _TIME, hints={"H": 64, "W": 64})
    yield "UNet1DModel", "UNet1DModel", {
        "sample_size": 65536, "in_channels": 2, "out_channels": 2, "extra_in_channels": 64,
    }, _call(floats("B", 2, "A"), _TIME, hints={"A": 65536}, steps={"A": (65536,)})  # fmt: skip
    yield "UNet3DConditionModel", "UNet3DConditionModel", {}, _call(_video(4), _TIME, _text(1024), hints=clip)
    yield "UNetSpatioTemporalConditionModel-svd", "UNetSpatioTemporalConditionModel", {}, _call(
        _frames_first(8), _TIME, floats("B", 1, 1024), floats("B", 3), hints={"F": 8, "H": 32, "W": 32}
    )
    yield "UNetMotionModel", "UNetMotionModel", {}, _call(
        _video(4), _TIME, floats("B*F", "S", 1280), hints=clip  # each frame with the text of its clip
    )
    yield "ControlNetModel", "ControlNetModel", {"cross_attention_dim": 768}, _call(
        _image(4), _TIME, _text(768), _image(3, 8), hints=latent
    )


def _autoencoders() -> Iterator[Named]:
    small, large = {"H": 64, "W": 96}, {"H": 256, "W": 320}
    yield "AutoencoderKL-sd", "AutoencoderKL", _SD_VAE, _call(_image(3), hints=large)
    yield "AutoencoderKL-default", "AutoencoderKL", {}, _call(_image(3), hints=small)
    yield "AutoencoderTiny", "AutoencoderTiny", {}, _call(_image(3), hints=large)
    yield "AutoencoderDC", "AutoencoderDC", {}, _call(_image(3), hints=large)
    yield "VQModel", "VQModel", {}, _call(_image(3), hints=small)
    for name, (frames, height, width) in _VIDEO_VAE.items():
        yield name, name, {}, _call(_video(3), hints={"F": frames, "H": height, "W": width}, steps={"F": (4, 8)})
    yield "AutoencoderOobleck", "AutoencoderOobleck", {}, _call(
        floats("B", 2, "A"), hints={"A": 16384}, steps={"A": (2048,)}
    )


def _flux(channels: int = 64, text: int = 4096, pooled: int = 768, axes: int = 3, guided: bool = False) -> Inputs:
    kwargs: dict[str, Any] = {
        "encoder_hidden_states": _text(text, "L"), "timestep": _TIME,
        "img_ids": floats("S", axes), "txt_ids": floats("L", axes),
    }  # fmt: skip
    if pooled:
        kwargs["pooled_projections"] = floats("B", pooled)
    if guided:
        kwargs["guidance"] = _TIME
    return _call(_text(channels), hints={"S": 256, "L": 128}, **kwargs)


def _transformers() -> Iterator[Named]:
    yield "FluxTransformer2DModel", "FluxTransformer2DModel", {**_FLUX, "guidance_embeds": True}, _flux(guided=True)
    yield "FluxTransformer2DModel-full", "FluxTransformer2DModel", {"guidance_embeds": True}, _flux(guided=True)
    yield "Flux2Transformer2DModel", "Flux2Transformer2DModel", _FLUX, _flux(128, 15360, 0, 4, True)
    yield "ChromaTransformer2DModel", "ChromaTransformer2DModel", _FLUX, _flux(pooled=0)
    sd3 = _call(_image(16), _text(4096), floats("B", 2048), _TIME, hints={"H": 64, "W": 64, "S": 154})
    yield "SD3Transformer2DModel", "SD3Transformer2DModel", _TWO, sd3
    yield "SD3Transformer2DModel-full", "SD3Transformer2DModel", {}, sd3
    yield "PixArtTransformer2DModel", "PixArtTransformer2DModel", {
        "num_layers": 2, "caption_channels": 4096, "sample_size": 64,
    }, _call(_image(4), _text(4096), _TIME, hints={"H": 64, "W": 64, "S": 120},
             added_cond_kwargs={"resolution": None, "aspect_ratio": None})  # fmt: skip
    yield "DiTTransformer2DModel", "DiTTransformer2DModel", {}, _call(_image(4), _STEP, _STEP, hints={"H": 32, "W": 32})
    yield "Transformer2DModel-cont", "Transformer2DModel", {
        "in_channels": 320, "num_attention_heads": 8, "attention_head_dim": 40, "cross_attention_dim": 768,
    }, _call(_image(320), _text(768), hints={"H": 32, "W": 32, "S": 77})  # fmt: skip
    yield "SanaTransformer2DModel", "SanaTransformer2DModel", _TWO, _call(
        _image(32), _text(2304), _TIME, hints={"H": 32, "W": 32, "S": 300}
    )
    yield "Lumina2Transformer2DModel", "Lumina2Transformer2DModel", _TWO, _call(
        floats(2, 16, "H", "W"), floats(2), floats(2, 77, 1024), torch.ones(2, 77, dtype=torch.bool), hints={"H": 64, "W": 64}
    )
    yield "AuraFlowTransformer2DModel", "AuraFlowTransformer2DModel", {
        "num_mmdit_layers": 2, "num_single_dit_layers": 2,
    }, _call(_image(4), _text(2048), _TIME, hints={"H": 64, "W": 64, "S": 256},
             steps=dict.fromkeys("HW", (-16, *IMAGE_STEPS)))  # fmt: skip
    yield "CogVideoXTransformer3DModel", "CogVideoXTransformer3DModel", _TWO, _call(
        _frames_first(16), _text(4096), _TIME, hints={"F": 13, "H": 60, "W": 90, "S": 226}, steps={"F": (4,)}
    )
    yield "WanTransformer3DModel", "WanTransformer3DModel", _TWO, _call(
        _video(16), _STEP, _text(4096), hints={"F": 5, "H": 32, "W": 48, "S": 512}
    )
    yield "LTXVideoTransformer3DModel", "LTXVideoTransformer3DModel", _TWO, _call(
        floats("B", 5 * 16 * 24, 128), _text(4096, "L"), _STEP, longs("B", "L"), hints={"L": 128},
        num_frames=5, height=16, width=24,
    )  # fmt: skip
    yield "HunyuanVideoTransformer3DModel", "HunyuanVideoTransformer3DModel", _FLUX, _call(
        _video(16), _STEP, _text(4096), longs("B", "S"), floats("B", 768),
        hints={"F": 5, "H": 16, "W": 24, "S": 64}, guidance=_TIME,
    )  # fmt: skip
    yield "MochiTransformer3DModel", "MochiTransformer3DModel", _MOCHI, _call(
        _video(12), _text(256), _STEP, bools("B", "S"), hints={"F": 5, "H": 16, "W": 24, "S": 64}
    )
    yield "QwenImageTransformer2DModel", "QwenImageTransformer2DModel", _TWO, _call(
        floats("B", 256, 64), encoder_hidden_states=_text(3584, "L"), encoder_hidden_states_mask=None, timestep=_TIME,
        hints={"L": 64},
    )  # fmt: skip
    yield "StableAudioDiTModel", "StableAudioDiTModel", _TWO, _call(
        floats("B", 64, 1024), timestep=_TIME, encoder_hidden_states=_text(768), global_hidden_states=floats("B", 1, 1536),
        rotary_embedding=(floats(1025, 32), floats(1025, 32)), hints={"S": 130},
    )  # fmt: skip
    yield "AllegroTransformer3DModel", "AllegroTransformer3DModel", _TWO, _call(
        _video(4), _text(4096), _STEP, hints={"F": 5, "H": 32, "W": 48, "S": 128},
        attention_mask=floats("B", "F", "H", "W"), encoder_attention_mask=floats("B", 1, "S"),
    )  # fmt: skip
    yield "CogView4Transformer2DModel", "CogView4Transformer2DModel", _TWO, _call(
        _image(16), _text(4096), _STEP, *[floats("B", 2)] * 3, hints={"H": 64, "W": 64, "S": 128}
    )
    yield "UVit2DModel", "UVit2DModel", {}, Inputs(
        (longs("B", "H", "W"), _text(768), floats("B", 768), floats("B", 5)), hints={"B": 2, "H": 16, "W": 16, "S": 77}
    )
    yield "ZImageTransformer2DModel", "ZImageTransformer2DModel", {"n_layers": 2}, Inputs(
        ([floats(16, 1, "H", "W")] * 2, floats(2), [floats("S", 2560)] * 2), hints={"H": 32, "W": 32, "S": 32}
    )
