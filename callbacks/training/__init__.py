"""Callbacks that change a training while it runs: early stopping, weight averaging, unfreezing."""

from litzoo.callbacks.training.early_stopping import BestWeightsEarlyStopping
from litzoo.callbacks.training.exponential_moving_average import ExponentialMovingAverage
from litzoo.callbacks.training.finite_loss import FiniteLoss
from litzoo.callbacks.training.gradual_unfreezing import GradualUnfreezing
from litzoo.callbacks.training.look_ahead import LookAhead
from litzoo.callbacks.training.synchronized_stop import SynchronizedStop

__all__ = [
    "BestWeightsEarlyStopping",
    "ExponentialMovingAverage",
    "FiniteLoss",
    "GradualUnfreezing",
    "LookAhead",
    "SynchronizedStop",
]
