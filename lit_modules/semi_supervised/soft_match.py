import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.distributed import mean_over_processes, process_count
from litzoo.lit_modules.semi_supervised.base import PseudoLabels, Student, UnlabeledTerm, frozen_running_statistics


class SoftMatch(PseudoLabels):
    """FixMatch with a weight for each sample instead of a threshold (Chen et al. 2023, SoftMatch).

    With μ and σ² the running mean and variance of the confidence on the pool, a confidence of at least μ has weight 1,
    a lower one exp(−(confidence − μ)² · deviations² / 2σ²). So early, uncertain labels are learned a little, and the
    weights become stricter as the network becomes sure. μ starts at 1/K and σ² at 1.

    With `align`, the confidences that the weights are computed from are aligned, but not the labels, as in the authors'
    code. They align to uniform classes; here the labeled samples' fractions are used, which are uniform in their
    experiments.

    Args:
        weight: See `PseudoLabels`.
        align: See `PseudoLabels`, and above.
        deviations: How many times narrower than in the formula of the paper the weights fall off; 2 in the authors'
            code, 1 in the formula.
        memory: Decay rate of the running means, in [0, 1).

    Raises:
        ValueError: If an option is out of range.
    """

    schedulable = ("weight",)

    def __init__(self, weight: float = 1.0, align: bool = True, deviations: float = 2.0, memory: float = 0.999) -> None:
        super().__init__(weight, threshold=0.0, align=align)
        if not 0 < deviations < float("inf"):
            raise ValueError(f"SoftMatch.deviations: {deviations} is not a finite number above 0; 2 is usual")
        if not 0 <= memory < 1:
            raise ValueError(f"SoftMatch.memory: {memory} is outside [0, 1); 0.99 and 0.999 are usual")
        self.deviations, self.memory = deviations, memory

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Computes the weighted cross-entropy of strongly augmented images."""
        unlabeled = batch["unlabeled"]
        with torch.no_grad():
            weak = student(unlabeled["weak"]).float()
            confidence, label = weak.softmax(dim=1).max(dim=1)
            aligned = self.probabilities(weak, student).max(dim=1).values
            weights = self.sample_weights(aligned, 1 / weak.shape[1]) * ~self.barred(unlabeled["index"])
        with frozen_running_statistics(student):
            logits = student(unlabeled["strong"]).float()
        losses = F.cross_entropy(logits, label, reduction="none")
        return UnlabeledTerm((losses * weights).sum() / len(losses), label, confidence, weights > 0)

    def sample_weights(self, confidence: Tensor, start: float) -> Tensor:
        """Updates the running mean and variance, and returns the weights of the samples, `[U]`, in [0, 1].

        Args:
            confidence: Predicted probability of the most probable class, `[U]`.
            start: μ before the first step, 1/K.
        """
        if "confidence" not in self._state:
            self._state |= {"confidence": confidence.new_tensor(start), "variance": confidence.new_ones(())}
        moments = mean_over_processes(torch.stack([confidence.mean(), confidence.square().mean()]))
        size = len(confidence) * process_count()
        variance = (moments[1] - moments[0].square()).clamp(min=0) * size / max(size - 1, 1)
        for name, value in {"confidence": moments[0], "variance": variance}.items():
            self._state[name] = torch.lerp(value, self.state_on(name, confidence.device), self.memory)
        below = (confidence - self._state["confidence"]).clamp(max=0)
        return (-(below * self.deviations).square() / (2 * self._state["variance"]).clamp(min=1e-12)).exp()

    def current_threshold(self) -> float:
        """Returns μ, from which on a sample has weight 1."""
        return float(self._state.get("confidence", 0.0))
