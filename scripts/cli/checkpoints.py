import os
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
from litzoo.scripts.cli.options import changes, listed

TRAINING = ("callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")
"""What a training goes on from, beside the weights."""
EVALUATION_ONLY = ("min_score", "posthoc_tau")
"""Options of a module that change nothing of what was trained."""


def config_of_run(files: Sequence[Any]) -> Path | None:
    """Returns the first of some config files if it is the `config.yaml` of a run."""
    first = Path(str(files[0])) if files else Path()
    return first if first.name == "config.yaml" and first.with_name("run.json").is_file() else None


def asked_beside(config: Path, asked: str | None) -> str | None:
    """Returns a checkpoint that is asked for, but for what a run was begun from, which is not what it has become."""
    begun_from = yaml.safe_load(config.read_text(encoding="utf-8")).get("ckpt_path")
    return None if asked == begun_from else asked


def find_checkpoint(asked: str | None, base: Path, experiment: str, config: Path | None = None) -> Path:
    """Turns `best`, `last` or nothing (which is `best`) into a file.

    It is that of the run whose own config is given, else that of the experiment's newest run that has one.

    Raises:
        FileNotFoundError: If the run or the experiment has no such checkpoint, or the path given does not exist.
    """
    if asked not in (None, "best", "last"):
        if not os.path.isfile(asked):
            raise FileNotFoundError(f"--ckpt_path {asked}: this is no file")
        return Path(asked)
    name = f"{asked or 'best'}.ckpt"
    if config is not None:
        if not (own := config.parent / "checkpoints" / name).exists():
            raise FileNotFoundError(
                f"--ckpt_path {asked or 'best'}: {config} is of a run that has no checkpoints/{name}; give the path of "
                "a checkpoint, or the config of another run"
            )
        return own
    if (found := newest_checkpoint(base, experiment, name)) is None:
        raise FileNotFoundError(
            f"--ckpt_path {asked or 'best'}: no run in {base / experiment} has a checkpoints/{name}; train one with "
            "`litzoo fit` first, or give the path of a checkpoint"
        )
    run, versions = found.parents[1], (path.parent for path in (base / experiment).glob("version_*/config.yaml"))
    if newer := [path.name for path in versions if path.name[8:].isdigit() and int(path.name[8:]) > int(run.name[8:])]:
        rank_zero_warn(
            f"--ckpt_path {asked or 'best'}: taken from {run}; {', '.join(sorted(newer))} began later, but has no "
            f"checkpoints/{name}: the training was ended in its first epoch, or is still in it"
        )
    return found


def check_checkpoint(path: str, resumed: bool = False) -> dict[str, Any]:
    """Reads a checkpoint, and refuses a file that is no checkpoint of Lightning's, before anything is built.

    Weights that are not finite are told; a training could not go on from them.

    Args:
        path: Of the file.
        resumed: Whether a training is to go on from it.

    Raises:
        ValueError: If it cannot be loaded as plain weights, holds no module, or not what a training goes on from.
    """
    content = read_checkpoint(f"--ckpt_path {path}", path)
    if resumed and (missing := [name for name in TRAINING if name not in content]):
        raise ValueError(
            f"--ckpt_path {path}: holds weights, but no {', '.join(missing)}: a training cannot go on from it, as it "
            "can from last.ckpt and best.ckpt of a run; `litzoo test` takes it"
        )
    weights = {name: value for name, value in content["state_dict"].items() if isinstance(value, Tensor)}
    if bad := [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]:
        told = f"--ckpt_path {path}: {bad[0]} has values that are not finite"
        if resumed:
            raise ValueError(f"{told}: a training cannot go on from it; name an earlier checkpoint")
        rank_zero_warn(f"{told}, so that nothing can be made of what the module answers")
    return content


def check_code(path: str, content: Mapping[str, Any], asked: Namespace) -> None:
    """Refuses a checkpoint that names code which the model options do not name, before any of it is imported.

    Raises:
        ValueError: The message names it.
    """
    for place in HYPERPARAMETERS:
        for text in texts(content.get(place)):
            try:
                refuse_old_path(text)
            except ValueError as error:
                raise ValueError(f"--ckpt_path {path}: its hyperparameters cannot be read: {error}") from None
    refuse_foreign_code(f"--ckpt_path {path}", content, trusted=set(texts(asked.as_dict())))


def check_fits(path: str, content: Mapping[str, Any], module: nn.Module) -> None:
    """Refuses a checkpoint whose weights have other names or shapes than the module's, before anything is run.

    Raises:
        ValueError: The message names the first that differs.
    """
    if misfit := first_misfit(content["state_dict"], module):
        raise ValueError(
            f"--ckpt_path {path}: is of another architecture: {misfit} asked for; use the config.yaml beside the "
            "checkpoint"
        )


def check_data(path: str, content: Mapping[str, Any], datamodule: LightningDataModule) -> None:
    """Refuses a checkpoint that was trained on another kind of data; Lightning passes over its note of the split.

    Raises:
        ValueError: The message names both datamodules.
    """
    others = [name for name, state in content.items() if isinstance(state, dict) and "fingerprint" in state]
    if others and type(datamodule).__qualname__ not in others:
        raise ValueError(
            f"--ckpt_path {path}: was trained on a {others[0]}, but --data asks for a {type(datamodule).__name__}; use "
            "the config.yaml beside the checkpoint"
        )


def settle_overridden(asked: Namespace, used: Namespace, path: str | None) -> None:
    """Warns which model options of the command line give way to those that the checkpoint was trained with.

    Options that only an evaluation looks at do not give way: they are put back.

    Raises:
        ValueError: If the checkpoint is of another class altogether.
    """
    if asked.class_path != used.class_path:
        raise ValueError(
            f"--ckpt_path {path}: holds a {used.class_path}, but --model asks for a {asked.class_path}; "
            "use the config.yaml beside the checkpoint"
        )
    for name in EVALUATION_ONLY:
        if name in asked.get("init_args", {}) and name in used.get("init_args", {}):
            used.init_args[name] = asked.init_args[name]
    told = [f"{name}: {own}, not {given}" for name, own, given in changes(used.as_dict(), asked.as_dict(), "model")]
    if told:
        rank_zero_warn(f"The checkpoint's own model options are used instead of those given: {listed(told)}")
