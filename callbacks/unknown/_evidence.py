"""Logits and features of a module for unknown-class scores, and checks of module and data before they are used."""

from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.calibration.part import calibration_part
from litzoo.callbacks.contracts import (
    STEP_OUTPUTS,
    PredictsLogits,
    ServesUnknownClasses,
    require_class_names,
)
from litzoo.callbacks.evaluation import evaluate_part
from litzoo.callbacks.plain_modules import parts_of, predicts
from litzoo.callbacks.reporting.predictions_csv import PredictionsCSV
from litzoo.callbacks.unknown.calibration import acceptance_threshold
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.scores import Evidence


def known_evidence(
    trainer: Trainer,
    module: LightningModule,
    part: Literal["train", "val", "calibration"],
    features: bool,
    test_time: bool = False,
) -> tuple[Evidence, Tensor]:
    """Runs the model on all samples of a part, which are of known classes, on request as tests and predictions do.

    Every process has to call it.

    Returns:
        Logits and, if requested, features, and the targets, int64 `[N]`: the same on every process.
    """
    outputs = evaluate_part(trainer, module, part, features=features, test_time=test_time)
    return evidence_from(outputs), outputs["target"]


def evidence_from(outputs: dict[str, Tensor]) -> Evidence:
    """Returns the logits and features in the outputs of a step; features `[N, 0]` if there are none."""
    logits = outputs["logits"]
    return Evidence(logits, outputs.get("features", logits[:, :0]))


def evidence_keys(features: bool) -> list[str]:
    """Returns the keys of the step outputs that `evidence_from` reads, with or without features."""
    return ["logits", "features"] if features else ["logits"]


def require_open_set(
    callback: Callback, detection: UnknownDetection, trainer: Trainer, pl_module: LightningModule, stage: str
) -> None:
    """Checks that module, data and callbacks are suitable for unknown-class detection.

    Raises:
        TypeError: If the module is not a classifier, or the datamodule has no classes.
        ValueError: If there are no or too few validation samples to calibrate on, or `PredictionsCSV` would write
            predictions before the detector changes them.
    """
    name = type(callback).__name__
    require_class_names(callback, "separates known classes from unknown ones", pl_module)
    datamodule = parts_of(trainer)
    if not predicts(pl_module) or not isinstance(datamodule, ServesUnknownClasses):
        raise TypeError(
            f"{name} needs a classifier and a datamodule with known and unknown classes, not "
            f"{type(pl_module).__name__} and {type(datamodule).__name__}; see PredictsLogits and ServesUnknownClasses "
            f"in litzoo.callbacks.contracts, or {STEP_OUTPUTS}"
        )
    if detection.uses_features and isinstance(pl_module, PredictsLogits):
        require_features(callback, pl_module)
    if stage == "fit" and detection.fixed_threshold is None and not datamodule.validates:
        raise ValueError(
            f"{name} calibrates its threshold on validation samples, but data.val_size is 0: set it, or give a fixed "
            "threshold; a trainer with loaders of your own needs val_dataloaders"
        )
    if stage == "fit" and detection.fixed_threshold is None and datamodule.val_set is not None:
        # Raises before the training if there will be too few scores.
        acceptance_threshold(torch.zeros(len(calibration_part(datamodule)[1])), detection.acceptance)
    order = [type(each) for each in trainer.callbacks]  # type: ignore[attr-defined]
    if stage == "predict" and PredictionsCSV in order[: order.index(type(callback))]:
        raise ValueError(
            f"{name}: list it before PredictionsCSV, which would otherwise write the predictions without it"
        )


def require_features(callback: Callback, module: LightningModule) -> None:
    """Checks that the network of a module has `features` and `head`.

    Raises:
        TypeError: If it does not.
    """
    net = getattr(module, "net", None)
    if not (hasattr(net, "features") and hasattr(net, "head")):
        raise TypeError(
            f"{type(callback).__name__}: a score reads features, but {type(net).__name__} has no features(x) and head: "
            "add them, or choose a score that reads logits only, such as MaxLogit"
        )
