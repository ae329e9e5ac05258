from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import nn

from litzoo.datamodules import DiabetesDataModule, DigitsDataModule
from litzoo.lit_modules import OneHotSquaredError, Regressor, SoftmaxRegression
from tests.training import cpu_trainer

STANDING_STILL = partial(torch.optim.SGD, lr=0.0)


def digits(**options):
    return DigitsDataModule(**{"train_size": 90, "val_size": 50, "batch_size": 32, "eval_batch_size": 20} | options)


def everything(datamodule, model, part):
    """Returns logits and targets of a whole part, by one forward pass."""
    dataset = getattr(datamodule, f"{part}_set")
    with torch.no_grad():
        logits = model(datamodule.normalise(dataset.inputs[dataset.indices]))
    return logits, dataset.targets[dataset.indices]


@pytest.mark.parametrize("loss", [OneHotSquaredError(), nn.CrossEntropyLoss(label_smoothing=0.3), None])
def test_train_loss_is_the_plugged_in_loss_and_val_loss_plain_cross_entropy(loss):
    datamodule, trainer = digits(), cpu_trainer()
    model = SoftmaxRegression((1, 28, 28), 10, loss=loss, optimizer=STANDING_STILL)
    trainer.fit(model, datamodule)
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    train, val = everything(datamodule, model, "train"), everything(datamodule, model, "val")
    expected = {
        "train/loss": (loss or nn.CrossEntropyLoss())(*train),  # the last batch has 26 samples, the others 32
        "train/acc": (train[0].argmax(dim=1) == train[1]).float().mean(),
        "val/loss": F.cross_entropy(*val),
        "val/acc": (val[0].argmax(dim=1) == val[1]).float().mean(),
    }
    assert metrics == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-5)


class Curious(nn.Module):
    """A cross-entropy that asks for more and notes what it is given."""

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, logits, target, *, index, epoch):
        self.given.append((epoch, index, target))
        return F.cross_entropy(logits, target)


def test_a_loss_gets_the_index_and_the_epoch_that_it_requests():
    datamodule, loss = digits(), Curious()
    cpu_trainer(max_epochs=2).fit(SoftmaxRegression((1, 28, 28), 10, loss=loss), datamodule)
    assert [epoch for epoch, _, _ in loss.given] == [0, 0, 0, 1, 1, 1]
    assert torch.equal(torch.cat([index for _, index, _ in loss.given[:3]]).sort().values, datamodule.split.train)
    for _, index, target in loss.given:
        assert torch.equal(target, datamodule.train_set.targets[index])


class OnlyEpoch(nn.Module):
    def forward(self, logits, target, epoch):
        return F.cross_entropy(logits, target) * epoch


def test_a_loss_gets_no_extras_that_it_does_not_request():
    trainer = cpu_trainer()
    trainer.fit(SoftmaxRegression((1, 28, 28), 10, loss=OnlyEpoch()), digits())
    assert trainer.callback_metrics["train/loss"] == 0


class Outputs(Callback):
    def __init__(self):
        self.kept = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.kept.append(outputs)

    on_validation_batch_end = on_train_batch_end


@pytest.mark.parametrize(
    ("model", "datamodule", "keys"),
    [
        (SoftmaxRegression((1, 28, 28), 10), digits(), {"loss", "logits", "target", "index"}),
        (Regressor((10,), 150.0, 77.0), DiabetesDataModule(), {"loss", "prediction", "target", "index"}),
    ],
    ids=["classifier", "regressor"],
)
def test_callbacks_get_detached_outputs(model, datamodule, keys):
    outputs = Outputs()
    cpu_trainer(callbacks=[outputs]).fit(model, datamodule)
    assert outputs.kept
    for kept in outputs.kept:
        assert set(kept) == keys
        assert not any(value.requires_grad for value in kept.values())


def test_only_the_loss_of_a_step_leads_back_to_the_weights():
    batch = {"input": torch.randn(4, 3), "target": torch.tensor([0, 1, 1, 0]), "index": torch.arange(4)}
    model = SoftmaxRegression((3,), 2)
    model.trainer = cpu_trainer()
    outputs = model.step(batch, "train")
    assert {name for name, value in outputs.items() if value.requires_grad} == {"loss"}


def test_an_epoch_cut_short_by_max_steps_still_logs_its_loss():
    model = SoftmaxRegression((1, 28, 28), 10, optimizer=STANDING_STILL)
    outputs = Outputs()
    trainer = cpu_trainer(max_epochs=-1, max_steps=2, callbacks=[outputs], num_sanity_val_steps=0)
    trainer.fit(model, digits(batch_size=30))
    assert trainer.global_step == 2
    mean = torch.stack([kept["loss"] for kept in outputs.kept]).mean()
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(mean.item())


def test_the_mean_is_reset_for_the_next_epoch():
    losses = Outputs()
    trainer = cpu_trainer(max_epochs=3, callbacks=[losses], limit_val_batches=0)
    trainer.fit(SoftmaxRegression((1, 28, 28), 10), digits(batch_size=30))
    last_epoch = torch.stack([kept["loss"] for kept in losses.kept[-3:]])
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(last_epoch.mean().item())


class AsksToStop(Callback):
    """Asks for an end at the first step, and keeps the loss of every step, by epoch."""

    def __init__(self):
        self.losses = {}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = True
        self.losses.setdefault(trainer.current_epoch, []).append((outputs["loss"].item(), len(batch["index"])))


def test_means_cover_whole_epochs_with_min_epochs():
    asks, found = AsksToStop(), {}

    class Notes(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            found[trainer.current_epoch] = trainer.callback_metrics["train/loss"].item()

    cpu_trainer(max_epochs=5, min_epochs=2, callbacks=[asks, Notes()]).fit(SoftmaxRegression((1, 28, 28), 10), digits())
    assert sorted(found) == [0, 1]
    for epoch, losses in asks.losses.items():
        assert len(losses) == 3
        expected = sum(loss * size for loss, size in losses) / sum(size for _, size in losses)
        assert found[epoch] == pytest.approx(expected, rel=1e-5)
