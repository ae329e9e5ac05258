"""What changes a training while it runs: early stopping, averaged weights, unfreezing."""

from litzoo.callbacks.training.agreed_stop import AgreedStop
from litzoo.callbacks.training.early_stopping import BestWeightsEarlyStopping
from litzoo.callbacks.training.exponential_moving_average import ExponentialMovingAverage
from litzoo.callbacks.training.finite_loss import FiniteLoss
from litzoo.callbacks.training.gradual_unfreezing import GradualUnfreezing
from litzoo.callbacks.training.look_ahead import LookAhead

__all__ = [
    "AgreedStop",
    "BestWeightsEarlyStopping",
    "ExponentialMovingAverage",
    "FiniteLoss",
    "GradualUnfreezing",
    "LookAhead",
]
