"""Formulas in hyper-parameters, fitted exactly over builds of a model.

``interpolate`` and ``periods`` are arithmetic alone; ``builds`` makes and analyses the models; ``fit`` decides which builds are
needed and whether a formula holds; ``result`` is what the user gets.
"""

from fxcount.fitting.result import Scaling
from fxcount.fitting.scale import scaling

__all__ = ["Scaling", "scaling"]
