from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_modules.networks.picture_size import require_size

Scaling = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel, or one for all, on a scale from 0 to 1."""


class TransferNetwork(nn.Module):
    """A network that was made for other pictures, with a new head, behind what brings pictures into the form it knows.

    Grey pictures become as many channels as it takes, all alike. `size` scales them bilinearly, with antialiasing.

    Args:
        name: Of the network, for messages.
        trunk: From pictures `[B, channels, H, W]` to features `[B, width]`.
        width: Of the features.
        channels: That the trunk takes.
        input_shape: `(C, H, W)` of the pictures that come.
        num_classes: Numbers in one output.
        size: Height and width that the trunk is given, one number for both; that of the pictures when left out.
        own_size: That the trunk was made for, if it was for one.

    Raises:
        ValueError: If the pictures have neither one channel nor as many as the trunk takes, or are too small for it.
    """

    input_factor: Tensor
    input_offset: Tensor

    def __init__(
        self,
        name: str,
        trunk: nn.Module,
        width: int,
        channels: int,
        input_shape: Sequence[int],
        num_classes: int,
        size: int | Sequence[int] | None = None,
        own_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3 or input_shape[0] not in (1, channels):
            raise ValueError(
                f"model: {name} takes pictures with {channels} channels, or grey ones; these are {list(input_shape)}"
            )
        self.size = None if size is None else (size, size) if isinstance(size, int) else tuple(size)
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"model.size: {size} is no height and width in pixels; give one number, or two")
        require_size(name, trunk, channels, self.size or input_shape[1:], width, own_size)
        self.channels = channels
        self.trunk = trunk
        self.head = nn.Linear(width, num_classes)
        self.register_buffer("input_factor", torch.ones(channels, 1, 1))
        self.register_buffer("input_offset", torch.zeros(channels, 1, 1))

    def rescale(self, given: Scaling, known: Scaling) -> None:
        """Has pictures that come normalised in one way turned into those that the trunk knows.

        Args:
            given: How they come.
            known: How the trunk's training had them.
        """
        (mean, std), (known_mean, known_std) = ([torch.tensor(each) for each in scaling] for scaling in (given, known))
        self.input_factor.copy_((std / known_std).expand(self.channels)[:, None, None])
        self.input_offset.copy_(((mean - known_mean) / known_std).expand(self.channels)[:, None, None])

    def features(self, x: Tensor) -> Tensor:
        """Returns what the head sees, `[B, width]`, of pictures `[B, C, H, W]`."""
        if self.size is not None and x.shape[2:] != self.size:
            # In float32: not every device can do it in half precision.
            x = F.interpolate(x.float(), self.size, mode="bilinear", antialias=True).to(x.dtype)
        x = x.expand(-1, self.channels, -1, -1)
        return self.trunk(x * self.input_factor + self.input_offset)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits `[B, num_classes]` of pictures `[B, C, H, W]`."""
        return self.head(self.features(x))
