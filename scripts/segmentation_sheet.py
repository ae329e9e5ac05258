"""Draws what a datamodule of pictures with masks serves: training pictures, their objects, and augmented views."""

from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from callbacks.detection_strip import panel_of
from callbacks.figures import new_figure
from datamodules import SegmentationDataModule
from datamodules.mask_augment import augmented, boxes_around

PICTURES = 4
VIEWS = 4


def draw_segmentation_sheet(datamodule: SegmentationDataModule) -> Figure:
    """Draws a row for each of the first training pictures: as it is, with its objects, and as training sees it."""
    train = datamodule.train_set
    assert train is not None
    rows = min(PICTURES, len(train))
    figure = new_figure(2 * (VIEWS + 2), 2.1 * rows + 0.8)
    report = datamodule.split_report()
    sizes, objects = report["sizes"], report["objects"]
    parts = ", ".join(f"{sizes[part]:,} {part} ({objects[part]:,} objects)" for part in sizes)
    figure.suptitle(f"{parts}\nfingerprint {report['fingerprint']}, classes: {', '.join(report['class_names'])}")
    for number, row in enumerate(figure.subplots(rows, VIEWS + 2, squeeze=False)):
        sample: Any = train[number]
        picture, labels, masks = sample["input"], sample["target"]["labels"], sample["target"]["masks"]
        row[0].imshow(picture.permute(1, 2, 0))
        row[1].imshow(_painted(picture, labels, masks))
        for panel in row[2:]:
            panel.imshow(_painted(*augmented(datamodule.augmentation, picture, labels, masks)))
        for panel in row:
            panel.axis("off")
        if number == 0:
            titles = ["as it is", f"{len(labels)} objects", f"augment: {datamodule.augment}"]
            for panel, title in zip(row, titles, strict=False):
                panel.set_title(title, fontsize=9)
    return figure


def _painted(picture: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
    objects = {"labels": labels, "masks": masks, "boxes": boxes_around(masks)}
    return panel_of(None, picture.float() / 255, objects)["picture"]
