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
        input: Pictures `[B, C, H, W]` or table rows `[B, F]`, float32. (A loader serves pictures as uint8; scaling
            and augmentation happen on the device, after the transfer.)
        target: Classes, int64 `[B]`, `UNKNOWN` where the class is not among the known ones; or values, float32 `[B]`.
        index: Positions in the full training set (or test set), int64 `[B]`: the same on every rank and for the
            whole run.
        clean_target: The true classes, int64 `[B]`, where labels were corrupted on purpose. For diagnostics: no loss
            may read it.
    """

    clean_target: Tensor


class UnlabeledBatch(TypedDict):
    """Pictures without labels, each seen twice.

    Attributes:
        weak: Pictures `[B, C, H, W]`, float32, augmented as labeled ones are.
        strong: The same pictures, augmented more.
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
