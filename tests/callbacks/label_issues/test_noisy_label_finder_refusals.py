import pytest
import torch.nn.functional as F

from litzoo.callbacks import NoisyLabelFinder
from litzoo.datamodules import DiabetesDataModule
from litzoo.lit_modules import CutMix, Regressor, SoftmaxRegression
from tests.callbacks.noisy_digits import fit


@pytest.mark.parametrize("option", [{"skip_epochs": -1}, {"count": 0}, {"method": "aum"}])
def test_invalid_options_raise(option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=rf"NoisyLabelFinder\.{name}: .?{value}"):
        NoisyLabelFinder(**option)


def test_a_module_that_is_not_a_classifier_raises():
    with pytest.raises(TypeError, match="Regressor has no class_names: remove the callback or choose a classifier"):
        fit(NoisyLabelFinder(), model=Regressor((10,)), datamodule=DiabetesDataModule())


def test_mixed_images_raise():
    model = SoftmaxRegression((1, 28, 28), 10, mix=CutMix())
    with pytest.raises(ValueError, match=r"NoisyLabelFinder .* CutMix trains on images mixed from two samples"):
        fit(NoisyLabelFinder(), model=model)


class ReturnsOnlyLoss(SoftmaxRegression):
    def training_step(self, batch, batch_idx):
        return {"loss": super().training_step(batch, batch_idx)["loss"]}


class ReturnsOneHotTargets(SoftmaxRegression):
    def training_step(self, batch, batch_idx):
        outputs = super().training_step(batch, batch_idx)
        return {**outputs, "target": F.one_hot(outputs["target"], 10).float()}


@pytest.mark.parametrize(
    ("model", "returned"),
    [
        (ReturnsOnlyLoss, r"returns loss torch.float32 \[\]:"),
        (ReturnsOneHotTargets, r"target torch.float32 \[40, 10\]"),
    ],
)
def test_a_training_step_that_does_not_return_logits_and_classes_raises(model, returned):
    with pytest.raises(TypeError, match=rf"{model.__name__} .*{returned}"):
        fit(NoisyLabelFinder(), model=model((1, 28, 28), 10))
