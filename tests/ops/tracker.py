"""What eager torch holds while an op runs: a dispatcher-level tracker of storages, to hold ``temporaries`` rules to.

Every storage that an ATen call returns is weakly referenced; ``held`` is the highest total alive while the Python call
runs, less the operands and the bytes its results have by shape.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fxcount.ops import REGISTRY
from fxcount.symbolic import evaluate
from tests.ops.harness import SIZES, _map, real, rule_result, symbolic


class _Tracker(TorchDispatchMode):
    def __init__(self, operands: set[int]) -> None:
        super().__init__()
        self.operands, self.alive, self.peak = operands, dict[int, int](), 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, torch.Tensor):
                storage = t.untyped_storage()
                key = storage._cdata
                if key not in self.operands and key not in self.alive:
                    self.alive[key] = storage.nbytes()
                    weakref.finalize(storage, self.alive.pop, key, None)
        self.peak = max(self.peak, sum(self.alive.values()))
        return out


def _storages(tree: Any) -> dict[int, int]:
    tensors = [t for t in tree_leaves(tree) if isinstance(t, torch.Tensor)]
    return {t.untyped_storage()._cdata: t.numel() * t.element_size() for t in tensors}


def held(func: Callable[..., Any], args: Any, kwargs: Any, values: Mapping[str, int]) -> int:
    """Bytes alive at the peak of the call on the CPU, besides operands and results."""
    args, kwargs = _map(args, lambda x: real(x, values, "cpu")), _map(kwargs, lambda x: real(x, values, "cpu"))
    operands = set(_storages((args, kwargs)))
    with torch.no_grad(), _Tracker(operands) as tracker:
        out = func(*args, **kwargs)
    return tracker.peak - sum(n for key, n in _storages(out).items() if key not in operands)


def ruled(func: Callable[..., Any], args: Any, kwargs: Any, values: Mapping[str, int]) -> int:
    """The same by the op's ``temporaries`` rule, computed with symbols."""
    rule = REGISTRY[func].temporaries
    if rule is None:
        return 0
    result, _ = rule_result(func, *args, **kwargs)
    plain = _map(result, lambda r: r.fact if hasattr(r, "fact") else r)
    return evaluate(rule(plain, *_map(args, symbolic), **_map(kwargs, symbolic)), values)


def assert_held(func: Callable[..., Any], *args: Any, values: Mapping[str, int] = SIZES[1], **kwargs: Any) -> None:
    assert ruled(func, args, kwargs, values) == held(func, args, kwargs, values), func
