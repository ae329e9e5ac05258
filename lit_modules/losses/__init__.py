"""Losses `loss(output, target)`, plain torch. Any `torch.nn` loss works beside them."""

from lit_modules.losses.active_passive_loss import ActivePassiveLoss
from lit_modules.losses.bootstrapping import Bootstrapping
from lit_modules.losses.classification_loss import ClassificationLoss
from lit_modules.losses.disturb_label import DisturbLabel
from lit_modules.losses.disturb_value import DisturbValue
from lit_modules.losses.early_learning import EarlyLearningRegularization
from lit_modules.losses.focal_loss import FocalLoss
from lit_modules.losses.forward_correction import ForwardCorrection
from lit_modules.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from lit_modules.losses.label_smoothing import LabelSmoothing
from lit_modules.losses.ldam_loss import LDAMLoss
from lit_modules.losses.logit_adjusted_cross_entropy import LogitAdjustedCrossEntropy
from lit_modules.losses.logit_norm import LogitNorm
from lit_modules.losses.one_hot_squared_error import OneHotSquaredError
from lit_modules.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from lit_modules.losses.weighted_cross_entropy import WeightedCrossEntropy

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
    "SymmetricCrossEntropy",
    "WeightedCrossEntropy",
]
