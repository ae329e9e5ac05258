import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import FSDPStrategy

from litzoo.callbacks import GradualUnfreezing
from litzoo.callbacks.training._network_stages import check_unfreezing_schedule
from litzoo.lit_modules import MaskRCNNSegmenter, MixUp, SoftmaxRegression
from tests.callbacks.unfrozen import SHAPE, cnn, digits, fit, squeezenet
from tests.training import cpu_trainer

REFUSED = {
    "negative": ({"trained_stages": -1}, "trained_stages: -1 stages; give 0 or more, or all"),
    "at the start": ({"unfreeze_at": {0: 1}}, "unfreeze_at: epoch 0; give epochs from 1 on"),
    "fewer later": ({"unfreeze_at": {1: 2, 3: 1}}, "1 stages from epoch 3 on are not more than before"),
    "after all": ({"trained_stages": "all", "unfreeze_at": {3: 1}}, "1 stages from epoch 3 on are not more .*all"),
    "negative later": ({"unfreeze_at": {3: -1}}, "-1 stages from epoch 3"),
    "factor": ({"depth_factor": 0.0}, r"depth_factor: 0.0 is outside \(0, 1\]"),
    "larger factor": ({"depth_factor": 2.6}, r"depth_factor: 2.6 is outside \(0, 1\]"),
    "cache": (
        {"trained_stages": 1, "cache_features": True},
        "cache_features: with trained_stages 1 the features change",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_invalid_arguments_are_refused(kind):
    options, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message):
        GradualUnfreezing(**options)


class Plain(LightningModule):
    def training_step(self, batch, batch_idx):
        """Does nothing."""

    def configure_optimizers(self):
        """Returns no optimizer."""


def detector():
    return MaskRCNNSegmenter(1, proposals=20)


UNSUITABLE = {
    "too many": (
        (0, {1: 4}),
        cnn,
        {},
        ValueError,
        "cannot train 4 stages, the network has 3 .*trunk.0, trunk.5",
    ),
    "none": ((1,), lambda: SoftmaxRegression(SHAPE, 10), {}, ValueError, r"the network has 0 before its head \(none\)"),
    "another module": ((), Plain, {}, TypeError, "needs one of litzoo's classifiers or regressors, not Plain; remove"),
    "a detector": ((), detector, {}, TypeError, r"cannot be unfrozen stage by stage; model\.trainable_stages"),
    "no cache": (
        (0, None, 1.0, True),
        cnn,
        {},
        TypeError,
        "needs a TransferClassifier and .*not CNN",
    ),
    "augmented": (
        (0, None, 1.0, True),
        squeezenet,
        {"augment": ["shift", "affine"]},
        ValueError,
        r"data.augment \['shift', 'affine'\] changes the images in every epoch",
    ),
    "mixed": (
        (0, None, 1.0, True),
        lambda: squeezenet(mix=MixUp()),
        {},
        ValueError,
        "model.mix: .*cannot be cached; leave it out, or cache_features",
    ),
}


@pytest.mark.parametrize("kind", UNSUITABLE)
def test_unsuitable_modules_and_data_are_refused_before_training(kind):
    arguments, model, data, error, message = UNSUITABLE[kind]
    with pytest.raises(error, match=message):
        fit(GradualUnfreezing(*arguments), model=model(), datamodule=digits(**data))


def test_a_strategy_that_cannot_unfreeze_parameters_is_refused():
    trainer = cpu_trainer()
    trainer.strategy.__class__ = FSDPStrategy
    with pytest.raises(ValueError, match="FSDPStrategy cannot unfreeze parameters during training; use"):
        check_unfreezing_schedule(trainer, [0, 1])
    check_unfreezing_schedule(trainer, [0])
