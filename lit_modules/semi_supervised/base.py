from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.distributed import from_all_processes


class Student(Protocol):
    """What learns: a classifier, as far as pseudo-labels know it."""

    class_counts: Tensor  # how many labeled samples each class has, int64 [K]

    def __call__(self, x: Tensor) -> Tensor:
        """Returns logits `[B, K]` of images `[B, ...]`."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Returns all parts of the network."""
        ...


class UnlabeledTerm(NamedTuple):
    """What a step has made of its unlabeled batch.

    Attributes:
        loss: The unsupervised objective before its weight, one number: a sum divided by the size of the whole
            unlabeled batch, so that a batch with few confident samples counts little. (FreeMatch adds a term of
            means.)
        label: The likeliest class of each sample, int64 `[U]`.
        confidence: Its probability, float32 `[U]`.
        used: Whether the sample is learned from, bool `[U]`.
    """

    loss: Tensor
    label: Tensor
    confidence: Tensor
    used: Tensor


class PseudoLabels(nn.Module, ABC):
    """Labels that a classifier gives to unlabeled samples, and learns from: base of all ways to do so.

    A classifier's training loss is that of the labeled batch + `weight` · that of the unlabeled one. Batch norm takes
    the statistics of each batch by itself; its running ones, those of evaluation, are taken from images augmented as
    labeled ones are, never from those of the pool that are strongly augmented or mixed.

    Args:
        weight: Of the unlabeled term, at least 0. `PseudoLabelScheduler` may change it during training.
        threshold: Confidence from which a sample is learned from, in [0, 1]; may be scheduled as well.
        align: Whether beliefs are aligned to the labeled classes (Berthelot et al. 2020, ReMixMatch): each class is
            multiplied by its fraction among the labels over its running fraction among the beliefs. It keeps frequent classes
            from taking over, and rare ones where the labels are imbalanced as the pool is.

    Raises:
        ValueError: If the weight or the threshold is out of range.

    Attributes:
        memory: How much of a running mean stays at each step.
        schedulable: What may be changed during training.
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
        self._kept: dict[str, Tensor] = {}  # what has been learned of the pool so far

    @abstractmethod
    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Labels the unlabeled samples of a batch, and returns what is to be learned from them.

        Args:
            student: The classifier, in training mode.
            batch: Both parts of it; `clean_target` is not looked at.
        """

    def beliefs(self, logits: Tensor, student: Student) -> Tensor:
        """Returns class probabilities without gradient, float32 `[U, K]`, aligned if that is asked for."""
        probabilities = logits.detach().float().softmax(dim=1)
        if not self.align:
            return probabilities
        fractions = student.class_counts.float() / student.class_counts.sum()
        usual = self.running(
            "fraction", probabilities.mean(dim=0), start=torch.full_like(fractions, 1 / len(fractions))
        )
        return F.normalize(probabilities * fractions / usual, p=1, dim=1)

    def term(self, losses: Tensor, label: Tensor, confidence: Tensor, index: Tensor) -> UnlabeledTerm:
        """Puts a term together from losses, labels, confidences and positions in the training set, `[U]` each."""
        used = self.usable(confidence, label, index)
        return UnlabeledTerm((losses * used).sum() / len(losses), label, confidence, used)

    def usable(self, confidence: Tensor, label: Tensor, index: Tensor) -> Tensor:
        """Says which samples are learned from: those that are confident and not barred, bool `[U]`."""
        return self.confident(confidence, label) & ~self.barred(index)

    def confident(self, confidence: Tensor, label: Tensor) -> Tensor:
        """Says which samples are learned from, by their confidence and their label `[U]`."""
        return confidence >= self.current_threshold()

    def current_threshold(self) -> float:
        """Returns the confidence from which samples are learned from at the moment."""
        return self.threshold

    def bar(self, barred: Tensor) -> None:
        """Leaves samples out from now on.

        Args:
            barred: One entry for each position in the full training set, bool `[N]`; the same in every process.
        """
        self._kept["barred"] = barred.cpu()

    def barred(self, index: Tensor) -> Tensor:
        """Says which samples, at positions `[U]`, are left out."""
        if "barred" not in self._kept:
            return torch.zeros_like(index, dtype=torch.bool)
        return self.kept("barred", index.device)[index]

    def running(self, name: str, value: Tensor, start: Tensor) -> Tensor:
        """Moves a running mean by a batch's mean, of all processes, and returns it."""
        mean = torch.stack(from_all_processes(value)).mean(dim=0)
        before = self.kept(name, value.device) if name in self._kept else start
        self._kept[name] = torch.lerp(mean, before, self.memory)
        return self._kept[name]

    def kept(self, name: str, device: torch.device) -> Tensor:
        """Returns what is kept under a name, on a device; it stays there."""
        self._kept[name] = self._kept[name].to(device)
        return self._kept[name]

    def get_extra_state(self) -> dict[str, Tensor]:
        """Returns what is kept of the pool, for the checkpoint."""
        return dict(self._kept)

    def set_extra_state(self, state: Any) -> None:
        """Restores it."""
        self._kept = dict(state)


@contextmanager
def statistics_kept(student: Student) -> Iterator[None]:
    """Leaves the running statistics of batch norm as they are; batches are normalised by their own all the same."""
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
    """Refuses to learn pseudo-labels where no unlabeled samples are served.

    Raises:
        ValueError: If that is so.
    """
    if datamodule is not None and getattr(datamodule, "unlabeled_batch_size", None) is None:
        raise ValueError(
            f"model.pseudo_labels: {type(method).__name__} needs a pool of unlabeled samples, and "
            f"{type(datamodule).__name__} serves none: set data.num_labeled and data.unlabeled_batch_size, or leave "
            "pseudo_labels out"
        )


def with_unlabeled(
    student: Student, method: PseudoLabels, batch: SemiSupervisedBatch, labeled_loss: Tensor
) -> dict[str, Tensor]:
    """Adds the term of the unlabeled batch to the loss of the labeled one.

    Returns:
        `loss`, `labeled_loss` and `unlabeled_loss` (before its weight), and of each unlabeled sample `[U]`
        `pseudo_label`, `pseudo_confidence`, `pseudo_used` and `pseudo_index`; all but the loss detached.

    Raises:
        ValueError: If the batch is of labeled samples alone.
    """
    if "unlabeled" not in batch:
        raise ValueError(
            f"model.pseudo_labels: {type(method).__name__} needs batches of labeled and unlabeled samples, and is "
            f"given {', '.join(batch)}: serve litzoo.datamodules.batch.SemiSupervisedBatch, or leave pseudo_labels out"
        )
    with torch.set_grad_enabled(method.weight > 0):  # before its time, it is only looked at
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
