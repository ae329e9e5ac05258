import shutil
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR, ReduceLROnPlateau, StepLR

from callbacks import EpochSeed, ExactResume, GradualUnfreezing, LastCheckpoint
from callbacks.checkpoint_io import write_atomically
from callbacks.network_stages import require_reachable
from datamodules import DigitsDataModule
from lit_modules import CNNClassifier, CosineWithWarmup, MixUp, MLPClassifier, SoftmaxRegression, TransferClassifier
from tests.callbacks.kills import differing
from tests.counted import count
from tests.training import cpu_trainer

SHAPE = (1, 28, 28)
LAST = Path("run/checkpoints/last.ckpt")
STAGES = ["trunk.0", "trunk.5", "trunk.11", "head"]  # of the network below


def cnn(**options):
    torch.manual_seed(0)
    given = {"widths": [4, 8], "hidden": [6], "dropout": 0.3, "optimizer": partial(torch.optim.SGD, lr=0.1)}
    return CNNClassifier(SHAPE, 10, **{**given, **options})


def digits(**options):
    return DigitsDataModule(**{"train_size": 40, "val_size": 20, "batch_size": 20, "eval_batch_size": 20, **options})


class Watches(Callback):
    """Keeps the weights and buffers at the start of every epoch, and what every step finds."""

    def __init__(self):
        self.states, self.frozen, self.rates = [], [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.states.append({name: value.clone() for name, value in pl_module.net.state_dict().items()})

    def on_after_backward(self, trainer, pl_module):
        stages = pl_module.stages()
        without = [all(weight.grad is None for weight in stage.weights) for stage in stages]
        asleep = [not any(part.training for module in stage.modules for part in module.modules()) for stage in stages]
        assert without == asleep == [not stage.weights[0].requires_grad for stage in stages]
        self.frozen.append(sum(without))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        groups = trainer.optimizers[0].param_groups
        self.rates.append({group["name"]: group["lr"] for group in groups})


def fit(*callbacks, model=None, datamodule=None, **options):
    model = model or cnn()
    trainer = cpu_trainer(**{"callbacks": list(callbacks), "max_epochs": 4, "num_sanity_val_steps": 1, **options})
    trainer.fit(model, datamodule or digits())
    return trainer, model


def changed(before, after, stage):
    """Says whether anything of a stage is another, running statistics too."""
    prefixes = tuple(f"{name}." for name in stage)
    names = [name for name in before if name.startswith(prefixes)]
    assert names
    return any(not torch.equal(before[name], after[name]) for name in names)


def test_what_is_frozen_gets_no_gradients_and_stays_as_it_is_to_the_last_statistic():
    watching = Watches()
    _, model = fit(GradualUnfreezing(0, {1: 1, 2: 2, 3: "all"}), watching)
    assert watching.frozen == [3, 3, 2, 2, 1, 1, 0, 0]
    states = [*watching.states, model.net.state_dict()]
    parts = [["trunk.0", "trunk.1"], ["trunk.5", "trunk.6"], ["trunk.11"], ["head"]]
    for epoch, trained in enumerate([1, 2, 3, 4]):
        moved = [changed(states[epoch], states[epoch + 1], part) for part in parts]
        assert moved == [number >= 4 - trained for number in range(4)]


def test_nothing_is_left_of_it_after_training():
    callback = GradualUnfreezing()
    _, model = fit(callback, max_epochs=1)
    assert all(weight.requires_grad for weight in model.parameters())
    assert model.weight_groups is None
    watching = Watches()
    fit(watching, model=model, max_epochs=1, callbacks=[])
    assert changed(model.net.state_dict(), cnn().net.state_dict(), ["trunk.0"])


def test_training_the_whole_network_at_one_rate_is_training_without_it():
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
def test_every_schedule_keeps_the_learning_rates_in_proportion(name):
    def rates(*callbacks):
        watching = Watches()
        fit(*callbacks, watching, model=cnn(scheduler=SCHEDULES[name]), max_epochs=2)
        return watching.rates

    plain = rates(GradualUnfreezing("all"))
    assert [list(each) for each in plain] == [STAGES[::-1]] * 4
    for ours, same in zip(rates(GradualUnfreezing(0, {1: "all"}, depth_factor=0.5)), plain, strict=True):
        assert ours == pytest.approx({stage: same[stage] * 0.5**depth for depth, stage in enumerate(STAGES[::-1])})


class HasWeights(nn.CrossEntropyLoss):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits, target):
        return super().forward(logits * self.scale, target)


def test_what_a_loss_learns_is_trained_with_the_head():
    _, model = fit(GradualUnfreezing(), model=cnn(loss=HasWeights()), max_epochs=1)
    assert model.loss.scale != 1


def test_what_is_trainable_is_logged_in_every_epoch():
    class Collects(Callback):
        found = []  # noqa: RUF012

        def on_train_epoch_end(self, trainer, pl_module):
            names = ("train/trainable/stages", "train/trainable/weights")
            self.found.append([int(trainer.callback_metrics[name]) for name in names])

    fit(GradualUnfreezing(0, {1: 2}), collecting := Collects(), max_epochs=3)
    head, hidden = 6 * 10 + 10, 8 * 7 * 7 * 6 + 6
    second = 4 * 8 * 9 + 2 * 8  # no bias before batch norm
    assert collecting.found == [[0, head], [2, head + hidden + second], [2, head + hidden + second]]


class Dies(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, 1):
            raise RuntimeError("killed")


@pytest.mark.parametrize("killed", [1, 2, 3])
@pytest.mark.parametrize("cached", [False, True])
def test_a_killed_training_ends_as_an_unbroken_one(killed, cached, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    schedule = {2: 1, 3: "all"}
    optimizer = partial(torch.optim.Adam, lr=0.01)

    def module():
        if not cached:
            return cnn(scheduler=partial(OneCycleLR, max_lr=0.01), optimizer=optimizer)
        torch.manual_seed(0)
        return TransferClassifier(SHAPE, 10, network="squeezenet1_1", optimizer=optimizer)

    def run(*callbacks, **options):
        every = [GradualUnfreezing(0, schedule, 0.5, cache_features=cached), *callbacks]
        every = [EpochSeed(), ExactResume(), *every, LastCheckpoint()]
        trainer = cpu_trainer(callbacks=every, max_epochs=5, enable_checkpointing=True, limit_val_batches=0)
        write_atomically(trainer)
        trainer.fit(model := module(), digits(), **options)
        return model.state_dict(), torch.load(LAST, weights_only=True)

    unbroken = run()
    shutil.rmtree("run")
    with pytest.raises(RuntimeError, match="killed"):
        run(Dies(killed))
    assert differing(run(ckpt_path=LAST), unbroken) == []
    count("kills survived")


def test_a_resumed_training_does_what_the_configuration_says_now():
    def run(schedule, epochs, **options):
        watching = Watches()
        every = [GradualUnfreezing(0, schedule), watching, LastCheckpoint()]
        trainer = cpu_trainer(callbacks=every, max_epochs=epochs, enable_checkpointing=True)
        trainer.fit(cnn(), digits(), **options)
        return watching.frozen

    assert run({1: 1}, 2) == [3, 3, 2, 2]
    assert run({1: 3, 3: "all"}, 3, ckpt_path=LAST) == [0, 0]


def test_cached_features_are_those_that_would_be_computed_and_computed_once():
    def train(cached):
        torch.manual_seed(0)
        model = TransferClassifier(SHAPE, 10, network="squeezenet1_1", optimizer=partial(torch.optim.SGD, lr=0.01))
        seen = []
        model.net.trunk.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
        unfreezing = GradualUnfreezing(0, {3: 1}, cache_features=cached)
        fit(unfreezing, model=model, limit_val_batches=0, datamodule=digits(num_workers=0))
        return model.net.state_dict(), seen

    (ours, once), (computed, always) = train(True), train(False)
    assert once == [20, 20, 20, 20]  # every sample once, and the epoch in which a stage is trained
    assert always == [20] * 8
    for name, value in computed.items():
        torch.testing.assert_close(ours[name], value, msg=name)


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


def squeezenet(**options):
    return TransferClassifier(SHAPE, 10, network="squeezenet1_1", **options)


UNFIT = {
    "too many": (
        (0, {1: 4}),
        cnn,
        {},
        ValueError,
        "4 stages are to be trained, but the network has 3 .*trunk.0, trunk.5",
    ),
    "none": ((1,), lambda: SoftmaxRegression(SHAPE, 10), {}, ValueError, r"the network has 0 before its head \(none\)"),
    "a stranger's": ((), Plain, {}, TypeError, "needs a module of the zoo, not Plain"),
    "no cache": ((0, None, 1.0, True), cnn, {}, TypeError, "needs a TransferClassifier and data of the zoo, not CNN"),
    "augmented": (
        (0, None, 1.0, True),
        squeezenet,
        {"augment": ["shift", "affine"]},
        ValueError,
        r"data.augment \['shift', 'affine'\] makes another picture every time",
    ),
    "mixed": (
        (0, None, 1.0, True),
        lambda: squeezenet(mix=MixUp()),
        {},
        ValueError,
        "model.mix: makes other pictures .*leave it out, or cache_features",
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


def test_an_epoch_that_does_not_come_is_told():
    with pytest.warns(UserWarning, match="epoch 4 does not come, the training ends after 4 epochs"):
        fit(GradualUnfreezing(0, {4: 1}), limit_train_batches=1)


def test_nobody_is_warned_of_what_is_frozen_on_purpose():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit(GradualUnfreezing(), max_epochs=1)
    assert not [each for each in told if "eval mode" in str(each.message)]


def test_an_mlp_has_a_stage_for_each_layer():
    model = MLPClassifier(SHAPE, 10, hidden=[8, 8], optimizer=partial(torch.optim.SGD, lr=0.1))
    watching = Watches()
    fit(GradualUnfreezing(1, {1: 2}), watching, model=model, max_epochs=2)
    assert watching.frozen == [1, 1, 0, 0]
