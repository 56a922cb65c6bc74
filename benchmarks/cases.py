"""The models that are timed: how each is built, its symbolic input for fxcount, its concrete input for the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.torchvision_ops import torchvision

__all__ = ["CASES", "LLAMA_405B", "LONG", "Case", "llama", "llama_405b"]

LLAMA_405B: dict[str, int] = {
    "hidden_size": 16384, "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8,
    "intermediate_size": 53248, "vocab_size": 128256,
}  # fmt: skip
_LLAMA_SMALL: dict[str, int] = {
    "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2,
    "intermediate_size": 1376, "vocab_size": 32000,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A model, its input for fxcount (``spec``), and the same input at numbers: ``shape``, of which ``free`` dims vary.

    ``options`` are keyword arguments of the call for the symbolic tools. Tools that run the model on meta tensors get
    ``static_options`` instead: without a cache, transformers looks at the position ids' values, which these lack.
    """

    name: str
    build: Callable[[], torch.nn.Module]
    spec: str
    shape: tuple[int, ...]
    free: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    options: dict[str, Any] = field(default_factory=dict)
    static_options: dict[str, Any] = field(default_factory=dict)

    def on_meta(self) -> torch.nn.Module:
        """The model in eval mode, without weights."""
        try:
            with torch.device("meta"):
                return self.build().eval()
        except NotImplementedError:  # regnet's constructor reads data
            return self.build().eval().to("meta")

    def on_cpu(self) -> torch.nn.Module:
        """The model in eval mode, with weights."""
        return self.build().eval()

    def example(self, device: str) -> torch.Tensor:
        """The input at the concrete sizes."""
        return torch.zeros(self.shape, dtype=self.dtype, device=device)


def _vision(name: str, spec: str = "B,3,H,W", free: tuple[int, ...] = (0, 2, 3)) -> Case:
    return Case(name, lambda: torchvision.models.get_model(name, weights=None), spec, (2, 3, 224, 224), free)


def llama(**sizes: int) -> torch.nn.Module:
    """A Llama of transformers, of the given sizes."""
    import transformers

    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))


def llama_405b(layers: int) -> Case:
    """The shape of the Llama of 405B parameters with so many layers."""
    sizes = {**LLAMA_405B, "num_hidden_layers": layers}
    return Case(
        f"llama_405b_{layers}_layers", lambda: llama(**sizes), "i64[B,S]", (2, 128), (0, 1), torch.int64, {"use_cache": False}
    )


def _densenet() -> torch.nn.Module:
    import timm

    built: torch.nn.Module = timm.create_model("densenet264d")
    return built


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        _vision("resnet50"),
        _vision("vit_b_16", "B,3,224,224", (0,)),
        _vision("convnext_tiny"),
        _vision("swin_t"),
        _vision("regnet_y_400mf"),
        Case("llama_4_layers", lambda: llama(**_LLAMA_SMALL), "i64[B,S]", (2, 128), (0, 1), torch.int64,
             {"use_cache": False}),
    )
}  # fmt: skip
LONG: dict[str, Case] = {
    case.name: case
    for case in (
        Case("densenet264d", _densenet, "B,3,H,W", (2, 3, 224, 224), (0, 2, 3)), llama_405b(8), llama_405b(32), llama_405b(126),
    )
}  # fmt: skip
"""Models of many calls, that are timed beside FlopCounterMode and the limit alone."""
