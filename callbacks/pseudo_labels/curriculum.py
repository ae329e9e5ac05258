"""Callback for Curriculum Labeling, and the schedule of rounds that `UnknownPoolFilter` has too."""

from fractions import Fraction
from math import ceil

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.callbacks.pseudo_labels.pool import predict_pool, require_assigned_labels, scatter_by_position
from litzoo.callbacks.pseudo_labels.teacher import TeacherLabels
from litzoo.callbacks.samples import ABSENT


class CurriculumLabels(Callback):
    """Labels the unlabeled pool with the model itself in regular rounds, and uses a larger fraction in each round.

    Curriculum Labeling (Cascante-Bonilla et al., AAAI 2021), for modules with `AssignedLabels`: in the k-th round, the
    fraction min(1, k · step) of the pool with the highest confidence is used, including ties with the last one. Before
    the first round only labeled samples are used. The paper reinitialises the weights in each round; here training
    continues, so that one training is enough.

    Args:
        start_epoch: Epoch, counted from 0, at whose start the first round takes place.
        every_epochs: Epochs between rounds.
        step: Increase of the fraction in each round, in (0, 1].

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> CurriculumLabels(start_epoch=10, every_epochs=5).fraction_at(15)
        Fraction(2, 5)
    """

    def __init__(self, start_epoch: int = 10, every_epochs: int = 10, step: float = 0.2) -> None:
        check_rounds("CurriculumLabels", start_epoch, every_epochs)
        if not 0 < step <= 1:
            raise ValueError(f"CurriculumLabels.step: {step} is not a fraction in (0, 1]; 0.2 is usual")
        self.start_epoch, self.every_epochs, self.step = start_epoch, every_epochs, step

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that labels can be assigned to the module, and that no other callback assigns them.

        Raises:
            TypeError: If the module cannot predict logits, or the datamodule cannot serve the pool.
            ValueError: If the module has no `AssignedLabels`, or there is a `TeacherLabels` callback.
        """
        if stage != "fit":
            return
        require_assigned_labels(self, trainer, pl_module)
        warn_if_never("CurriculumLabels", self.start_epoch, trainer.max_epochs)
        if any(isinstance(each, TeacherLabels) for each in trainer.callbacks):  # type: ignore[attr-defined]
            raise ValueError("CurriculumLabels would replace the labels of TeacherLabels: remove one of the two")

    def fraction_at(self, epoch: int) -> Fraction:
        """Returns the fraction of the pool that a round at this epoch uses; 0 if there is no round.

        The step is taken in its decimal notation: in floating point, 3 · 0.2 exceeds 0.6.
        """
        return min(Fraction(1), round_at(epoch, self.start_epoch, self.every_epochs) * Fraction(str(self.step)))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Assigns no labels for the epochs before the first round."""
        if trainer.current_epoch < self.start_epoch:
            positions = len(trainer.datamodule.targets)  # type: ignore[attr-defined]
            no_labels = torch.full((positions,), ABSENT)
            require_assigned_labels(self, trainer, pl_module).assign(no_labels, torch.zeros(positions), 1.0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Labels the pool, if there is a round at this epoch."""
        if not (fraction := self.fraction_at(trainer.current_epoch)):
            return
        method = require_assigned_labels(self, trainer, pl_module)
        pool = predict_pool(trainer, pl_module)
        threshold = top_fraction_threshold(pool.confidence[~method.barred(pool.index)], fraction)
        label, confidence = (scatter_by_position(trainer, pool.index, each) for each in (pool.label, pool.confidence))
        method.assign(label, confidence, threshold)


def top_fraction_threshold(confidence: Tensor, fraction: Fraction) -> float:
    """Returns the smallest of the ⌈fraction · n⌉ highest confidences `[n]`; 1 if there are none."""
    if not len(confidence):
        return 1.0
    return float(confidence.sort(descending=True).values[ceil(fraction * len(confidence)) - 1])


def check_rounds(owner: str, start_epoch: int, every_epochs: int) -> None:
    """Checks the epochs of a callback with rounds.

    Raises:
        ValueError: If `start_epoch` is negative, or `every_epochs` below 1.
    """
    if start_epoch < 0:
        raise ValueError(f"{owner}.start_epoch: {start_epoch} is negative; give 0 for the first epoch, or a later one")
    if every_epochs < 1:
        raise ValueError(f"{owner}.every_epochs: {every_epochs} is too small; give at least 1, for every epoch")


def round_at(epoch: int, start_epoch: int, every_epochs: int) -> int:
    """Returns the number of the round at an epoch, counted from 1; 0 if there is none."""
    since = epoch - start_epoch
    return 0 if since < 0 or since % every_epochs else since // every_epochs + 1


def warn_if_never(owner: str, start_epoch: int, epochs: int | None) -> None:
    """Warns if training ends before the first round."""
    if epochs is not None and 0 <= epochs <= start_epoch:
        rank_zero_warn(
            f"{owner}.start_epoch: {start_epoch}, but training ends after trainer.max_epochs {epochs}, so that the "
            "callback has no effect; start earlier, or train longer"
        )
