"""Images in which there is nothing to find: they are trained on, and false positives in them count."""

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.datamodules import PennFudanDataModule
from litzoo.datamodules.transforms.copy_paste import paste_objects
from litzoo.datamodules.transforms.masks import MASK_AUGMENTATIONS, ImageWithMasks, augmented
from litzoo.lit_modules import MaskRCNNSegmenter
from litzoo.lit_modules.metrics import DetectionMetrics
from tests.training import cpu_trainer


@pytest.fixture
def folder(tmp_path):
    """Training and test images of 48×48; every second one has no object."""
    for part in ("train", "test"):
        for name in ("PNGImages", "PedMasks"):
            (tmp_path / "walk" / part / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.random.RandomState(number).randint(0, 256, (48, 48, 3), dtype=np.uint8)
            mask = np.zeros((48, 48), np.uint8)
            if number % 2:
                mask[10:30, 12:32] = 1
            Image.fromarray(pixels).save(tmp_path / "walk" / part / "PNGImages" / f"{number}.png")
            Image.fromarray(mask).save(tmp_path / "walk" / part / "PedMasks" / f"{number}_mask.png")
    return tmp_path


@pytest.mark.parametrize(("augment", "copy_paste"), [("none", False), ("turn_vary", True), ("mirror_vary", False)])
def test_they_are_trained_and_tested_on(folder, augment, copy_paste):
    datamodule = PennFudanDataModule(
        "walk", root=str(folder), val_size=2, augment=augment, copy_paste=copy_paste, batch_size=4
    )
    module = MaskRCNNSegmenter(1, ("walker",), proposals=20, min_score=0.0)
    trainer = cpu_trainer(max_epochs=1)
    trainer.fit(module, datamodule)
    assert trainer.callback_metrics["train/loss"].isfinite()
    (metrics,) = trainer.test(module, datamodule, verbose=False)
    assert np.isfinite(metrics["test/loss"])
    report = datamodule.split_report()
    assert report["sizes"] == {"train": 6, "val": 2, "test": 8}
    assert report["objects"]["test"] == 4
    assert report["without_objects"]["test"] == 4
    assert report["without_objects"]["train"] + report["without_objects"]["val"] == 4


@pytest.mark.parametrize("augment", MASK_AUGMENTATIONS)
def test_every_augmentation_leaves_them_without_objects(augment):
    empty = ImageWithMasks(
        torch.zeros(3, 20, 30, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 20, 30).bool()
    )
    for _ in range(5):
        changed = augmented(MASK_AUGMENTATIONS[augment](), empty)
        assert len(changed.labels) == 0
        assert changed.masks.shape == (0, *changed.image.shape[1:])
    full = ImageWithMasks(empty.image, torch.ones(1, dtype=torch.int64), torch.ones(1, 20, 30).bool())
    assert len(paste_objects(full, empty).labels) == 1
    assert len(paste_objects(empty, full).labels) in (0, 1)


def detections(boxes, scores):
    masks = torch.zeros(len(boxes), 50, 50, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    found = {"boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4), "masks": masks}
    found["labels"] = torch.ones(len(boxes), dtype=torch.int64)
    return found | ({} if scores is None else {"scores": torch.tensor(scores)})


def test_a_false_positive_in_them_lowers_average_precision():
    box = [0, 0, 20, 20]
    expected = {}
    for case, wrong in {"quiet": [], "less sure": [0.5], "surer": [0.95]}.items():
        metric = DetectionMetrics()
        images = [
            (detections([box], [0.9]), detections([box], None)),
            (detections([box] * len(wrong), wrong), detections([], None)),
        ]
        for index, (found, target) in enumerate(images):
            batch = {"index": torch.tensor([index]), "detections": [found], "target": [target]}
            metric.update(batch | {"losses": torch.tensor([0.0])})
        expected[case] = float(metric.compute()["mask_map_50"])
    # The one object is found with precision 1, also before a less sure mistake; after a surer one with 1/2.
    assert expected == pytest.approx({"quiet": 1, "less sure": 1, "surer": 0.5})
