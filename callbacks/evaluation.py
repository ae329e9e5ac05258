from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from rich.progress import Progress
from torch import Tensor, nn

from litzoo.lit_modules.metrics import EpochOutputs

Part = Literal["train", "val", "unlabeled"]
SPOKEN = {"train": "training", "val": "validation", "unlabeled": "unlabeled"}


@runtime_checkable
class Answers(Protocol):
    """A classifier that shows what its answers are made of."""

    keeps_features: bool

    def answer(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Returns `features` `[B, D]` if they are kept, and logits `[B, K]`."""
        ...


@runtime_checkable
class ServesParts(Protocol):
    """A datamodule that serves the parts of its full training set as evaluation sees them."""

    targets: Sized | None  # one for each position in the full training set
    train_set: Sized | None
    val_set: Sized | None
    unlabeled_set: Sized | None
    validates: bool
    eval_batch_size: int

    def evaluation_batches(self, part: Part, device: torch.device) -> Iterator[Any]:
        """Serves this process's fraction of a part of the split; of the unlabeled one `input` and `index` alone."""
        ...


def evaluated_part(
    trainer: Trainer, module: LightningModule, part: Part, purpose: str = "scores", features: bool = False
) -> dict[str, Tensor]:
    """Runs a model in evaluation mode on all samples of a part of the split.

    Args:
        trainer: Whose data, precision and processes are used; every process has to call this.
        module: Need not be the one that is trained. It is left in the modes that it was in.
        part: Of the split.
        purpose: What for, beside the progress bar.
        features: Whether the module's features are wanted too.

    Returns:
        `index` and, but for the unlabeled part, `target`, int64 `[N]`, logits `[N, K]`, and `features` `[N, D]` if they
        are wanted: each sample once, in order of `index`, the same in every process.
    """
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(module, Answers)
    assert isinstance(datamodule, ServesParts)
    names = ["logits", *(["features"] if features else []), *(["target"] if part != "unlabeled" else [])]
    kept = EpochOutputs(*names).to(module.device)
    with evaluating(module, features), torch.no_grad(), trainer.precision_plugin.forward_context():
        total = -(-len(getattr(datamodule, f"{part}_set")) // (trainer.world_size * datamodule.eval_batch_size))
        hidden = trainer.progress_bar_callback is None or not trainer.is_global_zero
        with Progress(transient=True, disable=hidden) as progress:
            bar = progress.add_task(f"{purpose} of {SPOKEN[part]} samples", total=total)
            for batch in datamodule.evaluation_batches(part, module.device):
                found, logits = module.answer(batch["input"])
                kept.update({**batch, **found, "logits": logits.float()})
                progress.advance(bar)
    return kept.gather()


@contextmanager
def evaluating(module: nn.Module, features: bool = False) -> Iterator[None]:
    """Puts a module into evaluation mode, with features or without, and afterwards each part back into its own."""
    assert isinstance(module, Answers)
    modes, kept_features = [(part, part.training) for part in module.modules()], module.keeps_features
    module.eval()
    module.keeps_features = features
    try:
        yield
    finally:
        module.keeps_features = kept_features
        for part, mode in modes:
            part.training = mode
