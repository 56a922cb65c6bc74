"""Which kernel torch runs ``scaled_dot_product_attention`` with, by device, sizes and dtypes.

On a CPU there is one kernel besides the plain formula. On CUDA there are three, which torch asks in the order of its
settings (``torch.nn.attention.sdpa_kernel`` changes it). No device is asked: what its generation decides is taken as on
Ampere and later (compute capability 8 or more). Hopper and Blackwell with cuDNN above 9.15 ask cuDNN's kernel before the
flash kernel: both hold the same tensors.

Source: ``select_sdp_backend`` of ATen's native/transformers/cuda/sdp_utils.cpp, ``use_flash_attention_cpp`` of
sdp_utils_cpp.cpp beside it

>>> q = TensorFact((2, 4, 5, 64), torch.bfloat16, torch.device("cuda"))
>>> kernel_of(q, q, q), kernel_of(q, q, q, TensorFact((5, 5), torch.bool, q.device))
('flash', 'efficient')
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import TensorFact
from fxcount.symbolic import Size, mod
from fxcount.torch_private import VERSION

__all__ = ["MASK_ALIGNMENT", "WIDENED", "WIDTH_ALIGNMENT", "Kernel", "Settings", "kernel_of", "settings_of_process"]

Kernel = Literal["math", "flash", "efficient", "cudnn"]
Alike = Callable[[Sequence[Size], Sequence[Size]], bool]

WIDENED = VERSION >= (2, 14)
"""Since then the flash kernel for the CPU also runs without a batch dimension and for one head of key and value, and a mask
beside ``is_causal`` is always refused; the efficient kernel for CUDA takes groups of heads."""

WIDTH_ALIGNMENT = 8
"""The flash kernel for CUDA works on heads of a multiple of this width: others are padded (``pad_last_dim<8>``)."""

MASK_ALIGNMENT = 16
"""The efficient kernel wants rows of its mask to be a multiple of this apart (``preprocess_mask``)."""

_WIDEST_FLASH, _WIDEST_CUDNN = 256, 128
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Settings:
    """What torch is allowed, and in which order it asks: of ``torch.nn.attention.sdpa_kernel`` and the like."""

    allowed: tuple[Kernel, ...]
    order: tuple[int, ...]
    deterministic: bool


def settings_of_process() -> Settings:
    """Those of now."""
    asked = torch.backends.cuda
    enabled: dict[Kernel, Any] = {
        "flash": asked.flash_sdp_enabled, "efficient": asked.mem_efficient_sdp_enabled, "cudnn": asked.cudnn_sdp_enabled,
    }  # fmt: skip
    allowed = tuple([kernel for kernel, is_enabled in enabled.items() if is_enabled()])
    order = tuple(map(int, torch_private.sdp_priority_order()))
    return Settings(allowed, order, torch.are_deterministic_algorithms_enabled())


def kernel_of(
    query: TensorFact, key: TensorFact, value: TensorFact, attn_mask: TensorFact | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, enable_gqa: bool = False, trained_mask: bool = False, *, alike: Alike = operator.eq,
    settings: Settings | None = None,
) -> Kernel:  # fmt: skip
    """The kernel for these operands. ``trained_mask``: the mask has a gradient; ``alike`` says whether sizes are the same, if
    not those that are written alike; ``settings``: if not those of now."""
    given = (query, key, value)
    if query.device.type != "cuda":
        return "flash" if _flash_for_cpu(*given, attn_mask, dropout_p, enable_gqa, alike) else "math"
    if not _is_dense_attention(*given, attn_mask, alike):
        return "math"
    settings = settings or settings_of_process()
    same = alike(query.shape[1:2], key.shape[1:2]) and alike(key.shape[1:2], value.shape[1:2])
    grouped = enable_gqa and alike(key.shape[1:2], value.shape[1:2]) and mod(query.shape[1], key.shape[1]) == 0
    takes: dict[Kernel, Callable[[], bool]] = {
        "flash": lambda: (same or grouped) and _takes_flash(*given, attn_mask, is_causal, alike),
        "efficient": lambda: (same or (grouped and WIDENED)) and _takes_efficient(*given),
        "cudnn": lambda: (same or grouped)
        and not (trained_mask or settings.deterministic)
        and _takes_cudnn(*given, dropout_p),
    }  # fmt: skip
    asked = [_KERNELS[number] for number in settings.order if number in _KERNELS]
    fused = asked[: asked.index("math")]  # what comes after it is never asked
    return next((kernel for kernel in fused if kernel in settings.allowed and takes[kernel]()), "math")


# --- on CUDA ----------------------------------------------------------------------------------------------------------


def _is_dense_attention(
    query: TensorFact, key: TensorFact, value: TensorFact, mask: TensorFact | None, alike: Alike
) -> bool:  # fmt: skip
    """What all three kernels ask: (B, H, S, D) of one batch, one dtype, the last dimension dense."""
    given = (query, key, value)
    return (
        all([t.ndim == 4 and t.stride()[-1] == 1 for t in given])
        and alike(query.shape[:1], key.shape[:1])
        and alike(key.shape[:1], value.shape[:1])
        and query.dtype == key.dtype == value.dtype
        and all([t.shape[-2] != 0 for t in given])
        and (mask is None or mask.ndim == 0 or mask.stride()[-1] == 1)
    )


def _takes_flash(
    query: TensorFact, key: TensorFact, value: TensorFact, mask: TensorFact | None, is_causal: bool, alike: Alike
) -> bool:  # fmt: skip
    width = query.shape[-1]
    return (
        mask is None
        and query.dtype in _HALF
        and width == key.shape[-1] == value.shape[-1]
        and _is_at_most(width, _WIDEST_FLASH)
        and (not is_causal or alike(query.shape[-2:-1], key.shape[-2:-1]))
    )


def _takes_efficient(query: TensorFact, key: TensorFact, value: TensorFact) -> bool:
    alignment = 128 // (8 * query.itemsize)
    return query.dtype in (*_HALF, torch.float32) and all(
        [width != 0 and mod(width, alignment) == 0 for width in (query.shape[-1], value.shape[-1])]
    )


def _takes_cudnn(query: TensorFact, key: TensorFact, value: TensorFact, dropout_p: float) -> bool:
    return (
        query.dtype in _HALF
        and all([_is_at_most(n, _WIDEST_CUDNN) and mod(n, 8) == 0 for n in (query.shape[-1], value.shape[-1])])
        and (dropout_p * 16).is_integer()
        and key.shape[-2] != 1
    )


def _is_at_most(width: Size, limit: int) -> bool:
    """Widths that are formulas are taken to fit."""
    return not isinstance(width, int) or width <= limit


_KERNELS: dict[int, Kernel] = {0: "math", 1: "flash", 2: "efficient", 3: "cudnn"}
"""``at::SDPBackend``."""


# --- on a CPU ---------------------------------------------------------------------------------------------------------


@cache
def _flash_takes_groups() -> bool:
    """Whether the flash kernel for the CPU runs with fewer heads of key and value than of query: not in torch 2.6."""
    with torch_private.DisableTorchFunction():
        q, k = torch.empty(1, 2, 3, 8, device="cpu"), torch.empty(1, 1, 3, 8, device="cpu")
        if not torch_private.fused_sdp_choice(q, q, q):  # somebody has turned the kernel off, which says nothing of groups
            return True
        return bool(torch_private.fused_sdp_choice(q, k, k, enable_gqa=True))


def _flash_for_cpu(
    query: TensorFact, key: TensorFact, value: TensorFact, mask: TensorFact | None, dropout_p: float, gqa: bool, alike: Alike
) -> bool:  # fmt: skip
    """Conditions of ``use_flash_attention_cpp``. Three dimensions are those of one sample."""
    rank = query.ndim
    q, k, v = (t.shape[:-2] for t in (query, key, value))
    return (
        (rank == 4 or (rank == 3 and WIDENED))
        and all(t.ndim == rank and t.stride()[-1] == 1 for t in (query, key, value))
        and (mask is None or mask.ndim in (2, rank))
        and not dropout_p
        and query.dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16)
        and query.shape[-1] == value.shape[-1]
        and alike(q[:-1], k[:-1])
        and alike(k, v)
        and ((gqa and _flash_takes_groups()) or alike(k[-1:], q[-1:]) or (WIDENED and k[-1] == 1))
    )
