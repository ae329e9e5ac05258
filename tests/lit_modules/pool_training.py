"""Short trainings on real digits, few of which have a label."""

import torch
from lightning.pytorch import Callback

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier
from tests.lit_modules.semi_supervised.methods import ready
from tests.training import cpu_trainer


def digits(**options):
    sizes = {"train_size": 200, "val_size": 20, "num_labeled": 60, "batch_size": 10, "unlabeled_batch_size": 20}
    return DigitsDataModule(**{**sizes, "augment": "shift", **options})


def cnn(method=None, **options):
    torch.manual_seed(2)
    return CNNClassifier((1, 28, 28), 10, widths=[4], dropout=0.2, pseudo_labels=method, **options)


def method_of(method_class, options):
    return ready(method_class(**options), classes=10, samples=2000)


class Steps(Callback):
    """Keeps the batches, the outputs and the gradients of all steps."""

    def __init__(self):
        self.batches, self.outputs, self.gradients = [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append(batch)

    def on_after_backward(self, trainer, pl_module):
        self.gradients.append([each.grad.clone() for each in pl_module.parameters()])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.outputs.append(outputs)


def fit(model, datamodule=None, callbacks=(), ckpt_path=None, **options):
    trainer = cpu_trainer(callbacks=list(callbacks), **{"limit_train_batches": 2, "limit_val_batches": 0, **options})
    trainer.fit(model, datamodule or digits(), ckpt_path=ckpt_path, weights_only=True)
    return trainer
