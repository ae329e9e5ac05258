"""Runs a model on a part of the training set, from within a callback."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule, Trainer
from rich.progress import Progress
from torch import Tensor, nn

from litzoo.callbacks.contracts import Part, PredictsLogits, ServesParts
from litzoo.lit_modules.metrics import EpochOutputs

_PART_NAMES = {"train": "training", "val": "validation", "calibration": "calibration", "unlabeled": "unlabeled"}


def evaluate_part(
    trainer: Trainer, module: LightningModule, part: Part, purpose: str = "scores", features: bool = False
) -> dict[str, Tensor]:
    """Runs a model in evaluation mode on all samples of a part of the training set.

    Every process has to call it.

    Args:
        trainer: Its datamodule, precision and processes are used.
        module: The model; it may be another one than the trainer's. Its training modes are restored.
        part: Which part of the split.
        purpose: What is computed, for the progress bar.
        features: Whether to return the module's features too.

    Returns:
        `index` int64 `[N]`, `logits` float32 `[N, K]`, `target` int64 `[N]` (not for the unlabeled part) and, if
        requested, `features` float32 `[N, D]`: each sample once, in the order of `index`, the same on every process.
    """
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(module, PredictsLogits)
    assert isinstance(datamodule, ServesParts)
    names = ["logits", *(["features"] if features else []), *(["target"] if part != "unlabeled" else [])]
    outputs = EpochOutputs(*names).to(module.device)
    with evaluation_mode(module, features), torch.no_grad(), trainer.precision_plugin.forward_context():
        total = -(-len(getattr(datamodule, f"{part}_set")) // (trainer.world_size * datamodule.eval_batch_size))
        hidden = trainer.progress_bar_callback is None or not trainer.is_global_zero
        with Progress(transient=True, disable=hidden) as progress:
            task = progress.add_task(f"{purpose} of {_PART_NAMES[part]} samples", total=total)
            for batch in datamodule.evaluation_batches(part, module.device):
                extra, logits = module.features_and_logits(batch["input"])
                outputs.update({**batch, **extra, "logits": logits.float()})
                progress.advance(task)
    return outputs.gather()


@contextmanager
def evaluation_mode(module: nn.Module, features: bool = False) -> Iterator[None]:
    """Puts a module into evaluation mode, with or without features, and restores the mode of each submodule."""
    assert isinstance(module, PredictsLogits)
    modes, keeps_features = [(part, part.training) for part in module.modules()], module.keeps_features
    module.eval()
    module.keeps_features = features
    try:
        yield
    finally:
        module.keeps_features = keeps_features
        for part, mode in modes:
            part.training = mode
