from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from datamodules.augment import AUGMENTATIONS
from datamodules.base import BaseDataModule
from datamodules.batch import Batch
from datamodules.dataset import InMemoryDataset
from datamodules.splits import split_train_val


class ImageDataModule(BaseDataModule):
    """Pictures with one class each, kept in memory as uint8, scaled and augmented on the device.

    Subclasses fill in the class attributes and `read`.

    Args:
        augment: Random changes to training pictures, drawn for each of them: `shift` (up to 2 pixels of 28),
            `crop_flip` (up to 4 pixels of 32, and mirrored every second time), `affine` (rotated by up to 10 degrees,
            shifted, scaled).
        scale: `standard` gives pixels mean 0 and standard deviation 1 over the training set, `unit` only brings them
            from 0...255 to 0...1.
        **options: See `BaseDataModule`.

    Raises:
        ValueError: If `augment` or `scale` is none of those.

    Attributes:
        input_shape: `(C, H, W)` of a picture.
        class_names: In the order of the targets.
        mean: Of each channel over the training set, on a scale from 0 to 1.
        std: Likewise.
    """

    input_shape: ClassVar[tuple[int, int, int]]
    class_names: ClassVar[tuple[str, ...]]
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]

    def __init__(
        self,
        augment: Literal["none", "shift", "crop_flip", "affine"] = "none",
        scale: Literal["standard", "unit"] = "standard",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for name, value, choices in [("augment", augment, AUGMENTATIONS), ("scale", scale, ("standard", "unit"))]:
            if value not in choices:
                raise ValueError(f"data.{name}: {value!r} is none of {', '.join(choices)}")
        self.augmentation = AUGMENTATIONS[augment](self.input_shape[-1])
        mean, std = (self.mean, self.std) if scale == "standard" else ((0.0,), (1.0,))
        self._scale = (1 / (255 * torch.tensor(std)))[:, None, None]
        self._offset = (-torch.tensor(mean) / torch.tensor(std))[:, None, None]

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @abstractmethod
    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all pictures of a part, uint8 `[N, C, H, W]`, and their classes, int64 `[N]`."""

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; a second call finds everything there and does nothing."""
        if stage in ("fit", "validate") and self.split is None:
            pictures, targets = self.read(train=True)
            self.split = split_train_val(targets, self.train_size, self.val_size, self.seed)
            self.train_set = InMemoryDataset(pictures, targets, self.split.train)
            self.val_set = InMemoryDataset(pictures, targets, self.split.val)
        if stage in ("test", "predict") and self.test_set is None:
            self.test_set = InMemoryDataset(*self.read(train=False))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augments (in training) and normalises the pictures of a batch, on its device."""
        pictures = batch["input"]
        if self.trainer is not None and self.trainer.training:
            pictures = self.augmentation(pictures)
        batch["input"] = self.normalise(pictures)
        return batch

    def normalise(self, pictures: Tensor) -> Tensor:
        """Turns pictures from 0...255 into float32 on the scale asked for."""
        if self._scale.device != pictures.device:
            self._scale, self._offset = self._scale.to(pictures.device), self._offset.to(pictures.device)
        return pictures.to(torch.float32, copy=True).mul_(self._scale).add_(self._offset)

    def test_pictures(self, index: Tensor) -> Tensor:
        """Returns test pictures as they are in the file, uint8 `[n, C, H, W]`, for figures."""
        assert self.test_set is not None
        return self.test_set.inputs[index]

    def split_report(self) -> dict[str, Any]:
        """Adds the class names and how many samples of each class are in each part."""
        report = super().split_report()
        assert self.split is not None
        assert self.train_set is not None
        targets = self.train_set.targets
        report["class_names"] = self.class_names
        report["per_class"] = {
            part: torch.bincount(targets[indices], minlength=self.num_classes).tolist()
            for part, indices in self.split._asdict().items()
        }
        return report
