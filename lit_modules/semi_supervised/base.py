"""PseudoLabels: base class of methods that learn from unlabeled samples."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.distributed import mean_over_processes


class Student(Protocol):
    """The classifier being trained, as far as pseudo-labels depend on it."""

    class_counts: Tensor  # labeled samples of each class, int64 [K]

    def __call__(self, x: Tensor) -> Tensor:
        """Returns logits `[B, K]` for images `[B, ...]`."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Returns all submodules."""
        ...


class UnlabeledTerm(NamedTuple):
    """The unlabeled term of a training step.

    Attributes:
        loss: The unsupervised loss before its weight, a scalar: a sum divided by the size of the whole unlabeled batch,
            so that a batch with few confident samples has little influence. (FreeMatch adds a term of means.)
        label: The most probable class of each sample, int64 `[U]`.
        confidence: Its predicted probability, float32 `[U]`.
        used: Whether the sample contributes to the loss, bool `[U]`.
    """

    loss: Tensor
    label: Tensor
    confidence: Tensor
    used: Tensor


class PseudoLabels(nn.Module, ABC):
    """Trains a classifier on its own labels for unlabeled samples; base class of all methods.

    The training loss is that of the labeled batch + `weight` · that of the unlabeled batch. Batch norm normalises each
    batch by its own statistics; the running statistics for evaluation are updated with images augmented like labeled
    ones only, not with strongly augmented or mixed ones.

    Args:
        weight: Weight of the unlabeled term, at least 0. `PseudoLabelScheduler` may change it during training.
        threshold: Minimum confidence of a sample that is learned from, in [0, 1]; may be scheduled too.
        align: Whether predicted probabilities are aligned with the labeled classes (distribution alignment, Berthelot
            et al. 2020, ReMixMatch): that of each class is multiplied by its fraction among the labels over the running
            mean of its predicted probability. This keeps frequent classes from taking over; with imbalanced labels,
            rare ones if the pool is imbalanced alike.

    Raises:
        ValueError: If the weight or the threshold is out of range.

    Attributes:
        memory: Decay rate of the running means.
        schedulable: Names of the options that may change during training.
    """

    memory = 0.99
    schedulable: tuple[str, ...] = ("weight", "threshold")

    def __init__(self, weight: float = 1.0, threshold: float = 0.95, align: bool = False) -> None:
        super().__init__()
        name = type(self).__name__
        if not 0 <= weight < float("inf"):
            raise ValueError(f"{name}.weight: {weight} is not a finite number from 0 up")
        if not 0 <= threshold <= 1:
            raise ValueError(f"{name}.threshold: {threshold} is no probability in [0, 1]; 0.95 is usual")
        self.weight, self.threshold, self.align = weight, threshold, align
        self._state: dict[str, Tensor] = {}  # running means and per-sample values, saved in checkpoints

    @abstractmethod
    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Labels the unlabeled samples of a batch and computes the loss for these labels.

        Args:
            student: The classifier, in training mode.
            batch: The labeled and the unlabeled batch; `clean_target` must not be read.
        """

    def probabilities(self, logits: Tensor, student: Student) -> Tensor:
        """Returns predicted probabilities without gradient, float32 `[U, K]`, aligned if `align` is set."""
        probabilities = logits.detach().float().softmax(dim=1)
        if not self.align:
            return probabilities
        fractions = student.class_counts.float() / student.class_counts.sum()
        uniform = torch.full_like(fractions, 1 / len(fractions))
        mean = self.running_mean("fraction", probabilities.mean(dim=0), start=uniform)
        return F.normalize(probabilities * fractions / mean, p=1, dim=1)

    def term(self, losses: Tensor, label: Tensor, confidence: Tensor, index: Tensor) -> UnlabeledTerm:
        """Builds the term from losses, labels, confidences and positions in the training set, `[U]` each."""
        used = self.usable(confidence, label, index)
        return UnlabeledTerm((losses * used).sum() / len(losses), label, confidence, used)

    def usable(self, confidence: Tensor, label: Tensor, index: Tensor) -> Tensor:
        """Returns which samples are learned from: confident ones that are not barred, bool `[U]`."""
        return self.confident(confidence, label) & ~self.barred(index)

    def confident(self, confidence: Tensor, label: Tensor) -> Tensor:
        """Returns which samples are confident enough, bool `[U]`."""
        return confidence >= self.current_threshold()

    def current_threshold(self) -> float:
        """Returns the current minimum confidence, for logging."""
        return self.threshold

    def bar(self, barred: Tensor) -> None:
        """Excludes samples from now on.

        Args:
            barred: One entry for each position in the full training set, bool `[N]`; the same in every process.
        """
        self._state["barred"] = barred.cpu()

    def barred(self, index: Tensor) -> Tensor:
        """Returns which samples, at positions `[U]`, are excluded."""
        if "barred" not in self._state:
            return torch.zeros_like(index, dtype=torch.bool)
        return self.state_on("barred", index.device)[index]

    def running_mean(self, name: str, value: Tensor, start: Tensor) -> Tensor:
        """Updates a running mean with a batch mean, averaged over all processes, and returns it."""
        return self.running_means({name: (value, start)})[name]

    def running_means(self, batch_means: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Updates several running means, name -> batch mean and start value; processes communicate only once."""
        values = [value.reshape(-1) for value, _ in batch_means.values()]
        parts = mean_over_processes(torch.cat(values)).split([len(value) for value in values])
        for part, (name, (value, start)) in zip(parts, batch_means.items(), strict=True):
            before = self.state_on(name, value.device) if name in self._state else start
            self._state[name] = torch.lerp(part.view_as(value), before, self.memory)
        return {name: self._state[name] for name in batch_means}

    def state_on(self, name: str, device: torch.device) -> Tensor:
        """Returns an entry of the state; moves it to the device."""
        self._state[name] = self._state[name].to(device)
        return self._state[name]

    def get_extra_state(self) -> dict[str, Tensor]:
        """Returns the state for the checkpoint."""
        return dict(self._state)

    def set_extra_state(self, state: Any) -> None:
        """Restores the state from a checkpoint."""
        self._state = dict(state)


@contextmanager
def frozen_running_statistics(student: Student) -> Iterator[None]:
    """Stops updates of batch norm's running statistics; batches are still normalised by their own."""
    norms = [each for each in student.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    tracking = [each for each in norms if each.track_running_stats]
    for each in tracking:
        each.track_running_stats = False
    try:
        yield
    finally:
        for each in tracking:
            each.track_running_stats = True


def require_pool(method: PseudoLabels, datamodule: Any) -> None:
    """Raises if a datamodule provides no unlabeled samples.

    Raises:
        ValueError: In that case.
    """
    if datamodule is not None and getattr(datamodule, "unlabeled_batch_size", None) is None:
        raise ValueError(
            f"model.pseudo_labels: {type(method).__name__} needs a pool of unlabeled samples, and "
            f"{type(datamodule).__name__} has none: set data.num_labeled (or data.unlabeled_folder, for images "
            "without labels) and data.unlabeled_batch_size, or leave pseudo_labels out"
        )


def add_unlabeled_loss(
    student: Student, method: PseudoLabels, batch: SemiSupervisedBatch, labeled_loss: Tensor
) -> dict[str, Tensor]:
    """Adds the unlabeled term to the loss of the labeled batch.

    Returns:
        `loss`, `labeled_loss` and `unlabeled_loss` (before its weight), and for each unlabeled sample `[U]`
        `pseudo_label`, `pseudo_confidence`, `pseudo_used` and `pseudo_index`; all but the loss detached.

    Raises:
        ValueError: If the batch has only labeled samples.
    """
    if "unlabeled" not in batch:
        raise ValueError(
            f"model.pseudo_labels: {type(method).__name__} needs batches of labeled and unlabeled samples, and got "
            f"{', '.join(batch)}: provide litzoo.datamodules.batch.SemiSupervisedBatch, or leave pseudo_labels out"
        )
    with torch.set_grad_enabled(method.weight > 0):  # with weight 0 the term is only computed for the report
        term = method(student, batch)
    return {
        "loss": labeled_loss + method.weight * term.loss if method.weight else labeled_loss,
        "labeled_loss": labeled_loss.detach(),
        "unlabeled_loss": term.loss.detach(),
        "pseudo_label": term.label,
        "pseudo_confidence": term.confidence,
        "pseudo_used": term.used if method.weight else torch.zeros_like(term.used),
        "pseudo_index": batch["unlabeled"]["index"],
    }
