"""The base class of datamodules of images with one class each."""

from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchvision.transforms import v2

from litzoo.datamodules.base import BaseDataModule
from litzoo.datamodules.batch import Batch, SemiSupervisedBatch
from litzoo.datamodules.class_labels import ClassLabels
from litzoo.datamodules.dataset import IndexedDataset, Rows
from litzoo.datamodules.images.preparation import pixel_scaling
from litzoo.datamodules.io.class_folders import images_to_predict
from litzoo.datamodules.io.images import ImageReader, ImagesOnDisk
from litzoo.datamodules.io.value_range import measured_range, warn_of_range
from litzoo.datamodules.transforms.alternating import augmented
from litzoo.datamodules.transforms.plain import describe
from litzoo.datamodules.transforms.policies import augmentation_of, require_shape

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


class ImageDataModule(ClassLabels, BaseDataModule):
    """Images with one class each, uint8 `[N, C, H, W]`, normalised and augmented on the device.

    Subclasses define the class attributes and `read`.

    Args:
        augment: Random augmentation of training images, drawn for each image: `shift` (by up to 2 pixels of 28),
            `crop_flip` (shift by up to 4 pixels of 32, and horizontal flip with probability 0.5),
            `alternating_flip_shift` (horizontal flip in every second epoch, and shift by up to 2 pixels of 32 with
            reflected borders), `affine` (rotation by up to 10 degrees, shift, scaling), `strong` (a larger affine
            change, brightness, contrast, an erased square), `strong_flip` (the same with horizontal flip), and the
            policies `autoaugment_imagenet`, `autoaugment_cifar10`, `autoaugment_svhn`, `randaugment`, `trivialaugment`
            and `augmix`; or any transform of `torchvision.transforms.v2`, by its `class_path`. A list is applied in
            its order: `[crop_flip, autoaugment_cifar10]`.
        strong_augment: Augmentation of the strong view of unlabeled images; `augment` makes the weak view.
        eval_transform: Transforms of `torchvision.transforms.v2` for validation, test and prediction images, such as
            `GaussianBlur` or `Grayscale`; training images get `augment` only. Checkpoints keep class and arguments.
        unknowns: Another data set with images of the same shape; all of its test images join the test set as samples
            of unknown classes.
        predict_folder: Folder of unlabeled images, anywhere, for `predict` to use instead of the test set. They are
            resized and centre-cropped to the size of the other images.
        scale: `standard` normalises pixels to mean 0 and standard deviation 1 over the training set, `unit` scales
            them from 0...255 to 0...1.
        **options: See `ClassLabels` and `BaseDataModule`.

    Raises:
        ValueError: If `augment`, `strong_augment` or `scale` is not one of its choices, or an empty list.

    Attributes:
        input_shape: `(C, H, W)` of an image.
        mean: Mean of each channel over the training set, on a scale from 0 to 1.
        std: Standard deviation of each channel likewise.
    """

    links = ("num_classes", "class_names", "input_shape")
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __init__(
        self,
        augment: Augment | v2.Transform | list[Augment | v2.Transform] = "none",
        strong_augment: Augment | v2.Transform | list[Augment | v2.Transform] = "strong",
        eval_transform: v2.Transform | list[v2.Transform] | None = None,
        scale: Literal["standard", "unit"] = "standard",
        unknowns: "ImageDataModule | None" = None,
        predict_folder: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if scale not in ("standard", "unit"):
            raise ValueError(f"data.scale: {scale!r} is not one of standard, unit")
        self.unknowns, self.predict_folder = unknowns, predict_folder
        if unknowns is not None:
            if unknowns.input_shape != self.input_shape:
                shape, other = list(self.input_shape), list(unknowns.input_shape)
                raise ValueError(
                    f"data.unknowns: images of {other}; the shape must be that of the images to learn, {shape}"
                )
            ours = self.file_class_names
            self.test_class_names = (
                *ours,
                *(f"other {name}" if name in ours else name for name in unknowns.file_class_names),
            )
        self.augmentation = augmentation_of("data.augment", augment, self.input_shape)
        self.strong_augmentation = augmentation_of("data.strong_augment", strong_augment, self.input_shape)
        self.eval_transforms = as_list(eval_transform)
        self.eval_description = [describe(each) for each in self.eval_transforms]
        if self.eval_transforms:
            require_shape("data.eval_transform", self._evaluated, self.input_shape, self.input_shape)
        self.augment, self.scale = augment, scale
        self._scaling: tuple[Tensor, Tensor] | None = None

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch | SemiSupervisedBatch:
        """Augments (in training) and normalises the images of a batch, on its device."""
        labeled = batch.get("labeled", batch)
        images = labeled["input"]
        epoch = 0 if self.trainer is None else self.trainer.current_epoch
        if self.trainer is not None and self.trainer.training:
            images = augmented(self.augmentation, images, labeled["index"], epoch)
        else:
            images = self._evaluated(images)
        labeled["input"] = self.normalise(images)
        if "unlabeled" in batch:
            stored = batch["unlabeled"].pop("input", None)
            for view, augmentation in [("weak", self.augmentation), ("strong", self.strong_augmentation)]:
                images = batch["unlabeled"][view] if stored is None else stored
                changed = augmented(augmentation, images, batch["unlabeled"]["index"], epoch)
                batch["unlabeled"][view] = self.normalise(changed)
        return batch

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; for prediction with `predict_folder` that folder only."""
        if stage == "predict" and self.predict_folder is not None:
            paths, self.files["predict"] = images_to_predict(self.predict_folder)
            fix = "convert them to 8 bits, or set data.value_range in an image folder's training"
            warn_of_range(measured_range(paths, self.reading.page), self.reading.value_range, self.predict_folder, fix)
            rows = ImagesOnDisk(paths, self.new_reader)
            self.new_set = IndexedDataset(rows, None)
        else:
            super().setup(stage)

    def prepare_data(self) -> None:
        """Downloads the data of `unknowns`; subclasses that download override and call it."""
        if self.unknowns is not None:
            self.unknowns.prepare_data()

    def as_evaluated(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns a batch with its images transformed and normalised as for evaluation, without augmentation."""
        return batch | {"input": self.normalise(self._evaluated(batch["input"]))}

    def _evaluated(self, images: Tensor) -> Tensor:
        for transform in self.eval_transforms:
            images = transform(images)
        return images

    def read_test(self) -> tuple[Rows, Tensor]:
        """Appends the test images of `unknowns` to the test set.

        Raises:
            ValueError: If either images are too large to be in memory.
        """
        images, labels = super().read_test()
        if self.unknowns is None:
            return images, labels
        others, other_labels = self.unknowns.read(train=False)
        other_names = [f"unknowns/{name}" for name in self.unknowns.files.get("test", [])]
        if other_names or "test" in self.files:
            self.files["test"] = self.files.get("test", [""] * len(images)) + other_names
        if not (isinstance(images, Tensor) and isinstance(others, Tensor)):
            raise ValueError(
                "data.unknowns: known and unknown images must both be in memory; raise memory_limit of the image folder"
            )
        return torch.cat([images, others]), torch.cat([labels, other_labels + len(self.file_class_names)])

    @property
    def reading(self) -> ImageReader:
        """The rules by which new image files are decoded, resized and cropped."""
        return ImageReader(self.input_shape, resize=True)

    def state_dict(self) -> dict[str, Any]:
        """Adds, as plain values, what it takes to read and normalise other images in the same way."""
        return super().state_dict() | {"images": self.state_dict_of_images()}

    def state_dict_of_images(self) -> dict[str, Any]:
        """Returns how images are read, transformed and normalised for evaluation; see `ImagePreparation`."""
        images: dict[str, Any] = {"reading": self.reading.state(), "eval_transform": self.eval_description}
        if self.scale != "standard" or hasattr(self, "mean"):  # an image folder measures it when it is read
            images |= {"mean": list(self.scaling[0]), "std": list(self.scaling[1])}
        return images

    @property
    def new_reader(self) -> Any:
        """Reads new image files, of any size; `eval_transform` is applied to batches of them."""
        return self.reading

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Warns if evaluation would transform images in another way than that of the checkpoint."""
        super().load_state_dict(state_dict)
        self.compare_evaluation(state_dict)

    def compare_evaluation(self, state_dict: dict[str, Any]) -> None:
        """Warns if `eval_transform` is not that of a checkpoint."""
        trained = state_dict.get("images", {}).get("eval_transform", self.eval_description)
        if trained != self.eval_description:
            rank_zero_warn(
                f"data.eval_transform is {_short(self.eval_description)}, but the checkpoint was validated with "
                f"{_short(trained)}"
            )

    @property
    def scaling(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel that pixels, on a scale from 0 to 1, are normalised with."""
        return (self.mean, self.std) if self.scale == "standard" else ((0.0,), (1.0,))

    def normalise(self, images: Tensor) -> Tensor:
        """Converts images from 0...255 to float32, normalised as `scale` says."""
        if self._scaling is None or self._scaling[0].device != images.device:
            self._scaling = pixel_scaling(*self.scaling, images.device)
        factor, offset = self._scaling
        return images.to(torch.float32, copy=True).mul_(factor).add_(offset)

    def test_images(self, index: Tensor) -> Tensor:
        """Returns test images as stored, uint8 `[n, C, H, W]`, for figures."""
        assert self.test_set is not None
        return self.test_set.inputs[index]

    def train_images(self, index: Tensor) -> Tensor:
        """Returns images of the full training set as stored, uint8 `[n, C, H, W]`, for figures."""
        assert self.train_set is not None
        return self.train_set.inputs[index]


def as_list(transforms: v2.Transform | list[v2.Transform] | None) -> list[v2.Transform]:
    """Returns the value of `eval_transform` as a list."""
    return [] if transforms is None else list(transforms) if isinstance(transforms, (list, tuple)) else [transforms]


def _short(descriptions: list[dict[str, Any]]) -> str:
    """Returns transforms as text, such as `Resize(size=[256])`."""
    calls = []
    for each in descriptions:
        arguments = ", ".join(f"{name}={value}" for name, value in each["init_args"].items())
        calls.append(f"{each['class_path'].rpartition('.')[2]}({arguments})")
    return ", ".join(calls) or "none"
