"""Draws what a datamodule of images serves: samples of each class, the classes of each part, the augmented views."""

from typing import Any, cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from litzoo.callbacks.reporting.figures import new_figure
from litzoo.datamodules import ImageDataModule, IndexedDataset
from litzoo.datamodules.transforms.policies import Augmentation

MOST_CLASSES = 12
SAMPLES = 6
VIEWS = 8
COLOURS = {"train": "tab:blue", "val": "tab:orange", "unlabeled": "tab:green", "test": "tab:gray"}


def draw_sheet(datamodule: ImageDataModule) -> Figure:
    """Draws the sheet of a datamodule that has been set up for fitting."""
    shown = np.linspace(0, datamodule.num_classes - 1, min(MOST_CLASSES, datamodule.num_classes)).round().astype(int)
    figure = new_figure(13, max(7.0, 1.0 + 0.95 * len(shown)))
    samples, right = cast(np.ndarray, figure.subfigures(1, 2, width_ratios=[1, 1.1]))
    histogram, views = right.subfigures(2, 1, height_ratios=[1.2, 1])
    draw_samples(samples, datamodule, shown.tolist())
    draw_histogram(histogram, datamodule)
    draw_views(views, datamodule)
    return figure


def draw_samples(figure: SubFigure, datamodule: ImageDataModule, classes: list[int]) -> None:
    """Draws training samples, a row for each given label; where it is wrong, the true one is written in red."""
    train = datamodule.train_set
    assert train is not None
    given = train.targets[train.indices]
    figure.suptitle("training samples by given label" + (" (red: the true one)" if datamodule.label_noise else ""))
    panels = figure.subplots(len(classes), SAMPLES, squeeze=False)
    for row, label in zip(panels, classes, strict=True):
        positions = torch.nonzero(given == label)[:, 0][:SAMPLES]
        row[0].text(-0.15, 0.5, datamodule.class_names[label], transform=row[0].transAxes, ha="right", va="center")
        for panel in row:
            panel.axis("off")
        for panel, position in zip(row, positions.tolist(), strict=False):
            sample = train[position]
            show_image(panel, sample["input"])
            if (true := int(sample.get("clean_target", label))) != label:
                panel.set_title(datamodule.class_names[true], color="tab:red", fontsize=8, pad=2)


def draw_histogram(figure: SubFigure, datamodule: ImageDataModule) -> None:
    """Draws how many samples of each class are in each part, and what an epoch serves where it is not the same."""
    counts = dict(datamodule.split_report()["per_class"])
    if datamodule.sampling != "shuffle":
        train = datamodule.train_set
        assert train is not None
        positions = torch.from_numpy(np.concatenate(list(datamodule.train_batches())))
        served = train.targets[train.indices[positions]]
        counts[f"an epoch ({datamodule.sampling})"] = torch.bincount(served, minlength=datamodule.num_classes).tolist()
    panel = figure.subplots()
    places, width = np.arange(datamodule.num_classes), 0.85 / len(counts)
    for number, (part, values) in enumerate(counts.items()):
        shift = (number - (len(counts) - 1) / 2) * width
        panel.bar(places + shift, values, width, label=part, color=COLOURS.get(part, "tab:purple"))
    panel.set(yscale="log", ylabel="samples (logarithmic)", ylim=(0.5, None))
    panel.set_title(sheet_title(datamodule.split_report()), fontsize=10)
    if datamodule.num_classes <= 20:
        long = max(map(len, datamodule.class_names)) > 3
        panel.set_xticks(places, datamodule.class_names, rotation=30 if long else 0, ha="right" if long else "center")
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)


def draw_views(figure: SubFigure, datamodule: ImageDataModule) -> None:
    """Draws images as they are and as training sees them; of unlabeled images the strong views too."""
    source, kinds = viewed(datamodule)
    rows = [(position, name) for position in range(min(4 // len(kinds), len(source))) for name in kinds]
    one = f"\n{next(iter(kinds))}" if len(kinds) == 1 else ""
    figure.suptitle(f"images as they are (left), and as training sees them{one}")
    for row, (position, name) in zip(figure.subplots(len(rows), VIEWS, squeeze=False), rows, strict=True):
        image = source[position]["input"][None]
        views = torch.cat([image, views_of(image, kinds[name], VIEWS - 1)])
        for panel, view in zip(row, views, strict=True):
            panel.axis("off")
            show_image(panel, view)
        if len(kinds) > 1:
            row[0].text(-0.15, 0.5, name, transform=row[0].transAxes, ha="right", va="center", rotation=90)


def draw_nine_views(datamodule: ImageDataModule) -> Figure:
    """Draws one image nine times as training sees it, 3×3; of an unlabeled one the strong views beside the weak."""
    source, kinds = viewed(datamodule)
    figure = new_figure(4.2 * len(kinds), 4.6)
    parts = cast(np.ndarray, figure.subfigures(1, len(kinds), squeeze=False))[0]
    for part, (name, augmentation) in zip(parts, kinds.items(), strict=True):
        part.suptitle(name)
        views = views_of(source[0]["input"][None], augmentation, 9)
        for panel, view in zip(part.subplots(3, 3).flat, views, strict=True):
            panel.axis("off")
            show_image(panel, view)
    return figure


def viewed(datamodule: ImageDataModule) -> tuple[IndexedDataset, dict[str, Augmentation]]:
    """Returns the part whose images are augmented, the unlabeled one if it is trained on, and by what."""
    asked = datamodule.augment
    if datamodule.unlabeled_batch_size is None:
        assert datamodule.train_set is not None
        return datamodule.train_set, {asked if isinstance(asked, str) else ", ".join(asked): datamodule.augmentation}
    assert datamodule.unlabeled_set is not None
    return datamodule.unlabeled_set, {"weak": datamodule.augmentation, "strong": datamodule.strong_augmentation}


def views_of(image: Tensor, augmentation: Augmentation, count: int) -> Tensor:
    """Augments one image `[1, C, H, W]` so many times; returns uint8 `[count, C, H, W]`."""
    return augmentation(image.repeat(count, 1, 1, 1)).float().round().to(torch.uint8)


def show_image(panel: Axes, image: Tensor) -> None:
    """Shows an image, uint8 `[C, H, W]`."""
    panel.imshow(image.permute(1, 2, 0).squeeze(-1), cmap="gray", vmin=0, vmax=255)


def sheet_title(report: dict[str, Any]) -> str:
    """Writes a line of sizes, where there are unknown samples one of these, and one of fingerprint and noise."""
    lines = [", ".join(f"{size:,} {part}" for part, size in report["sizes"].items())]
    if "unknown" in report:
        lines.append("of unknown classes: " + ", ".join(f"{size:,} {part}" for part, size in report["unknown"].items()))
    noise = "".join(
        f", {fraction:.1%} of {part} labels wrong" for part, fraction in report.get("label_noise", {}).items()
    )
    return "\n".join([*lines, f"fingerprint {report['fingerprint']}{noise}"])
