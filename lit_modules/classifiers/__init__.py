"""Classifiers."""

from litzoo.lit_modules.classifiers.base import Classifier
from litzoo.lit_modules.classifiers.co_teaching import CoTeachingClassifier
from litzoo.lit_modules.classifiers.standard import CNNClassifier, MLPClassifier, ResNetClassifier, SoftmaxRegression
from litzoo.lit_modules.classifiers.transfer import TransferClassifier
from litzoo.lit_modules.classifiers.whitened_cnn import WhitenedCNNClassifier

__all__ = [
    "CNNClassifier",
    "Classifier",
    "CoTeachingClassifier",
    "MLPClassifier",
    "ResNetClassifier",
    "SoftmaxRegression",
    "TransferClassifier",
    "WhitenedCNNClassifier",
]
