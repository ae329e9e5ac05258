"""A compact network for small images, trained in minutes: the architecture of CIFAR-10's speed records."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 5e-4
"""Added to the eigenvalues before the square root, so that directions with almost no variance are not blown up."""


def whitening_filters(images: Tensor, patch: int, eps: float = EPS) -> Tensor:
    """Computes convolution filters whose outputs on patches of these images are uncorrelated, with variance 1.

    The filters are the eigenvectors of the patches' covariance, each divided by the square root of its eigenvalue,
    largest first (principal component whitening).

    Args:
        images: Float `[N, C, H, W]`, normalised as the network gets them.
        patch: Side of a patch in pixels.
        eps: Added to each eigenvalue.

    Returns:
        Filters, float32 `[C · patch², C, patch, patch]`.
    """
    channels = images.shape[1]
    size = channels * patch**2
    total, second, count = torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64), 0
    for chunk in images.split(500):  # all patches at once, in float64, would take gigabytes
        patches = F.unfold(chunk.float().cpu(), patch).transpose(1, 2).reshape(-1, size).double()
        total += patches.sum(0)
        second += patches.T @ patches
        count += len(patches)
    mean = total / count
    values, vectors = torch.linalg.eigh(second / count - torch.outer(mean, mean))
    filters = (vectors / (values.clamp(min=0) + eps).sqrt()).T.flip(0)
    return filters.reshape(size, channels, patch, patch).float()


class Whitening(nn.Module):
    """A convolution with fixed whitening filters and their negatives, and a trained bias (Page 2018).

    With both signs, an activation function after it loses neither half of a direction. The filters are a buffer:
    they are saved in checkpoints, and no optimizer or callback trains them.

    Args:
        channels: Channels of an image.
        patch: Side of the filters in pixels.
    """

    weight: Tensor

    def __init__(self, channels: int, patch: int = 2) -> None:
        super().__init__()
        self.patch, self.width = patch, 2 * channels * patch**2
        self.register_buffer("weight", torch.zeros(self.width, channels, patch, patch))
        self.bias = nn.Parameter(torch.zeros(self.width))

    @property
    def is_fitted(self) -> bool:
        """Whether the filters have been computed, or loaded from a checkpoint."""
        return bool(self.weight.any())

    def fit(self, images: Tensor) -> None:
        """Computes the filters from normalised training images, float `[N, C, H, W]`."""
        filters = whitening_filters(images, self.patch)
        self.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        """Returns `[B, 2 · C · patch², H - patch + 1, W - patch + 1]` for images `[B, C, H, W]`."""
        return F.conv2d(x, self.weight, self.bias)


class ShiftBatchNorm(nn.BatchNorm2d):
    """Batch normalisation with a trained shift, but no trained scale: it stays 1.

    Args:
        width: Number of channels.
        momentum: How far the running statistics move towards those of each training batch.
    """

    def __init__(self, width: int, momentum: float = 0.4) -> None:
        super().__init__(width, momentum=momentum)
        del self.weight
        self.register_buffer("weight", torch.ones(width))


class DiracConvolution(nn.Conv2d):
    """A 3×3 convolution that starts as the identity on its first channels (Dirac initialisation).

    Args:
        inputs: Channels of its input.
        outputs: Channels of its output.
        bias: Whether it has a bias, which starts at 0.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def reset_parameters(self) -> None:
        """Initialises the weights again."""
        super().reset_parameters()
        nn.init.dirac_(self.weight.data[: self.in_channels])
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class NormalHead(nn.Linear):
    """A linear layer without bias whose weights start with a variance of 1 / inputs.

    Args:
        inputs: Width of its input.
        outputs: Width of its output.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self) -> None:
        """Initialises the weights again."""
        super().reset_parameters()
        nn.init.normal_(self.weight, std=self.in_features**-0.5)


class CosineHead(nn.Module):
    """A linear layer whose weights are normalised for each class, so that logits of normalised features are cosines.

    Args:
        inputs: Width of its input.
        outputs: Width of its output.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialises the weights again; their lengths do not matter."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits `[B, outputs]` for features `[B, inputs]`."""
        return F.linear(x, F.normalize(self.weight))


class WhitenedCNN(nn.Module):
    """A compact convolutional network after CIFAR-10's speed records (Page 2018; Jordan 2024, arXiv:2404.00498).

    A fixed whitening layer, blocks of two 3×3 convolutions with max-pooling after the first, batch norm without scale,
    GELU, and a linear head without bias on the maximum over the image. Call `whitening.fit` with training images first.

    Args:
        input_shape: `(C, H, W)` of an image.
        num_classes: Number of outputs.
        widths: Channels of each block.
        logit_scale: Factor of the features, and thus of the logits.
        batch_norm: Whether the convolutions have batch norm; else they have biases.
        dropout: Dropout rate of the features, in [0, 1).
        cosine_scale: If given, features and the weights of each class are normalised, and the logits are their cosines
            times this number, instead of `logit_scale` times the product (the head of LDAM, Cao et al. 2019).

    Raises:
        ValueError: If a width is below 1, the image is too small to be halved once a block, or the dropout rate or
            the scale out of range.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        widths: Sequence[int] = (64, 256, 256),
        logit_scale: float = 1 / 9,
        batch_norm: bool = True,
        dropout: float = 0.0,
        cosine_scale: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: {dropout} is outside [0, 1)")
        if cosine_scale is not None and not 0 < cosine_scale < float("inf"):
            raise ValueError(f"cosine_scale: {cosine_scale} is not a finite number above 0; 30 is usual")
        channels, height, width = input_shape
        if not widths or min(widths) < 1:
            raise ValueError(f"widths: {list(widths)}; give the channels of at least one block, each at least 1")
        self.whitening = Whitening(channels)
        if (min(height, width) - self.whitening.patch + 1) >> len(widths) == 0:
            raise ValueError(
                f"widths: {len(widths)} blocks are too many for images of {height}×{width} pixels, which each block "
                "halves; give fewer"
            )
        inputs, blocks = self.whitening.width, []
        for outputs in widths:
            first, second = (DiracConvolution(width, outputs, bias=not batch_norm) for width in (inputs, outputs))
            # Pooling before the normalisation saves three quarters of its time and the activation's.
            normal = [[ShiftBatchNorm(outputs)] if batch_norm else [] for _ in range(2)]
            layers = [first, nn.MaxPool2d(2), *normal[0], nn.GELU(), second, *normal[1], nn.GELU()]
            blocks.append(nn.Sequential(*layers))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = (NormalHead if cosine_scale is None else CosineHead)(inputs, num_classes)
        self.logit_scale, self.cosine_scale = logit_scale, cosine_scale

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the head, `[B, widths[-1]]`, for images `[B, C, H, W]`."""
        maps = self.blocks(F.gelu(self.whitening(x)))
        # Not `amax`: compiled for bf16 on a CPU, its gradient divides by the number of maxima that it finds again, 0.
        pooled = F.adaptive_max_pool2d(maps, 1).flatten(1)
        scaled = pooled * self.logit_scale if self.cosine_scale is None else F.normalize(pooled) * self.cosine_scale
        return self.dropout(scaled)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits `[B, num_classes]` for images `[B, C, H, W]`."""
        return self.head(self.features(x))
