"""Logits and features of a module for unknown-class scores, and checks of module and data before they are used."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from litzoo.callbacks.calibration.part import calibration_part, require_before_csv
from litzoo.callbacks.contracts import (
    STEP_OUTPUTS,
    Part,
    PredictsLogits,
    ServesUnknownClasses,
    require_class_names,
)
from litzoo.callbacks.evaluation import evaluate_part, test_time_option
from litzoo.callbacks.plain_modules import parts_of, predicts
from litzoo.callbacks.unknown.calibration import require_samples
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.scores import Evidence, UnknownScore

_PREFIX = "unknown/"
"""Begins the keys of what single scores have observed, among the outputs of a step."""


def part_evidence(
    trainer: Trainer, module: LightningModule, part: Part, scores: Sequence[UnknownScore], test_time: bool = False
) -> tuple[Evidence, dict[str, Tensor]]:
    """Runs the model on all samples of a part, on request as tests and predictions do.

    Every process has to call it.

    Returns:
        What the scores read, and the outputs of `evaluate_part`: the same on every process.
    """
    features = any(score.uses_features for score in scores)

    def observe(inputs: Tensor) -> dict[str, Tensor]:
        return observed(scores, module, inputs, test_time)

    outputs = evaluate_part(
        trainer, module, part, features=features, test_time=test_time, extras=extra_keys(scores), observe=observe
    )
    return evidence_from(outputs), outputs


def linear_head_of(module: LightningModule) -> nn.Linear | None:
    """Returns the head of a module or its network, if it is a single linear layer."""
    head = getattr(getattr(module, "net", module), "head", None)
    return head if isinstance(head, nn.Linear) else None


def evidence_from(outputs: Mapping[str, Tensor]) -> Evidence:
    """Returns what scores read in the outputs of a step; features `[N, 0]` if there are none."""
    logits = outputs["logits"]
    extras = {key.removeprefix(_PREFIX): values for key, values in outputs.items() if key.startswith(_PREFIX)}
    return Evidence(logits, outputs.get("features", logits[:, :0]), extras)


def extra_keys(scores: Iterable[UnknownScore]) -> list[str]:
    """Returns the keys of what `observed` returns."""
    return [f"{_PREFIX}{type(score).__name__}.{name}" for score in scores for name in score.extras]


def observed(
    scores: Iterable[UnknownScore], module: LightningModule, inputs: Tensor, test_time: bool = True
) -> dict[str, Tensor]:
    """Returns what scores with `extras` ask for beside logits and features of a batch, `[B, ...]` each.

    Raises:
        ValueError: If a score returns other names than it asks for, or other than one row for each sample.
    """
    found: dict[str, Tensor] = {}
    for score in scores:
        if not score.extras:
            continue
        # Tests and predictions run without gradients; clones are tensors that may have some.
        with torch.inference_mode(False), torch.enable_grad():
            values = score.observe(inputs.clone(), _Logits(module, test_time))
        name = type(score).__name__
        shapes = {each: list(getattr(value, "shape", ())) for each, value in values.items()}
        if set(values) != set(score.extras) or any(shape[:1] != [len(inputs)] for shape in shapes.values()):
            raise ValueError(
                f"{name}.observe returned {shapes} for {len(inputs)} samples; {name}.extras asks for one row per "
                f"sample of each of {', '.join(score.extras)}"
            )
        found |= {f"{_PREFIX}{name}.{each}": values[each].detach() for each in score.extras}
    return found


def observed_in_test(
    scores: Iterable[UnknownScore], trainer: Trainer, module: LightningModule, batch: Any
) -> dict[str, Tensor]:
    """Returns what `observed` does, in the precision of the trainer, for a batch of a test or a prediction."""
    wanted = [score for score in scores if score.extras]
    if not wanted:
        return {}
    with trainer.precision_plugin.forward_context():
        return observed(wanted, module, batch["input"])


class _Logits(nn.Module):
    """The logits of a module as a function of its inputs."""

    def __init__(self, module: LightningModule, test_time: bool) -> None:
        super().__init__()
        self.module = module
        self.eval_options = test_time_option(module) if test_time else {}

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns logits `[B, K]`."""
        compute: Any = self.module.features_and_logits
        return compute(inputs, **self.eval_options)[1].float()


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
    if not isinstance(pl_module, PredictsLogits):
        if observing := [each for each, score in detection.scores.items() if score.extras]:
            raise TypeError(
                f"{name}: {observing[0]} runs the model itself, but {type(pl_module).__name__} has no "
                "features_and_logits; see PredictsLogits in litzoo.callbacks.contracts, or choose another score"
            )
    elif detection.uses_features:
        require_features(callback, pl_module)
    if stage == "fit" and detection.fixed_threshold is None and not datamodule.validates:
        raise ValueError(
            f"{name} calibrates its threshold on validation samples, but data.val_size is 0: set it, or give a fixed "
            "threshold; a trainer with loaders of your own needs val_dataloaders"
        )
    if stage == "fit" and detection.fixed_threshold is None and datamodule.val_set is not None:
        require_samples(name, len(calibration_part(datamodule)[1]), detection.acceptance)
    require_before_csv(callback, trainer, stage)


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
