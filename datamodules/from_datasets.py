"""Datamodules from torch data sets of the user's own."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import Dataset

from litzoo.datamodules.base import BaseDataModule
from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.class_labels import ClassLabels
from litzoo.datamodules.dataset import Rows
from litzoo.datamodules.feature_scales import normalises_first, unsuitable_scales
from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.statistics import STATISTICS_IMAGES, channel_statistics
from litzoo.datamodules.io.map_datasets import are_images, is_random, read_dataset, require_map_style
from litzoo.datamodules.splits.folds import Fold
from litzoo.datamodules.splits.membership import content_id

if TYPE_CHECKING:

    class _Base(ClassLabels, BaseDataModule):
        pass
else:
    _Base = object  # a mixin: the classes that use it derive from a datamodule themselves


class DatasetParts(_Base):
    """Mixin for datamodules of torch data sets, which are read into memory once.

    Args:
        train: Map-style data set of training samples: `(input, label)` pairs, or dictionaries. Labels are integers from
            0. Each sample is read once, so that random transforms belong into `augment`.
        val: Validation samples likewise; `None` to draw `val_size` of `train`. With it, only 0 for `val_size` has an
            effect: no validation.
        test: Test samples likewise; `None` if there are none.
        unlabeled: Training samples without labels, the pool of semi-supervised methods; labels are not read.
        keys: Where a sample holds input and label, if it is no pair and has no usual names: `("image", "species")`, or
            positions such as `(0, 2)`.
        class_names: Names of the classes; by default the `classes` of `train`, as torchvision's data sets have them,
            else their numbers.
        **options: See the other base classes.

    Raises:
        TypeError: If a data set is an `IterableDataset`, or has no length or index.
        ValueError: If a data set is empty, a sample cannot be read, shapes differ, a label is no integer from 0, or a
            class has no training sample.
    """

    images: ClassVar[bool]
    input_shape: Any

    def __init__(
        self,
        train: Dataset,
        val: Dataset | None = None,
        test: Dataset | None = None,
        unlabeled: Dataset | None = None,
        keys: tuple[str | int, str | int] | None = None,
        class_names: list[str] | None = None,
        **options: Any,
    ) -> None:
        given = {"train": train, "val": val, "test": test, "unlabeled": unlabeled}
        present = {part: each for part, each in given.items() if each is not None}
        for part, dataset in present.items():
            require_map_style(part, dataset)
            if twin := next((other for other in present if other != part and present[other] is dataset), None):
                raise ValueError(f"{part} and {twin} are the same data set: a sample must be in one of them only")
        if is_random("train", train, keys, self.images):
            rank_zero_warn(
                "train returns another input when a sample is read again: each is read once, so that its random "
                "transforms are applied once; leave them out of the data set, and give images `augment`"
            )
        self._inputs: dict[str, Tensor] = {}
        self._labels: dict[str, Tensor] = {}
        for part, dataset in present.items():
            inputs, labels = read_dataset(part, dataset, keys, self.images, labeled=part != "unlabeled")
            if part != "train" and inputs.shape[1:] != self._inputs["train"].shape[1:]:
                raise ValueError(
                    f"{part} has inputs of {list(inputs.shape[1:])}, but train of "
                    f"{list(self._inputs['train'].shape[1:])}: give all parts one shape"
                )
            self._inputs[part] = inputs
            self._labels[part] = torch.full((len(inputs),), UNKNOWN) if labels is None else labels
        self.class_names = self._names_of(train, class_names)
        self.has_unlabeled_samples = unlabeled is not None
        self.input_shape = tuple(self._inputs["train"].shape[1:])
        self._content = {part: _content_ids(inputs) for part, inputs in self._inputs.items()}
        super().__init__(**options)
        self._warn_of_copies()
        if val is not None and isinstance(self.val_size, Fold):
            raise ValueError("folds: `val` has the validation samples; join them to `train`, or leave the option out")
        if val is not None and self.val_size not in (0, 0.1):
            rank_zero_warn(f"val_size {self.val_size} is not used: `val` has the validation samples")
        counts = torch.bincount(self._labels["train"], minlength=len(self.file_class_names))
        if absent := [name for name, label in zip(self.class_names, self.known, strict=True) if not counts[label]]:
            raise ValueError(
                f"train has no sample of {', '.join(absent[:10])}: labels are 0 to the number of classes - 1, without "
                "gaps; renumber them, or choose the classes to learn with known_classes"
            )

    def read(self, train: bool) -> tuple[Rows, Tensor]:
        """Returns all inputs and labels of the training set, with those for validation, or of the test set.

        Raises:
            ValueError: If there is no test set.
        """
        if not train and "test" not in self._inputs:
            raise ValueError("there is no test set: give from_datasets a data set `test`")
        parts = [part for part in (("train", "val", "unlabeled") if train else ("test",)) if part in self._inputs]
        inputs, labels = ([source[part] for part in parts] for source in (self._inputs, self._labels))
        return (inputs[0], labels[0]) if len(parts) == 1 else (torch.cat(inputs), torch.cat(labels))

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set, with those for validation."""
        return torch.cat([self._labels[part] for part in ("train", "val", "unlabeled") if part in self._labels])

    def membership(self) -> dict[str, Any]:
        """Returns which labeled samples are for validation, if a data set of its own decides this."""
        if "val" not in self._labels:
            return {}
        sizes = [len(self._labels[part]) for part in ("train", "val")]
        return {"val": torch.arange(sum(sizes)) >= sizes[0]}

    def identity(self) -> dict[str, Tensor]:
        """Returns the content of the training inputs, for the fingerprint."""
        content = "".join(each for part in ("train", "val", "unlabeled") for each in self._content.get(part, []))
        return {"inputs": torch.frombuffer(bytearray(content_id(content.encode()).encode()), dtype=torch.uint8)}

    def _names_of(self, train: Any, names: list[str] | None) -> tuple[str, ...]:
        found = max(int(self._labels[part].max()) for part in ("train", "val") if part in self._labels) + 1
        while not hasattr(train, "classes") and hasattr(train, "dataset"):  # torch's Subset
            train = train.dataset
        own = getattr(train, "classes", None)
        if names is None and isinstance(own, (list, tuple)) and len(own) >= found:
            names = [str(each) for each in own]
        names = [str(label) for label in range(found)] if names is None else [str(name) for name in names]
        if len(names) < found or len(set(names)) < len(names):
            raise ValueError(f"class_names: {names} are not {found} different names, for the labels 0 to {found - 1}")
        if "test" in self._labels and (largest := int(self._labels["test"].max())) >= len(names):
            raise ValueError(
                f"test has the label {largest}, but train only 0 to {len(names) - 1}: give a class that is not to be "
                "learned training samples too and leave it out of known_classes, or name all classes in `class_names`"
            )
        if len(names) < 2:
            raise ValueError("train has only the label 0; classification needs at least two classes")
        return tuple(names)

    def _warn_of_copies(self) -> None:
        """Warns if validation or test samples are copies of training samples, without those that corrections drop."""
        parts = ("train", "val", "unlabeled")  # in the order of the full training set
        order = [(part, position) for part in parts for position in range(len(self._content.get(part, [])))]
        dropped: set[tuple[str, int]] = set()
        if (corrections := self.applied_corrections) is not None:
            dropped = {order[each] for each in corrections.dropped_positions("train") if each < len(order)}
            dropped |= {("test", each) for each in corrections.dropped_positions("test")}
        used = {
            part: [each for position, each in enumerate(ids) if (part, position) not in dropped]
            for part, ids in self._content.items()
        }
        trained = {*used["train"], *used.get("unlabeled", [])}
        for part in ("val", "test"):
            if copies := sum(each in trained for each in used.get(part, [])):
                rank_zero_warn(
                    f"{copies:,} of {len(used[part]):,} samples of {part} are copies of training samples: "
                    "results there are too good; leave them out of one of the two"
                )


class ImageDatasetsDataModule(DatasetParts, ImageDataModule):
    """Images of torch data sets: Pillow images, arrays or tensors, uint8, or floats from 0 to 1.

    They are kept in memory as uint8, floats are rounded to it. Mean and standard deviation of the channels are measured
    on `train` (on about 5,000 images if there are more).

    Args:
        **options: See `DatasetParts`, `ImageDataModule`, `ClassLabels` and `BaseDataModule`; `root` is for files that
            options name.
    """

    images = True

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        images = self._inputs["train"]
        step = -(-len(images) // STATISTICS_IMAGES)
        self.mean, self.std = channel_statistics(images, torch.arange(0, len(images), step))


class ArrayDatasetsDataModule(DatasetParts, ClassLabels, BaseDataModule):
    """Feature vectors, series or other arrays of one shape of torch data sets, as float32 and as they are.

    Nothing is normalised or augmented; a training on feature vectors of large or very different scales is warned of.
    The strong view of an unlabeled vector takes a fraction of its features from another one of the batch, as in SCARF
    (Bahri et al. 2022); the weak view is the vector itself.

    Args:
        *parts: `train`, `val` and `test`.
        strong_swap: Fraction of the features that the strong view takes from another sample.
        **options: See `DatasetParts`, `ClassLabels` and `BaseDataModule`.

    Raises:
        ValueError: If `strong_swap` is not a fraction.
    """

    images = False
    links = ("num_classes", "class_names", "input_shape")
    input_shape: tuple[int, ...]

    def __init__(self, *parts: Any, strong_swap: float = 0.3, **options: Any) -> None:
        if not 0 <= strong_swap <= 1:
            raise ValueError(f"data.strong_swap: {strong_swap} is not a fraction in [0, 1]")
        self.strong_swap = strong_swap
        super().__init__(*parts, **options)

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; before a training, warns of vectors that are not standardised."""
        if stage == "fit" and self.train_set is None and len(self.input_shape) == 1:
            module = getattr(self.trainer, "lightning_module", None)
            if not normalises_first(module) and (problem := unsuitable_scales(self._inputs["train"])):
                rank_zero_warn(
                    f"inputs are not standardised: {problem}, from which networks learn badly. Subtract the mean and "
                    "divide by the standard deviation of the training samples in all parts, or begin the network with "
                    f"torch.nn.BatchNorm1d({self.input_shape[0]})"
                )
        super().setup(stage)

    def state_dict(self) -> dict[str, Any]:
        """Adds what predicting with a checkpoint alone needs to know of the inputs."""
        return super().state_dict() | {"arrays": {"shape": list(self.input_shape)}}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Makes the two views of unlabeled samples, on their device."""
        if "unlabeled" in batch:
            rows = batch["unlabeled"].pop("input")
            chosen = torch.rand(rows.shape, device=rows.device) < self.strong_swap
            others = rows[torch.randperm(len(rows), device=rows.device)]
            batch["unlabeled"] |= {"weak": rows, "strong": torch.where(chosen, others, rows)}
        return batch


def from_datasets(
    train: Dataset,
    val: Dataset | None = None,
    test: Dataset | None = None,
    images: bool | None = None,
    **options: Any,
) -> ImageDatasetsDataModule | ArrayDatasetsDataModule:
    """Returns a datamodule of any map-style torch data sets, for classification.

    All problems of `ClassLabels` can be simulated on top of them. Inputs are images (Pillow images, uint8, or floats
    `[C, H, W]` from 0 to 1 with one or three channels) or other arrays of one shape, which are taken as they are.

    Args:
        train: Training samples: `(input, label)` pairs, or dictionaries.
        val: Validation samples; `None` to draw `val_size` of `train`.
        test: Test samples; `None` if there are none.
        images: Whether inputs are images; `None` to decide by the first ones.
        **options: See `ImageDatasetsDataModule` and `ArrayDatasetsDataModule`.

    Raises:
        TypeError: As `DatasetParts`.
        ValueError: As `DatasetParts`.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> data = from_datasets(TensorDataset(torch.randn(100, 8), torch.arange(100) % 3), num_labeled=30)
        >>> data.input_shape, data.num_classes
        ((8,), 3)
    """
    require_map_style("train", train)
    if images is None:
        images = are_images("train", train, options.get("keys"))
    kind: Any = ImageDatasetsDataModule if images else ArrayDatasetsDataModule
    datamodule = kind(train=train, val=val, test=test, **options)
    shape = datamodule.input_shape
    if not images and len(shape) == 3 and shape[0] in (1, 3):
        rank_zero_warn(
            f"inputs of {list(shape)} have values outside 0 to 1 and are taken as they are, without normalisation and "
            "augmentation; images need to be uint8, or floats from 0 to 1 (leave Normalize out)"
        )
    return datamodule


def _content_ids(rows: Tensor) -> list[str]:
    return [content_id(np.ascontiguousarray(row).tobytes()) for row in rows.numpy()]
