"""Models of packages outside the zoos: fields, authors and styles the rules were not written for.

``install.sh`` installs the packages, without what they would compile or download. Models of packages that are not there
are left out. ``file`` of an entry is its package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from benchmarks.zoo.entry import Entry
from benchmarks.zoo.wild import audio, graphs, images, recent, sequences, tables, vit, volumes

__all__ = ["entries"]

_FILES = (images, vit, volumes, audio, sequences, tables, graphs, recent)


def entries() -> Iterator[Entry]:
    """All models of the packages that are installed, by field and package."""
    from fxcount.adapters import torchvision_ops  # noqa: F401  (before torchvision, which many of them import)

    for file in _FILES:
        for model in file.MODELS:
            if importlib.util.find_spec(model.package):
                yield model.entry()
