"""Losses `loss(output, target)`, plain torch. Any `torch.nn` loss works beside them."""

from lit_modules.losses.one_hot_squared_error import OneHotSquaredError
from lit_modules.losses.weighted_cross_entropy import WeightedCrossEntropy

__all__ = ["OneHotSquaredError", "WeightedCrossEntropy"]
