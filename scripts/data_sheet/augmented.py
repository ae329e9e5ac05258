"""Augmented views of single images, and folders of them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from litzoo.datamodules import ImageDataModule, IndexedDataset
from litzoo.datamodules.images.photos import PhotoViews
from litzoo.datamodules.transforms.policies import Augmentation


def augmented_dataset(datamodule: ImageDataModule) -> tuple[IndexedDataset, dict[str, Augmentation]]:
    """Returns the data set whose images are augmented (the unlabeled pool, if there is one) and its augmentations."""
    if datamodule.unlabeled_batch_size is None:
        assert datamodule.train_set is not None
        return datamodule.train_set, {_name(datamodule.augment): datamodule.augmentation}
    assert datamodule.unlabeled_set is not None
    return datamodule.unlabeled_set, {"weak": datamodule.augmentation, "strong": datamodule.strong_augmentation}


def views_of(
    datamodule: ImageDataModule,
    dataset: IndexedDataset,
    position: int,
    name: str,
    augmentation: Augmentation,
    count: int,
) -> Tensor:
    """Augments one image `count` times, as training does in its first epochs.

    Args:
        datamodule: The datamodule.
        dataset: Its training set or unlabeled pool.
        position: Position in that set.
        name: Name of the augmentation in `augmented_dataset`.
        augmentation: The augmentation of batches.
        count: Number of views.

    Returns:
        uint8 `[count, C, H, W]`.
    """
    photos = getattr(datamodule, "photos", None)
    if photos is None:
        images = dataset[position]["input"][None].repeat(count, 1, 1, 1)
    else:
        options: Any = datamodule
        transforms = options.photo_augments["strong_augment" if name == "strong" else "augment"]
        views = PhotoViews(dataset, photos, {"view": transforms})
        images = torch.cat([views[epoch, np.array([position])]["view"] for epoch in range(count)])
    return augmentation(images).float().round().clamp(0, 255).to(torch.uint8)


def save_augmented(datamodule: ImageDataModule, folder: Path, count: int) -> int:
    """Writes augmented training images as `<folder>/<class>/<number>.png`, evenly chosen from all.

    With an unlabeled pool these are its images, in `weak` and `strong` instead of class folders.

    Args:
        datamodule: The datamodule.
        folder: A folder that does not exist, or is empty.
        count: Number of images.

    Returns:
        The number of images that were written: less than `count` if there are fewer training images.

    Raises:
        ValueError: If the folder holds files, or is none.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--augmented_folder: {folder} is not an empty folder; name a new one, or empty it")
    dataset, augmentations = augmented_dataset(datamodule)
    written = 0
    for position in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int).tolist():
        for name, augmentation in augmentations.items():
            place = name
            if len(augmentations) == 1:
                place = datamodule.class_names[int(dataset[position]["target"])]
            (image,) = views_of(datamodule, dataset, position, name, augmentation, 1)
            path = folder / place.replace("/", "-") / f"{position:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).save(path)
            written += 1
    return written


def _name(augment: Any) -> str:
    steps = augment if isinstance(augment, (list, tuple)) else [augment]
    return ", ".join(step if isinstance(step, str) else type(step).__name__ for step in steps)
