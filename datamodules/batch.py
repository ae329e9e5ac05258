"""The batch contract between datamodules, modules and callbacks."""

from typing import TypedDict

from torch import Tensor

UNKNOWN = -1
"""Target of a sample of an unknown (out-of-distribution) class."""


class _Batch(TypedDict):
    input: Tensor
    target: Tensor
    index: Tensor


class Batch(_Batch, total=False):
    """A batch as every module's `step` receives it.

    Attributes:
        input: Images `[B, C, H, W]` or table rows `[B, F]`, float32. (Loaders serve images as uint8; scaling and
            augmentation happen on the device, after the transfer.)
        target: Classes, int64 `[B]`, `UNKNOWN` for unknown classes; or values, float32 `[B]`.
        index: Indices into the full training set (or test set), int64 `[B]`, the same on every rank and throughout the
            run.
        clean_target: The true classes, int64 `[B]`, if labels were corrupted on purpose. For diagnostics only: no loss
            may read it.
    """

    clean_target: Tensor


class UnlabeledBatch(TypedDict):
    """Unlabeled images in two views.

    Attributes:
        weak: Images `[B, C, H, W]`, float32, with the augmentation of labeled images.
        strong: The same images with stronger augmentation.
        index: Indices into the full training set, int64 `[B]`.
        clean_target: The hidden classes, int64 `[B]`, `UNKNOWN` for unknown classes. For diagnostics only: no loss may
            read it.
    """

    weak: Tensor
    strong: Tensor
    index: Tensor
    clean_target: Tensor


class SemiSupervisedBatch(TypedDict):
    """The batch of a semi-supervised training step: a labeled and an unlabeled one, of independent sizes."""

    labeled: Batch
    unlabeled: UnlabeledBatch


class DetectionTarget(TypedDict):
    """The objects in an image.

    Attributes:
        boxes: Bounding boxes of the masks, `x0, y0, x1, y1` in pixels, float32 `[n, 4]`; the box of a mask of one pixel
            has width and height 1.
        labels: Classes, int64 `[n]`, from 1, since detectors reserve 0 for the background.
        masks: Masks, bool `[n, H, W]`.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor


class DetectionBatch(TypedDict):
    """Images with their objects.

    Attributes:
        input: Images of any sizes, float32 `[C, H, W]` from 0 to 1. (Loaders serve uint8, and targets without boxes;
            scaling and augmentation happen on the device, after the transfer.)
        target: The objects of each image.
        index: Indices into the full training set (or test set), int64 `[B]`.
    """

    input: list[Tensor]
    target: list[DetectionTarget]
    index: Tensor
