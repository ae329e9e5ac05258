import re
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import GradientAccumulationScheduler
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


def train(scheduler, lr=0.1, epochs=EPOCHS, checkpoint=None, callbacks=(), val_size=20, **trainer):
    """Trains; returns the rate of every step, and the trainer."""
    rates = Rates()
    trainer = cpu_trainer(**({"max_epochs": epochs, "callbacks": [rates, *callbacks]} | trainer))
    model = SoftmaxRegression((1, 28, 28), 10, optimizer=partial(torch.optim.SGD, lr=lr), scheduler=scheduler)
    trainer.fit(model, DigitsDataModule(train_size=STEPS * 8, val_size=val_size, batch_size=8), ckpt_path=checkpoint)
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


STANDS_STILL = partial(ReduceLROnPlateau, monitor="val/loss", factor=0.5, patience=0)


@pytest.mark.filterwarnings("error:ReduceLROnPlateau conditioned on metric")
def test_reduce_on_plateau_moves_only_after_a_validation():
    rates, _ = train(STANDS_STILL, lr=1e-12, epochs=7, check_val_every_n_epoch=2)
    # Validated after epochs 1 (the best), 3 and 5.
    assert rates[::STEPS] == pytest.approx([1e-12] * 4 + [0.5e-12] * 2 + [0.25e-12])


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5])
def test_reduce_on_plateau_resumes_between_two_validations(epochs):
    _, trainer = train(STANDS_STILL, lr=1e-12, epochs=epochs, check_val_every_n_epoch=2)
    trainer.save_checkpoint("saved.ckpt")
    rates, _ = train(STANDS_STILL, lr=1e-12, epochs=7, check_val_every_n_epoch=2, checkpoint="saved.ckpt")
    expected = [1e-12] * 4 + [0.5e-12] * 2 + [0.25e-12]
    assert rates[::STEPS] == pytest.approx(expected[epochs:])


@pytest.mark.parametrize("options", [{"val_size": 0}, {"limit_val_batches": 0}])
def test_reduce_on_plateau_without_validation_is_refused_before_training(options):
    with pytest.raises(ValueError, match=r"monitors val/loss, but there is no validation: set data.val_size"):
        train(STANDS_STILL, **options)
    train(partial(ReduceLROnPlateau, monitor="train/loss"), **options)


def test_reduce_on_plateau_of_an_unknown_metric_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"val/los, which is not logged; choose one of .*val/acc, val/loss"):
        train(partial(ReduceLROnPlateau, monitor="val/los"))


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"callbacks": [GradientAccumulationScheduler({0: 4, 2: 1})], "epochs": 4}, 2 * 2 + 2 * STEPS),
        ({"callbacks": [GradientAccumulationScheduler({1: 2})], "epochs": 3, "max_steps": 9}, 9),
        ({"accumulate_grad_batches": 2}, 3 * EPOCHS),
        ({"limit_train_batches": 3}, 3 * EPOCHS),
        ({"max_steps": 7, "max_epochs": -1}, 7),
    ],
    ids=["scheduled", "scheduled, max_steps", "accumulated", "limited", "max_steps"],
)
def test_a_schedule_ends_with_the_training(options, steps):
    _, trainer = train(CosineWithWarmup, **options)
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    assert trainer.global_step == scheduler.last_epoch == steps
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_a_schedule_that_cannot_end_is_refused():
    with pytest.raises(ValueError, match=r"set --trainer.max_epochs or --trainer.max_steps"):
        train(CosineWithWarmup, max_epochs=-1)


@pytest.mark.parametrize("three_phases", [False, True])
@pytest.mark.parametrize("from_yaml", [False, True])
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_warm_up_of_one_step_is_refused_with_a_value_that_works(epochs, from_yaml, three_phases):
    steps = STEPS * epochs
    options = {"max_lr": 0.3, "three_phase": three_phases}

    def one_cycle(start):
        path = "torch.optim.lr_scheduler.OneCycleLR"
        return (
            from_command_line(path, pct_start=start, **options)
            if from_yaml
            else partial(OneCycleLR, pct_start=start, **options)
        )

    with pytest.raises(ValueError, match=rf"model\.scheduler: {steps} steps with pct_start .* no time") as refusal:
        train(one_cycle(1 / steps), epochs=epochs)
    named = re.search(r"set --model\.scheduler\.pct_start (\S+), or train for more steps$", str(refusal.value))
    rates, _ = train(one_cycle(float(named[1])), epochs=epochs)
    assert rates.index(max(rates)) in (1, 2)  # the shortest warm-up there is


def test_a_schedule_of_a_single_step_is_refused_with_the_number_that_is_needed():
    with pytest.raises(ValueError, match=r"1 steps with pct_start 1 .* train for at least 2 steps, with --trainer\."):
        train(partial(OneCycleLR, max_lr=0.3, pct_start=1.0), max_steps=1)
