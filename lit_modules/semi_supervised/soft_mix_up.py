import math

import torch
import torch.nn.functional as F

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.mixing import MixUp
from litzoo.lit_modules.semi_supervised.base import PseudoLabels, Student, UnlabeledTerm, statistics_kept


class SoftMixUp(PseudoLabels):
    """Soft labels, and samples mixed with one another (Arazo et al. 2020, "Pseudo-Labeling and Confirmation Bias").

    A pool sample is mixed with one of the labeled and unlabeled samples of the batch, and learns the mixture of both
    labels, of which its own and perhaps the other is what the network believes. Two terms keep the network from
    answering with one class, and from doubting for ever: the Kullback-Leibler divergence from even classes to the mean
    answer, and the mean entropy, both times the fraction of the batch that is learned from. In the paper beliefs are an
    epoch old, here those of the step.

    Args:
        weight: See `PseudoLabels`.
        threshold: See `PseudoLabels`; 0, as in the paper, learns from all samples.
        align: See `PseudoLabels`.
        alpha: Of the Beta distribution of the fractions, above 0.
        even: Weight of the first term, at least 0.
        entropy: Weight of the second, at least 0.

    Raises:
        ValueError: If one of them is out of range.
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
        """Returns the cross-entropies of mixed labels, and both terms."""
        labeled, unlabeled = batch["labeled"], batch["unlabeled"]
        with torch.no_grad():
            beliefs = self.beliefs(student(unlabeled["weak"]), student)
        confidence, label = beliefs.max(dim=1)
        used = self.usable(confidence, label, unlabeled["index"])
        given = F.one_hot(labeled["target"], beliefs.shape[1]).float()
        # Samples that are left out are nobody's partner either; they stay in the batch, for the sake of batch norm.
        mixed, partner, fraction = self.mix(torch.cat([labeled["input"], unlabeled["weak"][used]]))
        soft = torch.cat([given, beliefs[used]])
        soft = torch.lerp(soft[partner], soft, fraction)[len(given) :]
        images = unlabeled["weak"].clone()
        images[used] = mixed[len(given) :]
        with statistics_kept(student):
            answer = student(images)[used].float().log_softmax(dim=1)
        loss = -(soft * answer).sum() / len(label)
        if len(soft):
            mean = answer.exp().mean(dim=0).clamp(min=1e-12)
            even = -(mean.log().mean() + math.log(len(mean)))
            entropy = -(answer.exp() * answer).sum(dim=1).mean()
            loss = loss + len(soft) / len(label) * (self.even * even + self.entropy * entropy)
        return UnlabeledTerm(loss, label, confidence, used)
