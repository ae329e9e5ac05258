from collections.abc import Sequence

from torch import Tensor, nn


class CNN(nn.Module):
    """A convolutional network: stages of 3×3 convolutions, each stage followed by 2×2 max-pooling.

    Args:
        input_shape: `(C, H, W)` of an image.
        num_classes: Number of outputs.
        widths: Channels in each stage.
        depth: Convolutions in each stage.
        hidden: Widths of linear layers between the last stage and the head.
        batch_norm: Whether each convolution has batch norm before its ReLU.
        dropout: Dropout rate after each stage, elementwise.
        hidden_dropout: Dropout rate of each hidden linear layer.
        average_pool: Whether the last stage ends with global average pooling; otherwise it is flattened.

    Raises:
        ValueError: If a width or the depth is below 1, or the image too small to be halved in every stage.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        widths: Sequence[int],
        depth: int = 1,
        hidden: Sequence[int] = (),
        batch_norm: bool = True,
        dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        average_pool: bool = False,
    ) -> None:
        super().__init__()
        channels, height, width = input_shape
        for name, value in {"widths": widths, "hidden": hidden}.items():
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise TypeError(f"{name}: {value!r} is not a list; give one width for each, such as [32, 64]")
        if any(size < 1 for size in (*widths, depth, *hidden)):
            raise ValueError(f"widths {list(widths)}, depth {depth}, hidden {list(hidden)}: each must be at least 1")
        if min(height, width) >> len(widths) == 0:
            raise ValueError(
                f"widths: {len(widths)} stages halve a {height}×{width} image to nothing; "
                f"give at most {min(height, width).bit_length() - 1}"
            )
        layers: list[nn.Module] = []
        for stage_width in widths:
            for _ in range(depth):
                layers.append(nn.Conv2d(channels, stage_width, 3, padding=1, bias=not batch_norm))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(stage_width))
                layers.append(nn.ReLU(inplace=True))
                channels = stage_width
            layers.append(nn.MaxPool2d(2))
            if dropout:
                layers.append(nn.Dropout(dropout))
        if average_pool:
            layers.append(nn.AdaptiveAvgPool2d(1))
        layers.append(nn.Flatten())
        size = channels if average_pool else channels * (height >> len(widths)) * (width >> len(widths))
        for hidden_size in hidden:
            layers += [nn.Linear(size, hidden_size), nn.ReLU(inplace=True)]
            if hidden_dropout:
                layers.append(nn.Dropout(hidden_dropout))
            size = hidden_size
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(size, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the head, `[B, D]`, for images `[B, C, H, W]`."""
        return self.trunk(x)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits `[B, num_classes]` for images `[B, C, H, W]`."""
        return self.head(self.features(x))
