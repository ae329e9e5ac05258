"""What is measured; plain torchmetrics."""

from lit_modules.metrics.classification import classification_scores, detailed_classification_scores
from lit_modules.metrics.epoch_means import EpochMeans
from lit_modules.metrics.epoch_outputs import EpochOutputs
from lit_modules.metrics.regression import regression_scores

__all__ = [
    "EpochMeans",
    "EpochOutputs",
    "classification_scores",
    "detailed_classification_scores",
    "regression_scores",
]
