from typing import Any

import torch
from torch import Tensor

from litzoo.lit_modules.distributed import largest_of_all_processes, rows_of_all_processes
from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked, cross_entropies


class EarlyLearningRegularization(ClassificationLoss):
    """Cross-entropy + λ · log(1 − ⟨p, t⟩), t a running mean of past predicted probabilities (Liu et al. 2020, ELR).

    A network learns correct labels first and memorises wrong ones later; the second term keeps its early predictions.
    t ← β · t + (1 − β) · p for a sample each time it is in a batch.

    The running means, K numbers for each training sample, are saved in checkpoints. In distributed training every
    process holds all of them.

    Args:
        weight: λ, at least 0.
        memory: β, in [0, 1).
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If the weight is negative, or the memory outside [0, 1).
    """

    remembers = True

    def __init__(self, weight: float = 3.0, memory: float = 0.7, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.weight = self.in_range("weight", weight, 0)
        if not 0 <= memory < 1:
            raise ValueError(f"{type(self).__name__}.memory: {memory} is outside [0, 1)")
        self.memory = memory
        # [samples or more, K]; 0 for a sample that was not seen yet. The last row belongs to no sample.
        self._past = torch.empty(0, 0)
        self._samples: int | None = None
        self._capacity: int | None = None  # rows that each process contributes to a step

    def reserve(self, samples: int) -> None:
        """Sets the size of the full training set; without it, a step reads the largest position on the host."""
        self._samples = samples

    def begin_epoch(self, epoch: int) -> None:
        """Lets the processes agree anew on the largest batch, in the first step of the epoch."""
        self._capacity = None

    def forward(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Returns the loss of logits `[B, K]`, classes `[B]` and the samples' positions in the training set `[B]`."""
        probabilities = checked(logits, target).softmax(dim=1).clamp(1e-4, 1 - 1e-4)
        if index.shape != target.shape:
            raise ValueError(f"index: {list(index.shape)} positions for {list(target.shape)} targets")
        if self.training:
            self._update(*self._of_all_processes(probabilities.detach(), index))
        else:
            self._make_room(probabilities, index)
        agreement = (probabilities * self._past[index]).sum(dim=1).clamp(max=1 - 1e-6)
        return self.reduce(cross_entropies(logits, target) + self.weight * (1 - agreement).log())

    def _of_all_processes(self, probabilities: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return probabilities, index
        if self._capacity is None:
            # Twice the first batch, since a later one may be larger if the rest of an epoch is added to it.
            self._capacity = 2 * largest_of_all_processes(len(index), index.device)
        if len(index) > self._capacity:
            raise ValueError(
                f"{type(self).__name__}: a batch of {len(index)} samples, more than twice the first one of the epoch; "
                "with several processes it takes batches of about equal size"
            )
        return rows_of_all_processes(probabilities, index, self._capacity)

    def _update(self, probabilities: Tensor, index: Tensor) -> None:
        """Updates the running means of samples."""
        self._make_room(probabilities, index)
        new = probabilities / probabilities.sum(dim=1, keepdim=True).clamp(min=1e-12)  # 0 in rows without a sample
        self._past[index] = self.memory * self._past[index] + (1 - self.memory) * new.to(self._past.dtype)

    def _make_room(self, probabilities: Tensor, index: Tensor) -> None:
        """Adds rows for new samples, on the device of the probabilities.

        Without `reserve` at least an eighth of the rows is added at a time: else almost every step would copy them all.
        """
        samples, classes = self._samples, probabilities.shape[1]
        known = samples is not None and self.training
        if samples is None or not known:
            samples = int(index.max()) + 1 if len(index) else 0
        needed = samples + 1
        past = (
            self._past.to(probabilities.device)
            if self._past.shape[1] == classes
            else probabilities.new_zeros(0, classes)
        )
        if len(past) < needed:
            rows = needed if known else max(needed, len(past) * 9 // 8)
            past = torch.cat([past, past.new_zeros(rows - len(past), classes)])
        self._past = past

    def get_extra_state(self) -> Tensor:
        """Returns the running means up to the last sample seen, for the checkpoint."""
        seen = self._past.any(dim=1).nonzero()
        return self._past[: int(seen.max()) + 1 if len(seen) else 0].clone()

    def set_extra_state(self, state: Any) -> None:
        """Restores the running means from a checkpoint."""
        # The last row belongs to no sample.
        self._past = torch.cat([state, state.new_zeros(1, state.shape[1])])
