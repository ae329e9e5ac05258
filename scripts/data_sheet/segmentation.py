"""Draws the data of a segmentation datamodule: training images, their objects, and augmented views."""

from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from litzoo.callbacks.reporting.detection import make_panel
from litzoo.callbacks.reporting.figures import new_figure
from litzoo.datamodules import SegmentationDataModule
from litzoo.datamodules.transforms.masks import ImageWithMasks, boxes_around

IMAGES = 4
VIEWS = 4


def draw_segmentation_sheet(datamodule: SegmentationDataModule) -> Figure:
    """Draws one row for each of the first training images: the original, its objects, and augmented views."""
    train = datamodule.train_set
    assert train is not None
    rows = min(IMAGES, len(train))
    figure = new_figure(2 * (VIEWS + 2), 2.1 * rows + 0.8)
    report = datamodule.split_report()
    sizes, objects = report["sizes"], report["objects"]
    parts = ", ".join(f"{sizes[part]:,} {part} ({objects[part]:,} objects)" for part in sizes)
    figure.suptitle(f"{parts}\nfingerprint {report['fingerprint']}, classes: {', '.join(report['class_names'])}")
    loaded: list[Any] = [train[number] for number in range(rows)]
    samples = [ImageWithMasks(each["input"], each["target"]["labels"], each["target"]["masks"]) for each in loaded]
    views = [datamodule.as_trained(samples) for _ in range(VIEWS)]
    for number, (row, sample) in enumerate(zip(figure.subplots(rows, VIEWS + 2, squeeze=False), samples, strict=True)):
        row[0].imshow(sample.image.permute(1, 2, 0))
        for panel, shown in zip(row[1:], [sample, *(view[number] for view in views)], strict=True):
            panel.imshow(_draw_objects(shown))
        for panel in row:
            panel.axis("off")
        if number == 0:
            augmentation = f"augment: {datamodule.augment}{', copy_paste' if datamodule.copy_paste else ''}"
            titles = ["original", f"{len(sample.labels)} objects", augmentation]
            for panel, title in zip(row, titles, strict=False):
                panel.set_title(title, fontsize=9)
    return figure


def _draw_objects(sample: ImageWithMasks) -> Tensor:
    objects = {"labels": sample.labels, "masks": sample.masks, "boxes": boxes_around(sample.masks)}
    return make_panel(None, sample.image.float() / 255, objects)["image"]
