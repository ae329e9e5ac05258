"""Out-of-distribution (OOD) scores: how likely a sample belongs to an unknown class, higher = more unknown."""

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore
from litzoo.callbacks.unknown.scores.energy import Energy
from litzoo.callbacks.unknown.scores.entropy import Entropy
from litzoo.callbacks.unknown.scores.generalized_entropy import GeneralizedEntropy
from litzoo.callbacks.unknown.scores.mahalanobis import Mahalanobis, RelativeMahalanobis
from litzoo.callbacks.unknown.scores.max_logit import MaxLogit
from litzoo.callbacks.unknown.scores.max_softmax import MaxSoftmax
from litzoo.callbacks.unknown.scores.nearest_neighbors import NearestNeighbors
from litzoo.callbacks.unknown.scores.open_max import OpenMax
from litzoo.callbacks.unknown.scores.react import ReAct
from litzoo.callbacks.unknown.scores.vim import ViM

__all__ = [
    "Energy",
    "Entropy",
    "Evidence",
    "GeneralizedEntropy",
    "Mahalanobis",
    "MaxLogit",
    "MaxSoftmax",
    "NearestNeighbors",
    "OpenMax",
    "ReAct",
    "RelativeMahalanobis",
    "UnknownScore",
    "ViM",
]
