import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import FSDPStrategy

from litzoo.callbacks import GradualUnfreezing
from litzoo.callbacks.training._network_stages import require_reachable
from litzoo.lit_modules import MaskRCNNSegmenter, MixUp, SoftmaxRegression
from tests.callbacks.unfrozen import SHAPE, cnn, digits, fit, squeezenet
from tests.training import cpu_trainer

REFUSED = {
    "negative": ({"trained_stages": -1}, "trained_stages: -1 stages; give a number from 0 up, or all"),
    "at the start": ({"unfreeze_at": {0: 1}}, "unfreeze_at: epoch 0; give epochs from 1 on"),
    "fewer later": ({"unfreeze_at": {1: 2, 3: 1}}, "1 stages from epoch 3 on are no more than before"),
    "after all": ({"trained_stages": "all", "unfreeze_at": {3: 1}}, "1 stages from epoch 3 on are no more .*all"),
    "negative later": ({"unfreeze_at": {3: -1}}, "-1 stages from epoch 3"),
    "factor": ({"depth_factor": 0.0}, r"depth_factor: 0.0 is outside \(0, 1\]"),
    "larger factor": ({"depth_factor": 2.6}, r"depth_factor: 2.6 is outside \(0, 1\]"),
    "cache": (
        {"trained_stages": 1, "cache_features": True},
        "cache_features: with trained_stages 1 the features change",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_is_refused_at_once(kind):
    options, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message):
        GradualUnfreezing(**options)


class Plain(LightningModule):
    def training_step(self, batch, batch_idx):
        """Trains nothing."""

    def configure_optimizers(self):
        """Makes none."""


def detector():
    return MaskRCNNSegmenter(1, proposals=20)


UNFIT = {
    "too many": (
        (0, {1: 4}),
        cnn,
        {},
        ValueError,
        "4 stages are to be trained, but the network has 3 .*trunk.0, trunk.5",
    ),
    "none": ((1,), lambda: SoftmaxRegression(SHAPE, 10), {}, ValueError, r"the network has 0 before its head \(none\)"),
    "a stranger's": ((), Plain, {}, TypeError, "needs a classifier or a regressor of the zoo, not Plain; leave it out"),
    "a detector": ((), detector, {}, TypeError, r"cannot be unfrozen stage by stage; model\.trainable_stages"),
    "no cache": ((0, None, 1.0, True), cnn, {}, TypeError, "needs a TransferClassifier and data of the zoo, not CNN"),
    "augmented": (
        (0, None, 1.0, True),
        squeezenet,
        {"augment": ["shift", "affine"]},
        ValueError,
        r"data.augment \['shift', 'affine'\] makes another image every time",
    ),
    "mixed": (
        (0, None, 1.0, True),
        lambda: squeezenet(mix=MixUp()),
        {},
        ValueError,
        "model.mix: makes other images .*leave it out, or cache_features",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_does_not_fit_the_module_is_refused_before_training(kind):
    arguments, model, data, error, message = UNFIT[kind]
    with pytest.raises(error, match=message):
        fit(GradualUnfreezing(*arguments), model=model(), datamodule=digits(**data))


def test_a_strategy_that_keeps_to_the_weights_it_began_with_is_refused():
    trainer = cpu_trainer()
    trainer.strategy.__class__ = FSDPStrategy
    with pytest.raises(ValueError, match="a FSDPStrategy keeps to the weights it began with; choose"):
        require_reachable(trainer, [0, 1])
    require_reachable(trainer, [0])
