import math
from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from litzoo.callbacks import BestWeightsEarlyStopping
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import MLPClassifier
from tests.callbacks.scripted import STEPS_AN_EPOCH, Scripted
from tests.training import cpu_trainer


def every_epoch():
    return ModelCheckpoint("kept", filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)


def fit(stopping, scores, ckpt_path=None, validate_every=STEPS_AN_EPOCH, **options):
    """Trains; returns the number of epochs, and the step whose weights the module has at the end."""
    options = {"max_epochs": len(scores), "enable_checkpointing": True} | options
    model = Scripted(scores, validate_every)
    trainer = cpu_trainer(callbacks=[stopping, every_epoch()], **options)
    trainer.fit(model, ckpt_path=ckpt_path)
    return trainer.global_step / STEPS_AN_EPOCH, model.weight.item()


@pytest.mark.parametrize(
    ("options", "scores", "epochs", "best"),
    [
        ({"patience": 3}, [5, 4, 3, 3.5, 3.2, 3.1, 1], 6, 3),
        ({"patience": 0}, [3, 2, 2.5, 1], 3, 2),
        ({"patience": 2}, [3, 4, 2, 4, 1, 2, 2, 0], 7, 5),
        ({"patience": 2, "min_delta": 0.5}, [5, 4.8, 4.6, 1], 3, 1),
        ({"patience": 2, "min_delta": 0.5}, [5, 4.8, 4.4, 4.3, 4.2], 5, 3),
        ({"patience": 2, "mode": "max"}, [1, 3, 2, 2.5, 9], 4, 2),
        ({"patience": 5}, [3, 2, 1], 3, 3),
        ({"patience": 5}, [3, 1, 2], 3, 2),
        ({"patience": 1}, [3, 2, math.nan, 1], 3, 2),
    ],
)
def test_it_stops_in_time_with_the_weights_of_the_best_epoch(options, scores, epochs, best):
    assert fit(BestWeightsEarlyStopping(**options), scores) == (epochs, best * STEPS_AN_EPOCH)


@pytest.mark.parametrize("ending", [{"max_steps": 3 * STEPS_AN_EPOCH + 1}, {"max_epochs": 3}])
def test_the_best_weights_are_restored_at_max_steps_and_max_epochs_too(ending):
    assert fit(BestWeightsEarlyStopping(), [3, 1, 2, 2, 2], **ending)[1] == 2 * STEPS_AN_EPOCH


SCORES = [5, 3, 4, 2, 2.5, 2.2, 3, 1, 1]  # with a patience of 3 it stops after seven epochs; the fourth is best


@pytest.mark.parametrize("interrupted_after", range(6))
def test_a_resumed_run_ends_as_an_uninterrupted_one(interrupted_after):
    uninterrupted = fit(BestWeightsEarlyStopping(patience=3), SCORES)
    assert uninterrupted == (7, 4 * STEPS_AN_EPOCH)
    checkpoint = f"kept/epoch={interrupted_after}.ckpt"
    assert fit(BestWeightsEarlyStopping(patience=3), SCORES, checkpoint) == uninterrupted


def test_patience_is_taken_from_the_current_configuration():
    fit(BestWeightsEarlyStopping(patience=3), SCORES, max_epochs=5)
    assert fit(BestWeightsEarlyStopping(patience=2), SCORES, "kept/epoch=4.ckpt") == (6, 4 * STEPS_AN_EPOCH)


def test_the_checkpoint_of_the_best_epoch_stores_its_weights_once():
    stopping = BestWeightsEarlyStopping()
    fit(stopping, [3, 1, 2])
    kept = []
    for epoch in range(3):
        checkpoint = torch.load(f"kept/epoch={epoch}.ckpt", weights_only=True)
        kept.append(checkpoint["callbacks"][stopping.state_key]["best_weights"])
    assert kept[:2] == [None, None]
    assert kept[2]["weight"].item() == 2 * STEPS_AN_EPOCH


def test_validation_twice_an_epoch_is_resumed_with_the_right_weights():
    options = {"validate_every": 2, "val_check_interval": 0.5, "max_epochs": 3}
    scores = [1, 2, 3, 4, 5, 6]
    assert fit(BestWeightsEarlyStopping(), scores, **options) == (3, 2)
    assert fit(BestWeightsEarlyStopping(), scores, "kept/epoch=0.ckpt", **options) == (3, 2)


def test_the_best_weights_of_a_real_module_are_restored_bitwise():
    trainer = cpu_trainer(
        max_epochs=30, enable_checkpointing=True, callbacks=[BestWeightsEarlyStopping(patience=2), every_epoch()]
    )
    optimizer = partial(torch.optim.Adam, lr=0.1)
    model = MLPClassifier((1, 28, 28), 10, hidden=(32,), batch_norm=True, optimizer=optimizer)
    trainer.fit(model, DigitsDataModule(train_size=60, val_size=60, batch_size=10))
    stopped = trainer.current_epoch
    assert 2 < stopped < 30
    best = torch.load(f"kept/epoch={stopped - 3}.ckpt", weights_only=True)["state_dict"]
    assert best.keys() == model.state_dict().keys()
    assert all(torch.equal(value, best[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["patience", "min_delta"])
def test_negative_numbers_are_refused(name):
    with pytest.raises(ValueError, match=rf"BestWeightsEarlyStopping\.{name}: -1 is negative"):
        BestWeightsEarlyStopping(**{name: -1})


def test_a_missing_metric_is_refused_before_training():
    model = Scripted([1.0])
    trainer = cpu_trainer(callbacks=[BestWeightsEarlyStopping(monitor="val/acc")])
    with pytest.raises(ValueError, match="'val/acc' is not logged; choose one of val/loss"):
        trainer.fit(model)
    assert model.weight.item() == 0
