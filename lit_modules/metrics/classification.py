"""Streaming metrics of single-label classification, where torchmetrics has none with the definition used here."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from litzoo.lit_modules.distributed import gather_cpu_tensors


class CrossEntropy(Metric):
    """Mean cross-entropy over all samples."""

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float32), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds logits `[B, K]` and classes `[B]`."""
        self.total = self.total + F.cross_entropy(preds.float(), target, reduction="sum")
        self.count = self.count + len(target)

    def compute(self) -> Tensor:
        """Returns the mean."""
        return self.total / self.count


class ClassRecall(Metric):
    """Accuracy of each class: the fraction of its samples that is predicted correctly.

    Args:
        class_names: K names.
    """

    correct: Tensor
    counts: Tensor

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__()
        self.class_names = list(class_names)
        for name in ("correct", "counts"):
            self.add_state(name, torch.zeros(len(self.class_names), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds logits `[B, K]` and classes `[B]`."""
        hits = (preds.argmax(dim=1) == target).long()
        self.correct = self.correct.index_add(0, target, hits)
        self.counts = self.counts.index_add(0, target, torch.ones_like(target))

    def compute(self) -> Any:
        """Returns `acc/<class>` for every class with samples."""
        return {
            # A slash in a name would open a sub-group in TensorBoard.
            f"acc/{name.replace('/', '-')}": correct / count
            for name, correct, count in zip(self.class_names, self.correct, self.counts, strict=True)
            if count > 0
        }


class BalancedAccuracy(ClassRecall):
    """Mean of the accuracies of the classes that have samples.

    torchmetrics' macro average counts a class without samples as 0 as soon as it is predicted.
    """

    def compute(self) -> Tensor:
        """Returns the mean."""
        present = self.counts > 0
        return (self.correct[present] / self.counts[present]).mean()


class CalibrationError(Metric):
    """Expected calibration error with bins of equal width (Guo et al. 2017).

    The sum over bins of |accuracy − mean confidence|, weighted by the fraction of samples. States are integer counts
    and float64 sums on the CPU: float32 sums, as in torchmetrics, are off by 0.001 after a million samples.

    Args:
        bins: How many bins.
    """

    correct: Tensor
    counts: Tensor
    confidence: Tensor

    def __init__(self, bins: int = 15) -> None:
        super().__init__(dist_sync_fn=gather_cpu_tensors)
        self.edges = torch.linspace(0, 1, bins + 1, dtype=torch.float32)
        for name, dtype in [("correct", torch.int64), ("counts", torch.int64), ("confidence", torch.float64)]:
            self.add_state(name, torch.zeros(bins, dtype=dtype), dist_reduce_fx="sum")

    def _apply(self, fn: Any, exclude_state: Sequence[str] = "") -> "CalibrationError":
        """Ignores `to`: Apple's GPUs have no float64, and half-precision training converts floats."""
        return self

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds logits `[B, K]` and classes `[B]`."""
        confidence, prediction = preds.float().softmax(dim=1).max(dim=1)
        hits = (prediction == target).cpu()
        confidence = confidence.cpu()
        # A bin includes its lower edge; the last one includes 1 as well.
        place = (torch.bucketize(confidence, self.edges, right=True) - 1).clamp(max=len(self.counts) - 1)
        self.correct = self.correct.index_add(0, place, hits.long())
        self.counts = self.counts.index_add(0, place, torch.ones_like(place))
        self.confidence = self.confidence.index_add(0, place, confidence.double())

    def compute(self) -> Tensor:
        """Returns the error, float64, from 0 to 1."""
        return self.local()

    def local(self) -> Tensor:
        """Returns the error of this process's samples, for callers that have gathered all."""
        return (self.correct - self.confidence).abs().sum() / self.counts.sum()


class AdaptiveCalibrationError(Metric):
    """Expected calibration error with bins of equally many samples (Nguyen and O'Connor 2015; Nixon et al. 2019).

    Samples are sorted by confidence and cut into bins whose sizes differ by at most one; the error is the sum over bins
    of |accuracy − mean confidence|, weighted by the fraction of samples. Where confidences are equal, each sample
    counts with their mean accuracy, so that the order of the samples does not matter.

    Args:
        bins: How many bins; at most one for each sample.
    """

    confidence: list[Tensor]
    hits: list[Tensor]

    def __init__(self, bins: int = 15) -> None:
        super().__init__()
        self.bins = bins
        self.add_state("confidence", [], dist_reduce_fx="cat")
        self.add_state("hits", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds logits `[B, K]` and classes `[B]`."""
        confidence, prediction = preds.float().softmax(dim=1).max(dim=1)
        self.confidence.append(confidence)
        self.hits.append((prediction == target).float())

    def compute(self) -> Tensor:
        """Returns the error, float64, from 0 to 1."""
        confidence, hits = (dim_zero_cat(each).cpu().double().reshape(-1) for each in (self.confidence, self.hits))
        values, place, counts = confidence.unique(return_inverse=True, return_counts=True)
        accuracy = torch.zeros_like(values).index_add(0, place, hits) / counts
        gaps = (accuracy - values).repeat_interleave(counts)
        parts = gaps.tensor_split(min(self.bins, len(gaps)))
        return torch.stack([part.sum().abs() for part in parts]).sum() / len(gaps)
