import math

import torch

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.losses.base import one_hot
from litzoo.lit_modules.mixing import MixUp
from litzoo.lit_modules.semi_supervised.base import (
    PseudoLabels,
    Student,
    UnlabeledTerm,
    frozen_running_statistics,
)


class SoftMixUp(PseudoLabels):
    """Soft pseudo-labels with MixUp (Arazo et al. 2020, "Pseudo-Labeling and Confirmation Bias").

    An unlabeled sample is mixed with a labeled or unlabeled sample of the batch, and learns the mixture of both labels;
    the label of an unlabeled sample is its predicted probabilities. Two regularizers prevent predicting a single class
    and staying uncertain: the Kullback-Leibler divergence from uniform classes to the mean prediction, and the mean
    entropy, both times the fraction of the batch that is used. In the paper the probabilities are from the previous
    epoch, here from the same step.

    Args:
        weight: See `PseudoLabels`.
        threshold: See `PseudoLabels`; 0, as in the paper, uses all samples.
        align: See `PseudoLabels`.
        alpha: Parameter of the Beta distribution of the mixing fractions, above 0.
        even: Weight of the divergence, at least 0.
        entropy: Weight of the entropy, at least 0.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        weight: float = 1.0,
        threshold: float = 0.0,
        align: bool = False,
        alpha: float = 4.0,
        even: float = 0.8,
        entropy: float = 0.4,
    ) -> None:
        super().__init__(weight, threshold, align)
        for name, value in [("even", even), ("entropy", entropy)]:
            if not 0 <= value < float("inf"):
                raise ValueError(f"SoftMixUp.{name}: {value} is not a finite number from 0 up")
        self.mix, self.even, self.entropy = MixUp(alpha), even, entropy

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Computes the cross-entropy for mixed labels, and both regularizers."""
        labeled, unlabeled = batch["labeled"], batch["unlabeled"]
        with torch.no_grad():
            probabilities = self.probabilities(student(unlabeled["weak"]), student)
        confidence, label = probabilities.max(dim=1)
        used = self.usable(confidence, label, unlabeled["index"])
        targets = one_hot(labeled["target"], probabilities.shape[1])
        # Samples that are not used are not mixed into others either; they stay in the batch for batch norm.
        # Masks instead of a selection, whose size the host would have to wait for.
        eligible = torch.cat([torch.ones_like(labeled["target"], dtype=torch.bool), used])
        mixed, partner, fraction = self.mix(torch.cat([labeled["input"], unlabeled["weak"]]), eligible)
        soft = torch.cat([targets, probabilities])
        soft = torch.lerp(soft[partner], soft, fraction)[len(targets) :]
        with frozen_running_statistics(student):
            logits = student(mixed[len(targets) :]).float()
        mask = used[:, None]
        log_softmax = torch.where(mask, logits, 0).log_softmax(dim=1)
        predicted = log_softmax.exp() * mask
        loss = -(soft * log_softmax * mask).sum() / len(label)
        mean = (predicted.sum(dim=0) / used.sum().clamp(min=1)).clamp(min=1e-12)
        divergence = -(mean.log().mean() + math.log(len(mean)))
        entropy = -(predicted * log_softmax).sum()
        loss = loss + (used.sum() * self.even * divergence + self.entropy * entropy) / len(label)
        return UnlabeledTerm(loss, label, confidence, used)
