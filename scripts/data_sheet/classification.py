"""Draws the data of an image datamodule: samples of each class, class counts of each part, and augmented views."""

from typing import Any, cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from litzoo.callbacks.reporting.figures import new_figure
from litzoo.datamodules import ImageDataModule
from litzoo.scripts.data_sheet.augmented import augmented_dataset, views_of

MAX_CLASSES = 12
SAMPLES = 6
"""Samples of each class."""
LARGEST_RATIO = 20
"""Ratio of the tallest to the shortest bar from which on they are drawn on a log scale, or short ones would vanish."""
VIEWS = 8
"""Columns of the augmented views, the original included."""
COLOURS = {"train": "tab:blue", "val": "tab:orange", "unlabeled": "tab:green", "test": "tab:gray"}


def draw_sheet(datamodule: ImageDataModule) -> Figure:
    """Draws the data sheet of a datamodule that is set up for fitting and testing."""
    shown = np.linspace(0, datamodule.num_classes - 1, min(MAX_CLASSES, datamodule.num_classes)).round().astype(int)
    figure = new_figure(13, max(7.0, 1.0 + 0.95 * len(shown)))
    samples, right = cast(np.ndarray, figure.subfigures(1, 2, width_ratios=[1, 1.1]))
    histogram, views = right.subfigures(2, 1, height_ratios=[1.2, 1])
    draw_samples(samples, datamodule, shown.tolist())
    draw_histogram(histogram, datamodule)
    draw_views(views, datamodule)
    return figure


def draw_samples(figure: SubFigure, datamodule: ImageDataModule, classes: list[int]) -> None:
    """Draws training samples, one row per given label; where the label is wrong, the true class is printed in red."""
    train = datamodule.train_set
    assert train is not None
    given = train.targets[train.indices]
    figure.suptitle("training samples by given label" + (" (red: true class)" if datamodule.label_noise else ""))
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
    """Draws the samples per class of each part, and of one epoch if a sampler changes them."""
    report = datamodule.split_report()
    hidden = report.get("without_label", {})
    counts = {part: each for part, each in report["per_class"].items() if part not in hidden}
    if datamodule.sampling != "shuffle":
        train = datamodule.train_set
        assert train is not None
        positions = torch.from_numpy(np.concatenate(list(datamodule.train_batches())))
        targets = train.targets[train.indices[positions]]
        counts[f"one epoch ({datamodule.sampling})"] = torch.bincount(
            targets, minlength=datamodule.num_classes
        ).tolist()
    panel = figure.subplots()
    places, width = np.arange(datamodule.num_classes), 0.85 / len(counts)
    for number, (part, values) in enumerate(counts.items()):
        shift = (number - (len(counts) - 1) / 2) * width
        panel.bar(places + shift, values, width, label=part, color=COLOURS.get(part, "tab:purple"))
    sizes = [size for values in counts.values() for size in values if size]
    if sizes and max(sizes) > LARGEST_RATIO * min(sizes):
        panel.set(yscale="log", ylabel="samples (log scale)", ylim=(0.5, None))
    else:
        panel.set(ylabel="samples", ylim=(0, None))
    panel.set_title(sheet_title(datamodule.split_report()), fontsize=10)
    if datamodule.num_classes <= 20:
        long = max(map(len, datamodule.class_names)) > 3
        panel.set_xticks(places, datamodule.class_names, rotation=30 if long else 0, ha="right" if long else "center")
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)


def draw_views(figure: SubFigure, datamodule: ImageDataModule) -> None:
    """Draws original images beside augmented views; for unlabeled images, weak and strong ones."""
    dataset, augmentations = augmented_dataset(datamodule)
    images = min(4 // len(augmentations), len(dataset))
    rows = [(position, name) for position in range(images) for name in augmentations]
    only = f": {next(iter(augmentations))}" if len(augmentations) == 1 else ""
    figure.suptitle(f"original images (left) and augmented views{only}")
    for row, (position, name) in zip(figure.subplots(len(rows), VIEWS, squeeze=False), rows, strict=True):
        image = dataset[position]["input"][None]
        views = torch.cat([image, views_of(datamodule, dataset, position, name, augmentations[name], VIEWS - 1)])
        for panel, view in zip(row, views, strict=True):
            panel.axis("off")
            show_image(panel, view)
        if len(augmentations) > 1:
            row[0].text(-0.15, 0.5, name, transform=row[0].transAxes, ha="right", va="center", rotation=90)


def draw_nine_views(datamodule: ImageDataModule) -> Figure:
    """Draws nine augmented views of one image, 3×3; for an unlabeled image, weak views beside strong ones."""
    dataset, augmentations = augmented_dataset(datamodule)
    figure = new_figure(4.2 * len(augmentations), 4.6)
    parts = cast(np.ndarray, figure.subfigures(1, len(augmentations), squeeze=False))[0]
    for part, (name, augmentation) in zip(parts, augmentations.items(), strict=True):
        part.suptitle(name)
        views = views_of(datamodule, dataset, 0, name, augmentation, 9)
        for panel, view in zip(part.subplots(3, 3).flat, views, strict=True):
            panel.axis("off")
            show_image(panel, view)
    return figure


def show_image(panel: Axes, image: Tensor) -> None:
    """Shows an image, uint8 `[C, H, W]`, in a panel."""
    panel.imshow(image.permute(1, 2, 0).squeeze(-1), cmap="gray", vmin=0, vmax=255)


def sheet_title(report: dict[str, Any]) -> str:
    """Returns the title: sizes, samples of unknown classes if there are any, and fingerprint and label noise."""
    lines = [", ".join(f"{size:,} {part}" for part, size in report["sizes"].items())]
    if "unknown" in report:
        lines.append("unknown classes: " + ", ".join(f"{size:,} {part}" for part, size in report["unknown"].items()))
    noise = "".join(
        f", {fraction:.1%} of {part} labels wrong" for part, fraction in report.get("label_noise", {}).items()
    )
    return "\n".join([*lines, f"fingerprint {report['fingerprint']}{noise}"])
