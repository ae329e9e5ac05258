from typing import Any

import torch
from torch import Tensor

from litzoo.lit_modules.distributed import from_all_processes
from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked, cross_entropies
from litzoo.lit_modules.noise_matrix import estimate_noise_matrix

_MOST = 100_000
"""Samples of each process that the estimate is made of, at most: for memory."""


class ForwardCorrection(ClassificationLoss):
    """Cross-entropy of the predictions after applying the label noise to them (Patrini et al. 2017).

    −log Σ_j p_j T[j, label], T[j, k] the fraction of true class j that is labeled k. With the identity it is
    cross-entropy. An unknown T is estimated: the first epochs train with cross-entropy; in the last of them the labels
    of the samples that are confidently predicted as class j are counted (`estimate_noise_matrix`, after confident
    learning, Northcutt et al. 2021). The paper's own estimate, the softmax of the most confident sample of class j, is
    of an outlier and underestimates the noise.

    Args:
        matrix: T, K rows of K fractions that add up to 1; estimated by default.
        warm_up: Epochs of cross-entropy, in the last of which T is estimated; not used if T is given.
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
        self._seen: list[tuple[Tensor, Tensor]] = []  # probabilities [B, K] and labels [B] of the epoch of the estimate

    def forward(self, logits: Tensor, target: Tensor, epoch: int = 0) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]` in an epoch, counted from 0.

        Raises:
            ValueError: If the matrix does not have K rows, or no batch was seen in the epoch of the estimate.
        """
        logits = checked(logits, target)
        if epoch < self.warm_up:
            if self.training and epoch == self.warm_up - 1:
                self._remember(logits, target)
            return self.reduce(cross_entropies(logits, target))
        if self.matrix is None:
            self.matrix, self._seen = self._estimate(), []
        if len(self.matrix) != logits.shape[1]:
            raise ValueError(
                f"ForwardCorrection.matrix: {len(self.matrix)} rows for logits of {logits.shape[1]} classes"
            )
        self.matrix = self.matrix.to(logits.device)
        log_fractions = self.matrix.log().T[target]  # [B, K]: how often each true class gets this label
        return self.reduce(-(logits.log_softmax(dim=1) + log_fractions).logsumexp(dim=1))

    def begin_epoch(self, epoch: int) -> None:
        """Resets the estimate during the warm-up, after another or an interrupted training."""
        if epoch < self.warm_up:
            self.matrix, self._seen = None, []

    def end_epoch(self, epoch: int) -> None:
        """Estimates T at the end of the warm-up, so that checkpoints contain the estimate of all processes."""
        if epoch == self.warm_up - 1 and self._seen:
            self.matrix, self._seen = self._estimate(), []

    def _remember(self, logits: Tensor, target: Tensor) -> None:
        """Keeps the predictions of a batch for the estimate."""
        if sum(len(labels) for _, labels in self._seen) < _MOST:
            self._seen.append((logits.detach().float().softmax(dim=1), target))

    def _estimate(self) -> Tensor:
        """Returns T from the predictions of all processes."""
        if not self._seen:
            raise ValueError(f"ForwardCorrection has no estimate: epoch {self.warm_up - 1} was not trained with it")
        probabilities, labels = (
            torch.cat(from_all_processes(torch.cat(each))) for each in zip(*self._seen, strict=True)
        )
        return estimate_noise_matrix(probabilities, labels).clamp(
            min=1e-6
        )  # a fraction of 0 could give an infinite loss

    def get_extra_state(self) -> dict[str, Tensor]:
        """Returns the estimate, or the predictions for it, for the checkpoint."""
        if not self.remembers:
            return {}
        if self.matrix is not None:
            return {"matrix": self.matrix}
        names = ("probabilities", "labels")
        return {name: torch.cat(each) for name, each in zip(names, zip(*self._seen, strict=True), strict=False)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores them from a checkpoint; a given matrix is kept."""
        if self.remembers:
            self.matrix = state.get("matrix")
            self._seen = [(state["probabilities"], state["labels"])] if "labels" in state else []


def _checked_matrix(matrix: list[list[float]]) -> Tensor:
    if not matrix or any(len(row) != len(matrix) for row in matrix):
        raise ValueError(f"ForwardCorrection.matrix: {len(matrix)} rows of {[len(row) for row in matrix]}: no square")
    for number, row in enumerate(matrix):
        if any(not 0 <= fraction <= 1 for fraction in row) or abs(sum(row) - 1) > 1e-6:
            raise ValueError(
                f"ForwardCorrection.matrix: row {number}, {row}, adds up to {sum(row):.6g}; it needs fractions in [0, "
                "1] that add up to 1"
            )
    if not all(map(any, zip(*matrix, strict=True))):
        raise ValueError(
            "ForwardCorrection.matrix: a label that no class is given has an infinite loss; give it a fraction"
        )
    return torch.tensor(matrix)
