"""A task that litzoo does not have: several labels per image, with a datamodule, metrics and a link of its own."""

import csv
import json
import os
import unittest.mock
from typing import Any

import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MultilabelAveragePrecision, MultilabelF1Score

from litzoo.datamodules import BaseDataModule
from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.splits.core import split_train_val
from litzoo.lit_modules import LitModule
from tests.scripts.helpers import litzoo


class BarsDataModule(BaseDataModule):
    """Images of 8×8 pixels with horizontal bars, vertical bars, both or none; noise, and some are bright."""

    links = ("input_shape", "class_names", "label_counts")
    input_shape = (1, 8, 8)
    class_names = ("horizontal", "vertical", "bright")

    @property
    def label_counts(self) -> list[int]:
        """How many training images have each label; only known once they are read."""
        self.setup("fit")
        return self.targets[self.split.train].sum(dim=0).int().tolist()

    def find_split(self) -> None:
        """Draws the images, always the same."""
        if self.split is None:
            generator = torch.Generator().manual_seed(0)
            targets = (torch.rand(600, 3, generator=generator) < 0.4).float()
            bar = torch.zeros(8, 8)
            bar[2::4] = 1.0
            images = 0.3 * torch.randn(600, 1, 8, 8, generator=generator) + targets[:, 2, None, None, None]
            images += targets[:, 0, None, None, None] * bar + targets[:, 1, None, None, None] * bar.T
            self.images, self.all_targets, self.targets = images, targets, targets[:500]
            self.split = split_train_val(self.targets[:, 0], self.train_size, self.val_size, self.seed)

    def setup(self, stage: str) -> None:
        """Splits the images; the last 100 are the test set."""
        self.find_split()
        self.train_set = IndexedDataset(self.images, self.all_targets, self.split.train)
        self.val_set = IndexedDataset(self.images, self.all_targets, self.split.val)
        self.test_set = IndexedDataset(self.images[500:], self.all_targets[500:])


class MultiLabelClassifier(LitModule):
    """Predicts a probability for each label."""

    primary_metric = "average_precision"

    def __init__(self, input_shape: list[int], class_names: list[str], label_counts: list[int], **options: Any) -> None:
        net = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(input_shape).numel(), len(class_names)))
        super().__init__(net, nn.BCEWithLogitsLoss(), **options)
        self.class_names, self.label_counts = list(class_names), list(label_counts)

    def step(self, batch: Any, stage: str) -> dict[str, Tensor]:
        """Returns logits `[B, K]`."""
        logits = self(batch["input"])
        loss = self.objective(logits, batch, batch["target"])
        return {"loss": loss, "logits": logits.detach(), "target": batch["target"], "index": batch["index"]}

    def metrics(self, stage: str) -> dict[str, Metric]:
        """Returns streaming metrics, and the exact average precision, which ranks all outputs once."""
        labels = len(self.class_names)
        exact = {"average_precision": MultilabelAveragePrecision(labels)} if stage == "test" else {}
        return {"loss": MeanMetric(), "f1": MultilabelF1Score(labels), **exact}

    def update_metrics(self, metrics: MetricCollection, outputs: dict[str, Any]) -> None:
        """Weights the loss by the size of the batch."""
        for name, metric in metrics.items():
            if name == "loss":
                metric.update(outputs["loss"], len(outputs["index"]))
            else:
                metric.update(outputs["logits"].sigmoid(), outputs["target"].int())

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Returns which labels are predicted, bool `[B, K]`, and their probabilities."""
        probabilities = self(batch["input"]).sigmoid()
        return {"index": batch["index"], "prediction": probabilities > 0.5, "confidence": probabilities}


CONFIG = [f"--data={__name__}.BarsDataModule", f"--model={__name__}.MultiLabelClassifier"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("multi_label")
    with pytest.MonkeyPatch.context() as patch, unittest.mock.patch.dict(os.environ):
        patch.chdir(folder)
        learning = ["--model.optimizer=torch.optim.Adam", "--model.optimizer.lr=0.02", "--trainer.max_epochs=15"]
        yield litzoo("fit", *CONFIG, *learning, "--data.batch_size=50", "--data.eval_batch_size=30")


def metrics_of(run):
    return json.loads((run.run_folder / "metrics.json").read_text())


def test_training_reports_the_metrics_that_the_module_declares(trained):
    assert {name for name in metrics_of(trained) if not name.startswith("train/")} == {
        "epoch",
        *("val/loss", "val/f1", "test/loss", "test/f1", "test/average_precision"),
    }
    record = json.loads((trained.run_folder / "run.json").read_text())
    assert record["primary_metric"] == "average_precision"
    assert trained.model.label_counts == trained.datamodule.label_counts


def test_metrics_of_a_test_are_those_of_scikit_learn(trained):
    images, target = trained.datamodule.images[500:], trained.datamodule.all_targets[500:]
    with torch.no_grad():
        logits = trained.model.eval()(images)
    found = metrics_of(trained)
    assert found["test/f1"] == pytest.approx(f1_score(target, logits > 0, average="macro"), rel=1e-5)
    assert found["test/f1"] > 0.9
    expected = average_precision_score(target, logits, average="macro")
    assert found["test/average_precision"] == pytest.approx(expected, rel=1e-5)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert found["test/loss"] == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_a_checkpoint_is_evaluated_alike(trained, subcommand):
    before = metrics_of(trained)
    litzoo(subcommand, "--config", str(trained.run_folder / "config.yaml"))
    assert metrics_of(trained) == pytest.approx(before)


def test_predictions_have_a_column_for_each_label(trained):
    litzoo("predict", "--config", str(trained.run_folder / "config.yaml"))
    with (trained.run_folder / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = BarsDataModule.class_names
    columns = [f"{column}/{name}" for column in ("prediction", "confidence") for name in names]
    assert list(rows[0]) == ["index", *columns]
    assert [int(row["index"]) for row in rows] == list(range(100))
    target = trained.datamodule.all_targets[500:].bool()
    right = [[row[f"prediction/{name}"] == "True" for name in names] for row in rows]
    assert (torch.tensor(right) == target).float().mean() > 0.9
