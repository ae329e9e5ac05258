from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from litzoo.callbacks import LastCheckpoint
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression, Triangular
from tests.lit_modules.test_optimizers import by_hand, train
from tests.training import cpu_trainer


def test_rates_follow_the_formula():
    rise = 0.2 + 0.8 * np.arange(5) / 5
    fall = 1 - 0.9 * np.arange(15) / 15
    expected = 0.1 * np.array([*rise, *fall])
    assert by_hand(partial(Triangular, start=0.2, peak=0.25, end=0.1), 20) == pytest.approx(expected)


def test_a_peak_at_0_only_falls():
    assert by_hand(partial(Triangular, peak=0, end=0), 10) == pytest.approx(0.1 * (1 - np.arange(10) / 10))


def test_every_group_keeps_its_factor():
    weights = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr": 6.4}], lr=0.1)
    schedule = Triangular(optimizer, total_steps=10)
    for _ in range(10):
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert second == pytest.approx(64 * first)
        optimizer.step()
        schedule.step()


class KilledError(Exception):
    pass


class Dies(Callback):
    """Ends the training in its third epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise KilledError


def test_a_training_resumed_midway_has_the_rates_of_an_unbroken_one():
    unbroken, _ = train(Triangular, epochs=4)
    assert unbroken == pytest.approx(by_hand(Triangular, 20))

    model = SoftmaxRegression((1, 28, 28), 10, optimizer=partial(torch.optim.SGD, lr=0.1), scheduler=Triangular)
    data = DigitsDataModule(train_size=40, val_size=20, batch_size=8)
    with pytest.raises(KilledError):
        cpu_trainer(max_epochs=4, callbacks=[Dies(), LastCheckpoint()], enable_checkpointing=True).fit(model, data)
    resumed, _ = train(Triangular, epochs=4, checkpoint="run/checkpoints/last.ckpt")
    assert resumed == unbroken[10:]


def test_a_longer_training_than_the_schedule_is_refused(tmp_path):
    _, trainer = train(Triangular, epochs=2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="Triangular ends after 10 steps"):
        train(Triangular, epochs=3, checkpoint=tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peak": 1.0}, r"peak: 1.0 is not in \[0, 1\)"),
        ({"start": -0.1}, r"start: -0.1 is not in \[0, 1\]"),
        ({"end": 2}, r"end: 2 is not in \[0, 1\]"),
    ],
)
def test_what_is_no_fraction_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        by_hand(partial(Triangular, **options), 10)


def test_the_number_of_steps_is_needed():
    with pytest.raises(ValueError, match="total_steps"):
        Triangular(torch.optim.SGD([torch.zeros(1, requires_grad=True)]))
