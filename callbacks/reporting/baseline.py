"""What a test says beside its metrics: how exactly the accuracy is known, and what needs no model."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from scipy.stats import binomtest
from torch import Tensor

from litzoo.callbacks.collecting import CollectsTestOutputs
from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.counted import counted

NOTEWORTHY = 1.5
"""How many times as often as by chance the most frequent class has to occur for its accuracy to be said."""


class Baseline(CollectsTestOutputs):
    """Says below a test's metrics how exactly the accuracy is known, and how good always the same answer would be.

    The accuracy of a classifier gets a 95 % interval (Wilson 1927): where that of many more samples like these would
    be. It does not cover what another training or another split would change.

    The constant answer of a classifier is the class that is most frequent in training, said where it is right in 1.5
    times as many test samples as one of K classes is by chance, or as often as the model; for a regressor the mean of
    the training targets, with its RMSE. A model that is not better is called so.

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
    return [_interval(target, answer), *_of_constant(module, target, answer)]


def _interval(target: Tensor, answer: Tensor) -> str:
    right, samples = int((target == answer).sum()), len(target)
    low, high = binomtest(right, samples).proportion_ci(0.95, "wilson")
    return (
        f"{right:,} of {counted(samples, 'sample', 'samples')} are classified correctly: the accuracy for samples like "
        f"these is from {low:.2%} to {high:.2%} (95 % interval)."
    )


def _of_constant(module: Any, target: Tensor, answer: Tensor) -> list[str]:
    most = int(module.class_counts.argmax())
    right, own = int((target == most).sum()), int((target == answer).sum())
    text = (
        f"Always answering {module.class_names[most]!r}, the most frequent class in training, is right in "
        f"{right / len(target):.2%} of them"
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
