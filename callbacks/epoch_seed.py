import os

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class EpochSeed(Callback):
    """Seeds dropout and augmentation anew at every epoch, from the run's seed, the epoch and the process.

    A run resumed at an epoch then draws what an unbroken one draws. Without a seed (`seed_everything`) it does nothing.
    """

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seeds torch, on all devices."""
        if seed := os.environ.get("PL_GLOBAL_SEED"):
            # Factors that keep neighbouring seeds, epochs and processes apart.
            mixed = int(seed) * 1_000_003 + trainer.current_epoch * 7_919 + trainer.global_rank * 104_729
            torch.manual_seed(mixed % 2**63)
