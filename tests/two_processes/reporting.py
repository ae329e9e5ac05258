"""Trainings with a pool of unlabeled samples, and what is reported on their pseudo-labels."""

from typing import Any

import torch

from litzoo.callbacks import PseudoLabelReport
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import OnlinePseudoLabels, SoftmaxRegression
from tests.training import cpu_trainer


def report(folder: str, **trainer_options: Any) -> dict[str, Any]:
    """Trains with a learning rate of 0: one process and two give the same labels.

    Of 131 pool samples, an odd number, 25 come twice in an epoch of two processes, in the same one or in the other.
    """
    torch.manual_seed(3)
    still = {"optimizer": lambda weights: torch.optim.SGD(weights, lr=0.0)}
    model = SoftmaxRegression((1, 28, 28), 10, pseudo_labels=OnlinePseudoLabels(threshold=0.2), **still)
    sizes = {"train_size": 151, "num_labeled": 20, "val_size": 50, "batch_size": 7, "unlabeled_batch_size": 13}
    trainer = cpu_trainer(max_epochs=2, callbacks=[PseudoLabelReport()], default_root_dir=folder, **trainer_options)
    trainer.fit(model, DigitsDataModule(**sizes))
    return {name: float(value) for name, value in trainer.callback_metrics.items() if "pseudo" in name}
