"""What the callbacks say to a Lightning module that lacks what they need."""

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

from litzoo.callbacks import (
    ConfusionMatrixFigure,
    MaxLogit,
    NoisyLabelFinder,
    PredictionSets,
    TemperatureScaling,
    UnknownClassDetector,
)
from tests.callbacks.plain import Clusters, Plain, fit, loaders
from tests.training import cpu_trainer

CALLBACKS = [
    lambda: UnknownClassDetector(MaxLogit()),
    lambda: PredictionSets(0.9),
    TemperatureScaling,
    NoisyLabelFinder,
    ConfusionMatrixFigure,
]


class Silent(LightningModule):
    """Has nothing of what the callbacks need."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 3)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    validation_step = test_step = training_step

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


NEEDS = ("class_names", "test_step and predict_step", r"logits \[B, K\]", "target and index", r"features \[B, D\]")


@pytest.mark.parametrize("callback", CALLBACKS)
def test_all_that_is_needed_is_told_at_once(callback):
    with pytest.raises(TypeError, match=".*".join(NEEDS)):
        fit(callback(), module=Silent())


class Named(Silent):
    class_names = ("a", "b", "c")


def test_steps_without_outputs_are_refused_by_name():
    with pytest.raises(TypeError, match=r"NoisyLabelFinder needs training steps that return logits \[B, K\].*target"):
        fit(NoisyLabelFinder(), module=Named())
    trainer = cpu_trainer(callbacks=[ConfusionMatrixFigure()])
    message = r"reads the outputs of Named\.test_step, which returns a Tensor; it needs index, logits, target: in a"
    with pytest.raises(TypeError, match=message):
        trainer.test(Named(), loaders(test=Clusters(30, 2))["test"])


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (lambda: UnknownClassDetector(MaxLogit()), "18 calibration samples; it needs 19"),
        (lambda: PredictionSets(0.95), "18"),
        (TemperatureScaling, "18 calibration samples; at least 50"),
        (
            lambda: UnknownClassDetector(MaxLogit(), calibration_fraction=0.5),
            "has no reserve_calibration; leave it",
        ),
    ],
)
def test_too_few_validation_samples_are_refused_before_training(callback, message):
    class Never(Plain):
        def training_step(self, batch, batch_idx):
            raise AssertionError("trained")

    with pytest.raises((ValueError, TypeError), match=message):
        fit(callback(), module=Never(), val=Clusters(18, 1))


def test_several_validation_loaders_are_refused():
    class Several(Plain):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return self.run(batch)

    trainer = cpu_trainer(callbacks=[TemperatureScaling()])
    served = loaders()
    with pytest.raises(ValueError, match="there are 2 val loaders; callbacks that run the model on them need one"):
        trainer.fit(Several(), served["train"], [served["val"], served["test"]])
