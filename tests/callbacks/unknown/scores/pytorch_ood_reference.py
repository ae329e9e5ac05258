"""What pytorch-ood computes. It runs in a process of its own: its losses have the names of ours, which short names in
configs would then be ambiguous with.

Usage: python -m tests.callbacks.unknown.scores.pytorch_ood_reference FILE
"""

import sys

import torch
from pytorch_ood import detector
from pytorch_ood.metrics import OODMetrics

from litzoo.callbacks.unknown.scores import MaxLogit
from tests.callbacks.unknown.scores.catalogue import known_samples, some_samples


def reference() -> dict[str, torch.Tensor]:
    """Returns scores of samples `[N]` by name, and metrics."""
    known, target, head = known_samples(dtype=torch.float64)
    samples = some_samples(head)
    fitted = {
        "Mahalanobis": detector.Mahalanobis(None),
        "RelativeMahalanobis": detector.RMD(None),
        "ViM": detector.ViM(None, 3, head.weight, head.bias),
        "NearestNeighbors": detector.KNN(None, k=1),
    }
    trained, unseen = known.features.float(), samples.features.float()
    for each in fitted.values():
        each.fit_features(trained, target)
    react = detector.ReAct(lambda features: features, head, percentile=0.9)
    react.fit([(known.features, target)])
    metrics, scores = OODMetrics(), torch.cat([MaxLogit()(known), MaxLogit()(samples)])
    metrics.update(scores, torch.where(torch.arange(len(scores)) >= len(target), -1, 0))
    return {
        "MaxSoftmax": 1 + detector.MaxSoftmax.score(samples.logits),
        "MaxLogit": detector.MaxLogit.score(samples.logits),
        "Energy": detector.EnergyBased.score(samples.logits, t=2.0),
        "Entropy": detector.Entropy.score(samples.logits),
        "GeneralizedEntropy": 3 * detector.GEN.score(samples.logits, 0.1, 3),  # a mean over three classes
        **{name: torch.as_tensor(each.predict_features(unseen)) for name, each in fitted.items()},
        "ReAct": react.predict(samples.features),
        **{name: torch.as_tensor(value) for name, value in metrics.compute().items()},
    }


if __name__ == "__main__":
    torch.save(reference(), sys.argv[1])
