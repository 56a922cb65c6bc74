"""Training against evaluation: parameters that live in one mode only, such as those of auxiliary heads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from fxcount.dataclass import dataclass
from fxcount.passes.parameters import Parameters

__all__ = ["ModeRow", "compared", "in_mode"]


@dataclass(frozen=True, slots=True)
class ModeRow:
    """One parameter in both modes: why it is dead in ``training`` and in ``evaluation`` ("" where it is alive)."""

    names: tuple[str, ...]
    numel: int
    nbytes: int
    training: str
    evaluation: str

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def state(self) -> Literal["in both modes", "only in training", "only in evaluation", "in no mode"]:
        if self.training:
            return "in no mode" if self.evaluation else "only in evaluation"
        return "only in training" if self.evaluation else "in both modes"


def compared(training: Parameters, evaluation: Parameters) -> list[ModeRow]:
    """The parameters of one model as two traces of it found them."""
    other = {row.name: row for row in evaluation.all_rows}
    return [ModeRow(r.names, r.unique, r.nbytes, r.reason, other[r.name].reason) for r in training.all_rows]


@contextmanager
def in_mode(model: torch.nn.Module, training: bool) -> Iterator[None]:
    """Have all modules in one mode, and as they were afterwards.

    The flags are set without the model's own ``train()``: some merge weights in it, and an analysis changes none.
    """
    before = [(m, m.training) for m in model.modules()]
    try:
        for m, was in before:
            if was != training:
                m.training = training
        yield
    finally:
        for m, was in before:
            if m.training != was:
                m.training = was
