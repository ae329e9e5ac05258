"""Finds the checkpoint that a command takes, and checks it before anything is built."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from litzoo.lit_modules.weights.checkpoint_files import first_misfit, newest_checkpoint, read_checkpoint
from litzoo.lit_modules.weights.plain_loading import HYPERPARAMETERS, refuse_foreign_code, texts
from litzoo.scripts.cli.arguments import refuse_old_path
from litzoo.scripts.cli.changed_options import changes, join_first
from litzoo.scripts.cli.checkpoint_options import require_checkpoint

TRAINING = ("callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")
"""What a resumed training needs beside the weights."""
EVALUATION_ONLY = ("min_score", "posthoc_tau")
"""Options of a module that only affect evaluation."""
ADDED_BUFFERS = ("temperature", "class_bias")
"""Names of buffers that depend on the option `calibrate`, which may differ from that of the checkpoint's training."""


def config_of_run(files: Sequence[Any]) -> Path | None:
    """Returns the first of some config files if it is the `config.yaml` of a run."""
    first = Path(str(files[0])) if files else Path()
    return first if first.name == "config.yaml" and first.with_name("run.json").is_file() else None


def checkpoint_beside_config(config: Path, given: str | None) -> str | None:
    """Returns the checkpoint option, or `None` if it is only the one that the run of a config was started from."""
    started_from = yaml.safe_load(config.read_text(encoding="utf-8")).get("ckpt_path")
    return None if given == started_from else given


def find_checkpoint(given: str | None, base: Path, experiment: str, config: Path | None = None) -> Path:
    """Returns the file for `best`, `last`, nothing (which means `best`) or a path.

    It is that of the run whose `config.yaml` is given, else that of the experiment's newest run that has one.

    Raises:
        FileNotFoundError: If the run or the experiment has no such checkpoint, or the path given does not exist.
    """
    if given not in (None, "best", "last"):
        return require_checkpoint(f"--ckpt_path {given}", given)
    name = f"{given or 'best'}.ckpt"
    if config is not None:
        if not (own := config.parent / "checkpoints" / name).exists():
            raise FileNotFoundError(
                f"--ckpt_path {given or 'best'}: {config} is of a run that has no checkpoints/{name}; give the path of "
                "a checkpoint, or the config of another run"
            )
        return own
    if (found := newest_checkpoint(base, experiment, name)) is None:
        raise FileNotFoundError(
            f"--ckpt_path {given or 'best'}: no run in {base / experiment} has a checkpoints/{name}; train one with "
            "`litzoo fit` first, or give the path of a checkpoint"
        )
    run, versions = found.parents[1], (path.parent for path in (base / experiment).glob("version_*/config.yaml"))
    if newer := [path.name for path in versions if path.name[8:].isdigit() and int(path.name[8:]) > int(run.name[8:])]:
        rank_zero_warn(
            f"--ckpt_path {given or 'best'}: taken from {run}; {', '.join(sorted(newer))} is newer, but has no "
            f"checkpoints/{name}: its training has not finished an epoch"
        )
    return found


def check_checkpoint(path: str, resumed: bool = False) -> dict[str, Any]:
    """Reads a checkpoint, and refuses a file that is not one of Lightning's.

    Weights that are not finite are refused for a resumed training, and otherwise warned of.

    Args:
        path: Of the file.
        resumed: Whether a training is resumed from it.

    Raises:
        ValueError: If it cannot be loaded as plain weights, holds no module, or lacks what a resumed training needs.
    """
    content = read_checkpoint(f"--ckpt_path {path}", path)
    if resumed and (missing := [name for name in TRAINING if name not in content]):
        raise ValueError(
            f"--ckpt_path {path}: has weights, but no {', '.join(missing)}: a training cannot be resumed from it; "
            "give the last.ckpt or best.ckpt of a run (`litzoo test` accepts it)"
        )
    weights = {name: value for name, value in content["state_dict"].items() if isinstance(value, Tensor)}
    if bad := [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]:
        message = f"--ckpt_path {path}: {bad[0]} has values that are not finite"
        if resumed:
            raise ValueError(f"{message}: a training cannot be resumed from it; give an earlier checkpoint")
        rank_zero_warn(f"{message}: the predictions are meaningless")
    return content


def check_code(path: str, content: Mapping[str, Any], given: Namespace) -> None:
    """Refuses a checkpoint with class paths that the model options do not contain, before any of them is imported.

    Raises:
        ValueError: The message names the class.
    """
    for place in HYPERPARAMETERS:
        for text in texts(content.get(place)):
            try:
                refuse_old_path(text)
            except ValueError as error:
                raise ValueError(f"--ckpt_path {path}: its hyperparameters cannot be read: {error}") from None
    refuse_foreign_code(f"--ckpt_path {path}", content, trusted=set(texts(given.as_dict())))


def check_fits(path: str, content: Mapping[str, Any], module: nn.Module) -> None:
    """Refuses a checkpoint whose weights have other names or shapes than those of the module.

    Raises:
        ValueError: The message names the first that differs.
    """
    own = module.state_dict()
    added = {name: own[name] for name in ADDED_BUFFERS if name in own}
    saved = {name: each for name, each in content["state_dict"].items() if name in own or name not in ADDED_BUFFERS}
    if misfit := first_misfit(added | saved, module):
        raise ValueError(
            f"--ckpt_path {path}: is of another architecture: {misfit} asked for; use the config.yaml beside the "
            "checkpoint"
        )


def check_data(path: str, content: Mapping[str, Any], datamodule: LightningDataModule) -> None:
    """Refuses a checkpoint that was trained with another datamodule class; Lightning ignores that.

    Raises:
        ValueError: The message names both datamodules.
    """
    others = [name for name, state in content.items() if isinstance(state, dict) and "fingerprint" in state]
    if others and type(datamodule).__qualname__ not in others:
        raise ValueError(
            f"--ckpt_path {path}: was trained on a {others[0]}, but --data asks for a {type(datamodule).__name__}; use "
            "the config.yaml beside the checkpoint"
        )


def settle_model_options(given: Namespace, used: Namespace, path: str | None) -> None:
    """Warns of model options that the checkpoint overrides, and restores those that only affect evaluation.

    Args:
        given: Model options of the command line and the configs.
        used: Those with which the model will be created: of the checkpoint, if there is one.
        path: Of the checkpoint.

    Raises:
        ValueError: If the checkpoint is of another class.
    """
    if given.class_path != used.class_path:
        raise ValueError(
            f"--ckpt_path {path}: holds a {used.class_path}, but --model asks for a {given.class_path}; "
            "use the config.yaml beside the checkpoint"
        )
    for name in EVALUATION_ONLY:
        if name in given.get("init_args", {}) and name in used.get("init_args", {}):
            used.init_args[name] = given.init_args[name]
    if given.get("init_args", {}).get("calibrate", "none") != "none":
        used.init_args["calibrate"] = given.init_args["calibrate"]  # can be added, but not left out by an oversight
    overridden = changes(used.as_dict(), given.as_dict(), "model")
    if differences := [f"{name}: {own}, not {other}" for name, own, other in overridden]:
        rank_zero_warn(f"The checkpoint's own model options are used instead of those given: {join_first(differences)}")
