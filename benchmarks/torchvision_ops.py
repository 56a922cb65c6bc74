"""torchvision, also where its wheel was built for another device than torch's: only the signatures of its ops are needed.

>>> from benchmarks.torchvision_ops import torchvision
"""

from fxcount.adapters import torchvision_ops as torchvision_ops  # isort: skip  (before torchvision)
import torchvision

__all__ = ["torchvision"]
