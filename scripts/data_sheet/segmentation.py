"""Draws what a datamodule of images with masks serves: training images, their objects, and augmented views."""

from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from litzoo.callbacks.reporting.detection import panel_of
from litzoo.callbacks.reporting.figures import new_figure
from litzoo.datamodules import SegmentationDataModule
from litzoo.datamodules.transforms.masks import Outlined, boxes_around

IMAGES = 4
VIEWS = 4


def draw_segmentation_sheet(datamodule: SegmentationDataModule) -> Figure:
    """Draws a row for each of the first training images: as it is, with its objects, and as training sees it."""
    train = datamodule.train_set
    assert train is not None
    rows = min(IMAGES, len(train))
    figure = new_figure(2 * (VIEWS + 2), 2.1 * rows + 0.8)
    report = datamodule.split_report()
    sizes, objects = report["sizes"], report["objects"]
    parts = ", ".join(f"{sizes[part]:,} {part} ({objects[part]:,} objects)" for part in sizes)
    figure.suptitle(f"{parts}\nfingerprint {report['fingerprint']}, classes: {', '.join(report['class_names'])}")
    served: list[Any] = [train[number] for number in range(rows)]
    samples = [Outlined(each["input"], each["target"]["labels"], each["target"]["masks"]) for each in served]
    views = [datamodule.as_trained(samples) for _ in range(VIEWS)]
    for number, (row, sample) in enumerate(zip(figure.subplots(rows, VIEWS + 2, squeeze=False), samples, strict=True)):
        row[0].imshow(sample.image.permute(1, 2, 0))
        for panel, shown in zip(row[1:], [sample, *(view[number] for view in views)], strict=True):
            panel.imshow(_painted(shown))
        for panel in row:
            panel.axis("off")
        if number == 0:
            changes = f"augment: {datamodule.augment}{', copy_paste' if datamodule.copy_paste else ''}"
            titles = ["as it is", f"{len(sample.labels)} objects", changes]
            for panel, title in zip(row, titles, strict=False):
                panel.set_title(title, fontsize=9)
    return figure


def _painted(sample: Outlined) -> Tensor:
    objects = {"labels": sample.labels, "masks": sample.masks, "boxes": boxes_around(sample.masks)}
    return panel_of(None, sample.image.float() / 255, objects)["image"]
