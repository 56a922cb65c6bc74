"""Torch's own sample calls of its operators (``OpInfo``), and the ATen calls these come down to, gradients included."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from tests.ops.differential import copied

__all__ = [
    "ATEN_KNOWN", "NOT_GROWN", "NOT_RUN", "REFUSED", "Sample", "aten_calls", "dtypes_of", "full_name", "infos", "samples",
]  # fmt: skip

# Operators, and why fxcount refuses them, why they cannot be run as they are, why their data hold at one size only; ATen ops,
# and how they are known to differ.
REFUSED = {
    "item": "its result is data",
}
NOT_RUN = {
    "as_strided.partial_views": "views of more memory than a copy has",
    "sparse.mm.reduce": "sparse tensors",
    "sparse.sampled_addmm": "sparse tensors",
    "to_sparse": "sparse tensors",
    "torch._scaled_mm_v2": "torch 2.11 has no kernel for it on a CPU",
}
NOT_GROWN = {
    "_segment_reduce.lengths": "lengths add up to a size",
    "_segment_reduce.offsets": "offsets end at a size",
    "index_put": "values for the elements of a mask",
    "nn.functional.ctc_loss": "lengths of targets",
    "nn.functional.embedding_bag": "offsets end at a size",
    "repeat_interleave": "repeats add up to output_size",
}
FATAL = {
    "mvlgamma_": "of integers: torch 2.9 makes a range of steps of 0, which ends the process",
}
ATEN_KNOWN = {
    "aten::_ctc_loss": "the width of the forward variables is the longest target's length",
    "aten::_cdist_backward": "torch drops the batch of an empty operand",
    "aten::_histogramdd_bin_edges": "no rule and no fake implementation: the edges are data",
    "aten::_histogramdd_from_bin_cts": "no rule and no fake implementation",
    "aten::_local_scalar_dense": "its result is data",
    "aten::allclose": "its result is data",
    "aten::equal": "its result is data",
}


@dataclass(frozen=True)
class Sample:
    """One call; ``variant`` is ``function``, ``method`` or ``inplace``."""

    variant: str
    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def infos() -> list[Any]:
    """Torch's operator database. Importing it forbids changes of ``torch.backends``; that is undone."""
    from torch.backends import flags_frozen

    frozen = flags_frozen()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    torch.backends.__allow_nonbracketed_mutation_flag = not frozen
    return [info for info in op_db if not info.name.startswith("jiterator")]  # compiled for CUDA only


def full_name(info: Any) -> str:
    return info.name + (f".{info.variant_test_name}" if info.variant_test_name else "")


def dtypes_of(info: Any) -> list[torch.dtype]:
    """The dtypes a sample is drawn of: the main one first, then one of each other kind that the op supports."""
    kinds = (torch.float32, torch.int64, torch.bool, torch.bfloat16, torch.complex64)
    found = [dtype for dtype in kinds if dtype in info.dtypes]
    return found or sorted(info.dtypes, key=str)[:1]


def samples(info: Any, dtype: torch.dtype, most: int | None) -> Iterator[Sample]:
    """Evenly spread samples, at ``most`` so many, in each variant the operator has; always the same."""
    for sample in _drawn(info, dtype, most):
        yield Sample("function", info.op, (sample.input, *sample.args), sample.kwargs)
        if info.method_variant is not None:
            yield Sample("method", info.method_variant, (sample.input, *sample.args), sample.kwargs)
        fatal = f"{info.name}_" in FATAL and not dtype.is_floating_point
        if info.inplace_variant is not None and not sample.broadcasts_input and not fatal:
            args, kwargs = pytree.tree_map_only(
                torch.Tensor, torch.Tensor.detach, ((sample.input, *sample.args), sample.kwargs)
            )
            yield Sample("inplace", info.inplace_variant, args, kwargs)


def _drawn(info: Any, dtype: torch.dtype, most: int | None) -> list[Any]:
    """Not by ``info.sample_inputs``, which seeds all devices before every sample, milliseconds each."""
    gradients = info.supports_autograd and (dtype.is_floating_point or dtype.is_complex)
    torch.default_generator.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = list(info.sample_inputs_func(info, torch.device("cpu"), dtype, gradients))
    return drawn if most is None else drawn[:: max(1, len(drawn) // most)][:most]


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kept = pytree.tree_map(_kept, (tuple(args), dict(kwargs or {})))
        self.calls.append((func, *kept))
        return func(*args, **(kwargs or {}))


def _kept(leaf: Any) -> Any:
    """As it was before the call, which may write to it."""
    plain = isinstance(leaf, torch.Tensor) and leaf.layout is torch.strided and not leaf.is_quantized
    return copied(leaf) if plain else leaf


def aten_calls(info: Any, dtype: torch.dtype, most: int | None) -> Iterator[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """The ATen calls of forward and backward of some samples."""
    for sample in _drawn(info, dtype, most):
        recorder = _Recorder()
        try:
            with warnings.catch_warnings(), recorder:
                warnings.simplefilter("ignore")
                result = sample.output_process_fn_grad(info.op(sample.input, *sample.args, **sample.kwargs))
                asked = [t for t in pytree.tree_leaves(result) if isinstance(t, torch.Tensor) and t.requires_grad]
                if asked:
                    torch.autograd.backward(asked, [torch.ones_like(t) for t in asked])
        except (RuntimeError, NotImplementedError, TypeError, ValueError):
            pass  # what was recorded until then counts
        yield from recorder.calls
