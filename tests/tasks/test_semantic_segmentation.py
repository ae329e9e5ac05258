"""A task that litzoo does not have: a class for each pixel, with a plain LightningDataModule and its own callback."""

import json
import os
import unittest.mock
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.segmentation import MeanIoU

from litzoo.lit_modules import LitModule
from tests.scripts.helpers import litzoo

SIDE = 128


def draw(count, seed):
    """Grey images with a bright rectangle and a dark one on noise, and their masks: 0 is the background."""
    generator = torch.Generator().manual_seed(seed)
    images, masks = 0.2 * torch.randn(count, 1, SIDE, SIDE, generator=generator), torch.zeros(count, SIDE, SIDE).long()
    for image, mask in zip(images, masks, strict=True):
        for label, value in [(1, 1.0), (2, -1.0)]:
            top, left, height, width = torch.randint(20, 60, (4,), generator=generator).tolist()
            image[0, top : top + height, left : left + width] += value
            mask[top : top + height, left : left + width] = label
    return images, masks


class RectanglesDataModule(LightningDataModule):
    """64 images of 128×128 pixels: 40 for training, 8 for validation, 16 for the test."""

    num_classes = 3
    class_names = ("background", "bright", "dark")

    def __init__(self, batch_size: int = 8) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        """Draws the images, always the same."""
        images, masks = draw(64, seed=0)
        self.samples = [{"input": image, "target": masks[n], "index": n} for n, image in enumerate(images)]

    def train_dataloader(self) -> DataLoader:
        """Returns batches of 40 images."""
        return DataLoader(self.samples[:40], batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Returns batches of 8 images."""
        return DataLoader(self.samples[40:48], batch_size=5)

    def test_dataloader(self) -> DataLoader:
        """Returns batches of 16 images, the last one smaller."""
        return DataLoader(self.samples[48:], batch_size=5)

    predict_dataloader = test_dataloader


class Segmenter(LitModule):
    """Predicts a class for each pixel."""

    train_metrics = ("acc",)
    primary_metric = "iou"

    def __init__(self, num_classes: int, class_names: list[str], width: int = 8, **options: Any) -> None:
        net = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, num_classes, 3, padding=1),
        )
        super().__init__(net, nn.CrossEntropyLoss(), **options)
        self.class_names = list(class_names)

    def step(self, batch: Any, stage: str) -> dict[str, Tensor]:
        """Returns logits `[B, K, H, W]`."""
        logits = self(batch["input"])
        loss = self.objective(logits, batch, batch["target"])
        outputs = {"loss": loss, "logits": logits.detach(), "target": batch["target"], "index": batch["index"]}
        if stage == "train":
            outputs["acc"] = (logits.argmax(dim=1) == batch["target"]).float().mean()
        return outputs

    def metrics(self, stage: str) -> dict[str, Metric]:
        """Returns streaming metrics: no logits are kept."""
        classes = len(self.class_names)
        return {
            "loss": MeanMetric(),
            "acc": MulticlassAccuracy(classes, average="micro"),
            "iou": MeanIoU(classes, input_format="index"),
        }

    def update_metrics(self, metrics: MetricCollection, outputs: dict[str, Any]) -> None:
        """Weights the loss by the size of the batch."""
        metrics["loss"].update(outputs["loss"], len(outputs["index"]))
        for name in ("acc", "iou"):
            metrics[name].update(outputs["logits"].argmax(dim=1), outputs["target"])

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Returns the class of each pixel, int64 `[B, H, W]`."""
        return {"index": batch["index"], "prediction": self(batch["input"]).argmax(dim=1)}

    def default_callbacks(self, datamodule: Any) -> list[str]:
        """Names a callback of this file."""
        return [f"{__name__}.MaskWriter"]


class MaskWriter(Callback):
    """Writes the predicted masks into the run folder."""

    def on_predict_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        """Writes the masks of a batch."""
        for index, mask in zip(outputs["index"].tolist(), outputs["prediction"], strict=True):
            torch.save(mask.clone(), Path(trainer.log_dir) / f"mask_{index}.pt")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segmentation")
    with pytest.MonkeyPatch.context() as patch, unittest.mock.patch.dict(os.environ):
        patch.chdir(folder)
        config = [f"--data={__name__}.RectanglesDataModule", f"--model={__name__}.Segmenter", "--model.width=6"]
        learning = ["--model.optimizer=torch.optim.Adam", "--model.optimizer.lr=0.05", "--trainer.max_epochs=6"]
        yield litzoo("fit", *config, *learning)


def metrics_of(run):
    return json.loads((run.run_folder / "metrics.json").read_text())


def predicted(run):
    images, masks = draw(64, seed=0)
    with torch.no_grad():
        return run.model.eval()(images[48:]).argmax(dim=1), masks[48:]


def test_training_reports_the_metrics_that_the_module_declares(trained):
    found = metrics_of(trained)
    assert {name for name in found if name.startswith("train/")} >= {"train/loss", "train/acc"}
    for stage in ("val", "test"):
        assert {name for name in found if name.startswith(stage)} == {
            f"{stage}/{name}" for name in ("loss", "acc", "iou")
        }
    assert found["test/acc"] > 0.95


def test_metrics_of_a_test_are_those_computed_by_hand(trained):
    prediction, target = predicted(trained)
    found = metrics_of(trained)
    assert found["test/acc"] == pytest.approx(float((prediction == target).float().mean()), rel=1e-5)
    overlaps = []
    for image, mask in zip(prediction, target, strict=True):
        both = [((image == label) & (mask == label)).sum() for label in range(3)]
        either = [((image == label) | (mask == label)).sum() for label in range(3)]
        overlaps.append(sum(float(one / all_) for one, all_ in zip(both, either, strict=True)) / 3)
    assert found["test/iou"] == pytest.approx(sum(overlaps) / len(overlaps), rel=1e-4)


@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_a_checkpoint_is_evaluated_alike(trained, subcommand):
    before = metrics_of(trained)
    litzoo(subcommand, "--config", str(trained.run_folder / "config.yaml"))
    assert metrics_of(trained) == pytest.approx(before)


def test_prediction_runs_the_callback_that_the_module_names(trained):
    litzoo("predict", "--config", str(trained.run_folder / "config.yaml"))
    prediction, _ = predicted(trained)
    for number, mask in enumerate(prediction):
        assert torch.equal(torch.load(trained.run_folder / f"mask_{48 + number}.pt", weights_only=True), mask)
    assert not (trained.run_folder / "predictions.csv").exists()
