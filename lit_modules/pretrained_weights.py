"""Weights that torchvision offers for its networks, and files with such weights; nothing in a file is run."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.hub import HASH_REGEX, download_url_to_file, get_dir
from torchvision.models import get_model_weights
from torchvision.models._api import WeightsEnum

from lit_modules.networks.transfer_network import Scaling


def weights_of(network: str, asked: str) -> WeightsEnum | Path:
    """Returns what a name of weights, or a path, leads to; whether the file is there is not looked at.

    Args:
        network: Of torchvision.
        asked: A name as torchvision has it, such as `IMAGENET1K_V1` or `DEFAULT`, or a file.

    Raises:
        ValueError: If it is neither; the message has the names there are.
    """
    offered = get_model_weights(network)
    if asked in offered.__members__:
        return offered[asked]
    if (path := Path(asked).expanduser()).suffix or path.is_file():
        return path
    raise ValueError(
        f"model.weights: {asked!r} is none of {network}'s ({', '.join(offered.__members__) or 'it has none'}), and no "
        "file; give one of these or the path of a .pth file, or leave it out for a network that knows nothing"
    )


def scaling_of(network: str, weights: WeightsEnum | Path) -> Scaling | None:
    """Returns the normalisation that weights were trained with; of a file that of the network's default weights."""
    offered = get_model_weights(network)
    entry = weights if isinstance(weights, WeightsEnum) else offered.__members__.get("DEFAULT")
    if entry is None:
        return None
    preset = entry.transforms()
    return preset.mean, preset.std


def place_of(weights: WeightsEnum | Path) -> Path:
    """Returns the file that weights are in; that of offered ones is where `torch.hub` keeps them."""
    if isinstance(weights, Path):
        return weights
    return Path(get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]


def fetch(weights: WeightsEnum | Path) -> None:
    """Downloads weights unless their file is there.

    Raises:
        FileNotFoundError: If they are absent and cannot be downloaded; the message says which file belongs where.
    """
    place = place_of(weights)
    if isinstance(weights, Path) or place.is_file():
        require_there(weights)
        return
    checksum = HASH_REGEX.search(place.name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(weights.url, str(place), checksum.group(1) if checksum else None)
    except Exception as error:
        raise FileNotFoundError(
            f"model.weights: {weights.url} could not be downloaded ({str(error).strip() or type(error).__name__}). Put "
            f"{place.name} into {place.parent}, or give its path with --model.weights"
        ) from error


def require_there(weights: WeightsEnum | Path) -> None:
    """Refuses weights whose file is absent, as it is in every process where one could not download it.

    Raises:
        FileNotFoundError: The message says which file belongs where.
    """
    if (place := place_of(weights)).is_file():
        return
    if isinstance(weights, Path):
        raise FileNotFoundError(f"model.weights: {place} is absent; give the path of a file with the network's weights")
    raise FileNotFoundError(
        f"model.weights: {place.name} is not in {place.parent}: put it there, or give its path with --model.weights"
    )


def read_weights(place: Path) -> dict[str, Tensor]:
    """Reads a file of weights as torchvision has them.

    Raises:
        ValueError: If it is damaged, holds more than plain weights, or is a checkpoint of Lightning's.
    """
    try:
        state: Any = torch.load(place, weights_only=True, map_location="cpu")
    except Exception as error:
        raise ValueError(
            f"model.weights: {place} is no file of plain weights, or a damaged one ({type(error).__name__}); remove it "
            "if it was downloaded, or give another one"
        ) from error
    if isinstance(state, dict) and "pytorch-lightning_version" in state:
        raise ValueError(f"model.weights: {place} is a checkpoint of Lightning's; give it with --model.backbone")
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"model.weights: {place} holds no weights by name, as `torch.save(network.state_dict(), ...)` writes them"
        )
    return state
