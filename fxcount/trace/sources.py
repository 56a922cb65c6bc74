"""Which line of the user's code is running: the innermost frame that is neither torch's nor fxcount's."""

from __future__ import annotations

import functools
import os
from types import CodeType, FrameType

import torch

from fxcount.trace.tape import Source

__all__ = ["find_source"]

_TORCH = os.path.dirname(torch.__file__) + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_OURS = tuple(os.path.join(_PACKAGE, room) + os.sep for room in ("trace", "ops", "symbolic"))


@functools.lru_cache(maxsize=4096)
def _is_library(code: CodeType) -> bool:
    return code.co_filename.startswith((_TORCH, *_OURS, "<"))


def find_source(frame: FrameType | None) -> Source | None:
    """The first frame outward from ``frame`` that belongs to the user."""
    while frame is not None:
        code = frame.f_code
        if not _is_library(code):
            return Source(code, frame.f_lasti)
        frame = frame.f_back
    return None
