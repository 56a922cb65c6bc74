"""Formulas in hyper-parameters, fitted exactly over builds of a model: ``builds`` makes and analyses the models."""

from fxcount.fitting.scale import scaling
from fxcount.interpolation.result import Scaling

__all__ = ["Scaling", "scaling"]
