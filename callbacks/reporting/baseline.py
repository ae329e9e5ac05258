"""What a test says of the answer that needs no model: always the most frequent class, or the mean of the targets."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.collecting import CollectsTestOutputs
from litzoo.datamodules.batch import UNKNOWN

NOTEWORTHY = 1.5
"""How many times as often as by chance the most frequent class has to occur for its accuracy to be said."""


class Baseline(CollectsTestOutputs):
    """Says below the metrics of a test how good it would be to answer always the same.

    For a classifier that is the class that is most frequent in training, said where it is right in 1.5 times as many
    test samples as one of K classes is by chance, or as often as the model; for a regressor the mean of the training
    targets, with its RMSE. A model that is not better is called so.

    Attributes:
        remarks: What the summary of a test says below its metrics.
    """

    def __init__(self) -> None:
        super().__init__("target", "answer")
        self.remarks: list[str] = []

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Discards what an earlier test has said."""
        super().on_test_epoch_start(trainer, pl_module)
        self.remarks = []

    def collected(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], batch: Any
    ) -> dict[str, Tensor] | None:
        """Returns the targets, and the model's answers: the likeliest class, or the number."""
        answer = outputs["logits"].argmax(dim=1) if "logits" in outputs else outputs["prediction"]
        return {"index": outputs["index"], "target": outputs["target"], "answer": answer}

    def evaluate_test(self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Compares the model with the baseline."""
        module: Any = pl_module
        if hasattr(module, "class_counts"):
            known = outputs["target"] != UNKNOWN
            if bool(known.any()) and bool(module.class_counts.any()):
                self.remarks = _of_classes(module, outputs["target"][known], outputs["answer"][known])
        elif hasattr(module, "target_mean") and (module.target_mean, module.target_std) != (0, 1):  # not known
            self.remarks = [_of_numbers(float(module.target_mean), outputs["target"], outputs["answer"])]


def _of_classes(module: Any, target: Tensor, answer: Tensor) -> list[str]:
    most = int(module.class_counts.argmax())
    right, own = int((target == most).sum()), int((target == answer).sum())
    text = (
        f"Always answering {module.class_names[most]!r}, the most frequent class in training, is right in "
        f"{right / len(target):.2%} of these samples"
    )
    stands_out = right * len(module.class_counts) >= NOTEWORTHY * len(target)
    if own <= right and not stands_out:
        return [f"{text}, and the model in {own / len(target):.2%}: it is no better."]
    if own <= right:
        return [
            f"{text}, and the model in {own / len(target):.2%}: judge it by the accuracy of each class, not by acc."
        ]
    return [f"{text}."] if stands_out else []


def _of_numbers(mean: float, target: Tensor, answer: Tensor) -> str:
    target, answer = target.double(), answer.double()
    constant, own = (float((target - each).square().mean().sqrt()) for each in (mean, answer))
    text = f"Always answering {mean:,.6g}, the mean of the training targets, has an RMSE of {constant:,.6g} here"
    return f"{text}, and the model of {own:,.6g}: it is no better." if not own < constant else f"{text}."
