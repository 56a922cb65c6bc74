"""One training step, by fxcount and for real: each row says what was compared, in bytes or FLOPs, and how it came out."""

from __future__ import annotations

import csv
import gc
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

import fxcount
from benchmarks.steps.functions import FUNCTIONS, compared
from benchmarks.steps.models import LANGUAGE, OTHERS, TIMM_FAMILIES, Model, hugging_face, made, pytorch_image_models, table
from benchmarks.steps.ways import WAYS
from benchmarks.zoo.entry import tensors
from fxcount.report.views.conventions.training import counted
from fxcount.training.optimizers import OPTIMIZERS
from tests.training import real

__all__ = ["FAMILIES", "Record", "compare", "names"]

Record = dict[str, Any]
Emit = Callable[[Record], None]
FAMILIES = ("table", "timm", "transformers", "optimizers", "ways", "functions", "cost")
_TRUTH = Path(__file__).resolve().parents[2] / "tests" / "data" / "training_truth.csv"


def names(family: str) -> list[str]:
    """What a family compares."""
    return {
        "table": lambda: list(table()), "timm": lambda: TIMM_FAMILIES, "transformers": lambda: [*LANGUAGE, *OTHERS],
        "optimizers": lambda: [f"{model}:{name}" for model in _TRAINED for name in _optimizers()],
        "ways": lambda: list(WAYS), "functions": lambda: list(FUNCTIONS), "cost": lambda: list(_TIMED),
    }[family]()  # fmt: skip


def compare(task: tuple[str, str], emit: Emit) -> bool:
    """Compare one step and hand out its record, piece by piece. The worker may go on afterwards."""
    family, name = task
    record: Record = {"key": f"{family}/{name}", "family": family, "name": name, "torch": torch.__version__, "checks": {}}
    warnings.simplefilter("ignore")
    try:
        for found in _COMPARE[family](name):
            record["checks"].update(found.pop("checks", {}))
            record.update(found)
            emit({**record, "status": "part"})
        record["status"] = "done"
    except Exception as error:
        record.update(status="failed", error=f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
    emit(record)
    gc.collect()
    return True


# -- models ---------------------------------------------------------------------------------------------------------------
def _of_table(name: str) -> Iterator[Record]:
    model, case = made(table()[name])
    found = fxcount.training_step(model, *case.specs, tracker=True, hints=case.hints or None, kwargs=case.kwargs)
    at, sizes = _answered(found, case)
    args, kwargs = _filled(case, sizes)
    torch.manual_seed(0)
    truth = real.run(model, *args, kwargs=kwargs)
    mine = {
        "saved": at.saved_bytes, "forward_peak": at.forward_peak, "tracker_peak": at.peak, "gradients": at.gradient_bytes,
        "forward_flops": at.public(counted(at, "torch", "forward")),
        "backward_flops": at.public(counted(at, "torch", "backward")),
    }  # fmt: skip
    theirs = {
        "saved": truth.saved, "forward_peak": truth.forward_peak, "tracker_peak": truth.peak, "gradients": truth.gradients,
        "forward_flops": truth.forward_flops, "backward_flops": truth.backward_flops,
    }  # fmt: skip
    yield {"checks": {key: [mine[key], theirs[key]] for key in theirs}, "sizes": sizes, "assumed": _assumed(found)}
    row = _rows().get(name)
    if row is not None:
        keys = {"saved": "saved", "fwd_peak": "forward_peak", "peak": "tracker_peak", "fwd_flops": "forward_flops",
                "bwd_flops": "backward_flops"}  # fmt: skip
        yield {"checks": {f"csv {key}": [mine[ours], int(row[key])] for key, ours in keys.items()}}
    plain = fxcount.training_step(model, *case.specs, hints=case.hints or None, kwargs=case.kwargs).at(**sizes)
    yield {"checks": {"peak": [plain.peak, real.plain_peak(model, *args, kwargs=kwargs)]}}


@cache
def _rows() -> Mapping[str, Mapping[str, str]]:
    with _TRUTH.open(encoding="utf-8") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def _of_library(models: Callable[[list[str]], Mapping[str, Model]], name: str) -> Iterator[Record]:
    model, case = made(models([name])[name])
    yield {"parameters": sum(p.numel() for p in model.parameters())}
    started = time.perf_counter()
    found = fxcount.training_step(model, *case.specs, hints=case.hints or None, kwargs=case.kwargs)
    at, sizes = _answered(found, case)
    yield {"sizes": sizes, "assumed": _assumed(found), "analysis_seconds": time.perf_counter() - started}
    args, kwargs = _filled(case, sizes)
    torch.manual_seed(0)
    yield {"checks": {"peak": [at.peak, real.plain_peak(model, *args, kwargs=kwargs)]}}
    torch.manual_seed(0)
    forward, backward = _counted_by_torch(model, args, kwargs)
    mine = [at.public(counted(at, "torch", phase)) for phase in ("forward", "backward")]
    yield {"checks": {"forward_flops": [mine[0], forward], "backward_flops": [mine[1], backward]}}


def _counted_by_torch(model: Any, args: Any, kwargs: Any) -> tuple[int, int]:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        loss = real.sum_of(model(*args, **kwargs))
        forward = counter.get_total_flops()
        loss.backward()
        total = counter.get_total_flops()
    for p in model.parameters():
        p.grad = None
    return forward, total - forward


def _answered(found: Any, case: Model) -> tuple[Any, dict[str, int]]:
    """The step at the first sizes that the model takes."""
    symbols = found.symbols
    for sizes in case.sizes:
        wanted = {n: s for n, s in sizes.items() if n in symbols}
        try:
            return found.at(**wanted) if symbols else found, dict(sizes)
        except fxcount.RefusedError as error:
            refused = error
    raise refused


def _filled(case: Model, sizes: Mapping[str, int]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    values = {**case.hints, **sizes}
    args, kwargs = tensors((_written(case.specs), {k: _written(v) for k, v in case.kwargs.items()}), values, "cpu", case.below)
    return args, kwargs


def _written(spec: Any) -> Any:
    """``"B,3"`` as ``"f32[B,3]"``."""
    if isinstance(spec, tuple):
        return tuple(map(_written, spec))
    return f"f32[{spec}]" if isinstance(spec, str) and "," in spec and "[" not in spec else spec


def _assumed(found: Any) -> int:
    return sum(a.relation == "==" for a in found.assumptions)


# -- optimizers -----------------------------------------------------------------------------------------------------------
_TRAINED = ("tv_resnet18", "hf_bert", "own_mlp")


@cache
def _optimizers() -> Mapping[str, Callable[[Any], Any]]:
    from torch import optim

    sgd = partial(optim.SGD, lr=0.1)
    return {
        **OPTIMIZERS,
        "sgd foreach": partial(sgd, foreach=True), "sgd fused": partial(sgd, fused=True),
        "momentum foreach": partial(sgd, momentum=0.9, foreach=True),
        "nesterov foreach": partial(sgd, momentum=0.9, nesterov=True, foreach=True),
        "adam foreach": partial(optim.Adam, foreach=True), "adam fused": partial(optim.Adam, fused=True),
        "adamw foreach": partial(optim.AdamW, foreach=True), "adamw fused": partial(optim.AdamW, fused=True),
        "amsgrad foreach": partial(optim.Adam, amsgrad=True, foreach=True),
        "rmsprop foreach": partial(optim.RMSprop, foreach=True),
        "rmsprop centered momentum": partial(optim.RMSprop, centered=True, momentum=0.9),
        "adagrad foreach": partial(optim.Adagrad, foreach=True), "adadelta foreach": partial(optim.Adadelta, foreach=True),
        "adamax foreach": partial(optim.Adamax, foreach=True), "nadam foreach": partial(optim.NAdam, foreach=True),
        "radam foreach": partial(optim.RAdam, foreach=True), "rprop foreach": partial(optim.Rprop, foreach=True),
        "asgd foreach": partial(optim.ASGD, foreach=True),
    }  # fmt: skip


def _of_optimizer(name: str) -> Iterator[Record]:
    key, _, optimizer = name.partition(":")
    model, case = made(table()[key])
    make = _optimizers()[optimizer]
    found = fxcount.training_step(model, *case.specs, kwargs=case.kwargs, optimizer=make)
    at, sizes = _answered(found, case)
    args, kwargs = _filled(case, sizes)
    real.sum_of(model(*args, **kwargs)).backward()
    trained = [p for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    first, later, states = real.optimizer_peaks(model, make, trained)
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    yield {
        "sizes": sizes, "in_parameters": round(later / total, 4),
        "checks": {"first_step": [at.step_peak.first, first], "later_step": [at.step_peak.later, later],
                   "states": [at.optimizer_bytes, states]},
    }  # fmt: skip


# -- ways of training -----------------------------------------------------------------------------------------------------
def _of_way(name: str) -> Iterator[Record]:
    way = WAYS[name]
    torch.manual_seed(0)
    yield {"checks": way.compared()}


def _of_function(name: str) -> Iterator[Record]:
    yield {"checks": compared(FUNCTIONS[name])}


# -- cost -----------------------------------------------------------------------------------------------------------------
def _llama(**sizes: int) -> tuple[Any, str, dict[str, Any]]:
    from benchmarks.cases import llama

    with torch.device("meta"):
        return llama(**sizes), "i64[B,S]", {"use_cache": False}


def _timed_vision(name: str) -> tuple[Any, str, dict[str, Any]]:
    from benchmarks.torchvision_ops import torchvision

    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None), "B,3,H,W", {}


def _llama_126() -> Any:
    from benchmarks.cases import LLAMA_405B

    return _llama(**LLAMA_405B)


_TIMED: Mapping[str, Callable[[], tuple[Any, str, dict[str, Any]]]] = {
    **{name: partial(_timed_vision, name) for name in ("resnet18", "resnet50", "densenet121", "swin_t", "convnext_tiny")},
    "llama_8_layers": partial(_llama, hidden_size=512, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=2,
                              intermediate_size=1376, vocab_size=32000),
    "llama_126_layers": _llama_126,
}  # fmt: skip


def _of_cost(name: str, rounds: int = 5) -> Iterator[Record]:
    """The forward alone and the step take turns in one process; the fastest of each counts."""
    model, spec, kwargs = _TIMED[name]()
    model.train()
    forward: list[float] = []
    step: list[float] = []
    for _ in range(rounds + 1):
        for times, analyse in ((forward, fxcount.analyze), (step, fxcount.training_step)):
            started = time.process_time()
            analyse(model, spec, kwargs=kwargs)
            times.append(time.process_time() - started)
        yield {
            "forward_ms": 1000 * min(forward), "step_ms": 1000 * min(step), "ratio": round(min(step) / min(forward), 3),
            "first_ratio": round(step[0] / forward[0], 3),
        }  # fmt: skip
    for peer, watch in _PEERS.items():
        try:
            yield {f"{peer}_ms": 1000 * min(watch(model, spec, kwargs) for _ in range(2))}
        except RuntimeError:  # the model asks for data, which are not on meta
            continue


def _watched(watching: Callable[[Any], Any], model: Any, spec: str, kwargs: Mapping[str, Any]) -> float:
    """Processor time of forward and backward on meta under a mode of torch's, at one size: what its numbers cost."""
    (x,) = tensors((_written(spec),), {"B": 2, "H": 224, "W": 224, "S": 128}, "meta", 7)
    started = time.process_time()
    with watching(model):
        real.sum_of(model(x, **kwargs)).backward()
    model.zero_grad(set_to_none=True)
    return time.process_time() - started


def _flop_counter(model: Any) -> Any:
    from torch.utils.flop_counter import FlopCounterMode

    return FlopCounterMode(display=False)


def _mem_tracker(model: Any) -> Any:
    from torch.distributed._tools.mem_tracker import MemTracker

    tracker = MemTracker()
    tracker.track_external(model)
    return tracker


_PEERS = {"flop_counter": partial(_watched, _flop_counter), "mem_tracker": partial(_watched, _mem_tracker)}


_COMPARE: Mapping[str, Callable[[str], Iterator[Record]]] = {
    "table": _of_table,
    "timm": partial(_of_library, pytorch_image_models),
    "transformers": partial(_of_library, lambda names: hugging_face(
        [n for n in names if n in LANGUAGE], [n for n in names if n in OTHERS])),
    "optimizers": _of_optimizer,
    "ways": _of_way,
    "functions": _of_function,
    "cost": _of_cost,
}  # fmt: skip
