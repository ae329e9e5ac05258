from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from rich.progress import track
from torch import Tensor, nn

from callbacks.unknown_scores import Evidence
from lit_modules.metrics import EpochOutputs


@runtime_checkable
class Answers(Protocol):
    """A classifier that shows what its answers are made of."""

    keeps_features: bool

    def answer(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Returns `features` `[B, D]` if they are kept, and logits `[B, K]`."""
        ...


@runtime_checkable
class ServesKnown(Protocol):
    """A datamodule that serves the known samples as evaluation sees them, and knows what else is in the test set."""

    unknown_class_names: list[str]
    train_set: Sized | None
    val_set: Sized | None
    validates: bool
    eval_batch_size: int

    def evaluation_batches(self, part: Literal["train", "val"], device: torch.device) -> Iterator[Any]:
        """Serves this process's share of a part of the split."""
        ...

    def true_class_names(self, index: Tensor) -> list[str]:
        """Returns what test samples really are."""
        ...


def known_evidence(trainer: Trainer, module: LightningModule, part: Literal["train", "val"]) -> tuple[Evidence, Tensor]:
    """Runs the model on all known samples of a part of the split.

    Returns:
        What it makes of them, and their targets, int64 `[N]`: the same in every process.
    """
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(module, Answers)
    assert isinstance(datamodule, ServesKnown)
    kept = EpochOutputs("target", *evidence_names(module)).to(module.device)
    with evaluating(module), torch.no_grad(), trainer.precision_plugin.forward_context():
        known = datamodule.train_set if part == "train" else datamodule.val_set
        assert known is not None
        batches = track(
            datamodule.evaluation_batches(part, module.device),
            description=f"scores of {'training' if part == 'train' else 'validation'} samples",
            total=-(-len(known) // (trainer.world_size * datamodule.eval_batch_size)),
            disable=trainer.progress_bar_callback is None or not trainer.is_global_zero,
            transient=True,
        )
        for batch in batches:
            features, logits = module.answer(batch["input"])
            kept.update({"index": batch["index"], "target": batch["target"], "logits": logits.float(), **features})
    found = kept.gather()
    return evidence_of(found), found["target"]


def evidence_names(module: Answers) -> list[str]:
    """Names what a module returns that scores look at."""
    return ["logits", "features"] if module.keeps_features else ["logits"]


def evidence_of(outputs: dict[str, Tensor]) -> Evidence:
    """Returns the evidence in what steps have returned; features `[N, 0]` where they are not kept."""
    logits = outputs["logits"]
    return Evidence(logits, outputs.get("features", logits[:, :0]))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Puts a module into evaluation mode, and afterwards each part of it back into its own."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
