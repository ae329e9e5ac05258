"""Pretrained networks with a new head."""

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
from litzoo.lit_modules.networks.resampling import resize

Normalisation = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel, or one of each for all, for pixels from 0 to 1."""


class TransferNetwork(nn.Module):
    """A network trained on other images, with a new head; inputs are converted to the form it was trained with.

    Grey images are expanded to its channels. `size` resizes bilinearly, with antialiasing.

    Args:
        name: Name of the network, for messages.
        trunk: The network without its head, from images `[B, channels, H, W]` to features `[B, width]`.
        width: Number of features.
        channels: Channels of the trunk's input.
        input_shape: `(C, H, W)` of the images to classify.
        num_classes: Number of outputs.
        size: Height and width that images are resized to, one number for both; by default they keep their size.
        own_size: The size that the trunk was trained with, if known.

    Raises:
        ValueError: If the images have neither one channel nor those of the trunk, or are too small for it.
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

    def convert_normalisation(self, given: Normalisation, trained: Normalisation) -> None:
        """Makes the network convert its inputs from one normalisation to another.

        Args:
            given: Normalisation of the inputs.
            trained: Normalisation that the trunk was trained with.
        """
        (mean, std), (trained_mean, trained_std) = ([torch.tensor(each) for each in pair] for pair in (given, trained))
        self.input_factor.copy_((std / trained_std).expand(self.channels)[:, None, None])
        self.input_offset.copy_(((mean - trained_mean) / trained_std).expand(self.channels)[:, None, None])

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the head, `[B, width]`, for images `[B, C, H, W]`."""
        if self.size is not None and x.shape[2:] != self.size:
            # Not every device supports this in half precision, and no export format the antialiasing.
            if torch.compiler.is_compiling():
                x = resize(x.float(), *self.size).to(x.dtype)
            else:
                x = F.interpolate(x.float(), self.size, mode="bilinear", antialias=True).to(x.dtype)
        x = x.expand(-1, self.channels, -1, -1)
        return self.trunk(x * self.input_factor + self.input_offset)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits `[B, num_classes]` for images `[B, C, H, W]`."""
        return self.head(self.features(x))


# No auxiliary heads; `transform_input` converts from ImageNet's normalisation to that of their weights.
INCEPTION: dict[str, Any] = {"aux_logits": False, "transform_input": True, "init_weights": True}
OPTIONS = {"googlenet": INCEPTION, "inception_v3": INCEPTION}
AUXILIARY = re.compile(r"(aux\d|AuxLogits)\.")
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)")
"""Layer names in torchvision's DenseNet files, from torch before 0.4."""


class TorchvisionNetwork(TransferNetwork):
    """A torchvision classification network by name, with a new head in place of its last layer.

    Args:
        name: A name from `torchvision.models.list_models`, such as `vgg16` or `resnet18`.
        input_shape: `(C, H, W)` of the images; grey ones are expanded to three channels.
        num_classes: Number of outputs.
        size: See `TransferNetwork`.

    Raises:
        ValueError: If the name is unknown, or the images are too small.
    """

    def __init__(
        self, name: str, input_shape: Sequence[int], num_classes: int, size: int | Sequence[int] | None = None
    ) -> None:
        require_network(name)
        trunk = get_model(name, **OPTIONS.get(name, {}))
        # The last layer of SqueezeNet is a convolution.
        layers = [(place, layer) for place, layer in trunk.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
        linear = [(place, layer) for place, layer in layers if isinstance(layer, nn.Linear)]
        place, last = (linear or layers)[-1]
        trunk.set_submodule(place, nn.Identity())
        width = last.in_features if isinstance(last, nn.Linear) else last.in_channels
        super().__init__(name, trunk, width, 3, input_shape, num_classes, size)
        self._last_layer = place

    def keep_trunk(self, state: MutableMapping[str, Tensor]) -> None:
        """Converts the state dict of a torchvision file, in place, to that of the trunk."""
        for name in list(state):
            if name.startswith(f"{self._last_layer}.") or AUXILIARY.match(name):
                del state[name]
            elif (renamed := OLD_DENSENET.sub(r"\1\2", name)) != name:
                state[renamed] = state.pop(name)
        for name, value in self.trunk.state_dict().items():
            if name.endswith("num_batches_tracked"):  # missing in old files, and not used
                state.setdefault(name, value)


def require_network(name: str) -> None:
    """Raises if a name is not that of a torchvision classification network.

    Raises:
        ValueError: The message lists the nearest names.
    """
    names = list_models(module=torchvision.models)
    if name not in names:
        nearest = difflib.get_close_matches(name.lower(), names, n=4, cutoff=0.4) or names
        raise ValueError(
            f"model.network: {name!r} is none of torchvision's {len(names)} classification networks; the nearest: "
            f"{', '.join(nearest)}"
        )
