"""How unknown a sample looks, one score a file, higher = more unknown; plain torch."""

from callbacks.unknown_scores.energy import Energy
from callbacks.unknown_scores.entropy import Entropy
from callbacks.unknown_scores.generalized_entropy import GeneralizedEntropy
from callbacks.unknown_scores.mahalanobis import Mahalanobis
from callbacks.unknown_scores.max_logit import MaxLogit
from callbacks.unknown_scores.max_softmax import MaxSoftmax
from callbacks.unknown_scores.nearest_neighbors import NearestNeighbors
from callbacks.unknown_scores.open_max import OpenMax
from callbacks.unknown_scores.unknown_score import Evidence, UnknownScore
from callbacks.unknown_scores.vim import ViM

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
    "UnknownScore",
    "ViM",
]
