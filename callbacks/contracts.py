"""What callbacks need of a module or datamodule that is not one of litzoo's own.

A LightningModule or LightningDataModule with these attributes and methods works with the callbacks named at each class;
it does not have to inherit from anything here. litzoo's classifiers and image datamodules satisfy all of them but
`DetectsObjects`, which is for detectors such as `MaskRCNNSegmenter`. Where a module is no `PredictsLogits`, its
`predict_step` is called; where the data are no `ServesParts`, the trainer's loaders are used (`plain_modules.py`).

The callbacks for pseudo-labels also need a module whose attribute `pseudo_labels` is a
`litzoo.lit_modules.PseudoLabels`, or, to assign labels, an `AssignedLabels`.
"""

from collections.abc import Iterator, Sequence, Sized
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor

Part = Literal["train", "val", "calibration", "unlabeled"]
"""A part of the training set that a model can be evaluated on."""
STEP_OUTPUTS = (
    "in a module of your own, set class_names, and return from training_step, validation_step, test_step and "
    "predict_step a dictionary with logits [B, K], target and index, int64 [B], and features [B, D] for what reads them"
)
"""What callbacks need of a module that is not one of litzoo's, for messages."""


@runtime_checkable
class HasClassNames(Protocol):
    """Module: the names of its K classes.

    For `ConfusionMatrixFigure`, `PredictionGrid`, `NoisyLabelFinder`, `PseudoLabelReport`, `TeacherLabels` and
    `UnknownClassDetector`; `PredictionsCSV` then adds a column of names.

    Attributes:
        class_names: K names, in the order of the logits.
    """

    class_names: Sequence[str]


def require_class_names(callback: Callback, purpose: str, module: LightningModule) -> None:
    """Checks that a module has class names.

    Args:
        callback: The callback that needs them.
        purpose: What the callback does with them, for the message: "draws classes".
        module: The module.

    Raises:
        TypeError: If the module has no `class_names`.
    """
    if not isinstance(module, HasClassNames):
        raise TypeError(
            f"{type(callback).__name__} {purpose}, but {type(module).__name__} has no class_names: remove the callback "
            f"or choose a classifier; {STEP_OUTPUTS}"
        )


@runtime_checkable
class PredictsLogits(Protocol):
    """Module: a classifier whose logits, and on request features, can be computed for any batch.

    For `UnknownClassDetector`, `UnknownPoolFilter`, `CurriculumLabels`, `TeacherLabels` and the feature cache of
    `GradualUnfreezing`.

    Attributes:
        keeps_features: Whether features are returned; the callback sets it, the module starts with False.
    """

    keeps_features: bool

    def features_and_logits(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Returns `{"features": float32 [B, D]}`, or `{}` without `keeps_features`, and logits `[B, K]`.

        With a further parameter `test_time: bool = False`, callbacks that are calibrated for a test, such as
        `UnknownClassDetector`, set it: the outputs are then those of the test, for example with test-time augmentation.

        Args:
            x: Inputs `[B, ...]`, on the module's device. The module is in evaluation mode.
        """
        ...


@runtime_checkable
class DetectsObjects(Protocol):
    """Module: an object detector, for `DetectionProgress` and `DetectionGrid`.

    Attributes:
        class_names: K names; label 1 is the first (0 is the background).
    """

    class_names: Sequence[str]

    def detect(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Returns the detections of each image, without gradients, as in evaluation mode; the mode is restored.

        Args:
            images: float32 `[3, H, W]` from 0 to 1 each, on the module's device.

        Returns:
            For each image `boxes` float32 `[n, 4]` (x0, y0, x1, y1), `labels` int64 `[n]`, `scores` float32 `[n]` and
            `masks` bool `[n, H, W]`.
        """
        ...


@runtime_checkable
class ServesParts(Protocol):
    """Datamodule: each part of the full training set as it is evaluated, without augmentation.

    For the same callbacks as `PredictsLogits`.

    Attributes:
        targets: One target for each of the N positions in the full training set.
        train_set: Training samples; None before `setup`, like the two others.
        val_set: Validation samples.
        unlabeled_set: The unlabeled pool, where there is one.
        validates: Whether there are validation samples.
        eval_batch_size: Samples in an evaluation batch.
    """

    targets: Sized | None
    train_set: Sized | None
    val_set: Sized | None
    unlabeled_set: Sized | None
    validates: bool
    eval_batch_size: int

    def evaluation_batches(self, part: Part, device: torch.device) -> Iterator[Any]:
        """Yields this process's batches of a part, on a device, each sample once and in order.

        Each batch has `input` `[B, ...]`, `target` int64 `[B]` and `index` int64 `[B]`, the position in the full
        training set; batches of the unlabeled part have no `target`.
        """
        ...


@runtime_checkable
class ReservesCalibration(Protocol):
    """Datamodule: can keep a part of the validation set for a calibration, for `UnknownClassDetector`.

    Attributes:
        calibration_set: The samples that are kept, the part `calibration`; None if there are none.
    """

    calibration_set: Sized | None

    def reserve_calibration(self, fraction: float) -> None:
        """Keeps a fraction of the validation samples, in [0, 1), out of the validation; replaces an earlier call."""
        ...


@runtime_checkable
class ServesUnknownClasses(ServesParts, Protocol):
    """Datamodule: a test in which samples may belong to no known class (target -1).

    For `UnknownClassDetector`.

    Attributes:
        unknown_class_names: Names of the unknown classes in the test set; empty where every class is known.
    """

    unknown_class_names: list[str]

    def true_class_names(self, index: Tensor) -> list[str]:
        """Returns the true class names of test samples at positions `[n]`, of unknown classes too."""
        ...


@runtime_checkable
class HasTestImages(Protocol):
    """Datamodule: the test samples are images. For `PredictionGrid` and the figures of `UnknownClassDetector`."""

    def test_images(self, index: Tensor) -> Tensor:
        """Returns the images of test samples at positions `[n]`, unscaled: uint8 `[n, C, H, W]`."""
        ...


@runtime_checkable
class HasTrainImages(Protocol):
    """Datamodule: the training samples are images. For the figures of `NoisyLabelFinder` and `PseudoLabelReport`."""

    def train_images(self, index: Tensor) -> Tensor:
        """Returns the images at positions `[n]` in the full training set, unscaled: uint8 `[n, C, H, W]`."""
        ...


@runtime_checkable
class HasFeatureGroups(Protocol):
    """Datamodule: the samples are rows of a table. For `PermutationImportance`.

    Attributes:
        feature_groups: Column -> positions of its features in the input.
        test_set: The test rows, with `inputs` `[N, F]` and `targets` `[N]`.
        eval_batch_size: Samples in an evaluation batch.
    """

    feature_groups: dict[str, list[int]]
    test_set: Any
    eval_batch_size: int
