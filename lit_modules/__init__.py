"""What is trained: LightningModules, and the networks, losses and metrics they are made of."""

from lit_modules.base import LitModule
from lit_modules.borrowed_weights import BorrowedWeights
from lit_modules.classifier import Classifier
from lit_modules.cnn_classifier import CNNClassifier
from lit_modules.co_teaching_classifier import CoTeachingClassifier
from lit_modules.fast_hooks import FastHooks
from lit_modules.losses import (
    ActivePassiveLoss,
    Bootstrapping,
    ClassificationLoss,
    DisturbLabel,
    DisturbValue,
    EarlyLearningRegularization,
    FocalLoss,
    ForwardCorrection,
    GeneralizedCrossEntropy,
    LabelSmoothing,
    LDAMLoss,
    LogitAdjustedCrossEntropy,
    LogitNorm,
    OneHotSquaredError,
    SymmetricCrossEntropy,
    WeightedCrossEntropy,
)
from lit_modules.mask_rcnn_segmenter import MaskRCNNSegmenter
from lit_modules.mixing import BatchMix, CutMix, MixUp
from lit_modules.mlp_classifier import MLPClassifier
from lit_modules.plain_loading import PlainLoading
from lit_modules.pseudo_labels import (
    AssignedLabels,
    FixMatch,
    FreeMatch,
    OnlinePseudoLabels,
    PseudoLabels,
    SoftMixUp,
)
from lit_modules.regressor import Regressor
from lit_modules.resnet_classifier import ResNetClassifier
from lit_modules.schedules import CosineWithWarmup
from lit_modules.softmax_regression import SoftmaxRegression
from lit_modules.transfer_classifier import TransferClassifier

__all__ = [
    "ActivePassiveLoss",
    "AssignedLabels",
    "BatchMix",
    "Bootstrapping",
    "BorrowedWeights",
    "CNNClassifier",
    "ClassificationLoss",
    "Classifier",
    "CoTeachingClassifier",
    "CosineWithWarmup",
    "CutMix",
    "DisturbLabel",
    "DisturbValue",
    "EarlyLearningRegularization",
    "FastHooks",
    "FixMatch",
    "FocalLoss",
    "ForwardCorrection",
    "FreeMatch",
    "GeneralizedCrossEntropy",
    "LDAMLoss",
    "LabelSmoothing",
    "LitModule",
    "LogitAdjustedCrossEntropy",
    "LogitNorm",
    "MLPClassifier",
    "MaskRCNNSegmenter",
    "MixUp",
    "OneHotSquaredError",
    "OnlinePseudoLabels",
    "PlainLoading",
    "PseudoLabels",
    "Regressor",
    "ResNetClassifier",
    "SoftMixUp",
    "SoftmaxRegression",
    "SymmetricCrossEntropy",
    "TransferClassifier",
    "WeightedCrossEntropy",
]
