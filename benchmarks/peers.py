"""fxcount and the tools it is compared with: each a function of a model and a case that does one whole analysis."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from benchmarks.cases import Case

__all__ = ["BARE", "BESIDE", "EMPTIED", "FXCOUNT", "PEERS", "REFERENCE", "Tool", "analyse", "empty_memos"]

BESIDE = "FXCOUNT_PEERS"
"""The environment variable with a folder of packages that are not installed: two peers have one name, ``thop``."""

Analysis = Callable[[torch.nn.Module, Case], object]


@dataclass(frozen=True)
class Tool:
    """``run`` does the analysis; ``devices`` says where, the first that works is taken; ``slow`` ones run once;
    ``prepare`` comes before each run, untimed."""

    name: str
    run: Analysis
    devices: tuple[str, ...] = ("meta",)
    slow: bool = False
    prepare: Callable[[], None] | None = None


def analyse(model: torch.nn.Module, case: Case, spec: str | None = None) -> object:
    """fxcount: trace, cost, memory, parameters and the report object; the table is not printed."""
    import fxcount

    report = fxcount.analyze(model, spec or case.spec, **case.options)
    return report.costs.total, report.peaks, report.params


def empty_memos() -> None:
    """Forget every size fxcount has ever computed; fxcount is loaded only by then, so that its first analysis is one."""
    from fxcount.report.data import recipe

    recipe.empty_memos()


def _flop_counter(model: torch.nn.Module, case: Case) -> object:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(_example(model, case), **case.static_options)
    return counter.get_total_flops()


def _torchinfo(model: torch.nn.Module, case: Case) -> object:
    import torchinfo

    x = _example(model, case)
    return torchinfo.summary(model, input_data=[x], device=x.device, verbose=0, **case.static_options).total_mult_adds


def _fvcore(model: torch.nn.Module, case: Case) -> object:
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    counter = FlopCountAnalysis(model, (_example(model, case),))
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with torch.no_grad():
        return counter.total()


def _thop(model: torch.nn.Module, case: Case) -> object:
    import thop

    return thop.profile(model, inputs=(_example(model, case),), verbose=False)


def _ultralytics_thop(model: torch.nn.Module, case: Case) -> object:
    return _beside("thop").profile(model, inputs=(_example(model, case),), verbose=False)


@functools.lru_cache(1)
def _beside(name: str) -> Any:
    """A package of the folder, loaded under another name than that of the one that is installed."""
    installed = {m: sys.modules.pop(m) for m in list(sys.modules) if m.partition(".")[0] == name}
    sys.path.insert(0, os.environ[BESIDE])
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)
        for m in [m for m in sys.modules if m.partition(".")[0] == name]:
            del sys.modules[m]
        sys.modules.update(installed)


def _torchview(model: torch.nn.Module, case: Case) -> object:
    if BESIDE in os.environ and os.environ[BESIDE] not in sys.path:
        sys.path.append(os.environ[BESIDE])
    import torchview

    x = _example(model, case)
    return torchview.draw_graph(model, input_data=x, device=x.device, mode="eval", **case.static_options)


def _ptflops(model: torch.nn.Module, case: Case) -> object:
    import ptflops

    macs, parameters = ptflops.get_model_complexity_info(
        model, (1,), input_constructor=lambda _: {_first_argument(model): _example(model, case), **case.static_options},
        as_strings=False, print_per_layer_stat=False, verbose=False,
    )  # fmt: skip
    if macs is None:
        raise RuntimeError("ptflops printed an error and returned None")
    return macs, parameters


def _fx(model: torch.nn.Module, case: Case) -> object:
    from torch.fx.passes.shape_prop import ShapeProp

    graph_module = torch.fx.symbolic_trace(model, concrete_args=dict(case.options) or None)
    with torch.no_grad():
        ShapeProp(graph_module).propagate(_example(model, case))
    return graph_module


def _export(model: torch.nn.Module, case: Case) -> object:
    free = dict.fromkeys(case.free, torch.export.Dim.AUTO)
    shapes = {_first_argument(model): free, **dict.fromkeys(case.options)}
    return torch.export.export(model, (_example(model, case),), dict(case.options), dynamic_shapes=shapes)


def _fake_tensors(model: torch.nn.Module, case: Case) -> object:
    from torch._dispatch.python import enable_python_dispatcher
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    environment = ShapeEnv()
    mode = FakeTensorMode(shape_env=environment, allow_non_fake_inputs=True)
    state = {
        name: mode.from_tensor(tensor, static_shapes=True)
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    sizes = [DimDynamic.DYNAMIC if i in case.free else DimDynamic.STATIC for i in range(len(case.shape))]
    context = StatelessSymbolicContext(dynamic_sizes=sizes)
    x = mode.from_tensor(_example(model, case), symbolic_context=context)
    with mode, enable_python_dispatcher(), torch.no_grad():
        torch.func.functional_call(model, state, (x,), dict(case.options))
    return environment


class _Recording(TorchFunctionMode):
    """Notes the results of all calls."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[object] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.results.append(func(*args, **(kwargs or {})))
        return self.results[-1]


class _Repeating(TorchFunctionMode):
    """Ops that do nothing: each call gives what it gave before."""

    def __init__(self, results: Iterable[object]) -> None:
        super().__init__()
        self.next = iter(results).__next__

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.next()


_RESULTS: weakref.WeakKeyDictionary[torch.nn.Module, list[object]] = weakref.WeakKeyDictionary()


def _bare(model: torch.nn.Module, case: Case) -> object:
    """The model's Python code with its module calls, and every op at no cost: what no tool that runs it can be faster than."""
    x = _example(model, case)
    with torch.no_grad():
        if model not in _RESULTS:
            with _Recording() as recording:
                model(x, **case.static_options)
            _RESULTS[model] = recording.results
        with _Repeating(_RESULTS[model]):
            return model(x, **case.static_options)


def _example(model: torch.nn.Module, case: Case) -> torch.Tensor:
    return case.example(next(model.parameters()).device.type)


def _first_argument(model: torch.nn.Module) -> str:
    import inspect

    return next(iter(inspect.signature(model.forward).parameters))


FXCOUNT = Tool("fxcount", analyse)
EMPTIED = Tool("fxcount, memos emptied", analyse, prepare=empty_memos)
BARE = Tool("bare forward", _bare)
REFERENCE = Tool("FlopCounterMode", _flop_counter)
PEERS: tuple[Tool, ...] = (
    REFERENCE,
    Tool("torchinfo", _torchinfo, ("meta", "cpu")),
    Tool("thop", _thop, ("meta", "cpu")),
    Tool("ultralytics-thop", _ultralytics_thop, ("meta", "cpu")),
    Tool("torchview", _torchview, ("meta", "cpu")),
    Tool("ptflops", _ptflops, ("meta", "cpu")),
    Tool("fvcore", _fvcore, ("meta", "cpu"), slow=True),
    Tool("fx + ShapeProp", _fx, ("meta", "cpu")),
    Tool("torch.export, dynamic", _export, slow=True),
    Tool("FakeTensor + ShapeEnv", _fake_tensors, slow=True),
)
