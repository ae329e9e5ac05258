from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser, ReduceLROnPlateau
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CosineWithWarmup, SoftmaxRegression
from tests.training import cpu_trainer

STEPS, EPOCHS = 5, 3


class Rates(Callback):
    """Notes the learning rate of every step."""

    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def train(scheduler, lr=0.1, epochs=EPOCHS, checkpoint=None):
    """Trains; returns the rate of every step, and the trainer."""
    rates = Rates()
    trainer = cpu_trainer(max_epochs=epochs, callbacks=[rates])
    model = SoftmaxRegression((1, 28, 28), 10, optimizer=partial(torch.optim.SGD, lr=lr), scheduler=scheduler)
    trainer.fit(model, DigitsDataModule(train_size=STEPS * 8, val_size=20, batch_size=8), ckpt_path=checkpoint)
    return rates.rates, trainer


def by_hand(scheduler, total_steps, lr=0.1):
    """Runs a scheduler alone, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule, rates = scheduler(optimizer, total_steps=total_steps), []
    for _ in range(total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def from_command_line(class_path, **options):
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(SoftmaxRegression, "model")
    scheduler = {"class_path": class_path, "init_args": options}
    config = parser.parse_object({"model": {"input_shape": [1], "num_classes": 2, "scheduler": scheduler}})
    return parser.instantiate_classes(config).model.make_scheduler


@pytest.mark.parametrize(
    "scheduler",
    [
        partial(OneCycleLR, max_lr=0.3),
        partial(CosineWithWarmup, warmup=0.2),
        CosineWithWarmup,
        pytest.param(("torch.optim.lr_scheduler.OneCycleLR", {"max_lr": 0.3}), id="YAML"),
    ],
)
def test_a_scheduler_that_takes_total_steps_moves_every_step_to_the_end_of_training(scheduler):
    alone = scheduler
    if isinstance(scheduler, tuple):
        scheduler, alone = from_command_line(scheduler[0], **scheduler[1]), partial(OneCycleLR, max_lr=0.3)
    rates, _ = train(scheduler)
    assert rates == pytest.approx(by_hand(alone, STEPS * EPOCHS))


@pytest.mark.parametrize(
    "scheduler",
    [
        partial(StepLR, step_size=1, gamma=0.5),
        lambda optimizer: StepLR(optimizer, 1, gamma=0.5),
        pytest.param(("torch.optim.lr_scheduler.StepLR", {"step_size": 1, "gamma": 0.5}), id="YAML"),
    ],
)
def test_other_schedulers_move_every_epoch(scheduler):
    if isinstance(scheduler, tuple):
        scheduler = from_command_line(scheduler[0], **scheduler[1])
    rates, _ = train(scheduler)
    assert rates == pytest.approx([0.1] * STEPS + [0.05] * STEPS + [0.025] * STEPS)


def test_a_resumed_training_that_is_longer_than_its_schedule_is_refused():
    scheduler = partial(OneCycleLR, max_lr=0.3)
    _, trainer = train(scheduler, epochs=1)
    trainer.save_checkpoint("saved.ckpt")
    with pytest.raises(ValueError, match="OneCycleLR ends after 5 steps, but the training is to have 10: keep"):
        train(scheduler, epochs=2, checkpoint="saved.ckpt")


def test_reduce_on_plateau_monitors_the_validation_loss():
    # The rate is so small that the loss stands still: the first epoch is the best, each later one lowers the rate.
    rates, _ = train(partial(ReduceLROnPlateau, monitor="val/loss", factor=0.5, patience=0), lr=1e-12)
    assert rates == pytest.approx([1e-12] * 2 * STEPS + [0.5e-12] * STEPS)


def test_reduce_on_plateau_monitors_the_metric_it_names():
    _, trainer = train(partial(ReduceLROnPlateau, monitor="val/acc", mode="max"))
    assert trainer.lr_scheduler_configs[0].monitor == "val/acc"


def test_without_a_scheduler_the_learning_rate_is_constant():
    assert train(None)[0] == [0.1] * STEPS * EPOCHS


def test_the_default_optimizer_is_adam():
    optimizer = SoftmaxRegression((4,), 2).configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_optimizers_get_only_parameters_that_require_gradients():
    model = SoftmaxRegression((4,), 2)
    model.net.head.weight.requires_grad_(False)
    (group,) = model.configure_optimizers().param_groups
    assert [id(weight) for weight in group["params"]] == [id(model.net.head.bias)]
