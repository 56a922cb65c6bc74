"""The counting tools themselves, each run on a real model in this process: what fxcount's conventions are held to.

Several of them patch torch and leave traces; each runs on a copy, between a snapshot and its restoration.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["MODULES", "TOOLS", "undisturbed", "which_thop"]

Tool = Callable[[nn.Module, torch.Tensor], float]


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[nn.Module]:
    """A copy of the model to run a tool on, in silence; torch's functions and the model's classes are restored at the end."""
    owners: list[Any] = [torch, torch.Tensor, F]
    before = [(owner, dict(vars(owner))) for owner in owners]
    calls = {type(m): type(m).__dict__.get("__call__") for m in model.modules()}
    levels = {name: logging.getLogger(name).level for name in ("fvcore", "DeepSpeed")}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield copy.deepcopy(model)
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for owner, attributes in before:
            for name, value in attributes.items():
                if vars(owner).get(name) is not value:
                    setattr(owner, name, value)
        for kind, call in calls.items():
            if kind.__dict__.get("__call__") is not call:
                delattr(kind, "__call__") if call is None else setattr(kind, "__call__", call)


def which_thop() -> str:
    """``thop`` or ``ultralytics-thop``, which share the package name; empty if neither is there. Imports neither."""
    found = importlib.util.find_spec("thop")
    if found is None or found.origin is None:
        return ""
    text = Path(found.origin).with_name("profile.py").read_text(encoding="utf-8")
    return "ultralytics-thop" if "functional_hooks" in text else "thop"


# --- one function for each number -----------------------------------------------------------------


def _torch(model: nn.Module, x: torch.Tensor) -> float:
    from tests.oracles import counted_flops

    return counted_flops(model.to("meta"), x.to("meta"))


def _fvcore(kind: str) -> Tool:
    def run(model: nn.Module, x: torch.Tensor) -> float:
        counter = getattr(importlib.import_module("fvcore.nn"), kind)(model, (x,))
        return float(counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none").total())

    return run


def _thop(model: nn.Module, x: torch.Tensor) -> float:
    return float(importlib.import_module("thop").profile(model, inputs=(x,), verbose=False)[0])


def _ptflops(backend: str) -> Tool:
    def run(model: nn.Module, x: torch.Tensor) -> float:
        found = importlib.import_module("ptflops").get_model_complexity_info(
            _Positional(model, x), (1,), as_strings=False, print_per_layer_stat=False, backend=backend,
            input_constructor=lambda _: {},
        )  # fmt: skip
        if found[0] is None:
            raise RuntimeError("ptflops failed")
        return float(found[0])

    return run


class _Positional(nn.Module):
    """Calls the model on a given tensor; ptflops' own input is of floats and of batch 1."""

    def __init__(self, model: nn.Module, x: torch.Tensor) -> None:
        super().__init__()
        self.model, self.x = model, [x]

    def forward(self) -> Any:
        return self.model(*self.x)


def _torchinfo(model: nn.Module, x: torch.Tensor) -> float:
    return float(importlib.import_module("torchinfo").summary(model, input_data=[x], verbose=0, device="cpu").total_mult_adds)


def _torchstat(*fields: Any) -> Tool:
    def run(model: nn.Module, x: torch.Tensor) -> float:
        hook = importlib.import_module("torchstat").ModelHook(model, tuple(x.shape[1:]))
        name, position = fields
        return float(sum(getattr(m, name)[position].item() for m in hook.retrieve_leaf_modules().values()))

    return run


def _torchsummary(field: str) -> Tool:
    def run(model: nn.Module, x: torch.Tensor) -> float:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            importlib.import_module("torchsummary").summary(model, tuple(x.shape[1:]), batch_size=1, device="cpu")
        line = next(line for line in out.getvalue().splitlines() if line.startswith(field))
        return float(line.rpartition(":")[2].replace(",", ""))

    return run


def _calflops(position: int) -> Tool:
    def run(model: nn.Module, x: torch.Tensor) -> float:
        found = importlib.import_module("calflops").calculate_flops(
            model, args=[x], print_results=False, output_as_string=False
        )
        return float(found[position])

    return run


def _deepspeed(position: int) -> Tool:
    def run(model: nn.Module, x: torch.Tensor) -> float:
        found = importlib.import_module("deepspeed.profiling.flops_profiler").get_model_profile(
            model.eval(), args=[x], print_profile=False, detailed=False, warm_up=0, as_string=False
        )
        return float(found[position])

    return run


TOOLS: dict[str, Tool] = {
    "fvcore": _fvcore("FlopCountAnalysis"), "fvcore-activations": _fvcore("ActivationCountAnalysis"), "thop": _thop,
    "ultralytics-thop": _thop, "ptflops": _ptflops("pytorch"), "ptflops-aten": _ptflops("aten"), "torchinfo": _torchinfo,
    "calflops": _calflops(0), "calflops-macs": _calflops(1), "deepspeed": _deepspeed(0), "deepspeed-macs": _deepspeed(1),
    "torchsummary-params": _torchsummary("Total params"), "torchsummary-forward": _torchsummary("Forward/backward"),
    "torchsummary": _torchsummary("Estimated Total"),
    "torchstat-madd": _torchstat("MAdd", 0), "torchstat-flops": _torchstat("Flops", 0),
    "torchstat-memread": _torchstat("Memory", 0), "torchstat-memwrite": _torchstat("Memory", 1), "torch": _torch,
}  # fmt: skip

MODULES: dict[str, str] = {
    "fvcore": "fvcore", "fvcore-activations": "fvcore", "thop": "thop", "ultralytics-thop": "thop", "ptflops": "ptflops",
    "ptflops-aten": "ptflops", "torchinfo": "torchinfo", "calflops": "calflops", "calflops-macs": "calflops",
    "deepspeed": "deepspeed", "deepspeed-macs": "deepspeed", "torchsummary-params": "torchsummary",
    "torchsummary-forward": "torchsummary", "torchsummary": "torchsummary", "torchstat-madd": "torchstat",
    "torchstat-flops": "torchstat", "torchstat-memread": "torchstat", "torchstat-memwrite": "torchstat", "torch": "torch",
}  # fmt: skip
