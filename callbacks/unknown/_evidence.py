from typing import Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.evaluation import Answers, ServesParts, evaluated_part
from litzoo.callbacks.reporting.classification import require_class_names
from litzoo.callbacks.reporting.predictions_csv import PredictionsCSV
from litzoo.callbacks.unknown.calibration import acceptance_threshold
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.scores import Evidence


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


def require_known_and_unknown(
    callback: Callback, detection: UnknownDetection, trainer: Trainer, pl_module: LightningModule, stage: str
) -> None:
    """Refuses what unknown classes cannot be told from.

    Raises:
        TypeError: If the module does not classify, or the datamodule has no classes.
        ValueError: If no class is unknown, there is nothing, or too little, to calibrate on, or predictions would be
            written before they are final.
    """
    require_class_names(callback, "tells known classes from unknown ones", pl_module)
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(pl_module, Answers) or not isinstance(datamodule, ServesKnown):
        raise TypeError(
            f"UnknownClassDetector needs a classifier and data of the zoo, not {type(pl_module).__name__} and "
            f"{type(datamodule).__name__}"
        )
    if detection.uses_features:
        require_features(callback, pl_module)
    if not datamodule.unknown_class_names:
        raise ValueError(
            "UnknownClassDetector: every class is known; name those to learn in data.known_classes, so that the "
            "others are unknown, or another data set in data.unknowns"
        )
    if stage == "fit" and detection.fixed is None and not datamodule.validates:
        raise ValueError(
            "UnknownClassDetector calibrates its threshold on validation samples, but data.val_size is 0: set it, "
            "or give a threshold"
        )
    if stage == "fit" and detection.fixed is None and datamodule.val_set is not None:
        acceptance_threshold(torch.zeros(len(datamodule.val_set)), detection.acceptance)  # refuses too few
    order = [type(each) for each in trainer.callbacks]  # type: ignore[attr-defined]
    if stage == "predict" and PredictionsCSV in order[: order.index(type(callback))]:
        raise ValueError("UnknownClassDetector: list it before PredictionsCSV, which would miss what it finds")


def require_features(callback: Callback, module: LightningModule) -> None:
    """Refuses a module whose network does not tell its features.

    Raises:
        TypeError: If that is so.
    """
    net = getattr(module, "net", None)
    if not (hasattr(net, "features") and hasattr(net, "head")):
        raise TypeError(
            f"{type(callback).__name__}: a score looks at features, which {type(net).__name__} does not tell: give it "
            "features(x) and a head, or choose a score of logits such as MaxLogit"
        )
