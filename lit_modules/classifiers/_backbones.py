"""Networks of litzoo's own checkpoints, as backbones for other classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from litzoo.lit_modules.classifiers.base import Classifier
from litzoo.lit_modules.networks import TransferNetwork
from litzoo.lit_modules.weights.checkpoint_files import checkpoint_of, read_checkpoint
from litzoo.lit_modules.weights.plain_loading import own_arguments, refuse_foreign_code

BORROWED_ANEW = {"weights", "backbone", "runs"}
"""What a backbone that was transferred itself was made of: all of it is in its checkpoint."""


def find_backbone(asked: str, runs: Path) -> Path:
    """Returns the file that a backbone is in.

    Args:
        asked: A checkpoint, or an experiment: a folder in that of the runs, or further up.
        runs: Folder of the runs.

    Raises:
        FileNotFoundError: If it is neither.
    """
    if (found := checkpoint_of(asked, runs)) is None:
        raise FileNotFoundError(
            f"model.backbone: {asked!r} is neither a file nor an experiment in {runs} or above, with a run that has a "
            "checkpoints/best.ckpt: train it with `litzoo fit` first, or give the path of a checkpoint"
        )
    return found


def describe(path: Path) -> dict[str, Any]:
    """Returns what the network in a checkpoint is built of, in plain words and numbers: `class` and `options`.

    Raises:
        ValueError: If it is no checkpoint of a classifier of this package, or names foreign code.
    """
    asked = f"model.backbone {path}"
    content = read_checkpoint(asked, path)
    refuse_foreign_code(asked, content)
    options = content.get("hyper_parameters", {})
    name = str(content.get("module") or options.get("_class_path") or "").rsplit(".", 1)[-1]
    owner = _own_class(asked, name)
    kept = own_arguments(owner, Classifier) - BORROWED_ANEW
    return {"class": name, "options": {name: value for name, value in options.items() if name in kept}}


def build(
    described: Mapping[str, Any], input_shape: Sequence[int], num_classes: int, size: int | Sequence[int] | None
) -> TransferNetwork:
    """Builds a network with a new head around what `describe` has found, still without its weights.

    Raises:
        ValueError: If it is no network for images, or these do not fit it.
    """
    name = described["class"]
    net: Any = _own_class("model.backbone", name)(**described["options"]).net
    shape = described["options"]["input_shape"]
    head = getattr(net, "head", None)
    if not isinstance(head, nn.Linear) or len(shape) != 3:
        raise ValueError(
            f"model.backbone: a {name} for inputs of {list(shape)} has no single network for images to go on with; "
            "give a checkpoint of another classifier"
        )
    net.head = nn.Identity()
    channels, *own_size = shape
    told = f"the backbone's {name}"
    return TransferNetwork(told, net, head.in_features, channels, input_shape, num_classes, size, own_size)


def trunk_weights(path: Path) -> dict[str, Tensor]:
    """Reads a checkpoint's weights for the trunk: those of its network without its head."""
    state = read_checkpoint(f"model.backbone {path}", path)["state_dict"]
    of_network = {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}
    return {name: value for name, value in of_network.items() if not name.startswith("head.")}


def _own_class(asked: str, name: str) -> type[Classifier]:
    from litzoo import lit_modules  # only now: this package is part of it

    own = {name: found for name in lit_modules.__all__ if isinstance(found := getattr(lit_modules, name), type)}
    classes = {name: each for name, each in own.items() if issubclass(each, Classifier) and each is not Classifier}
    if name not in classes:
        raise ValueError(
            f"{asked}: holds {name or 'a module of unknown class'}, which is none of the zoo's classifiers "
            f"({', '.join(sorted(classes))})"
        )
    return classes[name]
