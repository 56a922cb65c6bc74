"""Models of sequences and clips: transformers of another style, state spaces, spiking nets, operators on fields, videos."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.wild.model import Model, built, of

__all__ = ["MODELS"]

_TOKENS: tuple[Mapping[str, int], Mapping[str, int]] = ({"B": 2, "S": 24}, {"B": 3, "S": 40})
_FIXED: tuple[Mapping[str, int], Mapping[str, int]] = ({"B": 2}, {"B": 5})
_FIELD: tuple[Mapping[str, int], Mapping[str, int]] = ({"B": 2, "H": 16, "W": 24}, {"B": 3, "H": 24, "W": 32})
_IDS, _VECTORS = "i64[B,S]", "f32[B,S,32]"
_LM = {"num_tokens": 20, "dim": 32, "depth": 2, "heads": 4}


def _x(name: str, layers: str = "Decoder", wrapper: str = "TransformerWrapper", **options: Any) -> Model:
    """x-transformers: one feature of its attention layers each."""

    def build() -> nn.Module:
        module = importlib.import_module("x_transformers")
        inner = getattr(module, layers)(dim=32, depth=2, heads=4, attn_dim_head=8, **options)
        net: nn.Module = getattr(module, wrapper)(num_tokens=20, max_seq_len=64, attn_layers=inner)
        return net

    return of("x_transformers", name, build, _IDS, *_TOKENS, below=20)


def _mamba(path: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        config = built("mambapy.mamba:MambaConfig", d_model=32, n_layers=2, d_state=8, **options)()
        net: nn.Module = built(path, config)()
        return net

    return build


def _jamba() -> nn.Module:
    options = {"n_layers": 4, "mlp_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "num_experts": 4}
    config = built("mambapy.jamba:JambaLMConfig", d_model=32, vocab_size=20, d_state=8, **options)()
    net: nn.Module = built("mambapy.jamba:JambaLM", config)()
    return net


class _Spiking(nn.Module):
    """Two layers of leaky neurons, over a few time steps."""

    def __init__(self) -> None:
        super().__init__()
        leaky = built("snntorch:Leaky", beta=0.9, init_hidden=False)
        self.first, self.fires, self.second, self.answers = nn.Linear(12, 16), leaky(), nn.Linear(16, 5), leaky()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner, outer = self.fires.init_leaky(), self.answers.init_leaky()
        spikes = []
        for _ in range(4):
            spike, inner = self.fires(self.first(x), inner)
            spike, outer = self.answers(self.second(spike), outer)
            spikes.append(spike)
        return torch.stack(spikes)


class _SpikingConvolutions(nn.Module):
    """A synaptic and a recurrent neuron behind convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.synaptic = nn.Conv2d(1, 4, 3), built("snntorch:Synaptic", alpha=0.8, beta=0.9)()
        self.linear, self.recurrent = nn.Linear(4, 6), built("snntorch:RLeaky", beta=0.9, linear_features=6)()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        current, membrane = self.synaptic.init_synaptic()
        spike, membrane2 = self.recurrent.init_rleaky()
        for _ in range(3):
            fired, current, membrane = self.synaptic(self.conv(x), current, membrane)
            spike, membrane2 = self.recurrent(self.linear(fired.mean((2, 3))), spike, membrane2)
        result: torch.Tensor = membrane2
        return result


class _Ode(nn.Module):
    """A field integrated by a solver of fixed steps."""

    def __init__(self, method: str, adjoint: bool = False) -> None:
        super().__init__()
        self.field = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 6))
        self.method, self.solver = method, "odeint_adjoint" if adjoint else "odeint"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        solve = getattr(importlib.import_module("torchdiffeq"), self.solver)
        adjoint = {"adjoint_params": tuple(self.field.parameters())} if self.solver.endswith("adjoint") else {}
        result: torch.Tensor = solve(lambda t, y: self.field(y), x, torch.linspace(0, 1, 5), method=self.method, **adjoint)
        return result


def _operator(name: str, net: str, spec: str = "f32[B,2,H,W]", **options: Any) -> Model:
    return of("neuralop", name, built(f"neuralop.models:{net}", **options), spec, *_FIELD)


_FNO: dict[str, Any] = {"n_modes": (8, 8), "in_channels": 2, "out_channels": 1, "hidden_channels": 8, "n_layers": 2}
_UNO: dict[str, Any] = {
    "in_channels": 2, "out_channels": 1, "hidden_channels": 8, "lifting_channels": 8, "projection_channels": 8, "n_layers": 3,
    "uno_out_channels": [8, 8, 8], "channel_mlp_skip": "linear", "uno_n_modes": [[4, 4]] * 3, "uno_scalings": [[0.5, 0.5], [1, 1], [2, 2]],
}  # fmt: skip


def _clip(name: str, path: str, frames: int = 8, size: int = 64, **options: Any) -> Model:
    hints, other = {"B": 1, "F": frames, "H": size, "W": size}, {"B": 2, "F": frames, "H": size, "W": size + 32}
    return of("pytorchvideo", name, built(f"pytorchvideo.models.{path}", **options), "f32[B,3,F,H,W]", hints, other)


_POOLS = {"head_pool": nn.AdaptiveAvgPool3d, "head_output_with_global_average": True}
_MVIT: dict[str, Any] = {
    "spatial_size": 32, "temporal_size": 4, "depth": 2, "patch_embed_dim": 16, "num_heads": 2, "head_num_classes": 5,
    "pool_q_stride_size": [[1, 1, 2, 2]], "pool_kv_stride_adaptive": [1, 2, 2], "pool_kvq_kernel": [3, 3, 3],
}  # fmt: skip
_PERCEIVER: dict[str, Any] = {"depth": 2, "num_latents": 8, "latent_dim": 16, "latent_heads": 2, "latent_dim_head": 8}

MODELS: tuple[Model, ...] = (
    _x("Decoder"),
    _x("Encoder", "Encoder"),
    _x("rotary", rotary_pos_emb=True),
    _x("alibi", alibi_pos_bias=True, alibi_num_heads=2),
    _x("relative-bias", rel_pos_bias=True),
    _x("dynamic-bias", "Encoder", dynamic_pos_bias=True, dynamic_pos_bias_log_distance=False),
    _x("flash", attn_flash=True),
    _x("one-kv-head-glu", attn_one_kv_head=True, ff_glu=True, ff_swish=True),
    _x("qk-norm-rms", attn_qk_norm=True, use_rmsnorm=True),
    _x("talking-heads", attn_pre_talking_heads=True, attn_post_talking_heads=True),
    _x("memory-kv", attn_num_mem_kv=3),
    _x("sparse-topk", attn_sparse_topk=4),
    _x("macaron-sandwich", "Encoder", macaron=True),
    _x("gated-residual", gate_residual=True),
    _x("hyper-connections", num_residual_streams=3),
    _x("shift-tokens", shift_tokens=1),
    of(
        "x_transformers", "ViTransformerWrapper",
        lambda: built(
            "x_transformers:ViTransformerWrapper", image_size=32, patch_size=8, num_classes=5,
            attn_layers=built("x_transformers:Encoder", dim=32, depth=2, heads=4)(),
        )(),
        "f32[B,3,32,32]", *_FIXED,
    ),
    of(
        "x_transformers", "XTransformer",
        built(
            "x_transformers:XTransformer", dim=32, enc_num_tokens=20, enc_depth=2, enc_heads=4, enc_max_seq_len=64,
            dec_num_tokens=20, dec_depth=2, dec_heads=4, dec_max_seq_len=64,
        ),
        (_IDS, "i64[B,T]"), {"B": 2, "S": 24, "T": 12}, {"B": 3, "S": 40, "T": 9}, below=20,
    ),
    of("performer_pytorch", "PerformerLM", built("performer_pytorch:PerformerLM", max_seq_len=64, dim_head=8, **_LM), _IDS, *_TOKENS, below=20),
    of(
        "performer_pytorch", "generalized",
        built("performer_pytorch:Performer", dim=32, depth=2, heads=4, dim_head=8, generalized_attention=True), _VECTORS, *_TOKENS,
    ),
    of("linformer", "LinformerLM", built("linformer:LinformerLM", seq_len=24, k=8, **_LM), "i64[B,24]", *_FIXED, below=20),
    of("linformer", "reversible", built("linformer:Linformer", 32, 24, 2, 8, 4, reversible=True), "f32[B,24,32]", *_FIXED),
    of(
        "perceiver_pytorch", "Perceiver",
        built("perceiver_pytorch:Perceiver", num_freq_bands=4, max_freq=10.0, cross_dim_head=8, num_classes=5, **_PERCEIVER),
        "f32[B,H,W,3]", *_FIELD,
    ),
    of(
        "perceiver_pytorch", "PerceiverIO",
        built("perceiver_pytorch:PerceiverIO", dim=32, queries_dim=12, logits_dim=7, cross_dim_head=8, **_PERCEIVER),
        _VECTORS, *_TOKENS, kwargs={"queries": "f32[9,12]"},
    ),
    of(
        "local_attention", "LocalTransformer",
        built("local_attention:LocalTransformer", max_seq_len=64, local_attn_window_size=8, dim_head=8, **_LM), _IDS, *_TOKENS, below=20,
    ),
    of(
        "colt5_attention", "ConditionalRoutedTransformerBlock",
        built(
            "colt5_attention:ConditionalRoutedTransformerBlock", 32, num_heavy_attn_tokens_q=4, num_heavy_attn_tokens_kv=4,
            num_heavy_ff_tokens=4, light_dim_head=8, light_heads=2, light_window_size=8, heavy_dim_head=8, heavy_heads=2,
        ),
        _VECTORS, *_TOKENS,
    ),
    of("mambapy", "Mamba", _mamba("mambapy.mamba:Mamba"), _VECTORS, *_TOKENS),
    of("mambapy", "Mamba-sequential", _mamba("mambapy.mamba:Mamba", pscan=False), "f32[B,7,32]", *_FIXED),
    of("mambapy", "Jamba", _jamba, _IDS, *_TOKENS, below=20),
    of("snntorch", "Leaky", _Spiking, "f32[B,12]", *_FIXED),
    of("snntorch", "Synaptic-RLeaky", _SpikingConvolutions, "f32[B,1,9,9]", *_FIXED),
    *(of("torchdiffeq", m, lambda m=m: _Ode(m), "f32[B,6]", *_FIXED) for m in ("euler", "midpoint", "rk4", "explicit_adams")),
    of("torchdiffeq", "rk4-adjoint", lambda: _Ode("rk4", True), "f32[B,6]", *_FIXED),
    _operator("FNO", "FNO", **_FNO),
    _operator("FNO-group-norm", "FNO", **_FNO, norm="group_norm", fno_skip="soft-gating", domain_padding=0.1),
    _operator("TFNO-tucker", "TFNO", **_FNO, factorization="tucker", implementation="factorized", rank=0.2),
    _operator("TFNO-cp", "TFNO", **_FNO, factorization="cp", implementation="factorized", rank=0.2),
    _operator("TFNO-tt", "TFNO", **_FNO, factorization="tt", implementation="factorized", rank=0.2),
    _operator("UNO", "UNO", **_UNO),
    of("neuralop", "FNO1d", built("neuralop.models:FNO", **{**_FNO, "n_modes": (8,)}), "f32[B,2,S]", {"B": 2, "S": 24}, {"B": 3, "S": 40}),
    _clip("slow-r50", "resnet:create_resnet", model_num_class=5, model_depth=18 + 32, head_pool_kernel_size=(4, 2, 2)),
    _clip("x3d", "x3d:create_x3d", 4, 96, input_clip_length=4, input_crop_size=96, model_num_class=5),
    _clip("r2plus1d", "r2plus1d:create_r2plus1d", 4, 128, model_num_class=5, head_pool_kernel_size=(1, 4, 4)),
    _clip("csn", "csn:create_csn", 8, 64, model_num_class=5, head_pool_kernel_size=(1, 2, 2)),
    of(
        "pytorchvideo", "slowfast", built("pytorchvideo.models.slowfast:create_slowfast", model_num_class=5, head_pool_kernel_sizes=((8, 2, 2), (32, 2, 2))),
        (["f32[B,3,8,64,64]", "f32[B,3,32,64,64]"],), {"B": 1}, {"B": 2},
    ),
    of(
        "pytorchvideo", "mvit", built("pytorchvideo.models.vision_transformers:create_multiscale_vision_transformers", **_MVIT),
        "f32[B,3,4,32,32]", *_FIXED,
    ),
)  # fmt: skip
