import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from sklearn.metrics import average_precision_score

from litzoo.callbacks import NoisyLabelFinder, RunSummary
from litzoo.datamodules import DigitsDataModule, SymmetricNoise
from litzoo.lit_modules import FixMatch, MLPClassifier, SoftmaxRegression
from tests.callbacks.noisy_digits import digits, fit, mean_losses, suspects


@pytest.mark.parametrize(("skip_epochs", "counted"), [(0, [0, 1, 2]), (1, [1, 2]), (2, [2]), (7, [2])])
def test_scores_are_mean_losses_over_the_epochs_not_skipped(skip_epochs, counted):
    records = fit(NoisyLabelFinder(skip_epochs, method="loss"))
    expected = mean_losses([records.epochs[epoch] for epoch in counted])
    rows = suspects()
    assert sorted(int(row["index"]) for row in rows) == sorted(expected)
    assert [int(row["rank"]) for row in rows] == list(range(1, 201))
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    for row, score in zip(rows, scores, strict=True):
        assert (score, int(row["given"]), int(row["true"])) == pytest.approx(expected[int(row["index"])], rel=1e-3)
    last = {int(i): row.argmax() for batch in records.epochs[-1] for row, i in zip(batch[0], batch[2], strict=True)}
    assert {int(row["index"]): int(row["predicted"]) for row in rows} == last


def test_every_epoch_logs_precision_recall_and_average_precision():
    records = fit(NoisyLabelFinder(skip_epochs=0, method="loss"), RunSummary())
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
    assert "of 1,388 training labels are flagged" in printed
    assert Path("run/figures/suspects.png").read_bytes().startswith(b"\x89PNG")


def test_without_true_labels_there_are_no_metrics(capsys):
    records = fit(NoisyLabelFinder(), datamodule=digits(label_noise=None))
    assert len(suspects()) == 200
    assert "true" not in suspects()[0]
    assert not [name for name in records.metrics[-1] if "suspects" in name]
    assert f"of 200 training labels are flagged: {Path('run/suspects.csv')}" in capsys.readouterr().out


def test_scores_do_not_depend_on_the_true_labels():
    class ChangesTrueLabels(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            batch["clean_target"] = (batch["clean_target"] + 1) % 10

    fit(NoisyLabelFinder())
    expected = suspects()
    fit(NoisyLabelFinder(), ChangesTrueLabels())
    assert [{**row, "true": None} for row in suspects()] == [{**row, "true": None} for row in expected]
    assert suspects() != expected


def test_labeled_samples_of_semi_supervised_batches_are_ranked():
    datamodule = digits(num_labeled=60, unlabeled_batch_size=40)
    model = SoftmaxRegression((1, 28, 28), 10, pseudo_labels=FixMatch())
    records = fit(NoisyLabelFinder(skip_epochs=0, method="loss"), datamodule=datamodule, model=model)
    expected = mean_losses(records.epochs)
    rows = suspects()
    assert {int(row["index"]) for row in rows} == set(datamodule.split.train.tolist())
    for row in rows:
        found = (float(row["score"]), int(row["given"]), int(row["true"]))
        assert found == pytest.approx(expected[int(row["index"])], rel=1e-3)


def test_the_images_drawn_are_those_of_the_first_suspects():
    class Recorded(DigitsDataModule):
        def train_images(self, index):
            self.index, self.images = index, super().train_images(index)
            return self.images

    datamodule = Recorded(train_size=100, batch_size=20)
    fit(NoisyLabelFinder(count=7), datamodule=datamodule)
    assert datamodule.index.tolist() == [int(row["index"]) for row in suspects()[:7]]
    assert torch.equal(datamodule.images, datamodule.read(train=True)[0][datamodule.index])
    assert Path("run/figures/suspects.png").read_bytes().startswith(b"\x89PNG")


def test_data_without_images_have_no_figure():
    class WithoutImages(DigitsDataModule):
        train_images = None

    fit(NoisyLabelFinder(), datamodule=WithoutImages(train_size=100, batch_size=20))
    assert len(suspects()) == 100
    assert not Path("run/figures").exists()


@pytest.mark.parametrize("wrong", [0, 58])
def test_about_as_many_labels_are_flagged_as_are_wrong(wrong):
    """Case 20: on clean digits 96 of 1,150 labels were flagged, with 58 wrong ones 54."""
    torch.manual_seed(0)
    noise = SymmetricNoise(0.05) if wrong else None
    datamodule = digits(train_size=None, val_size=0.2, batch_size=16, label_noise=noise)
    fit(NoisyLabelFinder(), model=MLPClassifier((1, 28, 28), 10, hidden=[64]), datamodule=datamodule, max_epochs=5)
    rows = suspects()
    flagged = [row for row in rows if row["flagged"] == "True"]
    assert len(rows) == 1150
    assert len(flagged) == pytest.approx(wrong, rel=0.25, abs=0.01 * len(rows))
    if wrong:
        assert np.mean([row["given"] != row["true"] for row in flagged]) > 0.75
        assert np.mean([row["suggested"] == row["true"] for row in flagged]) > 0.75
        assert all(row["reason"].startswith(f"probably {row['suggested']}; wrong") for row in flagged)
    found = json.loads(Path("run/label_issues.json").read_text())
    assert found["flagged"] == len(flagged) == sum(pair["flagged"] for pair in found["pairs"])
