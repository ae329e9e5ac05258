"""The base class of datamodules for instance segmentation."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from litzoo.datamodules.base import BaseDataModule
from litzoo.datamodules.io.class_folders import images_to_predict
from litzoo.datamodules.segmentation.dataset import AnnotatedImage, SegmentationDataset, UnannotatedImages
from litzoo.datamodules.splits.core import split_train_val
from litzoo.datamodules.transforms.copy_paste import paste_objects
from litzoo.datamodules.transforms.masks import MASK_AUGMENTATIONS, ImageWithMasks, augmented, boxes_around


class SegmentationDataModule(BaseDataModule):
    """Images with a mask and a class for every object; serves `DetectionBatch`.

    Images may differ in size. They are kept in memory as uint8; scaling and augmentation happen on the device.
    Subclasses define `class_names` and `read`.

    Args:
        augment: Random augmentation of training images and their masks, drawn for each image: `mirror` (horizontal
            flip), `turn` (horizontal flip and rotation by a multiple of 90 degrees, for images without a natural
            orientation); `mirror_vary` and `turn_vary` also shift by up to a tenth, scale by 0.8 to 1.25, and change
            brightness and contrast by up to 30 %.
        copy_paste: Whether to paste objects of another image in the batch into each training image, after augmentation
            (Ghiasi et al. 2021). An image that is alone in its batch stays as it is.
        predict_folder: Folder of images of any sizes, anywhere, for `predict` to use instead of the test set.
        batch_size: Images in a training batch (on each device).
        eval_batch_size: Images in a validation, test or prediction batch.
        **options: See `BaseDataModule`; `train_size` and `val_size` count images.

    Raises:
        ValueError: If `augment` is not one of these, or `copy_paste` is used with batches of one image.

    Attributes:
        class_names: Names of the classes of objects, without the background.
    """

    links = ("num_classes", "class_names")
    class_names: tuple[str, ...]

    def __init__(
        self,
        augment: Literal["none", "mirror", "mirror_vary", "turn", "turn_vary"] = "none",
        copy_paste: bool = False,
        predict_folder: str | None = None,
        batch_size: int = 2,
        eval_batch_size: int = 8,
        **options: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=eval_batch_size, **options)
        if augment not in MASK_AUGMENTATIONS:
            raise ValueError(f"data.augment: {augment!r} is not one of {', '.join(MASK_AUGMENTATIONS)}")
        if copy_paste and batch_size < 2:
            raise ValueError(
                f"data.copy_paste: needs two images in a batch, but data.batch_size is {batch_size}; give at least 2"
            )
        self.augment, self.copy_paste, self.predict_folder = augment, copy_paste, predict_folder
        self.augmentation = MASK_AUGMENTATIONS[augment]()
        self._samples: Sequence[AnnotatedImage] = ()

    @property
    def num_classes(self) -> int:
        """Number of classes, without the background."""
        return len(self.class_names)

    @abstractmethod
    def read(self, train: bool) -> Sequence[AnnotatedImage]:
        """Returns all images of the training or test set; some may have no object."""

    def find_split(self) -> None:
        """Reads the training images and splits them; `targets` are their numbers of objects."""
        if self.split is None:
            self._samples = self.read(train=True)
            self.targets = torch.tensor([float(len(sample.labels)) for sample in self._samples])
            self.split = split_train_val(self.targets, self.train_size, self.val_size, self.seed)

    def setup(self, stage: str) -> None:
        """Reads what `stage` needs; for fitting the test images too, so that damage is found before training."""
        if stage == "predict" and self.predict_folder is not None:
            paths, self.files["predict"] = images_to_predict(self.predict_folder)
            self.new_set = SegmentationDataset(UnannotatedImages(paths))
            return
        if stage in ("fit", "validate") and self.train_set is None:
            self.find_split()
            assert self.split is not None
            self.train_set = SegmentationDataset(self._samples, self.split.train)
            self.val_set = SegmentationDataset(self._samples, self.split.val)
        if stage != "validate" and self.test_set is None:
            self.test_set = SegmentationDataset(self.read(train=False))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augments (in training) and scales the images of a batch, on its device."""
        if self.trainer is not None and self.trainer.training:
            pairs = zip(batch["input"], batch["target"], strict=True)
            samples = self.as_trained(
                [ImageWithMasks(image, target["labels"], target["masks"]) for image, target in pairs]
            )
            batch["input"] = [sample.image for sample in samples]
            batch["target"] = [{"labels": sample.labels, "masks": sample.masks} for sample in samples]
        return self.as_evaluated(batch)

    def as_trained(self, samples: Sequence[ImageWithMasks]) -> list[ImageWithMasks]:
        """Augments the images of a batch, and with `copy_paste` pastes objects of the previous image into each."""
        changed = [augmented(self.augmentation, sample) for sample in samples]
        if not self.copy_paste:
            return changed
        return [paste_objects(sample, changed[position - 1]) for position, sample in enumerate(changed)]

    def as_evaluated(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Scales the images of a batch to 0...1, and adds the bounding boxes of the masks."""
        return {
            "index": batch["index"],
            "input": [image.float() / 255 for image in batch["input"]],
            "target": [{"boxes": boxes_around(each["masks"]), **each} for each in batch["target"]],
        }

    def image_with_objects(self, part: Literal["train", "val"], position: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns an image of a part, float32 `[3, H, W]` from 0 to 1, and its `DetectionTarget`, for figures."""
        rows = self.train_set if part == "train" else self.val_set
        assert rows is not None
        served: Any = rows.__getitems__([position])
        batch = self.as_evaluated(served)
        return batch["input"][0], batch["target"][0]

    def split_report(self) -> dict[str, Any]:
        """Adds the class names, the number of objects in each part that has been read, and of images without any."""
        report = super().split_report()
        sets = {"train": self.train_set, "val": self.val_set, "test": self.test_set}
        counts = {
            name: [len(part.samples[position].labels) for position in part.indices.tolist()]
            for name, part in sets.items()
            if isinstance(part, SegmentationDataset)
        }
        report |= {"objects": {name: sum(each) for name, each in counts.items()}}
        if any(0 in each for each in counts.values()):
            report["without_objects"] = {name: each.count(0) for name, each in counts.items()}
        return report | {"class_names": list(self.class_names)}
