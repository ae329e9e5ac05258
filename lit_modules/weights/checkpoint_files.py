"""Finding and validating checkpoint files."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PART_TYPES: dict[str, type] = {
    "callbacks": dict,
    "epoch": int,
    "global_step": int,
    "hyper_parameters": dict,
    "loops": dict,
    "lr_schedulers": list,
    "optimizer_states": list,
    "pytorch-lightning_version": str,
    "state_dict": dict,
}
"""Types of the parts of a Lightning checkpoint."""


def newest_checkpoint(runs: Path, experiment: str, name: str = "best.ckpt") -> Path | None:
    """Returns the checkpoint of the newest run of an experiment that has one, in a folder of runs."""
    found = [
        path
        for path in (runs / experiment).glob(f"version_*/checkpoints/{name}")
        if path.parents[1].name[8:].isdecimal() and path.is_file()
    ]
    return max(found, key=lambda path: int(path.parents[1].name[8:]), default=None)


def checkpoint_of(name: str, runs: Path) -> Path | None:
    """Returns a checkpoint by its path, or the `best.ckpt` of an experiment's newest run that has one.

    Args:
        name: The path, or the name of the experiment.
        runs: Folder that is searched first, then its parents: the runs of a comparison are in
            `runs/<comparison>/<variant>/seed_<seed>/version_<k>`.

    Raises:
        ValueError: If the training of that run is not finished: its best checkpoint may still change.
    """
    if Path(name).is_file():
        return Path(name)
    folders = [runs, *runs.parents][:5]
    found = next(filter(None, (newest_checkpoint(folder, name) for folder in folders)), None)
    if found and (found.parents[1] / "run.json").exists() and not (found.parents[1] / "metrics.json").exists():
        raise ValueError(
            f"{name}: the training of its newest run, {found.parents[1]}, is not finished: wait for it, resume it, or "
            "give the path of the checkpoint"
        )
    return found


def read_checkpoint(origin: str, path: str | Path) -> dict[str, Any]:
    """Reads a Lightning checkpoint as plain weights, without running any code in it.

    Args:
        origin: Option and value that named it, for the message.
        path: The file.

    Raises:
        ValueError: If it is damaged, cannot be loaded with `weights_only=True`, or contains no module.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        damage = _damaged_member(path)
    except Exception as error:
        raise ValueError(
            f"{origin}: this is no checkpoint, or a damaged one ({type(error).__name__}); give another file"
        ) from error
    if not isinstance(content, dict) or not {"state_dict", "pytorch-lightning_version"} <= set(content):
        raise ValueError(f"{origin}: this is a file of torch, but not a Lightning checkpoint; give a checkpoint")
    if damage := damage or _invalid_part(content):
        raise ValueError(f"{origin}: this checkpoint is damaged ({damage}); give another file")
    return content


def first_misfit(saved: Mapping[str, Any], module: nn.Module, prefix: str = "") -> str | None:
    """Describes the first weight whose name, shape or type differs between a state dict and a module, if one does.

    Args:
        saved: The state dict.
        module: The module that is to load it.
        prefix: Only names with this prefix are compared.
    """
    saved_shapes, shapes = shapes_of(saved), shapes_of(module.state_dict())
    weights = dict(module.named_parameters())  # first, since they are clearer than buffers that differ with them
    for name in [*weights, *shapes, *saved_shapes]:
        if name.startswith(prefix) and shapes.get(name) != saved_shapes.get(name):
            there, here = (each.get(name) for each in (saved_shapes, shapes))
            if there is None:
                return f"{name} is missing there, and has the shape {here} in the {type(module).__name__}"
            if here is None:
                return f"{name} has the shape {there} there, and is missing in the {type(module).__name__}"
            return f"{name} has the shape {there} there, {here} in the {type(module).__name__}"
    for name, weight in weights.items():
        if name.startswith(prefix) and saved[name].is_floating_point() != weight.is_floating_point():
            return f"{name} has the type {saved[name].dtype} there, {weight.dtype} in the {type(module).__name__}"
    return None


def shapes_of(state: Mapping[str, Any]) -> dict[str, list[int] | str]:
    """Returns the shape of each entry of a state dict, without extra states, whose size changes in training."""
    return {
        name: list(value.shape) if isinstance(value, Tensor) else f"of a {type(value).__name__}"
        for name, value in state.items()
        if not name.endswith("_extra_state")
    }


def _invalid_part(content: dict[str, Any]) -> str | None:
    for name, kind in PART_TYPES.items():
        if not isinstance(content.get(name, kind()), kind):
            return f"{name} is no {kind.__name__}"
    if not all(isinstance(state, dict) for state in content.get("callbacks", {}).values()):
        return "the state of a callback is no dict"
    if not all(isinstance(name, str) for name in content["state_dict"]):
        return "its weights have no names"
    return None


def _damaged_member(path: str | Path) -> str | None:
    """Checks the checksums in a checkpoint; torch writes them but does not verify them."""
    if not zipfile.is_zipfile(path):
        return None  # written by torch before 1.6
    with zipfile.ZipFile(path) as file:
        wrong = file.testzip()
    return None if wrong is None else f"{wrong} has another checksum"
