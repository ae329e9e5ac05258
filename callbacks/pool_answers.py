from dataclasses import dataclass

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.evaluated_part import Answers, ServesParts, evaluated_part
from callbacks.pool_learner import LearnsPool, TakesLabels, pool_learner


@dataclass(frozen=True)
class PoolAnswers:
    """What a model answers for each sample of the unlabeled pool, in the order of `index`, on the CPU.

    Attributes:
        label: The likeliest class, int64 `[U]`.
        confidence: Its probability, float32 `[U]`.
        index: Position in the full training set, int64 `[U]`.
    """

    label: Tensor
    confidence: Tensor
    index: Tensor


def pool_answers(trainer: Trainer, module: LightningModule) -> PoolAnswers:
    """Runs a model in evaluation mode on the whole pool; every process has to call it, and gets the same."""
    found = evaluated_part(trainer, module, "unlabeled", "labels")
    confidence, label = found["logits"].softmax(dim=1).max(dim=1)
    return PoolAnswers(label.cpu(), confidence.cpu(), found["index"].cpu())


def by_position(trainer: Trainer, index: Tensor, values: Tensor) -> Tensor:
    """Spreads values of samples at positions `[U]` over the full training set `[N]`; elsewhere they are 0."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    spread = torch.zeros(len(datamodule.targets), dtype=values.dtype)
    spread[index] = values
    return spread


def require_pool_learner(callback: Callback, trainer: Trainer, module: LightningModule) -> LearnsPool:
    """Returns how a module learns from a pool that can be run through it.

    Raises:
        TypeError: If the module does not show its answers, or the datamodule does not serve its parts.
        ValueError: If the module has no pseudo-labels.
    """
    method = pool_learner(callback, module)
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(module, Answers) or not isinstance(datamodule, ServesParts):
        raise TypeError(
            f"{type(callback).__name__} needs a classifier and data of the zoo, not {type(module).__name__} and "
            f"{type(datamodule).__name__}"
        )
    return method


def require_takes_labels(callback: Callback, trainer: Trainer, module: LightningModule) -> TakesLabels:
    """Returns how a module learns labels that it is given.

    Raises:
        TypeError: As `require_pool_learner`.
        ValueError: If the module has no pseudo-labels, or finds them itself.
    """
    method = require_pool_learner(callback, trainer, module)
    if not isinstance(method, TakesLabels):
        raise ValueError(
            f"{type(callback).__name__} assigns labels, but {type(method).__name__} finds its own: set "
            "model.pseudo_labels to lit_modules.AssignedLabels, or remove the callback"
        )
    return method
