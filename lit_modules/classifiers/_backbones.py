"""Networks of litzoo checkpoints as backbones for other classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from litzoo.lit_modules.classifiers.base import Classifier
from litzoo.lit_modules.networks import TransferNetwork
from litzoo.lit_modules.weights.checkpoint_files import checkpoint_of, read_checkpoint
from litzoo.lit_modules.weights.plain_loading import own_arguments, refuse_foreign_code

SOURCE_OPTIONS = {"weights", "backbone", "runs"}
"""Where the weights of a backbone that is itself a `TransferClassifier` came from; its checkpoint contains them."""


def find_backbone(name: str, runs: Path) -> Path:
    """Returns the checkpoint of a backbone.

    Args:
        name: Path of a checkpoint, or an experiment: a folder in that of the runs, or further up.
        runs: Folder of the runs.

    Raises:
        FileNotFoundError: If it is neither.
    """
    if (found := checkpoint_of(name, runs)) is None:
        raise FileNotFoundError(
            f"model.backbone: {name!r} is neither a file nor an experiment in {runs} or above, with a run that has a "
            "checkpoints/best.ckpt: train it with `litzoo fit` first, or give the path of a checkpoint"
        )
    return found


def describe(path: Path) -> dict[str, Any]:
    """Returns how to build the network of a checkpoint, as plain values: `class` and `options`.

    Raises:
        ValueError: If it is not a checkpoint of a litzoo classifier, or names foreign code.
    """
    origin = f"model.backbone {path}"
    content = read_checkpoint(origin, path)
    refuse_foreign_code(origin, content)
    options = content.get("hyper_parameters", {})
    name = str(content.get("module") or options.get("_class_path") or "").rsplit(".", 1)[-1]
    owner = _own_class(origin, name)
    needed = own_arguments(owner, Classifier) - SOURCE_OPTIONS
    return {"class": name, "options": {name: value for name, value in options.items() if name in needed}}


def build(
    description: Mapping[str, Any], input_shape: Sequence[int], num_classes: int, size: int | Sequence[int] | None
) -> TransferNetwork:
    """Builds a network with a new head from what `describe` returned, without its weights.

    Raises:
        ValueError: If it is not a single network for images, or does not accept these images.
    """
    name = description["class"]
    net: Any = _own_class("model.backbone", name)(**description["options"]).net
    shape = description["options"]["input_shape"]
    head = getattr(net, "head", None)
    if not isinstance(head, nn.Linear) or len(shape) != 3:
        raise ValueError(
            f"model.backbone: a {name} for inputs of shape {list(shape)} has no single network for images to build on; "
            "give a checkpoint of another classifier"
        )
    net.head = nn.Identity()
    channels, *own_size = shape
    shown_name = f"the backbone's {name}"
    return TransferNetwork(shown_name, net, head.in_features, channels, input_shape, num_classes, size, own_size)


def trunk_weights(path: Path) -> dict[str, Tensor]:
    """Reads the weights for the trunk from a checkpoint: those of its network without the head."""
    state = read_checkpoint(f"model.backbone {path}", path)["state_dict"]
    of_network = {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}
    return {name: value for name, value in of_network.items() if not name.startswith("head.")}


def _own_class(origin: str, name: str) -> type[Classifier]:
    from litzoo import lit_modules  # here, since `lit_modules` imports this file

    own = {name: found for name in lit_modules.__all__ if isinstance(found := getattr(lit_modules, name), type)}
    classes = {name: each for name, each in own.items() if issubclass(each, Classifier) and each is not Classifier}
    if name not in classes:
        raise ValueError(
            f"{origin}: contains {name or 'a module of unknown class'}, which is none of litzoo's classifiers "
            f"({', '.join(sorted(classes))})"
        )
    return classes[name]
