from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
)


def classification_scores(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Returns `loss` (plain cross-entropy) and `acc` of logits `[N, K]` and classes `[N]`."""
    return {"loss": F.cross_entropy(logits, target), "acc": (logits.argmax(dim=1) == target).float().mean()}


def detailed_classification_scores(logits: Tensor, target: Tensor, class_names: Sequence[str]) -> dict[str, Tensor]:
    """Returns what a test reports beyond loss and accuracy.

    Args:
        logits: `[N, K]`.
        target: Classes `[N]`.
        class_names: K names.

    Returns:
        `f1` (macro average), `ece` (expected calibration error, 15 bins, Guo et al. 2017), `acc/<class>` for each class
        that has a sample: the fraction of its samples that is recognised, and `balanced_acc`, the mean of these.
    """
    classes = len(class_names)
    recalls = multiclass_accuracy(logits, target, classes, average="none")
    # A softmax of exactly 1 would get a bin of its own.
    confidences = logits.softmax(dim=1).clamp(max=1 - 1e-7)
    present = target.bincount(minlength=classes) > 0
    return {
        "balanced_acc": recalls[present].mean(),
        "f1": multiclass_f1_score(logits, target, classes, average="macro"),
        "ece": multiclass_calibration_error(confidences, target, classes, n_bins=15, norm="l1"),
        # A slash in a name would open a sub-group in TensorBoard.
        **{
            f"acc/{name.replace('/', '-')}": recall
            for name, recall, there in zip(class_names, recalls, present, strict=True)
            if there
        },
    }
