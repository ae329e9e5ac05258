"""Images in one folder per class, or with labels in a CSV file."""

import os
from dataclasses import replace
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader

from litzoo.datamodules.batch import UNKNOWN, Batch
from litzoo.datamodules.dataset import IndexedDataset, Rows
from litzoo.datamodules.images.base import ImageDataModule, as_list
from litzoo.datamodules.images.folders.files import FolderFiles
from litzoo.datamodules.images.folders.reading import FolderReading, Thumbnails, split_augments
from litzoo.datamodules.images.folders.restoring import read_again, restore_reading, restore_samples
from litzoo.datamodules.images.photos import Photos, PhotoViews
from litzoo.datamodules.images.statistics import STATISTICS_IMAGES, channel_statistics
from litzoo.datamodules.io.images import DamagedImageError, ImageReader
from litzoo.datamodules.io.paths import data_root
from litzoo.datamodules.samplers import EpochBatches, EvaluationBatches
from litzoo.datamodules.splits.folds import Fold
from litzoo.datamodules.splits.membership import membership_notes
from litzoo.datamodules.splits.near_duplicates import SIDE
from litzoo.datamodules.splits.recorded import RecordedSamples
from litzoo.datamodules.transforms.plain import describe

MOST_BYTES, MOST_PHOTO_BYTES = 4 * 2**30, 2**30
"""Sizes up to which images, and photos at their original size, are kept in memory unless an option says otherwise."""


class ImageFolderDataModule(ImageDataModule):
    """Your own images: in class folders or labeled by a CSV file, with or without folders for training and test.

    - `<folder>/<class>/*.jpg`. A test set is drawn.
    - `<folder>/{train,val,test}/<class>/*.jpg`, by the usual names in any case (`Training`, `valid`, `Test`). A `val`
      folder is the validation set; without it validation is drawn from `train`, without `test` a test set is.
    - `labels_file`: a CSV file with the columns `file`, `label` and, if it gives the parts, `split`.

    Where validation or test is drawn, a sample's part is a function of the content of its file and the seed: adding,
    removing, renaming and relabelling images moves no other image between training, validation and test. Copies of an
    image, also resized or encoded anew ones, are not on both sides of a draw: one of them is left out and listed. A
    resumed run uses the images that its checkpoint has recorded; new ones wait for a new run. When a checkpoint is
    tested, images that it was trained on are left out of a drawn test set. Test images of your own are all kept; a
    warning names those that are copies of training images.

    Reads what Pillow can decode, by content and not by name, also from folders within class folders; hidden files are
    ignored, others that are no images are left out and named. What had to be decided to read the images, such as a
    background for transparent ones, is logged with its count. Every file is read once before training, so that a
    damaged one cannot interrupt a run. Mean and standard deviation of the channels are those of the training images (of
    about 5,000 if there are more) and are stored in checkpoints.

    Args:
        folder: Folder of the images, looked up in the working folder, then in `root`. Links are followed.
        labels_file: CSV file of the labels, looked up in the working folder, then in `root` and `folder`. Its file
            names are relative to `folder`.
        unlabeled_folder: Folder of images without labels, looked up like `folder`; they are the unlabeled pool of
            semi-supervised training. Copies of labeled images are left out of it.
        test_size: Size of the test set where it is drawn, a fraction or a count; `null` is 0.2. Not allowed with test
            files of your own.
        near_duplicates: `leave_out` compares small versions of the images too, where a part is drawn or there is an
            unlabeled folder; `keep` leaves out only exact copies.
        size: Height and width that images are resized and centre-cropped to; one number for both. If `null`, all
            images must have the size of the first one.
        grey: Whether to read images with one channel; else with three.
        corrupt: `refuse` raises for a file that cannot be read, `skip` leaves it out with a warning.
        memory_limit: Largest size of the images in GiB, per part and process, up to which they are kept in memory;
            larger sets are read from their files when they are served, which `num_workers` speeds up. `null` is 4, and
            1 for training images at their original size.
        original_size: Whether training images are read at their original size and brought to `size` by the transforms
            that `augment` begins with, such as `RandomResizedCrop`, one by one and in the workers; named augmentations
            after them are applied to the batch. `eval_transform` then gets images at their original size too.
        value_range: Values that become black and white in images of more than 8 bits per channel (16 bits, or
            floating point), such as `[0, 4095]`; by default the smallest and largest value in the training images.
        background: Colour that transparent images are composited on: a name, `#rrggbb`, or red, green and blue.
        page: Number of the page to read of files with several, from 0; by default the first one, with a warning.
        root: See `BaseDataModule`.
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`. A fraction for `val_size` is of what the
            test set leaves; with a `val` folder, only 0 has an effect: no validation.

    Raises:
        FileNotFoundError: If there is no such folder or file.
        ValueError: If there are fewer than two classes, one of them has no image, images differ in size and no size is
            given, or an image cannot be read and `corrupt` is `refuse`.
    """

    split_by = (*ImageDataModule.split_by, "folder", "corrupt", "test_size", "near_duplicates")

    def __init__(
        self,
        folder: str,
        size: int | tuple[int, int] | None = None,
        grey: bool = False,
        corrupt: Literal["refuse", "skip"] = "refuse",
        memory_limit: float | None = None,
        labels_file: str | None = None,
        unlabeled_folder: str | None = None,
        test_size: int | float | None = None,
        near_duplicates: Literal["leave_out", "keep"] = "leave_out",
        original_size: bool = False,
        value_range: tuple[float, float] | None = None,
        background: str | tuple[int, int, int] = "white",
        page: int | None = None,
        root: str | None = None,
        **options: Any,
    ) -> None:
        if near_duplicates not in ("leave_out", "keep"):
            raise ValueError(f"data.near_duplicates: {near_duplicates!r} is not one of leave_out, keep")
        if memory_limit is not None and not memory_limit >= 0:
            raise ValueError(f"data.memory_limit: {memory_limit} GiB is not a limit; give 0 to keep no image in memory")
        self.corrupt, self.memory_limit, self.near_duplicates = corrupt, memory_limit, near_duplicates
        self._most_bytes, self._most_photo_bytes = (
            most if memory_limit is None else memory_limit * 2**30 for most in (MOST_BYTES, MOST_PHOTO_BYTES)
        )
        self.test_size = test_size
        self.root = data_root(root)
        self.folder_files = FolderFiles(folder, labels_file, unlabeled_folder, self.root, corrupt, test_size)
        self.folder, self.layout = self.folder_files.folder, self.folder_files.layout
        self.class_names = self.file_class_names = self.layout.class_names
        self.has_unlabeled_samples = bool(self.folder_files.pool)
        square = (size, size) if isinstance(size, int) else size
        height, width = self.folder_files.first_size() if square is None else square
        if min(height, width) < 1:
            raise ValueError(f"data.size: {size} is too small; give at least 1 pixel")
        self.input_shape = (1 if grey else 3, height, width)
        if original_size and size is None:
            raise ValueError("data.original_size: needs data.size, the size that transforms bring the images to")
        transforms = as_list(options.pop("eval_transform", None)) if original_size else None
        self.folder_reading = FolderReading(
            self.input_shape, size is not None, value_range, background, page, transforms
        )
        self.original_size = original_size
        self.photos: Photos | None = None
        self.decisions: dict[str, list[str]] = {}
        self._kept: dict[str, list[int]] = {}
        augment = options.get("augment", "none")
        if original_size:  # transforms at the original size run one by one when images are read, not on batches
            self.photo_augments, of_batch = split_augments(options)
            options |= of_batch
        super().__init__(root=root, **options)
        self.augment = augment
        if transforms is not None:
            self.eval_description = [describe(each) for each in transforms]
        if "val" in self.layout.parts and isinstance(self.val_size, Fold):
            raise ValueError(
                f"data.folds: {self.folder} has validation images of its own; move them to the training images, or "
                "leave the option out"
            )
        if "val" in self.layout.parts and self.val_size not in (0, 0.1):
            rank_zero_warn(
                f"data.val_size {self.val_size} is not used: {self.folder} has validation images of its own; 0 would "
                "leave them out"
            )
        thumbnail = Thumbnails(SIDE, self.folder_reading) if near_duplicates == "leave_out" else None
        corrected = dict if self.applied_corrections is None else self.applied_corrections.by_file
        self.folder_files.assign_by(self.val_size, self.seed, self.known, thumbnail, corrected)

    @property
    def by_content(self) -> bool:
        """Whether a part is drawn by the content of the files, since there are no validation or no test files."""
        return self.folder_files.by_content

    def read(self, train: bool) -> tuple[Rows, Tensor]:
        """Returns all images of the training or test set, in memory or read on demand, and their labels."""
        part, found, reading = "train" if train else "test", self.folder_files, self.folder_reading
        if not reading.range_is_known:
            reading.measure(found.training_files())
        paths, labels = found.files(train)
        where = f"{self.folder} ({part})"
        if not train:
            reading.check_range(paths, where)
        limit = 0 if train and self.original_size else self._most_bytes
        try:
            rows, kept, texts = reading.read_all(paths, where, limit, skip=self.corrupt == "skip")
        except DamagedImageError as error:
            if not train:
                raise
            raise reading.with_damage_in(found.files(train=False)[0], error) from error
        names = [found.name(path) for path in paths]
        if unreadable := [names[position] for position in sorted(set(range(len(names))) - set(kept))]:
            found.leave_out(part, sorted(unreadable), f"unreadable, in {self.folder}", len(names))
        if texts:
            self.decisions[part] = texts
        if lost := set(labels.tolist()) - set(labels[kept].tolist()):
            name = "an image without a label" if min(lost) == UNKNOWN else f"class {self.file_class_names[min(lost)]!r}"
            raise ValueError(f"{self.folder}: no image of {name} can be read; repair or remove it")
        self.files[part] = [names[position] for position in kept]
        self._kept[part] = kept
        if train and self.original_size:
            self.photos = Photos([paths[position] for position in kept], self.reader, self._most_photo_bytes)
        return rows, labels[kept]

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set; opens images only if damaged ones are to be left out."""
        if self.corrupt == "skip":
            return self.read(train=True)[1]
        paths, labels = self.folder_files.files(train=True)
        self.files["train"] = [self.folder_files.name(path) for path in paths]
        self._kept["train"] = list(range(len(paths)))
        return labels

    def membership(self) -> dict[str, Any]:
        """Returns which samples are for validation, and the ids of all, if files or their content decide this."""
        samples, _ = self.folder_files.assignment()
        kept = [each for each in self._kept["train"] if samples.labels[each] != UNKNOWN]
        return {
            "val": samples.val[kept],
            "ids": None if samples.ids is None else [samples.ids[each] for each in kept],
        }

    def identity(self) -> dict[str, Tensor]:
        """Returns the names of the training files, or their content ids where these decide the parts."""
        ids = self.folder_files.assignment()[0].ids
        names = self.files["train"] if ids is None else [ids[position] for position in self._kept["train"]]
        return {"names": torch.frombuffer(bytearray(os.fsencode("\n".join(names))), dtype=torch.uint8)}

    def split_options(self) -> dict[str, str]:
        """Returns the options that determine the split; the place of the files does not where their content does."""
        options = super().split_options()
        return {name: value for name, value in options.items() if not (self.by_content and name == "folder")}

    def split_report(self) -> dict[str, Any]:
        """Adds the files that were left out, how others were decoded, and notes for the printed table."""
        report = super().split_report()
        if drawn := self.folder_files.drawn(self.val_size):
            counts = {part: each for part, each in report["per_class"].items() if sum(each)}
            report["notes"] = membership_notes(counts, self.class_names, drawn)
        found = {"left_out": self.folder_files.left_out, "decoded": self.decisions}
        return report | {name: value for name, value in found.items() if value}

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; fitting reads the test set too, to find damage before training."""
        if stage in ("fit", "validate"):
            self.folder_files.resume()
        super().setup(stage)
        if stage == "fit":
            super().setup("test")
        if self.train_set is not None and not hasattr(self, "mean"):
            indices = self.train_set.indices
            step = -(-len(indices) // STATISTICS_IMAGES)
            self.mean, self.std = channel_statistics(self.train_set.inputs, indices[::step])

    def normalise(self, images: Tensor) -> Tensor:
        """Converts images from 0...255 to float32, normalised as `scale` says."""
        if self.scale == "standard" and not hasattr(self, "mean"):
            self.setup("fit")  # a test without a checkpoint computes the statistics here
        return super().normalise(images)

    def left_out_files(self) -> list[str]:
        """Returns the names of files that are left out, such as damaged ones and copies."""
        return self.folder_files.all_left_out()

    def read_all_photos(self) -> None:
        """Reads the test images at their original size too, after the training images, for an audit of all."""
        if self.photos is not None and len(self.photos.paths) == len(self._kept["train"]):
            paths = self.folder_files.files(train=False)[0]
            usable = [*self.photos.paths, *(paths[position] for position in self._kept["test"])]
            self.photos = Photos(usable, self.reader, self._most_photo_bytes)

    def state_dict(self) -> dict[str, Any]:
        """Adds mean and standard deviation of the channels, and the samples if their content decides the parts."""
        state = super().state_dict()
        if hasattr(self, "mean"):
            state |= {"mean": self.mean, "std": self.std}
        if self.by_content and self.split is not None and self.test_set is not None:
            state["samples"] = self.record().state()
        return state

    def record(self) -> RecordedSamples:
        """Returns what a checkpoint records of samples whose content decides the parts."""
        dropped = [] if self.applied_corrections is None else self.applied_corrections.dropped
        return self.folder_files.record(self._kept["train"], dropped)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores range of values, mean and standard deviation of the checkpoint's training, and its samples.

        Raises:
            ValueError: If the training was on another split; recorded samples are found again wherever they are.
        """
        outdated = restore_reading(self, state_dict)
        if "mean" in state_dict:
            self.mean, self.std = tuple(state_dict["mean"]), tuple(state_dict["std"])
            self._scaling = None
        if self.by_content and "samples" in state_dict:
            restore_samples(self, state_dict)
            self.compare_evaluation(state_dict)
        else:
            super().load_state_dict(state_dict)
        read_again(self, outdated)

    @property
    def reader(self) -> ImageReader:
        """The rules by which the files are decoded."""
        return self.folder_reading.reader

    @property
    def reading(self) -> ImageReader:
        """The rules by which new image files are decoded, resized and cropped."""
        return replace(self.folder_reading.reader, resize=True)

    @property
    def new_reader(self) -> Any:
        """Reads new image files, of any size."""
        return self.folder_reading.new

    def state_dict_of_images(self) -> dict[str, Any]:
        """Adds whether `eval_transform` gets images at their original size."""
        return super().state_dict_of_images() | {"original_size": self.original_size}

    def _loader(self, dataset: IndexedDataset, batch_size: int | None, **options: Any) -> DataLoader[Batch]:
        """Serves training images with random transforms of their original size, where that is asked for."""
        sampler = options.get("sampler")
        if self.photos is None or not isinstance(sampler, EpochBatches) or isinstance(sampler, EvaluationBatches):
            return super()._loader(dataset, batch_size, **options)
        sampler.with_epoch = True
        views = {"input": self.photo_augments["augment"]}
        if dataset is self.unlabeled_set:
            views = {"weak": views["input"], "strong": self.photo_augments["strong_augment"]}
        transformed: Any = PhotoViews(dataset, self.photos, views)
        return super()._loader(transformed, batch_size, **options)
