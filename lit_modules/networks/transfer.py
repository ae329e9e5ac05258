import difflib
import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, list_models

from litzoo.lit_modules.networks._input_size import require_size

Scaling = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel, or one for all, on a scale from 0 to 1."""


class TransferNetwork(nn.Module):
    """A network that was made for other images, with a new head, behind what brings images into the form it knows.

    Grey images become as many channels as it takes, all alike. `size` scales them bilinearly, with antialiasing.

    Args:
        name: Of the network, for messages.
        trunk: From images `[B, channels, H, W]` to features `[B, width]`.
        width: Of the features.
        channels: That the trunk takes.
        input_shape: `(C, H, W)` of the images that come.
        num_classes: Numbers in one output.
        size: Height and width that the trunk is given, one number for both; that of the images when left out.
        own_size: That the trunk was made for, if it was for one.

    Raises:
        ValueError: If the images have neither one channel nor as many as the trunk takes, or are too small for it.
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
                f"model: {name} takes images with {channels} channels, or grey ones; these are {list(input_shape)}"
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
        """Has images that come normalised in one way turned into those that the trunk knows.

        Args:
            given: How they come.
            known: How the trunk's training had them.
        """
        (mean, std), (known_mean, known_std) = ([torch.tensor(each) for each in scaling] for scaling in (given, known))
        self.input_factor.copy_((std / known_std).expand(self.channels)[:, None, None])
        self.input_offset.copy_(((mean - known_mean) / known_std).expand(self.channels)[:, None, None])

    def features(self, x: Tensor) -> Tensor:
        """Returns what the head sees, `[B, width]`, of images `[B, C, H, W]`."""
        if self.size is not None and x.shape[2:] != self.size:
            # In float32: not every device can do it in half precision.
            x = F.interpolate(x.float(), self.size, mode="bilinear", antialias=True).to(x.dtype)
        x = x.expand(-1, self.channels, -1, -1)
        return self.trunk(x * self.input_factor + self.input_offset)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits `[B, num_classes]` of images `[B, C, H, W]`."""
        return self.head(self.features(x))


# Without auxiliary heads, and with the normalisation that their weights were trained with behind that of all others.
INCEPTION: dict[str, Any] = {"aux_logits": False, "transform_input": True, "init_weights": True}
OPTIONS = {"googlenet": INCEPTION, "inception_v3": INCEPTION}
AUXILIARY = re.compile(r"(aux\d|AuxLogits)\.")
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)")
"""Torchvision's files of DenseNets name layers as torch did before 0.4."""


class TorchvisionNetwork(TransferNetwork):
    """Any classification network of torchvision by name, with a new head in place of its last layer.

    Args:
        name: As `torchvision.models.list_models` has it, such as `vgg16` or `resnet18`.
        input_shape: `(C, H, W)` of the images that come; grey ones become three channels.
        num_classes: Numbers in one output.
        size: See `TransferNetwork`.

    Raises:
        ValueError: If there is no such network, or the images are too small for it.
    """

    def __init__(
        self, name: str, input_shape: Sequence[int], num_classes: int, size: int | Sequence[int] | None = None
    ) -> None:
        require_network(name)
        trunk = get_model(name, **OPTIONS.get(name, {}))
        # SqueezeNet's is a convolution.
        layers = [(place, layer) for place, layer in trunk.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
        linear = [(place, layer) for place, layer in layers if isinstance(layer, nn.Linear)]
        place, last = (linear or layers)[-1]
        trunk.set_submodule(place, nn.Identity())
        width = last.in_features if isinstance(last, nn.Linear) else last.in_channels
        super().__init__(name, trunk, width, 3, input_shape, num_classes, size)
        self._last = place

    def keep_trunk(self, state: MutableMapping[str, Tensor]) -> None:
        """Brings weights of the whole network, as torchvision has them in files, to those of the trunk alone."""
        for name in list(state):
            if name.startswith(f"{self._last}.") or AUXILIARY.match(name):
                del state[name]
            elif (renamed := OLD_DENSENET.sub(r"\1\2", name)) != name:
                state[renamed] = state.pop(name)
        for name, value in self.trunk.state_dict().items():
            if name.endswith("num_batches_tracked"):  # absent in old files, and of no use
                state.setdefault(name, value)


def require_network(name: str) -> None:
    """Refuses a name that is none of torchvision's classification networks.

    Raises:
        ValueError: The message has the nearest names.
    """
    names = list_models(module=torchvision.models)
    if name not in names:
        nearest = difflib.get_close_matches(name.lower(), names, n=4, cutoff=0.4) or names
        raise ValueError(
            f"model.network: {name!r} is none of torchvision's {len(names)} classification networks; the nearest: "
            f"{', '.join(nearest)}"
        )
