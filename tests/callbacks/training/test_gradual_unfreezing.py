import warnings
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR, ReduceLROnPlateau, StepLR

from litzoo.callbacks import GradualUnfreezing
from litzoo.lit_modules import CosineWithWarmup, MLPClassifier
from tests.callbacks.unfrozen import SHAPE, RecordsSteps, changed, cnn, fit

STAGES = ["trunk.0", "trunk.5", "trunk.11", "head"]  # of the network below


def test_frozen_stages_get_no_gradients_and_keep_their_running_statistics():
    steps = RecordsSteps()
    _, model = fit(GradualUnfreezing(0, {1: 1, 2: 2, 3: "all"}), steps)
    assert steps.frozen == [3, 3, 2, 2, 1, 1, 0, 0]
    states = [*steps.states, model.net.state_dict()]
    parts = [["trunk.0", "trunk.1"], ["trunk.5", "trunk.6"], ["trunk.11"], ["head"]]
    for epoch, trained in enumerate([1, 2, 3, 4]):
        moved = [changed(states[epoch], states[epoch + 1], part) for part in parts]
        assert moved == [number >= 4 - trained for number in range(4)]


def test_after_training_the_module_is_unfrozen():
    callback = GradualUnfreezing()
    _, model = fit(callback, max_epochs=1)
    assert all(weight.requires_grad for weight in model.parameters())
    assert model.weight_groups is None
    steps = RecordsSteps()
    fit(steps, model=model, max_epochs=1, callbacks=[])
    assert changed(model.net.state_dict(), cnn().net.state_dict(), ["trunk.0"])


def test_training_the_whole_network_at_one_rate_equals_training_without_it():
    with_it, without = (fit(*callbacks)[1] for callbacks in ([GradualUnfreezing("all")], []))
    for name, value in without.net.state_dict().items():
        torch.testing.assert_close(with_it.net.state_dict()[name], value)


SCHEDULES = {
    "none": None,
    "one cycle": partial(OneCycleLR, max_lr=0.1),
    "cyclic": partial(CyclicLR, base_lr=0.1, max_lr=0.2, step_size_up=1),
    "step": partial(StepLR, step_size=1, gamma=0.5),
    "cosine": CosineWithWarmup,
    "plateau": partial(ReduceLROnPlateau, patience=0),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_keeps_the_ratio_of_the_learning_rates(name):
    def rates(*callbacks):
        steps = RecordsSteps()
        fit(*callbacks, steps, model=cnn(scheduler=SCHEDULES[name]), max_epochs=2)
        return steps.rates

    plain = rates(GradualUnfreezing("all"))
    assert [list(each) for each in plain] == [STAGES[::-1]] * 4
    for ours, same in zip(rates(GradualUnfreezing(0, {1: "all"}, depth_factor=0.5)), plain, strict=True):
        assert ours == pytest.approx({stage: same[stage] * 0.5**depth for depth, stage in enumerate(STAGES[::-1])})


class LearnsScale(nn.CrossEntropyLoss):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits, target):
        return super().forward(logits * self.scale, target)


def test_parameters_of_the_loss_are_trained_with_the_head():
    _, model = fit(GradualUnfreezing(), model=cnn(loss=LearnsScale()), max_epochs=1)
    assert model.loss.scale != 1


def test_the_trained_stages_and_parameters_are_logged_in_every_epoch():
    class Collects(Callback):
        found = []  # noqa: RUF012

        def on_train_epoch_end(self, trainer, pl_module):
            names = ("train/trainable/stages", "train/trainable/weights")
            self.found.append([int(trainer.callback_metrics[name]) for name in names])

    fit(GradualUnfreezing(0, {1: 2}), collecting := Collects(), max_epochs=3)
    head, hidden = 6 * 10 + 10, 8 * 7 * 7 * 6 + 6
    second = 4 * 8 * 9 + 2 * 8  # no bias before batch norm
    assert collecting.found == [[0, head], [2, head + hidden + second], [2, head + hidden + second]]


def test_an_epoch_that_is_never_reached_is_warned_of():
    with pytest.warns(UserWarning, match="epoch 4 is never reached, training ends after 4 epochs"):
        fit(GradualUnfreezing(0, {4: 1}), limit_train_batches=1)


def test_lightning_does_not_warn_of_frozen_modules():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        fit(GradualUnfreezing(), max_epochs=1)
    assert not [each for each in warned if "eval mode" in str(each.message)]


def test_an_mlp_has_a_stage_for_each_layer():
    model = MLPClassifier(SHAPE, 10, hidden=[8, 8], optimizer=partial(torch.optim.SGD, lr=0.1))
    steps = RecordsSteps()
    fit(GradualUnfreezing(1, {1: 2}), steps, model=model, max_epochs=2)
    assert steps.frozen == [1, 1, 0, 0]
