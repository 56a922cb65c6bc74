"""Models of tables, series and games: forecasting, recommendation, reinforcement learning, Gaussian processes, adapters."""

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


def _llama(**options: Any) -> nn.Module:
    module = importlib.import_module("transformers")
    config = module.LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        use_cache=False, **options,
    )  # fmt: skip
    net: nn.Module = module.LlamaForCausalLM(config)
    return net


def _adapted(config: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        module = importlib.import_module("peft")
        net: nn.Module = module.get_peft_model(_llama(), getattr(module, config)(task_type="CAUSAL_LM", **options))
        return net

    return build


_QV = {"target_modules": ["q_proj", "v_proj"]}


def _peft(name: str, config: str, **options: Any) -> Model:
    return of("peft", name, _adapted(config, **options), "i64[B,S]", *_TOKENS, below=50)


class _Gaussian(nn.Module):
    """The prior of an exact Gaussian process: mean and covariance of its points."""

    def __init__(self, kernel: str) -> None:
        super().__init__()
        module = importlib.import_module("gpytorch")
        self.mean = module.means.ConstantMean()
        self.covariance = module.kernels.ScaleKernel(getattr(module.kernels, kernel)(ard_num_dims=3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.mean(x), self.covariance(x).to_dense()


def _gp(kernel: str) -> Model:
    return of("gpytorch", kernel, lambda: _Gaussian(kernel), "f32[N,3]", {"N": 11}, {"N": 17})


def _rl(name: str, net: str, spec: Any, *args: Any, **options: Any) -> Model:
    return of("torchrl", name, built(f"torchrl.modules:{net}", *args, **options), spec, *_FIXED)


def _policy(policy: str, shape: tuple[int, ...], **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        spaces = importlib.import_module("gymnasium.spaces")
        module = importlib.import_module("stable_baselines3.common.policies")
        seen = spaces.Box(0, 255, shape, dtype="uint8") if len(shape) == 3 else spaces.Box(-1, 1, shape)
        net: nn.Module = getattr(module, policy)(seen, spaces.Discrete(4), lambda _: 1e-3, **options)
        return net

    return build


class _Columns(nn.Module):
    """Classes and numbers of a table, as the one matrix these models take."""

    def __init__(self, name: str, numbers: int) -> None:
        super().__init__()
        inputs = importlib.import_module("deepctr_torch.inputs")
        columns = [inputs.SparseFeat(f"class{i}", 10, embedding_dim=4) for i in range(3)]
        columns += [inputs.DenseFeat(f"number{i}", 1) for i in range(numbers)]
        self.net = getattr(importlib.import_module("deepctr_torch.models"), name)(columns, columns)

    def forward(self, *columns: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.net(torch.cat([c.float() for c in columns], 1))
        return result


def _ctr(name: str, numbers: int = 2) -> Model:
    given = ("i64[B,3]", f"f32[B,{numbers}]")[: 1 + bool(numbers)]
    return of("deepctr_torch", name, lambda: _Columns(name, numbers), given, *_FIXED, below=10)


def _series(name: str, path: str, **options: Any) -> Model:
    given = ("f32[B,8]", "f32[B,8]")
    return of("gluonts", name, built(f"gluonts.torch.model.{path}", prediction_length=4, context_length=8, **options), given, *_FIXED)


def _sentence() -> nn.Module:
    """A small BERT without tokens of its own, mean pooling, a dense layer and normalisation."""
    parts, hf = importlib.import_module("sentence_transformers.models"), importlib.import_module("transformers")
    bert = hf.BertModel(hf.BertConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4))

    class Sentence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert, self.pool = bert, parts.Pooling(32, pooling_mode="mean")
            self.dense, self.normalize = parts.Dense(32, 16), parts.Normalize()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            tokens = self.bert(input_ids=input_ids, attention_mask=attention_mask)[0]
            features = {"token_embeddings": tokens, "attention_mask": attention_mask}
            result: torch.Tensor = self.normalize(self.dense(self.pool(features)))["sentence_embedding"]
            return result

    return Sentence()


MODELS: tuple[Model, ...] = (
    _peft("LoRA", "LoraConfig", r=4, **_QV),
    _peft("DoRA", "LoraConfig", r=4, use_dora=True, **_QV),
    _peft("LoHa", "LoHaConfig", r=4, **_QV),
    _peft("LoKr", "LoKrConfig", r=4, **_QV),
    _peft("AdaLoRA", "AdaLoraConfig", init_r=4, total_step=10, **_QV),
    _peft("IA3", "IA3Config", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    _peft("OFT", "OFTConfig", oft_block_size=4, **_QV),
    _peft("BOFT", "BOFTConfig", boft_block_size=4, **_QV),
    _peft("VeRA", "VeraConfig", r=4, **_QV),
    _peft("prompt", "PromptTuningConfig", num_virtual_tokens=5),
    _peft("prefix", "PrefixTuningConfig", num_virtual_tokens=5),
    *(_gp(kernel) for kernel in ("RBFKernel", "MaternKernel", "RQKernel", "LinearKernel", "PeriodicKernel")),
    _rl("MLP", "MLP", "f32[B,7]", in_features=7, out_features=3, num_cells=[16, 16]),
    _rl("ConvNet", "ConvNet", "f32[B,3,32,32]", in_features=3, num_cells=[4, 8], kernel_sizes=[5, 3], strides=[2, 1]),
    _rl("DuelingCnnDQNet", "DuelingCnnDQNet", "f32[B,4,84,84]", out_features=5, cnn_kwargs={"in_features": 4}, mlp_kwargs={"in_features": 3136}),
    _rl("DdpgMlpActor", "DdpgMlpActor", "f32[B,7]", 3, mlp_net_kwargs={"in_features": 7}),
    _rl("MultiAgentMLP", "MultiAgentMLP", "f32[B,3,7]", 7, 4, 3, centralized=True, share_params=False, depth=2, num_cells=16),
    _rl("GRU", "GRU", "f32[B,6,7]", 7, 8),
    of("torchrl", "DTActor", built("torchrl.modules:DTActor", 7, 3), ("f32[B,S,7]", "f32[B,S,3]", "f32[B,S,1]"), {"B": 2, "S": 6}, {"B": 3, "S": 9}),
    of("stable_baselines3", "ActorCriticPolicy", _policy("ActorCriticPolicy", (7,)), "f32[B,7]", *_FIXED),
    of("stable_baselines3", "ActorCriticCnnPolicy", _policy("ActorCriticCnnPolicy", (4, 84, 84)), "f32[B,4,84,84]", *_FIXED),
    *(_ctr(name) for name in ("DeepFM", "xDeepFM", "AutoInt", "DCN", "NFM", "WDL", "ONN", "FiBiNET", "DCNMix", "IFM", "DIFM")),
    *(_ctr(name, numbers=0) for name in ("AFM", "CCPM")),
    of(
        "gluonts", "SimpleFeedForward",
        built("gluonts.torch.model.simple_feedforward.module:SimpleFeedForwardModel", prediction_length=4, context_length=8),
        "f32[B,8]", *_FIXED,
    ),
    _series("DLinear", "d_linear.module:DLinearModel", hidden_dimension=8),
    _series(
        "PatchTST", "patch_tst.module:PatchTSTModel", num_feat_dynamic_real=0, patch_len=4, stride=2, d_model=8, nhead=2,
        dim_feedforward=12, dropout=0.0, activation="relu", norm_first=False, num_encoder_layers=2, padding_patch="end",
        scaling="mean",
    ),
    of("sentence_transformers", "BERT-mean", _sentence, ("i64[B,S]", "i64[B,S]"), *_TOKENS),
)  # fmt: skip
