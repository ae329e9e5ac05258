from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn


def newest_checkpoint(runs: Path, experiment: str, name: str = "best.ckpt") -> Path | None:
    """Returns the checkpoint of an experiment's newest run that has one, in a folder of runs."""
    found = [
        path for path in (runs / experiment).glob(f"version_*/checkpoints/{name}") if path.parents[1].name[8:].isdigit()
    ]
    return max(found, key=lambda path: int(path.parents[1].name[8:]), default=None)


def read_checkpoint(asked: str, path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint of Lightning's as plain weights, without running anything in it.

    Args:
        asked: Option and value that name it, for the message.
        path: Of the file.

    Raises:
        ValueError: If it cannot be loaded as plain weights, or holds no module.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except Exception as error:
        raise ValueError(f"{asked}: this is no checkpoint, or a damaged one ({type(error).__name__})") from error
    if not isinstance(content, dict) or not {"state_dict", "pytorch-lightning_version"} <= set(content):
        raise ValueError(f"{asked}: this is a file of torch's, but no checkpoint of Lightning's")
    return content


def first_misfit(saved: Mapping[str, Any], module: nn.Module, prefix: str = "") -> str | None:
    """Says which is the first weight whose name or shape differs from a module's, if one does.

    Args:
        saved: The `state_dict` of a checkpoint.
        module: To be given it.
        prefix: Of the names that are compared.
    """
    saved_shapes, shapes = shapes_of(saved), shapes_of(module.state_dict())
    weights = dict(module.named_parameters())  # tell more than the buffers that differ with them
    for name in [*weights, *shapes, *saved_shapes]:
        if name.startswith(prefix) and shapes.get(name) != saved_shapes.get(name):
            there, here = (each.get(name, "missing") for each in (saved_shapes, shapes))
            return f"{name} has the shape {there} there, {here} in the {type(module).__name__}"
    return None


def shapes_of(state: Mapping[str, Any]) -> dict[str, list[int]]:
    """Returns the shape of each weight; what a module keeps beside weights grows as it is trained."""
    return {name: list(value.shape) for name, value in state.items() if not name.endswith("_extra_state")}
