"""A small network on digits, trained with GradualUnfreezing, and records of what is trained."""

from functools import partial

import torch
from lightning.pytorch import Callback

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier, TransferClassifier
from tests.training import cpu_trainer

SHAPE = (1, 28, 28)


def cnn(**options):
    torch.manual_seed(0)
    given = {"widths": [4, 8], "hidden": [6], "dropout": 0.3, "optimizer": partial(torch.optim.SGD, lr=0.1)}
    return CNNClassifier(SHAPE, 10, **{**given, **options})


def digits(**options):
    return DigitsDataModule(**{"train_size": 40, "val_size": 20, "batch_size": 20, "eval_batch_size": 20, **options})


class RecordsSteps(Callback):
    """Records weights and buffers at the start of every epoch, and frozen stages and learning rates at every step."""

    def __init__(self):
        self.states, self.frozen, self.rates = [], [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.states.append({name: value.clone() for name, value in pl_module.net.state_dict().items()})

    def on_after_backward(self, trainer, pl_module):
        stages = pl_module.stages()
        no_gradient = [all(weight.grad is None for weight in stage.weights) for stage in stages]
        evaluating = [
            not any(part.training for module in stage.modules for part in module.modules()) for stage in stages
        ]
        assert no_gradient == evaluating == [not stage.weights[0].requires_grad for stage in stages]
        self.frozen.append(sum(no_gradient))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        groups = trainer.optimizers[0].param_groups
        self.rates.append({group["name"]: group["lr"] for group in groups})


def fit(*callbacks, model=None, datamodule=None, **options):
    model = model or cnn()
    trainer = cpu_trainer(**{"callbacks": list(callbacks), "max_epochs": 4, "num_sanity_val_steps": 1, **options})
    trainer.fit(model, datamodule or digits())
    return trainer, model


def changed(before, after, stage):
    """Whether any parameter or running statistic of a stage has changed."""
    prefixes = tuple(f"{name}." for name in stage)
    names = [name for name in before if name.startswith(prefixes)]
    assert names
    return any(not torch.equal(before[name], after[name]) for name in names)


def squeezenet(**options):
    return TransferClassifier(SHAPE, 10, network="squeezenet1_1", **options)
