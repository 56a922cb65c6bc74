"""Peak rates of devices, as their makers publish them: dense, without sparsity.

Each ``source`` names the maker's paper and says what was done with its numbers. The papers' numbers were compared with public
tables of them; where an older paper of the maker says otherwise, that is said, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import torch

from fxcount.errors import InputError
from fxcount.report.data.roofline import Machine

__all__ = ["DEVICES", "device_of"]

_T = 1e12
_NVIDIA = "NVIDIA {} datasheet"


def _rates(**tera: float) -> Mapping[Any, float]:
    """FLOPs per second by dtype; ``tf32`` is what float32 may run at if torch is allowed to."""
    names = {"fp64": torch.float64, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16,
             "fp8": torch.float8_e4m3fn}  # fmt: skip
    return MappingProxyType({names.get(name, name): rate * _T for name, rate in tera.items()})


DEVICES: Mapping[str, Machine] = MappingProxyType({
    "A100": Machine("NVIDIA A100 SXM 80 GB", 2.039e12, _rates(fp64=9.7, fp32=19.5, tf32=156, fp16=312, bf16=312),
                    _NVIDIA.format("A100 80GB")),
    "H100": Machine("NVIDIA H100 SXM 80 GB", 3.35e12, _rates(fp64=34, fp32=67, tf32=494.5, fp16=989, bf16=989, fp8=1979),
                    _NVIDIA.format("H100 Tensor Core GPU") + ", halved where it counts sparsity"),
    "H200": Machine("NVIDIA H200 SXM", 4.8e12, _rates(fp64=34, fp32=67, tf32=494.5, fp16=989, bf16=989, fp8=1979),
                    _NVIDIA.format("H200 Tensor Core GPU") + ", halved where it counts sparsity"),
    "B200": Machine("NVIDIA B200", 8e12, _rates(fp64=37, fp32=75, tf32=1125, fp16=2250, bf16=2250, fp8=4500),
                    _NVIDIA.format("HGX B200 and DGX B200") + ", an eighth of the whole, halved where it counts sparsity; "
                    "the architecture's brief of 2024 says 40 and 80 for fp64 and fp32"),
    "L4": Machine("NVIDIA L4", 0.3e12, _rates(fp64=0.473, fp32=30.3, tf32=60, fp16=121, bf16=121, fp8=242.5),
                  _NVIDIA.format("L4 Tensor Core GPU") + ", halved where it counts sparsity; fp64 is a 64th of fp32"),
    "RTX 4090": Machine("NVIDIA GeForce RTX 4090", 1.008e12, _rates(fp64=1.29, fp32=82.6, tf32=82.6, fp16=165.2, bf16=165.2,
                        fp8=330.3), "NVIDIA Ada GPU architecture whitepaper, sums in float32"),
    "M1 Max": Machine("Apple M1 Max, 32 cores", 0.4e12, _rates(fp32=10.4), "Apple newsroom, 18 October 2021"),
    "M1 Ultra": Machine("Apple M1 Ultra, 64 cores", 0.8e12, _rates(fp32=21.0), "Apple newsroom, 8 March 2022"),
    "EPYC 9654": Machine(
        "AMD EPYC 9654", 0.4608e12, _rates(fp64=3.686, fp32=7.373),
        "derived: 96 cores * 2.4 GHz * 2 fused multiply-adds of 8 float32 in a cycle; 12 channels of DDR5-4800",
    ),
})  # fmt: skip
"""By the name that :meth:`fxcount.Report.roofline` takes."""


def device_of(device: str | Machine) -> Machine:
    """The device of this name, in whatever case; a machine of the user's stays as it is.

    Raises :class:`~fxcount.errors.InputError` for a name that is none.

    >>> device_of("h100").bytes_per_second
    3350000000000.0
    """
    if isinstance(device, Machine):
        return device
    names = {name.lower().replace(" ", ""): name for name in DEVICES}
    key = str(device).lower().replace(" ", "")
    if key not in names:
        close = get_close_matches(key, names, n=1)
        raise InputError(
            f"there is no device {device!a}" + (f"; did you mean {names[close[0]]!r}?" if close else ""),
            hint=f"there are {', '.join(DEVICES)}; or give a Machine with its rates",
        )
    return DEVICES[names[key]]
