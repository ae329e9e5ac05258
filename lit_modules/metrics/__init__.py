"""What is measured; plain torchmetrics."""

from litzoo.lit_modules.metrics.classification import classification_scores, detailed_classification_scores
from litzoo.lit_modules.metrics.detection import DetectionOutputs, decoded, mask_areas, mean_average_precision
from litzoo.lit_modules.metrics.epoch_means import EpochMeans
from litzoo.lit_modules.metrics.epoch_outputs import EpochOutputs
from litzoo.lit_modules.metrics.regression import regression_scores

__all__ = [
    "DetectionOutputs",
    "EpochMeans",
    "EpochOutputs",
    "classification_scores",
    "decoded",
    "detailed_classification_scores",
    "mask_areas",
    "mean_average_precision",
    "regression_scores",
]
