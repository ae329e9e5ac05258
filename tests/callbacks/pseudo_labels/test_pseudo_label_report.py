from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from litzoo.callbacks import LastCheckpoint, PseudoLabelReport
from litzoo.datamodules import DiabetesDataModule, DigitsDataModule
from litzoo.lit_modules import AssignedLabels, FixMatch, Regressor, SoftmaxRegression
from tests.callbacks.label_issues.test_noisy_label_finder_runs import Interrupts
from tests.callbacks.pool_digits import NAMES, EightAndNineUnknown, HidesTruth, fit, newest, pool, pseudo_labels
from tests.training import cpu_trainer


def fraction(values):
    values = list(values)
    return sum(values) / len(values)


def by_hand(rows):
    """Computes the metrics of an epoch from rows (label, confidence, used, true)."""
    used = [row for row in rows.values() if row[2]]
    expected = {
        "coverage": fraction(row[2] for row in rows.values()),
        "accuracy": fraction(row[0] == row[3] for row in used),
    }
    for number, name in [*enumerate(["nought-zero", *NAMES[1:]]), (-1, "unknown")]:
        if members := [row for row in rows.values() if row[3] == number]:
            expected[f"coverage/{name}"] = fraction(row[2] for row in members)
        if named := [row for row in used if row[0] == number]:
            expected[f"accuracy/{name}"] = fraction(row[3] == number for row in named)
    return expected


@pytest.mark.parametrize("unknown", [False, True])
def test_every_epoch_logs_coverage_accuracy_weight_and_threshold(unknown):
    steps = fit(PseudoLabelReport(), *[EightAndNineUnknown()] * unknown)
    assert len(steps.metrics) == 3
    for epoch, metrics in zip(steps.epochs, steps.metrics, strict=True):
        expected = by_hand(newest([epoch])) | {"weight": 0.1, "threshold": 0.25}
        assert metrics == pytest.approx({f"train/pseudo/{name}": value for name, value in expected.items()})
        assert ("train/pseudo/coverage/unknown" in metrics) == unknown
    assert 0 < steps.metrics[-1]["train/pseudo/accuracy"] < 1
    assert 0 < steps.metrics[-1]["train/pseudo/coverage"] < 1


def test_file_holds_the_newest_label_of_each_sample(capsys):
    steps = fit(PseudoLabelReport())
    expected, rows = newest(steps.epochs), pseudo_labels()
    assert [int(row["index"]) for row in rows] == sorted(expected)
    for row in rows:
        label, confidence, used, true = expected[int(row["index"])]
        assert (row["label"], row["true"]) == (NAMES[label], NAMES[true])
        assert float(row["confidence"]) == pytest.approx(confidence, rel=1e-5)
        assert row["used"] == str(used)
    used, accuracy = sum(row[2] for row in expected.values()), 100 * by_hand(expected)["accuracy"]
    line = f"pseudo-labels: {used} of 150 pool samples used when last seen, {accuracy:.1f} % of them correct"
    assert f"{line}: {Path('run/pseudo_labels.csv')}" in capsys.readouterr().out


def test_without_true_labels_coverage_is_by_pseudo_label(capsys):
    steps = fit(PseudoLabelReport(), HidesTruth())
    rows = newest(steps.epochs[-1:])
    metrics = steps.metrics[-1]
    assert not [name for name in metrics if "accuracy" in name]
    for number, name in enumerate(["nought-zero", *NAMES[1:]]):
        if members := [row for row in rows.values() if row[0] == number]:
            assert metrics[f"train/pseudo/coverage/{name}"] == pytest.approx(fraction(row[2] for row in members))
    assert "true" not in pseudo_labels()[0]
    assert not Path("run/figures").exists()
    assert "used when last seen: run" in capsys.readouterr().out


def test_the_images_drawn_are_those_of_the_most_confident_wrong_labels_in_use():
    class Recorded(DigitsDataModule):
        def train_images(self, index):
            self.index = index
            return super().train_images(index)

    datamodule = pool(Recorded)
    steps = fit(PseudoLabelReport(count=3), datamodule=datamodule)
    mistakes = [(-row[1], index) for index, row in newest(steps.epochs).items() if row[2] and row[0] != row[3]]
    assert len(mistakes) > 3
    assert datamodule.index.tolist() == [index for _, index in sorted(mistakes)[:3]]
    assert Path("run/figures/pseudo_labels_wrong.png").read_bytes().startswith(b"\x89PNG")


def test_data_without_images_have_a_file_and_no_figure():
    class WithoutImages(DigitsDataModule):
        train_images = None

    fit(PseudoLabelReport(), datamodule=pool(WithoutImages), max_epochs=1)
    assert pseudo_labels()
    assert not Path("run/figures").exists()


class Sets(Callback):
    """Sets the method's weight and threshold for each epoch."""

    def __init__(self, **values):
        self.values = values

    def on_train_epoch_start(self, trainer, pl_module):
        for name, values in self.values.items():
            setattr(pl_module.pseudo_labels, name, values[trainer.current_epoch])


def warnings_of(recwarn):
    return [str(each.message) for each in recwarn if "no pseudo-label was used" in str(each.message)]


def test_consecutive_epochs_without_used_labels_warn_once(recwarn):
    thresholds = [1.0, 1.0, 0.0, 1.0, 1.0]
    steps = fit(PseudoLabelReport(), Sets(threshold=thresholds), max_epochs=5)
    first, second = warnings_of(recwarn)
    for epoch, message in [(0, first), (3, second)]:
        highest = max(row[1] for row in newest([steps.epochs[epoch]]).values())
        assert f"used in epoch {epoch}: the highest confidence of 150 pool samples is {highest:.4g}" in message
        assert "the threshold is 1 (weight 0.1)" in message
        assert "lower model.pseudo_labels.threshold" in message
    assert [metrics["train/pseudo/threshold"] for metrics in steps.metrics] == thresholds


def test_the_warning_names_excluded_samples_as_the_reason(recwarn):
    class BarsAll(Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.pseudo_labels.bar(torch.ones(1797, dtype=torch.bool))

    steps = fit(PseudoLabelReport(), BarsAll(), max_epochs=1)
    assert steps.metrics[0]["train/pseudo/coverage"] == 0
    (message,) = warnings_of(recwarn)
    assert "confident samples are excluded from the pool" in message


def test_samples_without_assigned_labels_give_no_warning_and_no_file(recwarn):
    class AssignsNoLabels(Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.pseudo_labels.assign(torch.full((1797,), -2), torch.zeros(1797), 1.0)

    steps = fit(PseudoLabelReport(), AssignsNoLabels(), method=AssignedLabels(), max_epochs=1)
    assert steps.metrics[0]["train/pseudo/coverage"] == 0
    assert not warnings_of(recwarn)
    assert not Path("run/pseudo_labels.csv").exists()


def test_no_label_is_used_while_the_weight_is_0():
    steps = fit(PseudoLabelReport(), Sets(threshold=[0.0, 0.0], weight=[0.0, 1.0]), max_epochs=2)
    assert [metrics["train/pseudo/coverage"] for metrics in steps.metrics] == [0, 1]


def test_a_second_training_is_reported_without_the_first():
    report = PseudoLabelReport()
    fit(report, max_epochs=1)
    few = DigitsDataModule(train_size=120, num_labeled=50, val_size=50, batch_size=20, unlabeled_batch_size=40)
    steps = fit(report, datamodule=few, max_epochs=1)
    assert len(pseudo_labels()) == 70
    assert set(newest(steps.epochs)) == {int(row["index"]) for row in pseudo_labels()}


def test_no_warning_while_the_weight_is_0(recwarn):
    fit(PseudoLabelReport(), Sets(threshold=[1.0], weight=[0.0]), max_epochs=1)
    assert not warnings_of(recwarn)


def test_the_report_of_an_interrupted_run_covers_its_complete_epochs():
    with pytest.raises(RuntimeError, match="killed"):
        fit(PseudoLabelReport(), Interrupts(2, RuntimeError("killed")))
    interrupted = Path("run/pseudo_labels.csv").read_text()
    fit(PseudoLabelReport(), max_epochs=2)
    assert Path("run/pseudo_labels.csv").read_text() == interrupted


def test_a_run_interrupted_in_its_first_epoch_writes_nothing():
    with pytest.raises(RuntimeError, match="killed"):
        fit(PseudoLabelReport(), Interrupts(0, RuntimeError("killed")))
    assert not Path("run/pseudo_labels.csv").exists()


def test_a_resumed_run_writes_the_same_file_of_all_its_epochs():
    # The last epoch has only one batch, so that most labels come from the checkpoint.
    class ShortLastEpoch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.should_stop = trainer.current_epoch == 2

    writing = {"enable_checkpointing": True}
    fit(PseudoLabelReport(), ShortLastEpoch(), LastCheckpoint(), default_root_dir="whole", **writing)
    fit(PseudoLabelReport(), LastCheckpoint(), max_epochs=2, **writing)
    report, checkpoint = PseudoLabelReport(count=7), "run/checkpoints/last.ckpt"
    resumed = fit(report, ShortLastEpoch(), LastCheckpoint(), ckpt_path=checkpoint, **writing)
    assert len(newest(resumed.epochs)) == 40
    assert len(pseudo_labels()) == 150
    assert Path("run/pseudo_labels.csv").read_text() == Path("whole/pseudo_labels.csv").read_text()
    assert report.count == 7


def test_a_count_below_1_raises():
    with pytest.raises(ValueError, match=r"PseudoLabelReport\.count: 0"):
        PseudoLabelReport(count=0)


@pytest.mark.parametrize(
    ("model", "datamodule", "error", "message"),
    [
        (lambda: Regressor((10,)), DiabetesDataModule, TypeError, "Regressor has no class_names"),
        (lambda: SoftmaxRegression((1, 28, 28), 10), DigitsDataModule, ValueError, "SoftmaxRegression has none"),
    ],
)
def test_a_module_without_pseudo_labels_raises(model, datamodule, error, message):
    with pytest.raises(error, match=message):
        cpu_trainer(callbacks=[PseudoLabelReport()]).fit(model(), datamodule())


def test_a_training_step_without_pseudo_labels_raises():
    class Silent(SoftmaxRegression):
        def training_step(self, batch, batch_idx):
            return {"loss": super().training_step(batch, batch_idx)["loss"]}

    model = Silent((1, 28, 28), 10, pseudo_labels=FixMatch())
    with pytest.raises(TypeError, match="Silent returns no pseudo_label, pseudo_confidence"):
        cpu_trainer(callbacks=[PseudoLabelReport()]).fit(model, pool())
