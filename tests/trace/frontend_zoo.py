"""Models for the tests of front ends: small enough to export in a second or two, made of the real libraries' code."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export

import fxcount
from tests.oracles import as_traced
from tests.zoo import CASES

__all__ = ["MODELS", "Exported", "exported", "tensors"]

AUTO = Dim.AUTO
BATCH = {0: AUTO}
IMAGE = {0: AUTO, 2: AUTO, 3: AUTO}
TEXT = {0: AUTO, 1: AUTO}
IMAGES = ({"B": 3, "H": 103, "W": 163}, {"B": 7, "H": 71, "W": 224})
TEXTS = ({"B": 3, "S": 77}, {"B": 5, "S": 11})
IDS = {"input_ids": "i64[B,S]", "use_cache": False}


@dataclass(frozen=True)
class Exported:
    """One model: inputs for fxcount, example sizes and dynamic dimensions for export, two sizes other than the hints."""

    build: Callable[[], nn.Module]
    args: tuple[str, ...]
    dynamic: Mapping[int, Any]
    sizes: tuple[Mapping[str, int], ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def _swin() -> nn.Module:
    models = importlib.import_module("torchvision").models
    made: nn.Module = models.SwinTransformer(
        patch_size=[4, 4], embed_dim=48, depths=[2, 2], num_heads=[3, 6], window_size=[7, 7], num_classes=11
    )
    return made


def _timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: importlib.import_module("timm").create_model(name, pretrained=False, **options)


MODELS = {
    "resnet18": Exported(CASES["resnet18"].build, ("B,3,H,W",), IMAGE, IMAGES),
    "mobilenet_v3": Exported(CASES["mobilenet_v3_small"].build, ("B,3,H,W",), IMAGE, IMAGES),
    "swin": Exported(_swin, ("B,3,64,96",), BATCH, ({"B": 3}, {"B": 11})),
    "convnext": Exported(_timm("convnext_atto", depths=(1, 1, 1, 1)), ("B,3,H,W",), IMAGE, IMAGES),
    "vit": Exported(_timm("vit_tiny_patch16_224", img_size=64, depth=2), ("B,3,64,64",), BATCH, ({"B": 3}, {"B": 11})),
    "bert": Exported(CASES["bert"].build, (), TEXT, TEXTS, {"input_ids": "i64[B,S]"}),
    "gpt2": Exported(CASES["gpt2"].build, (), TEXT, TEXTS, IDS),
    "llama": Exported(CASES["llama"].build, (), TEXT, TEXTS, IDS),
}  # fmt: skip


def tensors(case: Exported, values: Mapping[str, int], device: str = "meta") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs of a call at these sizes."""
    from tests.zoo import inputs

    return inputs(case.args, values, device), dict(inputs(case.kwargs, values, device))


@cache
def exported(name: str) -> tuple[nn.Module, fxcount.Report, ExportedProgram]:
    """The model on meta, the report of its own Python code, and its exported program; made once.

    The Python code is told that it is compiled, as export tells it: transformers then builds a mask that a plain run does
    without.
    """
    case = MODELS[name]
    with torch.device("meta"):
        model = case.build().eval()
    args, kwargs = tensors(case, {"B": 2, "H": 64, "W": 96, "S": 13})
    dynamic = tuple(case.dynamic for _ in args) or {k: case.dynamic if k == "input_ids" else None for k in kwargs}
    program = export(model, args, kwargs, dynamic_shapes=dynamic, strict=False)
    with as_traced():
        eager = fxcount.analyze(model, *case.args, **case.kwargs)
    return model, eager, program


def unlifted(program: Any) -> nn.Module:
    """The program as a module, without the nodes that check sizes where there are such (older versions have none)."""
    options = inspect.signature(program.module).parameters
    found: nn.Module = program.module(**({"check_guards": False} if "check_guards" in options else {}))
    return found
