"""What is trained: LightningModules, and the networks, losses and metrics they are made of."""

from lit_modules.base import LitModule
from lit_modules.classifier import Classifier
from lit_modules.cnn_classifier import CNNClassifier
from lit_modules.fast_hooks import FastHooks
from lit_modules.losses import OneHotSquaredError, WeightedCrossEntropy
from lit_modules.mlp_classifier import MLPClassifier
from lit_modules.regressor import Regressor
from lit_modules.resnet_classifier import ResNetClassifier
from lit_modules.schedules import CosineWithWarmup
from lit_modules.softmax_regression import SoftmaxRegression

__all__ = [
    "CNNClassifier",
    "Classifier",
    "CosineWithWarmup",
    "FastHooks",
    "LitModule",
    "MLPClassifier",
    "OneHotSquaredError",
    "Regressor",
    "ResNetClassifier",
    "SoftmaxRegression",
    "WeightedCrossEntropy",
]
