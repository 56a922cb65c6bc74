"""A model of the zoo on meta, without weights, or on the CPU, with random ones."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.zoo.entry import Entry

__all__ = ["on_cpu", "on_meta"]

SEED = 7
_READS_DATA = ("meta", "Meta", "item", "device")  # what torch says where a constructor looks at the values of a meta tensor


def on_meta(entry: Entry) -> nn.Module:
    """The model in eval mode, without weights, also where its constructor computes with tensors; with them if it reads those.

    Raises what the model's own constructor raises.
    """
    if entry.reads_tables:
        return on_cpu(entry)
    try:
        with torch.device("meta"):
            model = entry.build()
    except (NotImplementedError, RuntimeError) as error:
        if not any(word in str(error) for word in _READS_DATA):
            raise
        model = _without_weights(entry)
    if any(t.device.type != "meta" for t in (*model.parameters(), *model.buffers())):
        model = model.to("meta")
    return model.to(entry.dtype).eval() if entry.dtype is not torch.float32 else model.eval()


def _without_weights(entry: Entry) -> nn.Module:
    """For a constructor that reads data: of its tensors, or even of what its own layers give, which takes weights."""
    try:
        return _parameters_on_meta(entry)
    except RuntimeError as error:
        if not any(word in str(error) for word in _READS_DATA):
            raise
        return entry.build().to("meta")


def _parameters_on_meta(entry: Entry) -> nn.Module:
    """Each parameter goes to meta as soon as it is registered, so that a large model never has all its weights at once."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return entry.build()


def on_cpu(entry: Entry, trainable: bool = False) -> nn.Module:
    """The model in eval mode with random weights, none of which hides a branch by being constant.

    Its parameters ask for no gradient unless it is to be ``trainable``: then they do as it was built.
    """
    torch.manual_seed(SEED)
    model = entry.build().eval()
    if entry.dtype is not torch.float32:  # which would take the imaginary part from complex weights
        model = model.to(entry.dtype)
    with torch.no_grad():
        for p in model.parameters():
            if p.is_floating_point() and p.numel() and bool(p.min() == p.max()):  # zero gates, unit scales
                p.add_(torch.randn_like(p), alpha=0.05)
    return model if trainable else model.requires_grad_(False)
