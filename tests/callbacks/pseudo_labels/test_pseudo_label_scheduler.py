import pytest
from lightning.pytorch import Callback

from litzoo.callbacks import EpochSeed, PseudoLabelScheduler, Ramp
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import FixMatch, FreeMatch, SoftmaxRegression
from tests.training import cpu_trainer

EPOCHS, STEPS = 3, 4


class Records(Callback):
    """Records the values of the method in each step."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append((trainer.global_step - 1, pl_module.pseudo_labels.weight, pl_module.pseudo_labels.threshold))


def digits():
    return DigitsDataModule(num_labeled=100, unlabeled_batch_size=20, batch_size=5)


def fit(method, *callbacks, epochs=EPOCHS, **options):
    model = SoftmaxRegression((1, 28, 28), 10, pseudo_labels=method)
    trainer = cpu_trainer(callbacks=[EpochSeed(), *callbacks], max_epochs=epochs, limit_train_batches=STEPS)
    trainer.fit(model, datamodule=digits(), **options)
    return trainer, model


def ramps():
    return PseudoLabelScheduler(
        weight=Ramp(final=2, start_step=3, end_step=9),
        threshold=Ramp(final=0.9, initial=0.5, start_epoch=0, end_epoch=2),
    )


def expected():
    return [(step, 2 * min(max(step - 3, 0) / 6, 1), [0.5, 0.7, 0.9][step // STEPS]) for step in range(EPOCHS * STEPS)]


def test_weight_and_threshold_follow_their_ramps():
    records = Records()
    fit(FixMatch(weight=7), ramps(), records)
    assert [value for row in records.values for value in row] == pytest.approx([v for row in expected() for v in row])


def test_a_value_without_schedule_is_not_changed():
    records = Records()
    fit(FixMatch(threshold=0.8), PseudoLabelScheduler(weight=Ramp(final=1, start_step=0, end_step=0)), records)
    assert {(weight, threshold) for _, weight, threshold in records.values} == {(1, 0.8)}


@pytest.mark.parametrize("stopped", [1, 2])
def test_a_resumed_run_continues_the_schedule(stopped):
    trainer, _ = fit(FixMatch(), ramps(), epochs=stopped)
    trainer.save_checkpoint("stopped.ckpt")
    records = Records()
    fit(FixMatch(), ramps(), records, ckpt_path="stopped.ckpt", weights_only=True)
    rest = expected()[stopped * STEPS :]
    assert [value for row in records.values for value in row] == pytest.approx([v for row in rest for v in row])


def ramp(initial, final):
    return Ramp(final, initial, start_epoch=0, end_epoch=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "neither weight nor threshold is given"),
        ({"weight": ramp(-1, 1)}, "weight: from -1 to 1; all values have to be at least 0"),
        ({"weight": ramp(1, -1)}, "weight"),
        ({"threshold": ramp(0.5, 1.1)}, r"threshold: from 0.5 to 1.1; all values have to be in \[0, 1\]"),
        ({"threshold": ramp(-0.1, 1)}, "threshold"),
    ],
)
def test_values_out_of_range_raise(options, words):
    with pytest.raises(ValueError, match=words):
        PseudoLabelScheduler(**options)


@pytest.mark.parametrize(
    ("method", "words"), [(None, "set model.pseudo_labels"), (FreeMatch(), "FreeMatch sets its threshold itself")]
)
def test_a_module_that_cannot_be_scheduled_raises(method, words):
    model = SoftmaxRegression((1, 28, 28), 10, pseudo_labels=method)
    with pytest.raises(ValueError, match=words):
        cpu_trainer(callbacks=[PseudoLabelScheduler(threshold=ramp(0, 1))]).fit(model, datamodule=digits())
