from functools import partial
from itertools import pairwise

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader

from litzoo.callbacks import EpochSeed, ExactResume, GradualUnfreezing, LastCheckpoint
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import MixUp, Triangular, WhitenedCNNClassifier
from litzoo.lit_modules.networks.whitened_cnn import whitening_filters
from tests.training import cpu_trainer

LAST = "run/checkpoints/last.ckpt"


@pytest.fixture(autouse=True)
def _seeded(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")


def digits(**options):
    options = {"train_size": 60, "val_size": 20, "batch_size": 20, "augment": "alternating_flip_shift", **options}
    return DigitsDataModule(**options)


def classifier(**options):
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.85, nesterov=True, weight_decay=1e-3)
    options = {"widths": [4, 6], "optimizer": sgd, "scheduler": Triangular, **options}
    return WhitenedCNNClassifier((1, 28, 28), 10, **options)


class KilledError(Exception):
    pass


class Watches(Callback):
    """Keeps the bias of the first layer at the start of every epoch, and ends the training at one of them."""

    def __init__(self, dies_at=None):
        self.biases, self.dies_at = [], dies_at

    def on_train_epoch_start(self, trainer, pl_module):
        self.biases.append(pl_module.net.whitening.bias.detach().clone())
        if trainer.current_epoch == self.dies_at:
            raise KilledError


def train(module, *callbacks, epochs=4, checkpoint=None, **options):
    callbacks = [EpochSeed(), ExactResume(), *callbacks, LastCheckpoint()]
    trainer = cpu_trainer(max_epochs=epochs, callbacks=callbacks, enable_checkpointing=True)
    trainer.fit(module, digits(**options), ckpt_path=checkpoint)
    return trainer


def test_the_first_layer_whitens_the_training_images_as_they_are_evaluated():
    module, data = classifier(), digits()
    cpu_trainer(max_steps=1).fit(module, data)
    images = data.normalise(data.train_set.inputs[data.split.train])
    filters = whitening_filters(images, 2)
    assert torch.equal(module.net.whitening.weight, torch.cat([filters, -filters]))


def test_the_filters_are_in_the_checkpoint_and_other_data_do_not_change_them():
    module = classifier()
    train(module, epochs=1)
    filters = module.net.whitening.weight.clone()
    loaded = WhitenedCNNClassifier.load_from_checkpoint(LAST, weights_only=True)
    assert torch.equal(loaded.net.whitening.weight, filters)
    x = torch.randn(3, 1, 28, 28)
    assert torch.equal(loaded.eval()(x), module.eval()(x))
    train(module, epochs=1, seed=5)
    assert torch.equal(module.net.whitening.weight, filters)


def test_validating_an_untrained_module_computes_no_filters():
    module = classifier()
    cpu_trainer().validate(module, digits(), verbose=False)
    assert not module.net.whitening.is_fitted


@pytest.mark.parametrize("epochs", [0, 2, 9])
def test_the_bias_of_the_first_layer_is_trained_for_its_epochs(epochs):
    watching = Watches()
    module = classifier(whitening_bias_epochs=epochs)
    train(module, watching)
    biases = [*watching.biases, module.net.whitening.bias.detach()]
    changed = [not torch.equal(before, after) for before, after in pairwise(biases)]
    assert changed == [epoch < epochs for epoch in range(4)]


def test_biases_have_a_learning_rate_of_their_own_and_no_weight_decay():
    module = classifier(bias_lr_scale=64.0)
    trainer = train(module, epochs=1)
    weights, biases = trainer.optimizers[0].param_groups
    assert {weight.ndim for weight in biases["params"]} == {1}
    assert sum(len(group["params"]) for group in (weights, biases)) == len(list(module.parameters()))
    assert biases["initial_lr"] == pytest.approx(6.4)
    assert biases["lr"] == pytest.approx(64 * weights["lr"])
    assert (weights["weight_decay"], biases["weight_decay"]) == (1e-3, 0.0)


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_a_resumed_training_ends_with_the_weights_of_an_unbroken_one(killed_at):
    unbroken = classifier(whitening_bias_epochs=2)
    train(unbroken)
    with pytest.raises(KilledError):
        train(classifier(whitening_bias_epochs=2), Watches(killed_at))
    resumed = classifier(whitening_bias_epochs=2)
    train(resumed, checkpoint=LAST)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_unfreezing_step_by_step_never_trains_the_filters():
    module = classifier()
    train(module, GradualUnfreezing(unfreeze_at={1: "all"}))
    filters = module.net.whitening.weight
    assert torch.equal(filters[:4], -filters[4:])


def test_it_learns_the_digits():
    trainer = train(classifier(widths=[8, 16]), epochs=10, train_size=600, val_size=200)
    assert trainer.callback_metrics["val/acc"] > 0.8


def test_training_without_a_datamodule_is_refused():
    batch = {"input": torch.zeros(2, 1, 28, 28), "target": torch.zeros(2).long(), "index": torch.arange(2)}
    with pytest.raises(ValueError, match="computes its first layer from training images"):
        cpu_trainer().fit(classifier(), DataLoader([batch], batch_size=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias_lr_scale": 0}, "bias_lr_scale: 0 is not a factor above 0"),
        ({"whitening_bias_epochs": -1}, "whitening_bias_epochs: -1 is negative"),
        ({"widths": []}, "at least one block"),
        ({"dropout": 1.0}, r"dropout: 1.0 is outside \[0, 1\)"),
        ({"forget_rate": 20}, r"forget_rate: 20 is outside \[0, 1\)"),
        ({"forget_rate": 0.2, "ramp_epochs": 0}, "ramp_epochs: 0 is below 1"),
        ({"forget_rate": 0.2, "mix": MixUp()}, "takes neither mix nor a loss that remembers samples"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        classifier(**options)


def test_co_teaching_trains_two_networks_that_share_the_filters_and_differ_in_their_weights():
    module = classifier(forget_rate=0.4, ramp_epochs=1)
    train(module, epochs=2)
    first, second = module.net.first, module.net.second
    assert first.whitening.is_fitted
    assert torch.equal(first.whitening.weight, second.whitening.weight)
    assert not torch.equal(first.head.weight, second.head.weight)
    loaded = WhitenedCNNClassifier.load_from_checkpoint(LAST)
    x = torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(loaded.eval()(x), (first.eval()(x) + second.eval()(x)) / 2)
    biases = {weight for weight in module.parameters() if weight.ndim == 1}
    assert set(module.weight_groups[1]["params"]) == biases
    assert len(biases) == 2 * 5


def test_co_teaching_leaves_samples_out_of_the_loss():
    values = []
    for rate in (0.0, 0.5):
        module = classifier(forget_rate=rate)
        cpu_trainer(max_steps=1).fit(module, data := digits())
        module.trainer.fit_loop.epoch_progress.current.completed = 9
        batch = data.as_evaluated(data.train_set.__getitems__(list(range(20))))
        values.append(module.training_loss(batch)[1].item())
    assert values[1] < values[0]
