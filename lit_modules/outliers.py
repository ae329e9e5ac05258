"""Outlier exposure: a classifier learns from synthetic images of no class to be undecided about them."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor


class Outliers(ABC):
    """Makes images of no known class from each training batch; the model's prediction for them is to be uniform.

    The cross-entropy of the uniform distribution and the prediction for the outliers is added to the loss (Hendrycks,
    Mazeika & Dietterich, ICLR 2019).

    Args:
        weight: Weight of the added term; above 0.

    Raises:
        ValueError: If the weight is not above 0.
    """

    def __init__(self, weight: float = 0.5) -> None:
        if not 0 < weight < float("inf"):
            raise ValueError(f"{type(self).__name__}.weight: {weight} is not above 0; 0.5 is usual")
        self.weight = weight

    @abstractmethod
    def __call__(self, inputs: Tensor) -> Tensor:
        """Returns outliers `[B, ...]`, made of augmented and normalised training inputs `[B, ...]`."""

    def loss(self, logits: Tensor) -> Tensor:
        """Returns the added term for the logits of outliers, `[B, K]`."""
        return -self.weight * logits.log_softmax(dim=1).mean()


class ShuffledPieces(Outliers):
    """Training images that are cut into a grid whose pieces are put together in random order.

    They have the textures of known classes, but not their shapes. For data in which shapes tell the classes apart.

    Args:
        pieces: Pieces in each row and column of the grid, at least 2. Pixels that are left over at the end stay.
        weight: See `Outliers`.

    Raises:
        ValueError: If there are fewer than 2 pieces; when called, if the inputs are not images of at least so many
            pixels in each direction.
    """

    def __init__(self, pieces: int = 4, weight: float = 0.5) -> None:
        super().__init__(weight)
        if pieces < 2:
            raise ValueError(f"ShuffledPieces.pieces: {pieces} leaves the images as they are; give at least 2")
        self.pieces = pieces

    def __call__(self, inputs: Tensor) -> Tensor:
        """Returns shuffled images, `[B, C, H, W]`."""
        if inputs.ndim != 4 or min(inputs.shape[2:]) < self.pieces:
            raise ValueError(
                f"ShuffledPieces.pieces: {self.pieces} × {self.pieces} of inputs of shape {list(inputs.shape[1:])}; it "
                "needs images [C, H, W] of at least so many pixels"
            )
        count, channels, *size = inputs.shape
        high, wide = (side // self.pieces for side in size)
        rows, columns = high * self.pieces, wide * self.pieces
        cells = inputs[:, :, :rows, :columns].unflatten(2, (self.pieces, high)).unflatten(4, (self.pieces, wide))
        cells = cells.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # [B, pieces², C, high, wide]
        order = torch.rand(count, self.pieces**2, device=inputs.device).argsort(dim=1)
        cells = cells.gather(1, order[:, :, None, None, None].expand_as(cells))
        shuffled = inputs.clone()
        shuffled[:, :, :rows, :columns] = (
            cells.unflatten(1, (self.pieces, self.pieces))
            .permute(0, 3, 1, 4, 2, 5)
            .reshape(count, channels, rows, columns)
        )
        return shuffled


def exposed_loss(module: Any, outliers: Outliers, batch: Any) -> tuple[Tensor, Tensor]:
    """Returns logits `[B, K]` of a training batch, and its objective with the term of outliers made from it.

    Args:
        module: A `Classifier`.
        outliers: Makes the outliers.
        batch: A labeled batch.
    """
    inputs = batch["input"]
    logits, others = module(torch.cat([inputs, outliers(inputs)])).split(len(inputs))
    return logits, module.objective(logits, batch, batch["target"]) + outliers.loss(others)
