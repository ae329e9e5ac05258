from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from litzoo.datamodules import MNISTDataModule


class Recorder(LightningModule):
    """Records every batch of a run by stage and epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[tuple[str, int], list[dict[str, torch.Tensor]]] = {}

    def _keep(self, stage: str, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        self.seen.setdefault((stage, self.current_epoch), []).append(dict(batch))
        torch.rand(3)  # random numbers drawn by a module must not change the order of the samples
        return self.weight.sum()

    def training_step(self, batch, batch_idx):
        return self._keep("train", batch)

    def validation_step(self, batch, batch_idx):
        self._keep("val", batch)

    def test_step(self, batch, batch_idx):
        self._keep("test", batch)

    def predict_step(self, batch, batch_idx):
        self._keep("predict", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def column(self, stage: str, name: str, epoch: int = 0, part: str | None = None) -> torch.Tensor:
        """Concatenates a column of all batches of a stage and epoch (or of a part of them), in order."""
        batches: list[Any] = self.seen[stage, epoch]
        return torch.cat([(batch[part] if part else batch)[name] for batch in batches])


def quiet_trainer(folder: Path, epochs: int = 1, **options: Any) -> Trainer:
    quiet = {
        "accelerator": "cpu",
        "max_epochs": epochs,
        "default_root_dir": folder,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return Trainer(**(quiet | options))


def record(
    datamodule: LightningDataModule,
    stage: str = "fit",
    epochs: int = 1,
    trainer: dict[str, Any] | None = None,
    **options: Any,
) -> Recorder:
    recorder = Recorder()
    getattr(quiet_trainer(Path.cwd(), epochs, **(trainer or {})), stage)(recorder, datamodule=datamodule, **options)
    return recorder


def with_pool(root: Path, **options: Any) -> MNISTDataModule:
    """Returns tiny MNIST with 20 validation, 20 labeled and 60 unlabeled samples, served 4 and 12 a batch."""
    sizes = {"val_size": 20, "num_labeled": 20, "batch_size": 4, "unlabeled_batch_size": 12}
    return MNISTDataModule(**{"root": str(root), **sizes, **options})
