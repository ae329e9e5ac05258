"""A training whose stages are unfrozen one after the other, and what each process has learned in the end."""

from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor

from litzoo.callbacks import GradualUnfreezing
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier, TransferClassifier
from tests.training import cpu_trainer

CACHED, STAGE_BY_STAGE = "cached features", "stage by stage"
HOW: dict[str, dict[str, Any]] = {
    STAGE_BY_STAGE: {"unfreeze_at": {1: 1, 2: "all"}, "depth_factor": 0.5},
    CACHED: {"cache_features": True},
}


class NotesWeights(Callback):
    """Keeps the weights of this process at the start of every epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Copies them."""
        self.weights.append({name: weight.detach().clone() for name, weight in pl_module.net.named_parameters()})


def unfreeze(how: str, processes: int = 1, **trainer_options: Any) -> dict[str, Any]:
    """Trains for three epochs; returns the weights at the start of each and in the end, and what a test says."""
    torch.manual_seed(8)
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    model: Any
    if how == CACHED:
        model = TransferClassifier((1, 28, 28), 10, network="squeezenet1_1", optimizer=sgd)
    else:
        model = CNNClassifier((1, 28, 28), 10, widths=[4, 4], hidden=[8], batch_norm=False, optimizer=sgd)
    datamodule = DigitsDataModule(train_size=160, val_size=40, batch_size=40 // processes)
    noting = NotesWeights()
    trainer = cpu_trainer(max_epochs=3, callbacks=[GradualUnfreezing(**HOW[how]), noting], **trainer_options)
    trainer.fit(model, datamodule)
    end = {name: weight.detach().clone() for name, weight in model.net.named_parameters()}
    (tested,) = trainer.test(model, datamodule, verbose=False)
    return {"weights": [*noting.weights, end], "tested": tested}
