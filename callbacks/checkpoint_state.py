import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from callbacks.checkpoint_io import save_in_one_step


def complete_checkpoints(
    callback: Callback, trainer: Trainer, module: LightningModule, fit: Callable[[], None]
) -> None:
    """Puts a callback's state into the checkpoints of a finished training, fitted to the weights of each.

    Every process has to call it. The module has its weights back afterwards, and the callback's state fits them.

    Args:
        callback: Whose `state_dict` goes into the files.
        trainer: Whose checkpoint callbacks know the files.
        module: Gets the weights of each file in turn.
        fit: Fits the callback to the module as it is.
    """
    keepers = [each for each in trainer.callbacks if isinstance(each, ModelCheckpoint)]  # type: ignore[attr-defined]
    # By name: a folder may have been moved since, and the path in its checkpoints be that of another run.
    paths = {
        Path(str(keeper.dirpath), Path(path).name)
        for keeper in keepers
        for path in (keeper.best_model_path, keeper.last_model_path, *keeper.best_k_models)
        if path
    }
    weights = copy.deepcopy(module.state_dict())
    fit()
    state = callback.state_dict()
    for path in sorted(path for path in paths if path.exists()):
        content = torch.load(path, map_location="cpu", weights_only=True)
        if "callbacks" not in content:
            continue  # of weights alone
        if not _same(content["state_dict"], weights):
            module.load_state_dict(content["state_dict"])
            fit()
        content["callbacks"][callback.state_key] = callback.state_dict()
        if trainer.is_global_zero:
            save_in_one_step(content, path)
        trainer.strategy.barrier()
        module.load_state_dict(weights)
        callback.load_state_dict(state)


def _same(saved: Mapping[str, Any], weights: Mapping[str, Any]) -> bool:
    """Whether two modules' tensors are equal."""
    return all(
        torch.equal(values.cpu(), weights[name].cpu()) for name, values in saved.items() if isinstance(values, Tensor)
    )
