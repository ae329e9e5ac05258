"""Weights that torchvision offers for its networks, and files with such weights; nothing in a file is run."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.hub import HASH_REGEX, download_url_to_file, get_dir
from torchvision.models import get_model_weights
from torchvision.models._api import WeightsEnum
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from litzoo.lit_modules.networks.transfer import Scaling


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


class BorrowedWeights(LightningModule):
    """A module whose training begins with weights from elsewhere, unless a checkpoint brings its own.

    They are put in before any callback tries something out, such as learning rates. Whether a checkpoint will come is
    not known by then: what is wrong with the weights is told when it has not.

    Attributes:
        source: Where the weights are, until they have been put in; a second training goes on with what the first one
            has learned.
    """

    source: Any = None
    _problem: Exception | None = None

    @abstractmethod
    def fetch(self) -> None:
        """Downloads the weights, unless they are there; raises FileNotFoundError if they are not there then."""

    @abstractmethod
    def put_in(self) -> None:
        """Puts the weights in; raises FileNotFoundError or ValueError, with the remedy, if it cannot be done."""

    def prepare_data(self) -> None:
        """Fetches the weights that a training begins with."""
        if self.source is not None and self.trainer.state.fn == "fit":
            self._problem = self._tried(self.fetch)

    def setup(self, stage: str) -> None:
        """Puts them in."""
        super().setup(stage)
        if stage == "fit" and self.source is not None:
            self._problem = self._problem or self._tried(self.put_in)
            if self._problem is None:
                self.source = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes that what is saved is random still, by a callback that tries something out before training begins."""
        super().on_save_checkpoint(checkpoint)
        if self.source is not None:
            checkpoint["begun"] = False

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes that weights have come with a checkpoint."""
        super().on_load_checkpoint(checkpoint)
        if checkpoint.get("begun", True):
            self.source = None

    def on_fit_start(self) -> None:
        """Tells why a training cannot begin.

        Raises:
            FileNotFoundError: If the weights are absent and cannot be downloaded; the message says which file belongs
                where.
            ValueError: If the file is damaged, or they do not fit; the message names the first that differs.
        """
        if self.source is not None and self._problem is not None:
            raise self._problem

    @staticmethod
    def _tried(action: Any) -> Exception | None:
        try:
            action()
        except (FileNotFoundError, ValueError) as error:
            return error
        return None
