from typing import Any

import torch
from torch import Tensor

from datamodules.batch import SemiSupervisedBatch
from lit_modules.pseudo_labels import PseudoLabels, Student


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
            f"given {', '.join(batch)}: serve datamodules.batch.SemiSupervisedBatch, or leave pseudo_labels out"
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
