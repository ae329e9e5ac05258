"""Pretrained weights: torchvision's downloads, and files in their format. Loading runs no code in a file."""

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

from litzoo.lit_modules.networks.transfer import Normalisation
from litzoo.lit_modules.weights.state_dicts import plain_state_dict

DETECTION_WEIGHTS = {"COCO_V1": MaskRCNN_ResNet50_FPN_Weights.COCO_V1}
CLASS_LAYERS = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")
"""Layers of a Mask R-CNN with an output for each class, which are never loaded."""


class PretrainedWeights(LightningModule):
    """Mixin for modules whose training starts from pretrained weights, unless a checkpoint is loaded.

    They are loaded in `setup`, before callbacks such as the learning-rate finder run. It is not known then whether a
    checkpoint follows: an error is stored, and raised when training starts without one.

    Attributes:
        source: Where the weights are, until they are loaded: a second `fit` continues with the trained weights.
    """

    source: Any = None
    _error: Exception | None = None

    @abstractmethod
    def download_weights(self) -> None:
        """Downloads the weights unless they are there; raises FileNotFoundError if that fails."""

    @abstractmethod
    def load_pretrained(self) -> None:
        """Loads the weights; raises FileNotFoundError or ValueError, with the remedy, if that is impossible."""

    def prepare_data(self) -> None:
        """Downloads the weights before training."""
        if self.source is not None and self.trainer.state.fn == "fit":
            self._error = self._error_of(self.download_weights)

    def setup(self, stage: str) -> None:
        """Loads the weights before training."""
        super().setup(stage)
        if stage == "fit" and self.source is not None:
            self._error = self._error or self._error_of(self.load_pretrained)
            if self._error is None:
                self.source = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Marks a checkpoint whose weights are still random, saved by a callback such as the learning-rate finder."""
        super().on_save_checkpoint(checkpoint)
        if self.source is not None:
            checkpoint["begun"] = False

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Skips the pretrained weights if the checkpoint has trained ones."""
        super().on_load_checkpoint(checkpoint)
        if checkpoint.get("begun", True):
            self.source = None

    def on_fit_start(self) -> None:
        """Raises the error of loading the weights, if there was one and no checkpoint was loaded.

        Raises:
            FileNotFoundError: If the weights are missing and cannot be downloaded; the message says which file is
                expected where.
            ValueError: If the file is damaged or does not fit the network; the message names the first difference.
        """
        if self.source is not None and self._error is not None:
            raise self._error

    @staticmethod
    def _error_of(action: Any) -> Exception | None:
        try:
            action()
        except (FileNotFoundError, ValueError) as error:
            return error
        return None


# Classification networks of torchvision.


def weights_source(network: str, name: str) -> WeightsEnum | Path:
    """Returns the weights with a name, or a path; whether the file exists is not checked.

    Args:
        network: Name of a torchvision network.
        name: One of torchvision's names, such as `IMAGENET1K_V1` or `DEFAULT`, or a file.

    Raises:
        ValueError: If it is neither; the message lists the names.
    """
    available = get_model_weights(network)
    if name in available.__members__:
        return available[name]
    if (path := Path(name).expanduser()).suffix or path.is_file():
        return path
    raise ValueError(
        f"model.weights: {name!r} is none of {network}'s ({', '.join(available.__members__) or 'it has none'}), and no "
        "file; give one of these or the path of a .pth file, or leave it out to train from scratch"
    )


def normalisation_of(network: str, weights: WeightsEnum | Path) -> Normalisation | None:
    """Returns the normalisation that weights were trained with; for a file that of the network's default weights."""
    available = get_model_weights(network)
    entry = weights if isinstance(weights, WeightsEnum) else available.__members__.get("DEFAULT")
    if entry is None:
        return None
    preset = entry.transforms()
    return preset.mean, preset.std


def weights_path(weights: WeightsEnum | Path) -> Path:
    """Returns the file of weights; torchvision's are where `torch.hub` stores downloads."""
    if isinstance(weights, Path):
        return weights
    return Path(get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]


def download(weights: WeightsEnum | Path) -> None:
    """Downloads weights unless their file exists.

    Raises:
        FileNotFoundError: If they are missing and cannot be downloaded; the message says which file is expected where.
    """
    path = weights_path(weights)
    if isinstance(weights, Path) or path.is_file():
        require_file(weights)
        return
    checksum = HASH_REGEX.search(path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(weights.url, str(path), checksum.group(1) if checksum else None)
    except Exception as error:
        raise FileNotFoundError(
            f"model.weights: {weights.url} could not be downloaded ({str(error).strip() or type(error).__name__}). Put "
            f"{path.name} into {path.parent}, or give its path with --model.weights"
        ) from error


def require_file(weights: WeightsEnum | Path) -> None:
    """Raises if the file of weights is missing: in every process, after one process could not download it.

    Raises:
        FileNotFoundError: The message says which file is expected where.
    """
    if (path := weights_path(weights)).is_file():
        return
    if isinstance(weights, Path):
        raise FileNotFoundError(f"model.weights: {path} is missing; give the path of a file with the network's weights")
    raise FileNotFoundError(
        f"model.weights: {path.name} is not in {path.parent}: put it there, or give its path with --model.weights"
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict in the format of torchvision's downloads, also one within the file of a training script.

    Raises:
        ValueError: If it is damaged, contains more than plain weights, or is a Lightning checkpoint.
    """
    try:
        state: Any = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise ValueError(
            f"model.weights: {path} is no file of plain weights, or a damaged one ({type(error).__name__}); remove it "
            "if it was downloaded, or give another one"
        ) from error
    if isinstance(state, dict) and "pytorch-lightning_version" in state:
        raise ValueError(f"model.weights: {path} is a Lightning checkpoint; give it with --model.backbone")
    if (weights := plain_state_dict(state)) is None:
        raise ValueError(
            f"model.weights: {path} holds no weights by name, as `torch.save(network.state_dict(), ...)` writes them"
        )
    return weights


# Mask R-CNN.


def require_detection_weights(name: str) -> None:
    """Downloads named weights of a Mask R-CNN unless they are there; checks that a file exists.

    Raises:
        FileNotFoundError: If they are missing; the message says which file is expected where.
    """
    if name in DETECTION_WEIGHTS:
        download(DETECTION_WEIGHTS[name])
    elif not _detection_weights_path(name).is_file():
        raise FileNotFoundError(f"model.weights: {name} is neither a file nor one of {', '.join(DETECTION_WEIGHTS)}")


def load_detection_weights(net: nn.Module, name: str) -> None:
    """Loads weights into a Mask R-CNN, except for the layers with an output for each class.

    Args:
        net: A `MaskRCNN`.
        name: A name, or the path of a state dict or of a litzoo checkpoint.

    Raises:
        ValueError: If the file contains no weights, or lacks a layer, or has one of another shape.
    """
    path = _detection_weights_path(name)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
        if "pytorch-lightning_version" in content:  # a litzoo checkpoint, in which losses may have a state too
            content = {name: value for name, value in content["state_dict"].items() if isinstance(value, Tensor)}
        weights = plain_state_dict(content)
        if weights is None:
            raise ValueError("it holds no weights by name")
        given = {name.removeprefix("net."): value for name, value in weights.items()}
    except Exception as error:
        raise ValueError(f"model.weights: {path} cannot be read as plain weights ({error})") from error
    own = {name: value for name, value in net.state_dict().items() if not name.startswith(CLASS_LAYERS)}
    # Torchvision's frozen batch norm has no counters.
    needed = {name: value for name, value in own.items() if not name.endswith("num_batches_tracked")}
    for name, value in needed.items():
        if name not in given or given[name].shape != value.shape:
            found = f"{list(given[name].shape)}" if name in given else "nothing"
            raise ValueError(
                f"model.weights: {path} has {found} for {name}, {list(value.shape)} in this network; choose the "
                "backbone of these weights"
            )
    net.load_state_dict({name: given[name] for name in needed}, strict=False)


def _detection_weights_path(name: str) -> Path:
    """Returns the file of weights given by name or path."""
    return weights_path(DETECTION_WEIGHTS[name] if name in DETECTION_WEIGHTS else Path(name).expanduser())
