"""Metrics: torchmetrics classes that collect an epoch or compute what torchmetrics lacks."""

from litzoo.lit_modules.metrics.classification import (
    AdaptiveCalibrationError,
    BalancedAccuracy,
    CalibrationError,
    ClassRecall,
    CrossEntropy,
)
from litzoo.lit_modules.metrics.detection import DetectionMetrics, DetectionOutputs, decoded, gathered, mask_areas
from litzoo.lit_modules.metrics.epoch_means import EpochMeans
from litzoo.lit_modules.metrics.epoch_outputs import EpochOutputs
from litzoo.lit_modules.metrics.regression import R2
from litzoo.lit_modules.metrics.two_classes import TwoClassRanking

__all__ = [
    "R2",
    "AdaptiveCalibrationError",
    "BalancedAccuracy",
    "CalibrationError",
    "ClassRecall",
    "CrossEntropy",
    "DetectionMetrics",
    "DetectionOutputs",
    "EpochMeans",
    "EpochOutputs",
    "TwoClassRanking",
    "decoded",
    "gathered",
    "mask_areas",
]
