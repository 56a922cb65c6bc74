"""What each counting tool says of a small net: parameters and multiply-accumulates, or the error it raises.

The tools run in this process, each on a model of its own, between a snapshot of torch and its restoration.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import fxcount
from benchmarks.peer_nets import PeerNet
from fxcount.adapters import torchvision_ops as torchvision_ops  # before torchvision, which some tools import
from tests.report.conventions_tools import undisturbed

__all__ = ["TOOLS", "Answer", "ask"]

_LONGEST = 45  # characters of an error


@dataclass(frozen=True, slots=True)
class Answer:
    """``None`` where the tool does not say; ``changed``: the model was not left as it was; ``error``: what it raised."""

    params: int | None = None
    macs: int | None = None
    changed: bool = False
    error: str = ""


Numbers = tuple[int | None, int | None]
Tool = Callable[[nn.Module, PeerNet], Numbers]


def ask(tool: Tool, net: PeerNet) -> Answer:
    """One tool on one net."""
    model = net.model()
    before = _state(model)
    try:
        with net.mode(), undisturbed(model):
            params, macs = tool(model, net)
    except (Exception, SystemExit) as error:  # whatever a tool raises is its answer
        text = " ".join(str(error).split())
        text = re.sub(r" (of type object )?at 0x[0-9a-f]+", "", text)
        shown = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return Answer(error=shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…")
    return Answer(params, macs, not _same(before, _state(model)))


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


def _same(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> bool:
    return before.keys() == after.keys() and all([torch.equal(before[name], after[name]) for name in before])


def _fxcount(model: nn.Module, net: PeerNet) -> Numbers:
    report = fxcount.analyze(model, net.spec)
    return report.params.total, report.at(**net.sizes).macs


def _torchinfo(model: nn.Module, net: PeerNet) -> Numbers:
    found = importlib.import_module("torchinfo").summary(model, input_data=[net.example()], verbose=0, device="cpu")
    return found.total_params, found.total_mult_adds


def _torchsummary(model: nn.Module, net: PeerNet) -> Numbers:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        importlib.import_module("torchsummary").summary(model, _sample(net), device="cpu")
    line = next(line for line in out.getvalue().splitlines() if line.startswith("Total params"))
    return int(line.rpartition(":")[2].replace(",", "")), None


def _torchstat(model: nn.Module, net: PeerNet) -> Numbers:
    """The sums of what its hooks leave in the layers: its own report fails with pandas 2 and later. It runs one sample."""
    hook = importlib.import_module("torchstat").ModelHook(model, _sample(net))
    leaves = list(hook.retrieve_leaf_modules().values())
    batch = net.shape[0] if net.batched else 1
    return sum([m.parameter_quantity.item() for m in leaves]), batch * sum([m.Flops.item() for m in leaves])


def _thop(model: nn.Module, net: PeerNet) -> Numbers:
    macs, params = importlib.import_module("thop").profile(model, inputs=(net.example(),), verbose=False)
    return int(params), int(macs)


def _ptflops(backend: str) -> Tool:
    def run(model: nn.Module, net: PeerNet) -> Numbers:
        argument = next(iter(inspect.signature(model.forward).parameters))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            macs, params = importlib.import_module("ptflops").get_model_complexity_info(
                model, (1,), input_constructor=lambda _: {argument: net.example()}, as_strings=False, backend=backend,
                print_per_layer_stat=False, verbose=False,
            )  # fmt: skip
        if macs is None:
            raise RuntimeError(out.getvalue())
        return int(params), int(macs)

    return run


def _fvcore(model: nn.Module, net: PeerNet) -> Numbers:
    library = importlib.import_module("fvcore.nn")
    counter = library.FlopCountAnalysis(model, (net.example(),))
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return library.parameter_count(model)[""], int(counter.total())


def _calflops(model: nn.Module, net: PeerNet) -> Numbers:
    _, macs, params = importlib.import_module("calflops").calculate_flops(
        model, args=[net.example()], print_results=False, output_as_string=False
    )
    return int(params), int(macs)


def _flop_counter(model: nn.Module, net: PeerNet) -> Numbers:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(net.example())
    return None, counter.get_total_flops() // 2


def _sample(net: PeerNet) -> tuple[int, ...]:
    """The shape of one sample, for tools that choose the batch."""
    return net.shape[1:] if net.batched else net.shape


TOOLS: dict[str, Tool] = {
    "fxcount": _fxcount, "torchinfo": _torchinfo, "torchsummary": _torchsummary, "torchstat": _torchstat, "thop": _thop,
    "ptflops": _ptflops("pytorch"), "ptflops aten": _ptflops("aten"), "fvcore": _fvcore, "calflops": _calflops,
    "FlopCounterMode": _flop_counter,
}  # fmt: skip
