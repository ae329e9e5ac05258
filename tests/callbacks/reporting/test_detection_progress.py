import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from litzoo.callbacks import DetectionProgress
from litzoo.callbacks.reporting.detection import make_panel
from litzoo.datamodules import DigitsDataModule, ShapesDataModule
from litzoo.lit_modules import MLPClassifier
from tests.training import cpu_trainer

pytestmark = pytest.mark.usefixtures("coarse_figures")


class ScriptedDetector(LightningModule):
    """Detects a given number of objects after each epoch; the highest score is 1 / their number."""

    class_names = ("circle", "square", "triangle")

    def __init__(self, counts):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.counts = counts
        self.seen = []

    def detect(self, images):
        self.seen.append(images[0])
        count = self.counts[round(self.weight.item())]
        masks = torch.zeros(count, *images[0].shape[1:], dtype=torch.bool)
        masks[:, 4:8, 4:8] = True
        return [
            {
                "boxes": torch.tensor([[4.0, 4, 8, 8]]).expand(count, 4),
                "labels": torch.ones(count, dtype=torch.int64),
                "scores": torch.linspace(1 / max(count, 1), 0.01, count),
                "masks": masks,
            }
        ]

    def training_step(self, batch, batch_idx):
        return -self.weight.sum()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


COUNTS = [100, 20, 5, 4, 0]


def fit(callback, epochs=4, folder="run", val_size=4, module=None, **options):
    data = ShapesDataModule(images=8, side=32, val_size=val_size)
    logger = CSVLogger(folder, name="", version="")
    trainer = cpu_trainer(
        max_epochs=epochs, limit_train_batches=1, callbacks=[callback], logger=logger, log_every_n_steps=1
    )
    module = module or ScriptedDetector(COUNTS)
    trainer.fit(module, data, **options)
    return trainer, module, data


def panels(callback):
    return [(panel["epoch"], len(panel["scores"])) for panel in callback.panels]


def test_detections_are_logged_and_drawn_from_before_training_on(tmp_path):
    callback = DetectionProgress(epochs=[0, 1, 3, 20], image=2)
    _, module, data = fit(callback)
    sample = data.val_set.samples[data.val_set.indices[2]]
    assert len(module.seen) == 5
    assert all(torch.equal(image, sample.image / 255) for image in module.seen)
    assert panels(callback) == [(None, len(sample.labels)), (0, 100), (1, 20), (3, 4)]
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    columns = lines[0].split(",")
    logged = [dict(zip(columns, line.split(","), strict=True)) for line in lines[1:]]
    counts = [float(each["val/detections"]) for each in logged if each["val/detections"]]
    assert counts == COUNTS
    assert [round(1 / float(each["val/top_score"])) for each in logged if float(each["val/top_score"] or 0)] == COUNTS[
        :4
    ]
    assert float(logged[-1]["val/top_score"]) == 0
    strip = np.asarray(Image.open(tmp_path / "run" / "figures" / "detection_progress.png"))
    assert strip.shape[1] > 3.5 * strip.shape[0] * 0.75  # four panels side by side, with captions
    assert strip.std() > 10


def test_the_card_has_two_panels_in_a_row(monkeypatch):
    cards = []
    monkeypatch.setattr(
        "litzoo.callbacks.reporting.detection.publish_figure", lambda *_: cards.append(_[-1].get_size_inches())
    )
    fit(DetectionProgress(epochs=[0, 1, 2, 3]))
    width, height = cards[-1]  # five panels of square images
    assert width == pytest.approx(4.4)
    assert height == pytest.approx(3 * 2.7)


def test_a_resumed_run_draws_the_same_strip(tmp_path):
    uninterrupted, first, second = (DetectionProgress(epochs=[0, 1, 2, 4]) for _ in range(3))
    fit(uninterrupted, folder="uninterrupted")
    trainer, *_ = fit(first, epochs=2, folder="resumed")
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    torch.load(tmp_path / "last.ckpt", weights_only=True)
    fit(second, folder="resumed", ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert panels(second) == panels(uninterrupted)
    strips = [
        (tmp_path / name / "figures" / "detection_progress.png").read_bytes() for name in ("uninterrupted", "resumed")
    ]
    assert strips[0] == strips[1]


def test_without_validation_a_training_image_is_used():
    trainer, *_ = fit(DetectionProgress(), epochs=1, val_size=0)
    assert float(trainer.callback_metrics["train/detections"]) == 20


def test_masks_are_more_opaque_for_higher_scores():
    image, masks = torch.zeros(3, 4, 6), torch.zeros(2, 4, 6, dtype=torch.bool)
    masks[0, 0], masks[1, 2] = True, True
    objects = {"boxes": torch.zeros(2, 4), "labels": torch.ones(2), "masks": masks, "scores": torch.tensor([0.2, 1.0])}
    painted = make_panel(3, image, objects)["image"].max(2).values
    assert painted.dtype == torch.uint8
    assert painted[1].max() == painted[3].max() == 0
    assert painted[0].unique().tolist() == [round(0.2 * 0.55 * 255)]
    assert painted[2].unique().tolist() == [round(0.55 * 255)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": []}, r"DetectionProgress\.epochs: \[\]"),
        ({"epochs": [1, -1]}, r"DetectionProgress\.epochs: \[1, -1\]; give one or more numbers from 0 on"),
        ({"image": -1}, r"DetectionProgress\.image: -1 is negative"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DetectionProgress(**options)


def test_a_position_beyond_the_data_is_refused():
    with pytest.raises(ValueError, match=r"\.image: 4, but there are only 4 images \(val\); give 0 to 3"):
        fit(DetectionProgress(image=4))


def test_a_module_or_datamodule_without_detection_is_refused():
    with pytest.raises(TypeError, match="MLPClassifier has no detect: remove the callback or choose a MaskRCNNSegm"):
        fit(DetectionProgress(), module=MLPClassifier((1, 28, 28), 10))
    trainer = cpu_trainer(callbacks=[DetectionProgress()])
    with pytest.raises(TypeError, match="DigitsDataModule has none: remove"):
        trainer.fit(ScriptedDetector(COUNTS), DigitsDataModule())
