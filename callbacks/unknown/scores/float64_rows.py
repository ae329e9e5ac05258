"""Statistics of many features in float64, of which only some rows are converted at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence

ELEMENTS = 2**22
"""Numbers that are in float64 at a time: 34 MB."""


class Float64Rows:
    """Features minus a centre, as blocks of rows in float64.

    Args:
        features: `[N, D]`, of any precision.
        centres: What is subtracted, `[K, D]`, float64; nothing by default.
        target: Which of the centres of each row, int64 `[N]`; the first for all by default.
    """

    def __init__(self, features: Tensor, centres: Tensor | None = None, target: Tensor | None = None) -> None:
        self.features, self.centres, self.target = features, centres, target

    def __len__(self) -> int:
        return len(self.features)

    def __iter__(self) -> Iterator[Tensor]:
        """Yields blocks, `[n, D]`."""
        rows = max(1, ELEMENTS // max(1, self.features.shape[1]))
        for start in range(0, len(self), rows):
            block = self.features[start : start + rows].double()
            if self.centres is not None:
                block = block - (self.centres[:1] if self.target is None else self.centres[self._labels(start, rows)])
            yield block

    def mean(self) -> Tensor:
        """Returns the mean of the rows, `[D]`."""
        return torch.stack([block.sum(dim=0) for block in self]).sum(dim=0) / len(self)

    def class_means(self, target: Tensor, classes: int) -> Tensor:
        """Returns the mean of the rows of each of K classes, `[K, D]`; NaN for a class without rows."""
        sums, start = torch.zeros(classes, self.features.shape[1], dtype=torch.float64), 0
        for block in self:
            sums.index_add_(0, target[start : start + len(block)], block)
            start += len(block)
        return sums / target.bincount(minlength=classes)[:, None]

    def scatter(self) -> Tensor:
        """Returns the mean of x xᵀ over the rows x, `[D, D]`."""
        total = torch.zeros(2 * self.features.shape[1:], dtype=torch.float64)
        for block in self:
            total.addmm_(block.T, block)
        return total / len(self)

    def ledoit_wolf(self, scatter: Tensor) -> float:
        """Returns the shrinkage of Ledoit & Wolf 2004 for rows about 0, as scikit-learn's `ledoit_wolf_shrinkage` does.

        Args:
            scatter: From `scatter`.
        """
        size, square = len(scatter), float(scatter.square().sum())
        fourth = sum(float(block.square().sum(dim=1).square().sum()) for block in self) / len(self)
        error = (fourth - square) / (size * len(self))
        distance = square / size - float(scatter.trace() / size) ** 2
        return 0.0 if min(error, distance) <= 0 else min(error, distance) / distance

    def _labels(self, start: int, rows: int) -> Tensor:
        assert self.target is not None
        return self.target[start : start + rows]


def principal_axes(scatter: Tensor) -> tuple[Tensor, Tensor, int]:
    """Returns the principal axes of features about the origin (subtract the mean first for an ordinary PCA).

    Args:
        scatter: `Float64Rows.scatter` of the features, `[D, D]`.

    Returns:
        The mean square along each axis, in descending order, `[D]`; the axes, the columns of `[D, D]`; and the
        numerical rank, for which what is within the rounding of float32, in which networks compute, counts as 0.
    """
    values, axes = torch.linalg.eigh(scatter)
    values, axes = values.flip(0), axes.flip(1)
    smallest = values[0] * len(values) * torch.finfo(torch.float32).eps ** 2
    return values, axes, int((values > smallest).sum())


def linear_head(known: Evidence, head: nn.Linear | None) -> tuple[Tensor, Tensor]:
    """Returns weight `[K, D]` and bias `[K]`, in float64, of the head that maps features to logits.

    Args:
        known: Logits in float64 and features of training samples, on the CPU.
        head: The head, if it is a single linear layer; otherwise a linear layer is fitted by least squares.
    """
    if head is not None:
        weight = head.weight.detach().cpu().double()
        return weight, weight.new_zeros(len(weight)) if head.bias is None else head.bias.detach().cpu().double()
    feature_mean, logit_mean = Float64Rows(known.features).mean(), known.logits.mean(dim=0)
    features = Float64Rows(known.features, feature_mean[None])
    variances, axes, rank = principal_axes(features.scatter())
    axes, start = axes[:, :rank], 0
    products = torch.zeros(known.logits.shape[1], known.features.shape[1], dtype=torch.float64)
    for block in features:
        products.addmm_((known.logits[start : start + len(block)] - logit_mean).T, block)
        start += len(block)
    weight = products / len(features) @ axes / variances[:rank] @ axes.T
    return weight, logit_mean - weight @ feature_mean
