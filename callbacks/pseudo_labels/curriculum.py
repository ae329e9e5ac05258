from fractions import Fraction
from math import ceil

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.callbacks.pseudo_labels.pool import by_position, pool_answers, require_takes_labels
from litzoo.callbacks.pseudo_labels.teacher import TeacherLabels
from litzoo.callbacks.samples import ABSENT


def check_rounds(owner: str, start_epoch: int, every_epochs: int) -> None:
    """Refuses epochs at which nothing can be done.

    Raises:
        ValueError: If the first one is negative, or the distance below 1.
    """
    if start_epoch < 0:
        raise ValueError(f"{owner}.start_epoch: {start_epoch} is negative; give 0 for the first epoch, or a later one")
    if every_epochs < 1:
        raise ValueError(f"{owner}.every_epochs: {every_epochs} is too small; give at least 1, for every epoch")


def round_at(epoch: int, start_epoch: int, every_epochs: int) -> int:
    """Returns which round, counted from 1, is held at an epoch; 0 where there is none."""
    since = epoch - start_epoch
    return 0 if since < 0 or since % every_epochs else since // every_epochs + 1


def warn_if_never(owner: str, start_epoch: int, epochs: int | None) -> None:
    """Warns where a training of so many epochs ends before the first round."""
    if epochs is not None and 0 <= epochs <= start_epoch:
        rank_zero_warn(
            f"{owner}.start_epoch: {start_epoch}, but training ends after trainer.max_epochs {epochs}: nothing will be "
            "done at all; start earlier, or train longer"
        )


class CurriculumLabels(Callback):
    """Lets the model label the unlabeled pool again and again, and learn more of it each time.

    This is Curriculum Labeling (Cascante-Bonilla et al., AAAI 2021), for modules with `AssignedLabels`: at the k-th
    time the fraction min(1, k · step) of the pool with the highest confidence is learned, those as sure as the last one
    too. Before the first time only labeled samples are. In the paper the weights start anew each time; here they go on,
    so that one training is enough.

    Args:
        start_epoch: Epoch, counted from 0, at whose start the pool is labelled first.
        every_epochs: Epochs from one time to the next.
        step: By how much the fraction grows each time, in (0, 1].

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> CurriculumLabels(start_epoch=10, every_epochs=5).fraction_at(15)
        Fraction(2, 5)
    """

    def __init__(self, start_epoch: int = 10, every_epochs: int = 10, step: float = 0.2) -> None:
        check_rounds("CurriculumLabels", start_epoch, every_epochs)
        if not 0 < step <= 1:
            raise ValueError(f"CurriculumLabels.step: {step} is no fraction in (0, 1]; 0.2 is usual")
        self.start_epoch, self.every_epochs, self.step = start_epoch, every_epochs, step

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a module that takes no labels.

        Raises:
            TypeError: If module or datamodule are none of the zoo's.
            ValueError: If the module has no pseudo-labels, or finds them itself, or a teacher gives it others.
        """
        if stage != "fit":
            return
        require_takes_labels(self, trainer, pl_module)
        warn_if_never("CurriculumLabels", self.start_epoch, trainer.max_epochs)
        if any(isinstance(each, TeacherLabels) for each in trainer.callbacks):  # type: ignore[attr-defined]
            raise ValueError("CurriculumLabels would replace the labels of TeacherLabels: remove one of the two")

    def fraction_at(self, epoch: int) -> Fraction:
        """Returns the fraction of the pool that is learned from an epoch on at which it is labelled; 0 at all others.

        As the step is written: as floats, 3 · 0.2 is more than 0.6.
        """
        return min(Fraction(1), round_at(epoch, self.start_epoch, self.every_epochs) * Fraction(str(self.step)))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hands over that there are no labels yet, for the epochs before the first time."""
        if trainer.current_epoch < self.start_epoch:
            positions = len(trainer.datamodule.targets)  # type: ignore[attr-defined]
            nothing = torch.full((positions,), ABSENT)
            require_takes_labels(self, trainer, pl_module).assign(nothing, torch.zeros(positions), 1.0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Labels the pool, if it is time."""
        if not (fraction := self.fraction_at(trainer.current_epoch)):
            return
        method = require_takes_labels(self, trainer, pl_module)
        found = pool_answers(trainer, pl_module)
        threshold = lowest_of_highest(found.confidence[~method.barred(found.index)], fraction)
        label, confidence = (by_position(trainer, found.index, values) for values in (found.label, found.confidence))
        method.assign(label, confidence, threshold)


def lowest_of_highest(confidence: Tensor, fraction: Fraction) -> float:
    """Returns the smallest of the ⌈fraction · n⌉ largest confidences `[n]`; 1 where there are none."""
    if not len(confidence):
        return 1.0
    return float(confidence.sort(descending=True).values[ceil(fraction * len(confidence)) - 1])
