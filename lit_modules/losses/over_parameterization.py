import torch
from torch import Tensor

from litzoo.lit_modules.losses._sample_rows import _SampleRowsLoss
from litzoo.lit_modules.losses.base import Reduction, checked, one_hot

LEAST = 1e-4
"""Smallest entry of the sum of prediction and noise, which may be negative; the authors' value."""


class SparseOverParameterization(_SampleRowsLoss):
    """Cross-entropy of the prediction plus a learned noise s of each sample's label (Liu et al. 2022, SOP).

    s = u² · y − v² · (1 − y), with y the label as one-hot vector, and the sum p + s is scaled to add up to 1: where s
    explains a wrong label, the network does not have to memorise it. Each sample has a number u and K numbers v of its
    own. They start close to 0 and grow exponentially, so that s stays 0 for most samples: u by gradient descent on this
    cross-entropy, v on the squared distance of the predicted class (one-hot) plus s to y. The value is the network's
    objective, the cross-entropy. The paper's SOP+, with a consistency and a balance term, is not included.

    The learning rates are for the gradient of a sample's own loss, whatever the batch size: 10 in the paper, for the
    mean over its batches of 128, is 10 / 128 = 0.08 here. In trainings much shorter than the paper's 120 epochs, let u
    and v start larger.

    u and v are saved in checkpoints. In distributed training every process holds all of them.

    Args:
        lr_u: Learning rate of u, at least 0.
        lr_v: Learning rate of v, at least 0. The paper's is 10 times as large for asymmetric noise.
        start: Initial value of u and v, in [0, 1]. The paper draws it with this standard deviation; the sign makes no
            difference, since both are squared.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If a learning rate is negative, or the start outside [0, 1].
    """

    def __init__(
        self, lr_u: float = 0.08, lr_v: float = 0.08, start: float = 1e-8, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.lr_u, self.lr_v = self.in_range("lr_u", lr_u, 0), self.in_range("lr_v", lr_v, 0)
        self.start = self.in_range("start", start, 0, 1)

    def forward(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Returns the loss of logits `[B, K]`, classes `[B]` and the samples' positions in the training set `[B]`.

        In training, it then updates u and v of these samples.
        """
        logits = checked(logits, target)
        label = one_hot(target, logits.shape[1])
        probabilities = logits.softmax(dim=1)
        rows = self._rows_of(index, torch.cat([target[:, None], logits], dim=1)).to(logits.dtype)
        u, v = rows[:, :1], rows[:, 1:]
        noisy = probabilities + u**2 * label - v**2 * (1 - label)
        sums = noisy.clamp(min=LEAST)
        of_label, total = (sums * label).sum(dim=1), sums.sum(dim=1)
        if self.training:
            own, all_classes = of_label.detach()[:, None], total.detach()[:, None]
            u_gradient = 2 * u * (1 / all_classes - 1 / own) * (own > LEAST)
            predicted = one_hot(probabilities.argmax(dim=1), logits.shape[1])
            v_gradient = -4 * v * (predicted - v**2) * (1 - label)
            new = torch.cat([u - self.lr_u * u_gradient, v - self.lr_v * v_gradient], dim=1)
            self._store(index, new.clamp(-1, 1))
        return self.reduce((total / of_label).log())
