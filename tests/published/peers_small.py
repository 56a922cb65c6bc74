"""The cases of the tests of DeepSpeed, ptflops, thop, ultralytics-thop, torchprofile, and of torch_flops' README."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fxcount
from tests.published.hub_rows import build as build_hub
from tests.published.peers_common import Function, of, parameters_of
from tests.published.timm_rows import build as build_timm
from tests.published.torchvision_rows import report_of

__all__ = ["ANSWERS", "REASONS"]


class LeNet5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(16, 120, 5), nn.Tanh(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.classifier(self.features(x).flatten(1))
        return logits, F.softmax(logits, dim=1)


class WithLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.loss = nn.Linear(10, 10), nn.CrossEntropyLoss()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(self.layer(x), y)


# torchprofile 0.1.0, handlers.py: its units beside multiply-accumulates, so many for each element of the result.
_PER_ELEMENT = {
    "batch_norm": 1, "layer_norm": 1, "group_norm": 1, "avg_pool2d": 1, "adaptive_avg_pool2d": 1, "leaky_relu": 1,
    "grid_sampler": 4, "rms_norm": 1, "mul": 1, "mul_": 1,
}  # fmt: skip


def torchprofile(model: nn.Module | Callable[..., Any], *inputs: Any, **named: Any) -> int:
    """torchprofile's number: exact macs, and the units above."""
    called = model if isinstance(model, nn.Module) else Function(model)
    return _torchprofile(fxcount.analyze(called.eval(), *inputs, **named))


def _torchprofile(report: fxcount.Report) -> int:
    total = report.macs
    for row, call in zip(report.ops, report.trace.calls):
        each = _PER_ELEMENT.get(row.op, 0)
        nearest = row.op == "grid_sampler" and call.signature.args[2] == 1
        if each and not nearest:
            total += each * torch.Size(row.output_shapes[0]).numel()
    return int(total)


def _text_model(kind: str, length: int, **settings: Any) -> int:
    model = build_hub(f"{kind}Model", f"{kind}Config", settings)
    return torchprofile(model, input_ids=f"i64[1,{length}]", **({} if kind == "Bert" else {"use_cache": False}))


def _vit_flops() -> int:
    return int(fxcount.analyze(build_timm("vit_base_patch16_224"), (1, 3, 224, 224)).flops)


def _bert_linears() -> float:
    """ptflops 0.6.7 (flops_counter.py) counts of it the linear layers, their bias once a call: no norm, no product."""
    model = build_hub("BertForSequenceClassification", "BertConfig", {})
    linears = [row for row in fxcount.analyze(model, input_ids="i64[2,128]").ops if row.op == "linear"]
    return round(sum([int(row.cost.macs) + int(row.output_shapes[0][-1]) for row in linears]) / 1e9, 2)


ptflops = partial(of, convention="ptflops")
LENET = (1024, 1, 32, 32)
LLAMA = {
    "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4,
    "vocab_size": 1000,
}  # fmt: skip

ANSWERS: dict[str, Callable[[], Any]] = {
    "LeNet5 macs": lambda: of(LeNet5(), LENET, convention="deepspeed-macs"),
    "LeNet5 flops": lambda: of(LeNet5(), LENET, convention="deepspeed"),
    "LeNet5 params": lambda: parameters_of(LeNet5(), LENET),
    "SimpleModel(10)": lambda: of(WithLoss(), (1, 10), "i64[1]", convention="deepspeed"),
    "test_conv": lambda: ptflops(nn.Conv2d(3, 2, 3), (1, 3, 224, 224)),
    "test_conv_t": lambda: ptflops(nn.ConvTranspose2d(3, 2, 3, stride=2), (1, 3, 224, 224)),
    "test_fc": lambda: ptflops(nn.Linear(3, 2), (1, 3)),
    "test_fc_multidim": lambda: ptflops(nn.Linear(3, 2, bias=False), (1, 4, 5, 3)),
    "test_func_interpolate": lambda: ptflops(lambda x: F.interpolate(x, (20, 20), mode="bilinear"), (1, 3, 10, 10)),
    "BertForSequenceClassification": _bert_linears,
    "conv2d thop": lambda: of(nn.Sequential(nn.Conv2d(3, 12, 5, 1, 1)), (1, 3, 32, 32), convention="thop"),
    "linear thop": lambda: of(nn.Sequential(nn.Linear(100, 200)), (1, 100), convention="thop"),
    "relu thop": lambda: of(nn.Sequential(nn.ReLU()), (1, 100), convention="thop"),
    "convtranspose": lambda: of(nn.ConvTranspose2d(3, 1, 2, stride=2), (1, 3, 2, 2), convention="ultralytics-thop"),
    "convtranspose groups": lambda: of(
        nn.ConvTranspose2d(8, 4, 3, 1, 1, groups=2, bias=False), (1, 8, 4, 4), convention="ultralytics-thop"
    ),
    "conv 3->64": lambda: of(nn.Conv2d(3, 64, 3, padding=1), (1, 3, 224, 224), convention="ultralytics-thop"),
    "linear": lambda: torchprofile(nn.Linear(16, 32), (1, 16)),
    "linear batched": lambda: torchprofile(nn.Linear(16, 32), (4, 16)),
    "matmul mv": lambda: torchprofile(torch.matmul, (3, 4), (4,)),
    "matmul mm": lambda: torchprofile(torch.matmul, (3, 4), (4, 5)),
    "bmm": lambda: torchprofile(torch.bmm, (2, 3, 4), (2, 4, 5)),
    "conv1d": lambda: torchprofile(nn.Conv1d(3, 16, 3, bias=False), (1, 3, 32)),
    "conv2d": lambda: torchprofile(nn.Conv2d(3, 16, 3, padding=1, bias=False), (1, 3, 8, 8)),
    "depthwise": lambda: torchprofile(nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), (1, 16, 8, 8)),
    "batch_norm": lambda: torchprofile(nn.BatchNorm2d(16), (1, 16, 8, 8)),
    "layer_norm": lambda: torchprofile(nn.LayerNorm(64), (1, 10, 64)),
    "group_norm": lambda: torchprofile(nn.GroupNorm(4, 16), (1, 16, 8, 8)),
    "adaptive_avg_pool2d": lambda: torchprofile(nn.AdaptiveAvgPool2d(1), (1, 16, 8, 8)),
    "avg_pool2d": lambda: torchprofile(nn.AvgPool2d(2), (1, 16, 8, 8)),
    "einsum bmm": lambda: torchprofile(lambda a, b: torch.einsum("bij,bjk->bik", a, b), (2, 3, 4), (2, 4, 5)),
    "einsum attention": lambda: torchprofile(
        lambda q, k: torch.einsum("bhqd,bhkd->bhqk", q, k), (1, 8, 16, 64), (1, 8, 16, 64)
    ),
    "grid_sample bilinear": lambda: torchprofile(partial(F.grid_sample, align_corners=False), (1, 3, 8, 8), (1, 4, 4, 2)),
    "grid_sample nearest": lambda: torchprofile(
        partial(F.grid_sample, mode="nearest", align_corners=False), (1, 3, 8, 8), (1, 4, 4, 2)
    ),
    "leaky_relu": lambda: torchprofile(nn.LeakyReLU(), (1, 16, 8, 8)),
    "relu": lambda: torchprofile(nn.ReLU(), (1, 16, 8, 8)),
    "model gpt2": lambda: _text_model("GPT2", 128),
    "model bert": lambda: _text_model("Bert", 128),
    "model llama small": lambda: _text_model("Llama", 64, **LLAMA),
    "model resnet18": lambda: _torchprofile(report_of("resnet18", 224)),
    "model mobilenet_v2": lambda: _torchprofile(report_of("mobilenet_v2", 224)),
    "model vit_b_16": lambda: _torchprofile(report_of("vit_b_16", 224)),
    "timm vit_base16 (fused attn off)": _vit_flops,
    "resnet50": lambda: report_of("resnet50", 224).flops,
    "Linear(5,4)": lambda: of(nn.Linear(5, 4), (1, 5), convention="torch"),
}  # fmt: skip

REASONS = {
    "README BERT-Large (NVIDIA) bs80": "fused kernels: its numbers leave out attention scores and decode masked tokens only",
    "README Megatron 12-layer": "numbers of one GPU of a model-parallel run, which contradict each other",
    "test_aten_ignore": "an option of the tool: ops to leave out",
}
