from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from lit_modules.losses.classification_loss import ClassificationLoss, Reduction, checked, cross_entropies

ANCHORS = 20


class ForwardCorrection(ClassificationLoss):
    """Cross-entropy of the labels that the noise would make of the model's beliefs (Patrini et al. 2017).

    −log Σ_j p_j T[j, label], T[j, k] the share of true class j that is labelled k. With the identity it is
    cross-entropy. Where T is not known, it is estimated: the first epochs train with cross-entropy; in the last of them
    the 20 samples that are taken for a class most surely stand for it, and the mean of their softmax is its row.

    Args:
        matrix: T, K rows of K shares that add up to 1; estimated when left out.
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
        self.warm_up = int(self.in_range("warm_up", warm_up, 1)) if matrix is None else 0
        self.matrix = None if matrix is None else _checked_matrix(matrix)
        self._anchors: Tensor | None = None  # [K, up to 20, K]: of each class the surest softmax vectors so far

    def forward(self, logits: Tensor, target: Tensor, epoch: int = 0) -> Tensor:
        """Returns the loss of logits `[B, K]` and classes `[B]` in an epoch, counted from 0.

        Raises:
            ValueError: If the matrix has not K rows, or nothing was seen in the epoch that it is estimated from.
        """
        logits = checked(logits, target)
        if epoch < self.warm_up:
            if self.training and epoch == self.warm_up - 1:
                beliefs = logits.detach().softmax(dim=1).expand(logits.shape[1], -1, -1)
                kept = [] if self._anchors is None else [self._anchors]
                self._anchors = _surest(torch.cat([*kept, beliefs], dim=1))
            return self.reduce(cross_entropies(logits, target))
        if self.matrix is None:
            if self._anchors is None:
                raise ValueError(f"ForwardCorrection has no estimate: epoch {self.warm_up - 1} was not trained with it")
            shared = torch.distributed.is_available() and torch.distributed.is_initialized()
            everywhere = gather_all_tensors(self._anchors) if shared else [self._anchors]
            self.matrix = _surest(torch.cat(everywhere, dim=1)).mean(dim=1).clamp(min=1e-6)
        if len(self.matrix) != logits.shape[1]:
            raise ValueError(
                f"ForwardCorrection.matrix: {len(self.matrix)} rows for logits of {logits.shape[1]} classes"
            )
        self.matrix = self.matrix.to(logits.device)
        log_shares = self.matrix.log().T[target]  # [B, K]: of each true class, how often it is labelled so
        return self.reduce(-(logits.log_softmax(dim=1) + log_shares).logsumexp(dim=1))

    def get_extra_state(self) -> dict[str, Tensor]:
        """Returns what a resumed run needs: the estimate, or the anchors that it will be made from."""
        state = {"matrix": self.matrix, "anchors": self._anchors}
        return {name: value for name, value in state.items() if value is not None}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores it."""
        self.matrix, self._anchors = state.get("matrix", self.matrix), state.get("anchors")


def _surest(pool: Tensor) -> Tensor:
    """Returns of each class the softmax vectors that are surest of it.

    Args:
        pool: Candidates for each class, `[K, n, K]`.

    Returns:
        At most 20 of them, `[K, m, K]`.
    """
    classes = torch.arange(len(pool))
    best = pool[classes, :, classes].topk(min(ANCHORS, pool.shape[1]), dim=1).indices
    return pool.gather(1, best[:, :, None].expand(-1, -1, len(pool)))


def _checked_matrix(matrix: list[list[float]]) -> Tensor:
    if not matrix or any(len(row) != len(matrix) for row in matrix):
        raise ValueError(f"ForwardCorrection.matrix: {len(matrix)} rows of {[len(row) for row in matrix]}: no square")
    for number, row in enumerate(matrix):
        if any(not 0 <= share <= 1 for share in row) or abs(sum(row) - 1) > 1e-6:
            raise ValueError(
                f"ForwardCorrection.matrix: row {number}, {row}, adds up to {sum(row):.6g}; it needs shares in [0, 1] "
                "that add up to 1"
            )
    if not all(map(any, zip(*matrix, strict=True))):
        raise ValueError(
            "ForwardCorrection.matrix: a label that no class is given has an infinite loss; give it a share"
        )
    return torch.tensor(matrix)
