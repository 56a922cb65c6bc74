"""timm: every architecture it lists, at the input size its configuration names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from torch import nn

from benchmarks.zoo.entry import Entry, Inputs, floats

__all__ = ["entries"]


def entries() -> Iterator[Entry]:
    """All architectures, in alphabetical order; ``file`` is the module that defines the architecture."""
    from fxcount.adapters import torchvision_ops  # noqa: F401  (before torchvision, which timm imports)

    import timm  # isort: skip

    for name in timm.list_models():
        build: Callable[[], nn.Module] = partial(timm.create_model, name, pretrained=False)
        file = timm.model_entrypoint(name).__module__.rpartition(".")[2]
        yield Entry("timm", name, file, build, _image)


def _image(model: nn.Module) -> Inputs:
    channels, height, width = model.pretrained_cfg.get("input_size", (3, 224, 224))  # type: ignore[union-attr,operator]
    return Inputs((floats("B", channels, "H", "W"),), hints={"B": 2, "H": height, "W": width})
