import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

KINDS: dict[str, type] = {
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
"""What the parts of a checkpoint are."""


def newest_checkpoint(runs: Path, experiment: str, name: str = "best.ckpt") -> Path | None:
    """Returns the checkpoint of an experiment's newest run that has one, in a folder of runs."""
    found = [
        path
        for path in (runs / experiment).glob(f"version_*/checkpoints/{name}")
        if path.parents[1].name[8:].isdecimal() and path.is_file()
    ]
    return max(found, key=lambda path: int(path.parents[1].name[8:]), default=None)


def checkpoint_of(asked: str, runs: Path) -> Path | None:
    """Returns a file, or the `best.ckpt` of an experiment's newest run that has one.

    Args:
        asked: The file, or the experiment's name.
        runs: Folder that is looked in first, and then those that it is in: the runs of a comparison are
            `runs/<comparison>/<variant>/seed_<seed>/version_<k>`.

    Raises:
        ValueError: If that run's training is not over: its weights are those of the moment.
    """
    if Path(asked).is_file():
        return Path(asked)
    places = [runs, *runs.parents][:5]
    found = next(filter(None, (newest_checkpoint(place, asked) for place in places)), None)
    if found and (found.parents[1] / "run.json").exists() and not (found.parents[1] / "metrics.json").exists():
        raise ValueError(
            f"{asked}: the training of its newest run, {found.parents[1]}, is not over: wait for it, resume it, or "
            "give the path of the checkpoint"
        )
    return found


def read_checkpoint(asked: str, path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint of Lightning's as plain weights, without running anything in it.

    Args:
        asked: Option and value that name it, for the message.
        path: Of the file.

    Raises:
        ValueError: If it is damaged, cannot be loaded as plain weights, or holds no module.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        damaged = _damaged_part(path)
    except Exception as error:
        raise ValueError(
            f"{asked}: this is no checkpoint, or a damaged one ({type(error).__name__}); name another one"
        ) from error
    if not isinstance(content, dict) or not {"state_dict", "pytorch-lightning_version"} <= set(content):
        raise ValueError(f"{asked}: this is a file of torch's, but no checkpoint of Lightning's; name one of these")
    if damaged := damaged or _misshapen_part(content):
        raise ValueError(f"{asked}: this checkpoint is damaged ({damaged}); name another one")
    return content


def _misshapen_part(content: dict[str, Any]) -> str | None:
    for name, kind in KINDS.items():
        if not isinstance(content.get(name, kind()), kind):
            return f"{name} is no {kind.__name__}"
    if not all(isinstance(state, dict) for state in content.get("callbacks", {}).values()):
        return "the state of a callback is no dict"
    if not all(isinstance(name, str) for name in content["state_dict"]):
        return "its weights have no names"
    return None


def _damaged_part(path: str | Path) -> str | None:
    """Compares what a checkpoint holds with its checksums, which torch writes but does not look at."""
    if not zipfile.is_zipfile(path):
        return None  # of a torch before 1.6
    with zipfile.ZipFile(path) as file:
        wrong = file.testzip()
    return None if wrong is None else f"{wrong} has another checksum"


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
    for name, weight in weights.items():
        if name.startswith(prefix) and saved[name].is_floating_point() != weight.is_floating_point():
            return f"{name} has the type {saved[name].dtype} there, {weight.dtype} in the {type(module).__name__}"
    return None


def shapes_of(state: Mapping[str, Any]) -> dict[str, list[int] | str]:
    """Returns the shape of each weight; what a module keeps beside weights grows as it is trained."""
    return {
        name: list(value.shape) if isinstance(value, Tensor) else f"of a {type(value).__name__}"
        for name, value in state.items()
        if not name.endswith("_extra_state")
    }
