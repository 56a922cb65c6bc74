"""Models of packages tried after the others: codecs of sound, flows, recurrences that look like attention, masks from prompts."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.wild.model import Model, built, of

__all__ = ["MODELS"]

_FIXED: tuple[Mapping[str, int], Mapping[str, int]] = ({"B": 2}, {"B": 5})
_TOKENS: tuple[Mapping[str, int], Mapping[str, int]] = ({"B": 2, "S": 24}, {"B": 3, "S": 40})
_VECTORS = "f32[B,S,32]"


class _Segment(nn.Module):
    """Segment anything: an image, points and their labels become masks."""

    def __init__(self) -> None:
        super().__init__()
        parts = importlib.import_module("segment_anything.modeling")
        self.encoder = parts.ImageEncoderViT(
            img_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=4, out_chans=16, use_rel_pos=True, window_size=3,
            global_attn_indexes=(1,),
        )  # fmt: skip
        self.prompts = parts.PromptEncoder(16, (4, 4), (64, 64), 8)
        self.decoder = parts.MaskDecoder(transformer_dim=16, transformer=parts.TwoWayTransformer(2, 16, 4, 24))

    def forward(self, x: torch.Tensor, points: torch.Tensor, labels: torch.Tensor) -> Any:
        sparse, dense = self.prompts((points, labels), None, None)
        return self.decoder(self.encoder(x), self.prompts.get_dense_pe(), sparse, dense, True)


class _Density(nn.Module):
    """The logarithm of the density that a flow gives its input."""

    def __init__(self, flow: nn.Module) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.flow().log_prob(x) if "zuko" in type(self.flow).__module__ else self.flow.log_prob(x)
        return found


def _zuko(name: str, **options: Any) -> Model:
    return of("zuko", name, lambda: _Density(built(f"zuko.flows:{name}", 5, **options)()), "f32[B,5]", *_FIXED, reads_tables=True)


def _nflows() -> nn.Module:
    return _Density(built("nflows.flows:MaskedAutoregressiveFlow", 5, 16, 2, 1)())


def _normflows() -> nn.Module:
    flows, nets = importlib.import_module("normflows.flows"), importlib.import_module("normflows.nets")
    base = importlib.import_module("normflows.distributions").DiagGaussian(4)
    steps = []
    for _ in range(2):
        steps += [flows.AffineCouplingBlock(nets.MLP([2, 16, 16, 4])), flows.Permute(4, mode="swap"), flows.ActNorm(4)]
    return _Density(importlib.import_module("normflows").NormalizingFlow(base, steps))


def _encodec() -> nn.Module:
    """The encoder, the residual codebooks and the decoder of EnCodec, without its checks of rates."""
    module, codes = importlib.import_module("encodec.modules"), importlib.import_module("encodec.quantization")
    options: dict[str, Any] = {"dimension": 16, "n_filters": 4, "ratios": [4, 2], "channels": 1, "lstm": 1}

    class Codec(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = module.SEANetEncoder(**options), module.SEANetDecoder(**options)
            self.quantizer = codes.ResidualVectorQuantizer(dimension=16, n_q=3, bins=8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = self.quantizer.encode(self.encoder(x), 1000, None)
            result: torch.Tensor = self.decoder(self.quantizer.decode(found))
            return result

    return Codec()


def _vocos() -> nn.Module:
    backbone = built("vocos.models:VocosBackbone", 8, 16, 24, 2)()
    head = built("vocos.heads:ISTFTHead", 16, 64, 16)()
    return nn.Sequential(backbone, head)


class _Quantized(nn.Module):
    """A quantiser between two layers."""

    def __init__(self, quantizer: nn.Module) -> None:
        super().__init__()
        self.before, self.quantizer, self.after = nn.Linear(32, 16), quantizer, nn.Linear(16, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.after(self.quantizer(self.before(x))[0])
        return result


def _quantizer(name: str, net: str, **options: Any) -> Model:
    build = built(f"vector_quantize_pytorch:{net}", **options)
    return of("vector_quantize_pytorch", name, lambda: _Quantized(build()), _VECTORS, *_TOKENS, reads_tables=True)


def _xlstm(recurrent: bool) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        module = importlib.import_module("xlstm")
        m = module.mLSTMBlockConfig(mlstm=module.mLSTMLayerConfig(conv1d_kernel_size=4, qkv_proj_blocksize=4, num_heads=4))
        s = module.sLSTMBlockConfig(slstm=module.sLSTMLayerConfig(backend="vanilla", num_heads=4, conv1d_kernel_size=4))
        blocks = {"mlstm_block": None if recurrent else m, "slstm_block": s if recurrent else None}
        config = module.xLSTMBlockStackConfig(**blocks, context_length=24, num_blocks=2, embedding_dim=32)
        net: nn.Module = module.xLSTMBlockStack(config)
        return net

    return build


def _litgpt(**options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        module = importlib.import_module("litgpt")
        config = module.Config(block_size=64, vocab_size=20, padded_vocab_size=20, n_layer=2, n_head=4, n_embd=32, **options)
        net: nn.Module = module.GPT(config)
        return net

    return build


def _gpt(name: str, **options: Any) -> Model:
    return of("litgpt", name, _litgpt(**options), "i64[B,S]", *_TOKENS, below=20)


def _egnn(name: str, net: str, args: tuple[str, ...], **options: Any) -> Model:
    return of("egnn_pytorch", name, built(f"egnn_pytorch:{net}", **options), args, {"B": 2, "N": 12}, {"B": 3, "N": 17}, below=7)


_LLAMA = {
    "norm_class_name": "RMSNorm", "mlp_class_name": "LLaMAMLP", "intermediate_size": 48, "rotary_percentage": 1.0,
    "parallel_residual": False, "bias": False, "n_query_groups": 2,
}  # fmt: skip

MODELS: tuple[Model, ...] = (
    of("segment_anything", "Sam", _Segment, ("f32[1,3,64,64]", "f32[B,P,2]", "i64[B,P]"), {"B": 2, "P": 3}, {"B": 3, "P": 5}),
    of("encodec", "codec", _encodec, "f32[B,1,A]", {"B": 2, "A": 160}, {"B": 3, "A": 200}),
    of("vocos", "Vocos", _vocos, "f32[B,8,S]", *_TOKENS),
    of("vocos", "VocosResNet", built("vocos.models:VocosResNetBackbone", 8, 16, 2), "f32[B,8,S]", *_TOKENS),
    *(_zuko(name) for name in ("NSF", "MAF", "NICE", "GF", "RealNVP", "SOSPF", "NCSF")),
    of("nflows", "MaskedAutoregressiveFlow", _nflows, "f32[B,5]", *_FIXED),
    of("normflows", "coupling", _normflows, "f32[B,4]", *_FIXED, reads_tables=True),
    of("conformer", "Conformer", built("conformer:Conformer", 32, depth=2, dim_head=8, heads=4, conv_kernel_size=7), _VECTORS, *_TOKENS),
    _quantizer("VectorQuantize", "VectorQuantize", dim=16, codebook_size=12),
    _quantizer("cosine", "VectorQuantize", dim=16, codebook_size=12, use_cosine_sim=True, heads=2, separate_codebook_per_head=True),
    _quantizer("ResidualVQ", "ResidualVQ", dim=16, num_quantizers=3, codebook_size=12),
    _quantizer("FSQ", "FSQ", levels=[8, 5, 5], dim=16),
    _quantizer("LFQ", "LFQ", codebook_size=16, dim=16),
    _egnn("EGNN", "EGNN", ("f32[B,N,16]", "f32[B,N,3]"), dim=16),
    _egnn("EGNN-neighbours", "EGNN", ("f32[B,N,16]", "f32[B,N,3]"), dim=16, num_nearest_neighbors=4, norm_coors=True),
    _egnn("EGNN_Network", "EGNN_Network", ("i64[B,N]", "f32[B,N,3]"), depth=2, dim=16, num_tokens=7, num_nearest_neighbors=4),
    of(
        "lpips", "squeeze", built("lpips:LPIPS", pretrained=False, pnet_rand=True, net="squeeze", verbose=False),
        ("f32[B,3,H,W]", "f32[B,3,H,W]"), {"B": 2, "H": 64, "W": 64}, {"B": 3, "H": 96, "W": 64},
    ),
    of("pytorch_tcn", "TCN", built("pytorch_tcn:TCN", 8, [8, 12], kernel_size=3), "f32[B,8,S]", *_TOKENS),
    of("pytorch_tcn", "TCN-skips", built("pytorch_tcn:TCN", 8, [8, 12, 8], kernel_size=3, causal=False, use_skip_connections=True), "f32[B,8,S]", *_TOKENS),
    of("tabm", "TabM", built("tabm:TabM", n_num_features=6, d_out=3, n_blocks=2, d_block=16, dropout=0.0, k=4, start_scaling_init="random-signs"), "f32[B,6]", *_FIXED),
    of("tabm", "packed", built("tabm:TabM", n_num_features=6, d_out=3, n_blocks=2, d_block=16, dropout=0.0, k=4, arch_type="tabm-packed", start_scaling_init=None), "f32[B,6]", *_FIXED),
    of("pytorch_tabnet", "TabNet", built("pytorch_tabnet.tab_network:TabNetNoEmbeddings", 6, 3, group_attention_matrix=torch.eye(6)), "f32[B,6]", *_FIXED),
    of("xlstm", "mLSTM", _xlstm(False), "f32[B,24,32]", *_FIXED),
    of("xlstm", "sLSTM", _xlstm(True), "f32[B,24,32]", *_FIXED),
    _gpt("GPT-NeoX", rotary_percentage=0.25, parallel_residual=True),
    _gpt("Llama", **_LLAMA),
    _gpt("Gemma", **{**_LLAMA, "mlp_class_name": "GemmaMLP"}, scale_embeddings=True, attention_logit_softcapping=50.0, sliding_window_size=8),
    _gpt("Mixtral", **{**_LLAMA, "mlp_class_name": "LLaMAMoE"}, n_expert=4, n_expert_per_token=2),
)  # fmt: skip
