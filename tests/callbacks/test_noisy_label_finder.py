import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from sklearn.metrics import average_precision_score

from callbacks import LastCheckpoint, NoisyLabelFinder, RunSummary
from datamodules import DiabetesDataModule, DigitsDataModule, SymmetricNoise
from lit_modules import MLPClassifier, Regressor, SoftmaxRegression
from tests.training import cpu_trainer


class Records(Callback):
    """Keeps what every training step returned, by epoch, and the metrics at the end of each."""

    def __init__(self):
        self.epochs, self.metrics = [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs.append([])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        labeled = batch.get("labeled", batch)
        columns = [outputs["logits"], labeled["target"], labeled["index"], labeled.get("clean_target")]
        self.epochs[-1].append([None if column is None else column.numpy() for column in columns])

    def on_train_epoch_end(self, trainer, pl_module):
        self.metrics.append({name: value.item() for name, value in trainer.callback_metrics.items()})


class Interrupts(Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, 1):
            raise self.error


class Semi(SoftmaxRegression):
    """Trains on the labeled part of each batch."""

    semi_supervised = True

    def training_step(self, batch, batch_idx):
        return super().training_step(batch["labeled"], batch_idx)


def digits(**options):
    noise = SymmetricNoise(0.2)
    return DigitsDataModule(**{"train_size": 200, "val_size": 50, "batch_size": 40, "label_noise": noise, **options})


def fit(finder, *callbacks, datamodule=None, model=None, ckpt_path=None, **options):
    torch.manual_seed(0)
    model = SoftmaxRegression((1, 28, 28), 10) if model is None else model
    records = Records()
    trainer = cpu_trainer(callbacks=[finder, records, *callbacks], **{"max_epochs": 3, **options})
    trainer.fit(model, digits() if datamodule is None else datamodule, ckpt_path=ckpt_path)
    return records


def suspects():
    with Path("run/suspects.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def mean_losses(epochs):
    """Computes each sample's mean loss by hand, and its labels: index -> (mean, given, true)."""
    seen = {}
    for epoch in epochs:
        for logits, targets, indices, clean in epoch:
            for row, target, index, true in zip(logits.astype(float), targets, indices, clean, strict=True):
                loss = np.log(np.exp(row - row.max()).sum()) + row.max() - row[target]
                seen.setdefault(int(index), []).append((loss, target, true))
    return {index: np.mean(values, axis=0) for index, values in seen.items()}


@pytest.mark.parametrize(("skip_epochs", "counted"), [(0, [0, 1, 2]), (1, [1, 2]), (2, [2]), (7, [2])])
def test_scores_are_mean_losses_over_the_epochs_that_count(skip_epochs, counted):
    records = fit(NoisyLabelFinder(skip_epochs))
    expected = mean_losses([records.epochs[epoch] for epoch in counted])
    rows = suspects()
    assert sorted(int(row["index"]) for row in rows) == sorted(expected)
    assert [int(row["rank"]) for row in rows] == list(range(1, 201))
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    for row, score in zip(rows, scores, strict=True):
        assert (score, int(row["given"]), int(row["true"])) == pytest.approx(expected[int(row["index"])], rel=1e-3)
    last = {int(i): row.argmax() for batch in records.epochs[-1] for row, i in zip(batch[0], batch[2], strict=True)}
    assert {int(row["index"]): int(row["believed"]) for row in rows} == last


def test_every_epoch_logs_precision_recall_and_average_precision():
    records = fit(NoisyLabelFinder(skip_epochs=0), RunSummary())
    for epoch, metrics in enumerate(records.metrics):
        losses, given, true = np.array(list(mean_losses(records.epochs[: epoch + 1]).values())).T
        wrong = given != true
        assert wrong.sum() == 40
        hits = wrong[np.argsort(-losses)[:40]].mean()
        assert metrics["train/suspects/precision"] == metrics["train/suspects/recall"] == pytest.approx(hits)
        expected = average_precision_score(wrong, losses)
        assert metrics["train/suspects/average_precision"] == pytest.approx(expected, rel=1e-4)
    saved = json.loads(Path("run/metrics.json").read_text())
    assert saved["train/suspects/precision"] == records.metrics[saved["epoch"]]["train/suspects/precision"]


def test_wrong_labels_of_real_digits_are_found(capsys):
    torch.manual_seed(0)
    model = MLPClassifier((1, 28, 28), 10, hidden=[64])
    records = fit(NoisyLabelFinder(), model=model, datamodule=digits(train_size=None, batch_size=16), max_epochs=5)
    assert records.metrics[-1]["train/suspects/precision"] > 0.9
    rows, wrong = suspects(), round(0.2 * 1388)
    hits = np.mean([row["given"] != row["true"] for row in rows[:wrong]])
    printed = capsys.readouterr().out
    assert f"{wrong} are wrong, and of the {wrong} most suspicious {hits:.2%} (precision and recall)" in printed
    assert "of 1,388 training labels stand out" in printed
    assert Path("run/figures/suspects.png").read_bytes().startswith(b"\x89PNG")


def test_without_true_labels_there_is_a_ranking_and_no_metric(capsys):
    records = fit(NoisyLabelFinder(), datamodule=digits(label_noise=None))
    assert len(suspects()) == 200
    assert "true" not in suspects()[0]
    assert not [name for name in records.metrics[-1] if "suspects" in name]
    assert f"of 200 training labels stand out: {Path('run/suspects.csv')}" in capsys.readouterr().out


def test_scores_do_not_depend_on_the_true_labels():
    class Lies(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            batch["clean_target"] = (batch["clean_target"] + 1) % 10

    fit(NoisyLabelFinder())
    honest = suspects()
    fit(NoisyLabelFinder(), Lies())
    assert [{**row, "true": None} for row in suspects()] == [{**row, "true": None} for row in honest]
    assert suspects() != honest


def test_labeled_samples_of_semi_supervised_batches_are_ranked():
    datamodule = digits(num_labeled=60, unlabeled_batch_size=40)
    records = fit(NoisyLabelFinder(skip_epochs=0), datamodule=datamodule, model=Semi((1, 28, 28), 10))
    expected = mean_losses(records.epochs)
    rows = suspects()
    assert {int(row["index"]) for row in rows} == set(datamodule.split.train.tolist())
    for row in rows:
        found = (float(row["score"]), int(row["given"]), int(row["true"]))
        assert found == pytest.approx(expected[int(row["index"])], rel=1e-3)


@pytest.fixture(scope="module")
def five_epochs(tmp_path_factory):
    return fit(NoisyLabelFinder(), max_epochs=5, default_root_dir=tmp_path_factory.mktemp("whole")).epochs


@pytest.mark.parametrize(
    ("epoch", "counted", "error"),
    [(1, [0], RuntimeError("killed")), (2, [1], KeyboardInterrupt()), (3, [1, 2], RuntimeError("killed"))],
)
def test_an_interrupted_run_is_reported_on_as_of_its_last_whole_epoch(epoch, counted, error, five_epochs):
    with pytest.raises((SystemExit, RuntimeError)):
        fit(NoisyLabelFinder(), Interrupts(epoch, error), max_epochs=5)
    expected = mean_losses([five_epochs[each] for each in counted])
    rows = suspects()
    assert len(rows) == 200
    for row in rows:
        assert float(row["score"]) == pytest.approx(expected[int(row["index"])][0], rel=1e-3)


def test_a_run_interrupted_in_its_first_epoch_writes_nothing():
    with pytest.raises(RuntimeError, match="killed"):
        fit(NoisyLabelFinder(), Interrupts(0, RuntimeError("killed")))
    assert not Path("run/suspects.csv").exists()


def test_a_resumed_run_reports_the_same():
    fit(NoisyLabelFinder(), LastCheckpoint(), max_epochs=4, enable_checkpointing=True, default_root_dir="whole")
    fit(NoisyLabelFinder(), LastCheckpoint(), max_epochs=2, enable_checkpointing=True)
    finder, checkpoint = NoisyLabelFinder(), "run/checkpoints/last.ckpt"
    fit(finder, LastCheckpoint(), max_epochs=4, enable_checkpointing=True, ckpt_path=checkpoint)
    assert Path("run/suspects.csv").read_text() == Path("whole/suspects.csv").read_text()
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)["callbacks"][finder.state_key]
    assert all(torch.equal(values, finder.losses.seen[name]) for name, values in state["seen"].items())


@pytest.mark.parametrize("skip_epochs", [0, 5])
def test_what_is_asked_now_counts_and_not_what_was_saved(skip_epochs):
    saved = NoisyLabelFinder(skip_epochs=2).state_dict()
    finder = NoisyLabelFinder(skip_epochs)
    finder.load_state_dict(saved)
    assert finder.skip_epochs == skip_epochs


@pytest.mark.parametrize("option", [{"skip_epochs": -1}, {"count": 0}])
def test_impossible_options_are_refused(option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=rf"NoisyLabelFinder\.{name}: {value}"):
        NoisyLabelFinder(**option)


def test_a_module_that_does_not_classify_is_refused():
    with pytest.raises(TypeError, match="Regressor has no class_names: remove the callback or choose a classifier"):
        fit(NoisyLabelFinder(), model=Regressor((10,)), datamodule=DiabetesDataModule())


class ReturnsOnlyLoss(SoftmaxRegression):
    def training_step(self, batch, batch_idx):
        return {"loss": super().training_step(batch, batch_idx)["loss"]}


class ReturnsShares(SoftmaxRegression):
    def training_step(self, batch, batch_idx):
        outputs = super().training_step(batch, batch_idx)
        return {**outputs, "target": F.one_hot(outputs["target"], 10).float()}


@pytest.mark.parametrize(
    ("model", "returned"),
    [(ReturnsOnlyLoss, r"returns loss torch.float32 \[\]:"), (ReturnsShares, r"target torch.float32 \[40, 10\]")],
)
def test_a_training_step_that_does_not_return_logits_and_classes_is_refused(model, returned):
    with pytest.raises(TypeError, match=rf"{model.__name__} .*{returned}"):
        fit(NoisyLabelFinder(), model=model((1, 28, 28), 10))


def test_the_pictures_drawn_are_those_of_the_first_suspects():
    class Asked(DigitsDataModule):
        def train_pictures(self, index):
            self.asked, self.shown = index, super().train_pictures(index)
            return self.shown

    datamodule = Asked(train_size=100, batch_size=20)
    fit(NoisyLabelFinder(count=7), datamodule=datamodule)
    assert datamodule.asked.tolist() == [int(row["index"]) for row in suspects()[:7]]
    assert torch.equal(datamodule.shown, datamodule.read(train=True)[0][datamodule.asked])
    assert Path("run/figures/suspects.png").read_bytes().startswith(b"\x89PNG")


def test_data_without_pictures_have_a_ranking_and_no_figure():
    class Hidden(DigitsDataModule):
        train_pictures = None

    fit(NoisyLabelFinder(), datamodule=Hidden(train_size=100, batch_size=20))
    assert len(suspects()) == 100
    assert not Path("run/figures").exists()
