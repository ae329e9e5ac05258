import os
import random

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class EpochSeed(Callback):
    """Seeds dropout and augmentation anew at every epoch, from the run's seed, the epoch and the process.

    A run resumed at an epoch then draws what an unbroken one draws; from Python's and numpy's generators too, which the
    zoo leaves alone, but other people's code may not. Without a seed (`seed_everything`) it does nothing.
    """

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seeds torch, on all devices, numpy and Python."""
        if seed := os.environ.get("PL_GLOBAL_SEED"):
            # Factors that keep neighbouring seeds, epochs and processes apart.
            mixed = int(seed) * 1_000_003 + trainer.current_epoch * 7_919 + trainer.global_rank * 104_729
            torch.manual_seed(mixed % 2**63)
            np.random.seed(mixed % 2**32)
            random.seed(mixed)
