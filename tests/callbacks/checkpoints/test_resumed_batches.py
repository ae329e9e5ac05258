"""A resumed training serves the batches that an unbroken one does, whoever loads them."""

import shutil

import pytest
from lightning.pytorch import Callback

from litzoo.callbacks import EpochSeed, ExactResume, LastCheckpoint
from litzoo.lit_modules import FixMatch
from tests.callbacks.open_set_digits import LAST, digits, perceptron
from tests.training import cpu_trainer


class Served(Callback):
    """Notes which samples each step has seen."""

    def __init__(self):
        self.epochs = {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        parts = (batch["labeled"], batch["unlabeled"]) if "labeled" in batch else (batch,)
        self.epochs.setdefault(trainer.current_epoch, []).append([part["index"].tolist() for part in parts])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pool", [{}, {"num_labeled": 40, "unlabeled_batch_size": 40}], ids=["labels", "pool"])
def test_a_resumed_training_sees_the_batches_of_its_epochs(workers, pool):
    def served(epochs, ckpt_path=None):
        serves, model = Served(), perceptron(pseudo_labels=FixMatch() if pool else None)
        trainer = cpu_trainer(
            callbacks=[EpochSeed(), ExactResume(), serves, LastCheckpoint()],
            enable_checkpointing=True,
            max_epochs=epochs,
        )
        trainer.fit(model, digits(num_workers=workers, **pool), ckpt_path=ckpt_path)
        return serves.epochs

    unbroken = served(4)
    shutil.rmtree("run")
    served(2)
    resumed = served(4, LAST)
    assert resumed == {epoch: unbroken[epoch] for epoch in (2, 3)}
    assert len({str(batches) for batches in unbroken.values()}) == 4
