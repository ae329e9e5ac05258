import pytest
import torch
from lightning.pytorch import Callback

from litzoo.callbacks import EpochSeed, ExactResume, LastCheckpoint, LookAhead
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier, MLPClassifier
from tests.training import cpu_trainer

LAST = "run/checkpoints/last.ckpt"
STEPS, EPOCHS = 6, 3  # 18 steps


@pytest.fixture(autouse=True)
def _seeded(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")


class KilledError(Exception):
    pass


class Dies(Callback):
    """Ends the training at the start of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise KilledError


def network(module=MLPClassifier, **options):
    torch.manual_seed(0)
    return module((1, 28, 28), 10, optimizer=lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9), **options)


def train(module, *callbacks, checkpoint=None, **options):
    callbacks = [EpochSeed(), ExactResume(), *callbacks, LastCheckpoint()]
    trainer = cpu_trainer(**{"max_epochs": EPOCHS, **options}, callbacks=callbacks, enable_checkpointing=True)
    data = DigitsDataModule(train_size=20 * STEPS, val_size=20, batch_size=20)
    trainer.fit(module, data, ckpt_path=checkpoint)
    return module


class ByHand(Callback):
    """The formula, on the flattened weights, without a state that is kept."""

    def __init__(self, every, decay):
        self.every, self.decay, self.step, self.slow = every, decay, 0, None

    def on_train_start(self, trainer, pl_module):
        self.slow = torch.nn.utils.parameters_to_vector(pl_module.parameters()).detach()

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.step += 1
        if self.step % self.every == 0 or self.step == STEPS * EPOCHS:
            keep = self.decay**self.every * (self.step / (STEPS * EPOCHS)) ** 3
            weights = torch.nn.utils.parameters_to_vector(pl_module.parameters()).detach()
            self.slow = keep * self.slow + (1 - keep) * weights
            torch.nn.utils.vector_to_parameters(self.slow.clone(), pl_module.parameters())


@pytest.mark.parametrize(("every", "decay"), [(5, 0.95), (1, 0.5), (7, 0.9)])
def test_weights_follow_the_formula(every, decay):
    expected = train(network(hidden=[8]), ByHand(every, decay))
    found = train(network(hidden=[8]), LookAhead(every, decay))
    for weight, by_hand in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(weight, by_hand, atol=1e-5)
    plain = train(network(hidden=[8]))
    assert not torch.allclose(next(plain.parameters()), next(found.parameters()), atol=1e-3)


def test_running_statistics_are_averaged_and_counts_are_not():
    plain, ahead = train(network(CNNClassifier, widths=[4])), train(network(CNNClassifier, widths=[4]), LookAhead(1))
    before, after = plain.net.trunk[1], ahead.net.trunk[1]
    assert not torch.equal(before.running_mean, after.running_mean)
    assert before.num_batches_tracked == after.num_batches_tracked == STEPS * EPOCHS
    assert torch.equal(plain.class_counts, ahead.class_counts)


@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_resumed_training_ends_with_the_weights_of_an_unbroken_one(killed_at):
    unbroken = train(network(CNNClassifier, widths=[4]), LookAhead(4))
    with pytest.raises(KilledError):
        train(network(CNNClassifier, widths=[4]), LookAhead(4), Dies(killed_at))
    resumed = train(network(CNNClassifier, widths=[4]), LookAhead(4), checkpoint=LAST)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_second_training_starts_its_slow_weights_anew():
    callback = LookAhead(5)
    train(network(), callback)
    again = train(network(), callback)
    fresh = train(network(), LookAhead(5))
    assert torch.equal(next(again.parameters()), next(fresh.parameters()))


def test_steps_of_accumulated_gradients_count_once():
    callback, updates = LookAhead(1, 0.9), []
    update = callback.update
    callback.update = lambda *options: updates.append(1) or update(*options)
    train(network(), callback, accumulate_grad_batches=3)
    assert len(updates) == STEPS * EPOCHS // 3


def test_an_endless_training_is_refused():
    with pytest.raises(ValueError, match="LookAhead: needs the number of steps"):
        train(network(), LookAhead(), max_epochs=-1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "LookAhead.every: 0 is below 1"),
        ({"decay": 1.0}, r"LookAhead.decay: 1.0 is outside \[0, 1\)"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LookAhead(**options)
