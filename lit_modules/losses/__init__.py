"""Losses for noisy labels, label smoothing and imbalanced classes."""

from litzoo.lit_modules.losses.active_passive_loss import ActivePassiveLoss
from litzoo.lit_modules.losses.base import ClassificationLoss
from litzoo.lit_modules.losses.bootstrapping import Bootstrapping
from litzoo.lit_modules.losses.disturb_label import DisturbLabel
from litzoo.lit_modules.losses.disturb_value import DisturbValue
from litzoo.lit_modules.losses.early_learning import EarlyLearningRegularization
from litzoo.lit_modules.losses.focal_loss import FocalLoss
from litzoo.lit_modules.losses.forward_correction import ForwardCorrection
from litzoo.lit_modules.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from litzoo.lit_modules.losses.label_smoothing import LabelSmoothing
from litzoo.lit_modules.losses.ldam_loss import LDAMLoss
from litzoo.lit_modules.losses.logit_adjusted_cross_entropy import LogitAdjustedCrossEntropy
from litzoo.lit_modules.losses.logit_norm import LogitNorm
from litzoo.lit_modules.losses.one_hot_squared_error import OneHotSquaredError
from litzoo.lit_modules.losses.over_parameterization import SparseOverParameterization
from litzoo.lit_modules.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from litzoo.lit_modules.losses.weighted_cross_entropy import WeightedCrossEntropy

__all__ = [
    "ActivePassiveLoss",
    "Bootstrapping",
    "ClassificationLoss",
    "DisturbLabel",
    "DisturbValue",
    "EarlyLearningRegularization",
    "FocalLoss",
    "ForwardCorrection",
    "GeneralizedCrossEntropy",
    "LDAMLoss",
    "LabelSmoothing",
    "LogitAdjustedCrossEntropy",
    "LogitNorm",
    "OneHotSquaredError",
    "SparseOverParameterization",
    "SymmetricCrossEntropy",
    "WeightedCrossEntropy",
]
