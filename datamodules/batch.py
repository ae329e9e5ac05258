"""The batch contract: the one thing that datamodules, modules and callbacks all know."""

from typing import TypedDict

from torch import Tensor

UNKNOWN = -1
"""Target of a sample whose class the model was never shown."""


class _Batch(TypedDict):
    input: Tensor
    target: Tensor
    index: Tensor


class Batch(_Batch, total=False):
    """What every loader serves and every module's `step` receives.

    Attributes:
        input: Images `[B, C, H, W]` or table rows `[B, F]`, float32. (A loader serves images as uint8; scaling
            and augmentation happen on the device, after the transfer.)
        target: Classes, int64 `[B]`, `UNKNOWN` where the class is not among the known ones; or values, float32 `[B]`.
        index: Positions in the full training set (or test set), int64 `[B]`: the same on every rank and for the
            whole run.
        clean_target: The true classes, int64 `[B]`, where labels were corrupted on purpose. For diagnostics: no loss
            may read it.
    """

    clean_target: Tensor


class UnlabeledBatch(TypedDict):
    """Images without labels, each seen twice.

    Attributes:
        weak: Images `[B, C, H, W]`, float32, augmented as labeled ones are.
        strong: The same images, augmented more.
        index: Positions in the full training set, int64 `[B]`.
        clean_target: The hidden classes, int64 `[B]`, `UNKNOWN` where the class is not among the known ones. For
            diagnostics: no loss may read it.
    """

    weak: Tensor
    strong: Tensor
    index: Tensor
    clean_target: Tensor


class SemiSupervisedBatch(TypedDict):
    """What semi-supervised training gets at every step: two batches, each of a size of its own."""

    labeled: Batch
    unlabeled: UnlabeledBatch


class DetectionTarget(TypedDict):
    """The objects in an image.

    Attributes:
        boxes: The smallest ones around the masks, `x0, y0, x1, y1` in pixels, float32 `[n, 4]`; a mask of one pixel has
            a box of width and height 1.
        labels: Their classes, int64 `[n]`: 1 is the first one, since detectors keep 0 for the background.
        masks: Which pixels belong to them, bool `[n, H, W]`.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor


class DetectionBatch(TypedDict):
    """Images with the objects in them.

    Attributes:
        input: Images of any sizes, float32 `[C, H, W]` from 0 to 1. (A loader serves uint8, and targets without
            boxes; scaling and augmentation happen on the device, after the transfer.)
        target: One for each image.
        index: Positions in the full training set (or test set), int64 `[B]`.
    """

    input: list[Tensor]
    target: list[DetectionTarget]
    index: Tensor
