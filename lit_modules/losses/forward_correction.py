from typing import Any

import torch
from torch import Tensor

from litzoo.lit_modules.distributed import from_all_processes
from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked, cross_entropies


class ForwardCorrection(ClassificationLoss):
    """Cross-entropy of the labels that the noise would make of the model's beliefs (Patrini et al. 2017).

    −log Σ_j p_j T[j, label], T[j, k] the fraction of true class j that is labelled k. With the identity it is
    cross-entropy. Where T is not known, it is estimated: the first epochs train with cross-entropy; in the last of them
    it is counted which labels the samples carry that the model takes for class j (as confident learning does, Northcutt
    et al. 2021). The paper's own estimate, the softmax of the sample that is surest of j, is an outlier by choice, and
    finds less noise than there is.

    Args:
        matrix: T, K rows of K fractions that add up to 1; estimated when left out.
        warm_up: Epochs of cross-entropy, the last of which the estimate is from; not used where T is given.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If the matrix is not square, has an entry outside [0, 1] or a row that does not add up to 1, or
            `warm_up` is below 1.
    """

    def __init__(
        self, matrix: list[list[float]] | None = None, warm_up: int = 2, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.remembers = matrix is None
        self.warm_up = int(self.in_range("warm_up", warm_up, 1)) if self.remembers else 0
        self.matrix = None if matrix is None else _checked_matrix(matrix)
        self._counts: Tensor | None = None  # int64 [K, K]: samples by what they are taken for and by their label

    def forward(self, logits: Tensor, target: Tensor, epoch: int = 0) -> Tensor:
        """Returns the loss of logits `[B, K]` and classes `[B]` in an epoch, counted from 0.

        Raises:
            ValueError: If the matrix has not K rows, or nothing was seen in the epoch that it is estimated from.
        """
        logits = checked(logits, target)
        if epoch < self.warm_up:
            if self.training and epoch == self.warm_up - 1:
                self._count(logits, target)
            return self.reduce(cross_entropies(logits, target))
        if self.matrix is None:
            self.matrix, self._counts = self._estimate(), None
        if len(self.matrix) != logits.shape[1]:
            raise ValueError(
                f"ForwardCorrection.matrix: {len(self.matrix)} rows for logits of {logits.shape[1]} classes"
            )
        self.matrix = self.matrix.to(logits.device)
        log_fractions = self.matrix.log().T[target]  # [B, K]: of each true class, how often it is labelled so
        return self.reduce(-(logits.log_softmax(dim=1) + log_fractions).logsumexp(dim=1))

    def begin_epoch(self, epoch: int) -> None:
        """Forgets, in the first epochs, what another training or one that was interrupted has left."""
        if epoch < self.warm_up:
            self.matrix = self._counts = None

    def end_epoch(self, epoch: int) -> None:
        """Makes the estimate as soon as all is counted, so that checkpoints have that of all processes."""
        if epoch == self.warm_up - 1 and self._counts is not None:
            self.matrix, self._counts = self._estimate(), None

    def _count(self, logits: Tensor, target: Tensor) -> None:
        """Adds a batch to the counts."""
        counts = torch.zeros(logits.shape[1], logits.shape[1], dtype=torch.int64, device=logits.device)
        counts.index_put_((logits.argmax(dim=1), target), torch.ones_like(target), accumulate=True)
        self._counts = counts if self._counts is None else counts + self._counts.to(counts.device)

    def _estimate(self) -> Tensor:
        """Returns T from the counts of all processes; a class that nothing is taken for is believed to be right."""
        if self._counts is None:
            raise ValueError(f"ForwardCorrection has no estimate: epoch {self.warm_up - 1} was not trained with it")
        counts = torch.stack(from_all_processes(self._counts)).sum(dim=0)
        counts = torch.where(counts.sum(dim=1, keepdim=True) > 0, counts, torch.eye(len(counts)).to(counts))
        return (counts / counts.sum(dim=1, keepdim=True)).clamp(min=1e-6)  # no label is impossible

    def get_extra_state(self) -> dict[str, Tensor]:
        """Returns what a resumed run needs: the estimate, or the counts that it will be made from."""
        state = {"matrix": self.matrix, "counts": self._counts} if self.remembers else {}
        return {name: value for name, value in state.items() if value is not None}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores it; a matrix that was given stays."""
        if self.remembers:
            self.matrix, self._counts = state.get("matrix"), state.get("counts")


def _checked_matrix(matrix: list[list[float]]) -> Tensor:
    if not matrix or any(len(row) != len(matrix) for row in matrix):
        raise ValueError(f"ForwardCorrection.matrix: {len(matrix)} rows of {[len(row) for row in matrix]}: no square")
    for number, row in enumerate(matrix):
        if any(not 0 <= fraction <= 1 for fraction in row) or abs(sum(row) - 1) > 1e-6:
            raise ValueError(
                f"ForwardCorrection.matrix: row {number}, {row}, adds up to {sum(row):.6g}; it needs fractions in [0, 1] "
                "that add up to 1"
            )
    if not all(map(any, zip(*matrix, strict=True))):
        raise ValueError(
            "ForwardCorrection.matrix: a label that no class is given has an infinite loss; give it a fraction"
        )
    return torch.tensor(matrix)
