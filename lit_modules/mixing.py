"""Mixing of sample pairs: batch transforms that work with any loss and any classifier."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class BatchMix(ABC):
    """Mixes every sample of a batch with another one; the losses for both targets are weighted by their fractions.

    Args:
        alpha: The fraction of the first sample is drawn once per batch from a Beta(alpha, alpha) distribution; above 0.

    Raises:
        ValueError: If alpha is not above 0.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        if not 0 < alpha < float("inf"):
            raise ValueError(f"{type(self).__name__}.alpha: {alpha} is not above 0; 0.2 and 1.0 are usual")
        self.alpha = alpha

    def __call__(self, inputs: Tensor, eligible: Tensor | None = None) -> tuple[Tensor, Tensor, float]:
        """Mixes a batch.

        Args:
            inputs: `[B, ...]`.
            eligible: Which samples are mixed with each other, bool `[B]`, all by default; the partner of any other
                sample is the sample itself.

        Returns:
            The mixed inputs, the position of each sample's partner in the batch, `[B]`, and the sample's own fraction.
        """
        alpha = torch.tensor(self.alpha, dtype=torch.float32)  # half-precision training changes the default dtype
        fraction = torch.distributions.Beta(alpha, alpha, validate_args=False).sample().item()
        partner = torch.randperm(len(inputs), device=inputs.device)
        if eligible is not None:
            partner = _partners_among(eligible, partner)
        mixed, fraction = self.mix(inputs, inputs[partner], fraction)
        return mixed, partner, fraction

    @abstractmethod
    def mix(self, own: Tensor, other: Tensor, fraction: float) -> tuple[Tensor, float]:
        """Mixes samples with their partners, `[B, ...]`; returns them and the exact fraction of `own`."""


def _partners_among(eligible: Tensor, permutation: Tensor) -> Tensor:
    """Returns a random permutation of the eligible positions, the others fixed, without waiting for the device.

    Args:
        eligible: bool `[B]`.
        permutation: A random permutation of all positions, int64 `[B]`; returned if all are eligible.
    """
    rank = torch.argsort(permutation)
    # Eligible positions first: in rising order, and in random order. The others follow in rising order in both.
    rising = torch.argsort((~eligible).int(), stable=True)
    position = torch.arange(len(eligible), device=eligible.device)
    shuffled = torch.argsort(torch.where(eligible, rank, len(eligible) + position))
    return torch.empty_like(permutation).scatter_(0, rising, shuffled)


class MixUp(BatchMix):
    """Interpolates whole inputs, fraction · own + (1 − fraction) · other (Zhang et al. 2018).

    Args:
        alpha: See `BatchMix`.
    """

    def mix(self, own: Tensor, other: Tensor, fraction: float) -> tuple[Tensor, float]:
        """Returns the weighted means."""
        return torch.lerp(other, own, fraction), fraction


class CutMix(BatchMix):
    """Replaces a rectangle of each image by that of its partner (Yun et al. 2019).

    The rectangle has the aspect ratio of the image and is centred anywhere in it; parts outside the image do not count.

    Args:
        alpha: See `BatchMix`.
    """

    def mix(self, own: Tensor, other: Tensor, fraction: float) -> tuple[Tensor, float]:
        """Returns images `[B, C, H, W]`.

        Raises:
            ValueError: If the inputs are not images.
        """
        if own.ndim != 4:
            raise ValueError(f"CutMix needs images [B, C, H, W], not inputs of shape {list(own.shape)}: use MixUp")
        height, width = own.shape[2:]
        half = (1 - fraction) ** 0.5 / 2
        middle = torch.rand(2).tolist()
        top, bottom = (round(height * min(max(middle[0] + side * half, 0), 1)) for side in (-1, 1))
        left, right = (round(width * min(max(middle[1] + side * half, 0), 1)) for side in (-1, 1))
        mixed = own.clone()
        mixed[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / (height * width)
