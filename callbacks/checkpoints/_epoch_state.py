"""The state of a process within an epoch: random states, means, columns of samples, accumulated gradients."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer

from litzoo.callbacks.samples import SampleColumns
from litzoo.lit_modules.metrics import EpochMeans


def is_within_epoch(trainer: Trainer) -> bool:
    """Whether an epoch has started and not ended."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return trainer.state.fn == "fit" and progress.started > progress.processed


def state_within_epoch(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Returns this process's random states, and what its epoch has collected so far, in plain types.

    This is means, columns of samples, and gradients if they are being accumulated.
    """
    kind, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "cuda": [each.cpu() for each in torch.cuda.get_rng_state_all()] if torch.cuda.is_initialized() else [],
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
        "columns": {name: columns.state_within_epoch() for name, columns in _sample_columns(trainer).items()},
    }
    if isinstance(means := getattr(module, "train_means", None), EpochMeans):
        state["means"] = means.state_so_far()
    if trainer.fit_loop.epoch_loop._should_accumulate():
        gradients = {name: weight.grad for name, weight in module.named_parameters()}
        state["gradients"] = {name: gradient.cpu() for name, gradient in gradients.items() if gradient is not None}
    return state


def restore_within_epoch(state: dict[str, Any], trainer: Trainer) -> None:
    """Restores what `state_within_epoch` returned for this process."""
    module = trainer.lightning_module
    weights = dict(module.named_parameters())
    for name, gradient in state.get("gradients", {}).items():
        weights[name].grad = gradient.to(weights[name].device)
    for name, columns in _sample_columns(trainer).items():
        if name in state["columns"]:
            columns.load_state_within_epoch(state["columns"][name])
    if isinstance(means := getattr(module, "train_means", None), EpochMeans) and "means" in state:
        means.load_state_so_far(state["means"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


def _sample_columns(trainer: Trainer) -> dict[str, SampleColumns]:
    """Returns what callbacks collect for each sample in an epoch, by callback and attribute."""
    return {
        f"{callback.state_key} {name}": value
        for callback in trainer.callbacks  # type: ignore[attr-defined]
        for name, value in vars(callback).items()
        if isinstance(value, SampleColumns)
    }


def gathered(trainer: Trainer, state: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the states of all processes; every process saves checkpoints together."""
    if trainer.world_size == 1:
        return [state]
    states: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(states, state)
    return states
