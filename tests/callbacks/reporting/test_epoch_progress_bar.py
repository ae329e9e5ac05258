import pytest
from lightning.pytorch import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from litzoo.callbacks import EpochProgressBar
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression
from tests.training import cpu_trainer


class RecordsBar(Callback):
    """Records what the bar shows after every step, and the expected mean loss."""

    def __init__(self, bar):
        self.bar = bar
        self.shown, self.expected = [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.total = self.count = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.total += outputs["loss"].item() * len(batch["index"])
        self.count += len(batch["index"])
        self.shown.append(self.bar.get_metrics(trainer, pl_module))
        self.expected.append(self.total / self.count)


def fit(**options):
    bar = EpochProgressBar()
    watch = RecordsBar(bar)
    trainer = cpu_trainer(max_epochs=2, callbacks=[bar, watch], enable_progress_bar=True, **options)
    model = SoftmaxRegression((1, 28, 28), 10)
    trainer.fit(model, DigitsDataModule(train_size=230, val_size=40, batch_size=5))
    return bar, watch, trainer, model


def test_the_bar_shows_the_mean_training_loss_so_far():
    _, watch, _, _ = fit()
    assert len(watch.shown) == 2 * 46
    assert [shown["train/loss"] for shown in watch.shown] == pytest.approx(watch.expected, rel=1e-4)


def test_after_an_epoch_it_shows_the_last_validation_and_no_version_number():
    bar, watch, trainer, model = fit(logger=TensorBoardLogger("logs"))
    assert set(watch.shown[0]) == {"train/loss"}
    shown = bar.get_metrics(trainer, model)
    assert set(shown) == {"train/loss", "val/loss", "val/acc"}
    assert shown["train/loss"] == pytest.approx(watch.expected[-1], rel=1e-4)


@pytest.mark.parametrize(("batches", "rate"), [(46, 2), (10, 1)])
def test_it_is_updated_about_twenty_times_per_epoch(batches, rate):
    bar, _, _, _ = fit(limit_train_batches=batches)
    assert bar.refresh_rate == rate
