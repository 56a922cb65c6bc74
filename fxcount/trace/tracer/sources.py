"""Which line of the user's model is running: the innermost frame that is neither torch's nor fxcount's.

A model made of torch's modules alone has no such frame; then it is the line in torch that called the op.
"""

from __future__ import annotations

import functools
import os
from types import FrameType, TracebackType

import torch

from fxcount.errors import FxcountError
from fxcount.trace.tape import Instruction, Source

__all__ = ["find_source", "raised_by_us", "raising_source"]

_TORCH = os.path.dirname(torch.__file__) + os.sep
_MODULES = os.path.join(_TORCH, "nn", "modules") + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
_OURS = tuple(os.path.join(_PACKAGE, room) + os.sep for room in ("trace", "training", "ops", "symbolic"))
_OUTERMOST = os.path.join(_PACKAGE, "trace", "run.py")


@functools.lru_cache(maxsize=4096)
def _home(file: str) -> str:
    """Whose code is in a file: "" for the user's, else "torch", "module" (``torch.nn``), "ours", or "outermost"."""
    if file.startswith(_TORCH):
        return "module" if file.startswith(_MODULES) else "torch"
    if file == _OUTERMOST:
        return "outermost"
    return "ours" if file.startswith((*_OURS, "<")) else ""


_CALLS_LAYERS = "_call_impl"
"""How the names of the functions of ``torch.nn`` end that are no layer's own, but call it."""

Met = dict[tuple[int, int], Instruction]
"""Places met so far, by the identity of their code and where in it they are: a layer is called again from the same one."""


def find_source(frame: FrameType | None, met: Met | None = None) -> Source | None:
    """The first frame outward from ``frame`` that belongs to the model, up to where fxcount called it; the same object for the
    same place, if it was ``met``."""
    found: FrameType | None = None  # the innermost in a layer of torch's
    while frame is not None:
        code = frame.f_code
        home = _home(code.co_filename)  # by the file: to hash code takes longer than all the rest
        if not home:
            found = frame
            break
        if home == "outermost":
            break
        if home == "module" and found is None and not code.co_name.endswith(_CALLS_LAYERS):
            found = frame
        frame = frame.f_back
    if found is None:
        return None
    code, lasti = found.f_code, found.f_lasti
    if met is None:
        return Instruction(code, lasti)
    key = (id(code), lasti)
    place = met.get(key)
    if place is None:  # which keeps the code, so that its identity stays its own
        place = met[key] = Instruction(code, lasti)
    return place


def raising_source(traceback: TracebackType | None) -> Source | None:
    """The innermost line of the model in the traceback of an exception that left it."""
    found: dict[str, Source] = {}
    while traceback is not None:
        code = traceback.tb_frame.f_code
        home = _home(code.co_filename)
        if home != "module" or not code.co_name.endswith(_CALLS_LAYERS):
            found[home] = Instruction(code, traceback.tb_lasti)
        traceback = traceback.tb_next
    return found.get("") or found.get("module")


def raised_by_us(error: BaseException) -> bool:
    """Whether an exception that is none of fxcount's own kind came out of fxcount's code: a defect, not the model's error."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if isinstance(error, FxcountError) or traceback is None or hasattr(error, "__of_the_model__"):
        return False
    return traceback.tb_frame.f_code.co_filename.startswith(_PACKAGE + os.sep)
