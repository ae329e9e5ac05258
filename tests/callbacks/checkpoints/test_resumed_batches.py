"""A resumed training has the batches of an uninterrupted one, with and without DataLoader workers."""

import shutil

import pytest
from lightning.pytorch import Callback

from litzoo.callbacks import EpochSeed, ExactResume, LastCheckpoint
from litzoo.lit_modules import FixMatch
from tests.callbacks.open_set_digits import LAST, digits, perceptron
from tests.training import cpu_trainer


class RecordsBatches(Callback):
    """Records the samples of each step."""

    def __init__(self):
        self.epochs = {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        parts = (batch["labeled"], batch["unlabeled"]) if "labeled" in batch else (batch,)
        self.epochs.setdefault(trainer.current_epoch, []).append([part["index"].tolist() for part in parts])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pool", [{}, {"num_labeled": 40, "unlabeled_batch_size": 40}], ids=["labels", "pool"])
def test_a_resumed_training_has_the_batches_of_its_epochs(workers, pool):
    def train(epochs, ckpt_path=None):
        batches, model = RecordsBatches(), perceptron(pseudo_labels=FixMatch() if pool else None)
        trainer = cpu_trainer(
            callbacks=[EpochSeed(), ExactResume(), batches, LastCheckpoint()],
            enable_checkpointing=True,
            max_epochs=epochs,
        )
        trainer.fit(model, digits(num_workers=workers, **pool), ckpt_path=ckpt_path)
        return batches.epochs

    uninterrupted = train(4)
    shutil.rmtree("run")
    train(2)
    resumed = train(4, LAST)
    assert resumed == {epoch: uninterrupted[epoch] for epoch in (2, 3)}
    assert len({str(epoch) for epoch in uninterrupted.values()}) == 4
