"""The tables of the READMEs of thop, ptflops, calflops and onnx-tool: whole models, numbers to two decimals or so.

Where a table is older than the tool it now belongs to, the rule of that time is written out and its number compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import nn

import fxcount
from tests.published.check import Check, printed
from tests.published.hub_rows import build as build_hub
from tests.published.hub_rows import inputs as hub_inputs
from tests.published.peers_diffusion import DIFFUSION
from tests.published.peers_hub import HUB
from tests.published.torchvision_rows import build as build_torchvision

__all__ = ["READMES", "README_REASONS"]

Row = dict[str, str]


@cache
def _vision(name: str, size: int, first_mnasnet: bool = False) -> fxcount.Report:
    model = build_torchvision(name, **({"aux_logits": True} if name == "googlenet" else {}))
    if first_mnasnet and name.startswith("mnasnet"):
        _first_stem(model, float(name.removeprefix("mnasnet").replace("_", ".")))
    return fxcount.analyze(model, (1, 3, size, size))


def _of(row: Row, first_mnasnet: bool = False) -> fxcount.Report:
    size = 299 if row["build"] == "inception_v3" and row["source"] != "calflops README" else 224
    return _vision(row["build"], size, first_mnasnet)


def _first_stem(model: nn.Module, alpha: float) -> None:
    """torchvision's MNASNet before its version 2: the first layers had their width whatever the multiplier."""
    from torchvision.models import mnasnet

    depths = mnasnet._get_depths(alpha)
    with torch.device("meta"):
        stem = (
            nn.Conv2d(3, 32, 3, padding=1, stride=2, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 16, 1, bias=False), nn.BatchNorm2d(16),
            mnasnet._stack(16, depths[2], 3, 2, 3, 3, mnasnet._BN_MOMENTUM),
        )  # fmt: skip
    for i, layer in enumerate(stem):
        model.layers[i] = layer.eval()


def _old_thop(report: fxcount.Report) -> int:
    """thop 0.0.31.post1912272122 (count_hooks.py: count_linear, count_convNd): as today, but with the additions of a linear
    layer, that of its bias included, and the bias of a convolution.

    That release, run on alexnet, vgg11_bn, resnet50, mnasnet1_0 and mobilenet_v2, gives this number to the unit. It weights
    average pooling otherwise (densenet121: 0.01% more), and sums in float32.
    """
    total = int(report.count("thop"))
    for row, call in zip(report.ops, report.trace.calls):
        elements = torch.Size(row.output_shapes[0]).numel() if row.output_shapes else 0
        if row.op == "linear":
            total += row.cost.macs - (0 if call.signature.args[2] is not None else elements)
        elif row.op == "conv2d" and call.signature.args[2] is not None:
            total += elements
    return total


def _thop(row: Row) -> Iterator[Check]:
    report = _of(row, first_mnasnet=True)
    yield printed(row["source"], row["case"], "GMACs", row["expected"], _old_thop(report), 1e9, 2)
    yield from _parameters(row, report)


def _ptflops(row: Row) -> Iterator[Check]:
    report = _of(row)
    found = int(report.count("ptflops-aten" if "aten" in row["source"] else "ptflops"))
    yield printed(row["source"], row["case"], row["quantity"], row["expected"], found, 1e9, 2)
    yield from _parameters(row, report)


def _parameters(row: Row, report: fxcount.Report) -> Iterator[Check]:
    """What a note has on them: exactly, or to the figures printed."""
    found = re.search(r"params ([\d.]+)([MG]?)", row["note"])
    if found is None:
        return
    decimals = len(found[1].partition(".")[2])
    unit = {"": 1.0, "M": 1e6, "G": 1e9}[found[2]]
    yield printed(row["source"], row["case"], "parameters", found[1], int(report.params.total), unit, decimals)


@cache
def _hub(name: str, length: int) -> fxcount.Report:
    kinds, overrides = HUB[name]
    model = build_hub(*kinds, overrides, attn_implementation="eager")
    return fxcount.analyze(model, **hub_inputs(model, length))


def _calflops(row: Row) -> Iterator[Check]:
    """Its flops and its MACs. Its releases 0.0.5 to 0.2.0 patch torch.bmm, which 0.3.2 has commented out (pytorch_ops.py);
    transformers' GELUActivation holds F.gelu from before it is patched, so that it is not counted."""
    name = row["case"]
    report = _of(row) if name.startswith("torchvision") else _hub(name, 128)
    kinds = {kind.op: kind for kind in report.by_op()}
    bmm = int(kinds["bmm"].cost.macs) if "bmm" in kinds else 0
    gelu = sum([torch.Size(r.output_shapes[0]).numel() for r in report.ops if r.op == "gelu"])
    gmacs = re.findall(r"GMACs ([\d.]+)", row["note"])[0].rstrip(".")
    flops, macs = int(report.count("calflops")) + 2 * bmm - gelu, int(report.count("calflops-macs")) + bmm
    yield printed(row["source"], name, "GFLOPs", row["expected"], flops, 1e9, _decimals(row["expected"]))
    yield printed(row["source"], name, "GMACs", gmacs, macs, 1e9, _decimals(gmacs))
    yield from _parameters(row, report)


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _onnx_tool(row: Row) -> Iterator[Check]:
    """Of one sample at 1024 tokens or 512 x 512."""
    diffusion = row["case"] in DIFFUSION
    report = DIFFUSION[row["case"]]() if diffusion else _hub(row["case"], 1024)
    yield from _parameters(row, report)
    yield printed(row["source"], row["case"], row["quantity"], row["expected"], int(report.macs), 1e6 if diffusion else 1e9, 0)


READMES: dict[str, Callable[[Row], Iterator[Check]]] = {
    "thop README": _thop,
    "ptflops README": _ptflops,
    "ptflops README (aten)": _ptflops,
    "calflops README": _calflops,
    "onnx-tool README": _onnx_tool,
}

_REMOTE = "its code is not in transformers"
_NEOX = "transformers 4.30 had torch.baddbmm there, of which calflops counts one addition more for each score"
_EXPORTED = "counts elementwise work of the exported graph too (softmax: 36 an element); the gap is not taken apart"
README_REASONS: dict[str, str] = {
    **dict.fromkeys(("baichuan-7B", "chatglm-6b", "chatglm2-6b", "Qwen-7B"), _REMOTE),
    **dict.fromkeys(("moss-moon-003-sft", "moss-moon-003-sft-plugin"), _REMOTE),
    **dict.fromkeys(("EleutherAI/pythia-1.4b", "EleutherAI/pythia-12b"), _NEOX),
    **dict.fromkeys(("Phi-3-mini-4k", "Phi-3-medium-4k-instruct", "Llama3-8B", "Llama-3.1-70B"), _EXPORTED),
    **dict.fromkeys(("SD VAE encoder", "SD VAE decoder"), _EXPORTED),
    "SD text encoder": f"MACs: {_EXPORTED}; parameters: 0.06% more, not explained",
    "Stable Diffusion v1.4 UNet": f"presumably of two samples, for guidance; {_EXPORTED}",
    "torchvision alexnet": "the README contradicts itself: its FLOPs, 1.43, are twice 0.714",
}
