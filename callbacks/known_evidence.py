from typing import Literal, Protocol, runtime_checkable

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.evaluated_part import Answers, ServesParts, evaluated_part
from callbacks.unknown_scores import Evidence


@runtime_checkable
class ServesKnown(ServesParts, Protocol):
    """A datamodule that serves the known samples as evaluation sees them, and knows what else is in the test set."""

    unknown_class_names: list[str]

    def true_class_names(self, index: Tensor) -> list[str]:
        """Returns what test samples really are."""
        ...


def known_evidence(
    trainer: Trainer, module: LightningModule, part: Literal["train", "val"], features: bool
) -> tuple[Evidence, Tensor]:
    """Runs the model on all known samples of a part of the split.

    Returns:
        What it makes of them, with features if they are wanted, and their targets, int64 `[N]`: the same in every
        process.
    """
    found = evaluated_part(trainer, module, part, features=features)
    return evidence_of(found), found["target"]


def evidence_names(module: Answers) -> list[str]:
    """Names what a module returns that scores look at."""
    return ["logits", "features"] if module.keeps_features else ["logits"]


def evidence_of(outputs: dict[str, Tensor]) -> Evidence:
    """Returns the evidence in what steps have returned; features `[N, 0]` where they are not kept."""
    logits = outputs["logits"]
    return Evidence(logits, outputs.get("features", logits[:, :0]))
