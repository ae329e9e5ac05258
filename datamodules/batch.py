"""The batch contract: the one thing that datamodules, modules and callbacks all know."""

from typing import TypedDict

from torch import Tensor

UNKNOWN = -1
"""Target of a sample whose class the model was never shown."""


class Batch(TypedDict):
    """What every loader serves and every module's `step` receives.

    Attributes:
        input: Pictures `[B, C, H, W]` or table rows `[B, F]`, float32. (A loader serves pictures as uint8; scaling
            and augmentation happen on the device, after the transfer.)
        target: Classes, int64 `[B]`, `UNKNOWN` where the class is not among the known ones; or values, float32 `[B]`.
        index: Positions in the full training set (or test set), int64 `[B]`: the same on every rank and for the
            whole run.
    """

    input: Tensor
    target: Tensor
    index: Tensor
