"""Weights of a trained Mask R-CNN, of torchvision's or of a litzoo run, for a training that begins with them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from lit_modules.pretrained_weights import fetch, place_of

NAMED = {"COCO_V1": MaskRCNN_ResNet50_FPN_Weights.COCO_V1}
ANEW = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")
"""Layers with an output for each class, which are never taken over."""


def weights_file(weights: str) -> Path:
    """Returns the file of weights that are given by name or by path; those with a name may still be absent."""
    return place_of(NAMED[weights] if weights in NAMED else Path(weights).expanduser())


def require_weights(weights: str) -> None:
    """Downloads weights with a name unless they are there.

    Raises:
        FileNotFoundError: If they are not there afterwards; the message says which file belongs where.
    """
    if weights in NAMED:
        fetch(NAMED[weights])
    elif not weights_file(weights).is_file():
        raise FileNotFoundError(f"model.weights: {weights} is neither a file nor one of {', '.join(NAMED)}")


def load_weights(net: nn.Module, weights: str) -> None:
    """Puts weights into a network, but for the layers that have an output for each class.

    Args:
        net: A `MaskRCNN`.
        weights: A name, or the path of a state dict or of a checkpoint of litzoo.

    Raises:
        ValueError: If the file holds no weights, or none for a layer, or of another shape.
    """
    path = weights_file(weights)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
        content = content.get("state_dict", content)
        given = {name.removeprefix("net."): value for name, value in content.items() if isinstance(value, Tensor)}
    except Exception as error:
        raise ValueError(f"model.weights: {path} cannot be read as plain weights ({error})") from error
    own = {name: value for name, value in net.state_dict().items() if not name.startswith(ANEW)}
    counters = [name for name in own if name.endswith("num_batches_tracked")]  # frozen batch norm has none
    wanted = {name: value for name, value in own.items() if name not in counters}
    for name, value in wanted.items():
        if name not in given or given[name].shape != value.shape:
            found = f"{list(given[name].shape)}" if name in given else "nothing"
            raise ValueError(
                f"model.weights: {path} has {found} for {name}, {list(value.shape)} in this network; choose the "
                "backbone that the weights are of"
            )
    net.load_state_dict({name: given[name] for name in wanted}, strict=False)
