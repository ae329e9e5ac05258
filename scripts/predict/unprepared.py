"""Says why a checkpoint without the preprocessing of its data is not predicted alone, and how it is predicted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from litzoo import datamodules
from litzoo.callbacks.files import display_path
from litzoo.datamodules import SegmentationDataModule
from litzoo.scripts.cli.run_folder import run_folder_of_checkpoint

IN_PYTHON = (
    "in Python load the module, `load_from_checkpoint`, and give its `predict_step`, or `probabilities` of a "
    "classifier, inputs that are prepared as in training"
)


def why_unprepared(path: str | Path, content: Mapping[str, Any], module: type[LightningModule] | None) -> str:
    """Returns what is to be done instead, for each kind of checkpoint that holds no preprocessing.

    Args:
        path: The checkpoint.
        content: Its content.
        module: The class of its module, if that is known.
    """
    name = module.__name__ if module else content.get("module") or "module"
    data = next((each for each, state in content.items() if isinstance(state, dict) and "fingerprint" in state), None)
    own = getattr(datamodules, data, None) if data in datamodules.__all__ else None
    run = run_folder_of_checkpoint(Path(path))
    command = f"litzoo predict --config {display_path(run / 'config.yaml') if run else 'RUN/config.yaml'}"
    if not run or Path(path).name != "best.ckpt":
        command += f" --ckpt_path {path}"
    if hasattr(module, "detect") or (own and issubclass(own, SegmentationDataModule)):
        return (
            f"a {name} is not predicted from its checkpoint alone; predict new images with `{command} "
            "--data.predict_folder FOLDER`"
        )
    if own:
        return (
            f"a {name} without the preprocessing of its {data}: the checkpoint is of litzoo 0.1. Predict its run with "
            f"`{command}`, or train it again"
        )
    if data:
        return (
            f"a {name} without the preprocessing of its {data}, which is not one of litzoo's and does not save it. "
            f"Predict its run with `{command}`; {IN_PYTHON}"
        )
    problem = f"a {name} without preprocessing: it was trained on data loaders, or a datamodule that saves nothing"
    if run:
        return f"{problem}. Predict its run with `{command}`; {IN_PYTHON}"
    return f"{problem}; {IN_PYTHON}"
