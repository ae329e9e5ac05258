from typing import Any, Literal

import torch
from torch import Tensor

from litzoo.datamodules.batch import Batch, SemiSupervisedBatch
from litzoo.datamodules.dataset import IndexedDataset, Rows
from litzoo.datamodules.images.class_sampled import ClassSampledDataModule
from litzoo.datamodules.io.class_folders import new_images
from litzoo.datamodules.io.images import ImageReader, ImagesOnDisk
from litzoo.datamodules.transforms.alternating import augmented
from litzoo.datamodules.transforms.policies import augmentation_of

Augment = Literal[
    "none",
    "shift",
    "crop_flip",
    "alternating_flip_shift",
    "affine",
    "strong",
    "strong_flip",
    "autoaugment_imagenet",
    "autoaugment_cifar10",
    "autoaugment_svhn",
    "randaugment",
    "trivialaugment",
    "augmix",
]


class ImageDataModule(ClassSampledDataModule):
    """Images with one class each, uint8 `[N, C, H, W]`, scaled and augmented on the device.

    Subclasses fill in the class attributes and `read`.

    Args:
        augment: Random changes to training images, drawn for each of them: `shift` (up to 2 pixels of 28),
            `crop_flip` (up to 4 pixels of 32, and mirrored every second time), `alternating_flip_shift` (mirrored
            in every second epoch, and up to 2 pixels of 32, filled with reflections), `affine` (rotated by up to 10
            degrees, shifted, scaled), `strong` (a larger affine change, brightness, contrast, a grey square),
            `strong_flip` (the same, and mirrored every second time), and the policies `autoaugment_imagenet`,
            `autoaugment_cifar10`, `autoaugment_svhn`, `randaugment`, `trivialaugment` and `augmix`. A list is done in
            its order: `[crop_flip, autoaugment_cifar10]`.
        strong_augment: Likewise, for the second view of unlabeled images; the first is augmented by `augment`.
        unknowns: Another data set, of images of the same shape: all of its test images join those of this one, as
            samples of unknown classes.
        predict_folder: Folder of images without labels, wherever it is, that `predict` looks at instead of the test
            set. They are scaled to the size of the others and cut around their centre.
        scale: `standard` gives pixels mean 0 and standard deviation 1 over the training set, `unit` only brings them
            from 0...255 to 0...1.
        **options: See `ClassSampledDataModule`, `ClassifiedDataModule` and `BaseDataModule`.

    Raises:
        ValueError: If `augment`, `strong_augment` or `scale` is none of those, or an empty list.

    Attributes:
        input_shape: `(C, H, W)` of an image.
        mean: Of each channel over the training set, on a scale from 0 to 1.
        std: Likewise.
    """

    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __init__(
        self,
        augment: Augment | list[Augment] = "none",
        strong_augment: Augment | list[Augment] = "strong",
        scale: Literal["standard", "unit"] = "standard",
        unknowns: "ImageDataModule | None" = None,
        predict_folder: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if scale not in ("standard", "unit"):
            raise ValueError(f"data.scale: {scale!r} is neither standard nor unit")
        self.unknowns, self.predict_folder = unknowns, predict_folder
        if unknowns is not None:
            if unknowns.input_shape != self.input_shape:
                shape, other = list(self.input_shape), list(unknowns.input_shape)
                raise ValueError(f"data.unknowns: images of {other}; those to learn are {shape}")
            ours = self.file_class_names
            self.test_class_names = (
                *ours,
                *(f"other {name}" if name in ours else name for name in unknowns.file_class_names),
            )
        side = self.input_shape[-1]
        self.augmentation = augmentation_of("data.augment", augment, side)
        self.strong_augmentation = augmentation_of("data.strong_augment", strong_augment, side)
        self.augment, self.scale = augment, scale
        self._scaling: tuple[Tensor, Tensor] | None = None

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch | SemiSupervisedBatch:
        """Augments (in training) and normalises the images of a batch, on its device."""
        labeled = batch.get("labeled", batch)
        images = labeled["input"]
        epoch = 0 if self.trainer is None else self.trainer.current_epoch
        if self.trainer is not None and self.trainer.training:
            images = augmented(self.augmentation, images, labeled["index"], epoch)
        labeled["input"] = self.normalise(images)
        if "unlabeled" in batch:
            images = batch["unlabeled"].pop("input")
            for view, augmentation in [("weak", self.augmentation), ("strong", self.strong_augmentation)]:
                changed = augmented(augmentation, images, batch["unlabeled"]["index"], epoch)
                batch["unlabeled"][view] = self.normalise(changed)
        return batch

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; to predict other images, these alone."""
        if stage == "predict" and self.predict_folder is not None:
            paths, self.files["predict"] = new_images(self.predict_folder)
            rows = ImagesOnDisk(paths, ImageReader(self.input_shape, resize=True))
            self.new_set = IndexedDataset(rows, None)
        else:
            super().setup(stage)

    def prepare_data(self) -> None:
        """Downloads what `unknowns` lacks; classes with a download of their own call it too."""
        if self.unknowns is not None:
            self.unknowns.prepare_data()

    def as_evaluated(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns a batch with its images normalised, and not augmented."""
        return batch | {"input": self.normalise(batch["input"])}

    def read_test(self) -> tuple[Rows, Tensor]:
        """Adds the test images of `unknowns`.

        Raises:
            ValueError: If either are read from their files one by one.
        """
        images, labels = super().read_test()
        if self.unknowns is None:
            return images, labels
        others, other_labels = self.unknowns.read(train=False)
        theirs = [f"unknowns/{name}" for name in self.unknowns.files.get("test", [])]
        if theirs or "test" in self.files:
            self.files["test"] = self.files.get("test", [""] * len(images)) + theirs
        if not (isinstance(images, Tensor) and isinstance(others, Tensor)):
            raise ValueError(
                "data.unknowns: needs images in memory, both the known and the unknown; raise memory_limit"
            )
        return torch.cat([images, others]), torch.cat([labels, other_labels + len(self.file_class_names)])

    @property
    def scaling(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What is taken from pixels on a scale from 0 to 1, and what they are then divided by, channel by channel."""
        return (self.mean, self.std) if self.scale == "standard" else ((0.0,), (1.0,))

    def normalise(self, images: Tensor) -> Tensor:
        """Turns images from 0...255 into float32 on the scale asked for."""
        if self._scaling is None or self._scaling[0].device != images.device:
            mean, std = self.scaling
            # Their type is named since a trainer in true half precision changes torch's default.
            center, width = torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)
            factor, offset = 1 / (255 * width), -center / width
            self._scaling = factor[:, None, None].to(images.device), offset[:, None, None].to(images.device)
        factor, offset = self._scaling
        return images.to(torch.float32, copy=True).mul_(factor).add_(offset)

    def test_images(self, index: Tensor) -> Tensor:
        """Returns test images as they are in the file, uint8 `[n, C, H, W]`, for figures."""
        assert self.test_set is not None
        return self.test_set.inputs[index]

    def train_images(self, index: Tensor) -> Tensor:
        """Likewise, images at positions in the full training set."""
        assert self.train_set is not None
        return self.train_set.inputs[index]
