import copy

import pytest
import torch
from lightning.pytorch import Callback

from litzoo.callbacks import BestWeightsEarlyStopping, EpochSeed, ExponentialMovingAverage
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier, FixMatch, FreeMatch
from tests.training import cpu_trainer

DECAY = 0.7


class Copies(Callback):
    """Records the weights after each step, and those that are validated."""

    def __init__(self):
        self.steps, self.validated = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append(copy.deepcopy(pl_module.state_dict()))

    def on_validation_batch_start(self, trainer, pl_module, *args):
        self.validated.append(copy.deepcopy(pl_module.state_dict()))


class SavesFirstEpoch(Callback):
    """Saves a checkpoint when litzoo's checkpoint callbacks do."""

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 0:
            trainer.save_checkpoint("first.ckpt")


def cnn(**options):
    torch.manual_seed(1)
    return CNNClassifier((1, 28, 28), 10, widths=[4, 4], posthoc_tau=1.0, **options)


def fit(model, *callbacks, epochs=2, average=True, pool=None, precision="32-true", **options):
    copies = Copies()
    averaging = [ExponentialMovingAverage(DECAY)] if average else []
    trainer = cpu_trainer(
        callbacks=[EpochSeed(), *averaging, copies, *callbacks],
        max_epochs=epochs,
        limit_train_batches=8,
        precision=precision,
    )
    data = DigitsDataModule(batch_size=16, val_size=50, seed=3, **(pool or {}))
    trainer.fit(model, datamodule=data, **options)
    return trainer, copies


def mean_of(steps):
    """Computes the moving average of weights."""
    mean = {name: values.double() for name, values in steps[0].items()}
    for number, state in enumerate(steps[1:], start=1):
        decay = min(DECAY, (1 + number) / (10 + number))
        mean = {name: decay * mean[name] + (1 - decay) * values.double() for name, values in state.items()}
    counts = {name: values for name, values in steps[-1].items() if not values.is_floating_point()}
    return mean | counts


def assert_alike(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values.to(found[name].dtype), atol=1e-6, rtol=1e-5)


def test_validation_and_the_final_model_use_the_average():
    model = cnn()
    _, copies = fit(model)
    assert len(copies.steps) == 16
    start = copy.deepcopy(cnn().state_dict())
    del start["class_counts"]
    assert_alike({name: copies.validated[0][name] for name in start}, start)
    assert_alike(copies.validated[1], mean_of(copies.steps[:8]))
    assert_alike(copies.validated[2], mean_of(copies.steps))
    assert_alike(model.state_dict(), mean_of(copies.steps))
    assert model.class_counts.sum() > 0


def test_training_continues_with_the_weights_themselves(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    runs = [fit(cnn(), average=average)[1].steps for average in (True, False)]
    for with_mean, without in zip(*runs, strict=True):
        assert_alike(with_mean, without)


def test_a_resumed_run_ends_with_the_average_of_an_uninterrupted_one(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    uninterrupted, resumed = cnn(), cnn()
    fit(uninterrupted, SavesFirstEpoch())
    fit(resumed, ckpt_path="first.ckpt", weights_only=True)
    for name, values in uninterrupted.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], values), name


@pytest.mark.parametrize("method", [FreeMatch, FixMatch])
def test_the_state_of_pseudo_labels_is_copied_and_restored(method, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    pool = {"num_labeled": 80, "unlabeled_batch_size": 20}
    options = {"align": True} if method is FixMatch else {}
    uninterrupted, resumed = cnn(pseudo_labels=method(**options)), cnn(pseudo_labels=method(**options))
    fit(uninterrupted, SavesFirstEpoch(), pool=pool)
    fit(resumed, ckpt_path="first.ckpt", weights_only=True, pool=pool)
    kept, expected = (model.pseudo_labels.get_extra_state() for model in (resumed, uninterrupted))
    assert expected
    assert_alike(kept, expected)
    assert_alike(
        {name: values for name, values in resumed.state_dict().items() if not name.endswith("_extra_state")},
        {name: values for name, values in uninterrupted.state_dict().items() if not name.endswith("_extra_state")},
    )
    assert set(torch.load("first.ckpt", weights_only=True)["state_dict"]["pseudo_labels._extra_state"]) == set(kept)
    deployed = CNNClassifier.load_from_checkpoint("first.ckpt", weights_only=True)
    assert deployed.pseudo_labels is None


def test_a_checkpoint_has_the_average_and_is_tested_without_a_warning(recwarn):
    model = cnn()
    trainer, copies = fit(model)
    trainer.save_checkpoint("end.ckpt")
    saved = torch.load("end.ckpt", weights_only=True)
    assert_alike(saved["state_dict"], mean_of(copies.steps))
    loaded = CNNClassifier.load_from_checkpoint("end.ckpt", weights_only=True)
    assert_alike(loaded.state_dict(), model.state_dict())
    recwarn.clear()
    other = cpu_trainer(callbacks=[ExponentialMovingAverage(DECAY)], limit_test_batches=1)
    other.test(
        cnn(), datamodule=DigitsDataModule(val_size=50, seed=3), ckpt_path="end.ckpt", weights_only=True, verbose=False
    )
    assert not [str(each.message) for each in recwarn if "Averaging" in str(each.message)]


def test_one_callback_serves_two_trainings(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    averaging, models = ExponentialMovingAverage(DECAY), [cnn(), cnn()]
    for model in models:
        fit(model, averaging, average=False)
    assert_alike(models[1].state_dict(), models[0].state_dict())


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_the_average_is_kept_in_float32_for_every_precision(precision):
    model = cnn()
    _, copies = fit(model, precision=precision)
    mean = mean_of(copies.steps)
    for name, values in model.named_parameters():
        torch.testing.assert_close(values.double(), mean[name], atol=5e-3, rtol=2e-2)


@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "64-true"])
def test_validation_leaves_average_and_weights_unchanged(precision):
    class Compares(Callback):
        def on_validation_start(self, trainer, pl_module):
            self.before = [copy.deepcopy(each.state_dict()) for each in (averaging._average_model, pl_module)]

        def on_validation_end(self, trainer, pl_module):
            for before, each in zip(self.before, (averaging._average_model, pl_module), strict=True):
                assert all(torch.equal(values, before[name]) for name, values in each.state_dict().items())

    averaging = ExponentialMovingAverage(DECAY)
    _, copies = fit(cnn(), averaging, Compares(), average=False, precision=precision)
    assert not torch.equal(copies.validated[-1]["net.head.weight"], copies.steps[-1]["net.head.weight"])


def test_validate_after_training_uses_the_given_weights():
    trainer, _ = fit(cnn(), SavesFirstEpoch(), epochs=3)
    data = DigitsDataModule(val_size=50, seed=3)
    other = CNNClassifier.load_from_checkpoint("first.ckpt", weights_only=True)
    fresh = cpu_trainer().validate(other, datamodule=data, verbose=False)
    assert trainer.validate(other, datamodule=data, verbose=False) == fresh
    assert trainer.validate(cnn(), datamodule=data, ckpt_path="first.ckpt", weights_only=True, verbose=False) == fresh


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match=rf"decay: {decay} is outside \[0, 1\)"):
        ExponentialMovingAverage(decay)


def test_best_weights_early_stopping_is_refused():
    with pytest.raises(ValueError, match="EarlyStopping instead"):
        fit(cnn(), BestWeightsEarlyStopping())
