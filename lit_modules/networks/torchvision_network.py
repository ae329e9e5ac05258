import difflib
import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, list_models

from lit_modules.networks.transfer_network import TransferNetwork

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
        input_shape: `(C, H, W)` of the pictures that come; grey ones become three channels.
        num_classes: Numbers in one output.
        size: See `TransferNetwork`.

    Raises:
        ValueError: If there is no such network, or the pictures are too small for it.
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
